/**
 * RaftJournal: hard states, logs and places of snapshots of all groups of a node, in its one journal, beside chunks and commits
 * and under the same syncs. Between the runners of the groups (RaftService.ts) and wal/. One fiber writes, in the order of the calls.
 *
 * 1. What a call was promised is on the disk: its records, and all before them, whatever the journal had to begin anew meanwhile.
 * 2. What can no longer be read is a gap, or a group that is lost: never what was not there (RaftReplay.ts).
 * 3. Nothing that is live leaves the journal: it is written again, further on, and only then does Raft's mark move (R11).
 */
import { Cause, Context, Data, Deferred, Effect, Layer, Queue } from "effect"
import { assert } from "../base/assert.ts"
import { toUtf8 } from "../base/bytes.ts"
import type { GroupId } from "../base/ids.ts"
import { walSegmentBytes } from "../base/limits.ts"
import { raftAppendBytesMax, raftForwardBytes, raftForwardSegments, raftForwardShare, raftTendMs, raftWritesQueuedMax } from "../base/raftLimits.ts"
import { watched } from "../ports/Health.ts"
import type { ValueSealer } from "../sealer/SealedValue.ts"
import type { WalDamaged, WalError } from "../wal/WalError.ts"
import type { WalPlace, WalPosition, WalRecord } from "../wal/WalRecord.ts"
import type { WalInterface } from "../wal/WalService.ts"
import type { Entry, HardState, ReplicaId, SnapshotPlace } from "./Entry.ts"
import { bookOf, type Change, isBefore, liveBefore, liveBytesOf, lowWaterOf, newBook, planChange, type PlannedStep, type RaftBook, stepWritten } from "./RaftBook.ts"
import { RaftFormatError } from "./RaftBytes.ts"
import { decodeRecord, encodeRecord, type RaftRecord, type StepItem } from "./RaftFormat.ts"
import type { Slot } from "./RaftLog.ts"
import { type FoundGroup, RaftReplay } from "./RaftReplay.ts"
import type { RaftCommand } from "./RaftState.ts"

/**
 * Unreadable: a record is whole and is not ours to read (another key, a newer version); nothing was changed. Journal: the
 * journal refused or failed; the replica must not go on. Misused: a group was begun that is there, or written to that is not.
 */
export class RaftJournalError extends Data.TaggedError("RaftJournalError")<{
  readonly reason: "Unreadable" | "Journal" | "Misused" | "Closed"
  readonly detail: string
}> {
  override get message(): string {
    return `raft's journal: ${this.reason}: ${this.detail}`
  }
}

/** What the journal had of a group when the node started. */
export type RaftFound =
  /** Nothing, and nothing that is rotten may have been its. */
  | { readonly _tag: "Absent" }
  /** It may have given votes that nobody knows of: the replica must be removed, and may come back as another. */
  | { readonly _tag: "Lost"; readonly replica: ReplicaId | undefined }
  | {
    readonly _tag: "Found"
    readonly replica: ReplicaId
    readonly hardState: HardState
    readonly snapshot: SnapshotPlace
    /** Dense behind the snapshot. */
    readonly slots: ReadonlyArray<Slot>
  }

export interface RaftGroup {
  /** As it is on the disk by now. */
  readonly found: RaftFound
  /** A replica that has nothing yet: of a new group, or one that comes back as another. It is on the disk afterwards. */
  readonly begin: (replica: ReplicaId, snapshot: SnapshotPlace) => Effect.Effect<void, RaftJournalError>
  /** Takes it into the order of writing, after waiting for room; what it gives succeeds once all of it is on the disk. */
  readonly persist: (command: Extract<RaftCommand, { readonly _tag: "Persist" }>) => Effect.Effect<Effect.Effect<void, RaftJournalError>>
}

export interface RaftJournalStatus {
  /** Nothing below it is needed. */
  readonly mark: WalPlace
  /** Records written again so that old segments can leave. */
  readonly forwarded: number
  readonly failure: string | undefined
}

export interface RaftJournalInterface {
  /** Once everyone has replayed the journal: what is known of the group may have to be written anew before its machine says anything. */
  readonly group: (group: GroupId) => Effect.Effect<RaftGroup, RaftJournalError>
  readonly status: () => RaftJournalStatus
}

export class RaftJournal extends Context.Service<RaftJournal, RaftJournalInterface>()("ouroborosdb/raft/RaftJournal") {
  static readonly layer = (options: RaftJournalOptions): Layer.Layer<RaftJournal, RaftJournalError | WalError | WalDamaged> => Layer.effect(RaftJournal, make(options))
}

export interface RaftJournalOptions {
  readonly wal: WalInterface
  /** Of the vault, for this use alone: commands may hold names. */
  readonly sealer: ValueSealer
  readonly forwardSegments?: number
  readonly segmentBytes?: number
  readonly tendMs?: number
}

type Job =
  | { readonly _tag: "Write"; readonly held: Held; readonly change: Change; readonly done: Deferred.Deferred<void, RaftJournalError> }
  | { readonly _tag: "Tend" }

/** A group of this node. */
interface Held {
  readonly found: FoundGroup | undefined
  /** Undefined: absent or lost. */
  book: RaftBook | undefined
  /** So that nothing depends on what is rotten or was not accepted. */
  restate: Change | undefined
}

interface Room {
  readonly options: RaftJournalOptions
  readonly held: Map<GroupId, Held>
  /** Of a group that has nothing else, perhaps: it must not look absent one day. */
  orphans: ReadonlyArray<WalPosition>
  /** The journal's replays are over: it may be written to. */
  isAwake: boolean
  readonly jobs: Queue.Queue<Job>
  /** Undefined: none was set in this life, and the journal waits for nobody. */
  mark: WalPlace | undefined
  forwarded: number
  failure: RaftJournalError | undefined
}

const closed = new RaftJournalError({ reason: "Closed", detail: "the node stops: what was not written may be there or not" })
const associated = toUtf8("raft record 1")

/** Recovers all groups; fails where a record is not ours to read. */
const make = Effect.fnUntraced(function*(options: RaftJournalOptions) {
  const found = yield* recover(options)
  const jobs = yield* Effect.acquireRelease(Queue.bounded<Job>(raftWritesQueuedMax), Queue.shutdown)
  const room: Room = { options, held: new Map(), orphans: found.orphans, isAwake: false, jobs, mark: undefined, forwarded: 0, failure: undefined }
  for (const [id, group] of found.groups) yield* take(room, id, group)
  // Said before anyone else lets go of anything: nothing of Raft's leaves by the others' marks.
  yield* moveMark(room)
  yield* start(room)
  return RaftJournal.of({
    group: (id) => groupOf(room, id),
    status: () => ({ mark: room.mark ?? options.wal.found().oldest, forwarded: room.forwarded, failure: room.failure?.message })
  })
})

const start = Effect.fnUntraced(function*(room: Room) {
  const { jobs, options: { tendMs = raftTendMs } } = room
  yield* Effect.forkScoped(watched("Raft's records in the journal", Effect.forever(Effect.flatMap(Queue.takeAll(jobs), (some) => guarded(room, some)))))
  yield* Effect.forkScoped(watched("Raft's mark in the journal", Effect.forever(Effect.andThen(Effect.sleep(tendMs), Queue.offer(jobs, { _tag: "Tend" })))))
  yield* Effect.addFinalizer(() => Effect.suspend(() => {
    room.failure ??= closed
    return Effect.flatMap(Queue.clear(jobs), (left) => Effect.sync(() => finish(left, closed)))
  }))
})

const recover = Effect.fnUntraced(function*({ sealer, wal }: RaftJournalOptions) {
  const replay = new RaftReplay()
  const { doubtful, oldest } = wal.found()
  const read = (payload: Uint8Array): Effect.Effect<RaftRecord, RaftJournalError> => {
    const record = opened(sealer, payload)
    return record instanceof RaftJournalError ? Effect.fail(record) : Effect.succeed(record)
  }
  const judged = (problem: string | undefined): Effect.Effect<void, RaftJournalError> =>
    problem === undefined ? Effect.void : Effect.fail(new RaftJournalError({ reason: "Unreadable", detail: problem }))
  yield* wal.replay(oldest,
    ({ kind, payload, position }) => kind === "Raft" ? Effect.flatMap(read(payload), (record) => judged(replay.read(record, position))) : Effect.void,
    (position, kind) => kind === "Raft" ? Effect.andThen(Effect.sync(() => replay.damaged(position)), nameDamaged(position)) : Effect.void)
  for (const { payload } of doubtful) yield* judged(replay.doubtful(payload === undefined ? undefined : yield* read(payload)))
  return replay.finish()
})

const nameDamaged = ({ length, offset, segment }: WalPosition): Effect.Effect<void> =>
  Effect.logError(`a Raft record of ${length} bytes in the journal at ${segment}:${offset} is damaged: its entry is fetched from the others, or its replica is lost`)

const opened = (sealer: ValueSealer, payload: Uint8Array): RaftRecord | RaftJournalError => {
  const bytes = sealer.open(associated, payload)
  if (!(bytes instanceof Uint8Array)) return new RaftJournalError({ reason: "Unreadable", detail: bytes.message })
  const record = decodeRecord(bytes)
  return record instanceof RaftFormatError ? new RaftJournalError({ reason: "Unreadable", detail: record.message }) : record
}

const take = Effect.fnUntraced(function*(room: Room, id: GroupId, found: FoundGroup) {
  const held: Held = { found, book: undefined, restate: undefined }
  room.held.set(id, held)
  const { replica, slots } = found
  if (found.isLost) return yield* Effect.logError(`group ${id}: term and vote of replica ${replica} are damaged: remove it from the group, and let it come back under another id`)
  const gaps = slots.filter(({ entry }) => entry === undefined).length
  if (gaps > 0) yield* Effect.logWarning(`group ${id}: ${gaps} entries of ${slots.length} are damaged, and will be fetched from the others`)
  const [book, change] = bookOf(found)
  held.book = book
  held.restate = change
})

const groupOf = Effect.fnUntraced(function*(room: Room, id: GroupId) {
  const { held, orphans } = room
  room.isAwake = true
  const known = held.get(id) ?? { found: undefined, book: undefined, restate: undefined }
  held.set(id, known)
  if (known.restate !== undefined) yield* yield* write(room, known, known.restate)
  known.restate = undefined
  const found: RaftFound = known.found === undefined
    ? orphans.length > 0 ? { _tag: "Lost", replica: undefined } : { _tag: "Absent" }
    : known.found.isLost ? { _tag: "Lost", replica: known.found.replica } : foundOf(known.found)
  const group: RaftGroup = {
    found,
    begin: (replica, snapshot) => Effect.suspend(() => {
      if (known.book !== undefined || replica === known.found?.replica) {
        return Effect.fail(new RaftJournalError({ reason: "Misused", detail: `group ${id} has replica ${known.book?.replica ?? replica}: another one needs another id` }))
      }
      known.book = newBook(id, replica, known.found?.step ?? 0, snapshot)
      room.orphans = []
      return Effect.flatten(write(room, known, {}))
    }),
    persist: (command) => write(room, known, command)
  }
  return group
})

const foundOf = ({ hardState, replica, slots, snapshot }: FoundGroup): RaftFound => ({
  _tag: "Found", replica, hardState, snapshot,
  slots: slots.map(({ entry, term }, offset): Slot => entry ?? { index: snapshot.index + 1 + offset, term, body: undefined })
})

const write = (room: Room, held: Held, change: Change): Effect.Effect<Effect.Effect<void, RaftJournalError>> =>
  Effect.suspend(() => {
    assert(held.book !== undefined, "only a group that is there is written to")
    if (room.failure !== undefined) return Effect.succeed(Effect.fail(room.failure))
    const done = Deferred.makeUnsafe<void, RaftJournalError>()
    // A queue that is shut down takes nothing: nobody would answer.
    return Effect.map(Queue.offer(room.jobs, { _tag: "Write", held, change, done }), (isTaken) => {
      if (!isTaken) finish([{ _tag: "Write", held, change, done }], room.failure ?? closed)
      return Deferred.await(done)
    })
  })

const finish = (jobs: ReadonlyArray<Job>, failure: RaftJournalError | undefined): void => {
  for (const job of jobs) {
    if (job._tag === "Write") Deferred.doneUnsafe(job.done, failure === undefined ? Effect.void : Effect.fail(failure))
  }
}

/** Whoever waits hears of its end, whatever ends it. */
const guarded = (room: Room, jobs: ReadonlyArray<Job>): Effect.Effect<void> =>
  Effect.onError(carryOut(room, jobs), (cause) => Effect.sync(() => {
    room.failure ??= Cause.hasInterruptsOnly(cause) ? closed : new RaftJournalError({ reason: "Journal", detail: `its writer ended: ${Cause.pretty(cause)}` })
    finish(jobs, room.failure)
  }))

/** In their order; what fits one append is one. */
const carryOut = Effect.fnUntraced(function*(room: Room, jobs: ReadonlyArray<Job>) {
  let taken: Array<Job> = []
  let steps: Array<PlannedStep> = []
  let bytes = 0
  const flush = Effect.suspend(() => {
    const [mine, planned] = [taken, steps]
    taken = []
    steps = []
    bytes = 0
    if (room.failure !== undefined || planned.length === 0) return Effect.sync(() => finish(mine, room.failure))
    return writeSteps(room, planned).pipe(
      Effect.matchEffect({
        onSuccess: () => Effect.sync(() => finish(mine, undefined)),
        onFailure: (error) => Effect.sync(() => {
          room.failure = error
          finish(mine, error)
        })
      })
    )
  })
  for (const job of jobs) {
    if (job._tag === "Tend") continue
    taken.push(job)
    steps.push(...planChange(job.held.book!, job.change, room.options.wal.takes))
    bytes += (job.change.entries ?? []).reduce((sum, { body }) => sum + (body._tag === "Command" ? body.bytes.length : 0), 0)
    if (bytes >= raftAppendBytesMax) yield* flush
  }
  yield* flush
  if (jobs.some(({ _tag }) => _tag === "Tend")) yield* tend(room)
})

/**
 * Succeeds once all of it is on the disk, by however many tries: a segment that was abandoned costs one, a full disk many. What one
 * append takes is there whole or not at all, so no try repeats a record that is there: steps that do not fit one are written in several.
 */
const writeSteps = Effect.fnUntraced(function*({ options: { sealer, tendMs = raftTendMs, wal } }: Room, steps: ReadonlyArray<PlannedStep>) {
  let taken: Array<PlannedStep> = []
  let records: Array<WalRecord> = []
  let bytes = 0
  const flush = Effect.suspend(() => {
    const written = taken
    const append = appended(wal, records, tendMs)
    taken = []
    records = []
    bytes = 0
    return Effect.map(append, (positions) => {
      let from = 0
      for (const step of written) {
        stepWritten(step, positions.slice(from, from + step.records.length))
        from += step.records.length
      }
    })
  })
  for (const step of steps) {
    const sealed = step.records.map((record): WalRecord => ({ kind: "Raft", payload: sealer.seal(associated, encodeRecord(record)) }))
    const more = sealed.reduce((sum, { payload }) => sum + payload.length, 0)
    if (records.length > 0 && !wal.takes(records.length + sealed.length, bytes + more)) yield* flush
    taken.push(step)
    for (const record of sealed) records.push(record)
    bytes += more
  }
  yield* flush
})

const appended = (wal: WalInterface, records: ReadonlyArray<WalRecord>, pauseMs: number): Effect.Effect<ReadonlyArray<WalPosition>, RaftJournalError> =>
  wal.append(records).pipe(
    Effect.flatMap(({ durable, positions }) => Effect.as(durable, positions)),
    Effect.catch((error) => {
      const isFull = /NoSpace/.test(error.detail)
      if (error.reason !== "Lost" && !(isFull && error.reason === "Failed")) return Effect.fail(new RaftJournalError({ reason: "Journal", detail: error.message }))
      return Effect.andThen(isFull ? Effect.sleep(pauseMs) : Effect.void, appended(wal, records, pauseMs))
    })
  )

/** Looks for what keeps old segments: writes some of it again, and lets go of what nobody needs. */
const tend = (room: Room): Effect.Effect<void> =>
  Effect.gen(function*() {
    if (room.failure !== undefined || !room.isAwake) return
    const before = forwardBefore(room)
    let hasMore = false
    for (const { book } of room.held.values()) {
      if (book === undefined) continue
      const { indexes, isStepOld } = liveBefore(book, before, raftForwardBytes)
      if (indexes.length === 0 && !isStepOld) continue
      hasMore = true
      yield* writeSteps(room, planChange(book, yield* readAgain(room, book, indexes), room.options.wal.takes))
      room.forwarded += indexes.length + 1
    }
    yield* moveMark(room)
    // Others first: they wait for their writes.
    if (hasMore) Queue.offerUnsafe(room.jobs, { _tag: "Tend" })
  }).pipe(Effect.catch((error) => {
    if (error._tag === "RaftJournalError") room.failure = error
    return Effect.logError(`raft: old records stay where they are, and their segments with them: ${error.message}`)
  }))

/**
 * Live records of segments below it are written again. What is live is written at most once for every raftForwardShare times as
 * much that the journal grows: where much is live, copying it would never end.
 */
const forwardBefore = ({ held, options: { forwardSegments = raftForwardSegments, segmentBytes = walSegmentBytes, wal } }: Room): number => {
  let bytes = 0
  for (const { book } of held.values()) bytes += book === undefined ? 0 : liveBytesOf(book)
  return wal.head().segment - Math.max(forwardSegments, Math.ceil(raftForwardShare * bytes / segmentBytes)) + 1
}

/** Entries as they lie there; one that has rotted is a gap, whose term is known. */
const readAgain = Effect.fnUntraced(function*({ options: { sealer, wal } }: Room, { slots }: RaftBook, indexes: ReadonlyArray<number>) {
  const entries: Array<Entry> = []
  const gaps: Array<StepItem> = []
  for (const index of indexes) {
    const { at, isGap, term } = slots.get(index)!
    const payload = isGap ? undefined : yield* Effect.catch(wal.read(at), (error) => error.reason === "Damaged" ? Effect.as(nameDamaged(at), undefined) : Effect.fail(error))
    if (payload === undefined) {
      gaps.push({ index, term, isGap: true })
      continue
    }
    const record = opened(sealer, payload)
    if (record instanceof RaftJournalError) return yield* record
    assert(record._tag === "Entry" && record.entry.index === index, "an entry lies where it was written")
    entries.push(record.entry)
  }
  return { entries, gaps } satisfies Change
})

const moveMark = (room: Room): Effect.Effect<void, WalError> =>
  Effect.suspend(() => {
    const { held, isAwake, mark, options: { wal }, orphans } = room
    // Of a group that is lost the traces stay: it must not look absent one day.
    const places = [...held.values()].map(({ book, found, restate }) => book === undefined || restate !== undefined ? found?.oldestAt : lowWaterOf(book)).filter((place) => place !== undefined)
    // So do rotten records of nobody knows whom, until every group that was asked for is there.
    const isWhole = isAwake && [...held.values()].every(({ book }) => book !== undefined)
    const lowest = [...places, ...(isWhole ? [] : orphans)].reduce<WalPlace>((low, place) => (isBefore(place, low) ? place : low), wal.head())
    if (mark !== undefined && !isBefore(mark, lowest)) return Effect.void
    room.mark = { segment: lowest.segment, offset: lowest.offset }
    return wal.release("raft", room.mark)
  })

