/**
 * BlockFormat: the bytes of a block's header, directory and footer; README.md has the tables. It sits between Block
 * (the layout) and BlockService (the file).
 *
 * Every byte is covered: the header by its own hash, regions by the sealed hashes in the directory, padding by being
 * zero, and header, directory and footer by the frame hash, which therefore names the whole block.
 */
import { assert } from "../base/assert.ts"
import { compareBytes, concatBytes, equalBytes, fromHex, getU64, putU64, toHex } from "../base/bytes.ts"
import { hashBytes } from "../base/hash.ts"
import type { BlockId, ChunkId, Hash, StoreId, VaultId } from "../base/ids.ts"
import { blockRegionsMax, blockSizeBytesMax } from "../base/limits.ts"
import { blockFooterBytes, blockHeaderBytes, regionEntryBytes, regionsFault } from "./Block.ts"
import type { Region } from "./Block.ts"

export const blockFormatVersion = 1
/** Suite 1: BLAKE3. */
export const blockHashSuite = 1

const headerMagic = new Uint8Array([0x4f, 0x55, 0x52, 0x42, 0x4c, 0x4f, 0x43, 0x4b]) // OURBLOCK
const footerMagic = new Uint8Array([0x4f, 0x55, 0x52, 0x42, 0x4b, 0x45, 0x4e, 0x44]) // OURBKEND

/** What a header says besides its format: whose block this is. */
export interface BlockHeader {
  readonly store: StoreId
  readonly vault: VaultId
  readonly block: BlockId
}

export interface BlockFooter {
  readonly regions: number
  readonly directoryOffset: number
  readonly sizeBytes: number
  readonly frameHash: Hash
}

/** Why bytes are no block of ours; the service adds which one. */
export class BlockFault {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const encodeHeader = (header: BlockHeader): Uint8Array => {
  const bytes = new Uint8Array(blockHeaderBytes)
  bytes.set(headerMagic, 0)
  view(bytes).setUint16(8, blockFormatVersion)
  bytes[10] = blockHashSuite
  bytes.set(fromHex(header.store), 16)
  bytes.set(fromHex(header.vault), 32)
  bytes.set(fromHex(header.block), 48)
  bytes.set(hashBytes(bytes.subarray(0, 64)), 64)
  return bytes
}

/** Any bytes in; the header or what is wrong with it. */
export const decodeHeader = (bytes: Uint8Array): BlockHeader | BlockFault => {
  if (bytes.length < blockHeaderBytes) return new BlockFault(`the header has ${bytes.length} bytes, not ${blockHeaderBytes}`)
  if (compareBytes(bytes.subarray(0, 8), headerMagic) !== 0) return new BlockFault("the header's magic is wrong")
  if (!equalBytes(hashBytes(bytes.subarray(0, 64)), bytes.subarray(64, blockHeaderBytes))) return new BlockFault("the header's hash is wrong")
  const version = view(bytes).getUint16(8)
  if (version !== blockFormatVersion) return new BlockFault(`format version ${version} is not known here (this is ${blockFormatVersion})`)
  if (bytes[10] !== blockHashSuite) return new BlockFault(`hash suite ${bytes[10]} is not known here`)
  if (bytes.subarray(11, 16).some((byte) => byte !== 0)) return new BlockFault("the header's reserved bytes are not zero")
  return {
    store: toHex(bytes.subarray(16, 32)) as StoreId,
    vault: toHex(bytes.subarray(32, 48)) as VaultId,
    block: toHex(bytes.subarray(48, 64)) as BlockId
  }
}

const encodeRegion = (region: Region, target: Uint8Array, at: number): void => {
  target.set(fromHex(region.chunk), at)
  target.set(fromHex(region.sealedHash), at + 32)
  putU64(target, at + 64, region.offset)
  view(target).setUint32(at + 72, region.lengthBytes)
  view(target).setUint32(at + 76, region.sizeBytes)
}

/** Directory and footer in one piece, with the hash that names the block. */
export const encodeTail = (header: Uint8Array, regions: ReadonlyArray<Region>, directoryOffset: number): {
  readonly bytes: Uint8Array
  readonly frameHash: Hash
} => {
  assert(regionsFault(regions, directoryOffset) === undefined, "regions keep their invariants before they are written")
  const directoryBytes = regions.length * regionEntryBytes
  const bytes = new Uint8Array(directoryBytes + blockFooterBytes)
  for (const [index, region] of regions.entries()) encodeRegion(region, bytes, index * regionEntryBytes)
  bytes.set(footerMagic, directoryBytes)
  view(bytes).setUint32(directoryBytes + 8, regions.length)
  putU64(bytes, directoryBytes + 16, directoryOffset)
  putU64(bytes, directoryBytes + 24, directoryOffset + bytes.length)
  const frameHash = hashBytes(concatBytes([header, bytes.subarray(0, directoryBytes + 32)]))
  bytes.set(frameHash, directoryBytes + 32)
  return { bytes, frameHash: toHex(frameHash) as Hash }
}

/** Any bytes in. `fileBytes` is the file's size: lengths are checked against it before anything is allocated. */
export const decodeFooter = (bytes: Uint8Array, fileBytes: number): BlockFooter | BlockFault => {
  if (bytes.length !== blockFooterBytes) return new BlockFault(`the footer has ${bytes.length} bytes, not ${blockFooterBytes}`)
  if (compareBytes(bytes.subarray(0, 8), footerMagic) !== 0) return new BlockFault("the footer's magic is wrong")
  if (fileBytes > blockSizeBytesMax) return new BlockFault(`the file has ${fileBytes} bytes, more than ${blockSizeBytesMax}`)
  const regions = view(bytes).getUint32(8)
  if (regions < 1 || regions > blockRegionsMax) return new BlockFault(`the footer claims ${regions} regions`)
  if (view(bytes).getUint32(12) !== 0) return new BlockFault("the footer's reserved bytes are not zero")
  const directoryOffset = getU64(bytes, 16)
  const sizeBytes = getU64(bytes, 24)
  if (sizeBytes !== fileBytes) return new BlockFault(`the footer claims ${sizeBytes} bytes, the file has ${fileBytes}`)
  const end = directoryOffset === undefined ? undefined : directoryOffset + regions * regionEntryBytes + blockFooterBytes
  if (directoryOffset === undefined || directoryOffset < blockHeaderBytes || end !== sizeBytes) {
    return new BlockFault(`the footer puts the directory at ${directoryOffset}`)
  }
  return { regions, directoryOffset, sizeBytes, frameHash: toHex(bytes.subarray(32, 64)) as Hash }
}

/**
 * The regions of a block from its header, directory and footer bytes: verified against the frame hash and the bounds.
 * `tail` is directory and footer, as encodeTail made them.
 */
export const decodeDirectory = (
  header: Uint8Array, tail: Uint8Array, footer: BlockFooter
): ReadonlyArray<Region> | BlockFault => {
  const directoryBytes = footer.regions * regionEntryBytes
  if (tail.length !== directoryBytes + blockFooterBytes) return new BlockFault(`the directory has ${tail.length - blockFooterBytes} bytes, not ${directoryBytes}`)
  const frameHash = hashBytes(concatBytes([header, tail.subarray(0, directoryBytes + 32)]))
  if (!equalBytes(frameHash, tail.subarray(directoryBytes + 32))) return new BlockFault("the directory's hash is wrong")
  const regions: Array<Region> = []
  for (let at = 0; at < directoryBytes; at += regionEntryBytes) {
    const offset = getU64(tail, at + 64)
    if (offset === undefined) return new BlockFault(`region ${regions.length} starts beyond 2^53`)
    regions.push({
      chunk: toHex(tail.subarray(at, at + 32)) as ChunkId,
      sealedHash: toHex(tail.subarray(at + 32, at + 64)) as Hash,
      offset,
      lengthBytes: view(tail).getUint32(at + 72),
      sizeBytes: view(tail).getUint32(at + 76)
    })
  }
  const fault = regionsFault(regions, footer.directoryOffset)
  return fault === undefined ? regions : new BlockFault(fault)
}
