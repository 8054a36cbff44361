/**
 * SimulatedClock: Effect's clock on which time passes only when its owner says so: from one sleeper's end to the next.
 * Sits beside sim/Scheduler under every fiber of a simulated node.
 */
import { Effect } from "effect"
import { TwinClock } from "./TwinClock.ts"

interface Timer {
  readonly atMs: number
  readonly wake: () => void
}

export class SimulatedClock extends TwinClock {
  #nowMs: number
  readonly #startMs: number
  /** By time; those of one time in the order in which they were asked for. */
  readonly #timers: Array<Timer> = []

  constructor(nowMs: number) {
    super()
    this.#nowMs = nowMs
    this.#startMs = nowMs
  }

  get nowMs(): number {
    return this.#nowMs
  }

  protected override wallUs(): number {
    return this.#nowMs * 1000
  }

  protected override monotonicUs(): number {
    return (this.#nowMs - this.#startMs) * 1000
  }

  protected override wait(ms: number): Effect.Effect<void> {
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
