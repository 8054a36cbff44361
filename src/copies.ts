/**
 * Copies: what the rows of chunks say of where they lie, compared with what lies there. It sits between verification's
 * walk through the blocks and its count of references.
 *
 * Regions and rows are compared from the side of the blocks, as each is read; that every row has its region shows in
 * counters by the first bits of the chunk's id, so that memory does not grow with the store. Where two differ, the few
 * rows of that counter are looked up one by one.
 */
import { Effect } from "effect"
import { type BlockId, type ChunkId, type TenantId, type VaultId } from "./base/ids.ts"
import { computeHereBytesMax, verifyCounters, verifyDirectoriesMax, verifyReadBytes, verifyRowsBetweenYields } from "./base/limits.ts"
import type { BlockDirectory, BlockInspected, BlocksService } from "./block/BlockService.ts"
import { type Finding } from "./damage.ts"
import type { ChunkRow, CopyPlace } from "./namespace/Model.ts"
import type { NamespaceService } from "./namespace/Namespace.ts"
import { chunkKnown, chunksKnown, journaledAt, journaledPlaces, journaledTotal } from "./namespace/QueryCensus.ts"
import type { StateService } from "./namespace/State.ts"
import type { ComputeService } from "./ports/Compute.ts"
import { type CheckInput, checkKernel } from "./sealer/CheckKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"
import type { WalInterface } from "./wal/WalService.ts"

/** What one verification works with. */
export interface Verifying {
  readonly keys: VaultKeys
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly state: StateService
  readonly namespace: NamespaceService
  readonly wal: WalInterface
  readonly blocks: BlocksService
  readonly compute: ComputeService
  readonly found: (finding: Finding) => Effect.Effect<void>
  readonly note: (text: string) => Effect.Effect<void>
  /** Blocks of which something is wrong: their chunks are looked at one by one. */
  readonly doubtful: Set<BlockId>
  /** Places of the journal whose chunk's bytes are hurt: "segment:offset". */
  readonly hurt: Set<string>
  /** Chunks whose rows, or whose holders' rows, were written since it was last cleared; undefined: too many. */
  readonly touched: { ids: Set<ChunkId> | undefined }
}

/** Runs `each` for every row, letting others run now and then. It returns an effect only where there is something to do. */
export const walk = Effect.fnUntraced(function*<A>(rows: Iterable<A>, each: (row: A) => Effect.Effect<void> | undefined) {
  let since = 0
  for (const row of rows) {
    const effect = each(row)
    if (effect !== undefined) yield* effect
    since += 1
    if (since < verifyRowsBetweenYields) continue
    since = 0
    yield* Effect.yieldNow
  }
})

export interface Counters {
  readonly regions: Float64Array
  readonly rows: Float64Array
}

export const makeCounters = (): Counters => ({ regions: new Float64Array(verifyCounters), rows: new Float64Array(verifyCounters) })

const counterOf = (id: ChunkId): number => Number.parseInt(id.slice(0, 4), 16)
type BlockPlace = Extract<CopyPlace, { readonly _tag: "Block" }>
type JournalPlace = Extract<CopyPlace, { readonly _tag: "Journal" }>

/** The regions of a block that was just read, compared with the rows of their chunks. */
export const countRegions = (verifying: Verifying, counters: Counters, { directory }: BlockInspected): Effect.Effect<void> =>
  walk(directory.regions, (region) => {
    const row = chunkKnown(verifying.state.reader, verifying.vault, region.chunk)
    const copy = row?.copies.find(({ place }) => place._tag === "Block" && place.block === directory.block && place.offset === region.offset)
    if (row === undefined || copy === undefined) return undefined
    const differs = copy.place.lengthBytes !== region.lengthBytes ? "length" : row.sealedHash !== region.sealedHash ? "hash" : row.sizeBytes !== region.sizeBytes ? "size" : undefined
    if (differs === undefined) {
      counters.regions[counterOf(region.chunk)]! += 1
      return undefined
    }
    verifying.doubtful.add(directory.block)
    return verifying.found({ kind: "Mismatch", where: `block ${directory.block}`, what: `its region at ${region.offset} has another ${differs} than the row of chunk ${region.chunk}` })
  })

/** Counts what rows say, and compares the journal's table with them. */
export const countRows = Effect.fnUntraced(function*(verifying: Verifying, counters: Counters) {
  const { doubtful, found, state: { reader }, touched, vault } = verifying
  touched.ids = new Set()
  let journaledBytes = 0
  yield* walk(chunksKnown(reader, vault), (row) => {
    for (const { place } of row.copies) {
      if (place._tag === "Journal") journaledBytes += place.lengthBytes
      else if (!doubtful.has(place.block)) counters.rows[counterOf(row.id)]! += 1
    }
    return undefined
  })
  const total = journaledTotal(reader)
  // Both stand still only while no chunk's row is written.
  if (touched.ids !== undefined && touched.ids.size === 0 && total !== journaledBytes) {
    yield* found({ kind: "Mismatch", where: "journal", what: `${total} bytes are counted as waiting in it, its chunks have ${journaledBytes}` })
  }
  yield* walk(journaledPlaces(reader), ({ chunk, offset, segment }) => {
    const isCopy = ({ place }: { readonly place: CopyPlace }): boolean => place._tag === "Journal" && place.segment === segment && place.offset === offset
    if (chunkKnown(reader, vault, chunk)?.copies.some(isCopy) === true || journaledAt(reader, segment, offset) !== chunk) return undefined
    return found({ kind: "Mismatch", where: `journal ${segment}:${offset}`, what: `chunk ${chunk} is said to wait there, its row knows nothing of it` })
  })
})

/** Rows whose region no block has shown, one by one where the counters differ. */
export const findUnmatched = Effect.fnUntraced(function*(verifying: Verifying, counters: Counters) {
  const directories = new Map<BlockId, BlockDirectory | undefined>()
  for (let counter = 0; counter < verifyCounters; counter++) {
    if (counters.rows[counter] === counters.regions[counter]) continue
    const prefix = counter.toString(16).padStart(4, "0")
    const from = prefix.padEnd(64, "0") as ChunkId
    for (const row of chunksKnown(verifying.state.reader, verifying.vault, from)) {
      if (!row.id.startsWith(prefix)) break
      for (const { place } of row.copies) {
        if (place._tag === "Block" && !verifying.doubtful.has(place.block)) yield* lookUp(verifying, directories, row, place)
      }
    }
  }
})

const lookUp = Effect.fnUntraced(function*(
  verifying: Verifying, directories: Map<BlockId, BlockDirectory | undefined>, row: ChunkRow, place: BlockPlace
) {
  const { blocks, doubtful, found, namespace } = verifying
  if (!directories.has(place.block)) {
    if (directories.size >= verifyDirectoriesMax) directories.clear()
    // A block without a directory holds none of its chunks: that is the finding, below.
    directories.set(place.block, yield* Effect.catch(blocks.directory(place.block), () => Effect.succeed(undefined)))
  }
  const directory = directories.get(place.block)
  const isThere = directory?.regions.some(({ chunk, lengthBytes, offset }) => chunk === row.id && offset === place.offset && lengthBytes === place.lengthBytes)
  const isNamed = namespace.block(place.block) !== undefined
  if ((isThere === true && isNamed) || !isStill(verifying, row.id, place)) return
  doubtful.add(place.block)
  const what = isNamed ? `chunk ${row.id} is said to lie at ${place.offset}, and no region of it does` : `chunk ${row.id} is said to lie in it, and no row names the block`
  yield* found({ kind: "Mismatch", where: `block ${place.block}`, what })
})

const samePlace = (a: CopyPlace, b: CopyPlace): boolean =>
  a._tag === "Block" ? b._tag === "Block" && a.block === b.block && a.offset === b.offset
    : b._tag === "Journal" && a.segment === b.segment && a.offset === b.offset

/** Whether the row still has that copy: what moved or healed meanwhile is no finding. */
const isStill = ({ state, vault }: Verifying, id: ChunkId, place: CopyPlace): boolean =>
  chunkKnown(state.reader, vault, id)?.copies.some((copy) => samePlace(copy.place, place)) === true

/** Copies that are read again because something about their place is doubtful, or because only the journal has them. */
export interface CopyReader {
  /** Whatever of the chunk's copies needs a look; `bad` hears of a chunk none of whose copies is whole. */
  readonly add: (row: ChunkRow, bad: (why: string) => void) => Effect.Effect<void> | undefined
  /** Reads what is left. */
  readonly flush: Effect.Effect<void>
}

interface Doubt {
  readonly row: ChunkRow
  readonly place: CopyPlace
  readonly chunk: { left: number; readonly bad: (why: string) => void; readonly why: Array<string> }
}

export const makeCopyReader = (verifying: Verifying): CopyReader => {
  let doubts: Array<Doubt> = []
  let bytes = 0
  const flush = Effect.suspend(() => {
    const taken = doubts
    doubts = []
    bytes = 0
    return readDoubts(verifying, taken)
  })
  const add = (row: ChunkRow, bad: (why: string) => void): Effect.Effect<void> | undefined => {
    if (row.copies.length === 0) return void (row.references > 0 && bad("no copy of it is recorded"))
    const places = row.copies.map(({ place }) => place).filter((place) => place._tag === "Journal" || verifying.doubtful.has(place.block))
    const chunk = { left: row.copies.length, bad, why: [] }
    for (const place of places) {
      doubts.push({ row, place, chunk })
      bytes += place.lengthBytes
    }
    return bytes >= verifyReadBytes ? flush : undefined
  }
  return { add, flush }
}

const readDoubts = Effect.fnUntraced(function*(verifying: Verifying, doubts: ReadonlyArray<Doubt>) {
  const inBlocks = doubts.filter(({ place }) => place._tag === "Block")
  const reads = inBlocks.map(({ place, row }) => ({ ...place as BlockPlace, sealedHash: row.sealedHash }))
  const read = reads.length === 0 ? [] : yield* verifying.blocks.read(reads, { from: "Disk" })
  for (const [index, doubt] of inBlocks.entries()) {
    const sealed = read[index]!
    if (!(sealed instanceof Uint8Array)) judge(verifying, doubt, sealed.message)
  }
  for (const doubt of doubts) {
    if (doubt.place._tag !== "Journal") continue
    const why = yield* journalFault(verifying, doubt.row, doubt.place)
    if (why !== undefined && judge(verifying, doubt, why) && !verifying.hurt.has(`${doubt.place.segment}:${doubt.place.offset}`)) {
      yield* verifying.found({ kind: "Damaged", where: `journal ${doubt.place.segment}:${doubt.place.offset}`, what: `chunk ${doubt.row.id}: ${why}` })
    }
  }
})

/** Counts a copy as lost, unless its row has another one by now; the chunk is, with its last. */
const judge = (verifying: Verifying, { chunk, place, row }: Doubt, why: string): boolean => {
  if (!isStill(verifying, row.id, place)) return false
  chunk.why.push(why)
  chunk.left -= 1
  if (chunk.left === 0) chunk.bad(chunk.why.join("; "))
  return true
}

const journalFault = Effect.fnUntraced(function*({ compute, hurt, keys, state, vault, wal }: Verifying, row: ChunkRow, place: JournalPlace) {
  const { lengthBytes: length, offset, segment } = place
  if (hurt.has(`${segment}:${offset}`)) return `its bytes in the journal at ${segment}:${offset} are hurt`
  if (journaledAt(state.reader, segment, offset) !== row.id && chunkKnown(state.reader, vault, row.id)?.copies.some((copy) => samePlace(copy.place, place)) === true) {
    return `the journal's table does not know it at ${segment}:${offset}`
  }
  const bytes = yield* Effect.catch(wal.read({ segment, offset, length }), (error) => Effect.succeed(error))
  if (!(bytes instanceof Uint8Array)) return bytes.message
  const input: CheckInput = { keys, bytes, pieces: [{ offset: 0, length: bytes.length, id: row.id, sealedHash: row.sealedHash, sizeBytes: row.sizeBytes }] }
  return yield* (length <= computeHereBytesMax ? Effect.sync(() => checkKernel.run(input)) : compute.run(checkKernel, input)).pipe(
    Effect.map(({ faults }) => faults[0]),
    Effect.orDie
  )
})
