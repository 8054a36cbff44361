import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Settle } from "../../src/settle.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { newMachine, withStore } from "./store.ts"

describe("put and get", () => {
  test("what is put is got, whatever its size, and so is every range of it", () =>
    withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      const random = seededRandom(7)
      for (const size of [0, 1, 199, 200, 201, 511, 1024, 4095, 4096, 4097, 16_384, 40_000, 150_000]) {
        const bytes = random.bytes(size)
        const stored = yield* put(`k${size}`, bytes)
        expect(stored.etag).toMatch(/^[0-9a-f]{32}-[1-9][0-9]*$/)
        expect(toHex(yield* get(`k${size}`)), `size ${size}`).toBe(toHex(bytes))
        for (let i = 0; i < 10; i++) {
          const start = random.below(size + 1)
          const end = start + random.below(size - start + 1)
          expect(toHex(yield* get(`k${size}`, start, end)), `size ${size} [${start}, ${end})`).toBe(toHex(bytes.subarray(start, end)))
        }
      }
      yield* (yield* Settle).settleNow
      expect((yield* Namespace).counts().journaledBytes).toBe(0)
      const again = seededRandom(7)
      for (const size of [0, 1, 199, 200, 201]) {
        const bytes = again.bytes(size)
        for (let i = 0; i < 20; i++) again.below(1)
        expect((yield* get(`k${size}`)).length).toBe(bytes.length)
      }
    })))
})
