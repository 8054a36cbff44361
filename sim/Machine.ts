/**
 * Machine: a computer of a simulated world: its processor, its clocks and, where it has them, what outlives its power: disk
 * and index. It sits between a World and what runs there; powering it off drops the scheduler and everything under way.
 */
import { Clock, Context, Effect, type Fiber, Logger, References, Scheduler } from "effect"
import type { LogLevel } from "effect"
import { type ClockError, MachineClock } from "./MachineClock.ts"
import { Processor, type ProcessorTraits } from "./Processor.ts"
import type { Random } from "./Random.ts"
import { Life, type Timeline } from "./Timeline.ts"

export interface MachineTraits extends ProcessorTraits {
  /** Wall clock and drift. */
  readonly clock: ClockError
  /** The true date at which the timeline begins. */
  readonly epochMs: number
  /** A span begins or ends: whoever runs says where he is. */
  readonly named?: () => void
}

type LogEvent = Parameters<Parameters<typeof Logger.make<unknown, void>>[0]>[0]

export class Machine {
  readonly timeline: Timeline
  readonly traits: MachineTraits
  readonly random: Random
  /** Of the present life, or of the last one. */
  processor: Processor
  clock: MachineClock
  readonly #log: (event: LogEvent) => void
  readonly #logLevel: LogLevel.LogLevel

  /** It is on. */
  constructor(timeline: Timeline, traits: MachineTraits, random: Random, log: (event: LogEvent) => void, logLevel: LogLevel.LogLevel) {
    this.timeline = timeline
    this.traits = traits
    this.random = random
    this.#log = log
    this.#logLevel = logLevel
    this.processor = this.#begin()
    this.clock = this.#clockOf(traits)
  }

  get isOn(): boolean {
    return this.processor.life.isOn
  }

  /** A life of its own: no fiber, timer or answer of an earlier one reaches into it. */
  powerOn(): void {
    this.processor = this.#begin()
    this.clock = this.#clockOf(this.traits)
  }

  /** No fiber goes on, and no finalizer runs. */
  powerOff(): void {
    this.processor.powerOff()
  }

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const { life } = this.processor
    const logger = Logger.make<unknown, void>((event) => {
      if (life.isOn) this.#log(event)
    })
    const context = Context.mergeAll(
      Context.make(Scheduler.Scheduler, this.processor.scheduler),
      Context.make(Clock.Clock, this.clock),
      Context.make(Logger.CurrentLoggers, new Set([logger])),
      Context.make(References.MinimumLogLevel, this.#logLevel)
    )
    return Effect.runForkWith(context)(effect)
  }

  #clockOf({ clock, epochMs, named }: MachineTraits): MachineClock {
    return new MachineClock(this.processor, clock, epochMs, named)
  }

  #begin(): Processor {
    return new Processor(this.timeline, new Life(), this.random.fork(), this.traits)
  }
}
