/**
 * Blocks: blocks as files of the data folder. It sits between put and settle (which write), get (which reads regions)
 * and the Disk port.
 *
 * A block is on the disk once `write` succeeds, never before: written, synced with its name, read back and verified.
 * Until a commit names it, it is nobody's; start-up removes such files (`list`, `remove`).
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { equalBytes, fromHex, release } from "../base/bytes.ts"
import { hashBytes } from "../base/hash.ts"
import type { BlockId, Hash, StoreId, VaultId } from "../base/ids.ts"
import { blockFilesAtRestMax, blockFilesOpenMax, blockLastBytesRead, blockReadBackSlotsIdle, blockReadBackSlotsKept, blockReadGapBytesMax, blockReadRunBytesMax, blockReadRunsMax, blockReadSlotBytes, computeHereBytesMax } from "../base/limits.ts"
import { PageSlots } from "../base/PageSlots.ts"
import { Compute, type ComputeService } from "../ports/Compute.ts"
import { Disk, DiskError } from "../ports/Disk.ts"
import type { DiskFile, DiskService } from "../ports/Disk.ts"
import {
  alignRegion, BlockDamaged, blockFooterBytes, blockHeaderBytes, BlockMissing, coalesce, regionBytesMax, regionEntryBytes
} from "./Block.ts"
import type { BlockChunk, Region, RegionRun } from "./Block.ts"
import { BlockFault, decodeDirectory, decodeFooter, decodeHeader } from "./BlockFormat.ts"
import type { BlockFooter } from "./BlockFormat.ts"
import { beginBlock, type BlockWriter, type BlockWritten } from "./BlockWriterService.ts"
import { makeBlockFiles } from "./BlockFilesService.ts"
import type { BlockFiles } from "./BlockFilesService.ts"
import { hashKernel } from "./HashKernel.ts"

export type { BlockWriter, BlockWritten } from "./BlockWriterService.ts"

export type BlockError = BlockDamaged | BlockMissing | DiskError

/** All of a block as the disk has it: its directory, and what is wrong with its regions, one at most for each. */
export interface BlockInspected {
  readonly directory: BlockDirectory
  readonly damages: ReadonlyArray<BlockDamaged>
}

/**
 * Judges regions that were read from the disk, one after another in `bytes` (the first at `offset` of the file): what is
 * wrong with each, or undefined. It may take the bytes: they are nobody's afterwards.
 */
export type RegionsJudge = (
  regions: ReadonlyArray<Region>, bytes: Uint8Array, offset: number
) => Effect.Effect<ReadonlyArray<string | undefined>>

/** One sealed chunk to be read: where its row says it lies, and the hash that its bytes must have. */
export interface RegionRead {
  readonly block: BlockId
  readonly offset: number
  readonly lengthBytes: number
  readonly sealedHash: Hash
}

export interface RegionReadOptions {
  /**
   * Each result is verified against its sealed hash here, by default, or by the caller (the kernel that opens chunks does
   * it on its lane).
   */
  readonly verifiedBy?: "Blocks" | "Caller"
  /** "Disk": past the page cache. */
  readonly from?: "Cache" | "Disk"
  /** Slots of blockReadSlotBytes: results from the disk lie in them where they fit, for the caller to give back. */
  readonly slots?: PageSlots
}

export interface BlockDirectory {
  readonly block: BlockId
  readonly sizeBytes: number
  readonly hash: Hash
  readonly regions: ReadonlyArray<Region>
}

export interface BlocksService {
  /**
   * Puts a block on the disk: written, synced, its name synced, read back and verified byte for byte. The chunks' bytes
   * must not change meanwhile. After an error no commit may name it; its file is removed.
   */
  readonly write: (block: BlockId, chunks: ReadonlyArray<BlockChunk>) => Effect.Effect<BlockWritten, BlockError>
  /**
   * The same for chunks that come one after another. What is not finished when the scope closes is removed; `isFinished` is told
   * in the very moment from which on the file stays, so that whoever is interrupted right behind it knows of it.
   */
  readonly begin: (block: BlockId, isFinished?: (arrival: BlockWritten["arrival"]) => void) => Effect.Effect<BlockWriter, BlockError, Scope.Scope>
  /**
   * Reads regions; neighbours share a read, and no block is loaded whole. One result for each place asked for, in that
   * order: the sealed bytes, or why they cannot be had. Results may be views of one buffer.
   */
  readonly read: (places: ReadonlyArray<RegionRead>, options?: RegionReadOptions) => Effect.Effect<ReadonlyArray<Uint8Array | BlockError>>
  /** Header, directory and footer of a block, verified. */
  readonly directory: (block: BlockId) => Effect.Effect<BlockDirectory, BlockError>
  /**
   * Reads all of a block from the disk, past the page cache, and names every region that is damaged; fails where not
   * even the directory can be read. Regions are judged by their hash, unless `judge` knows more.
   */
  readonly inspect: (block: BlockId, judge?: RegionsJudge) => Effect.Effect<BlockInspected, BlockError>
  /** What is damaged in a block, by `inspect`. */
  readonly verify: (block: BlockId) => Effect.Effect<ReadonlyArray<BlockDamaged>, BlockError>
  /** Blocks that have a file. */
  readonly list: Effect.Effect<ReadonlyArray<BlockId>, DiskError>
  /**
   * Removes a block's file; nothing to do where there is none. No sync: a power cut may bring the file back, and the
   * next start finds that no commit names it.
   */
  readonly remove: (block: BlockId) => Effect.Effect<void, DiskError>
}

export interface BlockOptions {
  readonly store: StoreId
  readonly vault: VaultId
  /** A file has a block's name only once it is the block: where a commit may name it that this node has not finished (members of a cluster). */
  readonly isNamedLast?: boolean
}

const folder = "blocks"
const folderOf = (block: BlockId): string => `${folder}/${block.slice(0, 2)}`
const pathOf = (block: BlockId): string => `${folderOf(block)}/${block}.block`
const growingPathOf = (block: BlockId): string => `${folderOf(block)}/${block}.growing`
const growingName = /^[0-9a-f]{32}\.growing$/
const blockName = /^([0-9a-f]{32})\.block$/
const folderName = /^[0-9a-f]{2}$/

export class Blocks extends Context.Service<Blocks, BlocksService>()("ouroborosdb/block/Blocks") {
  /** Fails with DiskError where the folder for blocks cannot be made. */
  static readonly layer = (options: BlockOptions): Layer.Layer<Blocks, DiskError, Disk | Compute> =>
    Layer.effect(Blocks, Effect.gen(function*() {
      const disk = yield* Disk
      const reader: ReadBack = { judge: onLanes(yield* Compute), slots: new PageSlots(blockReadSlotBytes, blockReadBackSlotsKept, blockReadBackSlotsKept), underWay: 0 }
      const folders = yield* openFolders(disk)
      const open = yield* makeBlockFiles(disk, pathOf, blockFilesOpenMax)
      const atRest = yield* makeBlockFiles({ ...disk, open: (path, mode) => disk.open(path, mode, { direct: true }) }, pathOf, blockFilesAtRestMax)
      const isNamedLast = options.isNamedLast === true
      if (isNamedLast) yield* sweepGrowing(disk)
      /** Given up, and their files are still there: no name of a block shows them to whoever sweeps. */
      const left = new Set<BlockId>()
      const removeGrown = (block: BlockId): Effect.Effect<void, DiskError> => Effect.andThen(removeFile(disk, growingPathOf(block)), Effect.sync(() => void left.delete(block)))
      const grow = beginBlock({
        disk, options, pathOf, growingPathOf: isNamedLast ? growingPathOf : pathOf, ensureFolder: folders.ensure, syncFolderOf: folders.sync,
        remove: (block) => Effect.suspend(() => {
          if (!isNamedLast) return removeFile(disk, pathOf(block))
          left.add(block)
          return Effect.andThen(removeGrown(block), removeFile(disk, pathOf(block)))
        }),
        readBack: (block, path, frameHash) => readBack(disk, options, reader, block, path, frameHash)
      })
      const begin: BlocksService["begin"] = (block, isFinished) => Effect.suspend(() => {
        left.delete(block)
        return grow(block, isFinished)
      })
      return {
        write: (block, chunks) => Effect.scoped(Effect.flatMap(begin(block), (writer) => Effect.andThen(writer.append(chunks), writer.finish))),
        begin,
        read: (places, options = {}) => readRegions(options.from === "Disk" ? atRest : open, places, options),
        directory: (block) => inBlock(block, open.use(block, (file) => readDirectory(file, options, block))),
        inspect: (block, judge) => inspectBlock(disk, options, block, judge),
        verify: (block) => Effect.map(inspectBlock(disk, options, block), ({ damages }) => damages),
        list: Effect.andThen(Effect.suspend(() => Effect.forEach([...left], (block) => Effect.exit(removeGrown(block)), { discard: true })), listBlocks(disk)),
        remove: (block) => Effect.andThen(Effect.andThen(open.drop(block), atRest.drop(block)), removeFile(disk, pathOf(block)))
      }
    }))
}

/** A fault of the bytes becomes an error that names the block. */
const orDamaged = <A>(block: BlockId, value: A | BlockFault): Effect.Effect<A, BlockDamaged> =>
  value instanceof BlockFault ? Effect.fail(new BlockDamaged({ block, what: value.what })) : Effect.succeed(value)

/** "No such file" becomes "no such block". */
const inBlock = <A, E>(block: BlockId, effect: Effect.Effect<A, E | DiskError>): Effect.Effect<A, E | DiskError | BlockMissing> =>
  Effect.mapError(effect, (error) =>
    error instanceof DiskError && error.code === "NotFound" ? new BlockMissing({ block }) : error)

/** The folders that hold blocks. */
interface Folders {
  /** Makes a block's folder the first time it is asked for. */
  readonly ensure: (block: BlockId) => Effect.Effect<void, DiskError>
  /** The block's name in its folder is on the disk, and so is the folder's name. */
  readonly sync: (block: BlockId) => Effect.Effect<void, DiskError>
}

const openFolders = Effect.fnUntraced(function*(disk: DiskService) {
  yield* disk.makeFolder(folder)
  yield* disk.syncFolder("")
  // A killed predecessor may have made folders without syncing their names.
  yield* disk.syncFolder(folder)
  const synced = new Set((yield* disk.list(folder)).map((name) => `${folder}/${name}`))
  const made = new Set(synced)
  const ensure = Effect.fnUntraced(function*(block: BlockId) {
    const path = folderOf(block)
    if (made.has(path)) return
    yield* disk.makeFolder(path)
    made.add(path)
  })
  // Not before: whoever waits for the block to begin would wait for the disk.
  const syncName = Effect.fnUntraced(function*(path: string) {
    if (synced.has(path)) return
    yield* disk.syncFolder(folder)
    synced.add(path)
  })
  const sync = (block: BlockId) => Effect.all([disk.syncFolder(folderOf(block)), syncName(folderOf(block))], { concurrency: 2, discard: true })
  return { ensure, sync } satisfies Folders
})

/** What read-backs use: hashes on lanes, and memory that is used again. */
interface ReadBack {
  readonly judge: RegionsJudge
  readonly slots: PageSlots
  /** Read-backs that may hold slots. */
  underWay: number
}

/** From the disk: what the page cache still shows says nothing of a write that the disk lost, or put elsewhere. */
const readBack = Effect.fnUntraced(function*(
  disk: DiskService, options: BlockOptions, reader: ReadBack, block: BlockId, path: string, frameHash: Hash
) {
  reader.underWay += 1
  const { damages, directory } = yield* Effect.ensuring(inspectBlock(disk, options, block, reader.judge, reader.slots, path), readBackEnds(reader))
  if (directory.hash !== frameHash) return yield* new BlockDamaged({ block, what: "read back, it is another block" })
  if (damages[0] !== undefined) return yield* damages[0]
})

/** After the last one, slots for the next are kept. */
const readBackEnds = (reader: ReadBack): Effect.Effect<void> => Effect.sync(() => {
  reader.underWay -= 1
  if (reader.underWay === 0) reader.slots.trim(blockReadBackSlotsIdle)
})

const inspectBlock = (
  disk: DiskService, options: BlockOptions, block: BlockId, judge: RegionsJudge = byHash, slots?: PageSlots, path = pathOf(block)
): Effect.Effect<BlockInspected, BlockError> =>
  inBlock(block, Effect.scoped(Effect.gen(function*() {
    const file = yield* disk.open(path, "read", { direct: true })
    const directory = yield* readDirectory(file, options, block)
    return { directory, damages: yield* inspectRegions(file, directory, judge, slots) }
  })))

const readDirectory = Effect.fnUntraced(function*(file: DiskFile, options: BlockOptions, block: BlockId) {
  const fileBytes = yield* file.size
  if (fileBytes < blockHeaderBytes + regionEntryBytes + blockFooterBytes) {
    return yield* new BlockDamaged({ block, what: `the file has only ${fileBytes} bytes` })
  }
  // Footer and, nearly always, all of the directory before it.
  const lastBytes = Math.min(fileBytes, blockLastBytesRead)
  const [head, last] = yield* Effect.all([file.read(0, blockHeaderBytes), file.read(fileBytes - lastBytes, lastBytes)], { concurrency: 2 })
  const header = yield* orDamaged(block, decodeHeader(head))
  if (header.block !== block) return yield* new BlockDamaged({ block, what: `the file holds block ${header.block}` })
  if (header.store !== options.store) return yield* new BlockDamaged({ block, what: `the file is of store ${header.store}` })
  if (header.vault !== options.vault) return yield* new BlockDamaged({ block, what: `the file is of vault ${header.vault}` })
  const footer: BlockFooter = yield* orDamaged(block, decodeFooter(last.subarray(-blockFooterBytes), fileBytes))
  const tailBytes = fileBytes - footer.directoryOffset
  const tail = tailBytes <= last.length ? last.subarray(-tailBytes) : yield* file.read(footer.directoryOffset, tailBytes)
  const regions = yield* orDamaged(block, decodeDirectory(head, tail, footer))
  const directory: BlockDirectory = { block, sizeBytes: fileBytes, hash: footer.frameHash, regions }
  return directory
})

/** All regions of a block and the padding after each, in runs of bounded size; with slots one is read while another is judged. */
const inspectRegions = Effect.fnUntraced(function*(
  file: DiskFile, directory: BlockDirectory, judge: RegionsJudge, slots?: PageSlots
) {
  // With its padding a region ends where the next one starts.
  const extents = directory.regions.map((region) => ({
    offset: region.offset, lengthBytes: alignRegion(region.offset + region.lengthBytes) - region.offset
  }))
  const inspectRun = Effect.fnUntraced(function*(run: RegionRun) {
    const bytes = yield* readRun(file, run.offset, run.lengthBytes, slots)
    const regions = run.members.map((index) => directory.regions[index]!)
    // Before the judge takes the bytes.
    const padding = regions.map((region, at) => paddingFault(bytes, region, extents[run.members[at]!]!.lengthBytes, run.offset))
    const judged = bytes.length < run.lengthBytes ? yield* byHash(regions, bytes, run.offset) : yield* judge(regions, bytes, run.offset)
    slots?.give(bytes)
    release(bytes)
    return regions.flatMap((region, at) => {
      const what = judged[at] ?? padding[at]
      return what === undefined ? [] : [new BlockDamaged({ block: directory.block, what, chunk: region.chunk })]
    })
  })
  const runs = coalesce(extents, 0, blockReadRunBytesMax)
  return (yield* Effect.forEach(runs, inspectRun, { concurrency: slots === undefined ? 1 : blockReadRunsMax })).flat()
})

const byHash: RegionsJudge = (regions, bytes, offset) =>
  Effect.sync(() => regions.map((region) => {
    const start = region.offset - offset
    return sealedFault(bytes.subarray(start, start + region.lengthBytes), region)
  }))

/** The same on a lane, where the bytes are many. */
const onLanes = (compute: ComputeService): RegionsJudge => (regions, bytes, offset) =>
  bytes.length <= computeHereBytesMax ? byHash(regions, bytes, offset)
    : compute.run(hashKernel, { bytes, pieces: regions.map((region) => ({ offset: region.offset - offset, length: region.lengthBytes })) }).pipe(
      Effect.map(({ hashes }) => regions.map((region, index) => hashes[index] === region.sealedHash ? undefined : wrongHash(region))),
      Effect.catch((error) => Effect.succeed(regions.map((region) => `the region at ${region.offset} was not checked: ${error.message}`)))
    )

const wrongHash = (region: Pick<Region, "offset">): string => `the region at ${region.offset} has not its hash`

const paddingFault = (bytes: Uint8Array, region: Region, extentBytes: number, offset: number): string | undefined => {
  const start = region.offset - offset
  const padding = bytes.subarray(start + region.lengthBytes, start + extentBytes)
  return padding.some((byte) => byte !== 0) ? `the padding after the region at ${region.offset} is not zero` : undefined
}

const sealedFault = (sealed: Uint8Array, region: Omit<RegionRead, "block">): string | undefined => {
  if (sealed.length !== region.lengthBytes) return `the region at ${region.offset} ends after ${sealed.length} of ${region.lengthBytes} bytes`
  return equalBytes(hashBytes(sealed), fromHex(region.sealedHash)) ? undefined : wrongHash(region)
}

/** Bounds of a place, before anything is allocated for it. */
const placeFault = (place: RegionRead): string | undefined => {
  if (!Number.isSafeInteger(place.offset) || place.offset < blockHeaderBytes) return `no region starts at ${place.offset}`
  if (!Number.isSafeInteger(place.lengthBytes) || place.lengthBytes < 1 || place.lengthBytes > regionBytesMax) return `no region has ${place.lengthBytes} bytes`
  return undefined
}

const readRegions = Effect.fnUntraced(function*(
  open: BlockFiles, places: ReadonlyArray<RegionRead>, { slots, verifiedBy = "Blocks" }: RegionReadOptions
) {
  const results = new Array<Uint8Array | BlockError>(places.length)
  const byBlock = new Map<BlockId, Array<number>>()
  for (const [index, place] of places.entries()) {
    const what = placeFault(place)
    if (what !== undefined) {
      results[index] = new BlockDamaged({ block: place.block, what })
      continue
    }
    const members = byBlock.get(place.block)
    if (members === undefined) byBlock.set(place.block, [index])
    else members.push(index)
  }
  const runs = [...byBlock].flatMap(([block, members]) =>
    coalesce(members.map((index) => places[index]!), blockReadGapBytesMax, blockReadRunBytesMax).map((run) =>
      ({ ...run, block, members: run.members.map((member) => members[member]!) })))
  yield* Effect.forEach(runs, ({ block, lengthBytes, members, offset }) => {
    const read = inBlock(block, open.use(block, (file) => readRun(file, offset, lengthBytes, slots)))
    return Effect.map(Effect.catch(read, (error) => Effect.succeed(error)), (bytes) => {
      for (const index of members) results[index] = bytes instanceof Uint8Array ? regionOf(places[index]!, bytes, offset, verifiedBy) : bytes
    })
  }, { concurrency: blockReadRunsMax, discard: true })
  return results
})

const readRun = (file: DiskFile, offset: number, lengthBytes: number, slots: PageSlots | undefined): Effect.Effect<Uint8Array, DiskError> => {
  if (slots === undefined) return file.read(offset, lengthBytes)
  const slot = slots.take()
  return Effect.map(file.read(offset, lengthBytes, slot), (bytes) => {
    if (bytes.buffer !== slot.buffer) slots.give(slot)
    return bytes
  })
}

const regionOf = (
  place: RegionRead, run: Uint8Array, runOffset: number, verifiedBy: "Blocks" | "Caller"
): Uint8Array | BlockDamaged => {
  const start = place.offset - runOffset
  const sealed = run.subarray(start, start + place.lengthBytes)
  const what = verifiedBy === "Blocks" || sealed.length !== place.lengthBytes ? sealedFault(sealed, place) : undefined
  return what === undefined ? sealed : new BlockDamaged({ block: place.block, what })
}

const listBlocks = Effect.fnUntraced(function*(disk: DiskService) {
  const blocks: Array<BlockId> = []
  for (const name of yield* disk.list(folder)) {
    if (!folderName.test(name)) continue
    for (const file of yield* disk.list(`${folder}/${name}`)) {
      const id = blockName.exec(file)?.[1]
      if (id !== undefined && id.startsWith(name)) blocks.push(id as BlockId)
    }
  }
  return blocks
})

/** What a crash left of blocks that were growing. */
const sweepGrowing = Effect.fnUntraced(function*(disk: DiskService) {
  for (const name of yield* disk.list(folder)) {
    if (!folderName.test(name)) continue
    for (const file of yield* disk.list(`${folder}/${name}`)) if (growingName.test(file)) yield* removeFile(disk, `${folder}/${name}/${file}`)
  }
})

const removeFile = (disk: DiskService, path: string): Effect.Effect<void, DiskError> =>
  disk.remove(path).pipe(
    Effect.catch((error) => error.code === "NotFound" ? Effect.void : Effect.fail(error))
  )
