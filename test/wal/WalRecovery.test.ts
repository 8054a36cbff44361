/** What a folder's segments mean, and what a segment's bytes mean: cases that a working journal never writes. */
import { expect, test } from "vitest"
import { concatBytes } from "../../src/base/bytes.ts"
import type { Hash } from "../../src/base/ids.ts"
import type { BatchToWrite, SegmentHeader } from "../../src/wal/WalFormat.ts"
import { alignUp, batchHeaderBytes, encodeBatch, recordHeaderBytes } from "../../src/wal/WalFormat.ts"
import type { BatchLink } from "../../src/wal/WalRecord.ts"
import { noLink } from "../../src/wal/WalRecord.ts"
import type { SurveyedSegment } from "../../src/wal/WalRecovery.ts"
import { planLog } from "../../src/wal/WalRecovery.ts"
import { startScan, stepScan } from "../../src/wal/WalScan.ts"
import { recordOf, restartId, storeId } from "./scene.ts"

const linkTo = (segment: number, batch: number): BatchLink =>
  ({ segment, offset: 4096, length: 4096, batch, hash: "ab".repeat(32) as Hash })

const headerOf = (segment: number, epoch: number, continuesFrom: BatchLink): SegmentHeader =>
  ({ storeId, restartId: restartId(1), segment, epoch, continuesFrom })

const surveyed = (segment: number, epoch: number, continuesFrom: BatchLink): SurveyedSegment =>
  ({ segment, sizeBytes: 8192, header: headerOf(segment, epoch, continuesFrom) })

const torn = (segment: number): SurveyedSegment => ({ segment, sizeBytes: 512, header: undefined })

const planOf = (segments: ReadonlyArray<SurveyedSegment>) => {
  const decision = planLog(segments, storeId)
  return decision._tag === "Damaged" ? decision : {
    log: decision.plan.log.map(({ header }) => header.segment),
    leftovers: decision.plan.leftovers.map(({ segment }) => segment),
    next: decision.plan.segmentNext,
    epoch: decision.plan.epochMax
  }
}

test("wal recovery: an empty folder is a new store", () => {
  expect(planOf([])).toEqual({ log: [], leftovers: [], next: 1, epoch: 0 })
})

test("wal recovery: the log is what the newest header leads back to; forks and torn creations are left over", () => {
  const first = surveyed(1, 1, noLink)
  expect(planOf([first, surveyed(2, 2, linkTo(1, 1)), surveyed(3, 3, linkTo(1, 1)), torn(4)]))
    .toEqual({ log: [1, 3], leftovers: [2, 4], next: 5, epoch: 3 })
})

test("wal recovery: a header that rots is damage where batches depend on it, and nowhere else", () => {
  const rotten = (segment: number): SurveyedSegment => ({ segment, sizeBytes: 12_288, header: undefined })
  expect(planOf([surveyed(1, 1, noLink), rotten(2)])).toMatchObject({ _tag: "Damaged", segment: 2 })
  expect(planOf([surveyed(1, 1, noLink), rotten(2), surveyed(3, 3, linkTo(1, 1))])).toMatchObject({ log: [1, 3], leftovers: [2] })
})

test("wal recovery: where a creation was cut short the disk may show a header of long ago (short 7820205): it is another segment's, and damage where batches depend on it", () => {
  const ofLongAgo = (segment: number, sizeBytes: number): SurveyedSegment => ({ segment, sizeBytes, header: headerOf(1, 1, noLink) })
  const [two, three] = [surveyed(2, 2, linkTo(1, 1)), surveyed(3, 3, linkTo(2, 5))]
  expect(planOf([two, three, ofLongAgo(4, 4096)])).toEqual({ log: [2, 3], leftovers: [4], next: 5, epoch: 3 })
  expect(planOf([ofLongAgo(1, 4096)])).toMatchObject({ log: [1] })
  expect(planOf([ofLongAgo(2, 4096)])).toMatchObject({ log: [], leftovers: [2], next: 3 })
  // It was left over, and the next life made another.
  expect(planOf([two, ofLongAgo(3, 4096), surveyed(4, 3, linkTo(2, 5))])).toMatchObject({ log: [2, 4], leftovers: [3] })
  expect(planOf([two, ofLongAgo(3, 8192)])).toMatchObject({ _tag: "Damaged", segment: 3, why: "its header says segment 1, and 8192 bytes are there" })
  expect(planOf([ofLongAgo(2, 8192), three])).toMatchObject({ _tag: "Damaged", segment: 2 })
})

test("wal recovery: released segments are no damage, a hole is", () => {
  expect(planOf([surveyed(5, 1, linkTo(4, 9)), surveyed(6, 1, linkTo(5, 10))])).toMatchObject({ log: [5, 6], leftovers: [] })
  expect(planOf([surveyed(3, 1, linkTo(2, 7)), surveyed(5, 1, linkTo(4, 9))])).toMatchObject({ _tag: "Damaged", segment: 4 })
})

test("wal recovery: a segment that continues from itself, from a torn one or from a higher epoch is damage", () => {
  expect(planOf([surveyed(1, 1, linkTo(1, 1))])).toMatchObject({ _tag: "Damaged", segment: 1 })
  expect(planOf([torn(1), surveyed(2, 1, linkTo(1, 1))])).toMatchObject({ _tag: "Damaged", segment: 1 })
  expect(planOf([surveyed(1, 3, noLink), surveyed(2, 2, linkTo(1, 1))])).toMatchObject({ _tag: "Damaged", segment: 2 })
})

const batchAfter = (previous: BatchLink, offset: number, change: Partial<BatchToWrite> = {}): { bytes: Uint8Array; link: BatchLink } => {
  const payloads = [recordOf(1, 100)]
  const contentBytes = batchHeaderBytes + recordHeaderBytes + 100
  const length = alignUp(contentBytes)
  const { parts, hash } = encodeBatch({
    storeId, restartId: restartId(1), segment: 2, epoch: 1, offset, previous, closing: false, payloads, records: 1, contentBytes, length, ...change
  })
  return { bytes: concatBytes(parts), link: { segment: 2, offset, length, batch: previous.batch + 1, hash } }
}

/** What a scan of segment 2 makes of these batches behind its header. */
const scanOf = (...batches: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => scanUpTo(undefined, ...batches)

/** The same where the next segment's header proves `last`. */
const scanUpTo = (last: BatchLink | undefined, ...batches: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const file = concatBytes([new Uint8Array(4096), ...batches])
  let [state, commands] = startScan(headerOf(2, 1, linkTo(1, 1)), last)
  const seen: Array<string> = []
  for (;;) {
    for (const command of commands) if (command._tag !== "Read") seen.push(command._tag)
    const ask = commands.at(-1)
    if (ask?._tag !== "Read") return seen
    const { offset, length } = ask
    ;[state, commands] = stepScan(state, { offset, length, bytes: file.subarray(offset, offset + length) })
  }
}

test("wal scan: a whole batch that does not continue the chain is not accepted", () => {
  const first = batchAfter(linkTo(1, 1), 4096)
  expect(scanOf(first.bytes, batchAfter(first.link, 8192).bytes)).toEqual(["Accept", "Accept", "End"])
  const other = { ...first.link, hash: "cd".repeat(32) as Hash }
  expect(scanOf(first.bytes, batchAfter(other, 8192).bytes)).toEqual(["Accept", "TornTail"])
})

test("wal scan: a whole batch of another run or epoch is not accepted, and proves nothing", () => {
  const first = batchAfter(linkTo(1, 1), 4096)
  expect(scanOf(first.bytes, batchAfter(first.link, 8192, { restartId: restartId(2) }).bytes)).toEqual(["Accept", "TornTail"])
  expect(scanOf(first.bytes, batchAfter(first.link, 8192, { epoch: 2 }).bytes)).toEqual(["Accept", "TornTail"])
  const second = batchAfter(first.link, 8192)
  const foreign = batchAfter(second.link, 12_288, { restartId: restartId(2) })
  expect(scanOf(first.bytes, new Uint8Array(4096), foreign.bytes)).toEqual(["Accept", "TornTail"])
})

test("wal scan: a later batch proves an unreadable one, across any distance", () => {
  const first = batchAfter(linkTo(1, 1), 4096)
  const far = batchAfter({ ...first.link, batch: 7 }, 4096 + 4096 * 700)
  expect(scanOf(first.bytes, new Uint8Array(4096 * 699), far.bytes)).toEqual(["Accept", "Damaged"])
})

test("wal scan: a segment ends with the batch that the next one names, whatever lies behind it", () => {
  const first = batchAfter(linkTo(1, 1), 4096)
  const second = batchAfter(first.link, 8192)
  expect(scanUpTo(first.link, first.bytes, second.bytes)).toEqual(["Accept", "End"])
  expect(scanUpTo(first.link, first.bytes, new Uint8Array(5000))).toEqual(["Accept", "End"])
  expect(scanUpTo(second.link, first.bytes)).toEqual(["Accept", "Damaged"])
  expect(scanUpTo({ ...first.link, hash: "cd".repeat(32) as Hash }, first.bytes)).toEqual(["Accept", "Damaged"])
})
