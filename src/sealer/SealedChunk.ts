/**
 * SealedChunk: a chunk as storage sees it, with its header's bytes. Sits between the vault, which seals and opens it,
 * and the journal and blocks, which keep it without a key.
 */
import { assert } from "../base/assert.ts"
import { chunkSizeBytesMax, sealOverheadBytesMax } from "../base/limits.ts"
import { type ChunkId, type Hash, type VaultId, hashBytesCount, idBytes, rawId } from "../base/ids.ts"
import { toHex } from "../base/bytes.ts"
import type { SealReason } from "./SealError.ts"
import { suiteByte } from "./VaultKeys.ts"

export interface SealedChunk {
  readonly id: ChunkId
  /** Of the plaintext. */
  readonly sizeBytes: number
  /** Header, nonce, ciphertext, tag: in a buffer of their own. */
  readonly bytes: Uint8Array
  /** BLAKE3 of `bytes`: holders without a key verify and repair by it. */
  readonly hash: Hash
}

export interface ChunkHeader {
  readonly compressed: boolean
  readonly generation: number
  readonly vaultId: VaultId
  readonly id: ChunkId
  /** Of the plaintext, 1 to chunkSizeBytesMax. */
  readonly sizeBytes: number
  /** Of the ciphertext; equal to sizeBytes where nothing was compressed, smaller where it was. */
  readonly bodyBytes: number
}

/** "OBSC" */
const magic = 0x4f42_5343
const formatVersion = 1
export const chunkHeaderBytes = 36 + hashBytesCount
export const nonceBytes = 12
export const tagBytes = 16
export const chunkOverheadBytes = chunkHeaderBytes + nonceBytes + tagBytes
assert(chunkOverheadBytes <= sealOverheadBytesMax, "a sealed chunk keeps within its overhead")
assert(idBytes === 16, "the header has room for a vault's id")

/** Writes the header at the start of `target`. */
export const encodeChunkHeader = (header: ChunkHeader, target: Buffer): void => {
  assert(header.sizeBytes >= 1 && header.sizeBytes <= chunkSizeBytesMax, `no chunk has ${header.sizeBytes} bytes`)
  assert(
    header.compressed ? header.bodyBytes < header.sizeBytes : header.bodyBytes === header.sizeBytes,
    "a body is as long as its chunk, or shorter and compressed"
  )
  target.writeUInt32BE(magic, 0)
  target.writeUInt8(formatVersion, 4)
  target.writeUInt8(suiteByte, 5)
  target.writeUInt8(header.compressed ? 1 : 0, 6)
  target.writeUInt8(0, 7)
  target.writeUInt32BE(header.generation, 8)
  target.writeUInt32BE(header.sizeBytes, 12)
  target.writeUInt32BE(header.bodyBytes, 16)
  target.write(header.vaultId, 20, "hex")
  target.write(header.id, 36, "hex")
  assert(rawId(header.id).length === hashBytesCount, "a chunk id has 32 bytes")
}

/** The header of sealed bytes, checked against their length; nothing is allocated by what it says. */
export const decodeChunkHeader = (
  bytes: Uint8Array
): ChunkHeader | { readonly reason: SealReason; readonly detail: string } => {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (data.length < chunkOverheadBytes + 1) return { reason: "Damaged", detail: `${data.length} bytes are too few` }
  if (data.readUInt32BE(0) !== magic) return { reason: "UnknownFormat", detail: "no sealed chunk starts like this" }
  const version = data.readUInt8(4)
  const suite = data.readUInt8(5)
  if (version !== formatVersion) return { reason: "UnknownFormat", detail: `version ${version}; this program knows ${formatVersion}` }
  if (suite !== suiteByte) return { reason: "UnknownFormat", detail: `suite ${suite}; this program knows ${suiteByte}` }
  const compression = data.readUInt8(6)
  if (compression > 1 || data.readUInt8(7) !== 0) return { reason: "UnknownFormat", detail: `compression ${compression}` }
  const header = {
    compressed: compression === 1,
    generation: data.readUInt32BE(8),
    sizeBytes: data.readUInt32BE(12),
    bodyBytes: data.readUInt32BE(16),
    vaultId: toHex(data.subarray(20, 36)) as VaultId,
    id: toHex(data.subarray(36, chunkHeaderBytes)) as ChunkId
  }
  const { compressed, sizeBytes, bodyBytes, generation } = header
  if (bodyBytes !== data.length - chunkOverheadBytes) {
    return { reason: "Damaged", detail: `the header says ${bodyBytes} bytes, ${data.length - chunkOverheadBytes} are there` }
  }
  if (generation === 0 || sizeBytes > chunkSizeBytesMax || (compressed ? bodyBytes >= sizeBytes : bodyBytes !== sizeBytes)) {
    return { reason: "Damaged", detail: `sizes ${sizeBytes} and ${bodyBytes}, generation ${generation} do not fit together` }
  }
  return header
}
