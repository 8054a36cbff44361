/**
 * Entry: one change as the replicated log has it, with everything `apply` may know of it. It sits between the
 * proposer, which stamps and encodes it, and the machine, which applies the same bytes on every member.
 */
import { assert } from "../base/assert.ts"
import type { Sequence, TenantId, VaultId } from "../base/ids.ts"
import {
  bucketsPerDropMax, chunksPerFreeMax, chunksPerReindexMax, commitBytesMax, commitMovesMax, commitRowsMax, deleteTargetsPerCommitMax, versionsPerPurgeMax
} from "../base/limits.ts"
import type { HybridTime } from "../base/time.ts"
import { decodeWith, encodeWith, flag, FormatError, list, optional, raw, struct, text, uint, uint64, union, word } from "./Canonical.ts"
import type { Change, DeleteTarget, VersionPlace } from "./Model.ts"
import {
  attributes, blockArrival, blockArrivals, blockId, bucketId, bucketName, checksumAlgorithm, checksumType, chunkArrivals, chunkId,
  completedParts, condition, content, copyPlace, manifestEntries, manifestLevel, objectKey, objectParts, partNumber,
  principal, sequence, tenantId, uploadId, vaultId
} from "./ModelFormat.ts"
import { ordinalMax } from "./Vertex.ts"

export interface Entry {
  readonly format: number
  /** The Raft group; one so far. Sequences count within it. */
  readonly group: number
  readonly sequence: Sequence
  /** Strictly greater than that of the entry before. */
  readonly time: HybridTime
  /** Where the proposer works: bucket names are the tenant's, chunk ids the vault's. */
  readonly tenant: TenantId
  readonly vault: VaultId
  /** The principal that asked. */
  readonly author: string
  /** Room for exactly-once requests (R14). */
  readonly request?: { readonly id: Uint8Array; readonly digest: Uint8Array }
  readonly change: Change
}

export const entryFormat = 1

const target = struct<DeleteTarget>({ key: objectKey, versionId: optional(text(64)), condition: optional(condition) })
const move = struct({ chunk: chunkId, from: copyPlace, to: copyPlace })
const versionPlace = struct<VersionPlace>({
  source: bucketId, rows: word(["version", "hidden"]), key: objectKey, sequence, ordinal: uint(ordinalMax)
})
const condemned = struct({ chunk: chunkId, condemnedAt: sequence })
const uploadChecksum = struct({ algorithm: checksumAlgorithm, type: checksumType })
const bucket = bucketName
const key = objectKey
const upload = uploadId

type Fields<T extends Change["_tag"]> = Omit<Extract<Change, { readonly _tag: T }>, "_tag">

const change = union<Change>({
  CreateBucket: [0, struct<Fields<"CreateBucket">>({ bucket, id: bucketId, owner: principal })],
  DeleteBucket: [1, struct({ bucket })],
  SetVersioning: [2, struct({ bucket, status: word(["Enabled", "Suspended"]) })],
  PutObject: [3, struct<Fields<"PutObject">>({ bucket, key, attributes, content, condition: optional(condition) })],
  DeleteObjects: [4, struct({ bucket, targets: list(target, deleteTargetsPerCommitMax) })],
  CreateUpload: [5, struct<Fields<"CreateUpload">>({ bucket, key, upload, attributes, checksum: optional(uploadChecksum) })],
  PutPart: [6, struct({ bucket, key, upload, partNumber, content })],
  CompleteUpload: [7, struct<Fields<"CompleteUpload">>({ bucket, key, upload, parts: completedParts, content, objectParts, condition: optional(condition) })],
  AbortUpload: [8, struct({ bucket, key, upload })],
  DropParts: [9, struct<Fields<"DropParts">>({ upload, limit: uint(commitRowsMax) })],
  StagePage: [10, struct({ page: chunkId, level: manifestLevel, entries: manifestEntries, arrivals: chunkArrivals, blocks: blockArrivals })],
  BlockSealed: [11, struct({ block: blockArrival, moves: list(move, commitMovesMax) })],
  RaiseHorizon: [12, struct({ oldestReadable: sequence })],
  ChunksHealed: [13, struct({ arrivals: chunkArrivals, blocks: blockArrivals })],
  Rollback: [14, struct({ bucket, to: sequence })],
  Branch: [15, struct<Fields<"Branch">>({ bucket, source: bucketName, id: bucketId, owner: principal, from: sequence })],
  PurgeVersions: [16, struct({ rows: list(versionPlace, versionsPerPurgeMax) })],
  DropHistory: [17, struct({ before: sequence, limit: uint(commitRowsMax), buckets: list(bucketId, bucketsPerDropMax) })],
  FreeChunks: [18, struct({ chunks: list(condemned, chunksPerFreeMax) })],
  DropBlock: [19, struct({ block: blockId })],
  ReindexChunks: [20, struct({ chunks: list(chunkId, chunksPerReindexMax), done: flag })],
  ExpireVersions: [21, struct({ limit: uint(commitRowsMax) })],
  ExpireAgain: [22, struct({ rows: list(versionPlace, versionsPerPurgeMax) })],
  AbortStaleUpload: [23, struct({ bucket, key, upload, before: uint64 })]
})

const codec = struct<Entry>({
  format: uint(entryFormat), group: uint(0xffff_ffff), sequence, time: uint64, tenant: tenantId, vault: vaultId, author: principal,
  request: optional(struct({ id: raw(64), digest: raw(64) })), change
})

/** Canonical bytes; at most commitBytesMax of them, or undefined: the change is too large for one commit (R9). */
export const encodeEntry = (entry: Entry): Uint8Array | undefined => {
  assert(entry.sequence > 0, "the first commit is 1")
  const bytes = encodeWith(codec, entry)
  return bytes.length <= commitBytesMax ? bytes : undefined
}

/**
 * Throws FormatError where the bytes are not exactly those of an entry. An unknown kind is one such: the node stops
 * rather than skip what other members apply (R9).
 */
export const decodeEntry = (bytes: Uint8Array): Entry => {
  if (bytes.length > commitBytesMax) throw new FormatError(`entry: ${bytes.length} bytes, at most ${commitBytesMax}`)
  const entry = decodeWith(codec, bytes, "entry")
  if (entry.format !== entryFormat) throw new FormatError(`entry: unknown format ${entry.format}`)
  if (entry.sequence === 0) throw new FormatError("entry: the first commit is 1")
  return entry
}
