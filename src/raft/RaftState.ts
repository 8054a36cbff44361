/**
 * RaftState: everything that one replica of one group knows, what happens to it, and what it wants done. Between the machine's
 * parts (Election, Follower, Leader, Reads), which change it, and the runner, which brings events and carries out commands.
 */
import type { Configuration } from "./Configuration.ts"
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"
import type { Message } from "./Message.ts"
import { compact, concludeTerms, configurationAt, firstGapOf, lastIndexOf, mayGoOn, type RaftLog, type Slot } from "./RaftLog.ts"

export interface RaftOptions {
  /** A follower that hears nothing for once to twice this long stands for election; a leader that no quorum answers for this long steps down. */
  readonly electionMs: number
  readonly heartbeatMs: number
  /** Entries of one message. */
  readonly appendBytesMax: number
  /** Messages with entries on their way to one peer. */
  readonly appendsInFlightMax: number
  /** Entries of this leader that are not committed; what comes beyond is refused. */
  readonly uncommittedBytesMax: number
  /** Reads that wait for a round. */
  readonly readsWaitingMax: number
}

export type Role = "Follower" | "PreCandidate" | "Candidate" | "Leader"

/** What a leader knows of a member, itself included. */
export interface Peer {
  /** Probe: one message, then its answer. Replicate: one after another. Snapshot: it fetches a state. */
  mode: "Probe" | "Replicate" | "Snapshot"
  /** Stored there. 0 <= match < next */
  match: LogIndex
  next: LogIndex
  /** The last index of each message with entries that is not answered, ascending; at most appendsInFlightMax. */
  inFlight: Array<LogIndex>
  /** A probe is under way. */
  isWaiting: boolean
  /** The last one that it answered; never above the leader's. */
  round: number
  /** Since the last look whether a quorum is there. */
  wasHeard: boolean
}

export interface WaitingRead {
  readonly read: number
  /** Of a follower; undefined: asked here. */
  readonly from: ReplicaId | undefined
  /** The round that says that this replica still led after the read came; undefined: to come. */
  round: number | undefined
  index: LogIndex
}

/** Being written, in the order of their tickets. */
export interface Pending {
  readonly ticket: number
  /** The first index that changes; undefined: none. */
  readonly from: LogIndex | undefined
  /** What must not be said before: votes, and what is stored. Those to itself are its own vote and its own copy. */
  readonly held: Array<Message>
}

/** What has changed in this step and is not given out to be written. */
export interface Unsaved {
  hardState: boolean
  truncateFrom: LogIndex | undefined
  readonly entries: Map<LogIndex, Entry>
  snapshot: SnapshotPlace | undefined
  readonly held: Array<Message>
}

export interface RaftState {
  readonly id: ReplicaId
  readonly options: RaftOptions
  nowMs: number
  /** In [0, 1), drawn anew for every tick: the next time-out is so much longer. */
  jitter: number
  role: Role
  term: Term
  vote: ReplicaId | undefined
  leader: ReplicaId | undefined
  /** When its leader was last heard; -Infinity: none was. */
  heardMs: number
  readonly log: RaftLog
  /** The newest of the log, committed or not, and where it stands. */
  configuration: Configuration
  configurationIndex: LogIndex
  /** snapshot.index <= handed <= commit <= last index */
  commit: LogIndex
  /** Given out to be applied. */
  handed: LogIndex
  readonly pending: Array<Pending>
  readonly unsaved: Unsaved
  ticketNext: number
  /** Follower and candidates: when it stands. Leader: when it looks whether a quorum is there. */
  electionDueMs: number
  heartbeatDueMs: number
  /** Of candidates. */
  readonly votes: Map<ReplicaId, boolean>
  /** Of a leader. */
  readonly peers: Map<ReplicaId, Peer>
  /** Of the messages of this leader; rises with every batch of reads. */
  round: number
  readonly reads: Array<WaitingRead>
  transfer: { readonly to: ReplicaId; readonly dueMs: number } | undefined
  /** Of a leader. */
  uncommittedBytes: number
  /** Entries of this leader from the first gap on, which do not show yet that they are what was there. */
  proving: ReadonlyArray<Entry>
  /** The state that is being fetched. */
  fetching: SnapshotPlace | undefined
  /** Its disk failed: it does nothing more. */
  failed: string | undefined
}

export type RaftEvent =
  | { readonly _tag: "Ticked"; readonly nowMs: number; readonly jitter: number }
  | { readonly _tag: "Received"; readonly message: Message }
  | { readonly _tag: "Propose"; readonly proposal: number; readonly bytes: Uint8Array }
  | { readonly _tag: "Read"; readonly read: number }
  | { readonly _tag: "ChangeMembership"; readonly proposal: number; readonly voters: ReadonlyArray<ReplicaId>; readonly learners: ReadonlyArray<ReplicaId> }
  | { readonly _tag: "TransferLeadership"; readonly to: ReplicaId }
  /** All up to this ticket is on the disk. */
  | { readonly _tag: "Persisted"; readonly ticket: number }
  | { readonly _tag: "PersistFailed"; readonly detail: string }
  /** A state that stands for the log up to `index` is on the disk, and no entry before it is needed. */
  | { readonly _tag: "Compact"; readonly index: LogIndex }
  | { readonly _tag: "SnapshotInstalled"; readonly snapshot: SnapshotPlace }
  | { readonly _tag: "SnapshotFailed" }

export type RefusalReason = "NotLeader" | "Transferring" | "Busy" | "UnderWay" | "NoVoters" | "Failed"

export type RaftCommand =
  /**
   * In this order: hard state; the log ends before truncateFrom; each entry takes its place, over one that is there; a snapshot
   * stands for what is up to its index. All of it, and all before it, is on the disk before Persisted answers.
   */
  | {
    readonly _tag: "Persist"
    readonly ticket: number
    readonly hardState: HardState | undefined
    readonly truncateFrom: LogIndex | undefined
    readonly entries: ReadonlyArray<Entry>
    readonly snapshot: SnapshotPlace | undefined
  }
  | { readonly _tag: "Send"; readonly message: Message }
  /** Committed, and on this replica's disk; in order, each once. */
  | { readonly _tag: "Apply"; readonly entries: ReadonlyArray<Entry> }
  | { readonly _tag: "Accepted"; readonly proposal: number; readonly index: LogIndex; readonly term: Term }
  | { readonly _tag: "RefuseProposal"; readonly proposal: number; readonly reason: RefusalReason; readonly leader: ReplicaId | undefined }
  /** Once `index` is applied here the read is linearizable. */
  | { readonly _tag: "ReadReady"; readonly read: number; readonly index: LogIndex }
  | { readonly _tag: "RefuseRead"; readonly read: number; readonly leader: ReplicaId | undefined }
  | { readonly _tag: "FetchSnapshot"; readonly from: ReplicaId; readonly snapshot: SnapshotPlace }

/** What recovery found of a replica. */
export interface RaftStart {
  readonly id: ReplicaId
  readonly options: RaftOptions
  readonly hardState: HardState
  readonly snapshot: SnapshotPlace
  /** Dense behind the snapshot. */
  readonly slots: ReadonlyArray<Slot>
  /** Where the state stands that is on the disk; it may be ahead of the log, which is then given up for it. */
  readonly applied: SnapshotPlace
  readonly nowMs: number
  readonly jitter: number
}

export const initialState = (start: RaftStart): RaftState => {
  const { applied, hardState: { term, vote }, id, jitter, nowMs, options, slots, snapshot } = start
  const kept: RaftLog = { snapshot, slots: [...slots] }
  concludeTerms(kept)
  const isOfLog = applied.index < snapshot.index || (applied.index === snapshot.index ? applied.term === snapshot.term : mayGoOn(kept, applied))
  const log: RaftLog = isOfLog ? kept : { snapshot: applied, slots: [] }
  // What the state stands for need not be read again.
  const isHealed = isOfLog && (firstGapOf(log) ?? Infinity) <= applied.index
  if (isHealed) {
    compact(log, applied)
    concludeTerms(log)
  }
  const { configuration, index } = configurationAt(log)
  const handed = Math.max(applied.index, log.snapshot.index)
  return {
    id, options, nowMs, jitter, role: "Follower", term, vote, leader: undefined, heardMs: -Infinity, log, configuration, configurationIndex: index,
    commit: handed, handed, pending: [],
    unsaved: { hardState: false, truncateFrom: isOfLog ? undefined : snapshot.index + 1, entries: new Map(), snapshot: isOfLog && !isHealed ? undefined : applied, held: [] },
    ticketNext: 1, electionDueMs: nowMs + options.electionMs * (1 + jitter), heartbeatDueMs: nowMs, votes: new Map(), peers: new Map(), round: 0, reads: [],
    transfer: undefined, uncommittedBytes: 0, proving: [], fetching: undefined, failed: undefined
  }
}

/** All up to here is on the disk, as it is now. */
export const durableIndexOf = ({ log, pending }: RaftState): LogIndex => {
  let durable = lastIndexOf(log)
  for (const { from } of pending) if (from !== undefined) durable = Math.min(durable, from - 1)
  return durable
}
