/**
 * MachineService: the state machine that Raft drives: applies what is committed to the state, checkpoints it, lets the log go behind
 * checkpoints, and puts a fetched state in its place. Between RaftService and the slots.
 *
 * 1. Rows, stamp and place in the log move in one write.
 * 2. The log is kept from the older of two generations that are on the disk (R8).
 * 3. A state that was fetched counts once the file that says so is on the disk; readers of this one go on in that.
 */
import { Effect, Latch, Semaphore } from "effect"
import { assert } from "../base/assert.ts"
import { checkpointRetryMs, overlayBytesMax, overlayBytesStop, overlayRowsMax, overlayRowsStop, stopCheckpointRowsMin } from "../base/limits.ts"
import { appliedAtOnceMax, replicaLogBytesMax } from "../base/replicaLimits.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import type { Entry as Commit } from "../namespace/Entry.ts"
import { isHousework } from "../namespace/Housework.ts"
import type { Answer } from "../namespace/Model.ts"
import { Unavailable } from "../namespace/Namespace.ts"
import { type RowKey, StateError, type StateReader, type StateService } from "../namespace/State.ts"
import { watched } from "../ports/Health.ts"
import type { Configuration } from "../raft/Configuration.ts"
import { type Entry, entryBytesOf, type LogIndex, type ReplicaId, type SnapshotPlace, type Term } from "../raft/Entry.ts"
import type { StateMachine } from "../raft/RaftService.ts"
import { levelOf, tooOld } from "./FeatureLevel.ts"
import { fetchState } from "./FetchService.ts"
import { recordOf } from "./MembersTable.ts"
import type { PeerError, Peers } from "./Peers.ts"
import { type AppliedEntry, applyEntry, indexOf, type ReplicaContext, termOf } from "./ReplicaApply.ts"
import { configurationKey, configurationRow } from "./ReplicaRows.ts"
import type { Reply } from "./Request.ts"
import { type OpenSlot, otherSlot, type SlotOptions, writePointer } from "./SlotService.ts"

export interface MachineOptions extends ReplicaContext {
  readonly slots: SlotOptions
  readonly peers: Peers
  /** Each commit once it is applied, in order. */
  readonly applied: (entry: Commit, answer: Answer) => void
  /** Told of every entry: for tests. */
  readonly observe?: (entry: Entry, applied: AppliedEntry) => void
  /** Told of the record of members at once: of the one that there is, after each entry that changes it, and after another state came. */
  readonly membersChanged?: (record: MembershipRecord) => void
  /** A checkpoint is due after so many bytes of the log; few in tests. */
  readonly logBytesMax?: number
  readonly pieceBytes?: number
}

export interface ReplicaMachine extends StateMachine<Reply> {
  /** Its own, whichever slot it lies in: what is fetched shows in it. */
  readonly state: StateService
  readonly open: () => OpenSlot
  /** Of the last entry that is applied: a leader whose own term this is knows all that was committed before. */
  readonly term: () => Term
  readonly lastChange: () => number
  /** As it is applied here, decoded once for each change; undefined: none was founded. */
  readonly members: () => MembershipRecord | undefined
  /** One last checkpoint, so that the next start applies little; what fails costs that start its time, and nothing else. */
  readonly atStop: Effect.Effect<void>
  /** Where due, or at once. */
  readonly checkpoint: (now: boolean) => Effect.Effect<void, Unavailable>
  /** Checkpoints by themselves from here on; `compact` tells Raft what its log need not have. */
  readonly begin: (compact: (index: LogIndex) => Effect.Effect<void>) => Effect.Effect<never>
}

interface Room {
  readonly options: MachineOptions
  current: OpenSlot
  founding: Configuration
  term: Term
  lastChange: number
  members: MembershipRecord | undefined
  /** Bytes of the log since the last checkpoint began. */
  logBytes: number
  readonly turn: Semaphore.Semaphore
  readonly wanted: Latch.Latch
  /** Open but while somebody waits for the overlay to become smaller. */
  readonly settled: Latch.Latch
  compact: (index: LogIndex) => Effect.Effect<void>
}

/** Over a state that is open. `founding`: who voted before the log's first configuration. */
export const makeMachine = (options: MachineOptions, current: OpenSlot, founding: Configuration): ReplicaMachine => {
  const term = termOf(current.state.reader)
  const room: Room = {
    options, current, founding, term, lastChange: current.state.stamp().sequence, members: undefined, logBytes: 0, turn: Semaphore.makeUnsafe(1), wanted: Latch.makeUnsafe(false), settled: Latch.makeUnsafe(true),
    compact: () => Effect.void
  }
  changed(room, recordOf(current.state.reader))
  return {
    applied: placeOfState(room),
    apply: (entries) => applyAll(room, entries),
    install: (from, wanted) => install(room, from, wanted),
    state: stateOf(room),
    open: () => room.current,
    term: () => room.term,
    lastChange: () => room.lastChange,
    members: () => room.members,
    checkpoint: (now) => Effect.suspend(() => (now || isDue(room) ? Effect.mapError(checkpoint(room), unavailable) : Effect.void)),
    atStop: Effect.suspend(() => (room.current.state.overlay().rows < stopCheckpointRowsMin ? Effect.void
      : Effect.catch(checkpoint(room), (error) => Effect.logWarning(`no last checkpoint, the next start applies the log: ${error.message}`)))),
    begin: (compact) => Effect.suspend(() => {
      room.compact = compact
      return watched("a replica's checkpoints", checkpoints(room))
    })
  }
}

const changed = (room: Room, record: MembershipRecord | undefined): void => {
  room.members = record
  if (record !== undefined) room.options.membersChanged?.(record)
}

const unavailable = (error: StateError): Unavailable =>
  new Unavailable({ reason: /NoSpace/.test(error.message) ? "DiskFull" : "JournalFailed", detail: `no checkpoint could be written: ${error.message}` })

const placeOfState = ({ current: { state }, founding }: Pick<Room, "current" | "founding">): SnapshotPlace => {
  const bytes = state.reader.get(configurationKey)
  return { index: indexOf(state.stamp()), term: termOf(state.reader), configuration: bytes === undefined ? founding : configurationRow.decode(bytes) }
}

const applyAll = Effect.fnUntraced(function*(room: Room, entries: ReadonlyArray<Entry>) {
  const replies: Array<Reply> = []
  for (const [at, entry] of entries.entries()) {
    if (at % appliedAtOnceMax === appliedAtOnceMax - 1) yield* Effect.yieldNow
    yield* admitted(room)
    replies.push(applyOne(room, entry))
  }
  return replies
})

const applyOne = (room: Room, entry: Entry): Reply => {
  const { current: { state }, options } = room
  assert(entry.index === indexOf(state.stamp()) + 1, "entries are applied in their order, each once")
  const applied = applyEntry(state.reader, state.stamp(), entry, options)
  state.write(applied.rows, applied.stamp)
  room.term = entry.term
  room.logBytes += entryBytesOf(entry)
  options.observe?.(entry, applied)
  const { commit, members } = applied
  if (members !== undefined) changed(room, members)
  if (commit !== undefined) {
    if (!isHousework(commit.entry.change)) room.lastChange = commit.done.sequence
    options.applied(commit.entry, commit.done.answer)
  }
  if (isDue(room)) room.wanted.openUnsafe()
  return applied.reply
}

const isDue = ({ current: { state }, logBytes, options: { logBytesMax = replicaLogBytesMax } }: Room): boolean => {
  const { bytes, rows } = state.overlay()
  return rows >= overlayRowsMax || bytes >= overlayBytesMax || logBytes >= logBytesMax
}

/** Memory is bounded: where checkpoints do not keep up, what is committed waits, and Raft takes no more once too much does. */
const admitted = (room: Room): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { bytes, rows } = room.current.state.overlay()
    if (rows < overlayRowsStop && bytes < overlayBytesStop) return Effect.void
    room.settled.closeUnsafe()
    room.wanted.openUnsafe()
    return Effect.andThen(room.settled.await, admitted(room))
  })

const checkpoint = (room: Room): Effect.Effect<void, StateError> =>
  room.turn.withPermit(Effect.suspend(() => {
    const { logBytes } = room
    return Effect.flatMap(room.current.state.checkpoint, (older) => {
      room.logBytes -= logBytes
      room.settled.openUnsafe()
      return room.compact(indexOf(older))
    })
  }))

/** A failure is tried again: the log keeps everything meanwhile. */
const checkpoints = (room: Room): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(room.wanted.await, Effect.suspend(() => {
    room.wanted.closeUnsafe()
    const again = (error: StateError): Effect.Effect<void> =>
      Effect.andThen(Effect.logError(unavailable(error).message), Effect.andThen(Effect.sleep(checkpointRetryMs), Effect.sync(() => room.wanted.openUnsafe())))
    return Effect.catch(checkpoint(room), again)
  })))

/** Raft calls nothing else meanwhile; readers and checkpoints go on in the old state. */
const install = Effect.fnUntraced(function*(room: Room, from: ReplicaId, wanted: SnapshotPlace) {
  const { options: { peers, pieceBytes, slots } } = room
  const fetched = yield* Effect.result(fetchState({ options: slots, peers, from, slot: otherSlot(room.current.slot), index: wanted.index, ...(pieceBytes === undefined ? {} : { pieceBytes }) }))
  if (fetched._tag === "Failure") return yield* passed(from, fetched.failure)
  const next = fetched.success
  const why = tooOld(levelOf(next.state.reader), room.options.levels)
  if (why !== undefined) return yield* Effect.andThen(next.close, passed(from, new StateError({ reason: "UnknownFormat", detail: why })))
  const switched = yield* Effect.result(room.turn.withPermit(Effect.andThen(writePointer(slots, { slot: next.slot, founding: wanted.configuration }), Effect.sync(() => take(room, next, wanted)))))
  if (switched._tag === "Failure") return yield* Effect.andThen(next.close, passed(from, switched.failure))
  yield* switched.success.close
  return placeOfState(room)
})

const take = (room: Room, next: OpenSlot, { configuration }: SnapshotPlace): OpenSlot => {
  const last = room.current
  room.current = next
  room.founding = configuration
  room.term = termOf(next.state.reader)
  room.logBytes = 0
  room.lastChange = next.state.stamp().sequence
  room.settled.openUnsafe()
  changed(room, recordOf(next.state.reader))
  return last
}

/** Raft asks again, there or elsewhere, as long as it needs a state. */
const passed = (from: ReplicaId, error: PeerError | StateError): Effect.Effect<undefined> =>
  Effect.as(Effect.logWarning(`a state was not fetched from ${from}, and will be asked for again: ${error.message}`), undefined)

/** Whichever state counts: who holds on to it sees the fetched one once it is there. */
const stateOf = (room: Room): StateService => {
  const of = (): StateService => room.current.state
  return {
    reader: readerOf(room),
    write: (changes, stamp) => of().write(changes, stamp),
    stamp: () => of().stamp(),
    overlay: () => of().overlay(),
    checkpoint: Effect.suspend(() => of().checkpoint),
    root: () => of().root(),
    cache: () => of().cache(),
    resizeCache: (bytesMax) => of().resizeCache(bytesMax),
    status: () => of().status(),
    indexDamage: () => of().indexDamage(),
    inspection: {
      nodes: () => of().inspection.nodes(),
      checkpoints: () => of().inspection.checkpoints(),
      checkpoint: (path) => of().inspection.checkpoint(path),
      observe: (seen) => of().inspection.observe(seen)
    }
  }
}

const readerOf = (room: Room): StateReader => {
  const of = (): StateReader => room.current.state.reader
  /** As a state's own scans: where another state came meanwhile, it seeks its place there. */
  function* scan(from: RowKey, to: RowKey, reverse = false): Generator<readonly [RowKey, Uint8Array]> {
    let [low, high] = [from, to]
    for (let isMoved = true; isMoved;) {
      isMoved = false
      const { current } = room
      for (const row of current.state.reader.scan(low, high, reverse)) {
        yield row
        if (room.current === current) continue
        if (reverse) high = row[0]
        else low = `${row[0]}\0`
        isMoved = true
        break
      }
    }
  }
  return { get: (key) => of().get(key), getMany: (keys) => of().getMany(keys), first: (from, to) => of().first(from, to), scan }
}
