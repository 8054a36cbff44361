/** Scrub: everything at rest read again and again in the background, so that damage is known before it is needed. */
import { Cause, Clock, Context, Effect, Layer, Semaphore } from "effect"
import { Allowances, type AllowancesService } from "./allowance.ts"
import { degraded, sound } from "./base/HealthBoard.ts"
import type { BlockId, ChunkId, VaultId } from "./base/ids.ts"
import {
  damagedChunksMax, scrubBusyMs, scrubBusyTurnsMax, scrubBytesPerSecondDefault, scrubDaysDefault, scrubFindingsMax, scrubIdleMs, scrubLateShare,
  scrubPlaceMs, scrubRetryMs, scrubStartMs, verifyRowsBetweenYields
} from "./base/limits.ts"
import type { Counter } from "./base/Meters.ts"
import { probe } from "./base/probes.ts"
import { Blocks, type BlocksService } from "./block/BlockService.ts"
import { checkpointFinding, examineBlock, type Finding, journalFinding } from "./damage.ts"
import { Fetch, type FetchService } from "./fetch.ts"
import type { BlockArrival } from "./namespace/Model.ts"
import { Namespace, type NamespaceService } from "./namespace/Namespace.ts"
import { blocksNamed, chunkKnown, chunksKnown, journaledAt } from "./namespace/QueryCensus.ts"
import { State, type StateService } from "./namespace/State.ts"
import { Disk, type DiskService } from "./ports/Disk.ts"
import { Health, watched } from "./ports/Health.ts"
import { Metrics } from "./ports/Metrics.ts"
import { readScrubbed, type Scrubbed, type ScrubPlace, type Standing, writeScrubbed } from "./scrubbed.ts"
import { Wal, type WalInterface } from "./wal/WalService.ts"

export interface ScrubStatus {
  readonly pass: number
  readonly startedMs: number | undefined
  /** Of the last pass that ended, where it is the newest. */
  readonly finishedMs: number | undefined
  /** Read in this pass, and what it has to read about. */
  readonly bytes: number
  readonly bytesTotal: number
  readonly bytesPerSecond: number
  readonly findings: ReadonlyArray<Scrubbed>
  /** Findings beyond those remembered. */
  readonly findingsMore: number
  /** Of which this run met a damaged copy: by scrub, by a read, or by verification. */
  readonly damagedChunks: number
  readonly lastError: string | undefined
}

export interface ScrubService {
  /** Reads everything now, as fast as it goes. */
  readonly passNow: Effect.Effect<void>
  readonly status: () => ScrubStatus
}

export interface ScrubOptions {
  /** At least this fast while there is something to read. */
  readonly bytesPerSecond?: number
  /** A pass over the whole store begins, and ends, within so many days. 0: no scrub. */
  readonly days?: number
  readonly startMs?: number
}

interface Rooms {
  readonly vault: VaultId
  readonly disk: DiskService
  readonly state: StateService
  readonly namespace: NamespaceService
  readonly blocks: BlocksService
  readonly wal: WalInterface
  readonly fetch: FetchService
  readonly allowances: AllowancesService
  readonly bytesPerSecond: number
  readonly passMs: number
  readonly read: Counter
}

interface Progress {
  place: ScrubPlace | undefined
  readonly standing: Map<string, Standing>
  findingsMore: number
  bytesTotal: number
  bytesPerSecond: number
  lastError: string | undefined
  /** The file is older than what is known; it was written at `keptMs` of the monotonic clock. */
  isDirty: boolean
  keptMs: number
}

const dayMs = 24 * 3_600_000

export class Scrub extends Context.Service<Scrub, ScrubService>()("ouroborosdb/Scrub") {
  /** Scrubs in the background until the scope closes. */
  static readonly layer = (
    vault: VaultId, options: ScrubOptions = {}
  ): Layer.Layer<Scrub, never, Disk | State | Namespace | Blocks | Wal | Fetch | Allowances> =>
    Layer.effect(Scrub, Effect.gen(function*() {
      const meters = yield* Metrics
      const days = options.days ?? scrubDaysDefault
      const rooms: Rooms = {
        vault, disk: yield* Disk, state: yield* State, namespace: yield* Namespace, blocks: yield* Blocks, wal: yield* Wal, fetch: yield* Fetch,
        allowances: yield* Allowances, bytesPerSecond: options.bytesPerSecond ?? scrubBytesPerSecondDefault, passMs: (days === 0 ? scrubDaysDefault : days) * dayMs,
        read: meters.counter("ouroboros_scrub_read_bytes_total", "Bytes that scrub has read since the start.")
      }
      const progress: Progress = {
        place: undefined, standing: new Map(), findingsMore: 0, bytesTotal: 0, bytesPerSecond: 0, lastError: undefined, isDirty: false, keptMs: 0
      }
      meters.gauge("ouroboros_scrub_findings", "Damaged files and places that scrub knows of.", () => progress.standing.size + progress.findingsMore)
      meters.gauge("ouroboros_damaged_chunks", "Chunks of which reads, scrub or verification met a damaged copy.", () => rooms.fetch.damaged().size)
      meters.gauge("ouroboros_scrub_progress_ratio", "How much of this pass over the store is done.", () => doneOf(progress))
      meters.gauge("ouroboros_scrub_pass_finished_timestamp_seconds", "When a pass over the whole store last ended.",
        () => progress.place?.finishedMs === undefined ? undefined : progress.place.finishedMs / 1000)
      const board = yield* Health
      board.check("scrub", () => soundnessOf(progress.standing.size + progress.findingsMore, rooms.fetch.damaged().size))
      const turn = Semaphore.makeUnsafe(1)
      if (days > 0) yield* Effect.forkScoped(watched("scrubbing", loop(rooms, progress, turn, options.startMs ?? scrubStartMs)))
      return {
        passNow: turn.withPermit(Effect.gen(function*() {
          yield* recall(rooms, progress)
          yield* dropHealed(rooms, progress)
          yield* beginPass(rooms, progress)
          yield* runPass({ ...rooms, bytesPerSecond: Number.POSITIVE_INFINITY }, progress)
          // What hindered the pass in the background has not hindered this one.
          progress.lastError = undefined
        })),
        status: () => statusOf(rooms, progress)
      }
    }))
}

const doneOf = ({ bytesTotal, place }: Progress): number =>
  place === undefined ? 0 : place.finishedMs !== undefined ? 1 : bytesTotal === 0 ? 0 : Math.min(1, place.bytes / bytesTotal)

/** Scrub may come to a file weeks after a read or a verification met its damage. */
const soundnessOf = (findings: number, chunks: number) => {
  if (findings > 0) return degraded(`${findings} damaged files or places are known: ouroboros verify names the objects`)
  return chunks === 0 ? sound("no damage is known") : degraded(`${chunks} damaged ${chunks === 1 ? "chunk was" : "chunks were"} read: ouroboros verify names the objects`)
}

const statusOf = ({ fetch }: Rooms, progress: Progress): ScrubStatus => {
  const { bytesPerSecond, bytesTotal, findingsMore, lastError, place, standing } = progress
  return {
    pass: place?.pass ?? 0, startedMs: place?.startedMs, finishedMs: place?.finishedMs, bytes: place?.bytes ?? 0, bytesTotal, bytesPerSecond,
    findings: [...standing.values()], findingsMore, damagedChunks: fetch.damaged().size, lastError
  }
}

/** Errors and damaged indexes are told and tried again; nothing here stops the node. */
const loop = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, turn: Semaphore.Semaphore, startMs: number) {
  yield* Effect.addFinalizer(() => remember(rooms, progress))
  yield* Effect.sleep(startMs)
  for (;;) {
    const exit = yield* Effect.exit(turn.withPermit(Effect.andThen(recall(rooms, progress), scrubDue(rooms, progress))))
    if (exit._tag === "Success") {
      progress.lastError = undefined
      yield* Effect.sleep(scrubIdleMs)
      continue
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return yield* exit
    progress.lastError = Cause.pretty(exit.cause).split("\n", 1)[0]
    yield* Effect.logWarning(`scrub failed, again in ${scrubRetryMs} ms: ${progress.lastError}`)
    yield* Effect.sleep(scrubRetryMs)
  }
})

/** What the run before left, once; its findings are looked at again, which tells fetch of their chunks. */
const recall = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  if (progress.place !== undefined) return
  const { findings, place } = yield* readScrubbed(rooms.disk)
  const nowMs = yield* Clock.currentTimeMillis
  progress.place = place ?? { pass: 0, startedMs: nowMs, after: undefined, bytes: 0, finishedMs: nowMs - rooms.passMs }
  for (const finding of findings) progress.standing.set(finding.where, { ...finding, chunks: [] })
  yield* lookAgain(rooms, progress)
})

/** One look at what is due: the pass under way, or the next one. */
const scrubDue = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  yield* dropHealed(rooms, progress)
  const nowMs = yield* Clock.currentTimeMillis
  const place = progress.place!
  // A clock that went back: time begins again now.
  if (place.startedMs > nowMs) probe("scrub.clockWentBack")
  if (place.startedMs > nowMs) progress.place = { ...place, startedMs: nowMs }
  const isDue = place.finishedMs !== undefined && (place.pass === 0 || nowMs - place.startedMs >= rooms.passMs)
  if (isDue) yield* beginPass(rooms, progress)
  if (progress.place!.finishedMs === undefined) yield* runPass(rooms, progress)
  yield* remember(rooms, progress)
})

const beginPass = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  const startedMs = yield* Clock.currentTimeMillis
  progress.place = { pass: progress.place!.pass + 1, startedMs, after: undefined, bytes: 0, finishedMs: undefined }
  progress.isDirty = true
  progress.findingsMore = 0
  yield* lookAgain(rooms, progress)
})

const runPass = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  yield* measure(rooms, progress)
  for (;;) {
    const named = first(blocksNamed(rooms.state.reader, progress.place!.after))
    if (named === undefined) break
    yield* courtesy(rooms, progress)
    const examined = yield* pacing(rooms, progress, named.sizeBytes, scrubBlock(rooms, progress, named))
    progress.place = { ...progress.place!, after: named.block }
    if (examined || (yield* nowMs) - progress.keptMs >= scrubPlaceMs) yield* remember(rooms, progress)
  }
  for (const { path, sizeBytes } of rooms.state.inspection.checkpoints()) {
    yield* pacing(rooms, progress, sizeBytes, scrubCheckpoint(rooms, progress, path))
  }
  yield* scrubJournal(rooms, progress)
  const finishedMs = yield* Clock.currentTimeMillis
  progress.place = { ...progress.place!, finishedMs }
  probe("scrub.passEnded")
  progress.isDirty = true
  progress.bytesPerSecond = 0
  if (progress.standing.size > 0) yield* Effect.logError(`scrub: pass ${progress.place.pass} over the store ended with ${progress.standing.size} findings`)
})

const first = (rows: Iterable<BlockArrival>): BlockArrival | undefined => {
  for (const row of rows) return row
  return undefined
}

/** What this pass has to read, with what it has read. */
const measure = Effect.fnUntraced(function*({ state, wal }: Rooms, progress: Progress) {
  let bytes = progress.place!.bytes + wal.status().bytes
  for (const { sizeBytes } of state.inspection.checkpoints()) bytes += sizeBytes
  let since = 0
  for (const { sizeBytes } of blocksNamed(state.reader, progress.place!.after)) {
    bytes += sizeBytes
    since += 1
    if (since % verifyRowsBetweenYields === 0) yield* Effect.yieldNow
  }
  progress.bytesTotal = bytes
})

/** As fast as was asked for, or as the deadline needs; but where that is past, so that a share of the pass's time is enough. */
export const rateOf = (bytesPerSecond: number, passMs: number, elapsedMs: number, leftBytes: number, bytesTotal: number): number => {
  const leftMs = Math.max(passMs - Math.max(0, elapsedMs), 1)
  const needed = Math.min((leftBytes * 1000) / leftMs, (bytesTotal * 1000) / (passMs * scrubLateShare))
  return Math.max(bytesPerSecond, needed)
}

/** Takes as long as so many bytes should take, the work included. */
const pacing = Effect.fnUntraced(function*<A>(rooms: Rooms, progress: Progress, bytes: number, work: Effect.Effect<A>) {
  const { bytes: bytesBefore, startedMs } = progress.place!
  const leftBytes = Math.max(bytes, progress.bytesTotal - bytesBefore)
  const elapsedMs = (yield* Clock.currentTimeMillis) - startedMs
  progress.bytesPerSecond = rateOf(rooms.bytesPerSecond, rooms.passMs, elapsedMs, leftBytes, progress.bytesTotal)
  const began = yield* Clock.monotonicTimeNanos
  const result = yield* work
  rooms.read.add(bytes)
  progress.place = { ...progress.place!, bytes: progress.place!.bytes + bytes }
  // The store grows while it is read.
  progress.bytesTotal = Math.max(progress.bytesTotal, progress.place.bytes)
  progress.isDirty = true
  if (progress.bytesPerSecond === Number.POSITIVE_INFINITY) return result
  const tookMs = Number((yield* Clock.monotonicTimeNanos) - began) / 1_000_000
  yield* Effect.sleep(Math.max(1, Math.ceil((bytes * 1000) / progress.bytesPerSecond - tookMs)))
  return result
})

/** Clients go first, for a while; a pass that is late does not wait. */
const courtesy = Effect.fnUntraced(function*({ allowances, bytesPerSecond, wal }: Rooms, progress: Progress) {
  for (let turn = 0; turn < scrubBusyTurnsMax && progress.bytesPerSecond <= bytesPerSecond && bytesPerSecond < Number.POSITIVE_INFINITY; turn++) {
    if (allowances.requests.status().used === 0 && wal.status().queuedBytes === 0) return
    yield* Effect.sleep(scrubBusyMs)
  }
})

/** True where something of it is known that was not, or no more. */
const scrubBlock = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress, named: BlockArrival) {
  const { block } = named
  const examined = yield* examineBlock(rooms, named)
  const where = `block ${block}`
  const isKnown = progress.standing.has(where)
  const finding = examined?.findings[0]
  // What a read met there is put right, from a copy of the folder, say.
  if (examined !== undefined && finding === undefined) rooms.fetch.healed([...rooms.fetch.damaged()].filter((id) => isIn(rooms, id, block)))
  if (examined === undefined || finding === undefined) return progress.standing.delete(where)
  const hurt = new Set((examined.inspected?.damages ?? []).flatMap(({ chunk }) => chunk ?? []))
  const isWhole = hurt.size === 0
  const chunks = isWhole ? yield* chunksIn(rooms, block) : [...hurt].filter((id) => isIn(rooms, id, block))
  // What no row seeks there any more harms nobody.
  if (chunks.length === 0) return progress.standing.delete(where)
  rooms.fetch.noteDamaged(chunks)
  yield* stand(progress, finding, chunks, block)
  return !isKnown
})

const isIn = ({ state, vault }: Rooms, id: ChunkId, block: BlockId): boolean =>
  chunkKnown(state.reader, vault, id)?.copies.some(({ place }) => place._tag === "Block" && place.block === block) === true

/** Chunks that rows seek in a block, as many as fetch remembers. */
const chunksIn = Effect.fnUntraced(function*({ state, vault }: Rooms, block: BlockId) {
  const found: Array<ChunkId> = []
  let since = 0
  for (const { copies, id } of chunksKnown(state.reader, vault)) {
    if (copies.some(({ place }) => place._tag === "Block" && place.block === block)) found.push(id)
    if (found.length >= damagedChunksMax) break
    since += 1
    if (since % verifyRowsBetweenYields === 0) yield* Effect.yieldNow
  }
  return found
})

const stand = Effect.fnUntraced(function*(progress: Progress, finding: Finding, chunks: ReadonlyArray<ChunkId>, block?: BlockId) {
  const known = progress.standing.get(finding.where)
  if (known === undefined && progress.standing.size >= scrubFindingsMax) {
    progress.findingsMore += 1
    return
  }
  probe("scrub.finding")
  const sinceMs = known?.sinceMs ?? (yield* Clock.currentTimeMillis)
  const { kind, what, where } = finding
  progress.standing.set(where, { kind, where, what, sinceMs, chunks, ...(block === undefined ? {} : { block }) })
  progress.isDirty = true
  if (known === undefined) yield* Effect.logError(`scrub: ${kind.toLowerCase()}: ${where}: ${what}; ${chunks.length} chunks`)
})

const scrubCheckpoint = Effect.fnUntraced(function*({ state }: Rooms, progress: Progress, path: string) {
  const error = yield* state.inspection.checkpoint(path)
  if (error === undefined) progress.standing.delete(path)
  else yield* stand(progress, checkpointFinding(path, error), [])
})

const scrubJournal = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  const before = [...progress.standing.keys()].filter((where) => where.startsWith("journal "))
  const seen = new Set<string>()
  yield* rooms.wal.inspect(Effect.fnUntraced(function*({ bytes, faults }) {
    yield* pacing(rooms, progress, bytes, Effect.forEach(faults, (fault) => {
      const finding = journalFinding(fault)
      seen.add(finding.where)
      const chunk = fault.isChunk ? journaledAt(rooms.state.reader, fault.segment, fault.offset) : undefined
      if (chunk !== undefined) rooms.fetch.noteDamaged([chunk])
      return stand(progress, finding, chunk === undefined ? [] : [chunk])
    }, { discard: true }))
  }))
  for (const where of before) if (!seen.has(where)) progress.standing.delete(where)
})

/** Blocks that had findings are read again: what is healed or gone leaves, and fetch hears of the rest. */
const lookAgain = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  for (const { block, where } of progress.standing.values()) {
    if (block === undefined) continue
    const named = rooms.namespace.block(block)
    if (named === undefined) progress.standing.delete(where)
    else yield* scrubBlock(rooms, progress, { ...named, block })
  }
})

/** Without reading anything: the block is gone, or no row seeks the harmed chunks there any more; a checkpoint is gone. */
const dropHealed = Effect.fnUntraced(function*(rooms: Rooms, progress: Progress) {
  const kept = new Set(rooms.state.inspection.checkpoints().map(({ path }) => path))
  for (const [where, { block, chunks }] of progress.standing) {
    const isHealed = block === undefined
      ? where.startsWith("checkpoints/") && !kept.has(where)
      : rooms.namespace.block(block) === undefined || (chunks.length > 0 && chunks.length < damagedChunksMax && !chunks.some((id) => isIn(rooms, id, block)))
    if (!isHealed) continue
    progress.standing.delete(where)
    progress.isDirty = true
    yield* Effect.logInfo(`scrub: ${where} harms nobody any more`)
  }
  rooms.fetch.healed([...rooms.fetch.damaged()].filter((id) => chunkKnown(rooms.state.reader, rooms.vault, id) === undefined))
})

const nowMs = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Writes the file; a disk that refuses it loses a place, no more. */
const remember = Effect.fnUntraced(function*({ disk }: Rooms, progress: Progress) {
  if (!progress.isDirty || progress.place === undefined) return
  progress.isDirty = false
  progress.keptMs = yield* nowMs
  yield* writeScrubbed(disk, { place: progress.place, findings: [...progress.standing.values()] }).pipe(
    Effect.catch((error) => Effect.logWarning(`scrub cannot note how far it is: ${error.message}`))
  )
})
