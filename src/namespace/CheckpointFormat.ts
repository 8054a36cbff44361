/**
 * CheckpointFormat: the bytes of checkpoint files. It sits between the state's rows and the Disk port.
 *
 * A base holds every row of a generation, a delta the rows that changed since the one before (the tree's shape follows
 * from its rows, so no node is written). A file is a header, sections of rows, a trailer section, a footer:
 *
 *     header  0 8 bytes "OUROCKPT"   8 u16 format (1)   10 u8 kind (1 base, 2 delta)   11 u8 suite (1)
 *            12 u64 generation      20 u64 zero         28 u32 CRC-32C of 0..27
 *     frame   0 u32 sealed length    4 u8 kind (1 rows, 2 trailer)   5 3 zero   8 u32 index
 *            12 32-byte BLAKE3 of the sealed bytes      44 u32 CRC-32C of 0..43   48 the sealed bytes
 *     footer  0 u64 offset of the trailer's frame        8 "CEND"    12 u32 CRC-32C of 0..11
 *
 * Rows: u32 value length + 1 (0: removed), u16 key length, key, value. The hashes let one without keys verify a file;
 * the seal binds file kind, generation, frame kind and index, so that no section passes for another.
 */
import { assert } from "../base/assert.ts"
import { crc32c, hashBytes } from "../base/hash.ts"
import { concatBytes, equalBytes, getU64, putU64 } from "../base/bytes.ts"
import { checkpointSectionBytesMax, sealOverheadBytesMax, stateKeyBytesMax, stateValueBytesMax } from "../base/limits.ts"
import { type RowChange, type RowKey, type Stamp, StateError, type ValueSealer } from "./State.ts"

export type CheckpointKind = "base" | "delta"
export type FrameKind = "rows" | "trailer"

export const checkpointHeaderBytes = 32
export const checkpointFrameBytes = 48
export const checkpointFooterBytes = 16
export const sealedSectionBytesMax = checkpointSectionBytesMax + sealOverheadBytesMax
const format = 1
const suite = 1
const magic = Buffer.from("OUROCKPT", "latin1")
const footerMagic = Buffer.from("CEND", "latin1")
const context = "ouroborosdb namespace checkpoint v1"

const kindByte = { base: 1, delta: 2 } as const
const frameByte = { rows: 1, trailer: 2 } as const

const damaged = (detail: string): StateError => new StateError({ reason: "Damaged", detail: `checkpoint: ${detail}` })
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** `0000000000000012.delta`: generation in 16 hex digits. */
export const checkpointName = (kind: CheckpointKind, generation: number): string =>
  `${generation.toString(16).padStart(16, "0")}.${kind}`

export const parseCheckpointName = (name: string): { readonly kind: CheckpointKind; readonly generation: number } | undefined => {
  const match = /^([0-9a-f]{16})\.(base|delta)$/.exec(name)
  if (match === null) return undefined
  const generation = Number.parseInt(match[1]!, 16)
  return Number.isSafeInteger(generation) && generation > 0 ? { generation, kind: match[2] as CheckpointKind } : undefined
}

export const encodeCheckpointHeader = (kind: CheckpointKind, generation: number): Uint8Array => {
  const bytes = Buffer.alloc(checkpointHeaderBytes)
  bytes.set(magic, 0)
  bytes.writeUInt16BE(format, 8)
  bytes.writeUInt8(kindByte[kind], 10)
  bytes.writeUInt8(suite, 11)
  putU64(bytes, 12, generation)
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, 28)), 28)
  return bytes
}

/** Checks that a file's first bytes are the header of this kind and generation. */
export const checkCheckpointHeader = (source: Uint8Array, kind: CheckpointKind, generation: number): StateError | undefined => {
  if (source.length !== checkpointHeaderBytes) return damaged(`${source.length} bytes are no header`)
  const bytes = asBuffer(source)
  // Every later version keeps the places of magic, version and checksum, so that "newer" is told from "damaged".
  const isWhole = equalBytes(source.subarray(0, 8), magic) && bytes.readUInt32BE(28) === crc32c(source.subarray(0, 28))
  if (isWhole && bytes.readUInt16BE(8) > format) {
    return new StateError({ reason: "UnknownFormat", detail: `checkpoint: format ${bytes.readUInt16BE(8)}; this version reads ${format}: run a newer one` })
  }
  return equalBytes(source, encodeCheckpointHeader(kind, generation)) ? undefined : damaged("its header is not the one its name asks for")
}

export const encodeFooter = (trailerOffset: number): Uint8Array => {
  const bytes = Buffer.alloc(checkpointFooterBytes)
  putU64(bytes, 0, trailerOffset)
  bytes.set(footerMagic, 8)
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, 12)), 12)
  return bytes
}

/** Offset of the trailer's frame. */
export const decodeFooter = (source: Uint8Array): number | StateError => {
  if (source.length !== checkpointFooterBytes || !equalBytes(source.subarray(8, 12), footerMagic)) return damaged("no footer: the file is cut short")
  if (asBuffer(source).readUInt32BE(12) !== crc32c(source.subarray(0, 12))) return damaged("its footer's checksum is wrong")
  return getU64(source, 0) ?? damaged("its footer's offset is beyond any file")
}

/** Which frame of which file: what the seal binds. */
export interface FrameName {
  readonly file: CheckpointKind
  readonly generation: number
  readonly kind: FrameKind
  readonly index: number
}

const associatedOf = (name: FrameName): Uint8Array => {
  const bytes = Buffer.alloc(14)
  bytes.writeUInt8(kindByte[name.file], 0)
  putU64(bytes, 1, name.generation)
  bytes.writeUInt8(frameByte[name.kind], 9)
  bytes.writeUInt32BE(name.index, 10)
  return bytes
}

/** Header and sealed bytes of a frame. */
export const encodeFrame = (sealer: ValueSealer, name: FrameName, plaintext: Uint8Array): ReadonlyArray<Uint8Array> => {
  assert(plaintext.length <= checkpointSectionBytesMax, "a section has at most checkpointSectionBytesMax bytes")
  const sealed = sealer.sealValue(context, associatedOf(name), plaintext)
  assert(sealed.length <= sealedSectionBytesMax, "sealing adds at most sealOverheadBytesMax")
  const header = Buffer.alloc(checkpointFrameBytes)
  header.writeUInt32BE(sealed.length, 0)
  header.writeUInt8(frameByte[name.kind], 4)
  header.writeUInt32BE(name.index, 8)
  header.set(hashBytes(sealed), 12)
  header.writeUInt32BE(crc32c(header.subarray(0, 44)), 44)
  return [header, sealed]
}

export interface FrameHeader {
  readonly kind: FrameKind
  readonly index: number
  /** At most sealedSectionBytesMax: read that many. */
  readonly length: number
  readonly hash: Uint8Array
}

export const decodeFrameHeader = (source: Uint8Array): FrameHeader | StateError => {
  if (source.length !== checkpointFrameBytes) return damaged("cut short within a frame")
  const bytes = asBuffer(source)
  if (bytes.readUInt32BE(44) !== crc32c(bytes.subarray(0, 44))) return damaged("a frame's checksum is wrong")
  const length = bytes.readUInt32BE(0)
  const byte = bytes[4]
  if (length > sealedSectionBytesMax) return damaged(`a frame of ${length} bytes is too long`)
  if ((byte !== 1 && byte !== 2) || bytes.readUIntBE(5, 3) !== 0) return damaged(`a frame of kind ${byte}`)
  return { kind: byte === 1 ? "rows" : "trailer", index: bytes.readUInt32BE(8), length, hash: bytes.subarray(12, 44) }
}

/** The plaintext of a frame, checked against its hash and its seal. */
export const openFrame = (sealer: ValueSealer, name: FrameName, header: FrameHeader, sealed: Uint8Array): Uint8Array | StateError => {
  if (header.kind !== name.kind || header.index !== name.index) return damaged(`frame ${header.kind} ${header.index} where ${name.kind} ${name.index} belongs`)
  if (sealed.length !== header.length) return damaged("cut short within a section")
  if (!equalBytes(hashBytes(sealed), header.hash)) return damaged(`section ${name.index} is not what its hash says`)
  const opened = sealer.openValue(context, associatedOf(name), sealed)
  return opened instanceof Error ? damaged(`section ${name.index}: ${opened.message}`) : opened
}

export const rowBytes = (key: RowKey, value: Uint8Array | undefined): number => 6 + key.length + (value?.length ?? 0)

export const encodeRow = (key: RowKey, value: Uint8Array | undefined): Uint8Array => {
  assert(key.length > 0 && key.length <= stateKeyBytesMax, "a row's key has 1 to stateKeyBytesMax bytes")
  assert(value === undefined || value.length <= stateValueBytesMax, "a row's value has at most stateValueBytesMax bytes")
  const bytes = Buffer.allocUnsafe(rowBytes(key, value))
  bytes.writeUInt32BE(value === undefined ? 0 : value.length + 1, 0)
  bytes.writeUInt16BE(key.length, 4)
  bytes.write(key, 6, "latin1")
  if (value !== undefined) bytes.set(value, 6 + key.length)
  return bytes
}

/** Rows of a section, in order. Values are views of `source`. */
export const decodeRows = (source: Uint8Array): ReadonlyArray<RowChange> | StateError => {
  const bytes = asBuffer(source)
  const rows: Array<RowChange> = []
  let last = ""
  for (let at = 0; at < bytes.length;) {
    if (at + 6 > bytes.length) return damaged("a row is cut short")
    const length = bytes.readUInt32BE(at)
    const keyEnd = at + 6 + bytes.readUInt16BE(at + 4)
    const end = keyEnd + Math.max(0, length - 1)
    if (end > bytes.length || keyEnd - at - 6 > stateKeyBytesMax || length > stateValueBytesMax + 1) return damaged("a row is longer than its section")
    const key = bytes.toString("latin1", at + 6, keyEnd)
    if (key <= last) return damaged("rows are out of order")
    rows.push([key, length === 0 ? undefined : bytes.subarray(keyEnd, end)])
    last = key
    at = end
  }
  return rows
}

/** What a checkpoint is a checkpoint of. Hashes are 32 bytes; all zero for the root of no rows. */
export interface Trailer {
  readonly generation: number
  readonly root: Uint8Array
  readonly stamp: Stamp
  /** The generation before. For the first, the empty state. */
  readonly previousRoot: Uint8Array
  readonly previousStamp: Stamp
  readonly rows: number
  readonly sections: number
}

export const emptyRoot: Uint8Array = new Uint8Array(32)
export const emptyStamp: Stamp = { sequence: 0, time: 0n, wal: { segment: 0, offset: 0 } }
export const stampBytes = 32

export const encodeStamp = (stamp: Stamp): Uint8Array => {
  const bytes = Buffer.alloc(stampBytes)
  putU64(bytes, 0, stamp.sequence)
  bytes.writeBigUInt64BE(stamp.time, 8)
  putU64(bytes, 16, stamp.wal.segment)
  putU64(bytes, 24, stamp.wal.offset)
  return bytes
}

/** undefined where a number is beyond 2^53. */
export const decodeStamp = (source: Uint8Array): Stamp | undefined => {
  const [sequence, segment, offset] = [getU64(source, 0), getU64(source, 16), getU64(source, 24)]
  if (sequence === undefined || segment === undefined || offset === undefined) return undefined
  return { sequence, time: asBuffer(source).readBigUInt64BE(8), wal: { segment, offset } }
}

const trailerBytes = 8 + 32 + stampBytes + 32 + stampBytes + 8 + 8

export const encodeTrailer = (trailer: Trailer): Uint8Array => {
  assert(trailer.root.length === 32 && trailer.previousRoot.length === 32, "roots have 32 bytes")
  const numbers = Buffer.alloc(24)
  putU64(numbers, 0, trailer.generation)
  putU64(numbers, 8, trailer.rows)
  putU64(numbers, 16, trailer.sections)
  return concatBytes([
    numbers.subarray(0, 8), trailer.root, encodeStamp(trailer.stamp), trailer.previousRoot, encodeStamp(trailer.previousStamp), numbers.subarray(8)
  ])
}

export const decodeTrailer = (bytes: Uint8Array): Trailer | StateError => {
  if (bytes.length !== trailerBytes) return damaged(`a trailer of ${bytes.length} bytes`)
  const stamp = decodeStamp(bytes.subarray(40, 72))
  const previousStamp = decodeStamp(bytes.subarray(104, 136))
  const [generation, rows, sections] = [getU64(bytes, 0), getU64(bytes, 136), getU64(bytes, 144)]
  if (stamp === undefined || previousStamp === undefined || generation === undefined || rows === undefined || sections === undefined) {
    return damaged("a number of its trailer is out of bounds")
  }
  return { generation, root: bytes.slice(8, 40), stamp, previousRoot: bytes.slice(72, 104), previousStamp, rows, sections }
}
