/**
 * Ingest: the stages of a PUT: units of a body are cut, named, looked up, sealed and collected into blocks; the rest
 * goes to the journal. It sits between put.ts, which names the stages in their order, and the rooms that do the work.
 *
 * Invariants of an upload:
 *   1. entries lists the object's chunks in order; every chunk of entries is known to the namespace, in rest, being
 *      written, or in arrivals;
 *   2. what arrivals names is on the disk: in a block that is synced and verified, or in the journal, which the commit's
 *      own sync covers (R3);
 *   3. arrivals and blocks are named by a commit or, where none was proposed, removed.
 */
import { Effect, Fiber } from "effect"
import { type AllowancesService, shareOf } from "./allowance.ts"
import { assert } from "./base/assert.ts"
import { copyOf, release } from "./base/bytes.ts"
import { type BlockId, type ChunkId, idOf } from "./base/ids.ts"
import {
  blockSizeBytesTarget, commitMovesMax, computeHereBytesMax, inlineBytesMax, manifestInlineEntriesMax,
  manifestPageEntriesMax, smallBodyBytesMax, unitBuffersKeptMax, unitBytes, uploadBytesMax
} from "./base/limits.ts"
import type { BlockError, BlocksService } from "./block/BlockService.ts"
import { hasRoom } from "./block/Block.ts"
import type { ChunkerOptions } from "./chunker/ChunkerOptions.ts"
import { cutKernel } from "./chunker/CutKernel.ts"
import type { FetchService } from "./fetch.ts"
import type { BlockArrival, Change, ChunkArrival, CopyPlace, ManifestEntry } from "./namespace/Model.ts"
import { type Committed, type NamespaceService, type Refused, Unavailable } from "./namespace/Namespace.ts"
import type { PinsService } from "./pins.ts"
import type { Body, BodyError } from "./ports/Body.ts"
import type { ComputeError, ComputeService, Kernel } from "./ports/Compute.ts"
import type { EntropyService } from "./ports/Entropy.ts"
import type { SealedChunk } from "./sealer/SealedChunk.ts"
import { nameKernel, sealKernel } from "./sealer/SealKernel.ts"
import type { Vault } from "./sealer/Vault.ts"
import type { WalError } from "./wal/WalError.ts"
import type { WalInterface } from "./wal/WalService.ts"

/** Bounds of the way in; tests take small ones. */
export interface IngestSizes {
  /** At least chunker.maxBytes. */
  readonly unitBytes: number
  readonly inlineBytesMax: number
  readonly blockBytesTarget: number
  readonly pageEntriesMax: number
  readonly inlineEntriesMax: number
  readonly chunker: ChunkerOptions
}

export const ingestSizes = (chunker: ChunkerOptions): IngestSizes => ({
  unitBytes, inlineBytesMax, blockBytesTarget: blockSizeBytesTarget, pageEntriesMax: manifestPageEntriesMax,
  inlineEntriesMax: manifestInlineEntriesMax, chunker
})

/** What the stages work with. */
export interface IngestRooms {
  readonly sizes: IngestSizes
  readonly vault: Vault
  readonly compute: ComputeService
  readonly entropy: EntropyService
  readonly wal: WalInterface
  readonly namespace: NamespaceService
  readonly blocks: BlocksService
  readonly fetch: FetchService
  readonly pins: PinsService
  /** Memory that bodies under way may hold. */
  readonly allowances: AllowancesService
  /** Buffers of unitBytes that wait for the next unit. */
  readonly buffers: Array<Uint8Array>
}

/** A sealed chunk that has no place yet; `entry` is the first of the object's entries that names it. */
export interface Fresh {
  readonly entry: number
  readonly chunk: SealedChunk
}

/** A chunk that is on the disk and that no commit names yet. */
interface Arrived {
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
  rest: Array<Fresh>
  restBytes: number
  /** The block being written: one at a time, while the next one gathers. */
  writing: Fiber.Fiber<void, Unavailable> | undefined
  arrivals: Array<Arrived>
  /** New copies of chunks whose old ones are damaged. */
  healed: Array<ChunkArrival>
  blocks: Array<BlockArrival>
  /** Entries before this one have their chunks on the disk. base <= placed <= base + entries.length */
  placed: number
  /** The journal's epoch at the first append; the commit is refused where it has moved since. */
  walEpoch: number | undefined
  /** A commit that names this upload's blocks may be under way: they are no longer ours to remove. */
  proposed: boolean
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
  const upload: Upload = {
    sizeBytes: 0, base: 0, entries: [], pages: [], claimed: new Set(), rest: [], restBytes: 0, writing: undefined,
    arrivals: [], healed: [], blocks: [], placed: 0, walEpoch: undefined, proposed: false
  }
  yield* Effect.addFinalizer(() => upload.proposed ? Effect.void : removeBlocks(rooms, upload.blocks))
  return upload
})

const removeBlocks = (rooms: IngestRooms, blocks: ReadonlyArray<BlockArrival>): Effect.Effect<void> =>
  Effect.forEach(blocks, ({ block }) => rooms.blocks.remove(block), { discard: true }).pipe(
    Effect.catch((error) => Effect.logWarning(`blocks of an upload that failed stay until the next start: ${error.message}`))
  )

/** A hop to a lane where it pays. */
const compute = <I, O>(rooms: IngestRooms, kernel: Kernel<I, O>, input: I, bytes: number): Effect.Effect<O, ComputeError> =>
  bytes <= computeHereBytesMax ? Effect.sync(() => kernel.run(input)) : rooms.compute.run(kernel, input)

// Read: body -> units.

export interface Unit {
  /** In a buffer of its own; starts where a chunk starts. */
  readonly bytes: Uint8Array
  readonly final: boolean
}

/** Reads a body unit by unit. `carry` is what the unit before left uncut. */
export interface Units {
  readonly next: (carry: Uint8Array) => Effect.Effect<Unit, BodyError>
  /** Bytes of the body that the units so far hold. */
  readonly readBytes: () => number
}

export const unitsOf = (rooms: IngestRooms, body: Body): Units => {
  const { unitBytes: unitSize } = rooms.sizes
  /** Bytes of the last pull that the unit before had no room for. */
  let left: Uint8Array | undefined
  let readBytes = 0
  const small = body.sizeBytes !== undefined && body.sizeBytes < unitSize
  const next = Effect.fnUntraced(function*(carry: Uint8Array) {
    assert(carry.length < unitSize, "a unit is cut at least once")
    const buffer = small ? new Uint8Array(Math.max(1, body.sizeBytes)) : rooms.buffers.pop() ?? new Uint8Array(unitSize)
    // A body that is longer than it said goes on into the next unit; whoever made it complains.
    let filled = carry.length
    buffer.set(carry, 0)
    release(carry)
    let final = false
    while (filled < buffer.length) {
      const bytes = left ?? (yield* body.next)
      left = undefined
      if (bytes === undefined) {
        final = true
        break
      }
      const taken = Math.min(bytes.length, buffer.length - filled)
      buffer.set(taken === bytes.length ? bytes : bytes.subarray(0, taken), filled)
      if (taken < bytes.length) left = bytes.subarray(taken)
      else release(bytes)
      filled += taken
      readBytes += taken
    }
    if (!final && small) {
      const bytes = left ?? (yield* body.next)
      left = bytes
      final = bytes === undefined
    }
    if (filled === buffer.length) return { bytes: buffer, final }
    const bytes = copyOf(buffer.subarray(0, filled))
    recycle(rooms, buffer)
    return { bytes, final }
  })
  return { next, readBytes: () => readBytes }
}

const recycle = (rooms: IngestRooms, buffer: Uint8Array): void => {
  const whole = buffer.length === rooms.sizes.unitBytes && buffer.buffer.byteLength === buffer.length
  if (whole && rooms.buffers.length < unitBuffersKeptMax) rooms.buffers.push(buffer)
}

// Cut and name.

export interface NamedUnit {
  readonly bytes: Uint8Array
  readonly lengths: ReadonlyArray<number>
  readonly ids: ReadonlyArray<ChunkId>
  /** A copy of what follows the last cut. */
  readonly carry: Uint8Array
}

export const cutAndName = Effect.fnUntraced(function*(rooms: IngestRooms, unit: Unit) {
  const { vault, sizes } = rooms
  const size = unit.bytes.length
  const cut = yield* compute(rooms, cutKernel, { gearKey: vault.gearKey, options: sizes.chunker, bytes: unit.bytes, final: unit.final }, size)
  const named = yield* compute(rooms, nameKernel, { keys: vault.keys, bytes: cut.bytes, lengths: cut.lengths }, size)
  const cutBytes = cut.lengths.reduce((sum, length) => sum + length, 0)
  assert(unit.final ? cutBytes === size : size - cutBytes < sizes.unitBytes, "a final unit is cut up, a full one is cut once")
  return { bytes: named.bytes, lengths: cut.lengths, ids: named.ids, carry: copyOf(named.bytes.subarray(cutBytes)) } satisfies NamedUnit
})

// Look up: known chunks bring no bytes, only a reference.

export interface FreshPiece {
  readonly entry: number
  readonly offset: number
  readonly length: number
  readonly id: ChunkId
}

/** Lists the unit's chunks in the upload; returns those whose bytes the store does not have. One look-up for all. */
export const lookUp = (rooms: IngestRooms, upload: Upload, unit: NamedUnit): ReadonlyArray<FreshPiece> => {
  const rows = rooms.namespace.chunks(unit.ids)
  const fresh: Array<FreshPiece> = []
  let offset = 0
  for (const [index, id] of unit.ids.entries()) {
    const length = unit.lengths[index]!
    // A chunk known to be damaged is no hit: the new bytes heal it (R1).
    const known = (rows[index]?.copies.length ?? 0) > 0 && !rooms.fetch.isDamaged(id)
    if (!upload.claimed.has(id) && !known) fresh.push({ entry: upload.base + upload.entries.length, offset, length, id })
    upload.claimed.add(id)
    upload.entries.push({ chunk: id, sizeBytes: length })
    upload.sizeBytes += length
    offset += length
  }
  return fresh
}

// Seal.

export const seal = Effect.fnUntraced(function*(rooms: IngestRooms, bytes: Uint8Array, fresh: ReadonlyArray<FreshPiece>) {
  if (fresh.length === 0) {
    recycle(rooms, bytes)
    return []
  }
  const pieces = fresh.map(({ offset, length, id }) => ({ offset, length, id }))
  const output = yield* compute(rooms, sealKernel, { keys: rooms.vault.keys, bytes, pieces }, bytes.length)
  recycle(rooms, output.bytes)
  return output.sealed.map((chunk, index): Fresh => ({ entry: fresh[index]!.entry, chunk }))
})

// Collect: full blocks are written while the next units are on their way; they skip the journal.

export const collect = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, sealed: ReadonlyArray<Fresh>) {
  for (const fresh of sealed) {
    const full = upload.restBytes >= rooms.sizes.blockBytesTarget
    if (full || !hasRoom(upload.restBytes, upload.rest.length, fresh.chunk.bytes.length)) yield* startBlock(rooms, upload)
    upload.rest.push(fresh)
    upload.restBytes += fresh.chunk.bytes.length
  }
  if (upload.restBytes >= rooms.sizes.blockBytesTarget) yield* startBlock(rooms, upload)
})

/** Waits for the block before, then writes what gathered, in the background. */
const startBlock = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  yield* blockWritten(upload)
  const full = upload.rest
  upload.rest = []
  upload.restBytes = 0
  upload.writing = yield* Effect.forkScoped(writeBlock(rooms, upload, full))
})

export const blockWritten = (upload: Upload): Effect.Effect<void, Unavailable> =>
  Effect.suspend(() => {
    const { writing } = upload
    upload.writing = undefined
    return writing === undefined ? Effect.void : Fiber.join(writing)
  })

const writeBlock = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, full: ReadonlyArray<Fresh>) {
  const chunks = full.map(({ chunk }) => ({ id: chunk.id, sizeBytes: chunk.sizeBytes, sealedHash: chunk.hash, sealed: chunk.bytes }))
  const block = idOf<BlockId>(rooms.entropy.bytes(16))
  const written = yield* Effect.mapError(rooms.blocks.write(block, chunks), blockFailed)
  upload.blocks.push(written.arrival)
  place(rooms, upload, full, written.places)
  for (const { chunk } of full) release(chunk.bytes)
})

export const blockFailed = (error: BlockError): Unavailable =>
  new Unavailable({
    reason: error._tag === "DiskError" && error.code === "NoSpace" ? "DiskFull" : "BlockFailed", detail: error.message
  })

const place = (rooms: IngestRooms, upload: Upload, full: ReadonlyArray<Fresh>, places: ReadonlyArray<CopyPlace>): void => {
  for (const [index, { entry, chunk }] of full.entries()) {
    const at = places[index]!
    const arrival: ChunkArrival = { id: chunk.id, sizeBytes: chunk.sizeBytes, sealedHash: chunk.hash, place: at }
    if (rooms.fetch.isDamaged(chunk.id)) upload.healed.push(arrival)
    upload.arrivals.push({ entry, arrival })
    assert(upload.placed <= entry, "chunks are placed in the order of the object")
    upload.placed = entry + 1
  }
}

// Journal: what fills no block, in one append; the sync comes with the commit (R3).

export const journal = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  yield* blockWritten(upload)
  const rest = upload.rest
  upload.rest = []
  upload.restBytes = 0
  if (rest.length > 0) place(rooms, upload, rest, yield* append(rooms, upload, rest.map(({ chunk }) => chunk)))
  upload.placed = upload.base + upload.entries.length
})

/** Pins the journal until the scope closes, then appends: a commit must name the chunks before that. */
export const append = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, chunks: ReadonlyArray<SealedChunk>) {
  yield* rooms.pins.pin
  const records = chunks.map(({ bytes }) => ({ kind: "Chunk" as const, payload: bytes }))
  const ticket = yield* Effect.mapError(rooms.wal.append(records), journalFailed)
  upload.walEpoch = Math.min(upload.walEpoch ?? ticket.epoch, ticket.epoch)
  return ticket.positions.map(({ segment, offset, length }): CopyPlace => ({ _tag: "Journal", segment, offset, lengthBytes: length }))
})

export const journalFailed = (error: WalError): Unavailable =>
  new Unavailable({ reason: /NoSpace/.test(error.detail) ? "DiskFull" : "JournalFailed", detail: error.message })

/** New copies take the place of damaged ones, in a commit of their own before the one that counts on them. */
export const heal = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  while (upload.healed.length > 0) {
    const arrivals = upload.healed.slice(0, commitMovesMax)
    const blocks = [...upload.blocks]
    yield* propose(rooms, upload, { _tag: "ChunksHealed", arrivals, blocks })
    upload.healed.splice(0, arrivals.length)
    upload.blocks = upload.blocks.filter((block) => !blocks.includes(block))
    upload.proposed = false
    rooms.fetch.healed(arrivals.map(({ id }) => id))
  }
})

// Commit.

/** What is proposed may land whatever happens to the caller; what is refused leaves the upload's blocks to it. */
export const propose = (rooms: IngestRooms, upload: Upload, change: Change): Effect.Effect<Committed, Refused | Unavailable> =>
  Effect.uninterruptible(Effect.suspend(() => {
    upload.proposed = true
    return rooms.namespace.propose(change, upload.walEpoch).pipe(
      Effect.tapError((error) => Effect.sync(() => {
        if (error._tag === "Refused") upload.proposed = false
      }))
    )
  }))
