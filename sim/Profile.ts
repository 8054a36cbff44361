/** Profile: how large a world is. Its numbers are least ones: what a world has gone through before its faults stop. */
export type ProfileName = "short" | "full"

export interface Profile {
  readonly name: ProfileName
  /** Requests that so many workloads (one, two, ...; the last: or more) share before they check; with those of their checks they come to 200, or 3,000, in the median. */
  readonly operations: ReadonlyArray<number>
  readonly crashesMin: number
}

export const profiles: Readonly<Record<ProfileName, Profile>> = {
  short: { name: "short", operations: [203, 158, 143, 130], crashesMin: 3 },
  full: { name: "full", operations: [3070, 2780], crashesMin: 20 }
}

/** Requests of a world with so many workloads. */
export const operationsOf = (profile: ProfileName, workloads: number): number => {
  const { operations } = profiles[profile]
  return operations[Math.min(workloads, operations.length) - 1]!
}
