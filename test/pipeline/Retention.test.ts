import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { clockDriftMsMax } from "../../src/base/limits.ts"
import { Get } from "../../src/get.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { driftMs, Retention } from "../../src/retention.ts"
import { seededRandom } from "../../sim/Random.ts"
import { makeBucket, put, versionOf } from "./operations.ts"
import { handClock } from "./handClock.ts"
import { newMachine, readAll, withStore } from "./store.ts"

const dayMs = 24 * 3_600_000

describe("retention", () => {
  test("the horizon follows the clock at its distance, and takes nothing that S3 still lists", () => {
    const { clock, pass } = handClock()
    return withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const retention = yield* Retention
      const bytes = seededRandom(1).bytes(3000)
      yield* put("kept", bytes)
      pass(20 * dayMs)
      yield* put("new", bytes)
      const between = namespace.head().sequence
      yield* retention.raiseNow
      expect(namespace.oldestReadable()).toBeLessThan(between)
      pass(15 * dayMs)
      yield* put("newer", bytes)
      yield* retention.raiseNow
      // 35 days after the first commits, 15 after the second put.
      const raised = namespace.oldestReadable()
      expect(raised).toBeGreaterThan(1)
      expect(raised).toBeLessThan(between)
      yield* retention.raiseNow
      expect(namespace.oldestReadable()).toBe(raised)
      expect(toHex(yield* readAll(yield* (yield* Get).open(yield* versionOf("kept"))))).toBe(toHex(bytes))
    }), {}, clock)
  })

  test("a wall clock that jumps suspends it, and says so; it goes on when the clock is right again", () => {
    const { clock, hands, pass } = handClock()
    return withStore(newMachine(2), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const retention = yield* Retention
      yield* put("a", seededRandom(1).bytes(300))
      yield* put("b", seededRandom(1).bytes(300))
      const before = namespace.oldestReadable()
      hands.wallMs += 400 * dayMs
      yield* retention.raiseNow
      expect(namespace.oldestReadable()).toBe(before)
      expect(retention.status().suspended).toContain("moved by")
      hands.wallMs -= 400 * dayMs
      pass(31 * dayMs)
      yield* retention.raiseNow
      expect(retention.status().suspended).toBeUndefined()
      expect(namespace.oldestReadable()).toBeGreaterThan(before)
    }), {}, clock)
  })

  test("drift is what the wall clock moved more than the monotonic one", () => {
    expect(driftMs({ wallMs: 100, monotonicMs: 5 }, { wallMs: 200, monotonicMs: 105 })).toBe(0)
    expect(driftMs({ wallMs: 100, monotonicMs: 5 }, { wallMs: 90, monotonicMs: 105 })).toBe(-110)
    expect(clockDriftMsMax).toBeGreaterThan(0)
  })
})
