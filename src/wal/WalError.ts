/** What can go wrong with the journal, by name. Between wal/ and everyone who appends, reads or starts it. */
import { Data } from "effect"

/**
 * Lost: the batch's write or sync failed, its segment is abandoned; append again, under the new epoch.
 * EpochMoved: the append asked for an epoch that has passed; nothing was appended.
 * Failed: two segments in a row failed; nothing is accepted until a restart on a disk that works. Reads go on.
 * Closed: the journal is stopping. TooLarge: a record or an append beyond its limit.
 * NotHere: released, or not durable. Damaged: the record's bytes are not what was written.
 * Missing: the journal no longer holds what the caller needs from it. Unknown: written by a newer version.
 * Misused: a call out of its order. Disk: the disk said no.
 */
export type WalErrorReason =
  | "Lost" | "EpochMoved" | "Failed" | "Closed" | "TooLarge" | "NotHere" | "Damaged" | "Missing" | "Unknown" | "Misused" | "Disk"

export class WalError extends Data.TaggedError("WalError")<{
  readonly reason: WalErrorReason
  readonly segment: number
  readonly offset: number
  readonly detail: string
}> {
  override get message(): string {
    return `journal: ${this.reason} at ${this.segment}:${this.offset}: ${this.detail}`
  }
}

/** A batch that was proven durable is not readable: corruption, never taken for a torn tail (R4). The node stops. */
export class WalDamaged extends Data.TaggedError("WalDamaged")<{
  readonly segment: number
  readonly offset: number
  /** Number of the damaged batch; 0 for a segment's header. */
  readonly batch: number
  readonly detail: string
}> {
  override get message(): string {
    return `journal: segment ${this.segment} is damaged at byte ${this.offset} (batch ${this.batch}): ${this.detail}. ` +
      "Restore this segment from a backup or a peer; nothing was changed on the disk."
  }
}
