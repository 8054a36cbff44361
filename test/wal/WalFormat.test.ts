/** The journal's bytes: golden files of version 1, round trips, and decoders fed anything. */
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { expect, test } from "vitest"
import { concatBytes, fromHex, toHex } from "../../src/base/bytes.ts"
import { crc32c } from "../../src/base/hash.ts"
import type { Hash } from "../../src/base/ids.ts"
import {
  alignUp,
  batchHeaderBytes,
  type BatchToWrite,
  decodeBatchBody,
  decodeBatchHeader,
  decodeRecordHeader,
  decodeSegmentHeader,
  encodeBatch,
  encodeSegmentHeader,
  recordHeaderBytes,
  type SegmentHeader,
  segmentName,
  segmentOfName
} from "../../src/wal/WalFormat.ts"
import { startScan, stepScan } from "../../src/wal/WalScan.ts"
import { recordOf, restartId, storeId } from "./scene.ts"

const golden = (name: string): Uint8Array =>
  fromHex(readFileSync(new URL(`./golden/${name}.hex`, import.meta.url), "utf8").replace(/\s/g, ""))

const segment: SegmentHeader = {
  storeId,
  restartId: restartId(7),
  segment: 3,
  epoch: 2,
  continuesFrom: { segment: 1, offset: 8192, length: 4096, batch: 41, hash: "c0de".repeat(16) as Hash }
}

const batchOf = (payloads: BatchToWrite["payloads"], closing = false): BatchToWrite => {
  const contentBytes = payloads.reduce((sum, { payload }) => sum + recordHeaderBytes + payload.length, batchHeaderBytes)
  return {
    storeId, restartId: segment.restartId, segment: 3, epoch: 2, offset: 4096, previous: segment.continuesFrom,
    closing, payloads, records: payloads.length, contentBytes, length: alignUp(contentBytes)
  }
}

const dataBatch = batchOf([recordOf(1, 40, "Chunk"), recordOf(2, 21, "Commit")])
const raftBatch = batchOf([recordOf(3, 40, "Chunk"), recordOf(4, 33, "Raft")])
const bytesOf = (batch: BatchToWrite): Uint8Array => Uint8Array.from(concatBytes(encodeBatch(batch).parts))
const place = { storeId, segment: 3, offset: 4096 }

test("wal format 1: a segment header, a data batch and a closing batch are the bytes that they always were", () => {
  expect(toHex(encodeSegmentHeader(segment))).toBe(toHex(golden("segment-header-1")))
  expect(toHex(bytesOf(dataBatch))).toBe(toHex(golden("data-batch-1")))
  expect(toHex(bytesOf(batchOf([], true)))).toBe(toHex(golden("closing-batch-1")))
  expect(toHex(bytesOf(raftBatch))).toBe(toHex(golden("raft-batch-1")))
})

test("wal format 1: what the golden files say is read back from them", () => {
  expect(decodeSegmentHeader(golden("segment-header-1"))).toEqual({ _tag: "Ok", value: segment })
  const header = decodeBatchHeader(golden("data-batch-1"), place)
  expect(header).toMatchObject({ _tag: "Ok", value: { records: 2, closing: false, link: { batch: 42, hash: encodeBatch(dataBatch).hash } } })
  const body = header._tag === "Ok" ? decodeBatchBody(header.value, golden("data-batch-1")) : header
  const [chunk, commit] = dataBatch.payloads
  expect(body).toMatchObject({
    _tag: "Ok",
    value: {
      whole: true,
      records: [
        { kind: "Chunk", offset: 4096 + 176 + 96, payload: Buffer.from(chunk!.payload), whole: true },
        { kind: "Commit", offset: 4096 + 176 + 96 + 40 + 96, payload: Buffer.from(commit!.payload), whole: true }
      ]
    }
  })
  expect(decodeBatchHeader(golden("closing-batch-1"), place)).toMatchObject({ _tag: "Ok", value: { closing: true, records: 0 } })
})

/** The batch with its kind, version or suite replaced and the header's checksum made right: as a newer version would. */
const patched = (at: number, value: number, crcAt: number, from: number): Uint8Array => {
  const bytes = bytesOf(dataBatch)
  bytes[from + at] = value
  new DataView(bytes.buffer).setUint32(from + crcAt, crc32c(bytes.subarray(from, from + crcAt)))
  return bytes
}

test("wal format: a version, suite or kind that is not known is Unknown, which stops the node, never Invalid", () => {
  for (const [at, what] of [[4, "format version"], [5, "batch kind"], [6, "hash suite"]] as const) {
    expect(decodeBatchHeader(patched(at, 9, 172, 0), place)).toMatchObject({ _tag: "Unknown", why: expect.stringContaining(`${what} 9`) })
  }
  expect(decodeRecordHeader(patched(5, 9, 92, 176).subarray(176))).toMatchObject({ _tag: "Unknown", why: expect.stringContaining("record kind 9") })
})

test("wal format: bytes of another store, segment or offset are not ours", () => {
  const bytes = bytesOf(dataBatch)
  for (const other of [{ ...place, storeId: restartId(1) as never }, { ...place, segment: 4 }, { ...place, offset: 8192 }]) {
    expect(decodeBatchHeader(bytes, other)._tag).toBe("Invalid")
  }
})

test("wal format: every single bit of a header and every bit of padding is under a check", () => {
  const bytes = bytesOf(dataBatch)
  const header = decodeBatchHeader(bytes, place)
  const wholeAfter = (changed: Uint8Array): boolean => {
    const decoded = decodeBatchHeader(changed, place)
    if (decoded._tag !== "Ok" || header._tag !== "Ok") return false
    const body = decodeBatchBody(decoded.value, changed)
    return body._tag === "Ok" && body.value.whole
  }
  expect(wholeAfter(bytes)).toBe(true)
  for (let bit = 0; bit < bytes.length * 8; bit += bit < 4000 ? 1 : 61) {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7))
    expect(wholeAfter(changed), `bit ${bit}`).toBe(false)
  }
  const first = encodeSegmentHeader(segment)
  for (let bit = 0; bit < first.length * 8; bit += bit < 1300 ? 1 : 61) {
    const changed = Uint8Array.from(first)
    changed[bit >> 3] = changed[bit >> 3]! ^ (1 << (bit & 7))
    expect(decodeSegmentHeader(changed)._tag, `bit ${bit}`).toBe("Invalid")
  }
})

test("wal format: any bytes at all decode to a value or an error", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), (bytes) => {
    expect(["Ok", "Invalid", "Unknown"]).toContain(decodeSegmentHeader(bytes)._tag)
    expect(["Ok", "Invalid", "Unknown"]).toContain(decodeBatchHeader(bytes, place)._tag)
    expect(["Ok", "Invalid", "Unknown"]).toContain(decodeRecordHeader(bytes)._tag)
  }), { numRuns: 500 })
})

test("wal format: headers with any fields under a right checksum never lead outside their bytes", () => {
  const field = fc.record({ at: fc.integer({ min: 8, max: 167 }), value: fc.integer({ min: 0, max: 255 }) })
  const record = fc.record({ at: fc.integer({ min: 5, max: 91 }), value: fc.integer({ min: 0, max: 255 }) })
  fc.assert(fc.property(fc.array(field, { maxLength: 6 }), fc.array(record, { maxLength: 6 }), (fields, records) => {
    const bytes = bytesOf(dataBatch)
    const view = new DataView(bytes.buffer)
    for (const { at, value } of fields) bytes[at] = value
    for (const { at, value } of records) bytes[176 + at] = value
    view.setUint32(176 + 92, crc32c(bytes.subarray(176, 176 + 92)))
    view.setUint32(172, crc32c(bytes.subarray(0, 172)))
    const header = decodeBatchHeader(bytes, place)
    if (header._tag !== "Ok" || header.value.length !== bytes.length) return
    const body = decodeBatchBody(header.value, bytes)
    expect(body._tag === "Ok" && fields.length + records.length > 0 && toHex(bytes) !== toHex(bytesOf(dataBatch)), "nothing forged is taken").toBe(false)
  }), { numRuns: 500 })
})

test("wal scan: any bytes behind a segment's header come to an end, whatever the windows", () => {
  const pieces = fc.array(fc.oneof(fc.constant(bytesOf(dataBatch)), fc.uint8Array({ maxLength: 6000 }), fc.constant(new Uint8Array(4096))), { maxLength: 5 })
  fc.assert(fc.property(pieces, (parts) => {
    const file = concatBytes([encodeSegmentHeader(segment), ...parts])
    let [state, commands] = startScan(segment, undefined)
    let reads = 0
    for (let last = commands.at(-1)!; last._tag === "Read"; last = commands.at(-1)!) {
      const { offset, length } = last
      ;[state, commands] = stepScan(state, { offset, length, bytes: file.subarray(offset, offset + length) })
      reads += 1
      expect(reads).toBeLessThan(20)
    }
    expect(["End", "TornTail", "Damaged", "Unknown"]).toContain(commands.at(-1)!._tag)
  }), { numRuns: 200 })
})

test("wal format: names of segments sort as their numbers do, and nothing else is one", () => {
  expect([1, 42, 123_456_789].map(segmentName)).toEqual(["00000001.seg", "00000042.seg", "123456789.seg"])
  expect(["00000001.seg", "123456789.seg"].map(segmentOfName)).toEqual([1, 123_456_789])
  for (const name of ["1.seg", "00000000.seg", "000000001.seg", "00000001.seg.bak", "x0000001.seg", "0000000a.seg"]) {
    expect(segmentOfName(name)).toBeUndefined()
  }
})
