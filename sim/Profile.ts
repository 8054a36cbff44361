/** Profile: how large a world is. Its numbers are least ones: what a world has gone through before its faults stop. */
export type ProfileName = "short" | "full"

export interface Profile {
  readonly name: ProfileName
  /** Requests that the workloads share. */
  readonly operations: number
  readonly crashesMin: number
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  short: { name: "short", operations: 205, crashesMin: 3 },
  full: { name: "full", operations: 3050, crashesMin: 20 }
}
