/**
 * Ingest: the stages of a PUT: units of a body are cut, named, looked up and sealed; then they gather for blocks, or go to
 * the journal (gather.ts). It sits between put.ts, which names the stages in their order, and the rooms that do the work.
 *
 * Invariants of an upload:
 *   1. entries lists the object's chunks in order; every chunk of entries is known to the namespace, in rest, being
 *      written, or in arrivals;
 *   2. what arrivals names is on the disk: in a block that is synced and verified, or in the journal, which the commit's
 *      own sync covers (R3);
 *   3. arrivals and blocks are named by a commit or, where none was proposed, removed.
 */
import { Effect, type Fiber } from "effect"
import { type AllowancesService, shareOf } from "./allowance.ts"
import { assert } from "./base/assert.ts"
import { isShared } from "./base/bytes.ts"
import { type BlockId, type ChunkId, idOf } from "./base/ids.ts"
import {
  blockSizeBytesMin, blockSizeBytesTarget, commitHealsMax, computeHereBytesMax, inlineBytesMax, manifestInlineEntriesMax,
  manifestPageEntriesMax, smallBodyBytesMax, unitBytes, uploadBytesMax
} from "./base/limits.ts"
import type { Counter, Meters } from "./base/Meters.ts"
import { memoryPageBytes } from "./base/wasm.ts"
import type { BlockError, BlocksService, BlockWriter } from "./block/BlockService.ts"
import { alignRegion, blockHeaderBytes, regionAlignmentBytes } from "./block/Block.ts"
import type { ChunkerOptions } from "./chunker/ChunkerOptions.ts"
import type { FetchService } from "./fetch.ts"
import type { IntentsService } from "./intents.ts"
import type { BlockArrival, Change, ChunkArrival, ChunkRow, CopyPlace, ManifestEntry } from "./namespace/Model.ts"
import { type Committed, type NamespaceService, type Refused, Unavailable } from "./namespace/Namespace.ts"
import type { PinsService } from "./pins.ts"
import type { ComputeError, ComputeService, Kernel } from "./ports/Compute.ts"
import type { EntropyService } from "./ports/Entropy.ts"
import { chunkOverheadBytes, type SealedChunk } from "./sealer/SealedChunk.ts"
import { sealKernel } from "./sealer/SealKernel.ts"
import type { Vault } from "./sealer/Vault.ts"
import { type BodyMd5, cutAndNameKernel } from "./unitKernel.ts"
import type { Unit } from "./units.ts"
import { giveBack, holdSlots, letGo, type UploadSlots } from "./uploadSlots.ts"
import type { WalError } from "./wal/WalError.ts"
import type { WalInterface } from "./wal/WalService.ts"

/** Bounds of the way in; tests take small ones. */
export interface IngestSizes {
  /** At least chunker.maxBytes. */
  readonly unitBytes: number
  readonly inlineBytesMax: number
  readonly blockBytesTarget: number
  readonly blockBytesMin: number
  readonly pageEntriesMax: number
  readonly inlineEntriesMax: number
  readonly chunker: ChunkerOptions
  /** Where chunks go that fill no block: where others are to have them too, they make a small one, which compaction merges. */
  readonly restGoesTo: "Journal" | "Block"
}

export const ingestSizes = (chunker: ChunkerOptions): IngestSizes => ({
  unitBytes, inlineBytesMax, blockBytesTarget: blockSizeBytesTarget, blockBytesMin: blockSizeBytesMin, pageEntriesMax: manifestPageEntriesMax,
  inlineEntriesMax: manifestInlineEntriesMax, chunker, restGoesTo: "Journal"
})

/** What the stages work with. */
export interface IngestRooms extends UploadSlots {
  readonly sizes: IngestSizes
  readonly vault: Vault
  readonly compute: ComputeService
  readonly entropy: EntropyService
  readonly wal: WalInterface
  readonly namespace: NamespaceService
  readonly blocks: BlocksService
  readonly fetch: FetchService
  readonly pins: PinsService
  readonly intents: IntentsService
  /** Memory that bodies under way may hold. */
  readonly allowances: AllowancesService
  readonly meters: IngestMeters
}

/** What came in, and what of it was new: deduplication and compression in figures. */
export interface IngestMeters {
  /** Bytes of bodies so small that they ride in their commit. */
  readonly inlineBytes: Counter
  readonly cutBytes: Counter
  readonly newBytes: Counter
  readonly sealedBytes: Counter
}

export const ingestMeters = (meters: Meters): IngestMeters => {
  const made: IngestMeters = {
    inlineBytes: meters.counter("ouroboros_ingest_inline_bytes_total", "Bytes of bodies that were small enough to lie in their commit."),
    cutBytes: meters.counter("ouroboros_ingest_chunked_bytes_total", "Bytes of bodies that were cut into chunks."),
    newBytes: meters.counter("ouroboros_ingest_new_bytes_total", "Bytes of the chunks among them that the store did not have yet."),
    sealedBytes: meters.counter("ouroboros_ingest_sealed_bytes_total", "Bytes of these once compressed and encrypted.")
  }
  const ratio = (whole: Counter, part: Counter) => () => (part.value === 0 ? undefined : whole.value / part.value)
  meters.gauge("ouroboros_ingest_dedup_ratio", "Bytes cut into chunks, by bytes of new chunks, since the start.", ratio(made.cutBytes, made.newBytes))
  meters.gauge("ouroboros_ingest_compression_ratio", "Bytes of new chunks, by their bytes once sealed, since the start.", ratio(made.newBytes, made.sealedBytes))
  return made
}

/** A sealed chunk that has no place yet; `entry` is the first of the object's entries that names it. */
export interface Fresh {
  readonly entry: number
  readonly chunk: SealedChunk
}

/** What gathers for a block. */
export interface Gathered {
  readonly bytes: number
  readonly regions: number
  /** Where the last one begins in the block's file, and where the next one would. */
  readonly start: number
  readonly end: number
}

export const nothingGathered: Gathered = { bytes: 0, regions: 0, start: 0, end: blockHeaderBytes }

/** A block that is being written, and what is in it. */
export interface OpenBlock {
  readonly writer: BlockWriter
  /** What waits for the piece that is being written. */
  readonly unwritten: Array<Fresh>
  /** With that piece. */
  unwrittenBytes: number
  /** Nobody writes to it at the moment. */
  isWritten: boolean
  writing: Fiber.Fiber<void, Unavailable> | undefined
  readonly arrived: Array<Arrived>
}

/** A chunk that has a place and that no commit names yet. */
export interface Arrived {
  readonly entry: number
  readonly arrival: ChunkArrival
}

export interface Upload {
  sizeBytes: number
  /** Entries before this one are in staged pages; indexes of entries count from the object's first. */
  base: number
  /** The object's chunks from `base` on. */
  entries: Array<ManifestEntry>
  /** Staged pages that no page lists yet: [0] those of level 1. */
  pages: Array<Array<ManifestEntry>>
  /** Chunks of the whole object, staged ones included, in order of the first mention. */
  readonly claimed: Set<ChunkId>
  /** Sealed, and not on its way to the disk yet. */
  rest: Array<Fresh>
  /** The block of `rest`, and of what was written to it before. */
  gathered: Gathered
  /** Lengths of the new chunks of each unit that is being sealed. */
  readonly sealing: Array<ReadonlyArray<number>>
  /** The block that `gathered` speaks of, once it has begun. */
  block: OpenBlock | undefined
  /** The file of the block after it, which is made meanwhile. */
  begun: Fiber.Fiber<BlockWriter, Unavailable> | undefined
  /** Blocks before it, which are being synced and read back: each is over after the one before. */
  finishing: Array<Fiber.Fiber<void, Unavailable>>
  /** Those that are finished, while the one before is not. */
  readonly finished: Set<BlockArrival>
  arrivals: Array<Arrived>
  /** New copies of chunks whose old ones are damaged. */
  healed: Array<ChunkArrival>
  blocks: Array<BlockArrival>
  /** Entries before this one have their chunks on the disk. base <= placed <= base + entries.length */
  placed: number
  /** Chunks in the journal's hands: their memory is its own until the commit behind them is synced. */
  journaled: ReadonlyArray<Fresh>
  /** The journal's epoch at the first append; the commit is refused where it has moved since. */
  walEpoch: number | undefined
  /** Of `blocks`, those that a commit names which may be under way: they are no longer ours to remove. */
  proposed: ReadonlySet<BlockArrival>
}

/**
 * Waits for memory, all that the upload will need at once: who waits for it holds none, so no two wait for one another.
 * Sees to it that what no commit names is removed when the scope closes.
 */
export const beginUpload = Effect.fnUntraced(function*(rooms: IngestRooms, sizeBytes: number | undefined) {
  const expected = sizeBytes === undefined ? uploadBytesMax : Math.min(2 * sizeBytes + 1, uploadBytesMax)
  const { bodies, smallBodies } = rooms.allowances
  const share = yield* shareOf(sizeBytes !== undefined && sizeBytes <= smallBodyBytesMax ? smallBodies : bodies)
  yield* share.more(expected)
  yield* rooms.intents.open
  const upload: Upload = {
    sizeBytes: 0, base: 0, entries: [], pages: [], claimed: new Set(), rest: [], gathered: nothingGathered, sealing: [], block: undefined, begun: undefined, finishing: [], finished: new Set(),
    arrivals: [], healed: [], blocks: [], placed: 0, journaled: [], walEpoch: undefined, proposed: none
  }
  yield* Effect.addFinalizer(() => removeBlocks(rooms, [...upload.finished, ...upload.blocks.filter((block) => !upload.proposed.has(block))]))
  yield* holdSlots(rooms)
  return upload
})

const removeBlocks = (rooms: IngestRooms, blocks: ReadonlyArray<BlockArrival>): Effect.Effect<void> =>
  Effect.forEach(blocks, ({ block }) => rooms.blocks.remove(block), { discard: true }).pipe(
    Effect.catch((error) => Effect.logWarning(`blocks of an upload that failed stay until the next start: ${error.message}`))
  )

/** A hop to a lane where it pays. */
const compute = <I, O>(rooms: IngestRooms, kernel: Kernel<I, O>, input: I, bytes: number): Effect.Effect<O, ComputeError> =>
  bytes <= computeHereBytesMax ? Effect.sync(() => kernel.run(input)) : rooms.compute.run(kernel, input)

// Cut and name.

export interface NamedUnit {
  readonly bytes: Uint8Array
  readonly lengths: ReadonlyArray<number>
  readonly ids: ReadonlyArray<ChunkId>
  /** What follows the last cut: a view, to be carried over before the unit is sealed. */
  readonly rest: Uint8Array
  /** The body's, up to the end of this unit. */
  readonly md5: BodyMd5 | undefined
}

/** `md5`: where it is wanted, that of the body before this unit. */
export const cutAndName = Effect.fnUntraced(function*(rooms: IngestRooms, unit: Unit, md5?: BodyMd5) {
  const { vault, sizes } = rooms
  const size = unit.bytes.length
  const input = { keys: vault.keys, gearKey: vault.gearKey, options: sizes.chunker, ...unit, md5 }
  const { bytes, lengths, ids, md5: md5Now } = yield* compute(rooms, cutAndNameKernel, input, size)
  const cutBytes = lengths.reduce((sum, length) => sum + length, 0)
  assert(unit.final ? cutBytes === size : size - cutBytes < sizes.unitBytes, "a final unit is cut up, a full one is cut once")
  const here = isShared(unit.bytes) ? unit.bytes : bytes
  return { bytes: here, lengths, ids, rest: here.subarray(cutBytes), md5: md5Now } satisfies NamedUnit
})

// Look up: known chunks bring no bytes, only a reference.

export interface FreshPiece {
  readonly entry: number
  readonly offset: number
  readonly length: number
  readonly id: ChunkId
}

/**
 * A chunk that may be counted on: it has a copy, and is not condemned, for then it may be gone any moment; nor is it known
 * to be damaged: the new bytes heal it (R1).
 */
export const isHit = (rooms: IngestRooms, id: ChunkId, row: ChunkRow | undefined): boolean =>
  row !== undefined && row.copies.length > 0 && row.condemnedAt === undefined && !rooms.fetch.isDamaged(id)

/** Lists the unit's chunks in the upload; returns those whose bytes the store does not have. One look-up for all. */
export const lookUp = (rooms: IngestRooms, upload: Upload, unit: NamedUnit): ReadonlyArray<FreshPiece> => {
  const rows = rooms.namespace.chunks(unit.ids)
  const fresh: Array<FreshPiece> = []
  let offset = 0
  for (const [index, id] of unit.ids.entries()) {
    const length = unit.lengths[index]!
    if (!upload.claimed.has(id) && !isHit(rooms, id, rows[index])) fresh.push({ entry: upload.base + upload.entries.length, offset, length, id })
    upload.claimed.add(id)
    upload.entries.push({ chunk: id, sizeBytes: length })
    upload.sizeBytes += length
    offset += length
  }
  rooms.meters.cutBytes.add(offset)
  return fresh
}

// Seal.

/** `at`: where each of them will lie in its block's file, as far as can be told (filePlaces). */
export const seal = Effect.fnUntraced(function*(rooms: IngestRooms, bytes: Uint8Array, fresh: ReadonlyArray<FreshPiece>, at: ReadonlyArray<number>) {
  if (fresh.length === 0) {
    giveBack(rooms, bytes)
    return []
  }
  const pieces = fresh.map(({ offset, length, id }) => ({ offset, length, id }))
  const slot = isShared(bytes) ? rooms.sealed.take() : undefined
  const target = slot === undefined ? {} : { target: { memory: slot, places: slotPlaces(fresh, at), alignBytes: regionAlignmentBytes } }
  const output = yield* compute(rooms, sealKernel, { keys: rooms.vault.keys, bytes, pieces, ...target }, bytes.length)
  giveBack(rooms, isShared(bytes) ? bytes : output.bytes)
  // What comes back from a lane names the same memory by another object.
  const inSlot = (there: Uint8Array): Uint8Array =>
    slot !== undefined && isShared(there) ? slot.subarray(there.byteOffset, there.byteOffset + there.byteLength) : there
  const sealed = output.sealed.map((chunk, index): Fresh =>
    ({ entry: fresh[index]!.entry, chunk: { ...chunk, bytes: inSlot(chunk.bytes) } }))
  if (slot !== undefined) rooms.inSlots.set(slot.buffer, sealed.filter(({ chunk }) => chunk.bytes.buffer === slot.buffer).length)
  return sealed
})

/** In memory as in the file, page for page: then the disk takes them as they lie. */
const slotPlaces = (fresh: ReadonlyArray<FreshPiece>, at: ReadonlyArray<number>): ReadonlyArray<number> => {
  let end = 0
  return fresh.map(({ length }, index) => {
    const start = end + (at[index]! + memoryPageBytes - (end % memoryPageBytes)) % memoryPageBytes
    end = alignRegion(start + length + chunkOverheadBytes)
    return start
  })
}

// Journal.

/** The commit that names the upload is synced, and with it what was journaled before. */
export const committed = (rooms: IngestRooms, upload: Upload): void => letGo(rooms, upload.journaled.map(({ chunk }) => chunk.bytes))

/** Pins the journal until the scope closes, then appends: a commit must name the chunks before that. */
export const append = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, chunks: ReadonlyArray<SealedChunk>) {
  if (rooms.sizes.restGoesTo === "Block") return yield* appendBlock(rooms, upload, chunks)
  yield* rooms.pins.pin
  const records = chunks.map(({ bytes }) => ({ kind: "Chunk" as const, payload: bytes }))
  const ticket = yield* Effect.mapError(rooms.wal.append(records), journalFailed)
  upload.walEpoch = Math.min(upload.walEpoch ?? ticket.epoch, ticket.epoch)
  return ticket.positions.map(({ segment, offset, length }): CopyPlace => ({ _tag: "Journal", segment, offset, lengthBytes: length }))
})

const appendBlock = Effect.fnUntraced(function*({ blocks, entropy }: IngestRooms, upload: Upload, chunks: ReadonlyArray<SealedChunk>) {
  const block = idOf<BlockId>(entropy.bytes(16))
  const parts = chunks.map(({ bytes, hash, id, sizeBytes }) => ({ id, sizeBytes, sealedHash: hash, sealed: bytes }))
  const { arrival, places } = yield* Effect.mapError(blocks.write(block, parts), blockFailed)
  upload.blocks.push(arrival)
  return places
})

export const blockFailed = (error: BlockError): Unavailable =>
  new Unavailable({
    reason: error._tag === "DiskError" && error.code === "NoSpace" ? "DiskFull" : "BlockFailed", detail: error.message
  })

export const journalFailed = (error: WalError): Unavailable =>
  new Unavailable({ reason: /NoSpace/.test(error.detail) ? "DiskFull" : "JournalFailed", detail: error.message })

/** New copies take the place of damaged ones, in a commit of their own before the one that counts on them. */
export const heal = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  while (upload.healed.length > 0) {
    const arrivals = upload.healed.slice(0, commitHealsMax)
    const blocks = [...upload.blocks]
    yield* propose(rooms, upload, { _tag: "ChunksHealed", arrivals, blocks })
    upload.healed.splice(0, arrivals.length)
    upload.blocks = upload.blocks.filter((block) => !blocks.includes(block))
    rooms.fetch.healed(arrivals.map(({ id }) => id))
  }
})

// Commit.

const none: ReadonlySet<BlockArrival> = new Set()

const blocksOf = (change: Change): ReadonlyArray<BlockArrival> => "blocks" in change ? change.blocks : "content" in change ? change.content.blocks : []

/** What is proposed may land whatever happens to the caller; what is refused leaves the upload's blocks to it. */
export const propose = (rooms: IngestRooms, upload: Upload, change: Change, once?: Uint8Array): Effect.Effect<Committed, Refused | Unavailable> =>
  Effect.uninterruptible(Effect.suspend(() => {
    upload.proposed = new Set(blocksOf(change))
    return rooms.namespace.propose(change, upload.walEpoch, undefined, once).pipe(
      Effect.tapError((error) => Effect.sync(() => {
        if (error._tag === "Refused") upload.proposed = none
      }))
    )
  }))
