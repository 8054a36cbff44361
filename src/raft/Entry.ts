/**
 * Entry: the nouns of a replicated log: replicas, terms, entries, and what a replica keeps on its disk. Between whoever
 * proposes commands, the machine (Raft.ts) and the bytes of the journal.
 */
import type { Configuration } from "./Configuration.ts"

/**
 * A voter or learner: one incarnation of one disk. A disk that was emptied comes back under another id, as another replica:
 * under its old one it might vote a second time (R2).
 */
export type ReplicaId = string

/** Rises with every election; 0 before the first. */
export type Term = number

/** Place of an entry in its group's log; the first is 1, 0 stands before it. */
export type LogIndex = number

export type EntryBody =
  /** The first entry of every leader: what came before it is committed with it (dissertation, 6.4). */
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Command"; readonly bytes: Uint8Array }
  | { readonly _tag: "Configuration"; readonly configuration: Configuration }

export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly body: EntryBody
}

/** What an entry counts against limits; those without a command are not free. */
export const entryBytesOf = ({ body }: Entry): number => (body._tag === "Command" ? body.bytes.length : 0) + entryBytesLeast
const entryBytesLeast = 32

/** Kept on the disk before anything that it promises is said to anyone (Raft paper, figure 2). */
export interface HardState {
  readonly term: Term
  /** In `term`. */
  readonly vote: ReplicaId | undefined
}

/** A state of the store that stands for the log up to `index`. */
export interface SnapshotPlace {
  readonly index: LogIndex
  readonly term: Term
  /** As of `index`. */
  readonly configuration: Configuration
}
