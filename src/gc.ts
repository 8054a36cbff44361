/**
 * Gc: deletion that frees space, as a service: history, versions, chunks and blocks that nobody needs go, in rounds in
 * the background and at once when asked. It sits between retention, which says what may no longer be read, and the rooms.
 *
 * One round: 0 what a store of format 1 did not record; 1 purge versions and history behind the horizon (purge.ts);
 * 2 end uploads that nobody goes on with, 3 free condemned chunks (free.ts); 4 drop and compact blocks (compact.ts).
 * Every step is commits first, files after; it may stop anywhere, and the next round goes on. Time destroys nothing:
 * while the clocks disagree, steps 1 to 3 wait (R6).
 */
import { Cause, Context, Effect, Layer, Semaphore } from "effect"
import type { Sequence, VaultId } from "./base/ids.ts"
import { probe } from "./base/probes.ts"
import {
  blockSizeBytesTarget, chunksPerFreeMax, compactBelowDefault, compactBytesPerSecondDefault, gcChunksPerRoundMax, gcGraceMsDefault, gcIntervalMsDefault,
  gcRowsAtOnceMax, gcRowsPerRoundMax, settleBackoffMsMax, staleUploadMsDefault, walReserveBytes, sweepIntervalMs
} from "./base/limits.ts"
import { Blocks } from "./block/BlockService.ts"
import { type Compacting, compact, type CompactRooms, noCompacting } from "./compact.ts"
import { abortStale, dropEndedParts, free, freeableUntil, type Freeing, index, noFreeing } from "./free.ts"
import { Intents } from "./intents.ts"
import { leads, Namespace, Unavailable } from "./namespace/Namespace.ts"
import { blocksHeld, condemnedUntil, garbageTotals, isIndexed } from "./namespace/QueryGarbage.ts"
import { State } from "./namespace/State.ts"
import { Disk } from "./ports/Disk.ts"
import { Entropy } from "./ports/Entropy.ts"
import { watched } from "./ports/Health.ts"
import { dropCommits, noPurging, purge, type Purging } from "./purge.ts"
import { Retention, type RetentionService } from "./retention.ts"
import { Settle, type SettleService } from "./settle.ts"
import { noSweeping, sweep, type Sweeping } from "./sweep.ts"
import { Wal, type WalInterface } from "./wal/WalService.ts"

export type GcPhase = "Idle" | "Indexing" | "Purging" | "Freeing" | "Dropping" | "Compacting"

/** What was let go. */
export interface GcFreed {
  readonly versions: number
  readonly historyRows: number
  readonly uploads: number
  readonly chunks: number
  /** Of sealed copies. */
  readonly chunkBytes: number
  readonly blocksDropped: number
  readonly blocksCompacted: number
  readonly blockBytesDropped: number
  readonly blockBytesRewritten: number
}

export interface GcStatus {
  readonly phase: GcPhase
  /** A store of format 1 is still being recorded: nothing is freed before that. */
  readonly indexed: boolean
  readonly condemnedChunks: number
  readonly condemnedBytes: number
  /** Bytes in blocks that are nobody's, as far as they are noted. */
  readonly deadBytes: number
  readonly reclaimableBytes: number
  readonly freed: GcFreed
  readonly damagedBlocks: ReadonlyArray<string>
  readonly lastError: string | undefined
}

/** One run to the end. */
export interface GcReport {
  readonly freed: GcFreed
  readonly remaining: Pick<GcStatus, "condemnedChunks" | "condemnedBytes" | "deadBytes" | "reclaimableBytes"> & {
    readonly waiting: ReadonlyArray<string>
    /** Sealed bytes that something names, or history keeps; and what blocks take on the disk for theirs. */
    readonly liveBytes: number
    readonly blockBytes: number
  }
}

export interface GcService {
  /** Everything that can go goes now, history first; without waiting for the grace time where `now`. */
  readonly run: (now: boolean) => Effect.Effect<GcReport, Unavailable>
  readonly status: () => GcStatus
  /** Why what is left is left, one sentence each. */
  readonly waiting: Effect.Effect<ReadonlyArray<string>>
}

export interface GcOptions {
  readonly vault: VaultId
  readonly intervalMs?: number
  readonly graceMs?: number
  /** 0: never. */
  readonly staleUploadMs?: number
  readonly compactBelow?: number
  readonly compactBytesPerSecond?: number
  readonly blockBytesTarget?: number
  readonly reserveBytes?: number
  readonly sweepMs?: number
  /** Rows that one step of purging looks at; few in tests. */
  readonly purgeRowsAtOnce?: number
  /** Called at every change of phase: traces, and tests that want to know what a crash fell into. */
  readonly observe?: (phase: GcPhase) => void
}

interface Rooms extends CompactRooms {
  readonly retention: RetentionService
  readonly settle: SettleService
  readonly graceMs: number
  readonly staleMs: number
  readonly sweepMs: number
  readonly wal: WalInterface
  readonly observe: (phase: GcPhase) => void
}

interface Progress {
  phase: GcPhase
  lastError: string | undefined
  readonly purging: Purging
  readonly freeing: Freeing
  readonly compacting: Compacting
  readonly sweeping: Sweeping
}

type Needed = Wal | Namespace | State | Blocks | Intents | Entropy | Disk | Retention | Settle

export class Gc extends Context.Service<Gc, GcService>()("ouroborosdb/Gc") {
  /** Collects in the background until the scope closes; what is left then the next start goes on with. */
  static readonly layer = (options: GcOptions): Layer.Layer<Gc, never, Needed> =>
    Layer.effect(Gc, Effect.gen(function*() {
      const rooms: Rooms = {
        namespace: yield* Namespace, reader: (yield* State).reader, blocks: yield* Blocks, intents: yield* Intents, entropy: yield* Entropy,
        disk: yield* Disk, retention: yield* Retention, settle: yield* Settle, vault: options.vault,
        graceMs: options.graceMs ?? gcGraceMsDefault, staleMs: options.staleUploadMs ?? staleUploadMsDefault, sweepMs: options.sweepMs ?? sweepIntervalMs, wal: yield* Wal,
        below: options.compactBelow ?? compactBelowDefault, bytesPerSecond: options.compactBytesPerSecond ?? compactBytesPerSecondDefault,
        blockBytesTarget: options.blockBytesTarget ?? blockSizeBytesTarget, reserveBytes: options.reserveBytes ?? walReserveBytes,
        rowsAtOnce: options.purgeRowsAtOnce ?? gcRowsAtOnceMax, observe: options.observe ?? (() => undefined)
      }
      const progress: Progress = { phase: "Idle", lastError: undefined, purging: noPurging(), freeing: noFreeing(), compacting: noCompacting(), sweeping: noSweeping() }
      // One at a time: the loop and whoever collects now.
      const turn = Semaphore.makeUnsafe(1)
      yield* Effect.forkScoped(watched("collection", loop(rooms, progress, turn, options.intervalMs ?? gcIntervalMsDefault)))
      return {
        run: (now) => turn.withPermit(Effect.ensuring(run(rooms, progress, now), enter(rooms, progress, "Idle"))),
        status: () => statusOf(rooms, progress),
        waiting: waitingOf(rooms, progress)
      }
    }))
}

const enter = (rooms: Rooms, progress: Progress, phase: GcPhase): Effect.Effect<void> =>
  Effect.sync(() => {
    progress.phase = phase
    rooms.observe(phase)
  })

/** Errors wait longer and longer: what is not collected now is collected later. */
const loop = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, turn: Semaphore.Semaphore, intervalMs: number) {
  let pauseMs = intervalMs
  for (;;) {
    yield* Effect.sleep(pauseMs)
    progress.sweeping.waitedMs += pauseMs
    const exit = yield* Effect.exit(turn.withPermit(round(rooms, progress)))
    yield* enter(rooms, progress, "Idle")
    if (exit._tag === "Success") {
      progress.lastError = undefined
      pauseMs = intervalMs
      continue
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* exit
    progress.lastError = Cause.pretty(exit.cause).split("\n", 1)[0]
    probe("gc.failed")
    pauseMs = Math.max(intervalMs, Math.min(2 * pauseMs, settleBackoffMsMax))
    yield* Effect.logWarning(`collection failed, again in ${pauseMs} ms: ${progress.lastError}`)
  }
})

/** What time may destroy waits while the clocks disagree; blocks are only moved. Who does not lead looks after his own files. */
const round = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  if (leads(rooms.namespace)) yield* collect(rooms, progress)
  if (progress.sweeping.waitedMs >= rooms.sweepMs) yield* sweepFiles(rooms, progress)
})

const collect = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  yield* enter(rooms, progress, "Indexing")
  if (!(yield* index(rooms, progress.freeing, gcChunksPerRoundMax))) return
  if (!(yield* rooms.retention.clockJumped)) {
    yield* letGo(rooms, progress, rooms.graceMs, false)
  }
  yield* compact(rooms, progress.compacting, false, observeIn(rooms, progress))
})

/** Not after a torn tail: what was not accepted may name one of them (R4). */
const sweepFiles = Effect.fnUntraced(function*(rooms: Rooms, { compacting, sweeping }: Progress) {
  sweeping.waitedMs = 0
  // What was damaged is looked at again as well: it may have been misread.
  compacting.damaged.clear()
  if (rooms.wal.status().tornTail !== undefined) return
  yield* Effect.catchTag(sweep(rooms, sweeping), "DiskError", (error) => Effect.fail(new Unavailable({ reason: "BlockFailed", detail: error.message })))
})

const observeIn = (rooms: Rooms, progress: Progress) => (phase: GcPhase): void => {
  progress.phase = phase
  rooms.observe(phase)
}

const letGo = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, graceMs: number, all: boolean) {
  const { freeing, purging } = progress
  yield* enter(rooms, progress, "Purging")
  yield* purge(rooms, purging, all ? Number.MAX_SAFE_INTEGER : gcRowsPerRoundMax)
  // Young commits keep their time, by which the age of what they condemned is told.
  yield* dropCommits(rooms, purging, yield* freeableUntil(rooms, rooms.graceMs), all)
  yield* enter(rooms, progress, "Freeing")
  if (rooms.staleMs > 0) yield* abortStale(rooms, freeing, rooms.staleMs)
  if (all) yield* dropEndedParts(rooms)
  yield* free(rooms, freeing, graceMs, all ? Number.MAX_SAFE_INTEGER : gcChunksPerRoundMax)
})

/** To the end: the journal and the checkpoints let go as well of what they kept. What was let go of at another member by now is garbage here, too. */
const run = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, now: boolean) {
  if (rooms.namespace.quorum !== undefined) yield* rooms.namespace.quorum.fence()
  const before = freedOf(progress)
  yield* enter(rooms, progress, "Indexing")
  yield* index(rooms, progress.freeing, Number.MAX_SAFE_INTEGER)
  yield* rooms.retention.raiseNow
  if (!(yield* rooms.retention.clockJumped)) yield* letGo(rooms, progress, now ? 0 : rooms.graceMs, true)
  // First what needs no room: a full disk may have none to seal in.
  yield* sweepFiles(rooms, progress)
  yield* compact(rooms, progress.compacting, true, observeIn(rooms, progress))
  yield* rooms.settle.settleNow
  // The journal is kept back to the older of two checkpoints.
  for (let times = 0; times < 2; times += 1) yield* rooms.namespace.checkpoint(true)
  yield* rooms.settle.settleNow
  const { condemnedBytes, condemnedChunks, deadBytes, reclaimableBytes } = statusOf(rooms, progress)
  const waiting = yield* waitingOf(rooms, progress)
  return { freed: less(freedOf(progress), before), remaining: { condemnedBytes, condemnedChunks, deadBytes, reclaimableBytes, waiting, ...heldBy(rooms) } }
})

const heldBy = ({ namespace, reader }: Rooms): { readonly liveBytes: number; readonly blockBytes: number } => {
  const { liveBytes, sizeBytes } = blocksHeld(reader)
  return { liveBytes: liveBytes + namespace.counts().journaledBytes - garbageTotals(reader).condemnedBytes, blockBytes: sizeBytes }
}

const freedOf = ({ compacting, freeing, purging }: Progress): GcFreed => ({
  versions: purging.versions, historyRows: purging.historyRows, uploads: freeing.uploads, chunks: freeing.chunks, chunkBytes: freeing.bytes,
  blocksDropped: compacting.blocksDropped, blocksCompacted: compacting.blocksCompacted, blockBytesDropped: compacting.bytesDropped,
  blockBytesRewritten: compacting.bytesRewritten
})

const less = (a: GcFreed, b: GcFreed): GcFreed => ({
  versions: a.versions - b.versions, historyRows: a.historyRows - b.historyRows, uploads: a.uploads - b.uploads, chunks: a.chunks - b.chunks,
  chunkBytes: a.chunkBytes - b.chunkBytes, blocksDropped: a.blocksDropped - b.blocksDropped, blocksCompacted: a.blocksCompacted - b.blocksCompacted,
  blockBytesDropped: a.blockBytesDropped - b.blockBytesDropped, blockBytesRewritten: a.blockBytesRewritten - b.blockBytesRewritten
})

const statusOf = (rooms: Rooms, progress: Progress): GcStatus => {
  const { condemnedBytes, condemnedChunks, deadBytes } = garbageTotals(rooms.reader)
  return {
    phase: progress.phase, indexed: isIndexed(rooms.reader), condemnedChunks, condemnedBytes, deadBytes,
    reclaimableBytes: condemnedBytes + deadBytes, freed: freedOf(progress), damagedBlocks: [...progress.compacting.damaged.keys()],
    lastError: progress.lastError
  }
}

const waitingOf = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  const { condemnedChunks } = garbageTotals(rooms.reader)
  const { namespace, reader, intents, vault } = rooms
  const waiting: Array<string> = []
  const { suspended } = rooms.retention.status()
  if (suspended !== undefined) waiting.push(`nothing is freed: ${suspended}`)
  if (!isIndexed(reader)) waiting.push("nothing is freed before every chunk of the store is recorded, which goes on by itself")
  const some = Math.min(condemnedChunks, chunksPerFreeMax)
  const fewer = (until: Sequence): boolean => condemnedUntil(reader, vault, until, some).length < some
  const open = intents.oldest()
  if (open !== undefined && fewer(open)) waiting.push(`chunks wait for ${intents.count()} transfers under way, the oldest since commit ${open}`)
  else if (fewer(yield* freeableUntil(rooms, rooms.graceMs))) waiting.push(`chunks wait for the grace time of ${rooms.graceMs / 1000} s; gc --now does not`)
  if (progress.purging.pass !== undefined) waiting.push("versions behind the horizon are still being looked through")
  if (namespace.oldestReadable() < namespace.lastChange()) waiting.push(`history is kept from commit ${namespace.oldestReadable()} on, by retention`)
  if (progress.compacting.waiting !== undefined) waiting.push(progress.compacting.waiting)
  if (progress.compacting.damaged.size > 0) waiting.push(`${progress.compacting.damaged.size} sparse blocks have damaged chunks and stay`)
  return waiting
})
