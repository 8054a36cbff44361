/**
 * The journal: what was appended and acknowledged survives any crash (P1, R3, R4, R11).
 * Between put, settle and the namespace on one side, and the Disk port on the other. One a node.
 */
import { Cause, Context, Deferred, Effect, Exit, Latch, Layer, Scope, Semaphore } from "effect"
import { assert } from "../base/assert.ts"
import type { RestartId, StoreId } from "../base/ids.ts"
import { walIdleMs, walQueueBytesMax } from "../base/limits.ts"
import { folderOf } from "../base/paths.ts"
import { probe } from "../base/probes.ts"
import { Disk } from "../ports/Disk.ts"
import { watched } from "../ports/Health.ts"
import type { WalPhase, WalSizes, WalState } from "./Wal.ts"
import { batchRoomOf, hasWork, initialState, isWhole, payloadBytesMax, queuedBytesOf, walSizes } from "./Wal.ts"
import type { WalDamaged } from "./WalError.ts"
import { WalError } from "./WalError.ts"
import { recordHeaderBytes } from "./WalFormat.ts"
import { makeWalFiles } from "./WalFilesService.ts"
import type { WalObserver, WalPump } from "./WalPumpService.ts"
import { makeWalPump } from "./WalPumpService.ts"
import { makeWalInspect, type WalInspect } from "./WalInspectService.ts"
import { makeWalReader } from "./WalReaderService.ts"
import type { RecordKind, WalConsumer, WalPlace, WalPosition, WalRecord } from "./WalRecord.ts"
import { comparePlaces, placeAfter } from "./WalRecord.ts"
import { replayProblem } from "./WalRecovery.ts"
import type { DoubtfulRecord, RecoveredLog, RecoveryObserver, ReplayedRecord, TornTail } from "./WalRecoveryService.ts"
import { recoverLog, replayLog } from "./WalRecoveryService.ts"
import type { WalSpace } from "./WalSpaceService.ts"
import { makeWalSpace } from "./WalSpaceService.ts"
import { makeWalWriter } from "./WalWriterService.ts"

export interface Ticket {
  /** One for each record, in order; whole once durable. */
  readonly positions: ReadonlyArray<WalPosition>
  readonly epoch: number
  /** Succeeds after the sync of the batch with the last record. Fails with Lost or Failed: the positions are void. */
  readonly durable: Effect.Effect<void, WalError>
}

export interface WalStatus {
  readonly phase: WalPhase
  readonly segments: number
  /** Of all segments on the disk. */
  readonly bytes: number
  /** Of records and their headers that wait for their sync. */
  readonly queuedBytes: number
  readonly epoch: number
  /** Batches of this store's whole life. */
  readonly batches: number
  /** What the last recovery kept and did not accept. */
  readonly tornTail: TornTail | undefined
  readonly failure: string | undefined
}

export interface WalInterface {
  /**
   * Queues the records, one behind the other and no other append's in between. Waits where walQueueBytesMax are
   * queued. A crash keeps a prefix of what was appended: a chunk goes before its commit (R3). With anything but chunks
   * in them all of the records are kept, or none. With `epoch` only while that is the journal's, judged where the
   * positions are given out: EpochMoved, and nothing is appended, otherwise. Chunks are refused where less than
   * walReserveBytes are free: Disk, its detail naming NoSpace (R11). TooLarge: nothing is appended, split it.
   */
  readonly append: (records: ReadonlyArray<WalRecord>, epoch?: number) => Effect.Effect<Ticket, WalError>
  /** Whether one append takes so many records that are no chunks, their payloads so many bytes in all. */
  readonly takes: (records: number, bytes: number) => boolean
  /** Rises with every abandoned segment: a ticket of an older epoch that is not durable is lost. */
  readonly epoch: () => number
  /** The payload of a durable record, verified. NotHere: resolve its place again. Damaged: this record alone is. */
  readonly read: (position: WalPosition) => Effect.Effect<Uint8Array, WalError>
  /** In the order asked for; neighbours are read at once. Fails for the first that cannot be read, and names it. */
  readonly readMany: (positions: ReadonlyArray<WalPosition>) => Effect.Effect<ReadonlyArray<Uint8Array>, WalError>
  /**
   * Visits what recovery accepted at or behind `from`, in order; `undefined` is the store's first record. Once, before
   * the first append. A rotten chunk or Raft record goes to `onDamaged`, or is WalDamaged where there is none; a rotten
   * commit is always.
   */
  readonly replay: <E = never, E2 = never>(
    from: WalPlace | undefined,
    visit: (record: ReplayedRecord) => Effect.Effect<void, E>,
    onDamaged?: (position: WalPosition, kind: RecordKind) => Effect.Effect<void, E2>
  ) => Effect.Effect<void, E | E2 | WalError | WalDamaged>
  /** What this start found: where a replay of all of it begins, and what is Raft's in a last batch that was not accepted (R4). */
  readonly found: () => { readonly oldest: WalPlace; readonly doubtful: ReadonlyArray<DoubtfulRecord> }
  /** `consumer` needs nothing below `keepFrom`. Segments that no consumer needs are removed, oldest first. */
  readonly release: (consumer: WalConsumer, keepFrom: WalPlace) => Effect.Effect<void, WalError>
  /** The end of what is durable: whatever is not durable yet will lie at or behind it. */
  readonly head: () => WalPlace
  /** Whether this start found everything from the store's first record up to a place: a replay from `undefined` has it. */
  readonly holdsAll: (upTo: WalPlace) => boolean
  /** Whether a replay from there has all that this start found since. */
  readonly reaches: (from: WalPlace) => boolean
  /** Less than the reserve is free, or nothing at all: only what gives space back should be appended (R11). */
  readonly spaceLow: () => boolean
  /** Reads all that is durable from the disk again and names what is not as it was written. */
  readonly inspect: WalInspect
  readonly status: () => WalStatus
}

export class Wal extends Context.Service<Wal, WalInterface>()("ouroborosdb/wal/Wal") {}

export interface WalOptions {
  readonly folder: string
  readonly storeId: StoreId
  /** Drawn at this start; no two runs share one. */
  readonly restartId: RestartId
  readonly sizes?: WalSizes
  /** Appends wait while so much does; walQueueBytesMax by default. */
  readonly queueBytesMax?: number
  readonly idleMs?: number
  /** Told of every step of the machine: invariants in tests, traces in simulation. */
  readonly observe?: WalObserver
  /** Told of every step of recovery. */
  readonly observeRecovery?: RecoveryObserver
  /** Size of the reserve file (WalSpaceService.ts); none by default. */
  readonly reserveFileBytes?: number
}

/** Recovers the folder, opens a new segment, serves. Fails with WalDamaged rather than truncate what was proven. */
export const layer = (options: WalOptions): Layer.Layer<Wal, WalError | WalDamaged, Disk> =>
  Layer.effect(Wal, make(options))

const make = Effect.fnUntraced(function*(options: WalOptions) {
  const { folder, storeId, restartId, sizes = walSizes } = options
  const disk = yield* Disk
  // Made before the finalizer below, so closed after it: handles opened later still serve the closing batch.
  const scope = Scope.forkUnsafe(yield* Effect.scope)
  const files = makeWalFiles(disk, folder, scope)
  // The folder's own name must be durable too, or everything in it goes with a power cut.
  yield* disk.makeFolder(folder).pipe(
    Effect.andThen(disk.syncFolder(folderOf(folder))),
    Effect.mapError((error) => new WalError({ reason: "Disk", segment: 0, offset: 0, detail: error.message }))
  )
  const log = yield* recoverLog({ disk, files, folder, storeId, restartId, observe: options.observeRecovery })
  const state = stateOf(log, sizes)
  const writer = makeWalWriter({ disk, files, folder, scope, identity: { storeId, restartId } })
  const space = makeWalSpace({ disk, folder, reserveFileBytes: options.reserveFileBytes ?? 0 }, state)
  const pump = makeWalPump(state, writer, options.observe ?? (() => undefined), space.giveBack)
  yield* pump.run(pump.tell({ _tag: "Start" }))
  if (state.phase !== "Running") {
    return yield* new WalError({ reason: "Failed", ...state.durable, detail: state.failure ?? "" })
  }
  const queue = makeQueue(state, pump, options.queueBytesMax ?? walQueueBytesMax)
  yield* space.watch
  yield* Effect.forkScoped(watched("the journal's pump", pumpLoop(state, pump, queue, space)))
  yield* Effect.forkScoped(watched("the journal's look at the disk", space.loop(() => queue.retry())))
  yield* Effect.forkScoped(watched("the journal's closing batches", idleLoop(state, pump, queue, options.idleMs ?? walIdleMs)))
  // Added last, so run first: what is queued is written and proven while the pump still runs.
  yield* Effect.addFinalizer(() => stop(pump, queue))
  const reader = makeWalReader(state, files, storeId)
  const releasing = Semaphore.makeUnsafe(1)
  return Wal.of({
    append: (records, epoch) => space.low() && records.some(({ kind }) => kind === "Chunk")
      ? Effect.andThen(space.check, append(state, queue, records, epoch))
      : append(state, queue, records, epoch),
    takes: (records, bytes) => records * recordHeaderBytes + bytes <= batchRoomOf(sizes),
    epoch: () => state.epoch,
    read: reader.read,
    readMany: reader.readMany,
    replay: (from, visit, onDamaged) => Effect.suspend(() => {
      const problem = state.ticketNext > 1 ? misused(state) : missing(log, from)
      return problem === undefined ? replayLog(files, log, from, visit, onDamaged) : Effect.fail(problem)
    }),
    release: (consumer, keepFrom) => releasing.withPermit(Effect.suspend(() =>
      Effect.forEach(pump.tell({ _tag: "Release", consumer, keepFrom }), (command) => {
        assert(command._tag === "RemoveSegment", "a release only removes")
        return removeSegment(command.segment)
      }, { discard: true })
    )),
    found: () => ({ oldest: placeAfter(log.plan.before), doubtful: log.doubtful }),
    head: () => state.durable,
    holdsAll: (upTo) => log.last.batch > 0 && missing(log, undefined) === undefined && comparePlaces(upTo, log.end) <= 0,
    reaches: (from) => missing(log, from) === undefined,
    spaceLow: space.low,
    inspect: makeWalInspect(disk, folder, state, storeId),
    status: () => statusOf(state, log.tornTail)
  })

  function removeSegment(segment: number): Effect.Effect<void, WalError> {
    probe("journal.segmentReleased")
    return files.drop(segment).pipe(
      Effect.andThen(disk.remove(files.path(segment))),
      // Its removal may have been cut short after the file was gone.
      Effect.catch((error) => error.code === "NotFound" ? Effect.void : Effect.fail(error)),
      // Each on its own: a missing segment with an older one left would look like damage (WalRecovery.ts).
      Effect.andThen(disk.syncFolder(folder)),
      Effect.mapError((error) => new WalError({ reason: "Disk", segment, offset: 0, detail: error.message })),
      Effect.andThen(Effect.sync(() => void pump.tell({ _tag: "Removed", segment })))
    )
  }
})

const misused = (state: WalState): WalError =>
  new WalError({ reason: "Misused", ...state.durable, detail: "replay comes before the first append" })

const missing = (log: RecoveredLog, from: WalPlace | undefined): WalError | undefined => {
  const why = replayProblem(log.plan, from, log.end)
  return why === undefined ? undefined : new WalError({ reason: "Missing", ...log.end, detail: why })
}

const stateOf = (log: RecoveredLog, sizes: WalSizes): WalState => {
  const { plan, last, end } = log
  const rows = plan.log.map(({ header, sizeBytes, proven }) => {
    const durableEnd = proven === undefined ? end.offset : proven.offset + proven.length
    return [header.segment, { bytes: sizeBytes, durableEnd }] as const
  })
  const leftovers = plan.leftovers.map(({ segment, sizeBytes }) => [segment, { bytes: sizeBytes, durableEnd: 0 }] as const)
  const segments = [...rows, ...leftovers].sort(([a], [b]) => a - b)
  return initialState({ sizes, epoch: plan.epochMax + 1, segmentNext: plan.segmentNext, last, durable: end, segments })
}

const statusOf = (state: WalState, tornTail: TornTail | undefined): WalStatus => ({
  phase: state.phase,
  segments: state.segments.size,
  bytes: state.bytes,
  queuedBytes: state.queuedBytes,
  epoch: state.epoch,
  batches: state.last.batch,
  tornTail,
  failure: state.failure
})

/** Appends that wait for room, the pump's signals. */
interface WalQueue {
  readonly bytesMax: number
  readonly waiters: Array<{ readonly bytes: number; readonly admit: () => void }>
  readonly work: Latch.Latch
  readonly dirty: Latch.Latch
  readonly stopped: Deferred.Deferred<void>
  /** A full journal is to try again. */
  readonly retry: () => void
  readonly takeRetry: () => boolean
  /** Plans the records and gives their ticket, or says why not; synchronous, so that order is call order. */
  readonly plan: (records: ReadonlyArray<WalRecord>, epoch: number | undefined) => Exit.Exit<Ticket, WalError>
}

const makeQueue = (state: WalState, pump: WalPump, bytesMax: number): WalQueue => {
  const work = Latch.makeUnsafe(false)
  const plan = (records: ReadonlyArray<WalRecord>, epoch: number | undefined): Exit.Exit<Ticket, WalError> => {
    if (epoch !== undefined && epoch !== state.epoch) {
      const detail = `the epoch is ${state.epoch}, not ${epoch}: what was appended before may be lost; append all of it again`
      return Exit.fail(new WalError({ reason: "EpochMoved", ...state.durable, detail }))
    }
    const command = pump.tell({ _tag: "Append", records })[0]
    if (command?._tag === "Reject") {
      return Exit.fail(new WalError({ reason: command.reason, ...state.durable, detail: command.detail }))
    }
    assert(command?._tag === "Assign", "an append is assigned or rejected")
    const deferred = Deferred.makeUnsafe<void, WalError>()
    pump.waiting.set(command.ticket, deferred)
    work.openUnsafe()
    return Exit.succeed({ positions: command.positions, epoch: state.epoch, durable: Deferred.await(deferred) })
  }
  let isRetryDue = false
  const retry = (): void => {
    isRetryDue = true
    work.openUnsafe()
  }
  const takeRetry = (): boolean => {
    const taken = isRetryDue
    isRetryDue = false
    return taken
  }
  return { bytesMax, waiters: [], work, dirty: Latch.makeUnsafe(false), stopped: Deferred.makeUnsafe(), retry, takeRetry, plan }
}

const fits = (state: WalState, { bytesMax }: WalQueue, bytes: number): boolean =>
  state.queuedBytes === 0 || state.queuedBytes + bytes <= bytesMax

const append = (
  state: WalState, queue: WalQueue, records: ReadonlyArray<WalRecord>, epoch: number | undefined
): Effect.Effect<Ticket, WalError> =>
  Effect.suspend(() => {
    let bytes = 0
    let longest = 0
    for (const { payload } of records) {
      bytes += queuedBytesOf(payload)
      longest = Math.max(longest, payload.length)
    }
    const recordBytesMax = payloadBytesMax(state.sizes)
    const bytesMax = isWhole(records) ? batchRoomOf(state.sizes) : walQueueBytesMax
    if (longest > recordBytesMax || bytes > bytesMax) {
      const detail = `${records.length} records, ${bytes} bytes, the longest ${longest}: a record has at most ` +
        `${recordBytesMax} bytes and such an append ${bytesMax}; split it`
      return Effect.fail(new WalError({ reason: "TooLarge", ...state.durable, detail }))
    }
    if (state.phase !== "Running" || (queue.waiters.length === 0 && fits(state, queue, bytes))) return queue.plan(records, epoch)
    return Effect.callback<Ticket, WalError>((resume) => {
      const waiter = { bytes, admit: () => resume(queue.plan(records, epoch)) }
      queue.waiters.push(waiter)
      return Effect.sync(() => {
        const index = queue.waiters.indexOf(waiter)
        if (index >= 0) queue.waiters.splice(index, 1)
      })
    })
  })

/** Lets waiting appends in, first come first served, as far as there is room. */
const admitWaiting = (state: WalState, queue: WalQueue): void => {
  for (let next = queue.waiters[0]; next !== undefined; next = queue.waiters[0]) {
    if (state.phase === "Running" && !fits(state, queue, next.bytes)) return
    queue.waiters.shift()
    next.admit()
  }
}

/** Writes batch after batch while there is work: what queues up meanwhile is the next batch (group commit). */
const pumpLoop = (state: WalState, pump: WalPump, queue: WalQueue, space: WalSpace): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (state.phase !== "Stopped" && state.phase !== "Failed") {
      yield* queue.work.await
      queue.work.closeUnsafe()
      if (queue.takeRetry()) yield* pump.run(pump.tell({ _tag: "Retry" }))
      while (hasWork(state)) {
        yield* pump.run(pump.tell({ _tag: "Write" }))
        admitWaiting(state, queue)
        if (state.unproven) queue.dirty.openUnsafe()
        yield* space.watch
      }
    }
  }).pipe(
    Effect.onExit((exit) => Effect.sync(() => {
      // A defect here must not leave anyone waiting for a pump that is gone.
      if (state.phase !== "Stopped") state.phase = "Failed"
      state.failure ??= Exit.isFailure(exit) ? `the journal's pump ended: ${Cause.pretty(exit.cause)}` : "stopped"
      pump.abort(state.failure)
      admitWaiting(state, queue)
      Deferred.doneUnsafe(queue.stopped, Exit.void)
    }))
  )

/** Proves the last batch once nothing has followed it for a while. */
const idleLoop = (state: WalState, pump: WalPump, queue: WalQueue, idleMs: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (state.phase === "Running" || state.phase === "Full") {
      yield* queue.dirty.await
      queue.dirty.closeUnsafe()
      const before = state.last.batch
      yield* Effect.sleep(idleMs)
      if (!state.unproven) continue
      queue.dirty.openUnsafe()
      if (state.last.batch !== before) continue
      pump.tell({ _tag: "Idle" })
      if (hasWork(state)) queue.work.openUnsafe()
    }
  })

const stop = (pump: WalPump, queue: WalQueue): Effect.Effect<void> =>
  Effect.suspend(() => {
    pump.tell({ _tag: "Stop" })
    queue.work.openUnsafe()
    return Deferred.await(queue.stopped)
  })
