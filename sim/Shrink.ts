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
  const tryTo = (candidate: ReadonlyArray<A>): boolean => {
    runs += 1
    if (!fails(candidate)) return false
    kept = candidate
    return true
  }
  if (all.length > 0 && runsMax > 0 && tryTo([])) return { kept, runs }
  for (let parts = 2; kept.length > 1 && runs < runsMax;) {
    const size = Math.ceil(kept.length / parts)
    const pieces = Array.from({ length: Math.ceil(kept.length / size) }, (_, index) => kept.slice(index * size, (index + 1) * size))
    const before = kept
    let isSmaller = false
    for (let index = 0; index < pieces.length && runs < runsMax && !isSmaller; index += 1) {
      // A piece alone, while there are few; then all but a piece.
      isSmaller = (pieces.length === 2 && tryTo(pieces[index]!)) || (pieces.length > 2 && tryTo(before.filter((_, at) => Math.floor(at / size) !== index)))
    }
    if (isSmaller) parts = pieces.length === 2 ? 2 : Math.max(2, pieces.length - 1)
    else if (size === 1) break
    else parts = Math.min(kept.length, 2 * parts)
  }
  return { kept, runs }
}
