/**
 * SimulatedClock: Effect's clock on which time passes only when its owner says so: from one sleeper's end to the next.
 * Sits beside sim/Scheduler under every fiber of a simulated node.
 */
import { type Clock, Duration, Effect } from "effect"

type ClockInterface = Clock.Clock

interface Timer {
  readonly atMs: number
  readonly wake: () => void
}

export class SimulatedClock implements ClockInterface {
  #nowMs: number
  readonly #startMs: number
  /** By time; those of one time in the order in which they were asked for. */
  readonly #timers: Array<Timer> = []

  constructor(nowMs: number) {
    this.#nowMs = nowMs
    this.#startMs = nowMs
  }

  get nowMs(): number {
    return this.#nowMs
  }

  currentTimeMillisUnsafe(): number {
    return this.#nowMs
  }

  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.#nowMs) * 1_000_000n
  }

  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.#nowMs - this.#startMs) * 1_000_000n
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const ms = Duration.toMillis(duration)
    if (ms <= 0) return Effect.yieldNow
    if (!Number.isFinite(ms)) return Effect.never
    return Effect.callback<void>((resume) => {
      const timer: Timer = { atMs: this.#nowMs + Math.ceil(ms), wake: () => resume(Effect.void) }
      const later = this.#timers.findIndex(({ atMs }) => atMs > timer.atMs)
      this.#timers.splice(later < 0 ? this.#timers.length : later, 0, timer)
      return Effect.sync(() => {
        const index = this.#timers.indexOf(timer)
        if (index >= 0) this.#timers.splice(index, 1)
      })
    })
  }

  /** How long until the next sleeper wakes; undefined where nobody sleeps. */
  get waitMs(): number | undefined {
    const next = this.#timers[0]
    return next === undefined ? undefined : next.atMs - this.#nowMs
  }

  /** Goes to the end of the next sleep and wakes one sleeper; false where nobody sleeps. */
  advance(): boolean {
    const timer = this.#timers.shift()
    if (timer === undefined) return false
    this.#nowMs = timer.atMs
    timer.wake()
    return true
  }
}
