/** Replication's bytes: golden files of version 1, round trips, and decoders fed anything. */
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { fromHex, toHex } from "../../src/base/bytes.ts"
import { hybridTime } from "../../src/base/time.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import { encodeMembershipChange } from "../../src/membership/RecordFormat.ts"
import { FormatError } from "../../src/namespace/Canonical.ts"
import { StateError } from "../../src/namespace/State.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import { commandFormat, decodeAsk, encodeAsk, keptFormat, namedFormat, replyFormat, requestIdOf, requestOf, withKeys } from "../../src/replica/ReplicaFormat.ts"
import { configurationKey, configurationRow, invitedKey, keptKey, levelKey, levelRow, memberKey, membersKey, namedAtKey, namedAtRow, namedKey, namedsKey, namedsRow, revocationsKey, sessionKey, sessionRow, sessionsKey, sessionsRow, settledKey, settledRow, signedRevocationsKey, termKey, termRow, usedKey, usedRow } from "../../src/replica/ReplicaRows.ts"
import type { Ask, Command, Done, Reply, Unstamped } from "../../src/replica/Request.ts"
import { decodePointer, encodePointer } from "../../src/replica/SlotService.ts"
import { put, tenant, vault } from "../namespace/store.ts"

const goldenOf = (name: string): ReadonlyArray<string> => readFileSync(new URL(`./golden/${name}.hex`, import.meta.url), "utf8").trim().split("\n")

const digest = new Uint8Array(32).fill(3)
const change: Unstamped = { format: 1, group: 0, tenant, vault, author: "ada", change: put("things", "k", "v"), request: { session: 17, number: 4, digest } }
const time = hybridTime(1_700_000_000_000, 2)
const configuration = { ...configurationOf(["a", "b"], ["d"]), outgoing: ["a", "c"] }

const commands: ReadonlyArray<Command> = [
  { _tag: "Commit", term: 3, sealed: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 9, 1, 2, 3) }, { _tag: "OpenSession", timeMs: 1_700_000_000_000 }, { _tag: "Settle", timeMs: 1_700_000_000_001 }
]
const asks: ReadonlyArray<Ask> = [
  { _tag: "Propose", change }, { _tag: "OpenSession" }, { _tag: "Settle", timeMs: 12 }, { _tag: "Offer", index: 40 },
  { _tag: "Piece", kind: "base", generation: 7, offset: 4096, lengthBytes: 100 }, { _tag: "Piece", kind: "delta", generation: 8, offset: 0, lengthBytes: 1 }
]
const answers: ReadonlyArray<Done["answer"]> = [
  { _tag: "Done" }, { _tag: "Stored", versionId: "0000000000000009", etag: "e", checksum: { algorithm: "CRC32", value: "AAAAAA==", type: "FULL_OBJECT" } }, { _tag: "Stored", versionId: undefined, etag: "0123456789abcdef0123456789abcdef" },
  { _tag: "Dropped", remaining: true }, { _tag: "Collected", items: 3, bytes: 4, remaining: false }, { _tag: "Refused", refusal: "PreconditionFailed" }
]
const deleted: Done = { sequence: 9, time, answer: { _tag: "Deleted", outcomes: [{ key: "k", deleteMarker: true, deleteMarkerVersionId: "0000000000000009" }, { key: "l", versionId: "null", deleteMarker: false, refusal: "PreconditionFailed" }] } }
const replies: ReadonlyArray<Reply> = [
  ...answers.map((answer): Reply => ({ _tag: "Done", sequence: 9, time, answer })), { _tag: "Opened", session: 17 }, { _tag: "Settled" }, { _tag: "Again", reason: "NotLeader", leader: "b" }, { _tag: "Again", reason: "Settling" },
  { _tag: "Again", reason: "Busy" }, { _tag: "Again", reason: "Stale" }, { _tag: "Again", reason: "Unknown" }, { _tag: "Refused", reason: "Expired" }, { _tag: "Refused", reason: "Forgotten" },
  { _tag: "Refused", reason: "Misused" }, { _tag: "Unavailable", reason: "DiskFull", detail: "full" },
  { _tag: "Offered", generation: 8, files: [{ kind: "base", generation: 7, sizeBytes: 5000, identity: digest }, { kind: "delta", generation: 8, sizeBytes: 60, identity: digest }] },
  { _tag: "Piece", bytes: Uint8Array.of(1, 2, 3) }, { _tag: "Gone" }
]
const rows: ReadonlyArray<readonly [string, Uint8Array]> = [
  [termKey, termRow.encode({ term: 3 })], [configurationKey, configurationRow.encode(configuration)], [settledKey, settledRow.encode({ timeMs: 12 })], [sessionsKey, sessionsRow.encode({ count: 2 })],
  [sessionKey(17), sessionRow.encode({ usedMs: 60_000, high: 4 })], [usedKey(60_000, 17), usedRow.encode({ session: 17 })], [keptKey(17, 4), keptFormat.encode({ digest, done: { sequence: 9, time, answer: { _tag: "Done" } } })],
  [keptKey(17, 5), keptFormat.encode({ digest, done: deleted })]
]
const pointer = { slot: 1, founding: configuration } as const

test("replica format 1: commands, asks, replies, rows and the file of the slot are the bytes that they always were, and what golden files say is read back from them", () => {
  expect(commands.map(commandFormat.encode).map(toHex)).toEqual(goldenOf("commands-1"))
  expect(asks.map((ask) => toHex(encodeAsk(ask)!))).toEqual(goldenOf("asks-1"))
  expect(replies.map(replyFormat.encode).map(toHex)).toEqual(goldenOf("replies-1"))
  expect(rows.map(([key, value]) => `${Buffer.from(key, "latin1").toString("hex")} ${toHex(value)}`)).toEqual(goldenOf("rows-1"))
  expect([toHex(encodePointer(pointer))]).toEqual(goldenOf("current-1"))
  expect(goldenOf("commands-1").map((hex) => commandFormat.decode(fromHex(hex)))).toEqual(commands)
  expect(goldenOf("asks-1").map((hex) => decodeAsk(fromHex(hex)))).toEqual(asks)
  expect(goldenOf("replies-1").map((hex) => replyFormat.decode(fromHex(hex)))).toEqual(replies)
  expect(goldenOf("current-1").map((hex) => decodePointer(fromHex(hex)))).toEqual([pointer])
})

/** What came later, under new numbers: the bytes before it stay as they are. */
const leaving = encodeMembershipChange({ _tag: "Leaving", node: "5a".repeat(32) as NodeId, isForced: true })
const membersCommand: Command = { _tag: "Members", bytes: leaving }
const membersAsk: Ask = { _tag: "Members", bytes: leaving }
const membersReplies: ReadonlyArray<Reply> = [
  { _tag: "Membered", index: 40 }, { _tag: "MembersRefused", index: 41, what: "message", reason: "Unknown", detail: "no member" }, { _tag: "MembersRefused", index: 0, what: "record", reason: "Full", detail: "" }
]
const memberKeys = [membersKey, memberKey("5a".repeat(32)), invitedKey("6b".repeat(16)), revocationsKey, signedRevocationsKey]

test("replica format 1, members: command, ask, replies and the keys of rows are the bytes that they always were, and read back", () => {
  expect([commandFormat.encode(membersCommand), encodeAsk(membersAsk)!, ...membersReplies.map(replyFormat.encode)].map(toHex)).toEqual(goldenOf("members-1"))
  expect(memberKeys.map((key) => Buffer.from(key, "latin1").toString("hex"))).toEqual(["47", `48${"5a".repeat(32)}`, `49${"6b".repeat(16)}`, "4a", "4b"])
  const [command, ask, ...said] = goldenOf("members-1").map(fromHex)
  expect([commandFormat.decode(command!), decodeAsk(ask!), ...said.map(replyFormat.decode)]).toEqual([membersCommand, membersAsk, ...membersReplies])
})

const name = Uint8Array.from({ length: 32 }, (_, at) => at)
const namedRows: ReadonlyArray<readonly [string, Uint8Array]> = [
  [namedKey(name), namedFormat.encode({ done: { sequence: 9, time, answer: { _tag: "Stored", versionId: "0000000000000009", etag: "e" } } })], [namedAtKey(9), namedAtRow.encode({ timeMs: 1_700_000_000_000, name })],
  [namedsKey, namedsRow.encode({ count: 2 })]
]

test("replica format 1, names: rows, and what an entry has of a request with a name, are the bytes that they always were, and read back", () => {
  const request = { session: 17, number: 4, digest, name }
  const lines = [...namedRows.map(([key, value]) => `${Buffer.from(key, "latin1").toString("hex")} ${toHex(value)}`), `${toHex(requestOf(request).id)} ${toHex(requestOf(request).digest)}`]
  expect(lines).toEqual(goldenOf("named-1"))
  expect(requestIdOf({ ...change, sequence: 1, time: 1n, request: requestOf(request) })).toEqual(request)
  expect(decodeAsk(encodeAsk({ _tag: "Propose", change: { ...change, request } })!)).toEqual({ _tag: "Propose", change: { ...change, request } })
  for (const bytes of [15, 17, 47, 49, 64]) expect(() => requestIdOf({ ...change, sequence: 1, time: 1n, request: { ...requestOf(request), id: new Uint8Array(bytes) } })).toThrow(FormatError)
})

test("replica format: an answer to deletions is kept without its keys, and whole again beside the change that it answers", () => {
  const kept = keptFormat.decode(keptFormat.encode({ digest, done: deleted })).done
  expect(JSON.stringify(kept.answer)).not.toContain("\"k\"")
  expect(withKeys(kept, { _tag: "DeleteObjects", bucket: "things", targets: [{ key: "k" }, { key: "l", versionId: "null" }] })).toEqual(deleted)
  const largest: Done = { sequence: 9, time, answer: { _tag: "Deleted", outcomes: Array.from({ length: 250 }, () => ({ key: "k".repeat(1024), versionId: "0".repeat(20), deleteMarker: true, deleteMarkerVersionId: "1".repeat(20) })) } }
  expect(keptFormat.encode({ digest, done: largest }).length).toBeLessThan(16 * 1024)
})

test("replica format: an entry names session, number and digest, or is none of a replicated log", () => {
  const id = { session: 2 ** 40, number: 7, digest }
  const entry = { ...change, sequence: 1, time: 1n }
  expect(requestIdOf({ ...entry, request: requestOf(id) })).toEqual(id)
  const { request: _, ...without } = entry
  expect(() => requestIdOf(without)).toThrow(FormatError)
  for (const request of [{ ...requestOf(id), id: new Uint8Array(15) }, requestOf({ ...id, number: 0 }), { ...requestOf(id), digest: new Uint8Array(31) }]) expect(() => requestIdOf({ ...entry, request })).toThrow(FormatError)
})

const same = <A>(bytes: Uint8Array, decode: (bytes: Uint8Array) => A, encode: (value: A) => Uint8Array): void => {
  try {
    expect(toHex(encode(decode(bytes)))).toBe(toHex(bytes))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
  }
}

/** What is read is written as the same bytes; all else is a FormatError, or a StateError, and nothing else. */
const holds = (bytes: Uint8Array): void => {
  same(bytes, commandFormat.decode, commandFormat.encode)
  same(bytes, replyFormat.decode, replyFormat.encode)
  same(bytes, decodeAsk, (ask) => encodeAsk(ask)!)
  const found = decodePointer(bytes)
  if (!(found instanceof StateError)) expect(toHex(encodePointer(found))).toBe(toHex(bytes))
}

test("replica format: a change that is asked for is not stamped, or has two ways to be written", () => {
  const propose = goldenOf("asks-1").map(fromHex).find((bytes) => decodeAsk(bytes)._tag === "Propose")!
  // Its time, behind lengths and format.
  const stamped = Uint8Array.from(propose)
  stamped[11] = 1
  expect(() => decodeAsk(stamped)).toThrow(/it is stamped by who leads/)
})

test("replica format: whatever bytes come, decoders read what was written, or say FormatError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), holds), { numRuns: 2000 })
  const golden = ["commands-1", "asks-1", "replies-1", "current-1", "members-1"].flatMap(goldenOf).map(fromHex)
  fc.assert(fc.property(fc.constantFrom(...golden), fc.nat(), fc.nat(255), fc.nat(3), (bytes, at, byte, how) => {
    const changed = Uint8Array.from(bytes)
    const index = at % bytes.length
    if (how < 2) changed[index] = byte
    holds(how === 2 ? changed.subarray(0, index) : how === 3 ? Buffer.concat([changed, Uint8Array.of(byte)]) : changed)
  }), { numRuns: 4000 })
})

const levelReply: Reply = { _tag: "Reads", level: 2 }
const raise: Command = { _tag: "Raise", level: 300 }

test("replica format 1, feature levels: command, ask, reply and row are the bytes that they always were, and read back", () => {
  const row = `${Buffer.from(levelKey, "latin1").toString("hex")} ${toHex(levelRow.encode({ level: 2 }))}`
  expect([toHex(commandFormat.encode(raise)), toHex(encodeAsk({ _tag: "Level" })!), toHex(replyFormat.encode(levelReply)), row]).toEqual(goldenOf("levels-1"))
  const [command, ask, reply] = goldenOf("levels-1").slice(0, 3).map(fromHex)
  expect([commandFormat.decode(command!), decodeAsk(ask!), replyFormat.decode(reply!)]).toEqual([raise, { _tag: "Level" }, levelReply])
})
