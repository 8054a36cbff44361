/** TwinClock: what Effect asks of a clock, from what a twin says of its time. Under Clock and MachineClock. */
import { type Clock, Duration, Effect } from "effect"

type ClockInterface = Clock.Clock

export abstract class TwinClock implements ClockInterface {
  /** The wall clock, and the one that only goes on: microseconds. */
  protected abstract wallUs(): number
  protected abstract monotonicUs(): number
  /** For so many milliseconds, more than none. */
  protected abstract wait(ms: number): Effect.Effect<void>

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.wallUs() / 1000)
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor(this.wallUs())) * 1000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(Math.floor(this.monotonicUs())) * 1000n
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (ms <= 0) return Effect.yieldNow
    return Number.isFinite(ms) ? this.wait(ms) : Effect.never
  }
}
