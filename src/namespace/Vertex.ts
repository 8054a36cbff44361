/**
 * Vertex: an immutable node of the version graph, one version of one object or a delete marker. It sits between the
 * machine, which alone knows its parent and time and so makes it, and the version row that holds its bytes.
 *
 * Its name is the keyed hash of the canonical encoding of all its fields; the bytes are kept as they were hashed.
 */
import { assert } from "../base/assert.ts"
import { objectBytesMax } from "../base/limits.ts"
import type { BucketId, Sequence, TenantId, VaultId, VertexHash } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import { CborReader } from "./Cbor.ts"
import { type Codec, decodeTrusted, decodeWith, encodeWith, flag, FormatError, optional, struct, uint, uint64, word } from "./Canonical.ts"
import type { Attributes, Checksum, Manifest, ObjectPart } from "./Model.ts"
import {
  attributes, bucketId, checksum, etag, manifest, manifestOfRow, objectKey, objectParts, sequence, tenantId, vaultId, vertexHash
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

const ordinal = uint(ordinalMax)
const kind = word<Vertex["kind"]>(["Object", "DeleteMarker"])
const size = uint(objectBytesMax)

const codecWith = (manifestCodec: Codec<Manifest>) => struct<Vertex>({
  format: uint(vertexFormat), tenant: tenantId, vault: vaultId, bucket: bucketId, sequence, ordinal,
  time: uint64, kind, sizeBytes: size, etag, etagIsMd5: flag,
  key: objectKey, parent: optional(vertexHash), attributes, checksum: optional(checksum), parts: optional(objectParts), manifest: manifestCodec
})
const codec = codecWith(manifest)
const codecOfRow = codecWith(manifestOfRow)

/** Canonical bytes: what the vertex hash covers. */
export const encodeVertex = (vertex: Vertex): Uint8Array => {
  assert(vertex.format === vertexFormat, `a vertex of format ${vertex.format}`)
  return encodeWith(codec, vertex)
}

/** Throws FormatError unless the bytes are exactly those of a vertex. */
export const decodeVertex = (bytes: Uint8Array): Vertex => checked(decodeWith(codec, bytes, "vertex"))

/** For bytes of a row: the tree's seal, or the vertex hash, vouches for their form. Inline bytes are a view of them. */
export const decodeVertexTrusted = (bytes: Uint8Array): Vertex => checked(decodeTrusted(codecOfRow, bytes, "vertex"))

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

/** Reads the head of a vertex in a row; throws FormatError where there is none. */
export const vertexHead = (bytes: Uint8Array): VertexHead => {
  const reader = new CborReader(bytes)
  reader.enter()
  if (reader.read() !== vertexFormat) throw new FormatError("vertex: unknown format")
  // Tenant, vault, bucket.
  reader.skip(3)
  return {
    sequence: sequence.read(reader.read(), "vertex.sequence"),
    ordinal: ordinal.read(reader.read(), "vertex.ordinal"),
    time: uint64.read(reader.read(), "vertex.time"),
    deleteMarker: kind.read(reader.read(), "vertex.kind") === "DeleteMarker",
    sizeBytes: size.read(reader.read(), "vertex.sizeBytes"),
    etag: etag.read(reader.read(), "vertex.etag")
  }
}

const fieldsBeforeChecksum = 14
const maybeChecksum = optional(checksum)

/** The checksum alone, for listings; throws FormatError where the bytes are no vertex. */
export const vertexChecksum = (bytes: Uint8Array): Checksum | undefined => {
  const reader = new CborReader(bytes)
  reader.enter()
  reader.skip(fieldsBeforeChecksum)
  return maybeChecksum.read(reader.read(), "vertex.checksum")
}
