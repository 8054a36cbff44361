/**
 * SimulatedScheduler: Effect's scheduler as a queue that its owner empties, task by task, with chances of its own for
 * which task is next. It sits under every fiber of a simulated node; dropping it is powering the node off: no fiber
 * goes on, and no finalizer runs.
 */
import type { Scheduler } from "effect"
import type { Random } from "./Random.ts"

type SchedulerInterface = Scheduler.Scheduler

export interface SchedulerOptions {
  readonly disorder?: number
  readonly wake?: () => void
  readonly preemptOps?: number
  readonly isLate?: (task: () => void) => boolean
}

export class SimulatedScheduler implements SchedulerInterface {
  readonly executionMode = "async"
  readonly #random: Random
  readonly #disorder: number
  readonly #wake: () => void
  readonly #isLate: (task: () => void) => boolean
  readonly #preemptOps: number
  #opsLeft: number
  #ready: Array<() => void> = []
  #next = 0
  #off = false

  /**
   * With chance `disorder` the next task is any of those that wait, else the one that has waited longest. `wake`: the first
   * one came. `preemptOps`: every so many steps of fibers one of them lets others go first, wherever it stands; 0: never.
   * `isLate`: somebody else brings that task, later.
   */
  constructor(random: Random, { disorder = 0.1, isLate = () => false, preemptOps = 0, wake = () => undefined }: SchedulerOptions = {}) {
    this.#random = random
    this.#disorder = disorder
    this.#wake = wake
    this.#isLate = isLate
    this.#preemptOps = preemptOps
    this.#opsLeft = preemptOps
  }

  get waiting(): number {
    return this.#ready.length - this.#next
  }

  shouldYield: SchedulerInterface["shouldYield"] = (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield || this.#isPreempted()

  #isPreempted(): boolean {
    if (this.#preemptOps === 0) return false
    this.#opsLeft -= 1
    if (this.#opsLeft > 0) return false
    this.#opsLeft = 1 + this.#random.below(2 * this.#preemptOps)
    return true
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return {
      scheduleTask: (task) => {
        if (!this.#isLate(task)) this.post(task)
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
