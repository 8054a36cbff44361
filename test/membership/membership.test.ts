/** The record of members, and who is let in and out of it, with the twin's keys and a clock that the test moves. */
import { Cause, Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { certificateMs, certificateRenewMs, joinTokenMsMax, membersMax } from "../../src/base/clusterLimits.ts"
import { readCertificate } from "../../src/membership/Certificate.ts"
import { encodePublicIdentity, type Identity } from "../../src/membership/Identity.ts"
import type { JoinToken } from "../../src/membership/JoinToken.ts"
import { addressIn, addressOf, applyMembership, foundCluster, identitiesIn, judgeCertificate, type MembershipRecord, whyNoMember } from "../../src/membership/Membership.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { makeMembership, type MembershipInterface } from "../../src/membership/MembershipService.ts"
import { memoryMembership, type MemoryMembership } from "../../src/membership/MembershipStoreService.ts"
import { type Answer, type Ask, readAnswer, signAsk } from "../../src/membership/Message.ts"
import { dayMs, good, joinAskOf, noise, nowMs, reasonOf, sceneOf } from "./fixtures.ts"

const scene = sceneOf(1)
const { cluster, pairs } = scene
const [first, second, third] = [scene.node(2), scene.node(3), scene.node(4)] as const

const founded = (): MembershipRecord => foundCluster({
  pairs, cluster, identity: first, authoritySeed: noise(8)(32), serials: [noise(9)(16), noise(10)(16)], name: "cellar", addresses: ["[fd00::1]:9444", "10.0.0.1:9444"], nowMs
})

interface Place {
  readonly store: MemoryMembership
  readonly membership: MembershipInterface
}

const run = <A>(story: (place: Place) => Effect.Effect<A, unknown>): Promise<A> =>
  Effect.runPromise(Effect.gen(function*() {
    yield* TestClock.setTime(nowMs)
    const store = yield* memoryMembership(founded())
    return yield* story({ store, membership: makeMembership({ self: first, pairs, entropy: seededEntropy(seededRandom(5)), store }) })
  }).pipe(Effect.provide(TestClock.layer({ warningDelay: "1 day" })), Effect.orDie))

let nonces = 0
const asking = (membership: MembershipInterface, by: Identity, ask: Ask, token: JoinToken | undefined, atMs = nowMs): Effect.Effect<Answer, unknown> =>
  Effect.gen(function*() {
    const asked = signAsk(by, { ...ask, nonce: noise(nonces += 1)(32), atMs }, token)
    return good(readAnswer(pairs, yield* membership.answer(asked), asked, token, atMs))
  })
const joining = (membership: MembershipInterface, by: Identity, token: JoinToken, atMs = nowMs) => asking(membership, by, joinAskOf(scene, by, token), token, atMs)
const whyOf = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<string> =>
  Effect.map(Effect.exit(effect), (exit) => (Exit.isSuccess(exit) ? "no error" : reasonOf(Cause.squash(exit.cause))))
const rest = (by: Identity) => ({ version: 1, cluster, nonce: noise(1)(32), atMs: nowMs, identity: encodePublicIdentity(by.shown) }) as const
const isIn = (record: MembershipRecord, by: Identity, atMs = nowMs) => judgeCertificate(pairs, record, record.members.get(by.id)?.certificate ?? new Uint8Array(0), atMs)

describe("membership", () => {
  it("membership: a cluster of one: its maker belongs to it by its own authority, and is found where it says", () => {
    const record = founded()
    expect([record.epoch, [...record.members.keys()], isIn(record, first)]).toEqual([1, [first.id], { node: first.id }])
    expect(whyNoMember(pairs, record.authority, record.members.get(first.id)!.certificate, nowMs)).toBeUndefined()
    expect(whyNoMember(pairs, sceneOf(9).authority.certificate, record.members.get(first.id)!.certificate, nowMs)).toContain("of cluster")
    expect(addressIn(record, first.id)).toEqual({ host: "fd00::1", port: 9444 })
    expect(addressIn(record, second.id)).toBeUndefined()
    for (const text of ["a:0", "a:65536", "a", ":1", "a b:1", "[::1]", "::1:9", "a:1:2"]) expect(addressOf(text), text).toBeUndefined()
    expect(addressOf("cellar.example:9444")).toEqual({ host: "cellar.example", port: 9444 })
    expect(identitiesIn(record)).toMatchObject({ epoch: 1, epochLeast: 0 })
  })

  it("membership: waits, is approved, comes in once; each asks again and hears the same", async () => {
    await run(({ membership, store }) => Effect.gen(function*() {
      const token = yield* membership.invite({ lifeMs: dayMs, isApproved: false })
      expect((yield* joining(membership, second, token))._tag).toBe("JoinPending")
      expect((yield* joining(membership, second, token))._tag).toBe("JoinPending")
      expect((yield* membership.pending).map(({ node }) => node)).toEqual([second.id])
      yield* membership.approve(second.id)
      expect(yield* membership.pending).toEqual([])
      expect(store.current().members.size).toBe(1)
      const admitted = yield* joining(membership, second, token)
      const again = yield* joining(membership, second, token)
      expect(admitted).toMatchObject({ _tag: "Admitted", epoch: 2 })
      expect({ ...again, ask: "" }).toEqual({ ...admitted, ask: "" })
      expect(isIn(store.current(), second)).toEqual({ node: second.id })
      expect(identitiesIn(store.current()).identities.get(second.id)).toEqual(second.shown)
      expect(yield* joining(membership, third, token)).toMatchObject({ _tag: "Denied", why: expect.stringContaining("another node") as string })
    }))
  })

  it("membership: denied, unknown, expired, unproven: nobody comes in, and the record is as it was", async () => {
    await run(({ membership, store }) => Effect.gen(function*() {
      const token = yield* membership.invite({ lifeMs: dayMs, isApproved: false })
      expect(yield* whyOf(membership.invite({ lifeMs: joinTokenMsMax + dayMs, isApproved: false }))).toBe("Expired")
      expect(yield* whyOf(joining(membership, second, { ...token, secret: noise(1)(32) }))).toBe("Unsigned")
      expect(yield* whyOf(joining(membership, second, { ...token, id: "0".repeat(32) }))).toBe("Unknown")
      expect(yield* whyOf(membership.answer(noise(2)(200)))).toBe("Malformed")
      expect(yield* whyOf(membership.approve(second.id))).toBe("Unknown")
      yield* joining(membership, second, token)
      yield* membership.deny(second.id)
      expect((yield* joining(membership, second, token))._tag).toBe("Denied")
      expect(yield* whyOf(membership.approve(second.id))).toBe("Unknown")
      yield* TestClock.adjust("25 hours")
      expect(yield* whyOf(joining(membership, second, token, nowMs + 25 * 3_600_000))).toBe("Expired")
      expect([store.current().epoch, store.current().members.size]).toEqual([1, 1])
    }))
  })

  it("membership: who is removed is no member, has no certificate that counts, and comes back only under another token", async () => {
    await run(({ membership, store }) => Effect.gen(function*() {
      const token = yield* membership.invite({ lifeMs: dayMs, isApproved: true })
      yield* joining(membership, second, token)
      const before = store.current()
      expect(yield* whyOf(membership.remove(third.id))).toBe("Unknown")
      yield* membership.remove(second.id)
      const { certificate } = before.members.get(second.id)!
      expect(store.current()).toMatchObject({ epoch: 3, revocations: { number: 1 } })
      expect(judgeCertificate(pairs, store.current(), certificate, nowMs)).toMatchObject({ refused: expect.stringContaining("taken back") as string })
      // Even by a record that had lost the list: it is not among the members.
      expect(judgeCertificate(pairs, { ...store.current(), revocations: before.revocations }, certificate, nowMs)).toMatchObject({ refused: `node ${second.id} is no member` })
      expect((yield* joining(membership, second, token))._tag).toBe("Denied")
      expect(yield* joining(membership, second, yield* membership.invite({ lifeMs: dayMs, isApproved: true }))).toMatchObject({ _tag: "Admitted", epoch: 4 })
      expect(isIn(store.current(), second)).toEqual({ node: second.id })
      yield* membership.remove(second.id)
      expect(yield* whyOf(membership.remove(first.id))).toBe("Full")
    }))
  })

  it("membership: a leave of an earlier membership is not done again; one of now is", async () => {
    await run(({ membership, store }) => Effect.gen(function*() {
      const leave = (epoch: number): Ask => ({ _tag: "LeaveAsk", ...rest(second), epoch, drained: true, why: "moving" })
      expect(yield* whyOf(asking(membership, second, leave(1), undefined))).toBe("Unknown")
      yield* joining(membership, second, yield* membership.invite({ lifeMs: dayMs, isApproved: true }))
      expect(yield* asking(membership, second, leave(2), undefined)).toMatchObject({ _tag: "Left", epoch: 2 })
      expect(store.current().members.get(second.id)?.leaving).toEqual({ isForced: false })
      // Whoever leads has taken its replica out.
      yield* membership.remove(second.id)
      yield* joining(membership, second, yield* membership.invite({ lifeMs: dayMs, isApproved: true }))
      expect(yield* whyOf(asking(membership, second, leave(2), undefined))).toBe("Expired")
      expect(store.current().members.get(second.id)?.leaving).toBe(undefined)
      expect(yield* whyOf(asking(membership, second, { ...leave(4), cluster: sceneOf(9).cluster }, undefined))).toBe("Foreign")
    }))
  })

  it("membership: a certificate is renewed when it is due and not before; the one before counts until it expires, and is taken back with the node", async () => {
    await run(({ membership, store }) => Effect.gen(function*() {
      yield* joining(membership, second, yield* membership.invite({ lifeMs: dayMs, isApproved: true }))
      const old = store.current().members.get(second.id)!.certificate
      const renew = (atMs: number) => asking(membership, second, { _tag: "RenewAsk", ...rest(second), serial: "41".repeat(16) }, undefined, atMs)
      expect(yield* renew(nowMs)).toMatchObject({ _tag: "Renewed", certificate: old })
      const dueMs = nowMs + certificateMs - certificateRenewMs + dayMs
      yield* TestClock.setTime(dueMs)
      const renewed = yield* renew(dueMs)
      expect(yield* renew(dueMs)).toMatchObject({ certificate: (renewed as { readonly certificate?: Uint8Array }).certificate })
      expect(good(readCertificate(store.current().members.get(second.id)!.certificate)).notAfterMs).toBe(dueMs + certificateMs)
      expect([isIn(store.current(), second, dueMs), judgeCertificate(pairs, store.current(), old, dueMs)]).toEqual([{ node: second.id }, { node: second.id }])
      expect(yield* whyOf(asking(membership, third, { _tag: "RenewAsk", ...rest(third), serial: "41".repeat(16) }, undefined, dueMs))).toBe("Unknown")
      yield* membership.remove(second.id)
      expect(store.current().revocations.entries.length).toBe(2)
    }))
  })

  it("membership: changes that follow on another record than this are refused, and leave it as it is", () => {
    const record = founded()
    const { revocations, signedRevocations } = record
    const token = scene.token(5)
    const certificate = scene.certify(second)
    const refused = [
      applyMembership(record, { _tag: "Admitted", node: second.id, token: token.id, certificate, sealedAuthority: new Uint8Array(0) }),
      applyMembership(record, { _tag: "Renewed", node: second.id, certificate }),
      applyMembership(record, { _tag: "Gone", node: second.id, revocations: { ...revocations, number: 1 }, signedRevocations }),
      applyMembership(record, { _tag: "Gone", node: first.id, revocations: { ...revocations, number: 1 }, signedRevocations })
    ]
    expect(refused.map(reasonOf)).toEqual(["Unknown", "Unknown", "Unknown", "Full"])
    const two = { ...record, members: new Map(record.members).set(second.id, { ...record.members.get(first.id)! }) }
    expect(reasonOf(applyMembership(two, { _tag: "Gone", node: second.id, revocations, signedRevocations }))).toBe("Expired")
    const invited = good(applyMembership(record, { _tag: "Invited", token, isApproved: false, atMs: nowMs }))
    const asked = good(applyMembership(invited, { _tag: "JoinAsked", node: second.id, ask: joinAskOf(scene, second, token), atMs: nowMs }))
    const admit = { _tag: "Admitted", node: second.id, token: token.id, certificate, sealedAuthority: new Uint8Array(1) } as const
    expect(reasonOf(applyMembership(asked, admit))).toBe("Unknown")
    const approved = good(applyMembership(asked, { _tag: "Decided", node: second.id, standing: "Approved" }))
    expect(reasonOf(applyMembership(approved, { ...admit, node: third.id }))).toBe("Unknown")
    const inside = good(applyMembership(approved, admit))
    expect(applyMembership(inside, { ...admit, certificate: new Uint8Array(3) })).toBe(inside)
    const crowd = new Map(Array.from({ length: membersMax }, (_, index) => [`${index}`, record.members.get(first.id)!]))
    expect(reasonOf(applyMembership({ ...approved, members: crowd as never }, admit))).toBe("Full")
    expect(applyMembership(record, { _tag: "Decided", node: second.id, standing: "Approved" })).toBeInstanceOf(MembershipError)
  })
})
