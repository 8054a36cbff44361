/**
 * Shrink: of the many things that went wrong in a failing world, the few that it takes. Delta debugging (Zeller,
 * Hildebrandt: Simplifying and Isolating Failure-Inducing Input, 2002), bounded in runs. Pure: `fails` runs the world.
 */

/** What is left, in order, and after how many runs. Without one of these, or at the end of the runs, it no longer fails. */
export interface Shrunk<A> {
  readonly kept: ReadonlyArray<A>
  readonly runs: number
}

/** `all` fails. What is left fails too; where runs sufficed, each of it is needed. */
export const shrink = <A>(all: ReadonlyArray<A>, fails: (kept: ReadonlyArray<A>) => boolean, runsMax: number): Shrunk<A> => {
  let kept = all
  let runs = 0
  /** False as well where no run is left. */
  const tryTo = (candidate: ReadonlyArray<A>): boolean => {
    if (runs >= runsMax) return false
    runs += 1
    if (!fails(candidate)) return false
    kept = candidate
    return true
  }
  if (all.length === 0 || tryTo([])) return { kept, runs }
  let parts = 2
  while (kept.length > 1) {
    const size = Math.ceil(kept.length / parts)
    if (candidatesOf(kept, size).some(tryTo)) parts = Math.max(2, parts - 1)
    else if (size === 1) return { kept, runs }
    else parts = Math.min(kept.length, 2 * parts)
  }
  return { kept, runs }
}

/** Each piece of so many alone, where there are two; all but one of them, where there are more. */
const candidatesOf = <A>(kept: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(kept.length / size) }, (_, index) => index).map((index, _, all) =>
    kept.filter((_kept, at) => (Math.floor(at / size) === index) === (all.length === 2)))
