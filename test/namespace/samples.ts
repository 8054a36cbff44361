/** One value of every format of the namespace, each with all its fields: what the golden files hold. */
import { toUtf8 } from "../../src/base/bytes.ts"
import type { BlockId } from "../../src/base/ids.ts"
import { hybridTime } from "../../src/base/time.ts"
import { encodeEntry, entryFormat } from "../../src/namespace/Entry.ts"
import { encodePage } from "../../src/namespace/Manifest.ts"
import type { Attributes, BlockArrival, Change, Checksum, ChunkArrival, Content, Manifest } from "../../src/namespace/Model.ts"
import {
  blockRow, bucketConfigRow, bucketNameRow, chunkRow, commitRow, condemnedRow, deadRow, endedUploadRow, expiryRow, gcRow, horizonRow, journaledRow, lastChangeRow, lineageUserRow, nullVersionRow, partRow,
  type RowFormat, regionRow, stagedPageRow, childRow, totalsRow, uploadRow
} from "../../src/namespace/RowsValue.ts"
import { encodeVersionRow } from "../../src/namespace/RowsVersion.ts"
import { encodeVertex, type Vertex, vertexFormat } from "../../src/namespace/Vertex.ts"
import { arrival, bucketIdOf, chunkIdOf, context, hashOfNumber, tenant, uploadIdOf, vault } from "./store.ts"

const block = "e0000000000000000000000000000001" as BlockId
const blockArrival: BlockArrival = { block, sizeBytes: 16_777_216, hash: hashOfNumber(1), regions: 17 }
const inBlock: ChunkArrival = { ...arrival(2), place: { _tag: "Block", block, offset: 4096, lengthBytes: 1024 } }
const time = hybridTime(1_790_000_000_000, 3)
const attributes: Attributes = { headers: { "content-type": "text/plain", "cache-control": "no-cache" }, userMetadata: { zoë: "\ufeffbom 😀", a: "" } }
const full: Checksum = { algorithm: "CRC32C", value: "4waSgw==", type: "FULL_OBJECT" }
const composite: Checksum = { algorithm: "SHA256", value: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-2", type: "COMPOSITE" }
const chunks: Manifest = { _tag: "Chunks", entries: [{ chunk: chunkIdOf(1), sizeBytes: 10 }, { chunk: chunkIdOf(2), sizeBytes: 4_194_304 }] }
const pages: Manifest = { _tag: "Pages", level: 2, entries: [{ chunk: chunkIdOf(3), sizeBytes: 5_000_000_000 }] }
const content: Content = {
  sizeBytes: 4_194_314, etag: "d41d8cd98f00b204e9800998ecf8427e", etagIsMd5: true, checksum: full, manifest: chunks,
  arrivals: [arrival(1), inBlock], blocks: [blockArrival]
}
const objectParts = [{ partNumber: 1, sizeBytes: 5_242_880, checksum: full }, { partNumber: 10_000, sizeBytes: 1 }]
const key = "a/\0/../😀\ue000"
const bucket = "photos"
const upload = uploadIdOf(7)

export const changes: ReadonlyArray<Change> = [
  { _tag: "CreateBucket", bucket, id: bucketIdOf(1), owner: "root" },
  { _tag: "DeleteBucket", bucket },
  { _tag: "SetVersioning", bucket, status: "Suspended" },
  { _tag: "PutObject", bucket, key, attributes, content, condition: { ifMatch: "etag", ifNoneMatch: "*" } },
  { _tag: "DeleteObjects", bucket, targets: [{ key }, { key, versionId: "null", condition: { ifMatch: "*" } }] },
  { _tag: "CreateUpload", bucket, key, upload, attributes, checksum: { algorithm: "CRC64NVME", type: "FULL_OBJECT" } },
  { _tag: "PutPart", bucket, key, upload, partNumber: 3, content: { ...content, manifest: { _tag: "Inline", bytes: toUtf8("hello") } } },
  { _tag: "CompleteUpload", bucket, key, upload, parts: [{ partNumber: 1, etag: "e-1" }], content: { ...content, manifest: pages, checksum: composite }, objectParts },
  { _tag: "AbortUpload", bucket, key, upload },
  { _tag: "DropParts", upload, limit: 100 },
  { _tag: "StagePage", page: chunkIdOf(3), level: 1, entries: chunks.entries, arrivals: [arrival(3)], blocks: [] },
  { _tag: "BlockSealed", block: blockArrival, moves: [{ chunk: chunkIdOf(1), from: arrival(1).place, to: inBlock.place }] },
  { _tag: "RaiseHorizon", oldestReadable: 12 },
  { _tag: "ChunksHealed", arrivals: [arrival(1), inBlock], blocks: [blockArrival] },
  { _tag: "Rollback", bucket, to: 70_000 },
  { _tag: "Branch", bucket: "photos-2", source: bucket, id: bucketIdOf(2), owner: "root", from: 12 },
  { _tag: "PurgeVersions", rows: [{ source: bucketIdOf(1), rows: "hidden", key, sequence: 70_000, ordinal: 2 }, { source: bucketIdOf(2), rows: "version", key: "a", sequence: 1, ordinal: 0 }] },
  { _tag: "DropHistory", before: 70_000, limit: 1000, buckets: [bucketIdOf(1), bucketIdOf(2)] },
  { _tag: "FreeChunks", chunks: [{ chunk: chunkIdOf(1), condemnedAt: 9 }, { chunk: chunkIdOf(2), condemnedAt: 70_000 }] },
  { _tag: "DropBlock", block },
  { _tag: "ReindexChunks", chunks: [chunkIdOf(1)], done: true },
  { _tag: "ExpireVersions", limit: 250 },
  { _tag: "ExpireAgain", rows: [{ source: bucketIdOf(1), rows: "hidden", key, sequence: 7, ordinal: 3 }] },
  { _tag: "AbortStaleUpload", bucket, key, upload, before: 0x0199_0000_0000_0007n }
]

export const vertex: Vertex = {
  format: vertexFormat, tenant, vault, bucket: bucketIdOf(1), sequence: 258, ordinal: 2, time, kind: "Object", sizeBytes: 5_242_881,
  etag: "d41d8cd98f00b204e9800998ecf8427e-2", etagIsMd5: true, key, parent: context.vertexHash(vault, toUtf8("parent")), attributes,
  checksum: composite, parts: objectParts, manifest: chunks
}

const marker: Vertex = {
  format: vertexFormat, tenant, vault, bucket: bucketIdOf(1), sequence: 1, ordinal: 0, time: 1n, kind: "DeleteMarker", sizeBytes: 0, etag: "", etagIsMd5: false,
  key: "a", attributes: { headers: {}, userMetadata: {} }, manifest: { _tag: "Inline", bytes: new Uint8Array(0) }
}

const versionRow = (of: Vertex, expiresMs?: number) => {
  const bytes = encodeVertex(of)
  return encodeVersionRow({
    nullVersion: of === marker, deleteMarker: of === marker, hash: context.vertexHash(vault, bytes), vertex: bytes, expiresMs,
    hides: of === marker ? [] : [{ bucket: bucketIdOf(1), sequence: 300 }, { bucket: bucketIdOf(2), sequence: 301 }]
  })
}

const sample = <A>(format: RowFormat<A>, value: A): { readonly bytes: Uint8Array; readonly decode: (bytes: Uint8Array) => unknown; readonly value: unknown } =>
  ({ bytes: format.encode(value), decode: format.decode, value })

export const rows = {
  block: sample(blockRow, { tenant, vault, sizeBytes: 16_777_216, hash: hashOfNumber(1), regions: 17, incarnation: 9 }),
  bucketConfig: sample(bucketConfigRow, {
    tenant, vault, name: bucket, owner: "root", created: time, versioning: "Enabled",
    lineage: [{ source: bucketIdOf(1), from: 2, to: 9 }, { source: bucketIdOf(2), from: 12 }]
  }),
  bucketName: sample(bucketNameRow, { tenant, vault, bucket: bucketIdOf(1) }),
  bucketNameDeleted: sample(bucketNameRow, { tenant, vault }),
  child: sample(childRow, { key }),
  chunk: sample(chunkRow, {
    sizeBytes: 10, sealedHash: hashOfNumber(1), references: 3, copies: [{ place: arrival(1).place, incarnation: 4 }, { place: inBlock.place, incarnation: 70_000 }]
  }),
  chunkCondemned: sample(chunkRow, {
    sizeBytes: 10, sealedHash: hashOfNumber(1), references: 0, condemnedAt: 70_000, copies: [{ place: arrival(1).place, incarnation: 4 }, { place: inBlock.place, incarnation: 70_000 }]
  }),
  commit: sample(commitRow, { time, author: "root" }),
  endedUpload: sample(endedUploadRow, { tenant, vault, bucket: bucketIdOf(1), key, completed: { parts: [1, 2], versionId: "null", etag: "e-2", checksum: composite } }),
  expiry: sample(expiryRow, { key }),
  horizon: sample(horizonRow, { oldestReadable: 70_000 }),
  journaled: sample(journaledRow, { vault, chunk: chunkIdOf(1) }),
  lastChange: sample(lastChangeRow, { sequence: 70_000 }),
  lineageUser: sample(lineageUserRow, {}),
  nullVersion: sample(nullVersionRow, { sequence: 258, ordinal: 2 }),
  part: sample(partRow, { tenant, vault, sizeBytes: 10, etag: "e", etagIsMd5: false, modified: time, checksum: full, manifest: pages }),
  stagedPage: sample(stagedPageRow, { level: 1, entries: chunks.entries }),
  condemned: sample(condemnedRow, {}),
  dead: sample(deadRow, { bytes: 70_000 }),
  gc: sample(gcRow, {}),
  region: sample(regionRow, { vault, chunk: chunkIdOf(1), lengthBytes: 1024 }),
  totalsGarbage: sample(totalsRow, { journaledBytes: 2 ** 40, garbage: { condemnedChunks: 3, condemnedBytes: 70_000, deadBytes: 2 ** 33 } }),
  totals: sample(totalsRow, { journaledBytes: 2 ** 40 }),
  upload: sample(uploadRow, { tenant, vault, started: time, owner: "root", attributes, checksum: { algorithm: "SHA1", type: "COMPOSITE" } })
}

export const entryOf = (change: Change, index: number) =>
  ({ format: entryFormat, group: 0, sequence: index + 1, time, tenant, vault, author: "root", request: { id: Uint8Array.of(1, 2), digest: Uint8Array.of(3) }, change })

/** Name of the golden file and its bytes. */
export const golden: ReadonlyArray<readonly [name: string, bytes: Uint8Array]> = [
  ...changes.map((change, index) => [`entry-${change._tag}`, encodeEntry(entryOf(change, index)) ?? new Uint8Array(0)] as const),
  ["vertex-object", encodeVertex(vertex)],
  ["vertex-marker", encodeVertex(marker)],
  ["row-version", versionRow(vertex)],
  ["row-version-marker", versionRow(marker)],
  ["row-version-expiring", versionRow(vertex, 1_790_000_003_600_000)],
  ["page", encodePage({ level: 1, entries: chunks.entries })],
  ...Object.entries(rows).map(([name, { bytes }]) => [`row-${name}`, bytes] as const)
]
