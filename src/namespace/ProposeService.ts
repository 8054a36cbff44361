/**
 * ProposeService: the pipeline from a proposed change to its answer: stamped, sealed, appended, durable, applied. It
 * sits between proposers, who each wait on one Deferred, and CommitLog and State. Two fibers serve all of them: the
 * committer appends what has queued up meanwhile as one batch, the applier applies what is durable, in order.
 *
 * 1. Sequences have no gaps: an append that fails, or is lost, gives its sequences back.
 * 2. All batches in flight are of one epoch; the next epoch's first batch is stamped when none is left.
 * 3. Nothing is applied, and so nothing is read, before it is durable.
 */
import { Clock, Deferred, Effect, Exit, Latch, type Scope } from "effect"
import { assert } from "../base/assert.ts"
import type { TenantId, VaultId } from "../base/ids.ts"
import { proposalBatchBytesMax, proposalBatchMax, proposalsQueuedMax } from "../base/limits.ts"
import { type HybridTime, hybridTime, nextHybridTime } from "../base/time.ts"
import { watched } from "../ports/Health.ts"
import { apply } from "./Apply.ts"
import type { ApplyContext } from "./ApplyCommit.ts"
import { CommitLogError, type CommitLogService, type LogTicket } from "./CommitLog.ts"
import { type Entry, entryFormat } from "./Entry.ts"
import { sealEntry } from "./LoggedEntry.ts"
import type { Answer, Change } from "./Model.ts"
import { type Committed, Refused, Unavailable } from "./Namespace.ts"
import { takesSpace } from "./SpaceRule.ts"
import type { StateService, ValueSealer } from "./State.ts"

export interface Proposing extends ApplyContext {
  /** Of what no client asked for. */
  readonly author: string
  readonly state: StateService
  readonly log: CommitLogService
  readonly sealer: ValueSealer
  readonly tenant: TenantId
  readonly vault: VaultId
  /** Called after each commit is applied, in order: for traces and metrics. */
  readonly applied: (entry: Entry, answer: Answer) => void
  /** Waits while the overlay is as large as it may be. */
  readonly admit: Effect.Effect<void, Unavailable>
}

interface Proposal {
  readonly change: Change
  readonly author: string
  readonly walEpoch: number | undefined
  readonly answer: Deferred.Deferred<Committed, Refused | Unavailable>
  /** Defined while it is stamped. */
  entry: Entry | undefined
}

interface Batch {
  readonly proposals: ReadonlyArray<Proposal>
  readonly ticket: LogTicket
}

export interface Pipeline {
  readonly propose: (change: Change, walEpoch: number | undefined, author: string) => Effect.Effect<Committed, Refused | Unavailable>
  /**
   * After it a commit of a later time is in the log: none can come to lie at or before `ms`, whatever the clock says in a next life, and
   * none that was told lost can come back there. Costs a commit that changes nothing where `ms` is after the newest.
   */
  readonly settledAt: (ms: number) => Effect.Effect<void, Unavailable>
}

const stopped = new Unavailable({ reason: "Stopped", detail: "the namespace has stopped; restart the node" })

const unavailable = (error: CommitLogError): Unavailable =>
  new Unavailable({ reason: error.reason === "DiskFull" ? "DiskFull" : error.reason === "Closed" ? "Stopped" : "JournalFailed", detail: error.message })

const nearlyFull = new Unavailable({
  reason: "DiskFull", detail: "the disk is nearly full, what is left is kept for deletions: delete, or add space, then send it again"
})

const lostChunks = new Unavailable({
  reason: "LostChunks",
  detail: "the journal abandoned the segment that held this change's chunks before they were durable; send it again"
})

/** Starts both fibers in the scope; they end with it, and whoever still waits learns that the node stops. */
export const makePipeline = (options: Proposing): Effect.Effect<Pipeline, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pipeline = new PipelineState(options, yield* Clock.Clock)
    yield* Effect.forkScoped(watched("commits", pipeline.commitAll).pipe(Effect.onExit((exit) => pipeline.end(exit))))
    yield* Effect.forkScoped(watched("applying commits", pipeline.applyAll).pipe(Effect.onExit((exit) => pipeline.end(exit))))
    return pipeline
  })

class PipelineState implements Pipeline {
  readonly #options: Proposing
  readonly #clock: Clock.Clock
  /** Not yet appended, in order. length <= proposalsQueuedMax, but for those given back. */
  #queue: Array<Proposal> = []
  readonly #inFlight: Array<Batch> = []
  readonly #work = Latch.makeUnsafe(false)
  readonly #arrived = Latch.makeUnsafe(false)
  /** Open while nothing is in flight. */
  readonly #idle = Latch.makeUnsafe(true)
  readonly #room = Latch.makeUnsafe(true)
  #sequenceLast: number
  #timeLast: HybridTime
  #epoch = 0
  /** Stamped, and on their way into the log. */
  #appending: ReadonlyArray<Proposal> = []
  #ended: Exit.Exit<never, Unavailable> | undefined

  constructor(options: Proposing, clock: Clock.Clock) {
    this.#options = options
    this.#clock = clock
    const { sequence, time } = options.state.stamp()
    this.#sequenceLast = sequence
    this.#timeLast = time
  }

  readonly propose: Pipeline["propose"] = (change, walEpoch, author) =>
    Effect.suspend(() => {
      if (this.#ended !== undefined) return this.#ended
      if (takesSpace(change) && this.#options.log.spaceLow()) return Effect.fail(nearlyFull)
      if (this.#queue.length >= proposalsQueuedMax) {
        this.#room.closeUnsafe()
        return Effect.andThen(this.#room.await, this.propose(change, walEpoch, author))
      }
      const answer = Deferred.makeUnsafe<Committed, Refused | Unavailable>()
      this.#queue.push({ change, author, walEpoch, answer, entry: undefined })
      this.#work.openUnsafe()
      return Deferred.await(answer)
    })

  readonly settledAt: Pipeline["settledAt"] = (ms) =>
    Effect.suspend(() => {
      const asked = hybridTime(ms, 0xffff)
      if (asked < this.#options.state.stamp().time) return Effect.void
      if (asked > this.#timeLast) this.#timeLast = asked
      const proposed = this.propose({ _tag: "RaiseHorizon", oldestReadable: 0 }, undefined, this.#options.author)
      return Effect.asVoid(Effect.catchTag(proposed, "Refused", (refused) => Effect.die(refused)))
    })

  get commitAll(): Effect.Effect<never> {
    return Effect.forever(Effect.andThen(this.#work.await, this.#commitQueued))
  }

  /** Its generator is the loop of a group commit: one append for all that queued up during the last. */
  get #commitQueued(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.#work.closeUnsafe()
      while (this.#queue.length > 0) {
        const refusal = yield* outcomeOf(this.#options.admit)
        if (refusal instanceof Unavailable) {
          this.#answerAll(this.#queue.splice(0), refusal)
          return
        }
        // The epoch moved under batches in flight: they are lost, and give their sequences back first.
        if (this.#inFlight.length > 0 && this.#options.log.epoch() !== this.#epoch) yield* this.#idle.await
        if (this.#inFlight.length === 0) this.#epoch = this.#options.log.epoch()
        const { proposals, payloads } = this.#stampBatch()
        this.#room.openUnsafe()
        if (proposals.length === 0) continue
        this.#appending = proposals
        const ticket = yield* outcomeOf(this.#options.log.append(payloads, this.#epoch))
        this.#appending = []
        if (ticket instanceof CommitLogError) yield* this.#giveBack(proposals, ticket)
        else this.#launched({ proposals, ticket })
      }
    })
  }

  /** Stamps and seals what is queued, up to the bounds of a batch. Those that cannot go are answered. */
  #stampBatch(): { readonly proposals: Array<Proposal>; readonly payloads: Array<Uint8Array> } {
    const proposals: Array<Proposal> = []
    const payloads: Array<Uint8Array> = []
    let bytes = 0
    let taken = 0
    const nowMs = this.#clock.currentTimeMillisUnsafe()
    while (taken < this.#queue.length && proposals.length < proposalBatchMax && bytes < proposalBatchBytesMax) {
      const proposal = this.#queue[taken] as Proposal
      taken += 1
      const payload = this.#stamp(proposal, nowMs)
      if (payload === undefined) continue
      if (proposals.length > 0 && !this.#options.log.takes(proposals.length + 1, bytes + payload.length)) {
        taken -= 1
        this.#unstamp([proposal])
        break
      }
      proposals.push(proposal)
      payloads.push(payload)
      bytes += payload.length
    }
    this.#queue = this.#queue.slice(taken)
    return { proposals, payloads }
  }

  #stamp(proposal: Proposal, nowMs: number): Uint8Array | undefined {
    const { change, author, walEpoch, answer } = proposal
    if (walEpoch !== undefined && walEpoch !== this.#epoch) {
      Deferred.doneUnsafe(answer, Exit.fail(lostChunks))
      return undefined
    }
    const { tenant, vault, sealer } = this.#options
    const time = nextHybridTime(this.#timeLast, nowMs)
    const entry: Entry = { format: entryFormat, group: 0, sequence: this.#sequenceLast + 1, time, tenant, vault, author, change }
    const sealed = sealedOf(sealer, entry)
    if (!(sealed instanceof Uint8Array)) {
      Deferred.doneUnsafe(answer, sealed)
      return undefined
    }
    this.#sequenceLast = entry.sequence
    this.#timeLast = time
    proposal.entry = entry
    return sealed
  }

  /** The newest ones give their sequences back. */
  #unstamp(proposals: ReadonlyArray<Proposal>): void {
    this.#sequenceLast -= proposals.length
    for (const proposal of proposals) proposal.entry = undefined
  }

  #launched(batch: Batch): void {
    this.#inFlight.push(batch)
    this.#idle.closeUnsafe()
    this.#arrived.openUnsafe()
  }

  /** Nothing was appended, and nothing was stamped after these. */
  #giveBack(proposals: ReadonlyArray<Proposal>, error: CommitLogError): Effect.Effect<void> {
    this.#unstamp(proposals)
    if (error.reason !== "EpochMoved") return Effect.sync(() => this.#answerAll(proposals, unavailable(error)))
    this.#queue.unshift(...proposals)
    return this.#idle.await
  }

  #answerAll(proposals: ReadonlyArray<Proposal>, error: Unavailable): void {
    for (const { answer } of proposals) Deferred.doneUnsafe(answer, Exit.fail(error))
  }

  get applyAll(): Effect.Effect<never> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        yield* this.#arrived.await
        this.#arrived.closeUnsafe()
        for (let batch = this.#inFlight[0]; batch !== undefined; batch = this.#inFlight[0]) {
          const lost = yield* outcomeOf(batch.ticket.durable)
          if (lost instanceof CommitLogError) this.#loseBatch(batch, lost)
          else this.#applyBatch(batch)
          this.#inFlight.shift()
          if (this.#inFlight.length === 0) this.#idle.openUnsafe()
        }
      }
    })
  }

  #applyBatch({ proposals, ticket }: Batch): void {
    const { state, applied } = this.#options
    for (const [index, { entry, answer }] of proposals.entries()) {
      const wal = ticket.after[index]
      assert(entry !== undefined && wal !== undefined, "a durable proposal is stamped and has a place")
      assert(entry.sequence === state.stamp().sequence + 1, `commit ${entry.sequence} after ${state.stamp().sequence}`)
      const { sequence, time } = entry
      const outcome = apply(state.reader, entry, this.#options)
      state.write(outcome.rows, { sequence, time, wal })
      applied(entry, outcome.answer)
      Deferred.doneUnsafe(answer, exitOf(entry, outcome.answer))
    }
  }

  #loseBatch({ proposals }: Batch, error: CommitLogError): void {
    this.#unstamp(proposals)
    this.#answerAll(proposals, unavailable(error))
  }

  /** A fiber of the pipeline ended: nobody waits for answers that cannot come. */
  end(exit: Exit.Exit<never>): Effect.Effect<void> {
    return Effect.sync(() => {
      const ended = Exit.isFailure(exit) && !Exit.hasInterrupts(exit) ? exit : Exit.fail(stopped)
      this.#ended ??= ended
      const waiting = [...this.#inFlight.splice(0).flatMap(({ proposals }) => proposals), ...this.#appending, ...this.#queue.splice(0)]
      for (const { answer } of waiting) Deferred.doneUnsafe(answer, ended)
      this.#room.openUnsafe()
    })
  }
}

/** Its value or its failure, as a value: in a loop that goes on either way. */
const outcomeOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A | E> =>
  Effect.match(effect, { onFailure: (error): A | E => error, onSuccess: (value): A | E => value })

/** Sealed bytes; or why the proposer alone is to hear that there are none. */
const sealedOf = (sealer: ValueSealer, entry: Entry): Uint8Array | Exit.Exit<never, Unavailable> => {
  try {
    const bytes = sealEntry(sealer, entry)
    if (bytes !== undefined) return bytes
    return Exit.fail(new Unavailable({ reason: "CommitTooLarge", detail: `${entry.change._tag} is too large for one commit; split it` }))
  } catch (error) {
    // A change that no caller may make (a key too long, a lone surrogate): its proposer's bug, nobody else's.
    return Exit.die(error)
  }
}

const exitOf = ({ sequence, time, change }: Entry, answer: Answer): Exit.Exit<Committed, Refused> => {
  if (answer._tag !== "Refused") return Exit.succeed({ sequence, time, answer })
  // A branch's new name is at fault only where it is taken.
  const ofSource = change._tag === "Branch" && answer.refusal !== "BucketAlreadyOwnedByYou"
  const bucket = ofSource ? change.source : "bucket" in change ? change.bucket : ""
  return Exit.fail(new Refused({ refusal: answer.refusal, bucket, sequence, ...("key" in change ? { key: change.key } : {}) }))
}
