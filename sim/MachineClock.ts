/**
 * MachineClock: Effect's clock as one machine has it: a wall clock that is off, drifts and jumps, and a monotonic one that
 * only drifts. It sits between a machine's fibers and the Timeline, whose time is the true one.
 */
import { type Clock, Duration, Effect } from "effect"
import type { Processor } from "./Processor.ts"

type ClockInterface = Clock.Clock

/** How a machine's clocks are wrong. It outlives processes and power. */
export interface ClockError {
  /** Wall clock minus true time. Jumps change it. */
  offsetMs: number
  /** Both run faster by this share of the time. */
  readonly drift: number
}

export class MachineClock implements ClockInterface {
  readonly #processor: Processor
  readonly #error: ClockError
  readonly #epochMs: number
  readonly #bootUs: number

  /** `epochMs`: the true date at which the timeline begins. */
  constructor(processor: Processor, error: ClockError, epochMs: number) {
    this.#processor = processor
    this.#error = error
    this.#epochMs = epochMs
    this.#bootUs = processor.timeline.nowUs
  }

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.#wallUs() / 1000)
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor(this.#wallUs())) * 1000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor((this.#processor.timeline.nowUs - this.#bootUs) * (1 + this.#error.drift))) * 1000n
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  /** By the monotonic clock: jumps of the wall clock wake nobody. */
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (ms <= 0) return Effect.yieldNow
    if (!Number.isFinite(ms)) return Effect.never
    return this.#processor.delay(Math.ceil(ms * 1000) / (1 + this.#error.drift))
  }

  #wallUs(): number {
    const { drift, offsetMs } = this.#error
    return (this.#epochMs + offsetMs) * 1000 + this.#processor.timeline.nowUs * (1 + drift)
  }
}
