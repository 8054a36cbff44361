/**
 * Rows: the keys of the machine's one ordered table. They sit between the nouns and State, which knows only bytes.
 *
 * The first byte names the table. Names are escaped so that bytes keep the order of the text in UTF-8: 0x00 becomes
 * 0x00 0xFF and the end is 0x00 0x00, so no name's row sorts between another's and its extensions'. Sequences that
 * descend are inverted: the newest comes first. README.md has the byte tables.
 */
import { assert } from "../base/assert.ts"
import { type ByteString, fromByteString, fromHex, fromUtf8, toByteString, toHex, toUtf8 } from "../base/bytes.ts"
import type { BlockId, BucketId, ChunkId, Sequence, TenantId, UploadId, VaultId, VertexHash } from "../base/ids.ts"
import { idsRememberedMax } from "../base/limits.ts"
import type { RowKey } from "./State.ts"
import { ordinalMax } from "./Vertex.ts"

/** First byte of a row's key. Numbers are never reused. */
export const table = {
  horizon: "\x01", totals: "\x02", commit: "\x03", gc: "\x04", bucketName: "\x10", bucketConfig: "\x11", version: "\x12", hidden: "\x13",
  nullVersion: "\x14", child: "\x15", lineageUser: "\x16", expiry: "\x17", lastChange: "\x18", upload: "\x20", part: "\x21", endedUpload: "\x22", chunk: "\x30", journaled: "\x31", block: "\x32", stagedPage: "\x33",
  condemned: "\x34", region: "\x35", dead: "\x36"
} as const

/** Text that is its own escaped form: ASCII without NUL, as most names are. */
const plain = /^[\x01-\x7f]*$/

export const escapeText = (text: string): ByteString => {
  if (plain.test(text)) return text
  const bytes = toByteString(toUtf8(text))
  return bytes.includes("\0") ? bytes.replaceAll("\0", "\0\xff") : bytes
}

/** The text that escapeText made; our rows hold nothing else. */
export const unescapeText = (escaped: ByteString): string => {
  if (plain.test(escaped)) return escaped
  const text = fromUtf8(fromByteString(escaped.replaceAll("\0\xff", "\0")))
  assert(text !== undefined, "a row's name is UTF-8")
  return text
}

export const endOfName = "\0\0"
/** Sorts after every row of a name, before those of its extensions. */
export const pastName = "\0\x01"

/** The first key after all those that begin with `prefix`. */
export const afterPrefix = (prefix: RowKey): RowKey => {
  let length = prefix.length
  while (length > 0 && prefix.charCodeAt(length - 1) === 0xff) length -= 1
  assert(length > 0, "a row key begins with its table, which is below 0xff")
  return prefix.slice(0, length - 1) + String.fromCharCode(prefix.charCodeAt(length - 1) + 1)
}

const limbEnd = 0x1_0000_0000

/** Of two 32-bit halves. */
const eightBytes = (high: number, low: number): ByteString =>
  String.fromCharCode(
    high >>> 24, (high >>> 16) & 0xff, (high >>> 8) & 0xff, high & 0xff, low >>> 24, (low >>> 16) & 0xff, (low >>> 8) & 0xff, low & 0xff
  )

export const ascending = (value: number): ByteString => {
  assert(Number.isSafeInteger(value) && value >= 0, "not an unsigned safe integer")
  return eightBytes(Math.floor(value / limbEnd), value >>> 0)
}

/** Eight bytes inverted: greater values sort first. */
export const descending = (value: number): ByteString => {
  assert(Number.isSafeInteger(value) && value >= 0, "not an unsigned safe integer")
  return eightBytes(~Math.floor(value / limbEnd), ~value)
}

const byteAt = (bytes: ByteString, index: number): number => bytes.charCodeAt(index)

export const ascendingAt = (bytes: ByteString, offset: number): number => {
  let value = 0
  for (let index = offset; index < offset + 8; index += 1) value = value * 256 + byteAt(bytes, index)
  return value
}

export const descendingAt = (bytes: ByteString, offset: number): number => {
  let value = 0
  for (let index = offset; index < offset + 8; index += 1) value = value * 256 + 0xff - byteAt(bytes, index)
  return value
}

/** Of late: the same few buckets, vaults and chunks are asked for again and again. A pure memo. */
const ids = new Map<string, ByteString>()

const id = (hex: string): ByteString => {
  const known = ids.get(hex)
  if (known !== undefined) return known
  const bytes = toByteString(fromHex(hex))
  if (ids.size >= idsRememberedMax) ids.clear()
  ids.set(hex, bytes)
  return bytes
}

export const horizonKey: RowKey = table.horizon
export const totalsKey: RowKey = table.totals
/** There once every chunk's regions and condemnation are recorded: before, nothing is freed. */
export const gcKey: RowKey = table.gc
export const commitKey = (sequence: Sequence): RowKey => table.commit + ascending(sequence)

export const bucketNamesPrefix = (tenant: TenantId): RowKey => table.bucketName + id(tenant)
export const bucketNamePrefix = (tenant: TenantId, name: string): RowKey => bucketNamesPrefix(tenant) + escapeText(name) + endOfName
export const bucketNameKey = (tenant: TenantId, name: string, sequence: Sequence): RowKey => bucketNamePrefix(tenant, name) + descending(sequence)

export const bucketConfigPrefix = (bucket: BucketId): RowKey => table.bucketConfig + id(bucket)
export const bucketConfigKey = (bucket: BucketId, sequence: Sequence): RowKey => bucketConfigPrefix(bucket) + descending(sequence)

/** Buckets other than the source itself whose lineage may show rows of it. */
export const lineageUsersPrefix = (source: BucketId): RowKey => table.lineageUser + id(source)
export const lineageUserKey = (source: BucketId, user: BucketId): RowKey => lineageUsersPrefix(source) + id(user)
export const lineageUserOf = (key: RowKey): BucketId => toHex(fromByteString(key.slice(17))) as BucketId
export const lastChangeKey = (bucket: BucketId): RowKey => table.lastChange + id(bucket)

/** Bytes of a version row's key before the name, and after it: end of name, sequence, ordinal. */
export const versionPrefixLength = 17
export const versionTailLength = 12

export type VersionTable = "version" | "hidden"
export const versionsPrefix = (rows: VersionTable, bucket: BucketId): RowKey => table[rows] + id(bucket)

/** Newest first: the sequence and the ordinal within its commit, both descending. */
export const versionTail = (sequence: Sequence, ordinal: number): ByteString =>
  endOfName + descending(sequence) + String.fromCharCode(0xff - (ordinal >> 8), 0xff - (ordinal & 0xff))

export const versionKey = (rows: VersionTable, bucket: BucketId, key: string, sequence: Sequence, ordinal: number): RowKey =>
  versionsPrefix(rows, bucket) + escapeText(key) + versionTail(sequence, ordinal)

export const nullVersionKey = (bucket: BucketId, key: string): RowKey => table.nullVersion + id(bucket) + escapeText(key) + endOfName

/** The versions written over one: where the graph of versions is followed forward. */
export const childrenPrefix = (bucket: BucketId, parent: VertexHash): RowKey => table.child + id(bucket) + id(parent)
export const childKey = (bucket: BucketId, parent: VertexHash, sequence: Sequence, ordinal: number): RowKey =>
  childrenPrefix(bucket, parent) + ascending(sequence) + ascending(ordinal)

/** Versions that expire, in the order in which they do. */
export const expiryKey = (expiresMs: number, bucket: BucketId, sequence: Sequence, ordinal: number): RowKey =>
  table.expiry + ascending(expiresMs) + ascending(sequence) + String.fromCharCode(ordinal >> 8, ordinal & 0xff) + id(bucket)

export interface ExpiryPlace {
  readonly expiresMs: number
  readonly bucket: BucketId
  readonly sequence: Sequence
  readonly ordinal: number
}

export const expiryPlaceOf = (key: RowKey): ExpiryPlace => ({
  expiresMs: ascendingAt(key, 1), sequence: ascendingAt(key, 9), ordinal: key.charCodeAt(17) * 256 + key.charCodeAt(18),
  bucket: toHex(fromByteString(key.slice(19))) as BucketId
})

export const uploadsPrefix = (bucket: BucketId): RowKey => table.upload + id(bucket)
export const uploadKey = (bucket: BucketId, key: string, upload: UploadId): RowKey =>
  uploadsPrefix(bucket) + escapeText(key) + endOfName + id(upload)

export const partsPrefix = (upload: UploadId): RowKey => table.part + id(upload)
export const partKey = (upload: UploadId, partNumber: number): RowKey =>
  partsPrefix(upload) + String.fromCharCode(partNumber >> 8, partNumber & 0xff)
export const endedUploadKey = (upload: UploadId): RowKey => table.endedUpload + id(upload)

export const chunkKey = (vault: VaultId, chunk: ChunkId): RowKey => table.chunk + id(vault) + id(chunk)
export const stagedPageKey = (vault: VaultId, page: ChunkId): RowKey => table.stagedPage + id(vault) + id(page)
export const journaledKey = (segment: number, offset: number): RowKey => table.journaled + ascending(segment) + ascending(offset)
export const blockKey = (block: BlockId): RowKey => table.block + id(block)

/** Oldest first. */
export const condemnedKey = (condemnedAt: Sequence, vault: VaultId, chunk: ChunkId): RowKey =>
  table.condemned + ascending(condemnedAt) + id(vault) + id(chunk)
export const regionsPrefix = (block: BlockId): RowKey => table.region + id(block)
export const regionKey = (block: BlockId, offset: number): RowKey => regionsPrefix(block) + ascending(offset)
export const deadKey = (block: BlockId): RowKey => table.dead + id(block)

/** "null", or 20 hex digits: sequence and ordinal. */
export const versionIdOf = (sequence: Sequence, ordinal: number): string => {
  assert(ordinal >= 0 && ordinal <= ordinalMax, `ordinal ${ordinal}`)
  return sequence.toString(16).padStart(16, "0") + ordinal.toString(16).padStart(4, "0")
}

/** Undefined where no version can have that id. */
export const parseVersionId = (versionId: string): { readonly sequence: Sequence; readonly ordinal: number } | undefined => {
  if (!/^[0-9a-f]{20}$/.test(versionId)) return undefined
  const sequence = Number.parseInt(versionId.slice(0, 16), 16)
  return Number.isSafeInteger(sequence) ? { sequence, ordinal: Number.parseInt(versionId.slice(16), 16) } : undefined
}
