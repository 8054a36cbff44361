/**
 * Fetch: plaintext of chunks by their ids, from whichever copy is whole. It sits between get (and whoever joins
 * manifests) and the journal, the blocks and the sealer's opening kernel.
 *
 * What was read often of late is in the cache. Rounds: look up the rows (one batch), read one untried copy of each chunk, verify, open. A copy that is not there or
 * not whole sends its chunk into the next round, with its row looked up again: it may have moved meanwhile (R12).
 */
import { Context, Data, Effect, Layer } from "effect"
import { copyOf, isShared } from "./base/bytes.ts"
import type { ChunkId } from "./base/ids.ts"
import {
  blockReadRunBytesMax, blockReadSlotBytes, computeHereBytesMax, damagedChunksMax, pooledBytesMax, readDirectBytesMin, readSlotsKeptIdle, readSlotsKeptMax, resolveRoundsMax
} from "./base/limits.ts"
import { PageSlots } from "./base/PageSlots.ts"
import { probe } from "./base/probes.ts"
import { ChunkCache, type Chunks } from "./chunkCache.ts"
import { Blocks } from "./block/BlockService.ts"
import type { BlocksService, RegionReadOptions } from "./block/BlockService.ts"
import type { ChunkRow, CopyPlace } from "./namespace/Model.ts"
import { Namespace } from "./namespace/Namespace.ts"
import type { NamespaceService } from "./namespace/Namespace.ts"
import { Compute } from "./ports/Compute.ts"
import type { ComputeService } from "./ports/Compute.ts"
import { openKernel } from "./sealer/SealKernel.ts"
import type { OpenInput, OpenOutput } from "./sealer/SealKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"
import { WalError } from "./wal/WalError.ts"
import { Wal } from "./wal/WalService.ts"
import type { WalInterface } from "./wal/WalService.ts"

/** The bytes cannot be had as they were written: never wrong bytes instead (P3). */
export class ReadError extends Data.TaggedError("ReadError")<{
  readonly reason: "Damaged" | "Missing" | "Disk" | "Compute"
  readonly detail: string
}> {
  override get message(): string {
    return `read: ${this.reason}: ${this.detail}`
  }
}

export interface FetchService {
  /** Plaintexts in the order asked for, each verified, each in bytes of its own. Ids may repeat. */
  readonly chunks: (ids: ReadonlyArray<ChunkId>) => Effect.Effect<ReadonlyArray<Uint8Array>, ReadError>
  /** Bytes [from, to) of a chunk of `sizeBytes`, of the caller's own, where memory has it; undefined: fetch the chunk. */
  readonly cachedPart: (id: ChunkId, sizeBytes: number, from: number, to: number) => Uint8Array | undefined
  /** A read of this chunk met a damaged copy: deduplication must not count on it (R1). */
  readonly isDamaged: (id: ChunkId) => boolean
  /** Scrub or verification met damaged copies of these: new bytes of them are to heal them. */
  readonly noteDamaged: (ids: ReadonlyArray<ChunkId>) => void
  /** Of which reads, scrub or verification met a damaged copy, and no new one is known. */
  readonly damaged: () => ReadonlySet<ChunkId>
  /** These chunks have new copies, or nobody has a use for them any more. */
  readonly healed: (ids: ReadonlyArray<ChunkId>) => void
}

interface Rooms {
  readonly keys: VaultKeys
  readonly wal: WalInterface
  readonly namespace: NamespaceService
  readonly blocks: BlocksService
  readonly compute: ComputeService
  readonly cache: Chunks
  /** Sealed bytes on their way from the disk to the lanes. */
  readonly slots: PageSlots
  /** Rounds under way, which may hold slots. */
  readonly rounds: { count: number }
  /** Oldest first; the oldest are forgotten. */
  readonly damaged: Set<ChunkId>
}

export class Fetch extends Context.Service<Fetch, FetchService>()("ouroborosdb/Fetch") {
  static readonly layer = (keys: VaultKeys): Layer.Layer<Fetch, never, Wal | Namespace | Blocks | Compute | ChunkCache> =>
    Layer.effect(Fetch, Effect.gen(function*() {
      const rooms: Rooms = {
        keys, wal: yield* Wal, namespace: yield* Namespace, blocks: yield* Blocks, compute: yield* Compute, cache: yield* ChunkCache,
        slots: new PageSlots(blockReadSlotBytes, readSlotsKeptMax), rounds: { count: 0 }, damaged: new Set()
      }
      return {
        chunks: (ids) => fetchChunks(rooms, ids),
        cachedPart: (id, sizeBytes, from, to) => rooms.cache.part(id, sizeBytes, from, to),
        isDamaged: (id) => rooms.damaged.has(id),
        damaged: () => rooms.damaged,
        noteDamaged: (ids) => ids.forEach((id) => {
          remember(rooms.damaged, id)
          rooms.cache.remove(id)
        }),
        healed: (ids) => ids.forEach((id) => {
          rooms.damaged.delete(id)
          rooms.cache.remove(id)
        })
      }
    }))
}

/** One chunk on its way: which copies were tried, and how they failed. */
interface Wanted {
  readonly id: ChunkId
  readonly tried: Set<string>
  readonly failures: Array<Failure>
  plaintext: Uint8Array | undefined
}

interface Failure {
  readonly reason: ReadError["reason"]
  readonly detail: string
}

/** A copy that this round reads. */
interface Attempt {
  readonly wanted: Wanted
  readonly row: ChunkRow
  readonly place: CopyPlace
}

const nameOf = (place: CopyPlace): string =>
  place._tag === "Journal" ? `journal ${place.segment}:${place.offset}` : `block ${place.block} at ${place.offset}`

const fetchChunks = Effect.fnUntraced(function*(rooms: Rooms, ids: ReadonlyArray<ChunkId>) {
  const wanted = new Map<ChunkId, Wanted>()
  for (const id of ids) if (!wanted.has(id)) wanted.set(id, { id, tried: new Set(), failures: [], plaintext: rooms.cache.get(id) })
  for (let round = 0; round < resolveRoundsMax; round++) {
    const open = [...wanted.values()].filter((one) => one.plaintext === undefined)
    if (open.length === 0) return inOrder(ids, wanted)
    if (round > 0) probe("fetch.soughtAgain")
    const attempts = yield* attemptsOf(rooms, open)
    rooms.rounds.count += 1
    yield* Effect.ensuring(readRound(rooms, attempts), roundEnds(rooms))
  }
  return yield* giveUp([...wanted.values()].find((one) => one.plaintext === undefined)!)
})

/** After the last one, slots for one reader are kept. */
const roundEnds = ({ rounds, slots }: Rooms): Effect.Effect<void> => Effect.sync(() => {
  rounds.count -= 1
  if (rounds.count === 0) slots.trim(readSlotsKeptIdle)
})

/** Whoever asked for a chunk twice gets its bytes twice: they are his to change. */
const inOrder = (ids: ReadonlyArray<ChunkId>, wanted: ReadonlyMap<ChunkId, Wanted>): ReadonlyArray<Uint8Array> => {
  const given = new Set<ChunkId>()
  return ids.map((id) => {
    const plaintext = wanted.get(id)!.plaintext!
    if (given.has(id)) return copyOf(plaintext)
    given.add(id)
    return plaintext
  })
}

const reasonOrder: ReadonlyArray<ReadError["reason"]> = ["Damaged", "Disk", "Compute", "Missing"]

const giveUp = (wanted: Wanted): Effect.Effect<never, ReadError> => {
  const reason = reasonOrder.find((one) => wanted.failures.some((failure) => failure.reason === one)) ?? "Missing"
  const why = wanted.failures.map((failure) => failure.detail).join("; ")
  return Effect.fail(new ReadError({ reason, detail: `chunk ${wanted.id}: ${why === "" ? "no copy is recorded" : why}` }))
}

/** For each chunk a copy that was not tried yet; fails for a chunk that has none left. */
const attemptsOf = (rooms: Rooms, open: ReadonlyArray<Wanted>): Effect.Effect<ReadonlyArray<Attempt>, ReadError> =>
  Effect.suspend(() => {
    const rows = rooms.namespace.chunks(open.map((one) => one.id))
    const attempts: Array<Attempt> = []
    for (const [index, wanted] of open.entries()) {
      const row = rows[index]
      const copy = row?.copies.find(({ place }) => !wanted.tried.has(nameOf(place)))
      if (row === undefined || copy === undefined) return giveUp(wanted)
      attempts.push({ wanted, row, place: copy.place })
    }
    return Effect.succeed(attempts)
  })

const readRound = Effect.fnUntraced(function*(rooms: Rooms, attempts: ReadonlyArray<Attempt>) {
  for (const attempt of attempts) attempt.wanted.tried.add(nameOf(attempt.place))
  const journal = attempts.filter((attempt) => attempt.place._tag === "Journal")
  const block = attempts.filter((attempt) => attempt.place._tag === "Block")
  const sealed = [
    ...yield* readJournal(rooms.wal, journal),
    ...yield* readBlocks(rooms, block)
  ]
  const groups = groupsOf(sealed)
  yield* Effect.forEach(groups, (group) => openGroup(rooms, group), { concurrency: rooms.compute.lanes, discard: true })
  // Not before all that lie in them are opened; those of a round that is broken off are nobody's.
  for (const bytes of new Map(sealed.map(([, bytes]) => [bytes.buffer, bytes])).values()) if (isShared(bytes)) rooms.slots.give(bytes)
  for (const { wanted } of attempts) {
    if (wanted.failures.length > 0 && wanted.plaintext === undefined) {
      yield* Effect.logWarning(`chunk ${wanted.id}: ${wanted.failures.at(-1)!.detail}`)
    }
    if (wanted.failures.some((failure) => failure.reason === "Damaged")) {
      probe("fetch.damagedCopy")
      remember(rooms.damaged, wanted.id)
      rooms.cache.remove(wanted.id)
    }
  }
})

const remember = (damaged: Set<ChunkId>, id: ChunkId): void => {
  damaged.delete(id)
  damaged.add(id)
  for (const oldest of damaged) {
    if (damaged.size <= damagedChunksMax) break
    damaged.delete(oldest)
  }
}

type Sealed = readonly [attempt: Attempt, bytes: Uint8Array]

const journalFailure = (attempt: Attempt, error: WalError): Failure => ({
  reason: error.reason === "Damaged" ? "Damaged" : error.reason === "Disk" ? "Disk" : "Missing",
  detail: `${nameOf(attempt.place)}: ${error.message}`
})

/** All at once; one by one where that fails, so that one bad record fails alone. */
const readJournal = Effect.fnUntraced(function*(wal: WalInterface, attempts: ReadonlyArray<Attempt>) {
  const positions = attempts.map(({ place }) => {
    const { segment, offset, lengthBytes } = place as CopyPlace & { readonly _tag: "Journal" }
    return { segment, offset, length: lengthBytes }
  })
  if (positions.length === 0) return []
  // What failed is read again below, and named there.
  const all = yield* Effect.catch(wal.readMany(positions), () => Effect.succeed(undefined))
  if (all !== undefined) return all.map((bytes, index): Sealed => [attempts[index]!, bytes])
  const sealed: Array<Sealed> = []
  for (const [index, attempt] of attempts.entries()) {
    const bytes = yield* Effect.catch(wal.read(positions[index]!), (error) => Effect.succeed(error))
    if (bytes instanceof WalError) attempt.wanted.failures.push(journalFailure(attempt, bytes))
    else sealed.push([attempt, bytes])
  }
  return sealed
})

/**
 * What nobody read of late comes from the disk straight into memory that lanes share: through the page cache it costs a copy
 * and, where that is full, somebody else's pages. What is read again goes through it, and stays there.
 */
const readBlocks = Effect.fnUntraced(function*({ blocks, cache, slots }: Rooms, attempts: ReadonlyArray<Attempt>) {
  const isNew = attempts.map(({ wanted }) => !cache.wasRead(wanted.id))
  const newBytes = attempts.reduce((sum, { place }, index) => sum + (isNew[index] === true ? place.lengthBytes : 0), 0)
  const isLong = newBytes >= readDirectBytesMin
  const direct = attempts.filter((_, index) => isLong && isNew[index] === true)
  const buffered = attempts.filter((_, index) => !isLong || isNew[index] !== true)
  return [...yield* readFrom(blocks, direct, { from: "Disk", slots }), ...yield* readFrom(blocks, buffered, {})]
})

const readFrom = Effect.fnUntraced(function*(blocks: BlocksService, attempts: ReadonlyArray<Attempt>, options: RegionReadOptions) {
  const sealed: Array<Sealed> = []
  if (attempts.length === 0) return sealed
  const reads = attempts.map(({ place, row }) => {
    const { block, offset, lengthBytes } = place as CopyPlace & { readonly _tag: "Block" }
    return { block, offset, lengthBytes, sealedHash: row.sealedHash }
  })
  // The opening kernel compares the hash, on its lane.
  for (const [index, bytes] of (yield* blocks.read(reads, { ...options, verifiedBy: "Caller" })).entries()) {
    const attempt = attempts[index]!
    if (bytes instanceof Uint8Array) {
      sealed.push([attempt, bytes])
      continue
    }
    const reason = bytes._tag === "BlockDamaged" ? "Damaged" : bytes._tag === "BlockMissing" ? "Missing" : "Disk"
    attempt.wanted.failures.push({ reason, detail: `${nameOf(attempt.place)}: ${bytes.message}` })
  }
  return sealed
})

/**
 * What one hop to a lane opens: about half a run. Pieces that share a buffer, as neighbours read at once do, are in one
 * group, so that the buffer can move to the lane instead of being copied; memory that lanes share need not move.
 */
const groupsOf = (sealed: ReadonlyArray<Sealed>): ReadonlyArray<ReadonlyArray<Sealed>> => {
  const units: Array<Array<Sealed>> = []
  const byBuffer = new Map<ArrayBufferLike, Array<Sealed>>()
  for (const one of sealed) {
    const { buffer } = one[1]
    const sharing = isShared(one[1]) ? undefined : byBuffer.get(buffer)
    if (sharing !== undefined) {
      sharing.push(one)
      continue
    }
    const unit = [one]
    units.push(unit)
    byBuffer.set(buffer, unit)
  }
  const groups: Array<Array<Sealed>> = []
  let groupBytes = Number.POSITIVE_INFINITY
  for (const unit of units) {
    const [, bytes] = unit[0]!
    const sizeBytes = isShared(bytes) ? bytes.length : bytes.buffer.byteLength
    if (groupBytes + sizeBytes > blockReadRunBytesMax / 2) {
      groups.push([])
      groupBytes = 0
    }
    groups.at(-1)!.push(...unit)
    groupBytes += sizeBytes
  }
  return groups
}

/** The buffers of whole reads: they are ours and nobody else's. */
const buffersOf = ({ pieces }: OpenInput): ReadonlyArray<ArrayBuffer> => {
  const buffers = new Set<ArrayBuffer>()
  for (const { bytes: { buffer } } of pieces) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength > pooledBytesMax) buffers.add(buffer)
  }
  return [...buffers]
}

/** The opening kernel, to which whole reads move. */
const openRuns: typeof openKernel = { ...openKernel, transfersIn: buffersOf }

/** The same here: what was read is given back at once. */
const openHere = (input: OpenInput): OpenOutput => {
  const output = openKernel.run(input)
  for (const buffer of buffersOf(input)) buffer.transfer(0)
  return output
}

const openGroup = Effect.fnUntraced(function*(rooms: Rooms, group: ReadonlyArray<Sealed>) {
  const input: OpenInput = {
    keys: rooms.keys,
    pieces: group.map(([{ row }, bytes]) => ({ id: row.id, bytes, hash: row.sealedHash }))
  }
  const bytes = group.reduce((sum, [, sealed]) => sum + sealed.length, 0)
  const output = yield* (bytes <= computeHereBytesMax
    ? Effect.sync(() => openHere(input))
    : Effect.mapError(rooms.compute.run(openRuns, input), (error) => new ReadError({ reason: "Compute", detail: error.message })))
  for (const [index, opened] of output.opened.entries()) {
    const [{ wanted, row, place }] = group[index]!
    if (!(opened instanceof Uint8Array)) {
      wanted.failures.push({ reason: "Damaged", detail: `${nameOf(place)}: ${opened.reason}: ${opened.detail}` })
    } else if (opened.length !== row.sizeBytes) {
      wanted.failures.push({ reason: "Damaged", detail: `${nameOf(place)}: ${opened.length} bytes, its row says ${row.sizeBytes}` })
    } else {
      wanted.plaintext = opened
      rooms.cache.offer(row.id, opened)
    }
  }
})
