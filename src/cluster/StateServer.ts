/**
 * StateServer: gives states to replicas whose leader's log no longer has what they need (Raft dissertation, 5): which pieces there are, and the pieces, as often as
 * they are asked for. Between whoever keeps states (a SnapshotSource) and the carrier. A state is open from its plan's first ask until nobody has asked for a while.
 */
import { Clock, Data, Effect, Exit, Scope, Semaphore } from "effect"
import { stateFilesMax, stateIdleMsMax, stateOpenMax, statePieceBytes, statePiecesMax } from "../base/raftLimits.ts"
import { hashBytes } from "../base/hash.ts"
import type { GroupId } from "../base/ids.ts"
import { AnswerRefused } from "../carrier/CarrierError.ts"
import type { CarrierInterface, Handler } from "../carrier/CarrierService.ts"
import { watched } from "../ports/Health.ts"
import type { LogIndex, SnapshotPlace } from "../raft/Entry.ts"
import { decodePiecesAsk, decodePlan, decodePlanAsk, encodePlan, isPiece, type PlannedFile, piecesOf, type StatePlan } from "./StatePlan.ts"
import { topics } from "./Topics.ts"

export class SnapshotReadError extends Data.TaggedError("SnapshotReadError")<{ readonly file: string; readonly offset: number; readonly detail: string }> {}

/** A state as it was at its place: whatever is written meanwhile, its bytes stay as they are until the scope closes. */
export interface OpenSnapshot {
  readonly place: SnapshotPlace
  readonly files: ReadonlyArray<PlannedFile>
  readonly read: (file: string, offset: number, bytes: number) => Effect.Effect<Uint8Array, SnapshotReadError>
}

export interface SnapshotSource {
  /** The newest state of the group that stands for its log up to `index` or beyond; undefined: there is none. */
  readonly open: (group: GroupId, index: LogIndex) => Effect.Effect<OpenSnapshot | undefined, SnapshotReadError, Scope.Scope>
}

interface Open {
  readonly plan: StatePlan
  readonly snapshot: OpenSnapshot
  readonly scope: Scope.Closeable
  usedMs: number
  readers: number
}

interface Room {
  readonly source: SnapshotSource
  readonly pieceBytes: number
  readonly open: Map<string, Open>
  /** One plan is made at a time: all of a state is read for it. */
  readonly planning: Semaphore.Semaphore
}

const monotonicMs = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))
const refuse = (detail: string): AnswerRefused => new AnswerRefused({ detail })
const unreadable = ({ detail, file, offset }: SnapshotReadError): AnswerRefused => refuse(`${file} cannot be read at ${offset}: ${detail}`)

/** Serves until the scope closes. `pieceBytes`: of one message. */
export const serveStates = Effect.fnUntraced(function*(carrier: CarrierInterface, source: SnapshotSource, pieceBytes = statePieceBytes): Effect.fn.Return<void, never, Scope.Scope> {
  const room: Room = { source, pieceBytes, open: new Map(), planning: yield* Semaphore.make(1) }
  yield* Effect.addFinalizer(() => Effect.forEach([...room.open.values()], (one) => close(room, one)))
  yield* carrier.serve(topics.statePlan, planAsked(room))
  yield* carrier.serve(topics.statePieces, piecesAsked(room))
  yield* Effect.forkScoped(watched("states: closes those that nobody asks for", Effect.forever(Effect.andThen(Effect.sleep(stateIdleMsMax / 4), closeIdle(room)))))
})

const close = ({ open }: Room, one: Open): Effect.Effect<void> => {
  open.delete(one.plan.id)
  return Scope.close(one.scope, Exit.void)
}

const closeIdle = (room: Room): Effect.Effect<void> =>
  Effect.flatMap(monotonicMs, (nowMs) => Effect.forEach([...room.open.values()].filter(({ readers, usedMs }) => readers === 0 && nowMs - usedMs >= stateIdleMsMax), (one) => close(room, one), { discard: true }))

const planAsked = (room: Room): Handler => ({ bytes }) =>
  Effect.gen(function*() {
    const asked = decodePlanAsk(bytes)
    if (typeof asked === "string") return yield* refuse(asked)
    const { encoded } = (yield* room.planning.withPermits(1)(plan(room, asked.group as GroupId, asked.index))).plan
    return encoded
  })

const plan = Effect.fnUntraced(function*(room: Room, group: GroupId, index: LogIndex) {
  const nowMs = yield* monotonicMs
  for (const one of room.open.values()) {
    if (one.plan.group !== group || one.plan.place.index < index) continue
    one.usedMs = nowMs
    return one
  }
  // The one that was asked for longest ago makes room.
  const idle = [...room.open.values()].filter(({ readers }) => readers === 0).sort((a, b) => a.usedMs - b.usedMs)[0]
  if (room.open.size >= stateOpenMax && idle === undefined) return yield* refuse(`${room.open.size} states are being fetched: ask again later`)
  if (room.open.size >= stateOpenMax && idle !== undefined) yield* close(room, idle)
  const scope = yield* Scope.make()
  return yield* Effect.onExit(begin(room, group, index, scope), (exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, Exit.void)))
})

const begin = Effect.fnUntraced(function*({ open, pieceBytes, source }: Room, group: GroupId, index: LogIndex, scope: Scope.Closeable) {
  const snapshot = yield* Effect.mapError(Scope.provide(source.open(group, index), scope), unreadable)
  if (snapshot === undefined || snapshot.place.index < index) return yield* refuse(`no state of group ${group} that stands for its log up to ${index}`)
  const { files, place, read } = snapshot
  const pieces = piecesOf(files, pieceBytes)
  if (files.length > stateFilesMax || pieces.length > statePiecesMax) return yield* refuse(`a state of ${files.length} files in ${pieces.length} pieces is more than can be sent`)
  const hashes = yield* Effect.mapError(Effect.forEach(pieces, ({ bytes, file, offset }) => Effect.map(read(file, offset, bytes), hashBytes)), unreadable)
  const planned = decodePlan(encodePlan(group, place, files, pieceBytes, hashes))
  if (typeof planned === "string") return yield* refuse(`its state cannot be sent: ${planned}`)
  const one: Open = { plan: planned, snapshot, scope, usedMs: yield* monotonicMs, readers: 0 }
  open.set(planned.id, one)
  return one
})

const piecesAsked = (room: Room): Handler => ({ bytes }, more) =>
  Effect.gen(function*() {
    const asked = decodePiecesAsk(bytes)
    if (typeof asked === "string") return yield* refuse(asked)
    const one = room.open.get(asked.plan)
    if (one === undefined) return yield* refuse(`no state ${asked.plan} is open here: ask for a plan again`)
    one.readers += 1
    return yield* Effect.ensuring(give(one, asked.from, asked.to, more), Effect.map(monotonicMs, (nowMs) => {
      one.readers -= 1
      one.usedMs = nowMs
    }))
  })

const nothing = new Uint8Array(0)

/** What the disk gives is looked at again: it may have changed since the plan was made. */
const give = Effect.fnUntraced(function*({ plan, snapshot }: Open, from: number, to: number, more: Parameters<Handler>[1]) {
  for (const piece of plan.pieces.slice(from, to)) {
    const bytes = yield* Effect.mapError(snapshot.read(piece.file, piece.offset, piece.bytes), unreadable)
    if (!isPiece(piece, bytes)) return yield* refuse(`${piece.file} at ${piece.offset} is no longer what it was: damaged`)
    yield* more(bytes)
  }
  return nothing
})
