/** Hybrid time: 48 bits of milliseconds, 16 bits of counter (Kulkarni et al., 2014). Strictly increasing by commit. */

/** milliseconds << 16 | counter. */
export type HybridTime = bigint

export const hybridTime = (ms: number, counter: number): HybridTime => (BigInt(ms) << 16n) | BigInt(counter)
export const millisOf = (time: HybridTime): number => Number(time >> 16n)

/** The next stamp: the wall clock when it is ahead, else the last stamp plus one. Never goes back. */
export const nextHybridTime = (last: HybridTime, nowMs: number): HybridTime => {
  const wall = hybridTime(nowMs, 0)
  return wall > last ? wall : last + 1n
}
