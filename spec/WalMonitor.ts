/**
 * WalMonitor: judges what a journal did in all lives of one node, by the rules of tla/wal/Wal.tla said a second time: it
 * knows what must be on the disk, what may be, and what the machine must hold after every step. It sits between a trace
 * (WalTrace.ts) and tests and simulations; TraceWal.tla judges the same traces, and the two must agree.
 *
 * It leaves out rot: what a fault plants on the disk while nobody runs is no step of the journal.
 */
import { type Batch, demand, headerBytes, linkOf, noLink, nowhere, Refusal, type Segment, WalDisk } from "./WalDisk.ts"
import type { After, Place, WalStep } from "./WalTrace.ts"

export type Verdict =
  | { readonly _tag: "Accepted"; readonly steps: number; readonly lives: number }
  | { readonly _tag: "Refused"; readonly index: number; readonly why: string; readonly step: WalStep | undefined }

interface Ticket {
  readonly ticket: number
  readonly isWhole: boolean
  left: number
}

type Phase = "Down" | "Scanning" | "Scanned" | "Rewriting" | "Recovered" | "Replaying" | After["phase"]

const sameList = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean => a.length === b.length && a.every((value, index) => value === b[index])
const before = (a: Place, b: Place): boolean => a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)

export class WalMonitor {
  readonly #disk = new WalDisk()
  readonly #runs = new Set<string>()
  #run = ""
  #phase: Phase = "Down"
  #epoch = 0
  #top = 0
  #kept = 0
  #opening: Segment | undefined
  #current: Segment | undefined
  #flight: { readonly batch: Batch; readonly closing: boolean; readonly tickets: ReadonlyArray<number> } | undefined
  #last = noLink
  #durable = nowhere
  #unproven = false
  #closingDue = false
  #failures = 0
  /** Tickets with records that no batch has taken yet. */
  #waiting: Array<Ticket> = []
  #ticketNext = 1
  #state = nowhere
  #ingest = nowhere
  #steps = 0
  #lives = 0
  #all = 0
  #finished = false

  /** Takes one step; throws why it cannot be. */
  step(step: WalStep): void {
    demand(!this.#finished, "the trace had ended")
    if (step.action === "Survey") {
      demand(step.run !== "" && !this.#runs.has(step.run), "a restart id belongs to one run")
      this.#runs.add(step.run)
      this.#run = step.run
    }
    demand(step.run === this.#run, `it is of run ${step.run}, and ${this.#run} is under way`)
    this.#take(step)
    if ("after" in step) this.#compare(step.after)
    this.#all += 1
    this.#steps = step.action === "Crash" || step.action === "Kill" ? 0 : this.#steps + 1
  }

  /** Nothing is left to be said, and it was said that this is all. */
  get isFinished(): boolean {
    return this.#finished
  }

  get lives(): number {
    return this.#lives
  }

  #take(step: WalStep): void {
    switch (step.action) {
      case "Survey": return this.#survey(step)
      case "Accept":
        demand(this.#phase === "Scanning", "nothing is scanned")
        this.#last = this.#disk.accept(step)
        return
      case "End":
      case "TornTail": return this.#scanned(step)
      case "Rewrite":
      case "Resynced": return this.#resync(step)
      case "OpenSegment": return this.#openSegment(step)
      case "SegmentOpened": return this.#segmentOpened(step.segment)
      case "OpenFailed": return this.#openFailed(step)
      case "Replay": return this.#move("Replaying", "Running")
      case "Append": return this.#append(step)
      case "Refuse":
        demand(this.#phase !== "Running" && step.ticket === this.#ticketNext, "only a journal that does not run refuses, in order")
        this.#ticketNext += 1
        return
      case "WriteBatch": return this.#writeBatch(step)
      case "WriteClosing": return this.#writeClosing(step)
      case "Written": return this.#written(step.hash)
      case "Synced": return this.#synced(step)
      case "SyncFailed":
        demand(this.#flight !== undefined, "no batch is in flight")
        this.#flight!.batch.cached = false
        return this.#abandon(step.rejected, step.after.phase)
      case "Release": return this.#release(step)
      case "Removed": return this.#removed(step.segment)
      default: return this.#end(step)
    }
  }

  #end(step: WalStep): void {
    switch (step.action) {
      case "Retry": return this.#move("Full", "Running")
      case "Idle":
        demand(this.#phase === "Running" && this.#canClose(), "there is nothing to be proven")
        this.#closingDue = true
        return
      case "Stop":
        demand(this.#phase === "Running" || this.#phase === "Full", "it does not run")
        this.#phase = this.#phase === "Running" ? "Stopping" : "Stopped"
        return
      case "Stopped":
        demand(this.#isIdle() && this.#queued() === 0 && !this.#closingDue && this.#current !== undefined, "something is left to be written")
        demand(!this.#canClose(), "the last batch is not proven")
        return this.#move("Stopping", "Stopped")
      case "Crash":
      case "Kill": return this.#died(step)
      case "Finish":
        demand(this.#phase === "Down" && this.#steps === 0, "the last life has no end")
        demand(step.lives === this.#lives && step.steps === this.#all, `there were ${this.#lives} lives and ${this.#all} steps`)
        this.#finished = true
        return
      default:
        throw new Refusal("no such step")
    }
  }

  #move(from: Phase, to: Phase): void {
    demand(this.#phase === from, `the journal is ${this.#phase}, not ${from}`)
    this.#phase = to
  }

  #compare(after: After): void {
    const is = (what: string, said: string | number | boolean, known: string | number | boolean): void => demand(said === known, `${what} is ${known}, not ${said}`)
    const running = ["Recovered", "Replaying"].includes(this.#phase)
    is("the phase", after.phase, running ? "Running" : this.#phase)
    is("the segment being opened", after.opening, this.#opening?.segment ?? 0)
    is("a closing batch due", after.closing, this.#closingDue)
    is("the number of segments", after.kept, this.#kept)
    is("the epoch", after.epoch, this.#epoch)
    is("the last batch", after.batch, this.#last.batch)
    is("its hash", after.hash, this.#last.hash)
    is("the number of records that wait", after.queued, this.#queued())
    is("the hash in flight", after.flight, this.#flight?.batch.hash ?? "")
    for (const [what, said, known] of [["durable", after.durable, this.#durable], ["the mark of state", after.state, this.#state], ["the mark of ingest", after.ingest, this.#ingest]] as const) {
      is(`${what}'s segment`, said.segment, known.segment)
      is(`${what}'s offset`, said.offset, known.offset)
    }
  }

  #queued(): number {
    return this.#waiting.reduce((sum, { left }) => sum + left, 0)
  }

  #isIdle(): boolean {
    return this.#flight === undefined && this.#opening === undefined
  }

  #canClose(): boolean {
    return this.#unproven && this.#queued() === 0 && this.#isIdle() && this.#current?.segment === this.#last.segment && !this.#closingDue
  }

  // Recovery

  #survey(step: Extract<WalStep, { readonly action: "Survey" }>): void {
    this.#move("Down", "Scanning")
    this.#last = this.#disk.survey(step)
    this.#epoch = step.epoch
    this.#top = Math.max(0, ...step.segments)
    this.#kept = step.segments.length
    if (step.log.length === 0) this.#phase = "Recovered"
  }

  #scanned(step: Extract<WalStep, { readonly action: "End" | "TornTail" }>): void {
    this.#move("Scanning", "Scanned")
    this.#durable = this.#disk.scanned(step)
    demand(step.batch === this.#last.batch && step.hash === this.#last.hash, "the last batch accepted is another")
  }

  #resync(step: Extract<WalStep, { readonly action: "Rewrite" | "Resynced" }>): void {
    if (step.action === "Rewrite") this.#move("Scanned", "Rewriting")
    else this.#move("Rewriting", "Recovered")
    this.#disk.resync(step)
  }

  // Segments

  #openSegment(step: Extract<WalStep, { readonly action: "OpenSegment" }>): void {
    demand(this.#phase === "Running" || this.#phase === "Stopping" || this.#phase === "Recovered", `the journal is ${this.#phase}`)
    demand(this.#isIdle() && !this.#closingDue, "one thing is written at a time")
    demand(this.#current === undefined || this.#queued() > 0, "nothing needs another segment")
    demand(step.segment > this.#top, "a segment's number is used once")
    demand(step.epoch === this.#epoch && step.batch === this.#last.batch, "it continues from the last batch, in this epoch")
    this.#opening = { segment: step.segment, run: this.#run, epoch: step.epoch, from: this.#last, sure: false, leaving: false, blank: false, torn: false, batches: [] }
    this.#disk.add(this.#opening)
    this.#top = step.segment
    this.#kept += 1
    this.#current = undefined
  }

  #segmentOpened(segment: number): void {
    demand(this.#opening !== undefined && this.#opening.segment === segment, "it was not being opened")
    this.#opening!.sure = true
    this.#current = this.#opening
    this.#opening = undefined
    this.#unproven = false
    if (this.#phase === "Recovered") this.#phase = "Replaying"
  }

  #openFailed(step: Extract<WalStep, { readonly action: "OpenFailed" }>): void {
    demand(this.#opening !== undefined && this.#opening.segment === step.segment, "it was not being opened")
    this.#abandon(step.rejected, step.after.phase)
  }

  /** A disk without room may have some again (Full); whether it was that, the journal says. */
  #abandon(rejected: ReadonlyArray<number>, said: After["phase"]): void {
    const tickets = [...(this.#flight?.tickets ?? []), ...this.#waiting.map(({ ticket }) => ticket)]
    demand(sameList(tickets, rejected), `the tickets that are lost are ${tickets.join(" ")}`)
    this.#waiting = []
    this.#flight = undefined
    this.#opening = undefined
    this.#current = undefined
    this.#closingDue = false
    this.#epoch += 1
    this.#failures += 1
    if (this.#failures >= 2) this.#phase = this.#phase === "Running" && said === "Full" ? "Full" : "Failed"
  }

  // Appending

  #append({ count, ticket, whole }: Extract<WalStep, { readonly action: "Append" }>): void {
    demand(this.#phase === "Running", `the journal is ${this.#phase}`)
    demand(ticket === this.#ticketNext && count > 0, `the next ticket is ${this.#ticketNext}`)
    this.#ticketNext += 1
    this.#waiting.push({ ticket, isWhole: whole, left: count })
  }

  #mayWrite(): void {
    demand(this.#phase === "Running" || this.#phase === "Stopping", `the journal is ${this.#phase}`)
    demand(this.#isIdle() && this.#current !== undefined, "batch n+1 is written only after n is synced, to a segment that is open")
  }

  #put(step: Extract<WalStep, { readonly action: "WriteBatch" | "WriteClosing" }>, closing: boolean, tickets: ReadonlyArray<number>): void {
    const end = this.#current!.batches.at(-1)
    const offset = end === undefined ? headerBytes : end.offset + end.length
    demand(step.segment === this.#current!.segment && step.offset === offset, `the next batch lies at ${this.#current!.segment}:${offset}`)
    demand(step.length > 0 && step.end === offset + step.length, "its end is not its length behind its place")
    demand(step.batch === this.#last.batch + 1 && step.previous === this.#last.hash, `it carries the link of batch ${this.#last.batch}`)
    const batch: Batch = { segment: step.segment, offset, length: step.length, batch: step.batch, hash: "", sure: false, cached: false }
    this.#current!.batches.push(batch)
    this.#flight = { batch, closing, tickets }
  }

  #writeBatch(step: Extract<WalStep, { readonly action: "WriteBatch" | "WriteClosing" }>): void {
    this.#mayWrite()
    demand(!this.#closingDue, "a closing batch is due before it")
    demand(step.count > 0 && step.count <= this.#queued(), "more records than wait")
    const tickets: Array<number> = []
    for (let left = step.count; left > 0;) {
      const first = this.#waiting[0]!
      const taken = Math.min(left, first.left)
      first.left -= taken
      left -= taken
      demand(first.left === 0 || !first.isWhole, `the records of ticket ${first.ticket} stand or fall together`)
      if (first.left === 0) tickets.push(this.#waiting.shift()!.ticket)
    }
    this.#put(step, false, tickets)
  }

  #writeClosing(step: Extract<WalStep, { readonly action: "WriteBatch" | "WriteClosing" }>): void {
    this.#mayWrite()
    demand(this.#closingDue || (this.#phase === "Stopping" && this.#canClose()), "no closing batch is due")
    demand(step.count === 0, "a closing batch has no records")
    this.#put(step, true, [])
    this.#closingDue = false
  }

  #written(hash: string): void {
    demand(this.#flight !== undefined && this.#flight.batch.hash === "" && hash !== "", "no batch is being written")
    this.#flight!.batch.hash = hash
    this.#flight!.batch.cached = true
  }

  #synced(step: Extract<WalStep, { readonly action: "Synced" }>): void {
    demand(this.#flight !== undefined && this.#flight.batch.hash !== "", "no batch is being synced")
    const { batch, closing, tickets } = this.#flight!
    demand(step.batch === batch.batch, `batch ${batch.batch} is`)
    demand(sameList(step.acknowledged, tickets), `the tickets whose last record it has are ${tickets.join(" ")}`)
    batch.sure = true
    this.#last = linkOf(this.#current!, batch)
    this.#durable = { segment: batch.segment, offset: batch.offset + batch.length }
    this.#unproven = !closing
    this.#failures = 0
    this.#flight = undefined
  }

  // Letting go

  #release({ consumer, keepFrom }: Extract<WalStep, { readonly action: "Release" }>): void {
    this.#mayLetGo()
    demand(before(consumer === "state" ? this.#state : this.#ingest, keepFrom), "a mark goes forward")
    if (consumer === "state") this.#state = keepFrom
    else this.#ingest = keepFrom
  }

  #mayLetGo(): void {
    demand(["Running", "Stopping", "Stopped", "Full", "Failed"].includes(this.#phase), `the journal is ${this.#phase}`)
  }

  /** A journal that has failed or is full writes to no segment: what it had let go of before still leaves. */
  #limit(): number {
    return Math.min(this.#current?.segment ?? this.#opening?.segment ?? this.#top + 1, this.#state.segment, this.#ingest.segment)
  }

  #removed(segment: number): void {
    this.#mayLetGo()
    demand(segment < this.#limit(), "a consumer needs it, or it is written to")
    this.#disk.removed(segment)
    this.#kept -= 1
  }

  // Ends

  #died(step: Extract<WalStep, { readonly action: "Crash" | "Kill" }>): void {
    demand(step.steps === this.#steps, `this life had ${this.#steps} steps`)
    this.#disk.died(step.action, this.#limit())
    this.#phase = "Down"
    this.#epoch = 0
    this.#opening = this.#current = undefined
    this.#flight = undefined
    this.#last = noLink
    this.#durable = this.#state = this.#ingest = nowhere
    this.#unproven = this.#closingDue = false
    this.#failures = 0
    this.#waiting = []
    this.#ticketNext = 1
    this.#lives += 1
  }
}

/** Judges a whole trace; one without a step, or without its end, is refused. */
export const judge = (trace: ReadonlyArray<WalStep>): Verdict => {
  const monitor = new WalMonitor()
  for (const [index, step] of trace.entries()) {
    try {
      monitor.step(step)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return { _tag: "Refused", index, why: `${step.action}: ${error.message}`, step }
    }
  }
  if (monitor.isFinished && trace.length > 1) return { _tag: "Accepted", steps: trace.length, lives: monitor.lives }
  return { _tag: "Refused", index: trace.length, why: trace.length <= 1 ? "the trace is empty" : "the trace has no end", step: undefined }
}
