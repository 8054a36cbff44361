/**
 * Supervisor: who starts a node again, and the fate that ends it: crashes by the CrashPlan while faults last, restarts after
 * failed starts, an operator's restart of a node that says it is not well. It sits between a World and its NodeMachine.
 */
import type { Cause } from "effect"
import type { CrashPlan, Ending, LifePlan } from "./faults/CrashPlan.ts"
import type { NodeMachine } from "./NodeMachine.ts"
import type { Random } from "./Random.ts"
import type { Life, Timeline } from "./Timeline.ts"

export interface SupervisorEvents {
  readonly note: (line: string) => void
  /** Whether a crash that is due happens. */
  readonly strikes: (ending: Ending) => boolean
  /** A start that fails where nothing explains it. */
  readonly startFailed: (cause: Cause.Cause<unknown>) => void
  readonly crashed: (ending: Ending, wasReady: boolean) => void
  /** Between two lives: what else may happen to a machine that is off. */
  readonly between: (ending: Ending) => void
}

const retryMsMax = 3000

export class Supervisor {
  /** Ends of lives that were not the operator's, by the plan. */
  crashes = 0
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #events: SupervisorEvents
  #node: NodeMachine | undefined
  #plan: CrashPlan | undefined
  #fate: LifePlan | undefined
  /** Requests or disk operations left until the end of this life. */
  #left = 0
  #onReady: Array<() => void> = []

  constructor(timeline: Timeline, random: Random, events: SupervisorEvents) {
    this.#timeline = timeline
    this.#random = random
    this.#events = events
  }

  /** The node it minds. */
  mind(node: NodeMachine): void {
    this.#node = node
  }

  /** From now on lives end by this plan, the present one too. */
  harm(plan: CrashPlan): void {
    this.#plan = plan
    if (this.#of().isOn) this.#drawFate()
  }

  /** No life ends any more but by its own fault. */
  heal(): void {
    this.#plan = undefined
    this.#fate = undefined
  }

  start(): void {
    const node = this.#of()
    if (node.isOn) return
    node.start()
    this.#events.note(`starts, life ${node.lives}`)
    if (this.#plan !== undefined) this.#drawFate()
  }

  /** Runs it when the node is ready, at once where it is. */
  whenReady(run: () => void): void {
    if (this.#of().running !== undefined) run()
    else this.#onReady.push(run)
  }

  ready(): void {
    this.#events.note(`is ready, life ${this.#of().lives}`)
    for (const run of this.#onReady.splice(0)) run()
  }

  /** The process could not start, or could not close. */
  failed(cause: Cause.Cause<unknown>): void {
    const node = this.#of()
    this.#events.startFailed(cause)
    node.kill()
    this.#fate = undefined
    this.#timeline.after(1000 * (1 + this.#random.below(retryMsMax)), () => this.start())
  }

  requestSent(): void {
    if (this.#fate?.trigger._tag === "Requests") this.#count()
  }

  /** A fault has struck: from here on the operations of the disk may count. */
  struck(fault: string): void {
    this.#events.note(`! ${fault}`)
    const trigger = this.#fate?.trigger
    if (trigger?._tag === "Fault" && trigger.faults.has(fault)) this.#left = Math.min(this.#left, trigger.count)
  }

  diskOperation(operation: string, path: string): void {
    const trigger = this.#fate?.trigger
    const isTurn = trigger?._tag === "Turn" && trigger.operation === operation && (trigger.folder === undefined || path.startsWith(trigger.folder))
    if (isTurn || trigger?._tag === "Fault" || trigger?._tag === "DiskOperations") this.#count()
  }

  /** An operator restarts what does not get well. */
  restart(ending: Ending, downMs: number): void {
    this.#fate = undefined
    if (this.#of().isOn) this.#end(ending, downMs)
    else this.start()
  }

  /** Ends a life now, by the plan. */
  crashNow(): void {
    const fate = this.#fate ?? this.#plan?.next()
    if (fate !== undefined && this.#of().isOn) this.#crash(fate)
  }

  #of(): NodeMachine {
    if (this.#node === undefined) throw new Error("minds no node yet")
    return this.#node
  }

  #drawFate(): void {
    const { life } = this.#of().machine.processor
    const fate = this.#plan?.next()
    this.#fate = fate
    if (fate === undefined) return
    if (fate.trigger._tag === "After") this.#timeline.after(fate.trigger.ms * 1000, () => this.#due(fate, life), life)
    else this.#left = fate.trigger._tag === "Fault" ? fate.trigger.without : fate.trigger.count
  }

  #count(): void {
    const fate = this.#fate
    this.#left -= 1
    if (fate === undefined || this.#left > 0) return
    const { life } = this.#of().machine.processor
    // Never in the middle of a task: what it does at once, it does.
    this.#timeline.after(fate.graceUs, () => this.#due(fate, life), life)
  }

  #due(fate: LifePlan, life: Life): void {
    if (this.#fate === fate && life.isOn) this.#crash(fate)
  }

  #crash(fate: LifePlan): void {
    this.#fate = undefined
    this.crashes += 1
    if (!this.#events.strikes(fate.ending)) return this.#drawFate()
    this.#events.crashed(fate.ending, this.#of().running !== undefined)
    this.#end(fate.ending, fate.downMs)
  }

  #end(ending: Ending, downMs: number): void {
    const node = this.#of()
    const again = (): void => {
      this.#events.between(ending)
      this.#timeline.after(downMs * 1000, () => this.start())
    }
    if (ending === "Stop" && node.running !== undefined) {
      const { life } = node.machine.processor
      let isOver = false
      node.stop(() => {
        isOver = true
        again()
      })
      // An operator's patience: then SIGKILL.
      this.#timeline.after(stopUsMax, () => {
        if (isOver || !life.isOn) return
        this.#events.note("does not stop: killed")
        node.kill()
        again()
      }, life)
      return
    }
    if (ending === "PowerCut") node.powerCut()
    else node.kill()
    again()
  }
}

const stopUsMax = 120_000_000
