/**
 * BlockWriter: a block's file as it grows, chunk by chunk. It sits between BlockService, which hands it out, and the Disk port.
 *
 * Life of a block's file: 1 created, 2 written, 3 synced, 4 name synced, 5 read back and verified; else removed. Whole pages
 * are written as they come, past the page cache; what is no whole page yet waits for what comes behind it.
 *
 * Where others may name the block before it is finished here (`isNamedLast`), 4 comes after 5: until then the file has another name. A power cut in between, or one that brings back
 * what was removed, must not leave a file that looks like the block.
 */
import { Effect, Exit, Scope } from "effect"
import { concatBytes } from "../base/bytes.ts"
import type { BlockId, Hash } from "../base/ids.ts"
import { probe } from "../base/probes.ts"
import { memoryPageBytes } from "../base/wasm.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import { alignRegion, blockHeaderBytes, blockSizeOf, regionAlignmentBytes, regionsOf } from "./Block.ts"
import type { BlockChunk, Region } from "./Block.ts"
import { encodeHeader, encodeTail } from "./BlockFormat.ts"
import type { BlockError, BlockOptions } from "./BlockService.ts"

/** Where a chunk lies. */
export interface BlockPlace {
  readonly _tag: "Block"
  readonly block: BlockId
  readonly offset: number
  readonly lengthBytes: number
}

export interface BlockWritten {
  /** What a commit says of the block. */
  readonly arrival: { readonly block: BlockId; readonly sizeBytes: number; readonly hash: Hash; readonly regions: number }
  /** Where each chunk lies, in the order given. */
  readonly places: ReadonlyArray<BlockPlace>
}

/** One call at a time. */
export interface BlockWriter {
  /** Puts chunks behind those before. Once it has succeeded nobody needs their bytes; on the disk they are with `finish`. */
  readonly append: (chunks: ReadonlyArray<BlockChunk>) => Effect.Effect<ReadonlyArray<BlockPlace>, DiskError>
  /** The block is on the disk: written, synced, its name synced, read back and verified byte for byte. */
  readonly finish: Effect.Effect<BlockWritten, BlockError>
}

/** What a writer does with its file besides writing. */
interface Housing {
  readonly disk: DiskService
  readonly options: BlockOptions
  readonly pathOf: (block: BlockId) => string
  /** Its name until it is finished. */
  readonly growingPathOf: (block: BlockId) => string
  readonly ensureFolder: (block: BlockId) => Effect.Effect<void, DiskError>
  readonly syncFolderOf: (block: BlockId) => Effect.Effect<void, DiskError>
  readonly remove: (block: BlockId) => Effect.Effect<void, DiskError>
  readonly readBack: (block: BlockId, path: string, frameHash: Hash) => Effect.Effect<void, BlockError>
}

interface Growing {
  readonly file: DiskFile
  readonly regions: Array<Region>
  /** Where the next region begins. */
  end: number
  /** Whole pages before this are written; what follows up to `end` is held. A multiple of memoryPageBytes. */
  writtenBytes: number
  held: Uint8Array
  finished: boolean
}

/** A file that is not finished when the scope closes, or is interrupted, is closed and removed. */
export const beginBlock = (housing: Housing) => Effect.fnUntraced(function*(block: BlockId, isFinished?: (arrival: BlockWritten["arrival"]) => void) {
  const { ensureFolder, growingPathOf, options, pathOf, readBack, syncFolderOf } = housing
  yield* ensureFolder(block)
  const header = encodeHeader({ store: options.store, vault: options.vault, block })
  const open = yield* Scope.make()
  const close = Scope.close(open, Exit.void)
  const growing = yield* Effect.acquireRelease(
    Effect.map(Scope.provide(create(housing, block), open), (file): Growing =>
      ({ file, regions: [], end: blockHeaderBytes, writtenBytes: 0, held: header, finished: false })),
    ({ finished }) => Effect.andThen(close, finished ? Effect.void : giveUp(housing, block))
  )
  const finish = Effect.gen(function*() {
    const { end, file, held, regions, writtenBytes } = growing
    const sizeBytes = blockSizeOf(regions.length, end)
    const tail = encodeTail(header, regions, end)
    yield* file.write(writtenBytes, [held, tail.bytes])
    // Contents and name, side by side.
    yield* options.isNamedLast === true ? file.sync : Effect.all([file.sync, syncFolderOf(block)], { concurrency: 2, discard: true })
    yield* Effect.all([readBack(block, growingPathOf(block), tail.frameHash), close], { concurrency: 2, discard: true })
    if (options.isNamedLast === true) yield* Effect.andThen(housing.disk.rename(growingPathOf(block), pathOf(block)), syncFolderOf(block))
    const arrival = { block, sizeBytes, hash: tail.frameHash, regions: regions.length }
    growing.finished = true
    isFinished?.(arrival)
    return { arrival, places: regions.map((region) => placeOf(block, region)) }
  })
  const writer: BlockWriter = { append: (chunks) => append(growing, block, chunks), finish }
  return writer
})

/** What an earlier attempt could not remove goes. */
const create = ({ disk, growingPathOf, options }: Housing, block: BlockId): Effect.Effect<DiskFile, DiskError, Scope.Scope> => {
  const path = growingPathOf(block)
  const created = disk.open(path, "create", { direct: true })
  return options.isNamedLast === true ? Effect.catch(created, (error) => (error.code === "Exists" ? Effect.andThen(disk.remove(path), created) : Effect.fail(error))) : created
}

const giveUp = (housing: Housing, block: BlockId): Effect.Effect<void> =>
  Effect.andThen(Effect.sync(() => probe("block.writeGivenUp")), housing.remove(block)).pipe(
    Effect.catch((error) => Effect.logWarning(`block ${block} was given up, its file stays: ${error.message}`))
  )

const placeOf = (block: BlockId, { lengthBytes, offset }: Region): BlockPlace => ({ _tag: "Block", block, offset, lengthBytes })

const append = Effect.fnUntraced(function*(growing: Growing, block: BlockId, chunks: ReadonlyArray<BlockChunk>) {
  const { end, regions } = regionsOf(chunks, growing.end)
  const whole = end - (end % memoryPageBytes) - growing.writtenBytes
  const [pages, rest] = cutAt([growing.held, ...padded(chunks)], whole)
  if (whole > 0) yield* growing.file.write(growing.writtenBytes, pages)
  growing.held = concatBytes(rest)
  growing.writtenBytes += whole
  growing.end = end
  growing.regions.push(...regions)
  return regions.map((region) => placeOf(block, region))
})

/** The first so many bytes, and the others, as views. */
const cutAt = (parts: ReadonlyArray<Uint8Array>, at: number): readonly [Array<Uint8Array>, Array<Uint8Array>] => {
  const before: Array<Uint8Array> = []
  const after: Array<Uint8Array> = []
  let left = at
  for (const part of parts) {
    const taken = Math.min(left, part.length)
    if (taken > 0) before.push(part.subarray(0, taken))
    if (taken < part.length) after.push(part.subarray(taken))
    left -= taken
  }
  return [before, after]
}

/**
 * The chunks' bytes with the zeros between them: nothing is copied. Neighbours that lie in memory as they will in the
 * file, zeros and all, are one part: the longer a part, the less of it is no whole page.
 */
const padded = (chunks: ReadonlyArray<BlockChunk>): ReadonlyArray<Uint8Array> => {
  const parts: Array<Uint8Array> = []
  for (const { sealed } of chunks) {
    const before = parts.at(-1)
    const joined = before === undefined ? undefined : joinedPart(before, sealed)
    if (joined !== undefined) parts[parts.length - 1] = joined
    else {
      if (before !== undefined) pad(parts, before)
      parts.push(sealed)
    }
  }
  const last = parts.at(-1)
  if (last !== undefined) pad(parts, last)
  return parts
}

/** A part starts where a region does, so its length tells what is missing behind it. */
const paddingAfter = (part: Uint8Array): number => alignRegion(part.length) - part.length

const pad = (parts: Array<Uint8Array>, last: Uint8Array): void => {
  if (paddingAfter(last) > 0) parts.push(zeros.subarray(0, paddingAfter(last)))
}

const joinedPart = (before: Uint8Array, next: Uint8Array): Uint8Array | undefined => {
  const end = before.byteOffset + before.length
  const padding = paddingAfter(before)
  if (before.buffer !== next.buffer || next.byteOffset !== end + padding) return undefined
  const between = new Uint8Array(before.buffer, end, padding)
  return between.every((byte) => byte === 0) ? new Uint8Array(before.buffer, before.byteOffset, next.byteOffset + next.length - before.byteOffset) : undefined
}

const zeros = new Uint8Array(regionAlignmentBytes)
