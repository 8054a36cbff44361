/**
 * WalCommitLog: the commit log of a store with one member: entries are records of its one journal (R3). It sits between
 * the namespace, which asks for a CommitLog, and wal/.
 */
import { Effect, Layer } from "effect"
import { CommitLog, CommitLogError, type LoggedEntry, type LogPlace } from "../namespace/CommitLog.ts"
import { placeAfter, type RecordKind, type WalPosition } from "../wal/WalRecord.ts"
import { WalDamaged, WalError } from "../wal/WalError.ts"
import { Wal } from "../wal/WalService.ts"

export const layer: Layer.Layer<CommitLog, never, Wal> = Layer.effect(CommitLog, Effect.gen(function*() {
  const wal = yield* Wal
  return CommitLog.of({
    append: (entries, epoch) =>
      wal.append(entries.map((payload) => ({ kind: "Commit" as const, payload })), epoch).pipe(
        Effect.map((ticket) => ({
          after: ticket.positions.map(placeAfter),
          durable: Effect.mapError(ticket.durable, logError)
        })),
        Effect.mapError(logError)
      ),
    takes: wal.takes,
    epoch: wal.epoch,
    replay: <E>(from: LogPlace, visit: (entry: LoggedEntry) => Effect.Effect<void, E>) =>
      wal.replay(
        from.segment === 0 ? undefined : from,
        ({ kind, position, payload }) => kind === "Commit" ? visit({ bytes: payload, after: placeAfter(position) }) : Effect.void,
        nameDamaged
      ).pipe(Effect.mapError((error): E | CommitLogError =>
        error instanceof WalError || error instanceof WalDamaged ? logError(error) : error)),
    release: (keepFrom) => Effect.mapError(wal.release("state", keepFrom), logError),
    head: wal.head,
    spaceLow: wal.spaceLow
  })
}))

/** The chunk alone is lost; whoever reads it hears so, and which. */
const nameDamaged = ({ length, offset, segment }: WalPosition, kind: RecordKind): Effect.Effect<void> =>
  Effect.logError(`a ${kind === "Chunk" ? "chunk" : "Raft record"} of ${length} bytes in the journal at ${segment}:${offset} is damaged`)

const logError = (error: WalError | WalDamaged): CommitLogError =>
  new CommitLogError({ reason: reasonOf(error), detail: error.message })

const reasonOf = (error: WalError | WalDamaged): CommitLogError["reason"] => {
  if (error._tag === "WalDamaged") return "Damaged"
  switch (error.reason) {
    case "EpochMoved":
      return "EpochMoved"
    case "Lost":
      return /NoSpace/.test(error.detail) ? "DiskFull" : "Lost"
    case "Closed": case "Failed":
      return /NoSpace/.test(error.detail) ? "DiskFull" : "Closed"
    case "Damaged": case "Unknown": case "Missing": case "NotHere":
      return "Damaged"
    case "TooLarge": case "Misused": case "Disk":
      return "Disk"
  }
}
