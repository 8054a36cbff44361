/** Profile: how large a world is. Its numbers are least ones: what a world has gone through before its faults stop. */
export type ProfileName = "short" | "full"

export interface Profile {
  readonly name: ProfileName
  /** Requests that the workloads share before they check; with those of their checks they come to 200, or 3,000, in the median. */
  readonly operations: number
  /** Of a workload that is alone, most of which check with few. */
  readonly operationsAlone: number
  readonly crashesMin: number
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  short: { name: "short", operations: 132, operationsAlone: 205, crashesMin: 3 },
  full: { name: "full", operations: 2660, operationsAlone: 3050, crashesMin: 20 }
}

/** Requests of a world with so many workloads. */
export const operationsOf = (profile: ProfileName, workloads: number): number =>
  workloads === 1 ? profiles[profile].operationsAlone : profiles[profile].operations
