/** Settle, after the acknowledgement: wal -> block -> namespace; only then may the journal let go. */
import { Cause, Clock, Context, Effect, Layer, Semaphore } from "effect"
import { assert, unreachable } from "./base/assert.ts"
import { type BlockId, type ChunkId, idOf, type UploadId } from "./base/ids.ts"
import {
  blockSizeBytesTarget, commitMovesMax, dropPartsPerCommitMax, overlayRowsMax, settleAgeMsMax, settleBackoffMsMax, settleChunksMax, settlePollMs,
  settleSkippedMax
} from "./base/limits.ts"
import { hasRoom } from "./block/Block.ts"
import { Blocks, type BlocksService, type BlockWritten } from "./block/BlockService.ts"
import { equalBytes, fromHex } from "./base/bytes.ts"
import { hashBytes } from "./base/hash.ts"
import { probe } from "./base/probes.ts"
import { Intents, type IntentsService } from "./intents.ts"
import type { ChunkRow, CopyPlace } from "./namespace/Model.ts"
import { leads, Namespace, type NamespaceService, type Refused, Unavailable } from "./namespace/Namespace.ts"
import { State, type StateService } from "./namespace/State.ts"
import { Pins, type PinsService } from "./pins.ts"
import { Entropy, type EntropyService } from "./ports/Entropy.ts"
import { watched } from "./ports/Health.ts"
import { comparePlaces, type WalPlace } from "./wal/WalRecord.ts"
import { Wal, type WalInterface } from "./wal/WalService.ts"
import type { WalError } from "./wal/WalError.ts"

/** What settling is doing: 1 reading, 2 writing the block, 3 naming it, 4 letting the journal go; then other housework. */
export type SettlePhase = "Idle" | "Reading" | "Writing" | "Committing" | "Releasing" | "Checkpointing" | "DroppingParts"

export interface SettleStatus {
  readonly phase: SettlePhase
  /** Sealed bytes whose only copy is in the journal. */
  readonly journaledBytes: number
  /** How long the oldest of them has been waiting, at most. */
  readonly lagMs: number
  readonly blocksSealed: number
  /** Chunks that the journal cannot give any more: they stay there, and the rest goes on. */
  readonly damaged: ReadonlyArray<ChunkId>
  readonly lastError: string | undefined
}

export interface SettleService {
  /** Seals everything that is in the journal now, full block or not, then lets the journal go. */
  readonly settleNow: Effect.Effect<void, Unavailable>
  readonly status: () => SettleStatus
}

export interface SettleOptions {
  /** Small in tests. */
  readonly blockBytesTarget?: number
  readonly ageMsMax?: number
  readonly pollMs?: number
  /** Rows of the overlay that start a checkpoint, where fewer than overlayRowsMax. */
  readonly checkpointRows?: number
  /** Called at every change of phase: traces, and tests that want to know what a crash fell into. */
  readonly observe?: (phase: SettlePhase) => void
}

interface Rooms {
  readonly wal: WalInterface
  readonly namespace: NamespaceService
  readonly blocks: BlocksService
  readonly entropy: EntropyService
  readonly pins: PinsService
  readonly intents: IntentsService
  readonly blockBytesTarget: number
  readonly ageMsMax: number
  readonly checkpointRows: number
  readonly state: StateService
  readonly observe: (phase: SettlePhase) => void
}

interface Progress {
  phase: SettlePhase
  blocksSealed: number
  lastError: string | undefined
  /** What lay in the journal before `place` has been there since `atMs` or longer. */
  cutoff: { readonly place: WalPlace; readonly atMs: number }
  nowMs: number
  /** Damaged chunks of the journal by their place: named once, passed over. At most settleSkippedMax. */
  readonly skipped: Map<string, { readonly id: ChunkId; readonly lengthBytes: number }>
  /** The journal was let go up to this segment. */
  released: number
}

export class Settle extends Context.Service<Settle, SettleService>()("ouroborosdb/Settle") {
  /** Settles in the background until the scope closes; at the end it leaves the rest to the next start. */
  static readonly layer = (options: SettleOptions = {}): Layer.Layer<Settle, never, Wal | Namespace | State | Blocks | Entropy | Pins | Intents> =>
    Layer.effect(Settle, Effect.gen(function*() {
      const rooms: Rooms = {
        wal: yield* Wal, namespace: yield* Namespace, blocks: yield* Blocks, entropy: yield* Entropy, pins: yield* Pins, intents: yield* Intents,
        blockBytesTarget: options.blockBytesTarget ?? blockSizeBytesTarget, ageMsMax: options.ageMsMax ?? settleAgeMsMax,
        checkpointRows: options.checkpointRows ?? overlayRowsMax, state: yield* State, observe: options.observe ?? (() => undefined)
      }
      const nowMs = yield* Clock.currentTimeMillis
      const progress: Progress = {
        phase: "Idle", blocksSealed: 0, lastError: undefined, cutoff: { place: rooms.wal.head(), atMs: nowMs }, nowMs,
        skipped: new Map(), released: 0
      }
      yield* removeUnnamed(rooms)
      // One at a time: the loop and whoever settles now.
      const turn = Semaphore.makeUnsafe(1)
      yield* Effect.forkScoped(watched("settling", loop(rooms, progress, turn, options.pollMs ?? settlePollMs)))
      return {
        settleNow: turn.withPermit(Effect.andThen(settleAll(rooms, progress), letGo(rooms, progress))),
        status: () => statusOf(rooms, progress)
      }
    }))
}

const statusOf = ({ namespace }: Rooms, progress: Progress): SettleStatus => {
  const { journaledBytes } = namespace.counts()
  return {
    phase: progress.phase, journaledBytes, lagMs: journaledBytes === 0 ? 0 : Math.max(0, progress.nowMs - progress.cutoff.atMs),
    blocksSealed: progress.blocksSealed, damaged: [...progress.skipped.values()].map(({ id }) => id), lastError: progress.lastError
  }
}

const enter = (rooms: Rooms, progress: Progress, phase: SettlePhase): Effect.Effect<void> =>
  Effect.sync(() => {
    progress.phase = phase
    rooms.observe(phase)
  })

/** Errors wait longer and longer; the journal keeps everything meanwhile, so nothing is lost by waiting. */
const loop = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, turn: Semaphore.Semaphore, pollMs: number) {
  let pauseMs = pollMs
  for (;;) {
    yield* Effect.sleep(pauseMs)
    const exit = yield* Effect.exit(turn.withPermit(houseWork(rooms, progress)))
    if (exit._tag === "Success") {
      progress.lastError = undefined
      pauseMs = pollMs
      continue
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* exit
    progress.lastError = Cause.pretty(exit.cause).split("\n", 1)[0]
    yield* enter(rooms, progress, "Idle")
    probe("settle.failed")
    pauseMs = Math.min(2 * pauseMs, settleBackoffMsMax)
    yield* Effect.logWarning(`settling failed, again in ${pauseMs} ms: ${progress.lastError}`)
  }
})

const houseWork = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  progress.nowMs = yield* Clock.currentTimeMillis
  yield* settleDue(rooms, progress)
  // Also where nothing was sealed: commits alone move the journal on.
  if (keepFromOf(rooms).segment > progress.released) yield* letGo(rooms, progress)
  if (leads(rooms.namespace)) yield* dropParts(rooms, progress)
  if (rooms.state.overlay().rows >= rooms.checkpointRows) {
    yield* enter(rooms, progress, "Checkpointing")
    yield* rooms.namespace.checkpoint(true)
  }
  yield* enter(rooms, progress, "Idle")
})

/** Seals while a block's worth is waiting, then what has waited too long. */
const settleDue = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  while (rooms.namespace.counts().journaledBytes - skippedBytes(progress) >= rooms.blockBytesTarget) {
    if (!(yield* sealOldest(rooms, progress, undefined))) break
  }
  // What is behind the cutoff has waited for half the age at least, and is sealed before it has waited for all of it.
  if (progress.nowMs - progress.cutoff.atMs < rooms.ageMsMax / 2) return
  const { place } = progress.cutoff
  while (yield* sealOldest(rooms, progress, place)) { /* until nothing before it is left */ }
  progress.cutoff = { place: rooms.wal.head(), atMs: progress.nowMs }
})

const settleAll = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  progress.nowMs = yield* Clock.currentTimeMillis
  const until = rooms.wal.head()
  while (yield* sealOldest(rooms, progress, until)) { /* until nothing before it is left */ }
})

type JournalPlace = Extract<CopyPlace, { readonly _tag: "Journal" }>

/** A chunk whose only copy lies in the journal, and where. */
interface Waiting {
  readonly row: ChunkRow
  readonly from: JournalPlace
}

/** With its sealed bytes, verified. */
interface Whole extends Waiting {
  readonly sealed: Uint8Array
}

const nameOf = ({ segment, offset }: JournalPlace): string => `${segment}:${offset}`

const skippedBytes = (progress: Progress): number => {
  let bytes = 0
  for (const { lengthBytes } of progress.skipped.values()) bytes += lengthBytes
  return bytes
}

const waitingOf = (rooms: Rooms, progress: Progress, until: WalPlace | undefined): ReadonlyArray<Waiting> => {
  const waiting: Array<Waiting> = []
  let bytes = 0
  const rows = rooms.namespace.journaled(settleChunksMax + progress.skipped.size)
  // Those passed over are the oldest, so they are among these, except where new bytes have healed them.
  const present = new Set(rows.flatMap(({ copies }) => copies.map(({ place }) => place._tag === "Journal" ? nameOf(place) : "")))
  for (const name of progress.skipped.keys()) if (!present.has(name)) progress.skipped.delete(name)
  for (const row of rows) {
    const from = row.copies.find(({ place }) => place._tag === "Journal")?.place
    if (from?._tag !== "Journal" || progress.skipped.has(nameOf(from))) continue
    if (until !== undefined && comparePlaces(from, until) >= 0) break
    if (bytes >= rooms.blockBytesTarget || waiting.length >= settleChunksMax || !hasRoom(bytes, waiting.length, from.lengthBytes)) break
    waiting.push({ row, from })
    bytes += from.lengthBytes
  }
  return waiting
}

/** One block of the oldest chunks (before `until`). False where nothing was left to seal. */
const sealOldest = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, until: WalPlace | undefined) {
  const waiting = waitingOf(rooms, progress, until)
  if (waiting.length === 0) return false
  yield* enter(rooms, progress, "Reading")
  const whole = yield* readWhole(rooms, progress, waiting)
  if (whole.length === 0) return true
  // From its first byte to its last commit the block is at work: it must be neither swept nor dropped meanwhile.
  yield* Effect.scoped(Effect.andThen(rooms.intents.open, writeAndName(rooms, progress, whole)))
  progress.blocksSealed += 1
  probe(until === undefined ? "settle.fullBlock" : "settle.agedBlock")
  return true
})

const writeAndName = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, whole: ReadonlyArray<Whole>) {
  yield* enter(rooms, progress, "Writing")
  const block = idOf<BlockId>(rooms.entropy.bytes(16))
  const chunks = whole.map(({ row, sealed }) => ({ id: row.id, sizeBytes: row.sizeBytes, sealedHash: row.sealedHash, sealed }))
  const written = yield* Effect.mapError(rooms.blocks.write(block, chunks), (error) =>
    new Unavailable({ reason: error._tag === "DiskError" && error.code === "NoSpace" ? "DiskFull" : "BlockFailed", detail: error.message }))
  yield* enter(rooms, progress, "Committing")
  yield* nameBlock(rooms, whole, written)
})

/** By compare-and-set: a chunk that moved meanwhile stays where it is (R10). Large blocks take several commits (R9). */
const nameBlock = Effect.fnUntraced(function*(rooms: Rooms, whole: ReadonlyArray<Whole>, written: BlockWritten) {
  const moves = whole.map(({ row, from }, index) => ({ chunk: row.id, from, to: written.places[index]! }))
  for (let at = 0; at < moves.length; at += commitMovesMax) {
    const change = { _tag: "BlockSealed" as const, block: written.arrival, moves: moves.slice(at, at + commitMovesMax) }
    yield* Effect.catchTag(rooms.namespace.propose(change), "Refused", neverRefused)
  }
})

/** Nothing about our own housework can be refused: it has no condition. */
export const neverRefused = (error: Refused): Effect.Effect<never> => Effect.die(error)

/** The chunks' sealed bytes, verified against their rows; damaged ones are named and passed over from now on. */
const readWhole = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, waiting: ReadonlyArray<Waiting>) {
  const positions = waiting.map(({ from }) => ({ segment: from.segment, offset: from.offset, length: from.lengthBytes }))
  // One by one where that fails, so that one bad record fails alone, and is named.
  const all = yield* Effect.catch(rooms.wal.readMany(positions), () => Effect.succeed(undefined))
  const whole: Array<Whole> = []
  for (const [index, one] of waiting.entries()) {
    const sealed: Uint8Array | WalError = all?.[index] ?? (yield* Effect.catch(rooms.wal.read(positions[index]!), (error) => Effect.succeed(error)))
    if (sealed instanceof Uint8Array && equalBytes(hashBytes(sealed), fromHex(one.row.sealedHash))) {
      whole.push({ ...one, sealed })
      continue
    }
    probe("settle.damagedChunkPassed")
    const why = sealed instanceof Uint8Array ? "its bytes have not the hash of its row" : yield* whyDamaged(sealed)
    if (progress.skipped.size >= settleSkippedMax) {
      return yield* new Unavailable({ reason: "LostChunks", detail: `more than ${settleSkippedMax} chunks of the journal are damaged` })
    }
    progress.skipped.set(nameOf(one.from), { id: one.row.id, lengthBytes: one.from.lengthBytes })
    yield* Effect.logError(`chunk ${one.row.id} is damaged in the journal at ${one.from.segment}:${one.from.offset}: ${why}`)
  }
  return whole
})

/** Damage stays; a disk that fails may work the next time. */
const whyDamaged = (error: WalError): Effect.Effect<string, Unavailable> => {
  switch (error.reason) {
    case "Damaged": case "NotHere": case "Missing": case "Unknown":
      return Effect.succeed(error.message)
    case "Lost": case "EpochMoved": case "Failed": case "Closed": case "TooLarge": case "Misused": case "Disk":
      return Effect.fail(new Unavailable({ reason: "JournalFailed", detail: error.message }))
    default:
      return unreachable(error.reason)
  }
}

/**
 * The journal may go up to the first chunk that only it has, and no further than the first pin. All three places are
 * taken in one step, so that nothing slips in between: what is appended later lies behind the head.
 */
const letGo = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  yield* enter(rooms, progress, "Releasing")
  const keepFrom = keepFromOf(rooms)
  yield* Effect.mapError(rooms.wal.release("ingest", keepFrom), (error) =>
    new Unavailable({ reason: "JournalFailed", detail: error.message }))
  progress.released = keepFrom.segment
  yield* enter(rooms, progress, "Idle")
})

const keepFromOf = ({ wal, namespace, pins }: Rooms): WalPlace => {
  const journaled = namespace.journaled(1)[0]?.copies.find(({ place }) => place._tag === "Journal")?.place
  const places: Array<WalPlace> = [wal.head()]
  if (journaled?._tag === "Journal") places.push(journaled)
  const pinned = pins.oldest()
  if (pinned !== undefined) {
    probe("settle.journalPinned")
    places.push(pinned)
  }
  const keepFrom = places.reduce((least, place) => comparePlaces(place, least) < 0 ? place : least)
  assert(places.every((place) => comparePlaces(keepFrom, place) <= 0), "the journal is kept from the lowest place")
  return keepFrom
}

/** Parts of uploads that were completed or aborted, until none is left. */
const dropParts = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  const uploads = rooms.namespace.endedUploads(dropPartsPerCommitMax)
  if (uploads.length > 0) yield* enter(rooms, progress, "DroppingParts")
  for (const upload of uploads) yield* dropPartsOf(rooms.namespace, upload)
})

/** A few a commit. */
export const dropPartsOf = Effect.fnUntraced(function*(namespace: NamespaceService, upload: UploadId) {
  for (;;) {
    const { answer } = yield* Effect.catchTag(namespace.propose({ _tag: "DropParts", upload, limit: dropPartsPerCommitMax }), "Refused", neverRefused)
    if (answer._tag !== "Dropped" || !answer.remaining) return
  }
})

/**
 * Blocks that no commit names: a crash came between their writing and their commit. Only after a recovery that accepted
 * everything it found: what it kept and did not accept may name one of them (R4).
 */
const removeUnnamed = Effect.fnUntraced(function*(rooms: Rooms) {
  const unnamed = Effect.map(rooms.blocks.list, (blocks) => blocks.filter((block) => rooms.namespace.block(block) === undefined))
  yield* Effect.gen(function*() {
    const blocks = yield* unnamed
    if (blocks.length === 0) return
    probe(rooms.wal.status().tornTail === undefined ? "settle.unnamedBlocksRemoved" : "settle.unnamedBlocksKept")
    if (rooms.wal.status().tornTail !== undefined) {
      yield* Effect.logInfo(`${blocks.length} blocks that no commit names stay until a start without a torn tail`)
      return
    }
    yield* Effect.forEach(blocks, rooms.blocks.remove, { discard: true })
    yield* Effect.logInfo(`${blocks.length} blocks that no commit names were removed`)
  }).pipe(Effect.catch((error) => Effect.logWarning(`blocks that no commit names could not be removed: ${error.message}`)))
})
