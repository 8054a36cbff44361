/**
 * Namespace: buckets, keys, versions and commits, as a service. It sits between put/get/gateway and the journal:
 * a change is appended, synced, applied in order, answered; reads never wait.
 */
import { Context, Data, type Effect } from "effect"
import type { BlockId, ChunkId, Sequence, UploadId, VertexHash } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import type * as Model from "./Model.ts"

/** The change was refused, or what a read asked for is not there. */
export class Refused extends Data.TaggedError("Refused")<{
  readonly refusal: Model.Refusal
  readonly bucket: string
  readonly key?: string
  readonly sequence: Sequence
}> {
  override get message(): string {
    return `${this.refusal}: ${this.bucket}${this.key === undefined ? "" : `/${this.key}`} (at commit ${this.sequence})`
  }
}

/** AS OF a point that cannot be read: before the horizon, in the future, or before the first commit's time. */
export class AsOfRefused extends Data.TaggedError("AsOfRefused")<{
  readonly reason: "BeforeHorizon" | "Future"
  readonly asked: string
  readonly oldestReadable: Sequence
  readonly head: Sequence
}> {
  override get message(): string {
    return this.reason === "Future"
      ? `AS OF ${this.asked} is in the future: the newest commit is ${this.head}`
      : `AS OF ${this.asked} is before the horizon: history is kept from commit ${this.oldestReadable} on`
  }
}

/** The store cannot take the change now: the journal failed, the disk is full, the chunks of an abandoned segment are lost, or the members that answer are no majority. */
export class Unavailable extends Data.TaggedError("Unavailable")<{
  readonly reason: "JournalFailed" | "DiskFull" | "LostChunks" | "BlockFailed" | "CommitTooLarge" | "Stopped" | "NoQuorum"
  readonly detail: string
}> {
  override get message(): string {
    return `unavailable: ${this.reason}: ${this.detail}`
  }
}

export interface Committed {
  readonly sequence: Sequence
  readonly time: HybridTime
  readonly answer: Exclude<Model.Answer, { readonly _tag: "Refused" }>
}

/** A commit, and a point of time at which it was the newest, or is. */
export interface Moment {
  readonly sequence: Sequence
  readonly ms: number
}

/** An object as the newest commit has it. */
export interface Current {
  readonly sequence: Sequence
  readonly bucket: Model.BucketInfo
  readonly version: Model.ObjectVersion
}

type Read<A> = Effect.Effect<A, Refused | AsOfRefused>

/** Of a store with several members: how this one stands to the others. */
export interface Quorum {
  /**
   * Once it succeeds reads here see all that was answered, anywhere, before it began (R12); with `ageMsMax`, all that was answered so many milliseconds
   * before that, which a member that is cut off may still know of itself. Unavailable NoQuorum.
   */
  readonly fence: (ageMsMax?: number) => Effect.Effect<void, Unavailable>
  /** What one member does for all is this one's to do. Two may believe so for a while: commits of housework are judged in apply. */
  readonly leads: () => boolean
}

/** Whether housework that the whole store needs once is this node's. */
export const leads = ({ quorum }: Pick<NamespaceService, "quorum">): boolean => quorum?.leads() ?? true

export interface NamespaceService {
  /** Absent: the store has no other member, and reads see everything. */
  readonly quorum?: Quorum
  /**
   * Logs, syncs and applies one change; a refusal is an error and changes nothing (but has its sequence).
   * `walEpoch` is the journal's epoch at which the change's chunks were appended: LostChunks where it has moved since.
   * `author` is the principal that asked; absent, the node itself. `once`: 32 bytes of all that makes a client's request this one: what was done under
   * them is not done again, and has the answer that it had, where the store has other members; one without does not keep them.
   */
  readonly propose: (change: Model.Change, walEpoch?: number, author?: string, once?: Uint8Array) => Effect.Effect<Committed, Refused | Unavailable>
  readonly head: () => Model.CommitInfo
  readonly oldestReadable: () => Sequence
  /** The newest commit that was not the store's own housework; at a start, the newest of all. */
  readonly lastChange: () => Sequence
  /** The sequence that AS OF means; head where absent. */
  readonly resolve: (asOf: Model.AsOf | undefined) => Effect.Effect<Sequence, AsOfRefused | Unavailable>
  /**
   * The commit and the point of time that AS OF means: what has expired by then is not shown. Now where absent, that
   * very time where it is one, the commit's time where it is a sequence.
   */
  readonly momentOf: (asOf: Model.AsOf | undefined) => Effect.Effect<Moment, AsOfRefused | Unavailable>
  readonly buckets: (at: Sequence) => Effect.Effect<ReadonlyArray<Model.BucketInfo>, AsOfRefused>
  readonly bucket: (name: string, at: Sequence) => Read<Model.BucketInfo>
  /**
   * `atMs` of these three: the point of time at which a version must not have expired; absent, now for the newest
   * commit, and for an earlier one the time of that. Current version, or the one named. Refused NoSuchKey | NoSuchVersion; a delete marker is returned, flagged. */
  readonly object: (bucket: string, key: string, versionId: string | undefined, at: Sequence, atMs?: number) => Read<Model.ObjectVersion>
  /**
   * The current version of a key at the newest commit, and its bucket, without an Effect: what most reads want. It is of
   * one moment, so whoever waits for something in between looks again. Undefined where there is none, or one of more
   * than `sizeBytesMax`: `object` has it, or says why not.
   */
  readonly current: (bucket: string, key: string, nowMs: number, sizeBytesMax?: number) => Current | undefined
  readonly listObjects: (bucket: string, query: Model.ListQuery, at: Sequence, atMs?: number) => Read<Model.ObjectPage>
  readonly listVersions: (bucket: string, query: Model.VersionQuery, at: Sequence, atMs?: number) => Read<Model.VersionPage>
  /** Every version of a key (or of all keys) with those S3 no longer lists: what `log` shows, newest first by key. */
  readonly history: (bucket: string, query: Model.VersionQuery, at: Sequence) => Read<Model.VersionPage>
  /** What changed between two commits of a bucket, or between two buckets, by key. A bucket that is not there at one of them shows nothing. */
  readonly diff: (from: Model.BucketAt, to: Model.BucketAt, query: Model.DiffQuery) => Read<Model.DiffPage>
  /** The branch that the bucket began as and its rollbacks, oldest first. */
  readonly lineage: (bucket: string, at: Sequence) => Read<ReadonlyArray<Model.LineageEvent>>
  /** The versions written over this one, oldest first: what follows it in the graph of versions. */
  readonly children: (bucket: string, parent: VertexHash, at: Sequence) => Read<ReadonlyArray<Model.ChildVersion>>
  readonly upload: (bucket: string, key: string, upload: UploadId) => Read<Model.UploadInfo>
  readonly listUploads: (
    bucket: string, query: Model.ListQuery & { readonly afterUpload?: UploadId }
  ) => Read<{ readonly uploads: ReadonlyArray<Model.UploadInfo>; readonly commonPrefixes: ReadonlyArray<string>; readonly next?: { readonly key: string; readonly upload?: UploadId } }>
  readonly listParts: (
    bucket: string, key: string, upload: UploadId, after: number, limit: number
  ) => Read<{ readonly parts: ReadonlyArray<Model.PartInfo>; readonly next?: number }>
  /** Batched look-up; undefined where no live chunk has that id. */
  readonly chunks: (ids: ReadonlyArray<ChunkId>) => ReadonlyArray<Model.ChunkRow | undefined>
  /** When the version that expires first does, or did so that housework is due; undefined: none does. */
  readonly expiringSince: () => number | undefined
  /** The oldest chunks whose only copy is in the journal, in journal order: what settle seals next. */
  readonly journaled: (limit: number) => ReadonlyArray<Model.ChunkRow>
  /** Uploads that ended and whose parts are still to be dropped. */
  readonly endedUploads: (limit: number) => ReadonlyArray<UploadId>
  readonly block: (id: BlockId) => Model.BlockArrival | undefined
  /** Newest commit whose time is at or before `ms`; 0 where none. */
  readonly sequenceAt: (ms: number) => Sequence
  readonly counts: () => { readonly commits: number; readonly journaledBytes: number }
  /** Checkpoints when due (rows, bytes or journal since the last one), or at once with `now`; then lets the journal go. */
  readonly checkpoint: (now?: boolean) => Effect.Effect<void, Unavailable>
}

export class Namespace extends Context.Service<Namespace, NamespaceService>()("ouroborosdb/namespace/Namespace") {}
