/**
 * State: the rows of the replicated machine, in one ordered table of bytes. It sits between the machine (which reads
 * rows and returns changed ones) and the index (a Merkle tree of sealed nodes) with its overlay of recent changes.
 */
import { Context, Data, type Effect, type Scope } from "effect"
import type { ByteString } from "../base/bytes.ts"
import type { Sequence } from "../base/ids.ts"
import type { CacheStatus } from "../base/SegmentedLru.ts"
import type { HybridTime } from "../base/time.ts"

/** Raw key bytes, one character a byte, so that `<` is the order of the table. The first byte names the table. */
export type RowKey = ByteString

/** A row's new value; undefined removes it. */
export type RowChange = readonly [key: RowKey, value: Uint8Array | undefined]

/** Values belong to the state: not to be changed. */
export interface StateReader {
  readonly get: (key: RowKey) => Uint8Array | undefined
  readonly getMany: (keys: ReadonlyArray<RowKey>) => ReadonlyArray<Uint8Array | undefined>
  /** The first row with from <= key < to: what a scan gives first, at the cost of a point read. */
  readonly first: (from: RowKey, to: RowKey) => readonly [RowKey, Uint8Array] | undefined
  /** Rows with from <= key < to, in order, read lazily; from the last one down where `reverse`. */
  readonly scan: (from: RowKey, to: RowKey, reverse?: boolean) => Iterable<readonly [RowKey, Uint8Array]>
}

/** What the state contains: all commits up to `sequence`; replay goes on at `wal`. */
export interface Stamp {
  readonly sequence: Sequence
  readonly time: HybridTime
  /** Position in the journal just after that commit. */
  readonly wal: { readonly segment: number; readonly offset: number }
}

/**
 * Seals what the state writes: names are never at rest in clear (R8). `context` is a constant that names the use;
 * a value opens only under the context and associated bytes it was sealed with. Neither call keeps what it is given.
 * The vault of sealer/ is one.
 */
export interface ValueSealer {
  readonly sealValue: (context: string, associated: Uint8Array, plaintext: Uint8Array) => Uint8Array
  /** The plaintext, or why not. */
  readonly openValue: (context: string, associated: Uint8Array, bytes: Uint8Array) => Uint8Array | Error
}

export class StateError extends Data.TaggedError("StateError")<{
  /** Damaged: neither generation of checkpoints can be read. */
  readonly reason: "Damaged" | "Disk" | "Index" | "UnknownFormat"
  readonly detail: string
  /** The index refused a write, for want of space most likely: what it holds is as before. */
  readonly unchanged?: boolean
}> {
  override get message(): string {
    return `state: ${this.reason}: ${this.detail}`
  }
}

/** What one step of a walk through the index found. */
export interface NodesInspected {
  /** Nodes read, and what they hold. */
  readonly nodes: number
  readonly bytes: number
  /** Where the walk goes on; undefined at its end. */
  readonly next: RowKey | undefined
  readonly damage: StateError | undefined
}

/** A checkpoint file that is kept. */
export interface CheckpointKept {
  readonly path: string
  readonly sizeBytes: number
}

/** Looks at what the state has at rest, for scrub and verification: never at what memory still holds of it. */
export interface StateInspection {
  /** A walk through all nodes of the index as they lie there: call it with "" and then with `next`, until there is none. */
  readonly nodes: () => (from: RowKey) => NodesInspected
  readonly checkpoints: () => ReadonlyArray<CheckpointKept>
  /** Reads a file from the disk, every byte verified; what is wrong with it, unless it is no longer kept. A new base is due then. */
  readonly checkpoint: (path: string) => Effect.Effect<StateError | undefined>
  /** `seen` hears of every write until the scope closes. */
  readonly observe: (seen: (changes: ReadonlyArray<RowChange>) => void) => Effect.Effect<void, never, Scope.Scope>
}

export interface StateService {
  /** Reads see every write at once. A node of the tree that fails its check is a StateError defect unless healed. */
  readonly reader: StateReader
  /** Into the overlay, at once; the stamp moves with the rows, and never back. Values are kept: not to be changed afterwards. */
  readonly write: (changes: ReadonlyArray<RowChange>, stamp: Stamp) => void
  readonly stamp: () => Stamp
  /** Overlay rows and bytes since the last checkpoint began: what decides when the next one is due. */
  readonly overlay: () => { readonly rows: number; readonly bytes: number }
  /**
   * Folds the overlay into the tree, writes a sealed, hashed checkpoint file, syncs and verifies it; writes go on
   * meanwhile. Returns the stamp of the OLDER of the two generations kept: the journal is needed from there (R8).
   */
  readonly checkpoint: Effect.Effect<Stamp, StateError>
  /** Keyed hash of the root: equal states have equal roots, however they came about. Of the last checkpoint. */
  readonly root: () => string
  /** Opened nodes of the tree in memory; a smaller bound holds at once. */
  readonly cache: () => CacheStatus
  readonly resizeCache: (bytesMax: number) => void
  readonly status: () => { readonly checkpoints: number; readonly rebuilt: boolean; readonly nodes: number }
  /** The first damage that this run met in the index: what lies under it is not served, until the next start rebuilds it. */
  readonly indexDamage: () => StateError | undefined
  readonly inspection: StateInspection
}

export class State extends Context.Service<State, StateService>()("ouroborosdb/namespace/State") {}
