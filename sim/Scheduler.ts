/**
 * SimulatedScheduler: Effect's scheduler as a queue that its owner empties, task by task, with chances of its own for
 * which task is next. It sits under every fiber of a simulated node; dropping it is powering the node off: no fiber
 * goes on, and no finalizer runs.
 */
import type { Fiber, Scheduler } from "effect"
import type { Random } from "./Random.ts"

type SchedulerInterface = Scheduler.Scheduler

export interface SchedulerOptions {
  readonly disorder?: number
  readonly wake?: () => void
  readonly preemptOps?: number
  readonly isLate?: (task: () => void, haltUs: number) => boolean
  readonly paceOf?: () => Pace | undefined
}

/** Asked before each step of one fiber: how long it halts there, mostly 0. */
export type Pace = () => number

export class SimulatedScheduler implements SchedulerInterface {
  readonly executionMode = "async"
  readonly #random: Random
  readonly #disorder: number
  readonly #wake: () => void
  readonly #isLate: (task: () => void, haltUs: number) => boolean
  readonly #preemptOps: number
  readonly #paceOf: (() => Pace | undefined) | undefined
  readonly #paces = new WeakMap<object, Pace | "Usual">()
  /** The fiber that was asked of last, and its pace. */
  #fiber: object | undefined
  #pace: Pace | "Usual" = "Usual"
  /** Whoever runs now halts for so long before his next step. */
  #nextUs = 0
  /** The task that is scheduled next is of a fiber that halts for so long. */
  #haltUs = 0
  #opsLeft: number
  #ready: Array<() => void> = []
  #next = 0
  #off = false

  /**
   * With chance `disorder` the next task is any of those that wait, else the one that has waited longest. `wake`: the first
   * one came. `preemptOps`: every so many steps of fibers one of them lets others go first, wherever it stands; 0: never.
   * `isLate`: somebody else brings that task, later; where its fiber halts, no sooner than that. `paceOf`: asked once of each fiber;
   * undefined: it goes as all do.
   */
  constructor(random: Random, { disorder = 0.1, isLate = () => false, paceOf, preemptOps = 0, wake = () => undefined }: SchedulerOptions = {}) {
    this.#random = random
    this.#disorder = disorder
    this.#wake = wake
    this.#isLate = isLate
    this.#paceOf = paceOf
    this.#preemptOps = preemptOps
    this.#opsLeft = preemptOps
  }

  get waiting(): number {
    return this.#ready.length - this.#next
  }

  shouldYield: SchedulerInterface["shouldYield"] = (fiber) => this.#halts(fiber) || fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield || this.#isPreempted()

  #isPreempted(): boolean {
    if (this.#preemptOps === 0) return false
    this.#opsLeft -= 1
    if (this.#opsLeft > 0) return false
    this.#opsLeft = 1 + this.#random.below(2 * this.#preemptOps)
    return true
  }

  /** The fiber that runs now waits before its next step: at a place that has a name. */
  halt(us: number): void {
    this.#nextUs = us
  }

  /** What looks something up and then counts on it is met between the two by whatever happens meanwhile. */
  #halts(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (this.#paceOf === undefined && this.#nextUs === 0) return false
    this.#haltUs = this.#nextUs
    this.#nextUs = 0
    const pace = this.#paceIn(fiber)
    if (pace !== "Usual") this.#haltUs += pace()
    return this.#haltUs > 0
  }

  #paceIn(fiber: object): Pace | "Usual" {
    if (this.#paceOf === undefined || fiber === this.#fiber) return this.#pace
    this.#fiber = fiber
    this.#pace = this.#paces.get(fiber) ?? this.#paceOf() ?? "Usual"
    this.#paces.set(fiber, this.#pace)
    return this.#pace
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => {
        const haltUs = this.#haltUs
        this.#haltUs = 0
        if (!this.#isLate(task, haltUs)) this.post(task)
      },
      flush: () => { while (this.step()) { /* until nothing waits */ } }
    }
  }

  /** A task that comes from outside the fibers: an answer that one of them waits for. */
  post(task: () => void): void {
    if (this.#off) return
    this.#ready.push(task)
    if (this.waiting === 1) this.#wake()
  }

  /** Runs one task; false where none waits. */
  step(): boolean {
    const { waiting } = this
    if (waiting === 0) return false
    if (waiting > 1 && this.#random.chance(this.#disorder)) {
      const other = this.#next + this.#random.below(waiting)
      const task = this.#ready[other]!
      this.#ready[other] = this.#ready[this.#next]!
      this.#ready[this.#next] = task
    }
    const task = this.#ready[this.#next]!
    this.#next += 1
    if (this.#next > 1024 && this.#next * 2 > this.#ready.length) {
      this.#ready = this.#ready.slice(this.#next)
      this.#next = 0
    }
    task()
    return true
  }

  /** Nothing runs any more. */
  powerOff(): void {
    this.#off = true
    this.#ready = []
    this.#next = 0
  }
}
