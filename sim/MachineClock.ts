/**
 * MachineClock: Effect's clock as one machine has it: a wall clock that is off, drifts and jumps, and a monotonic one that
 * only drifts. It sits between a machine's fibers and the Timeline, whose time is the true one.
 */
import type { Effect } from "effect"
import type { Processor } from "./Processor.ts"
import { TwinClock } from "./TwinClock.ts"

/** How a machine's clocks are wrong. It outlives processes and power. */
export interface ClockError {
  /** Wall clock minus true time. Jumps change it. */
  offsetMs: number
  /** Both run faster by this share of the time. */
  readonly drift: number
}

export class MachineClock extends TwinClock {
  readonly #processor: Processor
  readonly #error: ClockError
  readonly #epochMs: number
  readonly #bootUs: number
  readonly #named: () => void

  /** `epochMs`: the true date at which the timeline begins. `named`: called where a span begins or ends, which alone asks for nanoseconds. */
  constructor(processor: Processor, error: ClockError, epochMs: number, named: () => void = () => undefined) {
    super()
    this.#processor = processor
    this.#error = error
    this.#epochMs = epochMs
    this.#bootUs = processor.timeline.nowUs
    this.#named = named
  }

  override currentTimeNanosUnsafe(): bigint {
    this.#named()
    return super.currentTimeNanosUnsafe()
  }

  protected override monotonicUs(): number {
    return (this.#processor.timeline.nowUs - this.#bootUs) * (1 + this.#error.drift)
  }

  /** By the monotonic clock: jumps of the wall clock wake nobody. */
  protected override wait(ms: number): Effect.Effect<void> {
    return this.#processor.delay(Math.ceil(ms * 1000) / (1 + this.#error.drift))
  }

  protected override wallUs(): number {
    const { drift, offsetMs } = this.#error
    return (this.#epochMs + offsetMs) * 1000 + this.#processor.timeline.nowUs * (1 + drift)
  }
}
