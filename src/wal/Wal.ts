/**
 * The journal's machine: plans where records go, orders writes and syncs, decides what is durable, lost or removable.
 * Between the callers' records and the pump that does the I/O (WalPumpService.ts). Pure; actions as in tla/wal/Wal.tla.
 *
 * 1. Batch n+1 is written only after n is synced, and carries n's link (R4).
 * 2. A ticket is acknowledged only after the sync of the batch that holds its last record; tickets in order.
 * 3. After a failed write or sync nothing more is written to that segment: every ticket not yet acknowledged is lost,
 *    the epoch rises, a new segment continues from the last batch that was synced.
 * 4. A position is handed out once, acknowledged or not; segment numbers only grow.
 * 5. A segment is removed only below every consumer's mark, oldest first, and never the one being written.
 * 6. An append with anything but chunks lies in one batch: where it is lost (3) nothing of it is there, so that what is said
 *    anew cannot contradict it.
 */
import { assert, unreachable } from "../base/assert.ts"
import type { Hash } from "../base/ids.ts"
import { walBatchBytesMax, walRecordBytesMax, walSegmentBytes } from "../base/limits.ts"
import { alignUp, batchHeaderBytes, closingBatchBytes, recordHeaderBytes, segmentHeaderBytes } from "./WalFormat.ts"
import type { BatchLink, WalConsumer, WalPlace, WalPosition, WalRecord } from "./WalRecord.ts"
import { comparePlaces, walConsumers } from "./WalRecord.ts"

export interface WalSizes {
  readonly segmentBytes: number
  readonly batchBytesMax: number
}

export const walSizes: WalSizes = { segmentBytes: walSegmentBytes, batchBytesMax: walBatchBytesMax }

/** What a record counts in the queue: empty ones are not free. */
export const queuedBytesOf = (payload: Uint8Array): number => recordHeaderBytes + payload.length

/** Of the records of one batch, with their headers: it fits a segment, with its header and a closing batch. */
export const batchRoomOf = (sizes: WalSizes): number =>
  Math.min(sizes.batchBytesMax, sizes.segmentBytes - segmentHeaderBytes - closingBatchBytes) - batchHeaderBytes

/** The longest payload that fits a batch. */
export const payloadBytesMax = (sizes: WalSizes): number => Math.min(walRecordBytesMax, batchRoomOf(sizes) - recordHeaderBytes)

/** Chunks stand alone: one that is there without its neighbours is named by nobody. */
export const isWhole = (records: ReadonlyArray<WalRecord>): boolean => records.some(({ kind }) => kind !== "Chunk")

export interface PlannedBatch {
  readonly segment: number
  readonly offset: number
  readonly closing: boolean
  readonly records: Array<WalRecord>
  /** Appends whose last record lies in this batch, in order. */
  readonly tickets: Array<number>
  /** batchHeaderBytes <= contentBytes <= sizes.batchBytesMax */
  contentBytes: number
  queuedBytes: number
}

export interface SegmentRow {
  /** Bytes on the disk. */
  bytes: number
  /** What lies below is durable and readable. durableEnd <= bytes */
  durableEnd: number
}

/** Full: the disk has no room; the journal reads on, and runs again after a Retry that succeeds. Failed: for good. */
export type WalPhase = "Running" | "Full" | "Stopping" | "Stopped" | "Failed"

export interface WalState {
  readonly sizes: WalSizes
  phase: WalPhase
  /** Rises with every abandoned segment. */
  epoch: number
  /** Where the next batch will be planned; behind everything handed out. */
  tail: WalPlace
  /** The batch that still takes records; behind all of `planned`. */
  open: PlannedBatch | undefined
  /** Full batches that wait, in order of place. */
  planned: Array<PlannedBatch>
  inFlight: PlannedBatch | undefined
  /** Defined between Written and Synced. */
  inFlightHash: Hash | undefined
  /** The segment whose header is being written; never while a batch is in flight. */
  opening: number | undefined
  /** The segment that batches go to; undefined before the first and while one is being opened. */
  current: number | undefined
  /** The last batch synced: what the next batch or segment carries. */
  last: BatchLink
  /** `last` has records, and neither a batch nor a segment's header proves it yet. */
  unproven: boolean
  /** End of what is durable; comparePlaces(durable, tail) <= 0 */
  durable: WalPlace
  /** Segments kept, ascending. */
  readonly segments: Map<number, SegmentRow>
  /** Segments let go whose files may still be there, ascending; bytes of each. */
  readonly removing: Map<number, number>
  readonly marks: Map<WalConsumer, WalPlace>
  /** Sum over segments and removing. */
  bytes: number
  /** Of the records of open, planned and inFlight, with their headers. */
  queuedBytes: number
  /** Segments abandoned since the last sync that succeeded; the second one fails the journal. */
  failuresInARow: number
  failure: string | undefined
  ticketNext: number
}

export type WalEvent =
  | { readonly _tag: "Start" }
  | { readonly _tag: "Append"; readonly records: ReadonlyArray<WalRecord> }
  | { readonly _tag: "Write" }
  | { readonly _tag: "Written"; readonly hash: Hash }
  | { readonly _tag: "Synced" }
  | { readonly _tag: "SyncFailed"; readonly detail: string; readonly noSpace: boolean }
  | { readonly _tag: "SegmentOpened"; readonly segment: number }
  | { readonly _tag: "OpenFailed"; readonly segment: number; readonly detail: string; readonly noSpace: boolean }
  /** Space may have returned: a full journal tries a new segment. */
  | { readonly _tag: "Retry" }
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Release"; readonly consumer: WalConsumer; readonly keepFrom: WalPlace }
  | { readonly _tag: "Removed"; readonly segment: number }
  | { readonly _tag: "Stop" }

export type WalCommand =
  | { readonly _tag: "Assign"; readonly ticket: number; readonly positions: ReadonlyArray<WalPosition> }
  | { readonly _tag: "OpenSegment"; readonly segment: number; readonly epoch: number; readonly continuesFrom: BatchLink }
  | { readonly _tag: "WriteBatch"; readonly batch: PlannedBatch; readonly epoch: number; readonly previous: BatchLink }
  | { readonly _tag: "Sync"; readonly segment: number }
  | { readonly _tag: "Acknowledge"; readonly tickets: ReadonlyArray<number> }
  | { readonly _tag: "Reject"; readonly tickets: ReadonlyArray<number>; readonly reason: "Lost" | "Failed" | "Closed"; readonly detail: string }
  | { readonly _tag: "RemoveSegment"; readonly segment: number }

export type WalStep = readonly [WalState, ReadonlyArray<WalCommand>]

const nothing: ReadonlyArray<WalCommand> = []

/** What recovery found: the state from which the machine starts. */
export interface WalStart {
  readonly sizes: WalSizes
  readonly epoch: number
  /** Above every segment that the folder has, of whatever content. */
  readonly segmentNext: number
  readonly last: BatchLink
  readonly durable: WalPlace
  readonly segments: ReadonlyArray<readonly [number, SegmentRow]>
}

export const initialState = (start: WalStart): WalState => ({
  sizes: start.sizes,
  phase: "Running",
  epoch: start.epoch,
  tail: { segment: start.segmentNext, offset: segmentHeaderBytes },
  open: undefined,
  planned: [],
  inFlight: undefined,
  inFlightHash: undefined,
  opening: undefined,
  current: undefined,
  last: start.last,
  unproven: false,
  durable: start.durable,
  segments: new Map(start.segments),
  removing: new Map(),
  marks: new Map(),
  bytes: start.segments.reduce((sum, [, row]) => sum + row.bytes, 0),
  queuedBytes: 0,
  failuresInARow: 0,
  failure: undefined,
  ticketNext: 1
})

export const step = (state: WalState, event: WalEvent): WalStep => {
  switch (event._tag) {
    case "Start": return [state, openSegment(state)]
    case "Append": return [state, append(state, event.records)]
    case "Write": return [state, write(state)]
    case "Written": return [state, written(state, event.hash)]
    case "Synced": return [state, synced(state)]
    case "SyncFailed": return [state, abandon(state, event)]
    case "SegmentOpened": return [state, segmentOpened(state, event.segment)]
    case "OpenFailed": return [state, abandon(state, event)]
    case "Retry": return [state, retry(state)]
    case "Idle":
      if (state.phase === "Running" && canClose(state)) planClosingBatch(state)
      return [state, nothing]
    case "Release": return [state, release(state, event.consumer, event.keepFrom)]
    case "Removed": return [state, removed(state, event.segment)]
    case "Stop":
      if (state.phase === "Running") state.phase = "Stopping"
      // Nothing waits in a full journal, and there is no room for a closing batch.
      if (state.phase === "Full") state.phase = "Stopped"
      return [state, nothing]
    default: return unreachable(event)
  }
}

/** Work is waiting that `Write` would start. */
export const hasWork = (state: WalState): boolean =>
  state.open !== undefined || state.planned.length > 0 || (state.phase === "Stopping" && state.inFlight === undefined)

const append = (state: WalState, records: ReadonlyArray<WalRecord>): ReadonlyArray<WalCommand> => {
  assert(records.length > 0, "an append has a record")
  const ticket = state.ticketNext++
  if (state.phase !== "Running") {
    const failed = state.phase === "Failed" || state.phase === "Full"
    const detail = failed ? state.failure ?? "" : "the journal is closing, start it again"
    return [{ _tag: "Reject", tickets: [ticket], reason: failed ? "Failed" : "Closed", detail }]
  }
  if (isWhole(records)) makeRoom(state, records.reduce((sum, { payload }) => sum + queuedBytesOf(payload), 0))
  const positions = records.map((record) => place(state, record))
  state.open!.tickets.push(ticket)
  return [{ _tag: "Assign", ticket, positions }]
}

/** Opens a batch that takes so many bytes of records: the open one, the next, or the first of the next segment. */
const makeRoom = (state: WalState, bytes: number): PlannedBatch => {
  // A closing batch must always fit behind the last batch of a segment.
  const end = state.sizes.segmentBytes - closingBatchBytes
  const full = state.open !== undefined && (state.open.contentBytes + bytes > state.sizes.batchBytesMax ||
    state.open.offset + alignUp(state.open.contentBytes + bytes) > end)
  if (full) closePlanned(state)
  if (state.open === undefined) {
    assert(batchHeaderBytes + bytes <= state.sizes.batchBytesMax, `${bytes} bytes of records fit no batch`)
    if (state.tail.offset + alignUp(batchHeaderBytes + bytes) > end) state.tail = firstOf(state.tail.segment + 1)
    assert(state.tail.offset + alignUp(batchHeaderBytes + bytes) <= end, `${bytes} bytes of records fit no segment`)
    state.open = planAt(state.tail, false)
  }
  return state.open
}

/** Plans one record behind everything planned. */
const place = (state: WalState, record: WalRecord): WalPosition => {
  const bytes = queuedBytesOf(record.payload)
  const batch = makeRoom(state, bytes)
  const offset = batch.offset + batch.contentBytes + recordHeaderBytes
  batch.records.push(record)
  batch.contentBytes += bytes
  batch.queuedBytes += bytes
  state.queuedBytes += bytes
  return { segment: batch.segment, offset, length: record.payload.length }
}

const firstOf = (segment: number): WalPlace => ({ segment, offset: segmentHeaderBytes })

const planAt = (tail: WalPlace, closing: boolean): PlannedBatch =>
  ({ segment: tail.segment, offset: tail.offset, closing, records: [], tickets: [], contentBytes: batchHeaderBytes, queuedBytes: 0 })

/** Just behind the batch and its padding. */
export const endOf = (batch: PlannedBatch): WalPlace =>
  ({ segment: batch.segment, offset: batch.offset + alignUp(batch.contentBytes) })

/** The open batch takes no more records: what comes behind it is known. */
const closePlanned = (state: WalState): void => {
  assert(state.open !== undefined, "a batch is open")
  state.planned.push(state.open)
  state.tail = endOf(state.open)
  state.open = undefined
}

const canClose = (state: WalState): boolean =>
  state.unproven && state.open === undefined && state.planned.length === 0 && state.inFlight === undefined &&
  state.opening === undefined && state.current === state.last.segment && state.tail.segment === state.current

const planClosingBatch = (state: WalState): void => {
  state.open = planAt(state.tail, true)
  closePlanned(state)
}

const write = (state: WalState): ReadonlyArray<WalCommand> => {
  const busy = state.inFlight !== undefined || state.opening !== undefined
  if (busy || state.phase === "Failed" || state.phase === "Full" || state.phase === "Stopped") return nothing
  if (state.planned.length === 0 && state.open !== undefined) closePlanned(state)
  if (state.planned.length === 0 && state.phase === "Stopping") {
    if (!canClose(state)) {
      state.phase = "Stopped"
      return nothing
    }
    planClosingBatch(state)
  }
  const batch = state.planned[0]
  if (batch === undefined) return nothing
  if (batch.segment !== state.current) return openSegment(state, batch.segment)
  state.planned.shift()
  state.inFlight = batch
  const row = state.segments.get(batch.segment)
  assert(row !== undefined && row.bytes === batch.offset, `batch at ${batch.offset} continues its segment`)
  const length = alignUp(batch.contentBytes)
  row.bytes += length
  state.bytes += length
  return [{ _tag: "WriteBatch", batch, epoch: state.epoch, previous: state.last }]
}

const openSegment = (state: WalState, segment = state.tail.segment): ReadonlyArray<WalCommand> => {
  assert(state.inFlight === undefined && state.opening === undefined, "one thing is written at a time")
  assert(!state.segments.has(segment), `segment ${segment} is new`)
  state.opening = segment
  state.current = undefined
  // The file may be there from now on, whole or not: it counts, and nothing in it is readable yet.
  state.segments.set(segment, { bytes: segmentHeaderBytes, durableEnd: 0 })
  state.bytes += segmentHeaderBytes
  return [{ _tag: "OpenSegment", segment, epoch: state.epoch, continuesFrom: state.last }]
}

const segmentOpened = (state: WalState, segment: number): ReadonlyArray<WalCommand> => {
  assert(state.opening === segment, `segment ${segment} was being opened`)
  state.opening = undefined
  state.current = segment
  state.segments.get(segment)!.durableEnd = segmentHeaderBytes
  // The header names the last batch: that proves it.
  state.unproven = false
  state.failure = undefined
  return nothing
}

const written = (state: WalState, hash: Hash): ReadonlyArray<WalCommand> => {
  assert(state.inFlight !== undefined && state.inFlightHash === undefined, "a batch was being written")
  state.inFlightHash = hash
  return [{ _tag: "Sync", segment: state.inFlight.segment }]
}

const synced = (state: WalState): ReadonlyArray<WalCommand> => {
  const batch = state.inFlight
  assert(batch !== undefined && state.inFlightHash !== undefined, "a written batch was being synced")
  const { segment, offset } = batch
  const length = alignUp(batch.contentBytes)
  state.last = { segment, offset, length, batch: state.last.batch + 1, hash: state.inFlightHash }
  state.unproven = !batch.closing
  state.durable = endOf(batch)
  state.segments.get(segment)!.durableEnd = state.durable.offset
  state.queuedBytes -= batch.queuedBytes
  state.inFlight = undefined
  state.inFlightHash = undefined
  state.failuresInARow = 0
  return batch.tickets.length === 0 ? nothing : [{ _tag: "Acknowledge", tickets: batch.tickets }]
}

/** A write, sync or opening failed: what it left on the disk is unknown and never touched again. */
const abandon = (state: WalState, { detail, noSpace }: { readonly detail: string; readonly noSpace: boolean }): ReadonlyArray<WalCommand> => {
  assert(state.inFlight !== undefined || state.opening !== undefined, "something was being written")
  const batches = [state.inFlight, ...state.planned, state.open].filter((batch) => batch !== undefined)
  const tickets = batches.flatMap((batch) => batch.tickets)
  const abandoned = state.opening ?? state.inFlight!.segment
  const highest = Math.max(state.tail.segment, ...state.segments.keys())
  state.inFlight = undefined
  state.inFlightHash = undefined
  state.opening = undefined
  state.current = undefined
  state.open = undefined
  state.planned = []
  state.queuedBytes = 0
  state.epoch += 1
  state.failuresInARow += 1
  state.tail = firstOf(highest + 1)
  const gaveUp = state.failuresInARow >= 2
  if (gaveUp) giveUp(state, abandoned, detail, noSpace)
  const reason = gaveUp ? "Failed" as const : "Lost" as const
  const why = gaveUp ? state.failure! : `segment ${abandoned} was abandoned: ${detail}. Append again`
  const rejected: ReadonlyArray<WalCommand> = tickets.length === 0 ? nothing : [{ _tag: "Reject", tickets, reason, detail: why }]
  return gaveUp ? rejected : [...rejected, ...openSegment(state)]
}

/** Two segments in a row: a full disk may have room again, any other fault is the operator's. */
const giveUp = (state: WalState, abandoned: number, detail: string, noSpace: boolean): void => {
  if (noSpace && state.phase !== "Stopping") {
    state.phase = "Full"
    state.failure = `NoSpace: the disk is full, segment ${abandoned} could not be written: ${detail}. ` +
      "Reads go on; writes are accepted again by themselves once there is space: delete, or add some"
    return
  }
  state.phase = "Failed"
  state.failure = `two segments in a row could not be written, the last one ${abandoned}: ${detail}. ` +
    "Nothing more is accepted: check the disk and its space, then start again"
}

const retry = (state: WalState): ReadonlyArray<WalCommand> => {
  if (state.phase !== "Full") return nothing
  state.phase = "Running"
  return openSegment(state)
}

const release = (state: WalState, consumer: WalConsumer, keepFrom: WalPlace): ReadonlyArray<WalCommand> => {
  const before = state.marks.get(consumer)
  // A mark never goes back: what it let go may be gone.
  if (before === undefined || comparePlaces(keepFrom, before) > 0) state.marks.set(consumer, keepFrom)
  const limit = releasedBelow(state)
  for (const [segment, row] of state.segments) {
    if (segment >= limit) break
    state.segments.delete(segment)
    state.removing.set(segment, row.bytes)
  }
  return Array.from(state.removing.keys(), (segment) => ({ _tag: "RemoveSegment", segment }) as const)
}

/** Segments below this number are wanted by nobody. */
const releasedBelow = (state: WalState): number => {
  let limit = state.current ?? state.opening ?? 0
  for (const consumer of walConsumers) limit = Math.min(limit, state.marks.get(consumer)?.segment ?? 0)
  return Math.min(limit, state.marks.get("raft")?.segment ?? limit)
}

const removed = (state: WalState, segment: number): ReadonlyArray<WalCommand> => {
  state.bytes -= state.removing.get(segment) ?? 0
  state.removing.delete(segment)
  return nothing
}
