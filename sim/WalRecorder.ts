/**
 * WalRecorder: writes down what a node's journal does in all its lives, in the language of spec/WalTrace.ts. It sits
 * between the journal's observers and the monitor; whoever cuts the power or kills the process says so.
 */
import type { After, WalStep } from "../spec/WalTrace.ts"
import { isWhole, type WalCommand, type WalEvent, type WalState } from "../src/wal/Wal.ts"
import type { WalObserver } from "../src/wal/WalPumpService.ts"
import type { WalConsumer } from "../src/wal/WalRecord.ts"
import type { RecoveryObserver } from "../src/wal/WalRecoveryService.ts"

type Of<Tag extends WalCommand["_tag"]> = Extract<WalCommand, { readonly _tag: Tag }>
type Bare<Step> = Step extends unknown ? Omit<Step, "run"> : never

const commandOf = <Tag extends WalCommand["_tag"]>(commands: ReadonlyArray<WalCommand>, tag: Tag): Of<Tag> | undefined =>
  commands.find((command): command is Of<Tag> => command._tag === tag)

const markOf = (state: WalState, consumer: Exclude<WalConsumer, "raft">): After["state"] => {
  const { offset, segment } = state.marks.get(consumer) ?? { segment: 0, offset: 0 }
  return { segment, offset }
}

const afterOf = (state: WalState, isServing: boolean): After => {
  const waiting = [...state.planned, ...(state.open === undefined ? [] : [state.open])]
  return {
    // A start that finds no room fails: nobody is there to try again.
    phase: state.phase === "Full" && !isServing ? "Failed" : state.phase, epoch: state.epoch, batch: state.last.batch, hash: state.last.hash, durable: { segment: state.durable.segment, offset: state.durable.offset },
    queued: waiting.reduce((sum, batch) => sum + batch.records.length, 0), flight: state.inFlightHash ?? "",
    state: markOf(state, "state"), ingest: markOf(state, "ingest"), opening: state.opening ?? 0, closing: waiting.some(({ closing }) => closing),
    kept: state.segments.size + state.removing.size
  }
}

const alignUp = (bytes: number): number => Math.ceil(bytes / 4096) * 4096
const nowhere = { segment: 0, offset: 0 }

/** Tells every step of every life, in order; where nobody is told it holds them all. */
export class WalRecorder {
  readonly steps: Array<WalStep> = []
  readonly #told: (step: WalStep) => void
  #count = 0
  #run = ""
  #lives = 0
  #lifeSteps = 0
  #phase: WalState["phase"] = "Running"
  #isServing = false
  /** A closing batch waits already: to be idle once more plans none. */
  #isClosing = false
  #marks: readonly [After["state"], After["state"]] = [nowhere, nowhere]

  constructor(told?: (step: WalStep) => void) {
    this.#told = told ?? ((step) => void this.steps.push(step))
  }

  #push(step: Bare<WalStep>): void {
    this.#lifeSteps += 1
    this.#tell({ ...step, run: this.#run })
  }

  #tell(step: WalStep): void {
    this.#count += 1
    this.#told(step)
  }

  readonly observeRecovery: RecoveryObserver = (event) => {
    switch (event._tag) {
      case "Survey": {
        const { plan, restartId } = event
        this.#run = restartId
        this.#phase = "Running"
        this.#isServing = false
        this.#isClosing = false
        this.#marks = [nowhere, nowhere]
        const log = plan.log.map(({ header }) => ({ segment: header.segment, epoch: header.epoch, run: header.restartId, batch: header.continuesFrom.batch }))
        const segments = [...log, ...plan.leftovers].map(({ segment }) => segment).sort((a, b) => a - b)
        return this.#push({ action: "Survey", segments, log, epoch: plan.epochMax + 1 })
      }
      case "Accept": {
        const { batch, hash, length, offset, segment } = event.link
        return this.#push({ action: "Accept", segment, offset, length, batch, hash })
      }
      case "End":
      case "TornTail":
        return this.#push({ action: event._tag, ...event.end, batch: event.link.batch, hash: event.link.hash })
      case "Rewrite":
      case "Resynced":
        return this.#push({ action: event._tag, segment: event.segment })
    }
  }

  readonly observe: WalObserver = (state, event, commands) => {
    const last = afterOf(state, this.#isServing)
    const opening = commandOf(commands, "OpenSegment")
    // What came before it in the same step had not begun it.
    const after = opening === undefined ? last : { ...last, opening: 0, kept: last.kept - 1 }
    this.#machine(state, event, commands, after)
    if (this.#phase !== "Stopped" && state.phase === "Stopped" && event._tag === "Write") this.#push({ action: "Stopped", after })
    this.#phase = state.phase
    this.#isClosing = last.closing
    if (opening !== undefined) {
      const { continuesFrom, epoch, segment } = opening
      this.#push({ action: "OpenSegment", segment, epoch, batch: continuesFrom.batch, after: last })
    }
  }

  #machine(state: WalState, event: WalEvent, commands: ReadonlyArray<WalCommand>, after: After): void {
    const rejected = [...(commandOf(commands, "Reject")?.tickets ?? [])]
    switch (event._tag) {
      case "Append": {
        const assigned = commandOf(commands, "Assign")
        return this.#push(assigned === undefined ? { action: "Refuse", ticket: rejected[0]!, after }
          : { action: "Append", ticket: assigned.ticket, count: event.records.length, whole: isWhole(event.records), after })
      }
      case "Write": {
        const command = commandOf(commands, "WriteBatch")
        return command === undefined ? undefined : this.#write(command, after)
      }
      case "Written":
        return this.#push({ action: "Written", hash: event.hash, after })
      case "Synced":
        return this.#push({ action: "Synced", batch: state.last.batch, acknowledged: [...(commandOf(commands, "Acknowledge")?.tickets ?? [])], after })
      case "SyncFailed":
        return this.#push({ action: "SyncFailed", rejected, after })
      case "OpenFailed":
        return this.#push({ action: "OpenFailed", segment: event.segment, rejected, after })
      case "SegmentOpened":
        this.#push({ action: "SegmentOpened", segment: event.segment, after })
        // From the first segment on the journal gives what it has.
        if (!this.#isServing) this.#push({ action: "Replay", after })
        this.#isServing = true
        return
      case "Release":
        return this.#release(event, after)
      default:
        return this.#rest(state, event, after)
    }
  }

  /** Steps without a field of their own; those that change nothing are not told. */
  #rest(state: WalState, event: WalEvent, after: After): void {
    switch (event._tag) {
      case "Removed":
        return this.#push({ action: "Removed", segment: event.segment, after })
      case "Retry":
        return this.#phase === "Full" ? this.#push({ action: "Retry", after }) : undefined
      case "Idle":
        return state.planned.at(-1)?.closing === true && !this.#isClosing ? this.#push({ action: "Idle", after }) : undefined
      case "Stop":
        return this.#phase === "Running" || this.#phase === "Full" ? this.#push({ action: "Stop", after }) : undefined
      default:
    }
  }

  #write({ batch, previous }: Of<"WriteBatch">, after: After): void {
    const { closing, contentBytes, offset, records, segment } = batch
    const length = alignUp(contentBytes)
    this.#push({
      action: closing ? "WriteClosing" : "WriteBatch", segment, offset, length, end: offset + length, batch: previous.batch + 1,
      previous: previous.hash, count: records.length, after
    })
  }

  #release({ consumer, keepFrom: { offset, segment } }: Extract<WalEvent, { readonly _tag: "Release" }>, after: After): void {
    // It holds segments back that the model would let go, and no node of today has a group: the trace does not tell it.
    if (consumer === "raft") return
    const [state, ingest] = this.#marks
    const before = consumer === "state" ? state : ingest
    this.#marks = [after.state, after.ingest]
    const now = after[consumer]
    if (now.segment === before.segment && now.offset === before.offset) return
    this.#push({ action: "Release", consumer, keepFrom: { segment, offset }, after })
  }

  /** The life is over: what the page cache had is lost (Crash), or is there for the next one (Kill). */
  died(how: "Crash" | "Kill"): void {
    this.#tell({ action: how, steps: this.#lifeSteps, run: this.#run })
    this.#lives += 1
    this.#lifeSteps = 0
  }

  /** The trace, whole. */
  finish(): ReadonlyArray<WalStep> {
    return [...this.steps, { action: "Finish", lives: this.#lives, steps: this.#count, run: this.#run }]
  }
}
