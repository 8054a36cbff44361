import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Expiry } from "../../src/expiry.ts"
import { Gc } from "../../src/gc.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Put } from "../../src/put.ts"
import { seededRandom } from "../../sim/Random.ts"
import { handClock } from "./handClock.ts"
import { get, makeBucket, noSummary } from "./operations.ts"
import { bodyOf, newMachine, tiny, withStore } from "./store.ts"

const bytes = seededRandom(1).bytes(3000)
const all = { prefix: "", delimiter: "", after: "", limit: 1000 }

const putFor = (key: string, ttlSeconds?: number) =>
  Effect.flatMap(Put, (service) => service.object({
    bucket: "b", key, attributes: { headers: ttlSeconds === undefined ? {} : { "x-ouroboros-ttl": String(ttlSeconds) }, userMetadata: {} },
    body: bodyOf(bytes, seededRandom(1)), summary: noSummary
  }))

const keysNow = Effect.gen(function*() {
  const namespace = yield* Namespace
  const { versions } = yield* namespace.listObjects("b", all, namespace.head().sequence)
  return versions.map(({ key }) => key)
})

const hiddenKeys = Effect.gen(function*() {
  const namespace = yield* Namespace
  const { versions } = yield* namespace.history("b", all, namespace.head().sequence)
  return versions.filter(({ hiddenAt }) => hiddenAt !== undefined).map(({ key }) => key)
})

/** Those that are there but for their time. */
const shownVersions = Effect.gen(function*() {
  const namespace = yield* Namespace
  const { versions } = yield* namespace.history("b", all, namespace.head().sequence)
  return versions.filter(({ hiddenAt }) => hiddenAt === undefined).map(({ key }) => key)
})

describe("expiry", () => {
  test("what has expired is gone at that millisecond, without a commit, and is read AS OF the time before", () => {
    const { clock, hands, pass } = handClock()
    return withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const { modifiedMs } = yield* putFor("short", 60)
      yield* putFor("kept")
      const head = namespace.head().sequence
      hands.wallMs = modifiedMs + 59_999
      expect(yield* keysNow).toEqual(["kept", "short"])
      expect(toHex(yield* get("short"))).toBe(toHex(bytes))
      pass(1)
      expect(yield* keysNow).toEqual(["kept"])
      expect((yield* Effect.flip(namespace.object("b", "short", undefined, head))).message).toContain("NoSuchKey")
      expect(namespace.head().sequence).toBe(head)
      const then = yield* namespace.momentOf({ _tag: "Time", ms: modifiedMs + 59_999 })
      expect((yield* namespace.object("b", "short", undefined, then.sequence, then.ms)).expiresMs).toBe(modifiedMs + 60_000)
      const past = yield* namespace.momentOf({ _tag: "Time", ms: modifiedMs + 60_000 })
      expect((yield* Effect.flip(namespace.object("b", "short", undefined, past.sequence, past.ms))).message).toContain("NoSuchKey")
    }), {}, clock)
  })

  test("housework hides what has expired, in commits of bounded size, and nothing else", () => {
    const { clock, pass } = handClock()
    return withStore(newMachine(2), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const expiry = yield* Expiry
      yield* putFor("a", 10)
      yield* putFor("b", 20)
      yield* putFor("c", 10)
      yield* putFor("c")
      const head = namespace.head().sequence
      yield* expiry.expireNow
      expect(namespace.head().sequence).toBe(head)
      pass(15_000)
      expect((yield* expiry.status).lagMs).toBeGreaterThan(0)
      yield* expiry.expireNow
      expect(namespace.head().sequence).toBe(head + 1)
      // The c that was overwritten went then.
      expect(yield* hiddenKeys).toEqual(["a", "c"])
      expect(yield* keysNow).toEqual(["b", "c"])
      expect(yield* expiry.status).toEqual({ lagMs: 0, lastError: undefined })
      yield* expiry.expireNow
      expect(namespace.head().sequence).toBe(head + 1)
    }), {}, clock)
  })

  test("a wall clock that jumps hides nothing for good: right again, it shows what it showed", () => {
    const { clock, hands, pass } = handClock()
    return withStore(newMachine(3), Effect.gen(function*() {
      yield* makeBucket
      const expiry = yield* Expiry
      yield* putFor("a", 3600)
      hands.wallMs += 86_400_000
      expect(yield* keysNow).toEqual([])
      yield* expiry.expireNow
      expect(yield* hiddenKeys).toEqual([])
      hands.wallMs -= 86_400_000
      expect(yield* keysNow).toEqual(["a"])
      pass(3_600_000)
      yield* expiry.expireNow
      expect(yield* hiddenKeys).toEqual(["a"])
    }), {}, clock)
  })

  test("commits that were made while the clock was ahead hide nothing for good, once it is right again", () => {
    const { clock, hands, pass } = handClock()
    return withStore(newMachine(4), Effect.gen(function*() {
      yield* makeBucket
      const expiry = yield* Expiry
      yield* putFor("hour", 3600)
      yield* putFor("minute", 60)
      hands.wallMs += 86_400_000
      yield* putFor("meanwhile")
      hands.wallMs -= 86_400_000
      pass(60_000)
      yield* expiry.expireNow
      expect(yield* hiddenKeys).toEqual([])
      expect((yield* expiry.status).lastError).toContain("ahead of the clock")
      pass(86_400_000)
      yield* expiry.expireNow
      expect(yield* hiddenKeys).toEqual(["hour", "minute"])
      expect((yield* expiry.status).lastError).toBeUndefined()
    }), {}, clock)
  })

  test("what a rollback shows again after its time is not seen, is hidden anew, and its space is freed", () => {
    const { clock, pass } = handClock()
    return withStore(newMachine(6), Effect.gen(function*() {
      yield* makeBucket
      const [namespace, expiry, gc] = [yield* Namespace, yield* Expiry, yield* Gc]
      yield* putFor("a", 10)
      // Overwritten when its time comes: nobody has to hide it then.
      yield* putFor("b", 10)
      const before = namespace.head().sequence
      yield* putFor("b")
      pass(15_000)
      yield* expiry.expireNow
      yield* namespace.propose({ _tag: "Rollback", bucket: "b", to: before })
      expect(yield* keysNow).toEqual([])
      expect(yield* shownVersions).toEqual(["a", "b"])
      yield* gc.run(true)
      yield* expiry.expireNow
      expect(yield* shownVersions).toEqual([])
      const { freed } = yield* gc.run(true)
      expect(freed.versions).toBe(2)
      expect(freed.chunks).toBeGreaterThan(0)
      const head = namespace.head().sequence
      yield* gc.run(true)
      yield* expiry.expireNow
      expect(namespace.head().sequence).toBe(head)
    }), { settings: { ...tiny.settings!, retentionDays: 0 }, gc: { intervalMs: 3_600_000, reserveBytes: 0, compactBytesPerSecond: 0 } }, clock)
  })
})
