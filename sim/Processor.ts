/**
 * Processor: a machine's one thread of execution during one life: tasks of its fibers in turns, each of which takes simulated
 * time, so that a busy machine is a late one. It sits between the SimulatedScheduler of a life and the Timeline; whatever
 * comes to the machine from outside is posted here.
 */
import { Effect } from "effect"
import type { Random } from "./Random.ts"
import { type Pace, SimulatedScheduler } from "./Scheduler.ts"
import type { Life, Timeline } from "./Timeline.ts"

/** Tasks of one turn: what comes during a turn waits for the next one. */
const turnTasksMax = 32

export interface ProcessorTraits {
  /** Chance that a task runs out of turn. */
  readonly disorder: number
  /** What one task takes. */
  readonly taskUs: number
  /** How many steps of fibers there are between two that let others go first; 0: none does of itself. */
  readonly preemptOps?: number
  /** How long a fiber that could go on is kept waiting: mostly not at all. Whatever happens meanwhile happens before it. */
  readonly lateUs?: () => number
  /** Of a fiber that is seen for the first time, where it halts now and then. */
  readonly paceOf?: () => Pace | undefined
}

export class Processor {
  readonly timeline: Timeline
  readonly life: Life
  readonly scheduler: SimulatedScheduler
  readonly #taskUs: number
  #busyUntilUs = 0
  #isDue = false

  constructor(timeline: Timeline, life: Life, random: Random, { disorder, lateUs = () => 0, paceOf, preemptOps = 0, taskUs }: ProcessorTraits) {
    this.timeline = timeline
    this.life = life
    this.#taskUs = taskUs
    const isLate = (task: () => void, haltUs: number): boolean => {
      const us = haltUs + lateUs()
      if (us > 0) timeline.after(us, () => this.post(task), life)
      return us > 0
    }
    this.scheduler = new SimulatedScheduler(random, { disorder, preemptOps, isLate, ...(paceOf === undefined ? {} : { paceOf }), wake: () => this.#summon() })
  }

  /** Runs it once the processor gets to it, or never: the power may be off by then. */
  readonly post = (task: () => void): void => this.scheduler.post(task)

  /** An answer from outside that takes so long: of a disk, a lane, a wire. */
  delay(us: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const event = this.timeline.after(us, () => this.post(() => resume(Effect.void)), this.life)
      return Effect.sync(() => this.timeline.cancel(event))
    })
  }

  /** Whoever runs now waits before his next step. */
  halt(us: number): void {
    this.scheduler.halt(us)
  }

  /** Until then it does nothing new. */
  get busyUntilUs(): number {
    return this.#busyUntilUs
  }

  /** The machine stands still: a paused virtual machine, a processor that others use. */
  pause(us: number): void {
    this.#busyUntilUs = Math.max(this.#busyUntilUs, this.timeline.nowUs) + us
  }

  /** Nothing runs here any more. */
  powerOff(): void {
    this.life.end()
    this.scheduler.powerOff()
  }

  #summon(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.timeline.at(this.#busyUntilUs, this.#turn, this.life)
  }

  readonly #turn = (): void => {
    this.#isDue = false
    const { nowUs } = this.timeline
    if (this.#busyUntilUs > nowUs) return this.#summon()
    let tasks = 0
    for (const most = Math.min(this.scheduler.waiting, turnTasksMax); tasks < most && this.scheduler.step();) tasks += 1
    // A pause that began meanwhile lasts.
    this.#busyUntilUs = Math.max(nowUs, this.#busyUntilUs) + tasks * this.#taskUs
    if (this.scheduler.waiting > 0) this.#summon()
  }
}
