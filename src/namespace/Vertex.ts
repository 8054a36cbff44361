/**
 * Vertex: an immutable node of the version graph, one version of one object or a delete marker. It sits between the
 * machine, which alone knows its parent and time and so makes it, and the version row that holds its bytes.
 *
 * Its name is the keyed hash of the canonical encoding of all its fields; the bytes are kept as they were hashed.
 */
import { Tokenizer, type Token } from "cborg"
import { assert } from "../base/assert.ts"
import { objectBytesMax } from "../base/limits.ts"
import type { BucketId, Sequence, TenantId, VaultId, VertexHash } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import { decodeTrusted, decodeWith, encodeWith, flag, FormatError, optional, struct, uint, uint64, word } from "./Canonical.ts"
import type { Attributes, Checksum, Manifest, ObjectPart } from "./Model.ts"
import {
  attributes, bucketId, checksum, etag, manifest, objectKey, objectParts, sequence, tenantId, vaultId, vertexHash
} from "./ModelFormat.ts"

export interface Vertex {
  readonly format: number
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly bucket: BucketId
  readonly sequence: Sequence
  /** Place among the versions that one commit makes: 0 <= ordinal <= 65535. */
  readonly ordinal: number
  readonly time: HybridTime
  readonly kind: "Object" | "DeleteMarker"
  readonly sizeBytes: number
  readonly etag: string
  readonly etagIsMd5: boolean
  readonly key: string
  /** The version that was current when this one was made. */
  readonly parent?: VertexHash
  readonly attributes: Attributes
  readonly checksum?: Checksum
  readonly parts?: ReadonlyArray<ObjectPart>
  readonly manifest: Manifest
}

export const vertexFormat = 1
export const ordinalMax = 0xffff

const codec = struct<Vertex>({
  format: uint(vertexFormat), tenant: tenantId, vault: vaultId, bucket: bucketId, sequence, ordinal: uint(ordinalMax),
  time: uint64, kind: word(["Object", "DeleteMarker"]), sizeBytes: uint(objectBytesMax), etag, etagIsMd5: flag,
  key: objectKey, parent: optional(vertexHash), attributes, checksum: optional(checksum), parts: optional(objectParts), manifest
})

/** Canonical bytes: what the vertex hash covers. */
export const encodeVertex = (vertex: Vertex): Uint8Array => {
  assert(vertex.format === vertexFormat, `a vertex of format ${vertex.format}`)
  return encodeWith(codec, vertex)
}

/** Throws FormatError unless the bytes are exactly those of a vertex. */
export const decodeVertex = (bytes: Uint8Array): Vertex => checked(decodeWith(codec, bytes, "vertex"))

/** For bytes of a row: the tree's seal, or the vertex hash, vouches for their form. */
export const decodeVertexTrusted = (bytes: Uint8Array): Vertex => checked(decodeTrusted(codec, bytes, "vertex"))

const checked = (vertex: Vertex): Vertex => {
  if (vertex.format !== vertexFormat) throw new FormatError(`vertex: unknown format ${vertex.format}`)
  return vertex
}

/** What a listing shows of a vertex: its first fields, read without decoding the rest. */
export interface VertexHead {
  readonly sequence: Sequence
  readonly ordinal: number
  readonly time: HybridTime
  readonly deleteMarker: boolean
  readonly sizeBytes: number
  readonly etag: string
}

const nextNumber = (tokens: Tokenizer): number | bigint => {
  const token: Token = tokens.next()
  if (typeof token.value !== "number" && typeof token.value !== "bigint") throw new FormatError("vertex: not a number")
  return token.value
}

/** Reads the head of a vertex in a row; throws FormatError where there is none. Costs about a microsecond. */
export const vertexHead = (bytes: Uint8Array): VertexHead => {
  try {
    return headOf(new Tokenizer(bytes, { strict: true, allowBigInt: true }))
  } catch (error) {
    // cborg throws errors of its own on malformed bytes.
    if (error instanceof FormatError || !(error instanceof Error)) throw error
    throw new FormatError(`vertex: ${error.message}`)
  }
}

const headOf = (tokens: Tokenizer): VertexHead => {
  tokens.next()
  if (nextNumber(tokens) !== vertexFormat) throw new FormatError("vertex: unknown format")
  // Tenant, vault, bucket.
  tokens.next()
  tokens.next()
  tokens.next()
  const at = Number(nextNumber(tokens))
  const ordinal = Number(nextNumber(tokens))
  const time = BigInt(nextNumber(tokens))
  const deleteMarker = nextNumber(tokens) === 1
  const sizeBytes = Number(nextNumber(tokens))
  return { sequence: at, ordinal, time, deleteMarker, sizeBytes, etag: etagOf(tokens) }
}

const etagOf = (tokens: Tokenizer): string => {
  const first: Token = tokens.next()
  if (first.value instanceof Uint8Array) return etag.read(first.value, "vertex.etag")
  const shape: Token = tokens.next()
  const bytes: Token = tokens.next()
  return etag.read([shape.value, bytes.value], "vertex.etag")
}
