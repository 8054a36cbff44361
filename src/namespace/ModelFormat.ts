/**
 * ModelFormat: the canonical form of the nouns that entries, vertices and rows share. It sits between Model.ts and the
 * formats that embed these nouns; every list has its bound here, so a decoder never allocates more than was written.
 */
import { fromBase64, fromHex, toBase64, toHex } from "../base/bytes.ts"
import type { BlockId, BucketId, ChunkId, Hash, TenantId, UploadId, VaultId, VertexHash } from "../base/ids.ts"
import {
  blockRegionsMax, chunkSizeBytesMax, commitArrivalsMax, commitBlocksMax, headerBytesMax, inlineBytesMax, keyBytesMax,
  manifestLevelsMax, manifestPageEntriesMax, objectBytesMax, partNumberMax
} from "../base/limits.ts"
import { type Codec, FormatError, type Node, flag, hex, list, optional, raw, rawView, struct, text, textRecord, uint, union, word } from "./Canonical.ts"
import type {
  Attributes, BlockArrival, Checksum, ChunkArrival, CompletedPart, Content, Copy, CopyPlace, Manifest, ManifestEntry,
  ObjectPart, WriteCondition
} from "./Model.ts"

export const tenantId = hex<TenantId>(16)
export const vaultId = hex<VaultId>(16)
export const bucketId = hex<BucketId>(16)
export const uploadId = hex<UploadId>(16)
export const blockId = hex<BlockId>(16)
export const chunkId = hex<ChunkId>(32)
export const hash = hex<Hash>(32)
export const vertexHash = hex<VertexHash>(32)
export const sequence = uint()
export const objectKey = text(keyBytesMax)
export const bucketName = text(255)
export const principal = text(255)
const objectSize = uint(objectBytesMax)
const chunkSize = uint(chunkSizeBytesMax)
const offset = uint(0xffff_ffff)

/** Text whose usual shape has a shorter one: raw bytes tagged [shape, bytes]. The shape is a function of the text. */
const shaped = (max: number, shapes: ReadonlyArray<readonly [is: RegExp, from: (text: string) => Uint8Array, to: (bytes: Uint8Array) => string]>): Codec<string> => {
  const plain = text(max)
  return {
    write: (value) => {
      for (const [index, [is, from, to]] of shapes.entries()) {
        if (!is.test(value)) continue
        const bytes = from(value)
        // "====" and the like look like base64 and are not what their bytes encode to: they stay text.
        if (to(bytes) === value) return [index, bytes] as Node
      }
      return plain.write(value)
    },
    read: (node, at) => {
      if (!Array.isArray(node)) return plain.read(node, at)
      const shape = node.length === 2 ? shapes[node[0]] : undefined
      if (shape === undefined || !(node[1] instanceof Uint8Array) || node[1].length > max) throw new FormatError(`${at}: not a shaped text`)
      return shape[2](node[1])
    },
    take: (reader) => {
      if (!reader.isAtArray) return plain.take!(reader)
      const shape = reader.enter() === 2 ? shapes[reader.read() as number] : undefined
      const bytes = reader.bytes()
      if (shape === undefined || bytes.length > max) throw new FormatError("not a shaped text")
      return shape[2](bytes)
    }
  }
}

/** An ETag without quotes: 32 hex digits take 16 bytes. */
export const etag = shaped(256, [[/^[0-9a-f]{32}$/, fromHex, toHex]])
const base64 = shaped(256, [[/^[A-Za-z0-9+/]+={0,2}$/, fromBase64, toBase64]])

export const checksumAlgorithm = word(["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
export const checksumType = word(["FULL_OBJECT", "COMPOSITE"])
export const checksum = struct<Checksum>({ algorithm: checksumAlgorithm, value: base64, type: checksumType })

const place = union<CopyPlace>({
  Journal: [0, struct({ segment: uint(), offset, lengthBytes: offset })],
  Block: [1, struct({ block: blockId, offset, lengthBytes: offset })]
})
export const copyPlace: Codec<CopyPlace> = place
export const copy = struct<Copy>({ place, incarnation: sequence })

export const chunkArrival = struct<ChunkArrival>({ id: chunkId, sizeBytes: chunkSize, sealedHash: hash, place })
export const chunkArrivals = list(chunkArrival, commitArrivalsMax)
export const blockArrival = struct<BlockArrival>({ block: blockId, sizeBytes: offset, hash, regions: uint(blockRegionsMax) })
export const blockArrivals = list(blockArrival, commitBlocksMax)

/** A page's entry covers a whole subtree, hence the bound of an object. */
export const manifestEntry = struct<ManifestEntry>({ chunk: chunkId, sizeBytes: objectSize })
export const manifestEntries = list(manifestEntry, manifestPageEntriesMax)
export const manifestLevel = uint(manifestLevelsMax)
const manifestWith = (bytes: Codec<Uint8Array>): Codec<Manifest> => union<Manifest>({
  Inline: [0, struct({ bytes })],
  Chunks: [1, struct({ entries: manifestEntries })],
  Pages: [2, struct({ level: manifestLevel, entries: manifestEntries })]
})
export const manifest = manifestWith(raw(inlineBytesMax))
/** Of a vertex in its row: inline bytes are a view of the row's. */
export const manifestOfRow = manifestWith(rawView(inlineBytesMax))

const pairs = textRecord(256, headerBytesMax)
export const attributes = struct<Attributes>({ headers: pairs, userMetadata: pairs })

export const partNumber = uint(partNumberMax)
export const objectPart = struct<ObjectPart>({ partNumber, sizeBytes: objectSize, checksum: optional(checksum) })
export const objectParts = list(objectPart, partNumberMax)
export const completedParts = list(struct<CompletedPart>({ partNumber, etag }), partNumberMax)

export const content = struct<Content>({
  sizeBytes: objectSize, etag, etagIsMd5: flag, checksum: optional(checksum), manifest,
  arrivals: chunkArrivals, blocks: blockArrivals
})

export const condition = struct<WriteCondition>({ ifMatch: optional(etag), ifNoneMatch: optional(etag) })
