/** Profile: how large a world is. Its numbers are least ones: what a world has gone through before its faults stop. */
export type ProfileName = "short" | "full"

export interface Profile {
  readonly name: ProfileName
  /** Requests that the workloads share before they check; their checks come to some fifty more of them. */
  readonly operations: number
  readonly crashesMin: number
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  short: { name: "short", operations: 132, crashesMin: 3 },
  full: { name: "full", operations: 2700, crashesMin: 20 }
}
