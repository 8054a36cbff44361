/** A node's certificate: renewed in its last month, kept as it is before, asked for again where something failed. By the test's clock and the twin's keys. */
import { Effect, Exit, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, it } from "vitest"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { runRenewal } from "../../src/cluster/RenewalService.ts"
import type { MembershipOver } from "../../src/cluster/Joining.ts"
import { readCertificate } from "../../src/membership/Certificate.ts"
import { foundCluster } from "../../src/membership/Membership.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { makeMembership } from "../../src/membership/MembershipService.ts"
import { memoryMembership } from "../../src/membership/MembershipStoreService.ts"
import { dayMs, good, noise, nowMs, sceneOf } from "../membership/fixtures.ts"

const { cluster, node, pairs } = sceneOf(1)
const self = node(2)

interface Place {
  readonly shown: () => Uint8Array
  readonly asked: () => number
  readonly given: Array<Uint8Array>
  /** Answers that are lost, or not kept, from here on. */
  readonly fails: { answers: number; keeps: number }
}

const run = (story: (place: Place) => Effect.Effect<void, unknown>, forge: (answered: Uint8Array) => Uint8Array = (answered) => answered): Promise<void> =>
  Effect.runPromise(Effect.gen(function*() {
    yield* TestClock.setTime(nowMs)
    const store = yield* memoryMembership(foundCluster({ pairs, cluster, identity: self, authoritySeed: noise(8)(32), serials: [noise(9)(16), noise(10)(16)], name: "cellar", addresses: [], nowMs }))
    const entropy = seededEntropy(seededRandom(5))
    const membership = makeMembership({ self, pairs, entropy, store })
    let shown = store.current().members.get(self.id)!.certificate
    let asked = 0
    const fails = { answers: 0, keeps: 0 }
    const given: Array<Uint8Array> = []
    const over: MembershipOver = {
      answer: (ask) => Effect.flatMap(membership.answer(ask), (bytes) => {
        asked += 1
        fails.answers -= 1
        return fails.answers >= 0 ? Effect.fail(new MembershipError({ what: "message", reason: "Full", detail: "lost on the way" })) : Effect.succeed(forge(bytes))
      })
    }
    const scope = yield* Scope.make()
    yield* Scope.provide(runRenewal({
      over, pairs, entropy, identity: self, record: store.current, current: () => shown,
      renewed: (certificate) => Effect.suspend(() => {
        given.push(certificate)
        fails.keeps -= 1
        if (fails.keeps >= 0) return Effect.fail({ message: "the disk is full" })
        shown = certificate
        return Effect.void
      })
    }), scope)
    yield* story({ shown: () => shown, asked: () => asked, given, fails })
    yield* Scope.close(scope, Exit.void)
  }).pipe(Effect.provide(TestClock.layer({ warningDelay: "1 day" })), Effect.provideService(References.MinimumLogLevel, "None"), Effect.orDie))

const pass = (days: number) => TestClock.adjust(days * dayMs)
const endOf = (certificate: Uint8Array): number => good(readCertificate(certificate)).notAfterMs

describe("renewal", () => {
  it("renewal: nothing is asked while it is good for more than a month; then another one is shown within the hour, and so on", () => run(({ asked, given, shown }) => Effect.gen(function*() {
    yield* pass(59.5)
    expect([asked(), endOf(shown())]).toEqual([0, nowMs + 90 * dayMs])
    yield* pass(0.6)
    expect([asked(), given.length]).toEqual([1, 1])
    expect(endOf(shown())).toBeGreaterThan(nowMs + 149 * dayMs)
    for (let left = 6; left > 0; left -= 1) yield* pass(30)
    expect(asked()).toBe(4)
    expect(endOf(shown())).toBeGreaterThan(nowMs + (60.1 + 180 + 29) * dayMs)
  })))

  it("renewal: an answer that is lost, and one that cannot be kept, are had again at the next look: the same certificate", () => run(({ asked, fails, given, shown }) => Effect.gen(function*() {
    yield* pass(59.9)
    Object.assign(fails, { answers: 1, keeps: 2 })
    yield* pass(0.1 + 2.5 / 24)
    expect([asked(), given.length, endOf(shown())]).toEqual([3, 2, nowMs + 90 * dayMs])
    yield* pass(1)
    expect([asked(), given.length]).toEqual([4, 3])
    expect(new Set(given.map((certificate) => good(readCertificate(certificate)).serial)).size).toBe(1)
    expect(shown()).toBe(given[2])
  })))

  it("renewal: what is no renewal of it is not shown", () => run(({ asked, given }) => Effect.gen(function*() {
    yield* pass(61)
    expect(asked()).toBeGreaterThan(10)
    expect(given).toEqual([])
  }), (answered) => answered.map((byte, at) => (at === answered.length >> 1 ? byte ^ 1 : byte))))
})
