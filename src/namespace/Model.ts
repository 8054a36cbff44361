/**
 * The nouns of the namespace: what a commit asks (Change), what it answers, and what a read returns.
 * They sit between the gateway, which makes them from requests, and the replicated machine, which applies them.
 */
import type { BlockId, BucketId, ChunkId, Hash, Sequence, UploadId, VertexHash } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"

/** Where a sealed chunk lies. Offsets and lengths are those of the sealed bytes. */
export type CopyPlace =
  | { readonly _tag: "Journal"; readonly segment: number; readonly offset: number; readonly lengthBytes: number }
  | { readonly _tag: "Block"; readonly block: BlockId; readonly offset: number; readonly lengthBytes: number }

/** A copy; its incarnation is the sequence of the commit that made it, never reused (R1). */
export interface Copy {
  readonly place: CopyPlace
  readonly incarnation: Sequence
}

/** What the namespace knows of a chunk. */
export interface ChunkRow {
  readonly id: ChunkId
  readonly sizeBytes: number
  readonly sealedHash: Hash
  /** References by versions, parts and manifest pages. 0 <= references. */
  readonly references: number
  readonly copies: ReadonlyArray<Copy>
  /** Since when nothing names it; it may be freed (R1). Present iff references = 0. */
  readonly condemnedAt?: Sequence
}

/** A chunk that comes with a commit: its bytes are already in the journal or in a synced block. */
export interface ChunkArrival {
  readonly id: ChunkId
  readonly sizeBytes: number
  readonly sealedHash: Hash
  readonly place: CopyPlace
}

/** A block that is on disk: written, synced, read back and verified. */
export interface BlockArrival {
  readonly block: BlockId
  readonly sizeBytes: number
  readonly hash: Hash
  readonly regions: number
}

export interface ManifestEntry {
  readonly chunk: ChunkId
  /** Bytes of the object that it covers. */
  readonly sizeBytes: number
}

/**
 * The bytes of an object: in the row, as a list of chunks, or as a tree whose pages are sealed chunks too
 * (R9; level 1: a page lists chunks, level n: a page lists pages of level n - 1; Manifest.ts has their encoding).
 */
export type Manifest =
  | { readonly _tag: "Inline"; readonly bytes: Uint8Array }
  | { readonly _tag: "Chunks"; readonly entries: ReadonlyArray<ManifestEntry> }
  | { readonly _tag: "Pages"; readonly level: number; readonly entries: ReadonlyArray<ManifestEntry> }

export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256"

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  /** Base64, as S3 sends it; composite ones end with "-N". */
  readonly value: string
  readonly type: "FULL_OBJECT" | "COMPOSITE"
}

/** What a client says of an object besides its bytes. Header names in lower case (content-type, cache-control, …). */
export interface Attributes {
  readonly headers: Readonly<Record<string, string>>
  /** Names without "x-amz-meta-", in lower case. */
  readonly userMetadata: Readonly<Record<string, string>>
}

/** One part of a completed multipart object, as GET ?partNumber and GetObjectAttributes show it. */
export interface ObjectPart {
  readonly partNumber: number
  readonly sizeBytes: number
  readonly checksum?: Checksum
}

/** Bytes stored and described, ready to be named by a commit. */
export interface Content {
  readonly sizeBytes: number
  /** Without quotes. */
  readonly etag: string
  /** The ETag (of a part) is the MD5 of its bytes, so that the whole object's can be md5(md5s)-N. */
  readonly etagIsMd5: boolean
  readonly checksum?: Checksum
  readonly manifest: Manifest
  readonly arrivals: ReadonlyArray<ChunkArrival>
  readonly blocks: ReadonlyArray<BlockArrival>
}

/** Judged in apply (R9), against the current version; a delete marker counts as absent. */
export interface WriteCondition {
  /** An ETag without quotes, or "*". */
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

export type VersioningStatus = "Unversioned" | "Enabled" | "Suspended"

export interface DeleteTarget {
  readonly key: string
  /** Absent: hide the current version as S3 does. "null" or an id: that version goes. */
  readonly versionId?: string
  readonly condition?: WriteCondition
}

export interface CompletedPart {
  readonly partNumber: number
  readonly etag: string
}

/** What a commit asks for. Buckets are named; `apply` resolves names, so that a request never meets a stale id. */
export type Change =
  | { readonly _tag: "CreateBucket"; readonly bucket: string; readonly id: BucketId; readonly owner: string }
  | { readonly _tag: "DeleteBucket"; readonly bucket: string }
  | { readonly _tag: "SetVersioning"; readonly bucket: string; readonly status: "Enabled" | "Suspended" }
  | { readonly _tag: "PutObject"; readonly bucket: string; readonly key: string; readonly attributes: Attributes
      readonly content: Content; readonly condition?: WriteCondition }
  | { readonly _tag: "DeleteObjects"; readonly bucket: string; readonly targets: ReadonlyArray<DeleteTarget> }
  | { readonly _tag: "CreateUpload"; readonly bucket: string; readonly key: string; readonly upload: UploadId
      readonly attributes: Attributes; readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type: "FULL_OBJECT" | "COMPOSITE" } }
  | { readonly _tag: "PutPart"; readonly bucket: string; readonly key: string; readonly upload: UploadId
      readonly partNumber: number; readonly content: Content }
  | { readonly _tag: "CompleteUpload"; readonly bucket: string; readonly key: string; readonly upload: UploadId
      readonly parts: ReadonlyArray<CompletedPart>; readonly content: Content; readonly objectParts: ReadonlyArray<ObjectPart>
      readonly condition?: WriteCondition }
  | { readonly _tag: "AbortUpload"; readonly bucket: string; readonly key: string; readonly upload: UploadId }
  /** The store ends an upload that was begun before this time and got no part since: whoever looked for it may have looked long ago. */
  | { readonly _tag: "AbortStaleUpload"; readonly bucket: string; readonly key: string; readonly upload: UploadId; readonly before: HybridTime }
  /** Lets up to `limit` parts of an ended upload go; proposed again until none is left. */
  | { readonly _tag: "DropParts"; readonly upload: UploadId; readonly limit: number }
  /** Names a manifest page and what it lists before any version does (R9). */
  | { readonly _tag: "StagePage"; readonly page: ChunkId; readonly level: number; readonly entries: ReadonlyArray<ManifestEntry>
      readonly arrivals: ReadonlyArray<ChunkArrival>; readonly blocks: ReadonlyArray<BlockArrival> }
  /** Journal -> block by compare-and-set: a chunk whose journal copy is no longer `from` is left alone (R10). */
  | { readonly _tag: "BlockSealed"; readonly block: BlockArrival
      readonly moves: ReadonlyArray<{ readonly chunk: ChunkId; readonly from: CopyPlace; readonly to: CopyPlace }> }
  /** Copies of these chunks were found damaged; their bytes came again and take the copies' place (R1). */
  | { readonly _tag: "ChunksHealed"; readonly arrivals: ReadonlyArray<ChunkArrival>; readonly blocks: ReadonlyArray<BlockArrival> }
  /** History before this sequence can no longer be read; never goes back (R5). */
  | { readonly _tag: "RaiseHorizon"; readonly oldestReadable: Sequence }
  /** What the bucket shows is again what it showed at commit `to` (R5); rolled back to the commit before this one, it is undone. */
  | { readonly _tag: "Rollback"; readonly bucket: string; readonly to: Sequence }
  /** A new bucket that shows what `source` showed at commit `from`; from here on each goes its own way (R5). */
  | { readonly _tag: "Branch"; readonly bucket: string; readonly source: string; readonly id: BucketId; readonly owner: string; readonly from: Sequence }
  /** Hides versions that have expired, the earliest first, up to `limit` of them; proposed again until none is left. */
  | { readonly _tag: "ExpireVersions"; readonly limit: number }
  /** Versions that expired, were hidden, and are shown again by a rollback or branch: their turn to be hidden comes anew. */
  | { readonly _tag: "ExpireAgain"; readonly rows: ReadonlyArray<VersionPlace> }
  /** Version rows that no commit which can be read shows go, as far as `apply` finds that so (R5). */
  | { readonly _tag: "PurgeVersions"; readonly rows: ReadonlyArray<VersionPlace> }
  /** Up to `limit` rows of commits before `before` and the horizon go, and what the horizon took of these buckets. */
  | { readonly _tag: "DropHistory"; readonly before: Sequence; readonly limit: number; readonly buckets: ReadonlyArray<BucketId> }
  /** The record of a deletion: chunks that are condemned since just then, and named by nothing, are gone (R1). */
  | { readonly _tag: "FreeChunks"; readonly chunks: ReadonlyArray<{ readonly chunk: ChunkId; readonly condemnedAt: Sequence }> }
  /** A block in which no chunk has a copy is gone; others stay. */
  | { readonly _tag: "DropBlock"; readonly block: BlockId }
  /** Chunks written before regions were recorded and chunks condemned; `done`: there are no more of them. */
  | { readonly _tag: "ReindexChunks"; readonly chunks: ReadonlyArray<ChunkId>; readonly done: boolean }

/** Where a version row lies. */
export interface VersionPlace {
  readonly source: BucketId
  readonly rows: "version" | "hidden"
  readonly key: string
  readonly sequence: Sequence
  readonly ordinal: number
}

export interface DeleteOutcome {
  readonly key: string
  readonly versionId?: string
  /** A delete marker was made, or the version that went was one. */
  readonly deleteMarker: boolean
  readonly deleteMarkerVersionId?: string
  readonly refusal?: Refusal
}

export type Answer =
  | { readonly _tag: "Done" }
  | { readonly _tag: "Stored"; readonly versionId: string | undefined; readonly etag: string; readonly checksum?: Checksum }
  | { readonly _tag: "Deleted"; readonly outcomes: ReadonlyArray<DeleteOutcome> }
  | { readonly _tag: "Dropped"; readonly remaining: boolean }
  /** What a commit of collection let go: `items` of what it was asked for, with `bytes` of sealed chunks. */
  | { readonly _tag: "Collected"; readonly items: number; readonly bytes: number; readonly remaining: boolean }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }

/** Why a commit changed nothing, or a read found nothing: what the gateway turns into S3's codes. */
export type Refusal =
  | "NoSuchBucket" | "BucketAlreadyOwnedByYou" | "BucketNotEmpty"
  | "NoSuchKey" | "NoSuchVersion" | "NoSuchUpload"
  | "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall"
  | "PreconditionFailed" | "ChunkMissing"
  /** The version asked for is a delete marker (405 by version id, 404 as current). */
  | "DeleteMarker"
  /** A rollback or branch to a commit at which the bucket of today was not there yet. */
  | "BucketBornLater"
  | "CommitInFuture" | "CommitBeforeHorizon"
  /** One more interval than a bucket may have: it was rolled back, or branched from branches, too often. */
  | "LineageTooLong"
  /** The version to be hidden is hidden in as many branches as a row can say. */
  | "TooManyHides"

export interface BucketInfo {
  readonly id: BucketId
  readonly name: string
  readonly createdMs: number
  readonly versioning: VersioningStatus
  readonly owner: string
}

/** One version of one object (or a delete marker), as a read sees it. */
export interface ObjectVersion {
  readonly key: string
  /** "null" for those written while versioning was off or suspended; else 20 hex digits (sequence, ordinal). */
  readonly versionId: string
  readonly sequence: Sequence
  readonly time: HybridTime
  readonly isLatest: boolean
  readonly deleteMarker: boolean
  readonly sizeBytes: number
  readonly etag: string
  readonly attributes: Attributes
  readonly checksum?: Checksum
  readonly parts?: ReadonlyArray<ObjectPart>
  readonly manifest: Manifest
  readonly vertex: VertexHash
  /** The version that was current when this one was written. */
  readonly parent?: VertexHash
  /** Since when S3 no longer lists it (overwritten without versioning, or deleted); history still reads it. */
  readonly hiddenAt?: Sequence
  /** From this millisecond on it reads as if it had been deleted. */
  readonly expiresMs?: number
}

/** A version that was written over another. */
export interface ChildVersion {
  readonly key: string
  readonly sequence: Sequence
  readonly ordinal: number
}

/** A point of history. Absent: now. */
export type AsOf =
  | { readonly _tag: "Sequence"; readonly sequence: Sequence }
  | { readonly _tag: "Time"; readonly ms: number }

export interface ListQuery {
  readonly prefix: string
  readonly delimiter: string
  /** Strictly after this key (a common prefix counts as every key that it covers). "" for the start. */
  readonly after: string
  readonly limit: number
}

export interface ObjectPage {
  readonly versions: ReadonlyArray<ObjectVersion>
  readonly commonPrefixes: ReadonlyArray<string>
  /** Where the next page starts (`after`); absent on the last page. */
  readonly next?: string
}

export interface VersionQuery extends ListQuery {
  /** With `after` as the key: strictly after this version of it; absent: after all versions of that key. */
  readonly afterVersionId?: string
}

export interface VersionPage {
  readonly versions: ReadonlyArray<ObjectVersion>
  readonly commonPrefixes: ReadonlyArray<string>
  readonly next?: { readonly key: string; readonly versionId?: string }
}

export interface DiffQuery {
  readonly prefix: string
  /** Strictly after this key; "" for the start. */
  readonly after: string
  readonly limit: number
}

/** A key that two views show differently; a delete marker shows nothing. */
export type DiffEntry =
  | { readonly _tag: "Added"; readonly key: string; readonly to: ObjectVersion }
  | { readonly _tag: "Removed"; readonly key: string; readonly from: ObjectVersion }
  /** Another version, though its bytes may be the same. */
  | { readonly _tag: "Changed"; readonly key: string; readonly from: ObjectVersion; readonly to: ObjectVersion; readonly sameBytes: boolean }

/** May be empty and have a next one: a page reads a bounded number of keys. */
export interface DiffPage {
  readonly entries: ReadonlyArray<DiffEntry>
  readonly next?: string
}

/** How a bucket came to what it shows, besides what was written in it. */
export type LineageEvent =
  & { readonly sequence: Sequence; readonly time?: HybridTime }
  & (
    | { readonly _tag: "Branch"; readonly source: string; readonly at: Sequence }
    /** To a commit that shows the same as the one that was asked for; absent where it is not known any more. */
    | { readonly _tag: "Rollback"; readonly to?: Sequence }
  )

/** A bucket at a commit. */
export interface BucketAt {
  readonly bucket: string
  readonly at: Sequence
}

export interface UploadInfo {
  readonly upload: UploadId
  readonly key: string
  readonly startedMs: number
  readonly attributes: Attributes
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type: "FULL_OBJECT" | "COMPOSITE" }
}

export interface PartInfo {
  readonly partNumber: number
  readonly sizeBytes: number
  readonly etag: string
  readonly etagIsMd5: boolean
  readonly modifiedMs: number
  readonly checksum?: Checksum
  readonly manifest: Manifest
}

/** What `log` shows of a commit. */
export interface CommitInfo {
  readonly sequence: Sequence
  readonly time: HybridTime
}
