/**
 * Block: many sealed chunks, one after another, with a directory of regions; immutable once written. The pure part
 * sits between sealed chunks (settle, or a large upload) and BlockService, which puts the bytes on the disk.
 *
 * Invariants of a region list, in the order of the file:
 *   1. the first region starts right after the header; each next one at the next multiple of 8 after its forerunner;
 *   2. 0 < lengthBytes <= chunkSizeBytesMax + sealOverheadBytesMax; 0 < sizeBytes <= chunkSizeBytesMax;
 *   3. the directory starts at the next multiple of 8 after the last region.
 * So every byte of a block is header, region, zero padding, directory or footer, and none is two of them.
 */
import { Data } from "effect"
import { assert } from "../base/assert.ts"
import type { BlockId, ChunkId, Hash } from "../base/ids.ts"
import { blockRegionsMax, blockSizeBytesMax, chunkSizeBytesMax, sealOverheadBytesMax } from "../base/limits.ts"

export const blockHeaderBytes = 96
export const blockFooterBytes = 64
export const regionEntryBytes = 80
export const regionAlignmentBytes = 8
export const regionBytesMax = chunkSizeBytesMax + sealOverheadBytesMax

/** A sealed chunk as a block takes it: ciphertext, its hash, the plaintext's id and size. */
export interface BlockChunk {
  readonly id: ChunkId
  readonly sizeBytes: number
  readonly sealedHash: Hash
  readonly sealed: Uint8Array
}

/** Where one sealed chunk lies in its block. Offset and length are those of the sealed bytes. */
export interface Region {
  readonly chunk: ChunkId
  readonly sealedHash: Hash
  readonly offset: number
  readonly lengthBytes: number
  /** Bytes of the plaintext. */
  readonly sizeBytes: number
}

/** A block's bytes are not what was written: says which block, what about it, and the chunk where it is one's. */
export class BlockDamaged extends Data.TaggedError("BlockDamaged")<{
  readonly block: BlockId
  readonly what: string
  readonly chunk?: ChunkId
}> {
  override get message(): string {
    const of = this.chunk === undefined ? "" : ` (chunk ${this.chunk})`
    return `block ${this.block} is damaged: ${this.what}${of}`
  }
}

/** No file has this block's name: freed meanwhile (resolve again, R12), or lost. */
export class BlockMissing extends Data.TaggedError("BlockMissing")<{ readonly block: BlockId }> {
  override get message(): string {
    return `block ${this.block} is not in the data folder`
  }
}

export const alignRegion = (offset: number): number =>
  Math.ceil(offset / regionAlignmentBytes) * regionAlignmentBytes

/** Size of a block of so many sealed bytes, at most: what a filler asks before it takes one more chunk. */
export const blockSizeAtMost = (sealedBytes: number, regions: number): number =>
  blockHeaderBytes + sealedBytes + regions * (regionAlignmentBytes - 1 + regionEntryBytes) + blockFooterBytes

/** Whether a block with so much in it has room for one more chunk. */
export const hasRoom = (sealedBytes: number, regions: number, nextBytes: number): boolean =>
  regions < blockRegionsMax && blockSizeAtMost(sealedBytes + nextBytes, regions + 1) <= blockSizeBytesMax

/** Lays chunks out in the given order, behind what ends at `from`. Asserts the limits: the filler asked hasRoom before. */
export const regionsOf = (chunks: ReadonlyArray<BlockChunk>, from: number): {
  readonly regions: ReadonlyArray<Region>
  readonly end: number
} => {
  let offset = from
  const regions = chunks.map((chunk): Region => {
    assert(chunk.sealed.length > 0 && chunk.sealed.length <= regionBytesMax, `a region of ${chunk.sealed.length} bytes`)
    assert(chunk.sizeBytes > 0 && chunk.sizeBytes <= chunkSizeBytesMax, `a chunk of ${chunk.sizeBytes} bytes`)
    const region: Region = {
      chunk: chunk.id, sealedHash: chunk.sealedHash, offset, lengthBytes: chunk.sealed.length, sizeBytes: chunk.sizeBytes
    }
    offset = alignRegion(offset + chunk.sealed.length)
    return region
  })
  return { regions, end: offset }
}

/** Of a whole block whose regions end at `directoryOffset`. */
export const blockSizeOf = (regions: number, directoryOffset: number): number => {
  assert(regions > 0, "a block has a chunk")
  assert(regions <= blockRegionsMax, `a block has at most ${blockRegionsMax} regions, not ${regions}`)
  const sizeBytes = directoryOffset + regions * regionEntryBytes + blockFooterBytes
  assert(sizeBytes <= blockSizeBytesMax, `a block of ${sizeBytes} bytes exceeds ${blockSizeBytesMax}`)
  return sizeBytes
}

/** A whole block. */
export const layout = (chunks: ReadonlyArray<BlockChunk>): {
  readonly regions: ReadonlyArray<Region>
  readonly directoryOffset: number
  readonly sizeBytes: number
} => {
  const { end, regions } = regionsOf(chunks, blockHeaderBytes)
  return { regions, directoryOffset: end, sizeBytes: blockSizeOf(regions.length, end) }
}

/** What breaks invariants 1 to 3 in a list read from a disk, or undefined. */
export const regionsFault = (regions: ReadonlyArray<Region>, directoryOffset: number): string | undefined => {
  let expected = blockHeaderBytes
  for (const [index, region] of regions.entries()) {
    if (region.offset !== expected) return `region ${index} starts at ${region.offset}, not at ${expected}`
    if (region.lengthBytes < 1 || region.lengthBytes > regionBytesMax) return `region ${index} has ${region.lengthBytes} bytes`
    if (region.sizeBytes < 1 || region.sizeBytes > chunkSizeBytesMax) return `region ${index} claims ${region.sizeBytes} plain bytes`
    expected = alignRegion(region.offset + region.lengthBytes)
  }
  return expected === directoryOffset ? undefined : `regions end at ${expected}, the directory starts at ${directoryOffset}`
}

/** Several regions of one block that one read serves. */
export interface RegionRun {
  readonly offset: number
  readonly lengthBytes: number
  /** Indexes into the places asked for. */
  readonly members: ReadonlyArray<number>
}

/**
 * Joins places that lie side by side into few reads: a gap of at most `gapBytesMax` is read over, a run has at most
 * `runBytesMax` unless one place alone is larger.
 */
export const coalesce = (
  places: ReadonlyArray<{ readonly offset: number; readonly lengthBytes: number }>,
  gapBytesMax: number,
  runBytesMax: number
): ReadonlyArray<RegionRun> => {
  const order = places.map((_, index) => index).sort((a, b) => places[a]!.offset - places[b]!.offset)
  const runs: Array<{ offset: number; lengthBytes: number; members: Array<number> }> = []
  for (const index of order) {
    const place = places[index]!
    const run = runs.at(-1)
    const end = place.offset + place.lengthBytes
    const near = run !== undefined && place.offset <= run.offset + run.lengthBytes + gapBytesMax
    if (near && Math.max(end, run.offset + run.lengthBytes) - run.offset <= runBytesMax) {
      run.lengthBytes = Math.max(end, run.offset + run.lengthBytes) - run.offset
      run.members.push(index)
    } else {
      runs.push({ offset: place.offset, lengthBytes: place.lengthBytes, members: [index] })
    }
  }
  return runs
}
