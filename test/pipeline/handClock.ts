/** A clock whose wall and monotonic hands are moved by hand: for tests of what time does, and of what it must not do (R6). */
import { type Clock, Effect } from "effect"

export const handClock = () => {
  const hands = { wallMs: 1_800_000_000_000, monotonicMs: 5_000 }
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => hands.wallMs,
    currentTimeMillis: Effect.sync(() => hands.wallMs),
    currentTimeNanosUnsafe: () => BigInt(hands.wallMs) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(hands.wallMs) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(hands.monotonicMs) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(hands.monotonicMs) * 1_000_000n),
    sleep: () => Effect.never
  }
  const pass = (ms: number): void => {
    hands.wallMs += ms
    hands.monotonicMs += ms
  }
  return { clock, hands, pass }
}
