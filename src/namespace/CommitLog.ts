/**
 * CommitLog: where entries become durable before they are applied. It sits between the namespace, which orders, seals
 * and applies them, and what keeps them: the journal of the one node today, Raft over the journals of many later.
 */
import { Context, Data, type Effect } from "effect"

/** A place in the log; replay starts at one. */
export interface LogPlace {
  readonly segment: number
  readonly offset: number
}

export class CommitLogError extends Data.TaggedError("CommitLogError")<{
  /** EpochMoved: nothing was appended, for the epoch is not the one asked for. Lost: appended, never to be durable. */
  readonly reason: "EpochMoved" | "Lost" | "DiskFull" | "Closed" | "Damaged" | "Disk"
  readonly detail: string
}> {
  override get message(): string {
    return `commit log: ${this.reason}: ${this.detail}`
  }
}

export interface LogTicket {
  /** The place just after each entry, in order. */
  readonly after: ReadonlyArray<LogPlace>
  /** Succeeds once all entries are durable. */
  readonly durable: Effect.Effect<void, CommitLogError>
}

export interface LoggedEntry {
  readonly bytes: Uint8Array
  readonly after: LogPlace
}

/**
 * The order of `append` calls is the order of the log. Within an epoch durability is a prefix: an entry is durable only
 * if all appended before it in that epoch are; when one is lost the epoch rises, and what was appended after it in
 * the same epoch is lost too and never replayed.
 */
export interface CommitLogService {
  /** Appends all or nothing, on the disk too, and only while the epoch is `epoch`: checked where the place is given out. */
  readonly append: (entries: ReadonlyArray<Uint8Array>, epoch: number) => Effect.Effect<LogTicket, CommitLogError>
  /** Whether one append takes so many entries of so many bytes in all. */
  readonly takes: (entries: number, bytes: number) => boolean
  readonly epoch: () => number
  /** Visits each durable entry whose place after it lies behind `from`, in order; before the first append only. */
  readonly replay: <E>(
    from: LogPlace, visit: (entry: LoggedEntry) => Effect.Effect<void, E>
  ) => Effect.Effect<void, E | CommitLogError>
  /** Entries before this place are needed no more. */
  readonly release: (keepFrom: LogPlace) => Effect.Effect<void, CommitLogError>
  /** The end of what is durable. */
  readonly head: () => LogPlace
  /** Its disk is nearly full: only entries that give space back should be appended (R11). */
  readonly spaceLow: () => boolean
}

export class CommitLog extends Context.Service<CommitLog, CommitLogService>()("ouroborosdb/namespace/CommitLog") {}
