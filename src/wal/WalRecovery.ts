/**
 * Decides what a folder's segments mean: which of them form the log, how far each was accepted, which are leftovers.
 * Between the segments' headers, read at start, and the scan of the last one (WalScan.ts). Pure.
 *
 * The newest segment with a whole header is the log's end; each header names the batch it continues from, and so the
 * end of the segment before. A fork (a batch whose sync failed and that is there after all) thus falls to the higher
 * epoch. Segments that nobody continues from are leftovers: their header never became durable, or they were abandoned
 * before their first batch. Released segments went oldest first, so nothing older than a missing one may be there.
 */
import type { StoreId } from "../base/ids.ts"
import type { SegmentHeader } from "./WalFormat.ts"
import { segmentHeaderBytes } from "./WalFormat.ts"
import type { BatchLink, WalPlace } from "./WalRecord.ts"
import { comparePlaces, noLink, placeAfter } from "./WalRecord.ts"

/** What is known of one file of the folder before its batches are read. Ascending by number. */
export interface SurveyedSegment {
  readonly segment: number
  readonly sizeBytes: number
  /** undefined: not a whole header. */
  readonly header: SegmentHeader | undefined
}

export interface LogSegment {
  readonly header: SegmentHeader
  readonly sizeBytes: number
  /** The segment's last batch, proven by the next segment's header; undefined for the last segment. */
  readonly proven: BatchLink | undefined
}

export interface LogPlan {
  /** Ascending; empty in a new store. */
  readonly log: ReadonlyArray<LogSegment>
  readonly leftovers: ReadonlyArray<SurveyedSegment>
  /** The batch before the oldest segment; noLink where the log is whole from its beginning. */
  readonly before: BatchLink
  readonly epochMax: number
  readonly segmentNext: number
}

export type LogDecision =
  | { readonly _tag: "Plan"; readonly plan: LogPlan }
  | { readonly _tag: "Damaged"; readonly segment: number; readonly offset: number; readonly why: string }

const damaged = (segment: number, offset: number, why: string): LogDecision => ({ _tag: "Damaged", segment, offset, why })

export const planLog = (found: ReadonlyArray<SurveyedSegment>, storeId: StoreId): LogDecision => {
  const surveyed = found.map(asItsOwn)
  const byNumber = new Map(surveyed.map((survey) => [survey.segment, survey]))
  const newest = surveyed.findLast((survey) => survey.header !== undefined)
  for (const survey of found) {
    const wrong = headerProblem(survey, storeId, newest?.segment ?? 0)
    if (wrong !== undefined) return damaged(survey.segment, 0, wrong)
  }
  const log: Array<LogSegment> = []
  let proven: BatchLink | undefined
  let at: SurveyedSegment | undefined = newest
  let before = noLink
  while (at !== undefined) {
    const { header, segment, sizeBytes } = at
    if (header === undefined) return damaged(segment, 0, "its header is not readable, and a later segment continues from it")
    log.unshift({ header, sizeBytes, proven })
    before = header.continuesFrom
    if (before.segment >= segment) return damaged(segment, 0, `its header continues from segment ${before.segment}`)
    proven = before
    at = byNumber.get(before.segment)
  }
  const older = surveyed.find((survey) => survey.segment < before.segment)
  if (older !== undefined) {
    return damaged(before.segment, before.offset, `its file is missing, and older ones such as ${older.segment} are there`)
  }
  const inLog = new Set(log.map(({ header }) => header.segment))
  const headers = surveyed.flatMap(({ header }) => header === undefined ? [] : [header])
  const fallen = log.find(({ header }, index) => index > 0 && log[index - 1]!.header.epoch > header.epoch)
  if (fallen !== undefined) return damaged(fallen.header.segment, 0, "its epoch is below that of the segment before")
  return {
    _tag: "Plan",
    plan: {
      log,
      leftovers: surveyed.filter((survey) => !inLog.has(survey.segment)),
      before,
      epochMax: headers.reduce((max, header) => Math.max(max, header.epoch), 0),
      segmentNext: (surveyed.at(-1)?.segment ?? 0) + 1
    }
  }
}

/**
 * Another segment's header is none of this one's: where a creation was cut short before its header was on the disk, the disk may show what lay there
 * before, as whole as it was: the header of a segment that was removed.
 */
const asItsOwn = (survey: SurveyedSegment): SurveyedSegment =>
  survey.header === undefined || survey.header.segment === survey.segment ? survey : { ...survey, header: undefined }

/**
 * Behind the newest whole header, one that is not whole is a creation cut short, unless batches follow: these came only
 * after its sync. Before it, only a header that the log needs matters.
 */
const headerProblem = ({ header, segment, sizeBytes }: SurveyedSegment, storeId: StoreId, newest: number): string | undefined => {
  if (header !== undefined && header.storeId !== storeId) return `it belongs to store ${header.storeId}, this is ${storeId}`
  const isLost = header?.segment !== segment && segment > newest && sizeBytes > segmentHeaderBytes
  if (!isLost) return undefined
  return header === undefined ? `its header is not readable, and ${sizeBytes} bytes are there` : `its header says segment ${header.segment}, and ${sizeBytes} bytes are there`
}

/**
 * Why a replay from a place cannot give everything that the caller needs, or undefined. `from` undefined means from
 * the store's first record. `end` is the end of what was accepted.
 */
export const replayProblem = (plan: LogPlan, from: WalPlace | undefined, end: WalPlace): string | undefined => {
  if (from === undefined) {
    if (plan.before.segment === 0) return undefined
    return `everything is asked for, and what lies before batch ${plan.before.batch + 1} was released`
  }
  if (comparePlaces(from, placeAfter(plan.before)) < 0) {
    return `records from ${from.segment}:${from.offset} on are needed, and those up to ` +
      `${plan.before.segment}:${plan.before.offset + plan.before.length} are not there`
  }
  if (comparePlaces(from, end) > 0) {
    return `records up to ${from.segment}:${from.offset} were durable once, and the journal ends at ${end.segment}:${end.offset}`
  }
  return undefined
}
