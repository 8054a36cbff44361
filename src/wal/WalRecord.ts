/** The journal's nouns: what is appended and where it lies. Between the callers of wal/ and its machine and bytes. */
import type { Hash } from "../base/ids.ts"

/**
 * A sealed chunk's bytes, a sealed entry of the commit log of a store with one member, or a sealed record of a Raft group.
 * An unknown kind at recovery stops the node (R9).
 */
export type RecordKind = "Chunk" | "Commit" | "Raft"

/** Rot in such a record is told to whoever replays it, and is no damage of the journal: others may still have it. */
export const mayBeDamaged = (kind: RecordKind): boolean => kind !== "Commit"

export interface WalRecord {
  readonly kind: RecordKind
  /** Must not change until the ticket is durable: it is written from here, never copied. */
  readonly payload: Uint8Array
}

/** A place between records: marks and heads are such places. Ordered by (segment, offset). */
export interface WalPlace {
  readonly segment: number
  readonly offset: number
}

/** A record's payload: `length` bytes at `offset` of segment `segment`. Handed out once, never reused. */
export interface WalPosition extends WalPlace {
  readonly length: number
}

/** What batch n+1, or the next segment's header, carries of batch n: it proves n (R4). */
export interface BatchLink extends WalPosition {
  /** Number of the batch; the first of a store is 1, 0 stands for "none before". */
  readonly batch: number
  /** BLAKE3 over the batch's header and its records' headers, which carry the payloads' hashes. */
  readonly hash: Hash
}

/** Whoever keeps records in the journal: the namespace's checkpoints, the chunks waiting for a block, the Raft groups. */
export type WalConsumer = "state" | "ingest" | "raft"
/** Nothing leaves before each of these has said what it needs. Raft counts once it has: most nodes have no group. */
export const walConsumers: ReadonlyArray<WalConsumer> = ["state", "ingest"]

/** Negative, zero or positive, as `a` lies before, at or behind `b`. */
export const comparePlaces = (a: WalPlace, b: WalPlace): number =>
  a.segment === b.segment ? a.offset - b.offset : a.segment - b.segment

/** The place just behind a record or batch: what a consumer that needs nothing up to it passes to `release`. */
export const placeAfter = (position: WalPosition): WalPlace => ({
  segment: position.segment,
  offset: position.offset + position.length
})

export const noLink: BatchLink = { segment: 0, offset: 0, length: 0, batch: 0, hash: "0".repeat(64) as Hash }
