/**
 * Lineage: which pieces of which bucket's history a bucket is made of (R5). The reference keeps whole copies and needs none;
 * but of pieces a store allows only so many, and who goes back once more is refused. Under ObjectStore.
 */

/** Commits that are counted in, of the bucket that was born at `born`; open at its end while it is the last. */
export interface Interval {
  readonly born: number
  readonly from: number
  readonly to?: number
}

export const lineageIntervalsMax = 64

/**
 * What a bucket (born at `own`) is made of after commit `sequence` takes it back to commit `to`, when it was made of `then`. Where
 * nothing has changed it since, `changed` says, it goes on in the same piece.
 */
export const backTo = (then: ReadonlyArray<Interval>, to: number, own: number, sequence: number, changed: number): ReadonlyArray<Interval> => {
  const closed = then.map((interval) => ({ ...interval, to: Math.min(interval.to ?? to, to) }))
  const last = closed.at(-1)
  if (last?.born === own && last.to === to && changed <= to) return [...closed.slice(0, -1), { born: own, from: last.from }]
  // A piece begins with a commit that makes no version: it is empty when it ends there.
  return [...closed.filter(({ from, to: end }, index) => index === 0 || from < end), { born: own, from: sequence }]
}
