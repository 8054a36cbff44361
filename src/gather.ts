/**
 * Gather: where sealed chunks of an upload go: into blocks while the next ones are on their way, past the journal; or, where
 * they are too few for a block, to the journal, with others. It sits between ingest, which seals, and put, which names the
 * stages in their order.
 */
import { Effect, Fiber } from "effect"
import { assert } from "./base/assert.ts"
import { type BlockId, idOf } from "./base/ids.ts"
import { blocksFinishingMax, uploadUnwrittenBytesMax } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import { alignRegion, hasRoom } from "./block/Block.ts"
import {
  append, type Arrived, blockFailed, type Fresh, type FreshPiece, type Gathered, type IngestRooms, type IngestSizes, nothingGathered, type OpenBlock, type Upload
} from "./ingest.ts"
import type { CopyPlace } from "./namespace/Model.ts"
import type { Unavailable } from "./namespace/Namespace.ts"
import { chunkOverheadBytes } from "./sealer/SealedChunk.ts"
import { letGo } from "./uploadSlots.ts"

/** With one more chunk; alone, where the block before is full. */
const gatheredWith = (sizes: IngestSizes, before: Gathered, sealedBytes: number): Gathered => {
  const { bytes, end, regions } = isFull(sizes, before, sealedBytes) ? nothingGathered : before
  return { bytes: bytes + sealedBytes, regions: regions + 1, start: end, end: alignRegion(end + sealedBytes) }
}

const isFull = (sizes: IngestSizes, { bytes, regions }: Gathered, nextBytes: number): boolean =>
  bytes >= sizes.blockBytesTarget || !hasRoom(bytes, regions, nextBytes)

/** Where new chunks will lie in their blocks, unless one of those that are being sealed turns out to be smaller. */
export const filePlaces = (rooms: IngestRooms, upload: Upload, fresh: ReadonlyArray<FreshPiece>): ReadonlyArray<number> => {
  let gathered = upload.gathered
  for (const length of upload.sealing.flat()) gathered = gatheredWith(rooms.sizes, gathered, length + chunkOverheadBytes)
  return fresh.map(({ length }) => {
    gathered = gatheredWith(rooms.sizes, gathered, length + chunkOverheadBytes)
    return gathered.start
  })
}

/**
 * From `blockBytesMin` on, what is being sealed included, a block is begun, and what comes is written to it in the background: its
 * memory is free for the units behind it, and little is left to be written at the end. Waits where more waits to be written than a disk needs.
 */
export const collect = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, sealed: ReadonlyArray<Fresh>) {
  for (const fresh of sealed) {
    const sealedBytes = fresh.chunk.bytes.length
    if (isFull(rooms.sizes, upload.gathered, sealedBytes)) yield* endBlock(rooms, upload)
    rooms.meters.newBytes.add(fresh.chunk.sizeBytes)
    rooms.meters.sealedBytes.add(sealedBytes)
    upload.rest.push(fresh)
    upload.gathered = gatheredWith(rooms.sizes, upload.gathered, sealedBytes)
  }
  if (upload.gathered.bytes >= rooms.sizes.blockBytesTarget) yield* endBlock(rooms, upload)
  else if (upload.gathered.bytes + sealingBytesOf(upload) >= rooms.sizes.blockBytesMin) yield* writeRest(rooms, upload)
  if (upload.block !== undefined && upload.block.unwrittenBytes > uploadUnwrittenBytesMax) yield* joined(upload.block.writing)
})

/** The last block of an upload, where what is left is worth one: written once, where the journal would be a second time. */
export const finishBlocks = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  if (upload.block !== undefined || (upload.rest.length > 0 && upload.gathered.bytes >= rooms.sizes.blockBytesMin)) yield* endBlock(rooms, upload)
  for (const fiber of upload.finishing) yield* joined(fiber)
  upload.finishing = []
})

const joined = (fiber: Fiber.Fiber<void, Unavailable> | undefined): Effect.Effect<void, Unavailable> =>
  fiber === undefined ? Effect.void : Fiber.join(fiber)

/**
 * Makes the next block's file while its chunks are still read and sealed, where enough is to come for it to be needed: the
 * names of file and folder are a matter of milliseconds, in which nothing else of the upload went on. `leftBytes`: of the body.
 */
export const beginAhead = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, leftBytes: number) {
  const { blockBytesMin, blockBytesTarget } = rooms.sizes
  if (upload.begun !== undefined) return
  const sealingBytes = sealingBytesOf(upload)
  const isNeeded = upload.block === undefined ? upload.gathered.bytes + sealingBytes + leftBytes >= blockBytesMin
    : upload.gathered.bytes + sealingBytes >= blockBytesTarget / 2 && upload.gathered.bytes + sealingBytes + leftBytes >= blockBytesTarget + blockBytesMin
  if (isNeeded) upload.begun = yield* Effect.forkScoped(beginBlock(rooms, upload))
})

/** Of new chunks on their way through the lanes. */
const sealingBytesOf = (upload: Upload): number => upload.sealing.flat().reduce((sum, length) => sum + length, 0)

const beginBlock = (rooms: IngestRooms, { finished }: Upload) =>
  Effect.mapError(rooms.blocks.begin(idOf<BlockId>(rooms.entropy.bytes(16)), (arrival) => void finished.add(arrival)), blockFailed)

const begunBlock = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  const { begun } = upload
  if (begun === undefined) return yield* beginBlock(rooms, upload)
  upload.begun = undefined
  return yield* Fiber.join(begun)
})

/** Hands what is there to whoever writes the block, who is called where he rests. */
const writeRest = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  // Begun before whoever writes to it is forked: when the scope closes, the writer ends first.
  const block = upload.block ??= { writer: yield* begunBlock(rooms, upload), unwritten: [], unwrittenBytes: 0, isWritten: true, writing: undefined, arrived: [] }
  for (const fresh of upload.rest.splice(0)) {
    block.unwritten.push(fresh)
    block.unwrittenBytes += fresh.chunk.bytes.length
  }
  if (!block.isWritten || block.unwritten.length === 0) return
  // It has ended: this tells of its failure, if it failed.
  yield* joined(block.writing)
  block.isWritten = false
  block.writing = yield* Effect.forkScoped(writeTo(rooms, block))
})

/** All that came while the piece before was written is the next one. */
const writeTo = Effect.fnUntraced(function*(rooms: IngestRooms, block: OpenBlock) {
  while (block.unwritten.length > 0) {
    const batch = block.unwritten.splice(0)
    const chunks = batch.map(({ chunk }) => ({ id: chunk.id, sizeBytes: chunk.sizeBytes, sealedHash: chunk.hash, sealed: chunk.bytes }))
    block.arrived.push(...arrivalsOf(batch, yield* Effect.mapError(block.writer.append(chunks), blockFailed)))
    for (const { sealed } of chunks) block.unwrittenBytes -= sealed.length
    letGo(rooms, chunks.map(({ sealed }) => sealed))
  }
  block.isWritten = true
})

/** What is left of a block is written, synced and read back while the next ones gather: `blocksFinishingMax` such at a time. */
const endBlock = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  yield* writeRest(rooms, upload)
  if (upload.finishing.length >= blocksFinishingMax) yield* joined(upload.finishing.shift())
  const { block } = upload
  assert(block !== undefined, "a block that ends has begun")
  upload.block = undefined
  upload.gathered = nothingGathered
  upload.finishing.push(yield* Effect.forkScoped(finishBlock(rooms, upload, block, upload.finishing.at(-1))))
})

/** `before`: whoever finishes the block before, whose chunks are placed first. */
const finishBlock = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, block: OpenBlock, before: Fiber.Fiber<void, Unavailable> | undefined) {
  yield* joined(block.writing)
  const { arrival } = yield* Effect.mapError(block.writer.finish, blockFailed)
  yield* joined(before)
  upload.finished.delete(arrival)
  upload.blocks.push(arrival)
  place(rooms, upload, block.arrived)
})

const arrivalsOf = (sealed: ReadonlyArray<Fresh>, places: ReadonlyArray<CopyPlace>): ReadonlyArray<Arrived> =>
  sealed.map(({ entry, chunk }, index) => ({ entry, arrival: { id: chunk.id, sizeBytes: chunk.sizeBytes, sealedHash: chunk.hash, place: places[index]! } }))

const place = (rooms: IngestRooms, upload: Upload, arrived: ReadonlyArray<Arrived>): void => {
  for (const { arrival, entry } of arrived) {
    if (rooms.fetch.isDamaged(arrival.id)) {
      probe("ingest.damagedChunkHealed")
      upload.healed.push(arrival)
    }
    upload.arrivals.push({ entry, arrival })
    assert(upload.placed <= entry, "chunks are placed in the order of the object")
    upload.placed = entry + 1
  }
}

/** What fills no block, in one append; the sync comes with the commit (R3). */
export const journal = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  assert(upload.block === undefined && upload.finishing.length === 0, "the blocks of an upload are finished before its rest is journaled")
  const rest = upload.rest
  upload.rest = []
  upload.gathered = nothingGathered
  if (rest.length > 0) place(rooms, upload, arrivalsOf(rest, yield* append(rooms, upload, rest.map(({ chunk }) => chunk))))
  upload.journaled = rest
  upload.placed = upload.base + upload.entries.length
})
