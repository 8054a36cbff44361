/** Raft's bytes: golden files of version 1, round trips, and decoders fed anything. */
import fc from "fast-check"
import { strictEqual } from "node:assert"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { fromHex, toHex } from "../../src/base/bytes.ts"
import type { GroupId } from "../../src/base/ids.ts"
import { raftMessageBytesMax } from "../../src/base/raftLimits.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Entry } from "../../src/raft/Entry.ts"
import type { MessageBody } from "../../src/raft/Message.ts"
import { RaftFormatError } from "../../src/raft/RaftBytes.ts"
import { decodeMessage, decodeRecord, encodeMessage, encodeRecord, type GroupMessage, type RaftRecord, type StepHead } from "../../src/raft/RaftFormat.ts"

const goldenOf = (name: string): ReadonlyArray<string> => readFileSync(new URL(`./golden/${name}.hex`, import.meta.url), "utf8").trim().split("\n")

const group = "60".repeat(16) as GroupId
const configuration = { ...configurationOf(["a", "b", "c"], ["d"]), outgoing: ["a", "e"] }
const head: StepHead = {
  group, replica: "a", step: 7, records: 4, isTwice: false, hardState: { term: 5, vote: "b" }, snapshotIndex: 40, snapshotTerm: 3, keepTo: 50
}
const entries: ReadonlyArray<Entry> = [
  { index: 51, term: 4, body: { _tag: "Nothing" } },
  { index: 52, term: 5, body: { _tag: "Command", bytes: Uint8Array.of(1, 2, 3) } },
  { index: 53, term: 5, body: { _tag: "Configuration", configuration } }
]
const itemsOf = (of: ReadonlyArray<Entry>) => of.map(({ index, term }) => ({ index, term, isGap: false }))

const records: ReadonlyArray<RaftRecord> = [
  { _tag: "Step", head, ordinal: 0, configuration, items: itemsOf(entries) },
  ...entries.map((entry, at): RaftRecord => ({ _tag: "Entry", head, ordinal: at + 1, entry })),
  {
    _tag: "Step", head: { ...head, step: 8, records: 2, isTwice: true, hardState: { term: 6, vote: undefined } }, ordinal: 1, configuration: configurationOf([]),
    items: [{ index: 41, term: undefined, isGap: true }, { index: 42, term: 3, isGap: true }]
  }
]

const snapshot = { index: 40, term: 3, configuration }
const bodies: ReadonlyArray<MessageBody> = [
  { _tag: "RequestVote", pre: true, lastIndex: 9, lastTerm: 4, transfer: false },
  { _tag: "Vote", pre: false, granted: true },
  { _tag: "Append", previousIndex: 50, previousTerm: 4, entries, commit: 49, round: 12 },
  { _tag: "Appended", match: 50, received: 53, damagedTo: 60, round: 12 },
  { _tag: "Refused", previousIndex: 50, hintIndex: 48, hintTerm: 3, damagedTo: undefined, round: 12 },
  { _tag: "Heard", round: 3 },
  { _tag: "Offer", snapshot, round: 12 },
  { _tag: "TimeoutNow" },
  { _tag: "ReadAsked", read: 77 },
  { _tag: "ReadAnswered", read: 77, index: undefined },
  { _tag: "EntriesWanted", from: 41, to: 60 },
  { _tag: "EntriesFound", from: 51, terms: [4, 5, 5, 5], entries },
  { _tag: "StateFound", snapshot }
]
const messages = bodies.map((body): GroupMessage => ({ group, message: { from: "a", to: "b", term: 5, body } }))

test("raft format 1: records and messages are the bytes that they always were, and what golden files say is read back from them", () => {
  expect(records.map(encodeRecord).map(toHex)).toEqual(goldenOf("records-1"))
  expect(messages.map(encodeMessage).map(toHex)).toEqual(goldenOf("messages-1"))
  expect(goldenOf("records-1").map((hex) => decodeRecord(fromHex(hex)))).toEqual(records)
  expect(goldenOf("messages-1").map((hex) => decodeMessage(fromHex(hex)))).toEqual(messages)
})

const number = fc.oneof(fc.nat(1000), fc.maxSafeNat())
const id = fc.oneof(fc.constantFrom("a", "b", "c", "ab".repeat(16)), fc.string({ minLength: 1, maxLength: 16 }))
const ids = fc.uniqueArray(id, { maxLength: 5 }).map((some) => some.sort())
const anyConfiguration = fc.record({ voters: ids, outgoing: ids, learners: ids }).map(({ learners, outgoing, voters }) =>
  ({ voters, outgoing, learners: learners.filter((one) => !voters.includes(one)) }))
const anyGroup = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => toHex(bytes) as GroupId)
const anyBody = fc.oneof(
  fc.constant({ _tag: "Nothing" as const }),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ _tag: "Command" as const, bytes: Uint8Array.from(bytes) })),
  anyConfiguration.map((one) => ({ _tag: "Configuration" as const, configuration: one }))
)
const index = fc.integer({ min: 1, max: 2 ** 40 })
const anyEntries = fc.record({ from: index, bodies: fc.array(anyBody, { maxLength: 6 }), term: fc.nat(1000) }).map(({ bodies: some, from, term }) =>
  some.map((body, at): Entry => ({ index: from + at, term: term + at, body })))
const optional = fc.option(number, { nil: undefined })
const anySnapshot = fc.record({ index: number, term: number, configuration: anyConfiguration })

const anyMessageBody: fc.Arbitrary<MessageBody> = fc.oneof(
  fc.record({ _tag: fc.constant("RequestVote" as const), pre: fc.boolean(), lastIndex: number, lastTerm: number, transfer: fc.boolean() }),
  fc.record({ _tag: fc.constant("Vote" as const), pre: fc.boolean(), granted: fc.boolean() }),
  fc.tuple(anyEntries, number, number).map(([some, commit, round]): MessageBody =>
    ({ _tag: "Append", previousIndex: (some[0]?.index ?? 1) - 1, previousTerm: some[0]?.term ?? 3, entries: some, commit, round })),
  fc.record({ _tag: fc.constant("Appended" as const), match: number, received: number, damagedTo: optional, round: number }),
  fc.record({ _tag: fc.constant("Refused" as const), previousIndex: number, hintIndex: number, hintTerm: number, damagedTo: optional, round: number }),
  fc.record({ _tag: fc.constant("Heard" as const), round: number }),
  fc.record({ _tag: fc.constant("Offer" as const), snapshot: anySnapshot, round: number }),
  fc.constant({ _tag: "TimeoutNow" as const }),
  fc.record({ _tag: fc.constant("ReadAsked" as const), read: number }),
  fc.record({ _tag: fc.constant("ReadAnswered" as const), read: number, index: optional }),
  fc.record({ _tag: fc.constant("EntriesWanted" as const), from: number, to: number }),
  fc.tuple(anyEntries, fc.array(number, { maxLength: 5 })).map(([some, more]): MessageBody =>
    ({ _tag: "EntriesFound", from: some[0]?.index ?? 1, terms: [...some.map(({ term }) => term), ...more], entries: some })),
  fc.record({ _tag: fc.constant("StateFound" as const), snapshot: anySnapshot })
)

const anyMessage = fc.record({ group: anyGroup, message: fc.record({ from: id, to: id, term: number, body: anyMessageBody }) })

const anyHead = fc.record({
  group: anyGroup, replica: id, step: fc.integer({ min: 1, max: 2 ** 40 }), hardState: fc.record({ term: number, vote: fc.option(id, { nil: undefined }) }),
  snapshotIndex: number, snapshotTerm: number, keepTo: number
})

const anyRecord: fc.Arbitrary<RaftRecord> = fc.tuple(anyHead, anyEntries, fc.boolean(), anyConfiguration, fc.array(fc.tuple(index, optional), { maxLength: 3 }), fc.nat(10)).map(
  ([some, of, isTwice, where, gaps, pick]) => {
    const full: StepHead = { ...some, isTwice, records: of.length + (isTwice ? 2 : 1) }
    const ordinal = pick % full.records
    const entry = of[ordinal - 1]
    if (entry !== undefined) return { _tag: "Entry", head: full, ordinal, entry }
    return { _tag: "Step", head: full, ordinal, configuration: where, items: [...itemsOf(of), ...gaps.map(([at, term]) => ({ index: at, term, isGap: true }))] }
  })

test("raft format: any record and any message is read back as it was written", () => {
  fc.assert(fc.property(anyRecord, (record) => { expect(decodeRecord(encodeRecord(record))).toEqual(record) }), { numRuns: 1000 })
  fc.assert(fc.property(anyMessage, (message) => { expect(decodeMessage(encodeMessage(message))).toEqual(message) }), { numRuns: 1000 })
})

test("raft format: any bytes decode to a value, which is written as those bytes, or to an error", () => {
  const judge = <A>(decode: (bytes: Uint8Array) => A | RaftFormatError, encode: (value: A) => Uint8Array, bytes: Uint8Array): void => {
    const decoded = decode(bytes)
    if (!(decoded instanceof RaftFormatError)) strictEqual(toHex(encode(decoded)), toHex(bytes))
  }
  const hurt = (bytes: Uint8Array, at: number, byte: number, cut: number): Uint8Array => {
    const changed = Uint8Array.from(bytes)
    changed[at % changed.length] = byte
    return cut === 0 ? changed : changed.subarray(0, cut % changed.length)
  }
  const harm = [fc.nat(2000), fc.nat(255), fc.oneof(fc.constant(0), fc.nat(2000))] as const
  fc.assert(fc.property(anyRecord, ...harm, (record, ...how) => judge(decodeRecord, encodeRecord, hurt(encodeRecord(record), ...how))), { numRuns: 2000 })
  fc.assert(fc.property(anyMessage, ...harm, (message, ...how) => judge(decodeMessage, encodeMessage, hurt(encodeMessage(message), ...how))), { numRuns: 2000 })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
    judge(decodeRecord, encodeRecord, bytes)
    judge(decodeMessage, encodeMessage, bytes)
  }), { numRuns: 2000 })
})

test("raft format: another version or kind is Unknown, lengths are checked before anything is made of them, and bytes too many are refused", () => {
  const patched = (bytes: Uint8Array, at: number, value: number): Uint8Array => Uint8Array.from(bytes, (byte, place) => place === at ? value : byte)
  const [step] = records.map(encodeRecord)
  const [vote, , append] = messages.map(encodeMessage)
  for (const at of [0, 1]) {
    expect(decodeRecord(patched(step!, at, 9))).toMatchObject({ reason: "Unknown", offset: at + (at === 0 ? 1 : decodeOffset) })
    expect(decodeMessage(patched(vote!, at, 99))).toMatchObject({ reason: "Unknown", offset: at + 1 })
  }
  // The count of an Append's entries says four thousand millions.
  const countAt = 2 + 16 + 2 + 2 + 8 + 4 * 8
  expect(decodeMessage(Uint8Array.from(append!, (byte, place) => place >= countAt && place < countAt + 4 ? 255 : byte))).toMatchObject({ reason: "Invalid", detail: expect.stringContaining("4294967295") })
  expect(decodeMessage(Uint8Array.from([...vote!, 0]))).toMatchObject({ reason: "Invalid", detail: expect.stringContaining("too many") })
  expect(decodeMessage(new Uint8Array(raftMessageBytesMax + 1))).toMatchObject({ reason: "Invalid", detail: expect.stringContaining("at most") })
})

/** A record's head is read before its kind is judged. */
const decodeOffset = 2 + 16 + 2 + 8 + 4 + 4 + 1 + 8 + 2 + 3 * 8 - 1
