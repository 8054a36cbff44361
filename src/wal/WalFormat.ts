/**
 * The journal's bytes, version 1: segment header, batch header, record header (tables in README.md).
 * Between the machine's plans and the disk. Integers are big-endian; every byte is under a checksum, a hash or
 * a rule (reserved and padding are zero). Decoders never allocate by a length that they have not checked.
 */
import { assert } from "../base/assert.ts"
import { equalBytes, getU64, putU64, toHex } from "../base/bytes.ts"
import { crc32c, hashBytes } from "../base/hash.ts"
import type { Hash, RestartId, StoreId } from "../base/ids.ts"
import { rawId } from "../base/ids.ts"
import { walBatchBytesMax, walRecordBytesMax } from "../base/limits.ts"
import type { BatchLink, RecordKind } from "./WalRecord.ts"

export const walAlignBytes = 4096
export const segmentHeaderBytes = walAlignBytes
export const batchHeaderBytes = 176
export const recordHeaderBytes = 96
export const closingBatchBytes = walAlignBytes

const formatVersion = 1
const suiteBlake3 = 1
const magic = { segment: 0x4f574c53, batch: 0x4f574c42, record: 0x4f574c52 } as const // "OWLS", "OWLB", "OWLR"
const batchKinds = { data: 1, closing: 2 } as const
const kindNumbers: Record<RecordKind, number> = { Chunk: 1, Commit: 2, Raft: 3 }
const kindNames: ReadonlyMap<number, RecordKind> = new Map([[1, "Chunk"], [2, "Commit"], [3, "Raft"]])

/** Whose bytes these are: a record of another store, another run or another place is never taken for ours. */
export interface WalIdentity {
  readonly storeId: StoreId
  readonly restartId: RestartId
}

/** Unknown: whole, but of a version or kind that this program does not know. Invalid: not what was written. */
export type Decoded<A> =
  | { readonly _tag: "Ok"; readonly value: A }
  | { readonly _tag: "Invalid"; readonly why: string }
  | { readonly _tag: "Unknown"; readonly why: string }

const invalid = (why: string) => ({ _tag: "Invalid", why }) as const
const unknown = (why: string) => ({ _tag: "Unknown", why: `${why}: written by a newer version, use that` }) as const
const ok = <A>(value: A): Decoded<A> => ({ _tag: "Ok", value })

export const alignUp = (bytes: number): number => Math.ceil(bytes / walAlignBytes) * walAlignBytes

/** `00000001.seg`; numbers grow past eight digits where they must. */
export const segmentName = (segment: number): string => `${String(segment).padStart(8, "0")}.seg`

/** The number of a segment's file, undefined for any other name. */
export const segmentOfName = (name: string): number | undefined => {
  const match = /^(\d{8,15})\.seg$/.exec(name)
  const segment = match === null ? 0 : Number(match[1])
  return segment > 0 && segmentName(segment) === name ? segment : undefined
}

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const putCommon = (target: Buffer, magicNumber: number, kind: number, length: number): void => {
  target.writeUInt32BE(magicNumber, 0)
  target[4] = formatVersion
  target[5] = kind
  target[6] = suiteBlake3
  target.writeUInt32BE(length, 8)
}

/** Checks magic, version, suite and checksum: everything that comes before trusting any other field. */
const checkCommon = (source: Buffer, magicNumber: number, crcOffset: number): Decoded<void> => {
  if (source.readUInt32BE(0) !== magicNumber) return invalid("wrong magic")
  // Every later version keeps the places of magic, version and checksum, so that "newer" is told from "damaged".
  if (source.readUInt32BE(crcOffset) !== crc32c(source.subarray(0, crcOffset))) return invalid("wrong header checksum")
  if (source[4] !== formatVersion) return unknown(`format version ${source[4]}`)
  if (source[6] !== suiteBlake3) return unknown(`hash suite ${source[6]}`)
  if (source[7] !== 0) return invalid("reserved byte set")
  return ok(undefined)
}

const hexAt = (source: Buffer, offset: number, length: number): string => source.toString("hex", offset, offset + length)

const putIds = (target: Buffer, offset: number, identity: WalIdentity): void => {
  target.set(rawId(identity.storeId), offset)
  target.set(rawId(identity.restartId), offset + 16)
}

const putLink = (target: Buffer, offset: number, link: BatchLink): void => {
  putU64(target, offset, link.batch)
  putU64(target, offset + 8, link.segment)
  target.writeUInt32BE(link.offset, offset + 16)
  target.writeUInt32BE(link.length, offset + 20)
  target.set(rawId(link.hash), offset + 24)
}

const getLink = (source: Buffer, offset: number): BatchLink | undefined => {
  const batch = getU64(source, offset)
  const segment = getU64(source, offset + 8)
  if (batch === undefined || segment === undefined) return undefined
  return {
    batch,
    segment,
    offset: source.readUInt32BE(offset + 16),
    length: source.readUInt32BE(offset + 20),
    hash: hexAt(source, offset + 24, 32) as Hash
  }
}

const zeros = new Uint8Array(4096)

/** Most of a small batch is padding: compared by the page, not by the byte. */
const isZero = (source: Uint8Array): boolean => {
  for (let at = 0; at < source.length; at += zeros.length) {
    const piece = source.subarray(at, at + zeros.length)
    if (!equalBytes(piece, zeros.subarray(0, piece.length))) return false
  }
  return true
}

export interface SegmentHeader extends WalIdentity {
  readonly segment: number
  readonly epoch: number
  /** The batch that this segment continues from: proven by this header, and the last accepted one before it. */
  readonly continuesFrom: BatchLink
}

const segmentHashAt = 120
const segmentCrcAt = 152

/** One block of 4 KiB, hashed whole. */
export const encodeSegmentHeader = (header: SegmentHeader): Uint8Array => {
  const bytes = Buffer.alloc(segmentHeaderBytes)
  putCommon(bytes, magic.segment, 0, segmentHeaderBytes)
  putIds(bytes, 16, header)
  putU64(bytes, 48, header.segment)
  putU64(bytes, 56, header.epoch)
  putLink(bytes, 64, header.continuesFrom)
  bytes.set(hashBytes(bytes), segmentHashAt)
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, segmentCrcAt)), segmentCrcAt)
  return bytes
}

/** Decodes the first 4 KiB of a segment's file; the caller compares store and segment number. */
export const decodeSegmentHeader = (bytes: Uint8Array): Decoded<SegmentHeader> => {
  if (bytes.length !== segmentHeaderBytes) return invalid(`${bytes.length} bytes of ${segmentHeaderBytes}`)
  const source = viewOf(bytes)
  const common = checkCommon(source, magic.segment, segmentCrcAt)
  if (common._tag !== "Ok") return common
  const unhashed = Buffer.from(source)
  unhashed.fill(0, segmentHashAt, segmentCrcAt + 4)
  if (toHex(hashBytes(unhashed)) !== hexAt(source, segmentHashAt, 32)) return invalid("wrong hash")
  const segment = getU64(source, 48)
  const epoch = getU64(source, 56)
  const continuesFrom = getLink(source, 64)
  if (segment === undefined || epoch === undefined || continuesFrom === undefined) return invalid("number too large")
  return ok({
    storeId: hexAt(source, 16, 16) as StoreId,
    restartId: hexAt(source, 32, 16) as RestartId,
    segment,
    epoch,
    continuesFrom
  })
}

export interface BatchHeader extends WalIdentity {
  readonly closing: boolean
  /** Bytes on disk, header and padding included: a multiple of 4 KiB. */
  readonly length: number
  /** Bytes before the padding. */
  readonly contentBytes: number
  readonly records: number
  readonly segment: number
  readonly offset: number
  readonly epoch: number
  readonly previous: BatchLink
}

export interface BatchToWrite extends BatchHeader {
  readonly payloads: ReadonlyArray<{ readonly kind: RecordKind; readonly payload: Uint8Array }>
}

const batchHashAt = 136
const batchCrcAt = 172
const recordHashAt = 60
const recordCrcAt = 92
const padding = Buffer.alloc(walAlignBytes)

const putRecordHeader = (target: Buffer, batch: BatchToWrite, index: number, offset: number): void => {
  const { kind, payload } = batch.payloads[index]!
  putCommon(target, magic.record, kindNumbers[kind], payload.length)
  putIds(target, 12, batch)
  putU64(target, 44, batch.segment)
  putU64(target, 52, offset)
  target.set(hashBytes(payload), recordHashAt)
  target.writeUInt32BE(crc32c(target.subarray(0, recordCrcAt)), recordCrcAt)
}

/** The batch as parts to be written one after another (payloads uncopied), and its hash. */
export const encodeBatch = (batch: BatchToWrite): { readonly parts: ReadonlyArray<Uint8Array>; readonly hash: Hash } => {
  // All headers lie side by side here, so that the hash over them is one call; on disk payloads come between.
  const headers = Buffer.allocUnsafe(batchHeaderBytes + batch.payloads.length * recordHeaderBytes).fill(0)
  putCommon(headers, magic.batch, batch.closing ? batchKinds.closing : batchKinds.data, batch.length)
  headers.writeUInt32BE(batch.payloads.length, 12)
  putIds(headers, 16, batch)
  putU64(headers, 48, batch.segment)
  headers.writeUInt32BE(batch.offset, 56)
  headers.writeUInt32BE(batch.contentBytes, 60)
  putU64(headers, 64, batch.epoch)
  putU64(headers, 72, batch.previous.batch + 1)
  putLink(headers, 80, batch.previous)
  const parts: Array<Uint8Array> = [headers.subarray(0, batchHeaderBytes)]
  let at = batchHeaderBytes
  for (let index = 0; index < batch.payloads.length; index++) {
    const start = batchHeaderBytes + index * recordHeaderBytes
    const header = headers.subarray(start, start + recordHeaderBytes)
    putRecordHeader(header, batch, index, batch.offset + at)
    const payload = batch.payloads[index]!.payload
    parts.push(header, payload)
    at += recordHeaderBytes + payload.length
  }
  assert(at === batch.contentBytes, `batch planned ${batch.contentBytes} bytes and has ${at}`)
  assert(alignUp(at) === batch.length, `batch of ${at} bytes planned as ${batch.length}`)
  if (at < batch.length) parts.push(padding.subarray(0, batch.length - at))
  const hash = hashBytes(headers)
  headers.set(hash, batchHashAt)
  headers.writeUInt32BE(crc32c(headers.subarray(0, batchCrcAt)), batchCrcAt)
  return { parts, hash: toHex(hash) as Hash }
}

/**
 * Decodes the batch header that opens `bytes` (176 or more), which were read at `offset` of `segment`: one of another
 * store, segment or offset is invalid. Lengths are bounded before anyone allocates by them.
 */
export const decodeBatchHeader = (
  bytes: Uint8Array,
  expected: { readonly storeId: StoreId; readonly segment: number; readonly offset: number }
): Decoded<BatchHeader & { readonly link: BatchLink }> => {
  if (bytes.length < batchHeaderBytes) return invalid(`${bytes.length} bytes of ${batchHeaderBytes}`)
  const source = viewOf(bytes)
  const common = checkCommon(source, magic.batch, batchCrcAt)
  if (common._tag !== "Ok") return common
  const kind = source[5]
  if (kind !== batchKinds.data && kind !== batchKinds.closing) return unknown(`batch kind ${kind}`)
  const length = source.readUInt32BE(8)
  const records = source.readUInt32BE(12)
  const contentBytes = source.readUInt32BE(60)
  const segment = getU64(source, 48)
  const epoch = getU64(source, 64)
  const batch = getU64(source, 72)
  const previous = getLink(source, 80)
  const offset = source.readUInt32BE(56)
  const storeId = hexAt(source, 16, 16) as StoreId
  if (segment === undefined || epoch === undefined || batch === undefined || previous === undefined) {
    return invalid("number too large")
  }
  if (storeId !== expected.storeId) return invalid(`of another store, ${storeId}`)
  if (segment !== expected.segment || offset !== expected.offset) return invalid(`written for ${segment}:${offset}`)
  if (length > walBatchBytesMax || alignUp(contentBytes) !== length) return invalid(`wrong length ${length}`)
  if (contentBytes < batchHeaderBytes + records * recordHeaderBytes) return invalid(`${records} records do not fit`)
  if (batch !== previous.batch + 1) return invalid(`batch ${batch} after ${previous.batch}`)
  if (source.readUInt32BE(168) !== 0) return invalid("reserved bytes set")
  const hash = hexAt(source, batchHashAt, 32) as Hash
  return ok({
    storeId,
    restartId: hexAt(source, 32, 16) as RestartId,
    closing: kind === batchKinds.closing,
    length,
    contentBytes,
    records,
    segment,
    offset,
    epoch,
    previous,
    link: { segment, offset, length, batch, hash }
  })
}

export interface RecordHeader extends WalIdentity {
  readonly kind: RecordKind
  /** Of the payload. */
  readonly length: number
  readonly segment: number
  /** Of this header. */
  readonly offset: number
  readonly payloadHash: Hash
}

/** Decodes the record header that opens `bytes` (96 or more). Its length is bounded by walRecordBytesMax. */
export const decodeRecordHeader = (bytes: Uint8Array): Decoded<RecordHeader> => {
  if (bytes.length < recordHeaderBytes) return invalid(`${bytes.length} bytes of ${recordHeaderBytes}`)
  const source = viewOf(bytes)
  const common = checkCommon(source, magic.record, recordCrcAt)
  if (common._tag !== "Ok") return common
  const kind = kindNames.get(source[5]!)
  if (kind === undefined) return unknown(`record kind ${source[5]}`)
  const length = source.readUInt32BE(8)
  if (length > walRecordBytesMax) return invalid(`payload of ${length} bytes, at most ${walRecordBytesMax}`)
  const segment = getU64(source, 44)
  const offset = getU64(source, 52)
  if (segment === undefined || offset === undefined) return invalid("number too large")
  return ok({
    storeId: hexAt(source, 12, 16) as StoreId,
    restartId: hexAt(source, 28, 16) as RestartId,
    kind,
    length,
    segment,
    offset,
    payloadHash: hexAt(source, recordHashAt, 32) as Hash
  })
}

/** Whether a payload is the one its header speaks of. */
export const payloadIsWhole = (header: RecordHeader, payload: Uint8Array): boolean =>
  payload.length === header.length && toHex(hashBytes(payload)) === header.payloadHash

export interface BatchRecord {
  readonly kind: RecordKind
  readonly offset: number
  readonly payload: Uint8Array
  /** The payload's hash is right. The header's always is: the batch's hash covers it. */
  readonly whole: boolean
}

export interface BatchBody {
  readonly records: ReadonlyArray<BatchRecord>
  /** Every payload's hash is right and the padding is zero. */
  readonly whole: boolean
}

/**
 * Decodes a batch's records from `bytes`, the batch's whole extent. Invalid: the headers are not those that were
 * written. A payload that is not whole is reported on its record: the chain does not depend on payloads.
 */
export const decodeBatchBody = (
  header: BatchHeader & { readonly link: BatchLink },
  bytes: Uint8Array
): Decoded<BatchBody> => {
  assert(bytes.length === header.length, `batch of ${header.length} bytes decoded from ${bytes.length}`)
  const source = viewOf(bytes)
  const headers = Buffer.allocUnsafe(batchHeaderBytes + header.records * recordHeaderBytes).fill(0)
  source.copy(headers, 0, 0, batchHeaderBytes)
  headers.fill(0, batchHashAt, batchHeaderBytes)
  const records: Array<BatchRecord> = []
  let unknownKind: Decoded<never> | undefined
  let at = batchHeaderBytes
  for (let index = 0; index < header.records; index++) {
    if (at + recordHeaderBytes > header.contentBytes) return invalid(`record ${index} beyond the batch`)
    source.copy(headers, batchHeaderBytes + index * recordHeaderBytes, at, at + recordHeaderBytes)
    const decoded = decodeRecordHeader(source.subarray(at, at + recordHeaderBytes))
    if (decoded._tag === "Invalid") return invalid(`record ${index}: ${decoded.why}`)
    const length = decoded._tag === "Ok" ? decoded.value.length : source.readUInt32BE(at + 8)
    const start = at + recordHeaderBytes
    if (start + length > header.contentBytes) return invalid(`record ${index} beyond the batch`)
    if (decoded._tag === "Unknown") unknownKind ??= decoded
    else {
      const payload = source.subarray(start, start + length)
      records.push({ kind: decoded.value.kind, offset: header.offset + start, payload, whole: payloadIsWhole(decoded.value, payload) })
    }
    at = start + length
  }
  if (at !== header.contentBytes) return invalid(`records end at ${at} of ${header.contentBytes}`)
  if (toHex(hashBytes(headers)) !== header.link.hash) return invalid("wrong batch hash")
  if (unknownKind !== undefined) return unknownKind
  const whole = records.every((record) => record.whole) && isZero(source.subarray(at))
  return ok({ records, whole })
}
