/**
 * Recovery's I/O: surveys the folder, scans the last segment, syncs again what is accepted; replays what was found.
 * Between the Disk port and the decisions of WalRecovery.ts and WalScan.ts. No byte on the disk is changed.
 */
import { Effect } from "effect"
import { copyOf } from "../base/bytes.ts"
import type { RestartId, StoreId } from "../base/ids.ts"
import { probe } from "../base/probes.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import type { WalFiles } from "./WalFilesService.ts"
import { WalDamaged, WalError } from "./WalError.ts"
import { decodeBatchBody, decodeBatchHeader, decodeSegmentHeader, segmentHeaderBytes, segmentOfName } from "./WalFormat.ts"
import type { BatchLink, RecordKind, WalPlace, WalPosition } from "./WalRecord.ts"
import { comparePlaces, noLink, placeAfter } from "./WalRecord.ts"
import type { LogPlan, LogSegment, SurveyedSegment } from "./WalRecovery.ts"
import { planLog } from "./WalRecovery.ts"
import type { AcceptedBatch, ScanCommand } from "./WalScan.ts"
import { startScan, stepScan } from "./WalScan.ts"

/** Bytes behind the last batch that was accepted: kept as they are, never acknowledged as far as anyone can tell. */
export interface TornTail extends WalPlace {
  readonly bytes: number
  readonly why: string
}

export interface RecoveredLog {
  readonly plan: LogPlan
  /** The last batch accepted. */
  readonly last: BatchLink
  readonly end: WalPlace
  readonly tornTail: TornTail | undefined
  /** Raft's records of the torn tail, in order, as far as its headers are whole. */
  readonly doubtful: ReadonlyArray<DoubtfulRecord>
}

/**
 * Of the last batch, which is not whole and which nothing proves: it was cut short by a crash, or has rotted since. Whoever
 * writes only what may come true at any time can take it as having come true.
 */
export interface DoubtfulRecord {
  /** Undefined: it is not what was written. */
  readonly payload: Uint8Array | undefined
}

export interface ReplayedRecord {
  readonly kind: RecordKind
  readonly position: WalPosition
  readonly payload: Uint8Array
}

/** Recovery's steps under the names of tla/wal, as they are taken: for traces. Nobody need listen. */
export type RecoveryEvent =
  | { readonly _tag: "Survey"; readonly restartId: RestartId; readonly plan: LogPlan }
  | { readonly _tag: "Accept"; readonly link: BatchLink }
  | { readonly _tag: "End"; readonly link: BatchLink; readonly end: WalPlace }
  | { readonly _tag: "TornTail"; readonly link: BatchLink; readonly end: WalPlace }
  | { readonly _tag: "Rewrite"; readonly segment: number }
  | { readonly _tag: "Resynced"; readonly segment: number }

export type RecoveryObserver = (event: RecoveryEvent) => void

const diskFailed = (segment: number, offset: number) => (error: DiskError): WalError =>
  new WalError({ reason: "Disk", segment, offset, detail: error.message })

export const survey = Effect.fnUntraced(function*(files: WalFiles, segment: number) {
  const { bytes, sizeBytes } = yield* files.reading(segment, (file) =>
    Effect.all({ bytes: file.read(0, segmentHeaderBytes), sizeBytes: file.size })
  ).pipe(Effect.mapError(diskFailed(segment, 0)))
  const header = decodeSegmentHeader(bytes)
  if (header._tag === "Unknown") return yield* new WalError({ reason: "Unknown", segment, offset: 0, detail: header.why })
  const surveyed: SurveyedSegment = { segment, sizeBytes, header: header._tag === "Ok" ? header.value : undefined }
  return surveyed
})

type ScanEnd = Extract<ScanCommand, { readonly _tag: "End" | "TornTail" }>

/** Walks a segment; `visit` gets every accepted batch in order. Ends with End or TornTail, or fails. */
export const scanSegment = Effect.fnUntraced(function*<E>(
  files: WalFiles,
  segment: LogSegment,
  visit: (batch: AcceptedBatch) => Effect.Effect<void, E>
) {
  const number = segment.header.segment
  let [state, commands] = startScan(segment.header, segment.proven)
  for (;;) {
    let ask: Extract<ScanCommand, { readonly _tag: "Read" }> | undefined
    for (const command of commands) {
      switch (command._tag) {
        case "Accept":
          yield* visit(command.batch)
          break
        case "Read":
          ask = command
          break
        case "Damaged":
          return yield* new WalDamaged({ segment: number, offset: command.offset, batch: command.batch, detail: command.why })
        case "Unknown":
          return yield* new WalError({ reason: "Unknown", segment: number, offset: command.offset, detail: command.why })
        default:
          return [state.link, command] as readonly [BatchLink, ScanEnd]
      }
    }
    const { offset, length } = ask!
    const bytes = yield* files.reading(number, (file: DiskFile) => file.read(offset, length)).pipe(
      Effect.mapError(diskFailed(number, offset))
    )
    ;[state, commands] = stepScan(state, { offset, length, bytes })
  }
})

const visitNothing = (): Effect.Effect<void> => Effect.void

/** What a recovery works on, and for whom. */
export interface RecoveryOptions {
  readonly disk: DiskService
  readonly files: WalFiles
  readonly folder: string
  readonly storeId: StoreId
  readonly restartId: RestartId
  readonly observe: RecoveryObserver | undefined
}

/** Decides what the folder holds and makes sure that what is accepted is durable. */
export const recoverLog = Effect.fn("Wal.recover")(function*(options: RecoveryOptions) {
  const { disk, files, folder, observe, restartId, storeId } = options
  const names = yield* disk.list(folder).pipe(Effect.mapError(diskFailed(0, 0)))
  const numbers = names.flatMap((name) => segmentOfName(name) ?? []).sort((a, b) => a - b)
  const surveyed = yield* Effect.forEach(numbers, (segment) => survey(files, segment))
  const decision = planLog(surveyed, storeId)
  if (decision._tag === "Damaged") {
    const { segment, offset, why } = decision
    return yield* new WalDamaged({ segment, offset, batch: 0, detail: why })
  }
  const { plan } = decision
  observe?.({ _tag: "Survey", restartId, plan })
  const lastSegment = plan.log.at(-1)
  const none: RecoveredLog = { plan, last: noLink, end: placeAfter(noLink), tornTail: undefined, doubtful: [] }
  if (plan.leftovers.length > 0) probe("recovery.leftoverSegments")
  if (plan.epochMax > 1) probe("recovery.laterEpoch")
  if (lastSegment === undefined) return none
  const number = lastSegment.header.segment
  const [last, ended] = yield* scanTwice(files, lastSegment, observe)
  const tornTail: TornTail | undefined = ended._tag === "End" ? undefined :
    { segment: number, offset: ended.offset, bytes: lastSegment.sizeBytes - ended.offset, why: ended.why }
  yield* makeDurable(options, number, last.segment === number ? last : undefined).pipe(Effect.mapError(diskFailed(number, 0)))
  if (tornTail !== undefined) {
    probe("recovery.tornTail")
    const { offset, bytes, why } = tornTail
    yield* Effect.logWarning(`journal: ${bytes} bytes behind ${number}:${offset} were not accepted and stay there: ${why}`)
  }
  if (last.segment !== number) probe("recovery.emptyLastSegment")
  const end = last.segment === number ? placeAfter(last) : { segment: number, offset: segmentHeaderBytes }
  const recovered: RecoveredLog = { plan, last, end, tornTail, doubtful: ended._tag === "End" ? [] : doubtfulOf(ended.batch) }
  return recovered
})

const doubtfulOf = (batch: AcceptedBatch | undefined): ReadonlyArray<DoubtfulRecord> =>
  (batch?.records ?? []).flatMap(({ kind, payload, whole }) => kind === "Raft" ? [{ payload: whole ? copyOf(payload) : undefined }] : [])

/** A tail that is given up is worth a second look: a single misread is no torn tail. What was seen last is told. */
const scanTwice = Effect.fnUntraced(function*(files: WalFiles, segment: LogSegment, observe: RecoveryObserver | undefined) {
  const seen: Array<BatchLink> = []
  const visit = observe === undefined ? visitNothing : (batch: AcceptedBatch) => Effect.sync(() => void seen.push(batch.link))
  let scanned = yield* scanSegment(files, segment, visit)
  if (scanned[1]._tag !== "End") {
    seen.length = 0
    scanned = yield* scanSegment(files, segment, visit)
    if (scanned[1]._tag === "End") probe("recovery.secondLookSawMore")
  }
  for (const link of seen) observe?.({ _tag: "Accept", link })
  const [link, { _tag }] = scanned
  const number = segment.header.segment
  observe?.({ _tag, link, end: link.segment === number ? placeAfter(link) : { segment: number, offset: segmentHeaderBytes } })
  return scanned
})

/**
 * What was read may be in the page cache alone, and marked clean there if its sync failed in the run before: the last
 * batch, the only one that nothing proves, is written again as it is, and synced. Overwriting a sector with its own
 * bytes leaves them whatever happens (powersafe overwrite, as SQLite assumes).
 */
const makeDurable = (
  { disk, files, observe, storeId }: RecoveryOptions, segment: number, last: BatchLink | undefined
): Effect.Effect<void, DiskError> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* disk.open(files.path(segment), "write")
    observe?.({ _tag: "Rewrite", segment })
    if (last !== undefined) {
      const bytes = yield* file.read(last.offset, last.length)
      // A last batch with a rotten chunk was accepted because a later, torn one proves it: it is durable already.
      if (!isWholeBatch(last, bytes, storeId)) probe("recovery.lastBatchRotten")
      else yield* file.write(last.offset, [bytes])
    }
    yield* file.sync
    observe?.({ _tag: "Resynced", segment })
  }))

const isWholeBatch = (link: BatchLink, bytes: Uint8Array, storeId: StoreId): boolean => {
  const header = decodeBatchHeader(bytes, { storeId, segment: link.segment, offset: link.offset })
  if (header._tag !== "Ok" || header.value.link.hash !== link.hash || bytes.length !== link.length) return false
  const body = decodeBatchBody(header.value, bytes)
  return body._tag === "Ok" && body.value.whole
}

/**
 * Visits the accepted records at or behind `from`, in order. A rotten chunk or Raft record goes to `onDamaged`, in its
 * turn; a rotten commit, or any other damage in proven batches, fails with WalDamaged.
 */
export const replayLog = Effect.fn("Wal.replay")(function*<E, E2>(
  files: WalFiles,
  log: RecoveredLog,
  from: WalPlace | undefined,
  visit: (record: ReplayedRecord) => Effect.Effect<void, E>,
  onDamaged: ((position: WalPosition, kind: RecordKind) => Effect.Effect<void, E2>) | undefined
) {
  for (const segment of log.plan.log) {
    const number = segment.header.segment
    if (from !== undefined && number < from.segment) continue
    // An empty last segment proves its predecessor and holds nothing.
    if (segment.proven === undefined && log.last.segment !== number) continue
    yield* scanSegment(files, { ...segment, proven: segment.proven ?? log.last }, Effect.fnUntraced(function*(batch) {
      for (const { kind, offset, payload, whole } of batch.records) {
        const position = { segment: number, offset, length: payload.length }
        if (from !== undefined && comparePlaces(position, from) < 0) continue
        if (whole) yield* visit({ kind, position, payload })
        else if (onDamaged !== undefined) {
          if (kind === "Chunk") probe("recovery.rottenChunkPassed")
          yield* onDamaged(position, kind)
        } else return yield* new WalDamaged({ segment: number, offset, batch: batch.link.batch, detail: kind === "Chunk" ? "a chunk's bytes" : "a Raft record's bytes" })
      }
    }))
  }
})
