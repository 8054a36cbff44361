/**
 * RaftTrace: what the replicas of one group did, step by step, in all their lives: the language that the monitor
 * (RaftMonitor.ts) and tla/raft/TraceRaft.tla judge. It sits between whoever records a run and them. Actions and messages have
 * the names and fields of tla/raft/Raft.tla; numbers of entries begin with 1, and 0 or "" says that there is none.
 */

/** Ids ascending. */
export interface Conf {
  readonly voters: ReadonlyArray<string>
  readonly outgoing: ReadonlyArray<string>
  readonly learners: ReadonlyArray<string>
}

/** `t`: its term, -1 where that is lost; `c`: the configuration that it may be; `ok`: false for a gap; `what`: its command, hashed. */
export interface Slot {
  readonly t: number
  readonly c: Conf
  readonly ok: boolean
  readonly what: string
}

/** Up to where a state stands for the log. */
export interface Place {
  readonly i: number
  readonly t: number
  readonly c: Conf
}

/** Grants and requests, as they are of one kind for all who hear them: a sender says each at most once in a step. */
export type Said =
  | { readonly m: "RequestVote"; readonly from: string; readonly term: number; readonly pre: boolean; readonly transfer: boolean; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly m: "Vote"; readonly from: string; readonly to: string; readonly term: number; readonly pre: boolean }
  | { readonly m: "TimeoutNow"; readonly from: string; readonly to: string; readonly term: number }
  | { readonly m: "Append"; readonly from: string; readonly term: number; readonly prev: number; readonly prevTerm: number; readonly entries: ReadonlyArray<Slot>; readonly commit: number; readonly round: number }
  | { readonly m: "Appended"; readonly from: string; readonly to: string; readonly term: number; readonly match: number }
  | { readonly m: "Refused"; readonly from: string; readonly to: string; readonly term: number; readonly hint: number }
  | { readonly m: "Heard"; readonly from: string; readonly to: string; readonly term: number; readonly round: number }
  | { readonly m: "Offer"; readonly from: string; readonly term: number; readonly place: Place; readonly round: number }
  | { readonly m: "EntriesWanted"; readonly from: string; readonly term: number; readonly low: number; readonly high: number }
  | { readonly m: "EntriesFound"; readonly to: string; readonly term: number; readonly low: number; readonly terms: ReadonlyArray<number>; readonly entries: ReadonlyArray<Slot> }
  | { readonly m: "StateFound"; readonly from: string; readonly to: string; readonly term: number; readonly place: Place }
  | { readonly m: "ReadAnswered"; readonly from: string; readonly to: string; readonly term: number; readonly read: number; readonly index: number }

export type Role = "Follower" | "PreCandidate" | "Candidate" | "Leader"

/** What the machine holds once the step is done: what the invariants speak of. */
export interface After {
  readonly role: Role
  readonly term: number
  readonly vote: string
  readonly leader: string
  readonly commit: number
  /** Given out to be applied. */
  readonly handed: number
  /** What a state stands for ends here. */
  readonly first: number
  readonly last: number
  /** Its first gap. */
  readonly gap: number
  /** Persists under way. */
  readonly pending: number
  /** Of a leader: what it believes its members to have, itself apart; ids ascending. */
  readonly match: ReadonlyArray<readonly [id: string, match: number]>
  readonly round: number
  readonly rounds: ReadonlyArray<readonly [id: string, round: number]>
  /** Reads that wait, each with its round and index. */
  readonly reads: number
  /** The place of the state that it fetches. */
  readonly fetching: number
  /** Entries that show nothing yet: behind which place, how many. */
  readonly proving: readonly [behind: number, count: number]
}

/** In this order: hard state; the log ends before `cut`; entries take their places; a state stands for what is up to `place`. Each but `ticket` may be left out: 0, or empty. */
export interface Written {
  readonly ticket: number
  readonly hard: ReadonlyArray<{ readonly term: number; readonly vote: string }>
  readonly cut: number
  readonly entries: ReadonlyArray<{ readonly i: number; readonly e: Slot }>
  readonly place: ReadonlyArray<Place>
}

/** What recovery found: hard state and log on the disk, and where the state stands that is there. */
export interface Found {
  readonly term: number
  readonly vote: string
  readonly place: Place
  readonly slots: ReadonlyArray<Slot>
  readonly saved: Place
}

/** What a step brought about besides. */
interface Effects {
  readonly said: ReadonlyArray<Said>
  /** At most one. */
  readonly written: ReadonlyArray<Written>
  readonly answered: ReadonlyArray<{ readonly read: number; readonly index: number }>
  readonly after: After
}

type Steps =
  /** The first start of a replica; one after the power was cut, the process killed, or entries damaged. */
  | { readonly action: "Begin"; readonly found: Found; readonly after: After }
  | { readonly action: "Crash"; readonly found: Found; readonly after: After }
  /** Nobody's message: time, or what follows from a message that changes nothing else. `Failed`: its disk did, and it does nothing more. */
  | { readonly action: "StandOrAsk" | "StepDown" | "Failed" | "Beat" | "Propose" | "SnapshotFailed" } & Effects
  /** `round`: what the answer that came also says. */
  | { readonly action: "AppendedBy" | "RefusedBy" | "HeardOf"; readonly heard: Said; readonly round: number } & Effects
  | { readonly action: "VoteAsked" | "Voted" | "TimeoutNow" | "AppendAsked" | "Offered" | "EntriesWanted" | "EntriesFound" | "StateFound"; readonly heard: Said } & Effects
  /** A later term is heard of, and nothing else. */
  | { readonly action: "Raised"; readonly term: number } & Effects
  /** A vote is refused, or taken back; perhaps it cannot be elected any more. */
  | { readonly action: "Denied"; readonly by: string } & Effects
  | { readonly action: "ChangeMembership"; readonly target: Conf } & Effects
  /** `read`: a client's here, or the one that a follower passes on. */
  | { readonly action: "Read" | "ReadAsked"; readonly read: number } & Effects
  | { readonly action: "ReadAnswered"; readonly heard: Said } & Effects
  | { readonly action: "Persisted"; readonly ticket: number } & Effects
  | { readonly action: "Compact" | "SnapshotInstalled"; readonly place: Place } & Effects
  /** A state is on the disk; the log goes on as it was. */
  | { readonly action: "Saved"; readonly place: Place; readonly after: After }

/** `at`: which replica. */
export type RaftStep = Steps & { readonly at: string }
/** `Finish`: the trace is whole. */
export type RaftTrace = ReadonlyArray<RaftStep | { readonly action: "Finish"; readonly at: ""; readonly steps: number }>
