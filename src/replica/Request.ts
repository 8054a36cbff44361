/**
 * Request: the nouns of a change on its way through a cluster: who asks and as the how manieth of his session (R14), what the log has of
 * it, what came of it, and what replicas ask each other. Between proposers, the leader, the log and apply.
 */
import type { Sequence } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import type { MembershipError } from "../membership/MembershipError.ts"
import type { CheckpointKind } from "../namespace/CheckpointFormat.ts"
import type { Entry } from "../namespace/Entry.ts"
import type { Answer } from "../namespace/Model.ts"
import type { Unavailable } from "../namespace/Namespace.ts"
import type { LogIndex, ReplicaId, Term } from "../raft/Entry.ts"
import type { FeatureLevel } from "./FeatureLevel.ts"

/** The index of the entry that opened it: never given out twice. */
export type SessionId = LogIndex

/** `digest` covers all that makes a request this one: principal and change. 32 bytes. */
export interface RequestId {
  readonly session: SessionId
  /** From 1 on, each for one request; the answers of the last `sessionWindow` are kept. */
  readonly number: number
  readonly digest: Uint8Array
  /** 32 bytes of all that makes a client's request this one: what was done under it is answered again, in any session. Absent: nobody named it. */
  readonly name?: Uint8Array
}

/** A change that is not stamped yet: sequence and time are the leader's to say. */
export type Unstamped = Omit<Entry, "sequence" | "time" | "request"> & { readonly request: RequestId }

/** What a command of the log is. */
export type Command =
  /** `sealed`: a namespace entry as LoggedEntry has it. `term`: in which it was stamped; in another one it changes nothing. */
  | { readonly _tag: "Commit"; readonly term: Term; readonly sealed: Uint8Array }
  /** `timeMs`: the leader's clock. */
  | { readonly _tag: "OpenSession"; readonly timeMs: number }
  /** No later commit gets a time of this millisecond or before: somebody reads as of then. */
  | { readonly _tag: "Settle"; readonly timeMs: number }
  /** A change of the record of members: bytes of encodeMembershipChange. Made twice it is one, so that it needs no session. */
  | { readonly _tag: "Members"; readonly bytes: Uint8Array }
  /** From here on the cluster's feature level is at least that. */
  | { readonly _tag: "Raise"; readonly level: FeatureLevel }

/** What a request came to: kept for as long as its session lives, or its window. Of an answer to deletions without the keys: the request has them. */
export interface Done {
  readonly sequence: Sequence
  readonly time: HybridTime
  readonly answer: Answer
}

/** NotLeader, Settling, Busy, Stale: nothing happened, and will not. Unknown: it may have happened, or may yet. */
export type AgainReason = "NotLeader" | "Settling" | "Busy" | "Stale" | "Unknown"

/** What a replica answers who asks for a change. */
export type Reply =
  | ({ readonly _tag: "Done" } & Done)
  | { readonly _tag: "Opened"; readonly session: SessionId }
  | { readonly _tag: "Settled" }
  /** Ask `leader`, or somebody else, or later: the same request, under the same number. */
  | { readonly _tag: "Again"; readonly reason: AgainReason; readonly leader?: ReplicaId }
  /** Nothing happened: its session is no more; its number is before the window; its number was another request's. */
  | { readonly _tag: "Refused"; readonly reason: "Expired" | "Forgotten" | "Misused" }
  /** Nothing happened, and asking again does not help. */
  | { readonly _tag: "Unavailable"; readonly reason: Unavailable["reason"]; readonly detail: string }
  | ({ readonly _tag: "Offered" } & StateOffer)
  | { readonly _tag: "Piece"; readonly bytes: Uint8Array }
  /** It does not have what it was asked for, or no longer. */
  | { readonly _tag: "Gone" }
  /** The record of members was changed, or was so already, by the entry at `index`. */
  | { readonly _tag: "Membered"; readonly index: LogIndex }
  /** By the record as it was at `index` (MembershipError); 0: the leader cannot read the change, and nothing was logged. */
  | ({ readonly _tag: "MembersRefused"; readonly index: LogIndex } & Pick<MembershipError, "what" | "reason" | "detail">)
  /** The feature level that the replica's program reads. */
  | { readonly _tag: "Reads"; readonly level: FeatureLevel }

export interface OfferedFile {
  readonly kind: CheckpointKind
  readonly generation: number
  readonly sizeBytes: number
  /** Hash of its trailer, which has roots and stamps: files with one identity hold the same rows. */
  readonly identity: Uint8Array
}

/** A checkpoint of the state: files that together are its newest generation. */
export interface StateOffer {
  readonly generation: number
  readonly files: ReadonlyArray<OfferedFile>
}

/** What one replica asks another. */
export type Ask =
  | { readonly _tag: "Propose"; readonly change: Unstamped }
  | { readonly _tag: "OpenSession" }
  | { readonly _tag: "Settle"; readonly timeMs: number }
  /** A state that has all up to `index`. */
  | { readonly _tag: "Offer"; readonly index: LogIndex }
  | { readonly _tag: "Piece"; readonly kind: CheckpointKind; readonly generation: number; readonly offset: number; readonly lengthBytes: number }
  /** Bytes of encodeMembershipChange. */
  | { readonly _tag: "Members"; readonly bytes: Uint8Array }
  /** How much of the log's language it reads. */
  | { readonly _tag: "Level" }
