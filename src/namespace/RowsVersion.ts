/**
 * RowsVersion: the value of a version row: the vertex as it was hashed, and what may change beside it. It sits between
 * the machine, which writes it, and listings, which read thousands and so decode only its head.
 *
 * Bytes: format 1 | flags 1 (bit 0: null version, bit 1: delete marker, bit 2: it expires) | vertex hash 32 | hides 1 |
 * hides x (bucket 16, sequence 8) | with bit 2 only: milliseconds at which it expires 8 | vertex.
 */
import { assert } from "../base/assert.ts"
import { freshBytes, fromHex, getU64, putU64, toHex } from "../base/bytes.ts"
import type { BucketId, Sequence, VertexHash } from "../base/ids.ts"
import { versionHidesMax } from "../base/limits.ts"
import { FormatError } from "./Canonical.ts"

/** Since `sequence`, S3 no longer lists the row in whatever reads through `bucket` at or after it. */
export interface Hide {
  readonly bucket: BucketId
  readonly sequence: Sequence
}

export interface VersionRow {
  readonly nullVersion: boolean
  readonly deleteMarker: boolean
  readonly hash: VertexHash
  /** In the order in which they happened. */
  readonly hides: ReadonlyArray<Hide>
  /** From this millisecond on nothing shows it; absent: it does not expire. */
  readonly expiresMs?: number | undefined
  /** Canonical bytes of the vertex. */
  readonly vertex: Uint8Array
}

const format = 1
const headerBytes = 35
const hideBytes = 24
const expiresBytes = 8
const expiresFlag = 4
const flagsMax = 7

export const encodeVersionRow = (row: VersionRow): Uint8Array => {
  assert(row.hides.length <= versionHidesMax, `${row.hides.length} hides of a version`)
  const afterHides = headerBytes + row.hides.length * hideBytes
  const start = afterHides + (row.expiresMs === undefined ? 0 : expiresBytes)
  const bytes = freshBytes(start + row.vertex.length)
  bytes[0] = format
  bytes[1] = (row.nullVersion ? 1 : 0) | (row.deleteMarker ? 2 : 0) | (row.expiresMs === undefined ? 0 : expiresFlag)
  bytes.set(fromHex(row.hash), 2)
  bytes[34] = row.hides.length
  row.hides.forEach((hide, index) => {
    bytes.set(fromHex(hide.bucket), headerBytes + index * hideBytes)
    putU64(bytes, headerBytes + index * hideBytes + 16, hide.sequence)
  })
  if (row.expiresMs !== undefined) putU64(bytes, afterHides, row.expiresMs)
  bytes.set(row.vertex, start)
  return bytes
}

const noHides: ReadonlyArray<Hide> = []

/** Throws FormatError unless the bytes have the shape of a row. The vertex is not decoded. */
export const decodeVersionRow = (bytes: Uint8Array): VersionRow => {
  const flags = bytes[1] ?? 0xff
  const count = bytes[34] ?? 0xff
  if (bytes[0] !== format || flags > flagsMax || count > versionHidesMax) throw new FormatError("version row: unknown header")
  const expires = (flags & expiresFlag) !== 0
  const afterHides = headerBytes + count * hideBytes
  const start = afterHides + (expires ? expiresBytes : 0)
  if (bytes.length <= start) throw new FormatError(`version row: ${bytes.length} bytes, more than ${start} expected`)
  return new DecodedRow(bytes, flags, count === 0 ? noHides : hidesOf(bytes, count), expires ? expiresOf(bytes, afterHides) : undefined, start)
}

/** Of a class: a getter in a literal is a call into the engine for every row. */
class DecodedRow implements VersionRow {
  readonly nullVersion: boolean
  readonly deleteMarker: boolean
  readonly hides: ReadonlyArray<Hide>
  readonly expiresMs: number | undefined
  readonly vertex: Uint8Array
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, flags: number, hides: ReadonlyArray<Hide>, expiresMs: number | undefined, start: number) {
    this.nullVersion = (flags & 1) !== 0
    this.deleteMarker = (flags & 2) !== 0
    this.hides = hides
    this.expiresMs = expiresMs
    this.vertex = bytes.subarray(start)
    this.#bytes = bytes
  }

  get hash(): VertexHash {
    return toHex(this.#bytes.subarray(2, 34)) as VertexHash
  }
}

const expiresOf = (bytes: Uint8Array, offset: number): number => {
  const expiresMs = getU64(bytes, offset)
  if (expiresMs === undefined) throw new FormatError("version row: it expires after 2^53 ms")
  return expiresMs
}

const hidesOf = (bytes: Uint8Array, count: number): ReadonlyArray<Hide> => {
  const hides: Array<Hide> = []
  for (let offset = headerBytes; offset < headerBytes + count * hideBytes; offset += hideBytes) {
    const sequence = getU64(bytes, offset + 16)
    if (sequence === undefined) throw new FormatError("version row: a sequence above 2^53")
    hides.push({ bucket: toHex(bytes.subarray(offset, offset + 16)) as BucketId, sequence })
  }
  return hides
}
