/** The record of members as bytes, and changes of it that are made twice. */
import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { fromHex, toHex } from "../../src/base/bytes.ts"
import { membersMax } from "../../src/base/clusterLimits.ts"
import { sealAuthorityFor } from "../../src/membership/Authority.ts"
import type { Identity } from "../../src/membership/Identity.ts"
import { addressIn, applyMembership, foundCluster, type MembershipChange, type MembershipRecord, type MemberRow } from "../../src/membership/Membership.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { commonFormat, decodeMembershipChange, decodeMembershipRecord, encodeMembershipChange, encodeMembershipRecord, invitedFormat, memberFormat, revocationsFormat } from "../../src/membership/RecordFormat.ts"
import { revoke, signRevocations } from "../../src/membership/Revocations.ts"
import { encodeRecord } from "../../src/membership/Wire.ts"
import { readCertificate } from "../../src/membership/Certificate.ts"
import { good, joinAskOf, noise, nowMs, reasonOf, sceneOf } from "./fixtures.ts"

const scene = sceneOf(1)
const { authority, cluster, pairs } = scene
const [first, second, third] = [scene.node(2), scene.node(3), scene.node(4)] as const
const record = foundCluster({ pairs, cluster, identity: first, authoritySeed: scene.seed, serials: [noise(9)(16), noise(10)(16)], name: "cellar", addresses: ["[fd00::1]:9444"], nowMs })

const token = scene.token(5)
const invited: MembershipChange = { _tag: "Invited", token, isApproved: false, atMs: nowMs }
const asked: MembershipChange = { _tag: "JoinAsked", node: second.id, ask: joinAskOf(scene, second, token), atMs: nowMs }
const approved: MembershipChange = { _tag: "Decided", node: second.id, standing: "Approved" }
// Certificates of one scene differ by their serials: these are made once, in this order, and golden.
const certificate = scene.certify(second)
const sealedTo = (identity: Identity): Uint8Array => good(sealAuthorityFor(pairs, cluster, scene.seed, identity.shown))
const admitted: MembershipChange = { _tag: "Admitted", node: second.id, token: token.id, certificate, sealedAuthority: sealedTo(second) }
const renewal = scene.certify(second)
const renewed: MembershipChange = { _tag: "Renewed", node: second.id, certificate: renewal }
const moved = { _tag: "Moved", node: second.id, addresses: ["elsewhere.example:9444"] } as const satisfies MembershipChange
const leaving: MembershipChange = { _tag: "Leaving", node: second.id, isForced: true }
const revocations = good(revoke(record.revocations, good(readCertificate(certificate)), nowMs))
const gone: MembershipChange = { _tag: "Gone", node: second.id, revocations, signedRevocations: signRevocations(authority, revocations) }
const story = [{ _tag: "Founded", record }, invited, asked, approved, admitted, renewed, leaving, gone] as const satisfies ReadonlyArray<MembershipChange>

/** The record after each change of the story. */
const records: ReadonlyArray<MembershipRecord> = story.reduce<ReadonlyArray<MembershipRecord>>((before, change) => [...before, good(applyMembership(before.at(-1), change))], [])
const inside = records[4]!

const goldenOf = (name: string): ReadonlyArray<string> => readFileSync(new URL(`./golden/${name}`, import.meta.url), "utf8").trim().split("\n")
const changed = (before: MembershipRecord | undefined, change: MembershipChange): MembershipRecord => good(applyMembership(before, change))

describe("record of members", () => {
  it("record format 1: the record after each change of a story, its parts, and the changes are the bytes that they always were, and are read back", () => {
    const leaves = records[6]!
    const parts = [memberFormat.encode([second.id, leaves.members.get(second.id)!]), invitedFormat.encode(leaves.book.invited.get(token.id)!), commonFormat.encode(leaves), revocationsFormat.encode(records[7]!.revocations)]
    expect(records.slice(6).map(encodeMembershipRecord).map(toHex)).toEqual(goldenOf("records.v1.hex"))
    expect(story.map(encodeMembershipChange).map(toHex)).toEqual(goldenOf("changes.v1.hex"))
    expect(parts.map(toHex)).toEqual(goldenOf("record-parts.v1.hex"))
    expect(goldenOf("records.v1.hex").map((hex) => decodeMembershipRecord(fromHex(hex)))).toEqual(records.slice(6))
    expect(goldenOf("changes.v1.hex").map((hex) => decodeMembershipChange(fromHex(hex)))).toEqual(story)
    const [member, entry, common, list] = goldenOf("record-parts.v1.hex").map(fromHex) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array]
    expect(memberFormat.decode(member)).toEqual([second.id, leaves.members.get(second.id)])
    expect(invitedFormat.decode(entry)).toEqual(leaves.book.invited.get(token.id))
    expect(commonFormat.decode(common)).toEqual({ cluster, epoch: 2, authority: record.authority })
    expect(revocationsFormat.decode(list)).toEqual(revocations)
  })

  it("record format 1: that a member has moved is the bytes that it always was, and is read back", () => {
    expect([toHex(encodeMembershipChange(moved))]).toEqual(goldenOf("changes-moved.v1.hex"))
    expect(decodeMembershipChange(fromHex(goldenOf("changes-moved.v1.hex")[0]!))).toEqual(moved)
  })

  it("changes: who has moved is found elsewhere, in a later epoch, and is who he was; said again it changes nothing; nowhere is no place", () => {
    const before = records[5]!
    const after = changed(before, moved)
    expect(after.epoch).toBe(before.epoch + 1)
    expect(addressIn(after, second.id)).toEqual({ host: "elsewhere.example", port: 9444 })
    const { member, ...rest } = before.members.get(second.id)!
    expect(after.members.get(second.id)).toEqual({ ...rest, member: { ...member, addresses: moved.addresses } })
    expect(changed(after, moved)).toBe(after)
    expect(reasonOf(applyMembership(before, { ...moved, node: third.id }))).toBe("Unknown")
    expect([[], ["elsewhere.example"], ["a:1", "b:0"]].map((addresses) => reasonOf(applyMembership(before, { ...moved, addresses })))).toEqual(["Malformed", "Malformed", "Malformed"])
  })

  it("record format: one record has one form, whoever came first", () => {
    const rowOf = (identity: Identity): MemberRow => ({ ...inside.members.get(second.id)!, member: { ...inside.members.get(second.id)!.member, identity: joinAskOf(scene, identity, token).identity } })
    const some = [first, second, third].map((identity) => [identity.id, rowOf(identity)] as const)
    const forth = encodeMembershipRecord({ ...inside, members: new Map(some) })
    expect(toHex(encodeMembershipRecord({ ...inside, members: new Map(some.toReversed()) }))).toBe(toHex(forth))
    expect([...good(decodeMembershipRecord(forth)).members.keys()]).toEqual(some.map(([id]) => id).sort())
    // Members that stand in another order, or twice, are no record.
    const stored = (members: ReadonlyArray<unknown>): Uint8Array => encodeRecord([1, {
      common: { authority: record.authority, cluster, epoch: 1 }, invited: [], members, revocations: record.revocations, signedRevocations: record.signedRevocations
    }])
    const rows = [...inside.members].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { earlier, leaving: going, token: under, ...row }]) => ({ ...row, earlier: earlier ?? null, leaving: going ?? null, token: under ?? null }))
    expect(good(decodeMembershipRecord(stored(rows))).members.size).toBe(2)
    expect([rows.toReversed(), [rows[0], rows[0]], []].map((members) => reasonOf(decodeMembershipRecord(stored(members))))).toEqual(["Malformed", "Malformed", "Malformed"])
  })

  it("record format: of a newer program, longer than its bound, or with an id that is not its identity's: said, and never written", () => {
    expect(reasonOf(decodeMembershipRecord(encodeRecord([2, { all: "new" }])))).toBe("UnknownFormat")
    expect(reasonOf(decodeMembershipChange(encodeRecord([2, 5])))).toBe("UnknownFormat")
    expect(reasonOf(decodeMembershipChange(new Uint8Array(2 ** 21)))).toBe("Malformed")
    expect(() => encodeMembershipRecord({ ...record, members: new Map([[second.id, record.members.get(first.id)!]]) })).toThrow(/has its identity/)
    expect(() => encodeMembershipChange({ ...asked, node: third.id })).toThrow(/has its identity/)
  })

  it("record format: a full house with a full list of what was taken back has room in its bounds", () => {
    const entries = Array.from({ length: 4096 }, (_, at) => ({ serial: at.toString(16).padStart(32, "f"), node: second.id, untilMs: Number.MAX_SAFE_INTEGER }))
    const most = { cluster, number: Number.MAX_SAFE_INTEGER, entries }
    expect(encodeMembershipChange({ _tag: "Gone", node: second.id, revocations: most, signedRevocations: signRevocations(authority, most) }).length).toBeLessThan(1.25 * 2 ** 20)
    expect(revocationsFormat.encode(most).length).toBeLessThan(2 ** 20)
    const large: MemberRow = {
      ...inside.members.get(second.id)!, certificate: new Uint8Array(16_384), earlier: new Uint8Array(16_384),
      member: { ...inside.members.get(second.id)!.member, name: "ä".repeat(64), addresses: Array.from({ length: 8 }, () => "ä".repeat(255)) }
    }
    expect(membersMax * memberFormat.encode([second.id, large]).length).toBeLessThan(12 * 2 ** 20)
  })

  it("record format: whatever bytes come, they are read as what was written, or are none", () => {
    const holds = (bytes: Uint8Array): void => {
      const [whole, change] = [decodeMembershipRecord(bytes), decodeMembershipChange(bytes)]
      expect(toHex(whole instanceof MembershipError ? bytes : encodeMembershipRecord(whole))).toBe(toHex(bytes))
      expect(toHex(change instanceof MembershipError ? bytes : encodeMembershipChange(change))).toBe(toHex(bytes))
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), holds), { numRuns: 1000 })
    const golden = [goldenOf("records.v1.hex").at(-1)!, ...goldenOf("changes.v1.hex").slice(1)].map(fromHex)
    fc.assert(fc.property(fc.constantFrom(...golden), fc.nat(), fc.nat(255), fc.nat(3), (bytes, at, byte, how) => {
      const other = Uint8Array.from(bytes)
      const index = at % bytes.length
      if (how < 2) other[index] = byte
      holds(how === 2 ? other.subarray(0, index) : how === 3 ? Buffer.concat([other, Uint8Array.of(byte)]) : other)
    }), { numRuns: 2000 })
  })

  it("changes: each of a story is harmless when it is made twice in a row; that one has gone is refused", () => {
    expect(story.slice(0, -1).map((change, at) => toHex(encodeMembershipRecord(changed(records[at], change))))).toEqual(records.slice(0, -1).map((before) => toHex(encodeMembershipRecord(before))))
    expect(reasonOf(applyMembership(records[7], gone))).toBe("Unknown")
    // What was said of the certificate before the last, too: a renewal that came late pushes none out.
    expect(records[5]!.members.get(second.id)).toMatchObject({ certificate: renewal, earlier: certificate })
    expect(changed(records[5], { _tag: "Renewed", node: second.id, certificate })).toBe(records[5])
    expect(reasonOf(applyMembership(records[1], { ...invited, isApproved: true }))).toBe("Spent")
    expect(reasonOf(applyMembership(records[1], { ...invited, token: { ...token, secret: noise(1)(32) } }))).toBe("Spent")
    const denied: MembershipChange = { _tag: "Decided", node: second.id, standing: "Denied" }
    expect(changed(changed(records[2], denied), denied).book).toEqual(changed(records[2], denied).book)
    expect(reasonOf(applyMembership(records[3], denied))).toBe("Unknown")
  })

  it("changes: a node that waits under two tokens is let in under both by one word, so that the word said twice is one", () => {
    const other = scene.token(6)
    const waits = ([{ ...invited, token: other }, { ...asked, ask: joinAskOf(scene, second, other) }] as ReadonlyArray<MembershipChange>).reduce(changed, records[2]!)
    const both = changed(waits, approved)
    expect([...both.book.invited.values()].map(({ by }) => by?.standing)).toEqual(["Approved", "Approved"])
    expect(changed(both, approved)).toEqual(both)
  })

  it("changes: a cluster is founded once, and nothing changes before", () => {
    expect(story.slice(1).map((change) => reasonOf(applyMembership(undefined, change)))).toEqual(story.slice(1).map(() => "NotYet"))
    expect(changed(undefined, story[0])).toBe(record)
    // Whoever did not hear that it was founded, and says so after others have changed it.
    expect(changed(inside, story[0])).toBe(inside)
    const another = sceneOf(9)
    const foreign = foundCluster({ pairs, cluster: another.cluster, identity: third, authoritySeed: another.seed, serials: [noise(9)(16), noise(10)(16)], name: "x", addresses: [], nowMs })
    expect(reasonOf(applyMembership(record, { _tag: "Founded", record: foreign }))).toBe("Foreign")
    expect(reasonOf(applyMembership(record, { _tag: "Founded", record: { ...foreign, cluster } }))).toBe("Foreign")
  })

  it("changes: a member that is leaving is one until it has gone; no other than a member leaves, nor the last that stays; force is added, never taken away", () => {
    const leave = (identity: Identity, isForced: boolean): MembershipChange => ({ _tag: "Leaving", node: identity.id, isForced })
    const going = changed(inside, leave(second, false))
    expect(going.members.get(second.id)!.leaving).toEqual({ isForced: false })
    expect([going.epoch, going.members.size]).toEqual([inside.epoch, 2])
    expect(reasonOf(applyMembership(inside, leave(third, true)))).toBe("Unknown")
    expect(reasonOf(applyMembership(going, leave(first, true)))).toBe("Full")
    expect(reasonOf(applyMembership(record, leave(first, false)))).toBe("Full")
    const forced = changed(going, leave(second, true))
    expect(forced.members.get(second.id)!.leaving).toEqual({ isForced: true })
    expect(changed(forced, leave(second, false)).members.get(second.id)!.leaving).toEqual({ isForced: true })
    // Under another token it comes in again once it has gone, not before.
    const other = scene.token(6)
    const back = ([{ ...invited, token: other, isApproved: true }, { ...asked, ask: joinAskOf(scene, second, other) }] as ReadonlyArray<MembershipChange>).reduce(changed, going)
    expect(reasonOf(applyMembership(back, { ...admitted, token: other.id }))).toBe("NotYet")
    expect(changed(going, renewed).members.get(second.id)!.leaving).toEqual({ isForced: false })
  })
})
