/** The machine of a replica, entry by entry: what counts, what does not, and what is remembered. */
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { describe, expect, it } from "vitest"
import { hybridTime, millisOf } from "../../src/base/time.ts"
import { applyMembership, type MembershipChange, type MembershipRecord } from "../../src/membership/Membership.ts"
import { encodeMembershipChange, encodeMembershipRecord } from "../../src/membership/RecordFormat.ts"
import { encodeRecord } from "../../src/membership/Wire.ts"
import { FormatError } from "../../src/namespace/Canonical.ts"
import { entryFormat } from "../../src/namespace/Entry.ts"
import { sealEntry } from "../../src/namespace/LoggedEntry.ts"
import type { RowChange, Stamp } from "../../src/namespace/State.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Entry } from "../../src/raft/Entry.ts"
import { applyEntry, indexOf, settledOf, termOf } from "../../src/replica/ReplicaApply.ts"
import { commandFormat, requestOf } from "../../src/replica/ReplicaFormat.ts"
import { recordOf } from "../../src/replica/MembersTable.ts"
import { invitedKey, memberKey, type SessionRules } from "../../src/replica/ReplicaRows.ts"
import type { Command, Reply } from "../../src/replica/Request.ts"
import { namedCount } from "../../src/replica/NamedAnswers.ts"
import { featureLevels } from "../../src/replica/FeatureLevel.ts"
import { countOf } from "../../src/replica/Sessions.ts"
import { good, nowMs, sceneOf } from "../membership/fixtures.ts"
import { admissionOf, foundingOf, removalOf } from "../membership/story.ts"
import { MemoryRows } from "../namespace/MemoryState.ts"
import { context, create, put, tenant, testSealer, vault } from "../namespace/store.ts"

const rules: SessionRules = { window: 4, sessionsMax: 3, idleMs: 10_000, touchMs: 10, namedMax: 3, namedMs: 5000 }
const digest = new Uint8Array(32).fill(3)

/** One replica's rows, and a log that a test writes. */
class Log {
  readonly rows = new MemoryRows()
  stamp: Stamp = { sequence: 0, time: 0n, wal: { segment: 0, offset: 0 } }
  term = 1
  nowMs = 1_000_000
  /** By the last entry. */
  written: ReadonlyArray<RowChange> = []
  told: MembershipRecord | undefined
  #index = 0

  entry(body: Entry["body"]): Reply {
    this.#index += 1
    const { members, reply, rows, stamp } = applyEntry(this.rows, this.stamp, { index: this.#index, term: this.term, body }, { ...context, sealer: testSealer, sessions: rules, levels: featureLevels })
    this.rows.write(rows)
    this.written = rows
    this.told = members ?? this.told
    this.stamp = stamp
    return reply
  }

  members(change: MembershipChange): Reply {
    return this.command({ _tag: "Members", bytes: encodeMembershipChange(change) })
  }

  command(command: Command): Reply {
    return this.entry({ _tag: "Command", bytes: commandFormat.encode(command) })
  }

  open(): number {
    const reply = this.command({ _tag: "OpenSession", timeMs: this.nowMs })
    ok(reply._tag === "Opened")
    return reply.session
  }

  put(session: number, number: number, text: string, said: { readonly term?: number; readonly sequence?: number; readonly time?: bigint; readonly digest?: Uint8Array; readonly name?: Uint8Array } = {}): Reply {
    this.nowMs += 1
    const entry = {
      format: entryFormat, group: 0, tenant, vault, author: "ada", change: number === 0 ? create("things", 1) : put("things", "k", text),
      sequence: said.sequence ?? this.stamp.sequence + 1, time: said.time ?? hybridTime(this.nowMs, 0), request: requestOf({ session, number: Math.max(1, number), digest: said.digest ?? digest, ...(said.name === undefined ? {} : { name: said.name }) })
    }
    return this.command({ _tag: "Commit", term: said.term ?? this.term, sealed: sealEntry(testSealer, entry)! })
  }

  /** What a test compares: all that a replica has but its place. */
  all(): ReadonlyArray<unknown> {
    return [...this.rows.rows.toArray().map(([key, value]) => [key, Buffer.from(value).toString("hex")]), this.stamp.sequence, this.stamp.time]
  }
}

const begun = (): { readonly log: Log; readonly session: number } => {
  const log = new Log()
  log.entry({ _tag: "Nothing" })
  const session = log.open()
  strictEqual(log.put(session, 0, "")._tag, "Done")
  return { log, session }
}

const stale: Reply = { _tag: "Again", reason: "Stale" }

describe("replica's machine: what an entry says decides whether it counts", () => {
  it("a commit of another sequence, another term, or no later time changes nothing but the place", () => {
    const { log, session } = begun()
    const before = log.all()
    deepStrictEqual(log.put(session, 2, "x", { sequence: log.stamp.sequence }), stale)
    deepStrictEqual(log.put(session, 2, "x", { sequence: log.stamp.sequence + 2 }), stale)
    deepStrictEqual(log.put(session, 2, "x", { term: 2 }), stale)
    deepStrictEqual(log.put(session, 2, "x", { time: log.stamp.time }), stale)
    deepStrictEqual(log.all(), before)
    strictEqual(indexOf(log.stamp), 7)
    strictEqual(log.put(session, 2, "x")._tag, "Done")
  })

  it("terms and configurations are rows like all others, and move no sequence", () => {
    const { log } = begun()
    log.term = 5
    const { sequence } = log.stamp
    log.entry({ _tag: "Configuration", configuration: configurationOf(["a", "b"]) })
    strictEqual(termOf(log.rows), 5)
    strictEqual(log.stamp.sequence, sequence)
  })

  it("once a time is settled no commit has it or an earlier one, and none is unsettled again", () => {
    const { log, session } = begun()
    deepStrictEqual(log.command({ _tag: "Settle", timeMs: log.nowMs + 500 }), { _tag: "Settled" })
    log.command({ _tag: "Settle", timeMs: log.nowMs })
    strictEqual(settledOf(log.rows), log.nowMs + 500)
    deepStrictEqual(log.put(session, 2, "x", { time: hybridTime(log.nowMs + 501, 0) - 1n }), stale)
    deepStrictEqual(log.put(session, 2, "x", { time: hybridTime(settledOf(log.rows)!, 0xffff) }), stale)
    strictEqual(log.put(session, 2, "x", { time: hybridTime(settledOf(log.rows)! + 1, 0) })._tag, "Done")
  })
})

describe("replica's machine: the record of members is rows", () => {
  const house = sceneOf(1)
  const record = foundingOf(house, house.node(2))
  const second = house.node(3)
  const story: ReadonlyArray<MembershipChange> = [{ _tag: "Founded", record }, ...admissionOf(house, second, house.token(5)), { _tag: "Invited", token: house.token(6), isApproved: false, atMs: nowMs }]

  it("after each change the rows say what the change comes to; only what changed is written, and no commit is counted", () => {
    const { log } = begun()
    const { sequence, time } = log.stamp
    let expected: MembershipRecord | undefined
    const written = story.map((change) => {
      expected = good(applyMembership(expected, change))
      deepStrictEqual(log.members(change), { _tag: "Membered", index: indexOf(log.stamp) })
      deepStrictEqual(encodeMembershipRecord(recordOf(log.rows)!), encodeMembershipRecord(expected))
      deepStrictEqual(log.told, expected)
      return log.written.map(([key, value]) => `${key.charCodeAt(0).toString(16)}${value === undefined ? "-" : ""}`)
    })
    deepStrictEqual(written, [["47", "48", "4a", "4b"], ["49"], ["49"], ["47", "48"], ["49"]])
    const gone = removalOf(house, expected!, second)
    log.members(gone)
    deepStrictEqual(log.written.map(([key, value]) => [key.slice(0, 3), value === undefined]), [["\x47", false], [memberKey(second.id).slice(0, 3), true], [invitedKey(house.token(5).id).slice(0, 3), false], ["\x4a", false], ["\x4b", false]])
    deepStrictEqual([log.stamp.sequence, log.stamp.time], [sequence, time])
  })

  it("a change that is made again, or refused, writes no row, tells nobody, and answers with its place", () => {
    const { log } = begun()
    const early = log.members(story[1]!)
    ok(early._tag === "MembersRefused" && early.reason === "NotYet" && early.index === indexOf(log.stamp))
    for (const change of story.slice(0, 2)) for (const again of [false, true]) {
      log.told = undefined
      deepStrictEqual([log.members(change)._tag, log.written.length === 0, log.told === undefined], ["Membered", again, again])
    }
    const before = log.all()
    const reply = log.members({ _tag: "Leaving", node: second.id, isForced: true })
    deepStrictEqual({ ...reply, detail: "" }, { _tag: "MembersRefused", index: indexOf(log.stamp), what: "message", reason: "Unknown", detail: "" })
    deepStrictEqual(log.all(), before)
  })

  it("a change, or rows, that this program cannot read stop it (R9)", () => {
    const { log } = begun()
    expect(() => log.command({ _tag: "Members", bytes: encodeRecord([2, "of a newer program"]) })).toThrow(/version 2/)
    log.members(story[0]!)
    log.rows.write([[memberKey("00".repeat(32)), Uint8Array.of(1)]])
    expect(() => log.members(story[1]!)).toThrow(FormatError)
  })
})

describe("replica's machine: a request is done once", () => {
  it("the same request again has the same answer, and changes nothing", () => {
    const { log, session } = begun()
    const first = log.put(session, 2, "x")
    const before = log.all()
    expect(log.put(session, 2, "x")).toEqual(first)
    deepStrictEqual(log.all(), before)
    deepStrictEqual(log.put(session, 2, "x", { digest: new Uint8Array(32) }), { _tag: "Refused", reason: "Misused" })
  })

  const nameOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)

  it("what was done under a name is not done again, in no session and with no content, and has its answer; its session's window does not end it", () => {
    const { log, session } = begun()
    const first = log.put(session, 2, "x", { name: nameOf(7) })
    ok(first._tag === "Done" && first.answer._tag === "Stored")
    const other = log.open()
    const before = log.all()
    expect(log.put(other, 1, "another body", { name: nameOf(7) })).toEqual(first)
    deepStrictEqual(log.all(), before)
    for (let number = 3; number < 9; number += 1) log.put(session, number, "later")
    deepStrictEqual(log.put(session, 2, "x"), { _tag: "Refused", reason: "Forgotten" })
    expect(log.put(session, 9, "x", { name: nameOf(7) })).toEqual(first)
    const { sequence } = log.stamp
    strictEqual(log.put(other, 1, "another name", { name: nameOf(8) })._tag, "Done")
    strictEqual(log.stamp.sequence, sequence + 1)
  })

  it("what was refused under a name changed nothing, and may come true when it is asked for again", () => {
    const log = new Log()
    const session = log.open()
    const first = log.put(session, 1, "no bucket", { name: nameOf(7) })
    ok(first._tag === "Done" && first.answer._tag === "Refused")
    strictEqual(namedCount(log.rows), 0)
    strictEqual(log.put(log.open(), 0, "")._tag, "Done")
    const second = log.put(session, 2, "no bucket", { name: nameOf(7) })
    ok(second._tag === "Done" && second.answer._tag === "Stored")
    strictEqual(namedCount(log.rows), 1)
  })

  it("so many names are kept, the oldest goes first; and those whose time is over, two with each that comes", () => {
    const { log, session } = begun()
    const kept = (): ReadonlyArray<number> => log.rows.rows.keysArray().filter((key) => key.startsWith("\x4c")).map((key) => key.charCodeAt(1))
    const counted = (): void => {
      strictEqual(namedCount(log.rows), kept().length)
      strictEqual(log.rows.rows.keysArray().filter((key) => key.startsWith("\x4d")).length, kept().length)
    }
    for (let name = 1; name <= 5; name += 1) {
      log.put(session, 1 + name, "x", { name: nameOf(name) })
      counted()
    }
    deepStrictEqual(kept(), [3, 4, 5])
    const { sequence } = log.stamp
    strictEqual(log.put(session, 7, "again", { name: nameOf(3) })._tag, "Done")
    strictEqual(log.stamp.sequence, sequence)
    log.put(session, 7, "forgotten", { name: nameOf(1) })
    strictEqual(log.stamp.sequence, sequence + 1)
    deepStrictEqual(kept(), [1, 4, 5])
    log.nowMs += rules.namedMs
    log.put(session, 8, "x", { name: nameOf(9) })
    deepStrictEqual(kept(), [1, 9])
    counted()
    log.put(session, 9, "x", { name: nameOf(10) })
    deepStrictEqual(kept(), [9, 10])
    counted()
  })

  it("a refused change is an answer like any other", () => {
    const log = new Log()
    const session = log.open()
    const first = log.put(session, 1, "no bucket")
    ok(first._tag === "Done" && first.answer._tag === "Refused")
    strictEqual(log.put(log.open(), 0, "")._tag, "Done")
    expect(log.put(session, 1, "no bucket"), "although there is one now").toEqual(first)
  })

  it("numbers come in any order within the window; before it they are refused, whether or not they were done", () => {
    const { log, session } = begun()
    strictEqual(log.put(session, 5, "five")._tag, "Done")
    strictEqual(log.put(session, 3, "three")._tag, "Done")
    strictEqual(log.put(session, 4, "four")._tag, "Done")
    for (const number of [3, 4, 5]) strictEqual(log.put(session, number, "again")._tag, "Done")
    const { sequence } = log.stamp
    strictEqual(log.put(session, 9, "nine")._tag, "Done")
    for (const number of [2, 3, 4, 5]) deepStrictEqual(log.put(session, number, "late"), { _tag: "Refused", reason: "Forgotten" })
    strictEqual(log.stamp.sequence, sequence + 1)
    strictEqual(log.put(session, 6, "six")._tag, "Done")
    const kept = log.rows.rows.keysArray().filter((key) => key.startsWith("\x46"))
    strictEqual(kept.length, 2)
  })

  it("the session used longest ago goes where there are too many; under it nothing runs, and its id never comes back", () => {
    const { log, session } = begun()
    const second = log.open()
    log.nowMs += 100
    strictEqual(log.put(session, 2, "still used")._tag, "Done")
    const others = [log.open(), log.open()]
    strictEqual(countOf(log.rows), 3)
    deepStrictEqual(log.put(second, 1, "gone"), { _tag: "Refused", reason: "Expired" })
    strictEqual(log.put(session, 3, "there")._tag, "Done")
    ok(!others.includes(second) && new Set([session, second, ...others]).size === 4)
    log.nowMs += 1000
    const later = [log.open(), log.open(), log.open()]
    strictEqual(countOf(log.rows), 3)
    deepStrictEqual(log.put(session, 2, "gone, with its answers"), { _tag: "Refused", reason: "Expired" })
    strictEqual(log.rows.rows.keysArray().filter((key) => key.startsWith("\x46")).length, 0)
    strictEqual(log.put(later[0]!, 1, "new")._tag, "Done")
  })

  it("a session that nobody uses ends by the time of commits, not by anybody's clock", () => {
    const { log, session } = begun()
    const busy = log.open()
    const usedMs = millisOf(log.stamp.time)
    for (let number = 1; log.nowMs < usedMs + rules.idleMs - 1000; number += 1) {
      log.nowMs += 900
      strictEqual(log.put(busy, number, "x")._tag, "Done")
    }
    strictEqual(countOf(log.rows), 2)
    log.nowMs += 5000
    strictEqual(log.put(busy, 100, "x")._tag, "Done")
    strictEqual(countOf(log.rows), 1)
    deepStrictEqual(log.put(session, 2, "too late"), { _tag: "Refused", reason: "Expired" })
    strictEqual(log.put(busy, 101, "x")._tag, "Done")
  })
})
