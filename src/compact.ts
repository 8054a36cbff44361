/**
 * Compact: blocks of which nothing, or little, is anybody's go. It sits between the regions that the rows know of and the
 * block files. A block that no region lies in is dropped by a commit, and its file removed once that is durable; a sparse
 * one is read, verified, written anew together with others like it, its chunks moved by compare-and-set, then dropped.
 *
 * A crash between leaves files that no commit names, which the next start removes. Readers that resolved the old place
 * find the block missing and resolve again (R12). Damage is left where it is, and named; it does not hold up the rest.
 */
import { Effect } from "effect"
import { type BlockId, idOf } from "./base/ids.ts"
import { commitMovesMax, compactBytesPerRoundMax, compactDamagedMax, gcBlocksPerRoundMax } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import { type BlockChunk, blockFooterBytes, blockHeaderBytes, hasRoom, regionEntryBytes } from "./block/Block.ts"
import type { BlocksService } from "./block/BlockService.ts"
import type { FreeRooms } from "./free.ts"
import type { CopyPlace } from "./namespace/Model.ts"
import { Unavailable } from "./namespace/Namespace.ts"
import { blockLoad, type BlockLoad, blocksAfter, type BlockUse, blockUse, deadBlocks } from "./namespace/QueryGarbage.ts"
import type { DiskError, DiskService } from "./ports/Disk.ts"
import type { EntropyService } from "./ports/Entropy.ts"
import { collectAll } from "./purge.ts"
import { neverRefused } from "./settle.ts"

export interface CompactRooms extends FreeRooms {
  readonly blocks: BlocksService
  readonly disk: DiskService
  readonly entropy: EntropyService
  /** A block of which less than this share is live is written anew. */
  readonly below: number
  readonly bytesPerSecond: number
  readonly blockBytesTarget: number
  /** Free space below which nothing is written anew. */
  readonly reserveBytes: number
}

export interface Compacting {
  /** Where the walks over noted and over all blocks stand. */
  deadFrom: BlockId | undefined
  allFrom: BlockId | undefined
  /** All blocks were looked at since the start: also those that an upload named and never used are found. */
  isWalked: boolean
  /** Blocks with a region that cannot be read, and how much of them was live then. */
  readonly damaged: Map<BlockId, number>
  /** Why sparse blocks wait; undefined: none does. */
  waiting: string | undefined
  /** Since the start. */
  blocksDropped: number
  blocksCompacted: number
  bytesDropped: number
  bytesRewritten: number
}

export const noCompacting = (): Compacting => ({
  deadFrom: undefined, allFrom: undefined, isWalked: false, damaged: new Map(), waiting: undefined, blocksDropped: 0, blocksCompacted: 0,
  bytesDropped: 0, bytesRewritten: 0
})

/** The share of a block that is somebody's, its own frame aside. */
export const liveShare = ({ liveBytes, regionCount, sizeBytes }: Pick<BlockLoad, "liveBytes" | "regionCount" | "sizeBytes">): number =>
  (liveBytes + regionCount * regionEntryBytes) / Math.max(1, sizeBytes - blockHeaderBytes - blockFooterBytes)

/** Blocks to look at now: those of which waste is noted, and some of all the others. `all`: every block there is. */
const blocksToLookAt = ({ reader }: CompactRooms, compacting: Compacting, all: boolean): ReadonlyArray<BlockId> => {
  if (all) return blocksAfter(reader, undefined, Number.MAX_SAFE_INTEGER)
  const dead = deadBlocks(reader, compacting.deadFrom, gcBlocksPerRoundMax).map(({ block }) => block)
  compacting.deadFrom = dead.length < gcBlocksPerRoundMax ? undefined : dead.at(-1)
  if (compacting.isWalked) return dead
  const others = blocksAfter(reader, compacting.allFrom, gcBlocksPerRoundMax)
  compacting.isWalked = others.length < gcBlocksPerRoundMax
  compacting.allFrom = others.at(-1)
  return [...new Set([...dead, ...others])]
}

/** One round over the blocks: drops what is empty, writes anew what is sparse, within the bounds of a round or without. */
export const compact = Effect.fnUntraced(function*(rooms: CompactRooms, compacting: Compacting, all: boolean, observe: (phase: "Dropping" | "Compacting") => void) {
  observe("Dropping")
  const sparse: Array<BlockUse> = []
  for (const block of blocksToLookAt(rooms, compacting, all)) {
    const load = blockLoad(rooms.reader, block)
    // A block that a body under way has named may be about to be used.
    if (load === undefined || !isSettled(rooms, load)) continue
    if (load.regionCount === 0) yield* dropBlock(rooms, compacting, block)
    else if (liveShare(load) < rooms.below && compacting.damaged.get(block) !== load.liveBytes) sparse.push(blockUse(rooms.reader, block)!)
  }
  compacting.waiting = undefined
  // The most wasteful first.
  sparse.sort((a, b) => (b.sizeBytes - b.liveBytes) - (a.sizeBytes - a.liveBytes))
  let bytesLeft = all ? Number.MAX_SAFE_INTEGER : compactBytesPerRoundMax
  observe("Compacting")
  for (const batch of batchesOf(sparse, rooms.blockBytesTarget)) {
    if (bytesLeft <= 0) break
    if ((yield* freeBytes(rooms)) < rooms.reserveBytes + 2 * rooms.blockBytesTarget) {
      compacting.waiting = `${sparse.length} sparse blocks wait for room on the disk`
      return
    }
    const bytes = yield* compactBatch(rooms, compacting, batch)
    bytesLeft -= bytes
    if (!all && rooms.bytesPerSecond > 0) yield* Effect.sleep(Math.ceil(1000 * bytes / rooms.bytesPerSecond))
  }
})

const isSettled = ({ intents }: CompactRooms, { incarnation }: BlockLoad): boolean => incarnation <= (intents.oldest() ?? Number.MAX_SAFE_INTEGER)

const freeBytes = ({ disk }: CompactRooms): Effect.Effect<number, Unavailable> =>
  Effect.mapError(disk.freeBytes, (error) => new Unavailable({ reason: "BlockFailed", detail: error.message }))

/** The commit first: once it is durable nothing can name the file any more. */
const dropBlock = Effect.fnUntraced(function*({ blocks, namespace }: CompactRooms, compacting: Compacting, block: BlockId) {
  const { bytes, items } = yield* collectAll(namespace, { _tag: "DropBlock", block })
  if (items === 0) return
  compacting.blocksDropped += 1
  probe("compact.blockDropped")
  compacting.bytesDropped += bytes
  compacting.damaged.delete(block)
  yield* Effect.catch(blocks.remove(block), (error: DiskError) =>
    Effect.logWarning(`block ${block} is dropped, but its file stays until the next start: ${error.message}`))
})

/** Sparse blocks that make about one new block together. */
const batchesOf = (sparse: ReadonlyArray<BlockUse>, bytesTarget: number): ReadonlyArray<ReadonlyArray<BlockUse>> => {
  const batches: Array<Array<BlockUse>> = []
  let bytes = Number.POSITIVE_INFINITY
  let regions = 0
  for (const use of sparse) {
    const fits = bytes + use.liveBytes <= Math.max(bytesTarget, use.liveBytes) && hasRoom(bytes, regions + use.regions.length, use.liveBytes)
    if (!fits) {
      batches.push([])
      bytes = 0
      regions = 0
    }
    batches.at(-1)!.push(use)
    bytes += use.liveBytes
    regions += use.regions.length
  }
  return batches
}

interface Moving {
  readonly chunk: BlockChunk
  readonly from: CopyPlace
}

/** Bytes written. */
const compactBatch = Effect.fnUntraced(function*(rooms: CompactRooms, compacting: Compacting, batch: ReadonlyArray<BlockUse>) {
  const moving: Array<Moving> = []
  for (const use of batch) moving.push(...yield* readLive(rooms, compacting, use))
  let bytes = 0
  if (moving.length > 0) {
    const block = idOf<BlockId>(rooms.entropy.bytes(16))
    const written = yield* Effect.mapError(rooms.blocks.write(block, moving.map(({ chunk }) => chunk)), (error) =>
      new Unavailable({ reason: error._tag === "DiskError" && error.code === "NoSpace" ? "DiskFull" : "BlockFailed", detail: error.message }))
    bytes = written.arrival.sizeBytes
    const moves = moving.map(({ chunk, from }, index) => ({ chunk: chunk.id, from, to: written.places[index]! }))
    for (let at = 0; at < moves.length; at += commitMovesMax) {
      const change = { _tag: "BlockSealed" as const, block: written.arrival, moves: moves.slice(at, at + commitMovesMax) }
      yield* Effect.catchTag(rooms.namespace.propose(change), "Refused", neverRefused)
    }
    compacting.blocksCompacted += batch.length
    probe(batch.length > 1 ? "compact.blocksMerged" : "compact.blockRewritten")
    compacting.bytesRewritten += bytes
  }
  for (const { block } of batch) yield* dropBlock(rooms, compacting, block)
  return bytes
})

/** The live regions of a block, verified; one that is damaged stays, is named, and keeps its block. */
const readLive = Effect.fnUntraced(function*({ blocks, namespace }: CompactRooms, compacting: Compacting, { block, liveBytes, regions }: BlockUse) {
  const rows = namespace.chunks(regions.map(({ chunk }) => chunk))
  const wanted = regions.flatMap(({ chunk, lengthBytes, offset }, index) => {
    const row = rows[index]
    return row === undefined ? [] : [{ row, from: { _tag: "Block" as const, block, offset, lengthBytes }, chunk }]
  })
  const read = yield* blocks.read(wanted.map(({ from, row }) => ({ block, offset: from.offset, lengthBytes: from.lengthBytes, sealedHash: row.sealedHash })))
  const moving: Array<Moving> = []
  for (const [index, { chunk, from, row }] of wanted.entries()) {
    const sealed = read[index]!
    if (sealed instanceof Uint8Array) {
      moving.push({ chunk: { id: chunk, sizeBytes: row.sizeBytes, sealedHash: row.sealedHash, sealed }, from })
      continue
    }
    probe("compact.damagedChunkStays")
    yield* Effect.logError(`compaction leaves chunk ${chunk} in block ${block}: ${sealed.message}`)
    if (!compacting.damaged.has(block) && compacting.damaged.size >= compactDamagedMax) compacting.damaged.clear()
    // What a disk refuses now it may give in the next round.
    if (sealed._tag !== "DiskError") compacting.damaged.set(block, liveBytes)
  }
  if (moving.length === wanted.length) return moving
  // What is whole of it is not moved either: the block stays, and would only be read again and again.
  return []
})

