/**
 * Probes: "sometimes" assertions: a rare path says that it was taken. The simulator listens and reports those that no world
 * has ever taken; where nobody listens, a probe costs a comparison. Source: FoundationDB's TEST macro and Antithesis's
 * sometimes-assertions. Sits under every room; imports nothing.
 */

/** Every probe there is, with what it proves to have happened. */
export const probeNames = {} as const satisfies Readonly<Record<string, string>>

export type ProbeName = keyof typeof probeNames

let listener: ((name: string) => void) | undefined

export const probe = (name: ProbeName): void => {
  if (listener !== undefined) listener(name)
}

/** One listener a process, as there is one world at a time; undefined: nobody. */
export const listenToProbes = (heard: ((name: string) => void) | undefined): void => {
  listener = heard
}
