/**
 * Message: what replicas of one group say to each other. Between machines; the carrier signs, frames and delivers them, maybe,
 * in any order, maybe twice. Every one carries its sender's term: a higher one makes its hearer a follower.
 */
import type { Entry, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"

export type MessageBody =
  /** Of a candidate; `pre`: would you vote for me, in the term after mine? Nobody's term changes by that (dissertation, 9.6). */
  | {
    readonly _tag: "RequestVote"
    readonly pre: boolean
    readonly lastIndex: LogIndex
    readonly lastTerm: Term
    /** The leader asked it to stand: nobody waits for that leader's silence. */
    readonly transfer: boolean
  }
  | { readonly _tag: "Vote"; readonly pre: boolean; readonly granted: boolean }
  /** Of a leader: entries that follow on (previousIndex, previousTerm), or none: still here. */
  | {
    readonly _tag: "Append"
    readonly previousIndex: LogIndex
    readonly previousTerm: Term
    readonly entries: ReadonlyArray<Entry>
    readonly commit: LogIndex
    /** Of reads: an answer to this round or a later one says that its sender still followed when the round began. */
    readonly round: number
  }
  /**
   * All up to `match` is on the sender's disk, and the leader's. What has come behind that, up to `received`, waits for more, up
   * to `damagedTo`: only then it shows whether it is what the sender can no longer read.
   */
  | { readonly _tag: "Appended"; readonly match: LogIndex; readonly received: LogIndex; readonly damagedTo: LogIndex | undefined; readonly round: number }
  /**
   * What follows on `previousIndex` cannot be appended: the last place at which the logs may agree is `hintIndex`, whose term
   * here is `hintTerm`; they cannot agree on any entry of a later term (dissertation, 5.3; the search goes by terms).
   */
  | {
    readonly _tag: "Refused"
    readonly previousIndex: LogIndex
    readonly hintIndex: LogIndex
    readonly hintTerm: Term
    /** Entries behind `hintIndex` can no longer be read here, acknowledged though they may be: send them again, up to this index; undefined: all can. */
    readonly damagedTo: LogIndex | undefined
    readonly round: number
  }
  /** Follows still, whatever becomes of its disk. */
  | { readonly _tag: "Heard"; readonly round: number }
  /** The log no longer has what the hearer needs: fetch this state instead. */
  | { readonly _tag: "Offer"; readonly snapshot: SnapshotPlace; readonly round: number }
  /** Stand for election at once. */
  | { readonly _tag: "TimeoutNow" }
  /** Of a follower: at which index may I read? */
  | { readonly _tag: "ReadAsked"; readonly read: number }
  | { readonly _tag: "ReadAnswered"; readonly read: number; readonly index: LogIndex | undefined }
  /** Of a replica with damaged entries: who has these? */
  | { readonly _tag: "EntriesWanted"; readonly from: LogIndex; readonly to: LogIndex }
  /** From `from` on, as far as they go: terms of all, which show whether they are the same, and the first of the entries. */
  | { readonly _tag: "EntriesFound"; readonly from: LogIndex; readonly terms: ReadonlyArray<Term>; readonly entries: ReadonlyArray<Entry> }
  /** Only a state stands for them. */
  | { readonly _tag: "StateFound"; readonly snapshot: SnapshotPlace }

export interface Message {
  readonly from: ReplicaId
  readonly to: ReplicaId
  readonly term: Term
  readonly body: MessageBody
}
