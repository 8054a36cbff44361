/**
 * Walks one segment's batches and decides what each stretch of bytes is: accepted, a torn tail, or damage (R4).
 * Between a segment's bytes, read in windows, and recovery or replay. Pure: bytes come in events.
 *
 * Where the next segment's header says how far the segment was accepted (`provenLast`), everything below is proven and
 * what is not readable there is damage. In the last segment a batch is proven by any later batch header of the segment:
 * it was written only after this batch was synced. Without such a proof, and only then, it is a torn tail.
 */
import { assert } from "../base/assert.ts"
import type { StoreId } from "../base/ids.ts"
import { MiB } from "../base/limits.ts"
import type { BatchHeader, BatchRecord, SegmentHeader } from "./WalFormat.ts"
import { batchHeaderBytes, decodeBatchBody, decodeBatchHeader, segmentHeaderBytes, walAlignBytes } from "./WalFormat.ts"
import { type BatchLink, mayBeDamaged } from "./WalRecord.ts"

/** Bytes asked for at once; a longer batch is asked for whole. */
export const scanWindowBytes = MiB

export interface AcceptedBatch {
  readonly link: BatchLink
  readonly closing: boolean
  readonly records: ReadonlyArray<BatchRecord>
  /** Every byte of it is as it was written, padding too. */
  readonly whole: boolean
}

export interface ScanState {
  readonly header: SegmentHeader
  /** The segment's last batch, proven from outside; undefined in the last segment. */
  readonly provenLast: BatchLink | undefined
  /** Of the last batch accepted. */
  link: BatchLink
  /** Where the next batch is expected. */
  offset: number
  /** A batch at `offset` that is not what was written: search for a proof of it from `from`. */
  doubt: { readonly why: string; readonly from: number; readonly batch: AcceptedBatch | undefined } | undefined
}

export type ScanCommand =
  | { readonly _tag: "Read"; readonly offset: number; readonly length: number }
  | { readonly _tag: "Accept"; readonly batch: AcceptedBatch }
  | { readonly _tag: "End" }
  /** `batch`: what lies there, where all its headers are whole. */
  | { readonly _tag: "TornTail"; readonly offset: number; readonly why: string; readonly batch: AcceptedBatch | undefined }
  | { readonly _tag: "Damaged"; readonly offset: number; readonly batch: number; readonly why: string }
  | { readonly _tag: "Unknown"; readonly offset: number; readonly why: string }

/** Ends with one of Read (more bytes are needed), End, TornTail, Damaged, Unknown; Accept may come before, many times. */
export type ScanStep = readonly [ScanState, ReadonlyArray<ScanCommand>]

export const startScan = (header: SegmentHeader, provenLast: BatchLink | undefined): ScanStep => {
  const state: ScanState = {
    header,
    provenLast,
    link: header.continuesFrom,
    offset: segmentHeaderBytes,
    doubt: undefined
  }
  return [state, [{ _tag: "Read", offset: state.offset, length: scanWindowBytes }]]
}

/** `bytes` are those of the last Read; fewer than asked for means that the file ends with them. */
export const stepScan = (state: ScanState, read: { readonly offset: number; readonly length: number; readonly bytes: Uint8Array }): ScanStep => {
  const commands: Array<ScanCommand> = []
  const window = { offset: read.offset, bytes: read.bytes, atEnd: read.bytes.length < read.length }
  for (;;) {
    const command = state.doubt === undefined ? nextBatch(state, window) : searchProof(state, window)
    if (command === undefined) continue
    commands.push(command)
    if (command._tag !== "Accept") return [state, commands]
  }
}

interface Window {
  readonly offset: number
  readonly bytes: Uint8Array
  readonly atEnd: boolean
}

const readAt = (offset: number, length = scanWindowBytes): ScanCommand => ({ _tag: "Read", offset, length })

const expectedAt = (state: ScanState, offset: number): { storeId: StoreId; segment: number; offset: number } =>
  ({ storeId: state.header.storeId, segment: state.header.segment, offset })

/** Why a batch header that is whole in itself cannot follow the batch accepted before it. */
const brokenChain = (state: ScanState, batch: BatchHeader): string | undefined => {
  const { previous } = batch
  if (batch.restartId !== state.header.restartId) return "of another run"
  if (batch.epoch !== state.header.epoch) return `of epoch ${batch.epoch}`
  const same = previous.batch === state.link.batch && previous.hash === state.link.hash &&
    previous.segment === state.link.segment && previous.offset === state.link.offset
  return same ? undefined : `continues from batch ${previous.batch}, not from ${state.link.batch}`
}

const nextBatch = (state: ScanState, window: Window): ScanCommand | undefined => {
  const at = state.offset
  if (state.provenLast !== undefined && at >= state.provenLast.offset + state.provenLast.length) {
    if (state.link.hash === state.provenLast.hash && state.link.offset === state.provenLast.offset) return { _tag: "End" }
    const why = `the next segment continues from another batch, ${state.provenLast.hash.slice(0, 16)} at ${state.provenLast.offset}`
    return { _tag: "Damaged", offset: state.link.offset, batch: state.link.batch, why }
  }
  // A search for a proof may have led the window beyond the batch that follows the proven one.
  if (at < window.offset) return readAt(at)
  const rest = window.bytes.subarray(at - window.offset)
  if (rest.length < batchHeaderBytes) {
    if (!window.atEnd) return readAt(at)
    if (rest.length === 0 && state.provenLast === undefined) return { _tag: "End" }
    return doubt(state, "the file ends", at + walAlignBytes, undefined)
  }
  const header = decodeBatchHeader(rest.subarray(0, batchHeaderBytes), expectedAt(state, at))
  if (header._tag === "Unknown") return { _tag: "Unknown", offset: at, why: header.why }
  if (header._tag === "Invalid") return doubt(state, header.why, at + walAlignBytes, undefined)
  const broken = brokenChain(state, header.value)
  if (broken !== undefined) return doubt(state, broken, at + walAlignBytes, undefined)
  const { length, link, closing } = header.value
  if (rest.length < length) {
    return window.atEnd ? doubt(state, "the file ends", at + length, undefined) : readAt(at, Math.max(scanWindowBytes, length))
  }
  const body = decodeBatchBody(header.value, rest.subarray(0, length))
  if (body._tag === "Unknown") return { _tag: "Unknown", offset: at, why: body.why }
  if (body._tag === "Invalid") return doubt(state, body.why, at + length, undefined)
  const batch = { link, closing, records: body.value.records, whole: body.value.whole }
  if (!body.value.whole) return doubt(state, "a payload or the padding is not what was written", at + length, batch)
  return accept(state, batch)
}

const accept = (state: ScanState, batch: AcceptedBatch): ScanCommand => {
  assert(batch.link.offset === state.offset, "batches are accepted one behind the other")
  state.link = batch.link
  state.offset += batch.link.length
  state.doubt = undefined
  return { _tag: "Accept", batch }
}

/** The batch at `offset` is not whole. With a proof that it once was: damage, unless only payloads are hurt that may be. */
const doubt = (state: ScanState, why: string, from: number, batch: AcceptedBatch | undefined): ScanCommand | undefined => {
  state.doubt = { why, from, batch }
  return state.provenLast === undefined ? undefined : decide(state)
}

const decide = (state: ScanState): ScanCommand => {
  const { why, batch } = state.doubt!
  // The chain does not depend on payloads: a rotten chunk is one chunk's loss, a rotten Raft record one replica's. A rotten commit is everyone's.
  if (batch !== undefined && batch.records.every((record) => record.whole || mayBeDamaged(record.kind))) {
    return accept(state, batch)
  }
  return { _tag: "Damaged", offset: state.offset, batch: state.link.batch + 1, why }
}

/** Looks for any later batch of this segment, at every place where one could start. */
const searchProof = (state: ScanState, window: Window): ScanCommand | undefined => {
  const { why, from, batch } = state.doubt!
  let at = from
  const end = window.offset + window.bytes.length
  for (; at + batchHeaderBytes <= end; at += walAlignBytes) {
    const start = at - window.offset
    const header = decodeBatchHeader(window.bytes.subarray(start, start + batchHeaderBytes), expectedAt(state, at))
    const proof = header._tag === "Ok" && header.value.restartId === state.header.restartId &&
      header.value.link.batch > state.link.batch + 1
    if (!proof) continue
    return decide(state)
  }
  state.doubt = { why, from: at, batch }
  if (!window.atEnd) return readAt(at)
  return { _tag: "TornTail", offset: state.offset, why, batch }
}
