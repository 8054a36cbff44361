/**
 * BlockMessage: a block on its way between nodes: what it is made of, from which its file is written anew, byte for byte the same. And asks for regions.
 * Between BlockCopies and the carrier, whose messages are bounded and proven; what is in them is judged here all the same.
 *
 * Integers are big-endian. Block: version 1, block 16, frame hash 32, regions 4; for each: chunk 32, bytes of the plaintext 4, sealed hash 32, sealed bytes 4; then the
 * sealed bytes of all, one behind the other. Ask for regions: version 1, count 4; for each: block 16, offset 8, bytes 4, sealed hash 32. Ask for what is lacking: version 1;
 * its answer: version 1, index 8, count 4.
 */
import { fromHex, toHex } from "../base/bytes.ts"
import { blockRegionsAskedMax } from "../base/clusterLimits.ts"
import type { BlockId, ChunkId, Hash } from "../base/ids.ts"
import { blockRegionsMax, blockSizeBytesMax, chunkSizeBytesMax } from "../base/limits.ts"
import { type BlockChunk, regionBytesMax } from "../block/Block.ts"
import type { RegionRead } from "../block/BlockService.ts"

const version = 1
const idBytes = 16
const hashBytes = 32
const headBytes = 1 + idBytes + hashBytes + 4
const entryBytes = hashBytes + 4 + hashBytes + 4
const askBytes = idBytes + 8 + 4 + hashBytes

export interface BlockMessage {
  readonly block: BlockId
  /** What the block's frame hash must be once it is written. */
  readonly hash: Hash
  readonly chunks: ReadonlyArray<BlockChunk>
}

export const encodeBlock = ({ block, chunks, hash }: BlockMessage): Uint8Array => {
  const bodyBytes = chunks.reduce((sum, { sealed }) => sum + sealed.length, 0)
  const bytes = new Uint8Array(headBytes + chunks.length * entryBytes + bodyBytes)
  const view = new DataView(bytes.buffer)
  bytes[0] = version
  bytes.set(fromHex(block), 1)
  bytes.set(fromHex(hash), 1 + idBytes)
  view.setUint32(headBytes - 4, chunks.length)
  let at = headBytes
  let body = headBytes + chunks.length * entryBytes
  for (const { id, sealed, sealedHash, sizeBytes } of chunks) {
    bytes.set(fromHex(id), at)
    view.setUint32(at + hashBytes, sizeBytes)
    bytes.set(fromHex(sealedHash), at + hashBytes + 4)
    view.setUint32(at + entryBytes - 4, sealed.length)
    bytes.set(sealed, body)
    at += entryBytes
    body += sealed.length
  }
  return bytes
}

/** The block, its chunks views of `bytes`; or what is wrong. */
export const decodeBlock = (bytes: Uint8Array): BlockMessage | string => {
  if (bytes.length < headBytes || bytes[0] !== version) return "no block of version 1"
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const count = view.getUint32(headBytes - 4)
  const begin = headBytes + count * entryBytes
  if (count < 1 || count > blockRegionsMax || begin > bytes.length) return `a block of ${count} regions in ${bytes.length} bytes`
  if (bytes.length - begin > blockSizeBytesMax) return `a block of ${bytes.length - begin} sealed bytes: ${blockSizeBytesMax} at most`
  const hex = (at: number, length: number): string => toHex(bytes.subarray(at, at + length))
  const chunks: Array<BlockChunk> = []
  let body = begin
  for (let at = headBytes; at < begin; at += entryBytes) {
    const sizeBytes = view.getUint32(at + hashBytes)
    const sealedBytes = view.getUint32(at + entryBytes - 4)
    if (sizeBytes < 1 || sizeBytes > chunkSizeBytesMax || sealedBytes < 1 || sealedBytes > regionBytesMax) return `a region of ${sealedBytes} sealed bytes for ${sizeBytes}`
    if (body + sealedBytes > bytes.length) return "the last regions are cut off"
    chunks.push({ id: hex(at, hashBytes) as ChunkId, sizeBytes, sealedHash: hex(at + hashBytes + 4, hashBytes) as Hash, sealed: bytes.subarray(body, body + sealedBytes) })
    body += sealedBytes
  }
  if (body !== bytes.length) return `${bytes.length - body} bytes behind the last region`
  return { block: hex(1, idBytes) as BlockId, hash: hex(1 + idBytes, hashBytes) as Hash, chunks }
}

export const encodeBlockAsk = (block: BlockId): Uint8Array => {
  const bytes = new Uint8Array(1 + idBytes)
  bytes[0] = version
  bytes.set(fromHex(block), 1)
  return bytes
}

export const decodeBlockAsk = (bytes: Uint8Array): BlockId | undefined =>
  bytes.length === 1 + idBytes && bytes[0] === version ? toHex(bytes.subarray(1)) as BlockId : undefined

/** At most blockRegionsAskedMax. */
export const encodeRegionsAsk = (places: ReadonlyArray<RegionRead>): Uint8Array => {
  const bytes = new Uint8Array(5 + places.length * askBytes)
  const view = new DataView(bytes.buffer)
  bytes[0] = version
  view.setUint32(1, places.length)
  for (const [index, { block, lengthBytes, offset, sealedHash }] of places.entries()) {
    const at = 5 + index * askBytes
    bytes.set(fromHex(block), at)
    view.setBigUint64(at + idBytes, BigInt(offset))
    view.setUint32(at + idBytes + 8, lengthBytes)
    bytes.set(fromHex(sealedHash), at + idBytes + 12)
  }
  return bytes
}

export const decodeRegionsAsk = (bytes: Uint8Array): ReadonlyArray<RegionRead> | string => {
  if (bytes.length < 5 || bytes[0] !== version) return "no ask of version 1"
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const count = view.getUint32(1)
  if (count < 1 || count > blockRegionsAskedMax || bytes.length !== 5 + count * askBytes) return `${count} regions in ${bytes.length} bytes`
  return Array.from({ length: count }, (_, index) => {
    const at = 5 + index * askBytes
    const hex = (from: number, length: number): string => toHex(bytes.subarray(from, from + length))
    return {
      block: hex(at, idBytes) as BlockId, offset: Number(view.getBigUint64(at + idBytes)), lengthBytes: view.getUint32(at + idBytes + 8), sealedHash: hex(at + idBytes + 12, hashBytes) as Hash
    }
  })
}

/** How many blocks a member lacked at the end of its last look, of those that the commits up to `index` name. */
export interface Lacking {
  readonly index: number
  readonly count: number
}

const lackingBytes = 13

export const encodeLackingAsk = (): Uint8Array => Uint8Array.of(version)

export const isLackingAsk = (bytes: Uint8Array): boolean => bytes.length === 1 && bytes[0] === version

export const encodeLacking = ({ count, index }: Lacking): Uint8Array => {
  const bytes = new Uint8Array(lackingBytes)
  const view = new DataView(bytes.buffer)
  bytes[0] = version
  view.setBigUint64(1, BigInt(index))
  view.setUint32(9, Math.min(count, 0xffff_ffff))
  return bytes
}

export const decodeLacking = (bytes: Uint8Array): Lacking | undefined => {
  if (bytes.length !== lackingBytes || bytes[0] !== version) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const index = view.getBigUint64(1)
  return index > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { index: Number(index), count: view.getUint32(9) }
}
