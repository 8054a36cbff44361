/**
 * NamespaceService: the namespace over one member's state and commit log: replay at start, the pipeline of proposals,
 * reads, checkpoints. It sits between put, get, settle and the gateway on one side, State and CommitLog on the other.
 */
import { Effect, Latch, Layer, Semaphore } from "effect"
import type { TenantId, VaultId } from "../base/ids.ts"
import {
  checkpointRetryMs, checkpointWalBytes, overlayBytesMax, overlayBytesStop, overlayRowsMax, overlayRowsStop, stopCheckpointRowsMin,
  walSegmentBytes
} from "../base/limits.ts"
import { watched } from "../ports/Health.ts"
import { apply } from "./Apply.ts"
import type { ApplyContext } from "./ApplyCommit.ts"
import { FormatError } from "./Canonical.ts"
import { CommitLog, type CommitLogError, type CommitLogService, type LoggedEntry, type LogPlace } from "./CommitLog.ts"
import type { Entry } from "./Entry.ts"
import { HeldBack } from "./HeldBack.ts"
import { isHousework } from "./Housework.ts"
import { openEntry, sequenceOf } from "./LoggedEntry.ts"
import type { Answer } from "./Model.ts"
import { Namespace, type NamespaceService, Unavailable } from "./Namespace.ts"
import { makePipeline } from "./ProposeService.ts"
import { makeReads } from "./ReadService.ts"
import { State, StateError, type StateService, type ValueSealer } from "./State.ts"

export interface NamespaceOptions extends ApplyContext {
  readonly tenant: TenantId
  readonly vault: VaultId
  /** Seals entries in the log, as State seals its nodes. */
  readonly sealer: ValueSealer
  /** Who proposes what no client asked for, and what names no author. */
  readonly author: string
  /** Each commit once it is applied, replayed ones too. */
  readonly applied?: (entry: Entry, answer: Answer) => void
}

/**
 * Replays the log from the state's stamp, then serves. Fails where the log holds what this version cannot read, or
 * what the state says cannot be: it stops rather than skip an entry (R9).
 */
export const layer = (options: NamespaceOptions): Layer.Layer<Namespace, StateError | CommitLogError, State | CommitLog> =>
  Layer.effect(Namespace, make(options))

const make = Effect.fnUntraced(function*(options: NamespaceOptions) {
  const state = yield* State
  const log = yield* CommitLog
  yield* replay(options, state, log)
  let lastChange = state.stamp().sequence
  const checkpoints = makeCheckpoints(state, log)
  // Runs once pipeline and loop have ended: the next start has little to replay.
  yield* Effect.addFinalizer(() => checkpoints.atStop)
  yield* Effect.forkScoped(watched("checkpoints", checkpoints.loop))
  const applied = (entry: Entry, answer: Answer): void => {
    if (!isHousework(entry.change)) lastChange = entry.sequence
    options.applied?.(entry, answer)
    checkpoints.poke()
  }
  const pipeline = yield* makePipeline({ ...options, state, log, applied, admit: checkpoints.admit })
  const service: NamespaceService = {
    ...makeReads({ ...options, state, settledAt: pipeline.settledAt }),
    lastChange: () => lastChange,
    propose: (change, walEpoch, author) => pipeline.propose(change, walEpoch, author ?? options.author),
    checkpoint: (now = false) => Effect.suspend(() => (now || checkpoints.due() ? checkpoints.run : Effect.void))
  }
  return Namespace.of(service)
})

const replay = Effect.fnUntraced(function*(options: NamespaceOptions, state: StateService, log: CommitLogService) {
  const held = new HeldBack()
  const applyAll = (entries: ReadonlyArray<LoggedEntry>): Effect.Effect<void, StateError> =>
    Effect.forEach(entries, (logged) => Effect.suspend(() => {
      const problem = replayOne(options, state, logged)
      if (problem !== undefined) return Effect.fail(problem)
      const { rows, bytes } = state.overlay()
      return rows >= overlayRowsMax || bytes >= overlayBytesMax ? Effect.asVoid(state.checkpoint) : Effect.void
    }), { discard: true })
  yield* log.replay(state.stamp().wal, (logged) => Effect.suspend(() => {
    const counting = readable(logged, () => held.take(logged))
    return counting instanceof StateError ? Effect.fail(counting) : counting.length === 0 ? Effect.void : applyAll(counting)
  }))
  yield* applyAll(held.rest())
})

/** Its value; or the error where the entry's bytes are none that this version knows, or the index is garbage there. */
const readable = <A>({ after }: LoggedEntry, read: () => A): A | StateError => {
  try {
    return read()
  } catch (error) {
    // The index is marked, and this start fails.
    if (error instanceof StateError) return error
    if (!(error instanceof FormatError)) throw error
    const detail = `the entry that ends at ${after.segment}:${after.offset}: ${error.message}. Start the version that wrote it, or restore the log`
    return new StateError({ reason: "UnknownFormat", detail })
  }
}

/** Applies an entry; the error where it cannot be the next. */
const replayOne = (options: NamespaceOptions, state: StateService, logged: LoggedEntry): StateError | undefined =>
  readable(logged, () => {
    const { after, bytes } = logged
    const { sequence: last } = state.stamp()
    const sequence = sequenceOf(bytes)
    if (sequence !== last + 1) {
      const what = sequence > last ? "commits between are missing from the log" : "it is there twice"
      return new StateError({ reason: "Damaged", detail: `the entry that ends at ${after.segment}:${after.offset} is commit ${sequence}, and the state ends with ${last}: ${what}` })
    }
    const entry = openEntry(options.sealer, bytes)
    const { rows, answer } = apply(state.reader, entry, options)
    state.write(rows, { sequence, time: entry.time, wal: after })
    options.applied?.(entry, answer)
    return undefined
  })

interface Checkpoints {
  readonly due: () => boolean
  /** Wakes the loop where one is due. */
  readonly poke: () => void
  readonly run: Effect.Effect<void, Unavailable>
  readonly loop: Effect.Effect<never>
  readonly admit: Effect.Effect<void, Unavailable>
  /** The last one, where it pays. A failure is logged: the journal has everything. */
  readonly atStop: Effect.Effect<void>
}

const makeCheckpoints = (state: StateService, log: CommitLogService): Checkpoints => {
  const turn = Semaphore.makeUnsafe(1)
  const wanted = Latch.makeUnsafe(false)
  const settled = Latch.makeUnsafe(true)
  let last: LogPlace = state.stamp().wal
  let failure: Unavailable | undefined
  const due = (): boolean => {
    const { rows, bytes } = state.overlay()
    return rows >= overlayRowsMax || bytes >= overlayBytesMax || bytesBetween(last, state.stamp().wal) >= checkpointWalBytes
  }
  const failed = (error: StateError | CommitLogError): Unavailable => {
    failure = new Unavailable({ reason: /NoSpace/.test(error.message) ? "DiskFull" : "JournalFailed", detail: `no checkpoint could be written: ${error.message}` })
    return failure
  }
  const run = turn.withPermit(Effect.suspend(() => {
    const began = state.stamp().wal
    return state.checkpoint.pipe(
      Effect.flatMap((older) => log.release(older.wal)),
      Effect.mapError(failed),
      Effect.tap(() => Effect.sync(() => {
        last = began
        failure = undefined
      })),
      Effect.ensuring(Effect.sync(() => settled.openUnsafe()))
    )
  }))
  // A failure is retried: the journal keeps everything meanwhile, and admit refuses before memory runs out.
  const attempt = Effect.catch(run, (error) => Effect.andThen(Effect.logError(error.message), Effect.sleep(checkpointRetryMs)))
  const loop = Effect.forever(Effect.andThen(wanted.await, Effect.suspend(() => {
    if (due()) return attempt
    wanted.closeUnsafe()
    return Effect.void
  })))
  const admit: Effect.Effect<void, Unavailable> = Effect.suspend(() => {
    const { bytes, rows } = state.overlay()
    if (rows < overlayRowsStop && bytes < overlayBytesStop) return Effect.void
    if (failure !== undefined) return Effect.fail(failure)
    settled.closeUnsafe()
    wanted.openUnsafe()
    return Effect.andThen(settled.await, admit)
  })
  const atStop = Effect.suspend(() =>
    state.overlay().rows < stopCheckpointRowsMin
      ? Effect.void
      : Effect.catch(run, (error) => Effect.logWarning(`the node stops without a last checkpoint: ${error.message}`)))
  return { due, run, loop, admit, atStop, poke: () => void (due() && wanted.openUnsafe()) }
}

/** Journal bytes between two places; segments that lie between count as full. */
const bytesBetween = (from: LogPlace, to: LogPlace): number => (to.segment - from.segment) * walSegmentBytes + to.offset - from.offset
