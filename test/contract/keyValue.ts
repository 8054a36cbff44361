/** The contract of the KeyValue port: what Lmdb and its twin both do. Run by keyValue.test.ts against each. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { toHex } from "../../src/base/bytes.ts"
import type { KeyValueChange, KeyValueService, RangeOptions } from "../../src/ports/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"

export const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)
export const put = (table: string, key: Uint8Array, value: Uint8Array): KeyValueChange => ({ _tag: "Put", table, key, value })
export const drop = (table: string, key: Uint8Array): KeyValueChange => ({ _tag: "Delete", table, key })

const keysOf = (index: KeyValueService, options: RangeOptions): ReadonlyArray<string> =>
  index.range("t", options).map(([key]) => toHex(key))

export const keyValueContract = (name: string, make: () => Effect.Effect<KeyValueService, unknown, Scope.Scope>): void => {
  const story = (title: string, run: (index: KeyValueService) => Effect.Effect<unknown, unknown, Scope.Scope>): void => {
    it.effect(title, () => Effect.scoped(Effect.flatMap(make(), run)))
  }
  describe(`index contract: ${name}`, () => {
    story("index: one commit over tables, visible when it returns, copies both ways", (index) =>
      Effect.gen(function* () {
        const value = bytes(1, 2, 3)
        yield* index.commit([put("a", bytes(0), value), put("b", bytes(255, 255), bytes()), put("a", bytes(9), bytes(9))])
        value.fill(7)
        const read = index.get("a", bytes(0))
        assert.deepStrictEqual([...(read ?? [])], [1, 2, 3])
        read?.fill(8)
        assert.deepStrictEqual([...(index.get("a", bytes(0)) ?? [])], [1, 2, 3])
        assert.strictEqual(index.get("b", bytes(255, 255))?.length, 0)
        assert.isUndefined(index.get("b", bytes(0)))
        assert.isUndefined(index.get("none", bytes(0)))
        yield* index.commit([drop("a", bytes(9)), drop("a", bytes(77)), put("a", bytes(0), bytes(4)), put("a", bytes(0), bytes(5))])
        const many = index.getMany("a", [bytes(9), bytes(0)])
        assert.deepStrictEqual(many.map((found) => found && [...found]), [undefined, [5]])
        yield* index.flushed
      }))
    story("index: ranges, forwards and backwards, as a sorted array has them", (index) =>
      Effect.gen(function* () {
        const random = seededRandom(7)
        const keys = Array.from({ length: 60 }, (): Uint8Array => Uint8Array.from(random.bytes(1 + random.below(3)), (byte) => byte & 3 || 255 * (byte & 4)))
        keys.push(new Uint8Array(1024).fill(255), new Uint8Array(1023).fill(255), bytes(0), bytes(0, 0), bytes(255))
        yield* index.commit(keys.map((key) => put("t", key, key.subarray(0, 2))))
        const sorted = [...new Set(keys.map(toHex))].sort()
        assert.deepStrictEqual(keysOf(index, { limit: 1000 }), sorted)
        assert.deepStrictEqual(keysOf(index, { limit: 1000, reverse: true }), sorted.toReversed())
        for (let draw = 0; draw < 200; draw += 1) {
          const from = random.chance(0.8) ? random.pick(keys) : undefined
          const to = random.chance(0.8) ? random.pick(keys) : undefined
          const limit = random.below(8)
          const inside = sorted.filter((key) => (from === undefined || key >= toHex(from)) && (to === undefined || key < toHex(to)))
          const bounds = { ...(from && { from }), ...(to && { to }), limit }
          assert.deepStrictEqual(keysOf(index, bounds), inside.slice(0, limit))
          assert.deepStrictEqual(keysOf(index, { ...bounds, reverse: true }), inside.toReversed().slice(0, limit))
        }
        assert.deepStrictEqual(index.range("none", { limit: 1 }), [])
      }))
    story("index: keys of 0 and of 1,025 bytes are refused and nothing of that commit happens", (index) =>
      Effect.gen(function* () {
        for (const key of [bytes(), new Uint8Array(1025)]) {
          const error = yield* Effect.flip(index.commit([put("t", bytes(1), bytes(1)), put("t", key, bytes(1))]))
          assert.strictEqual(error.operation, "commit")
        }
        assert.deepStrictEqual(keysOf(index, { limit: 10 }), [])
      }))
    story("index: wiped it is empty and usable", (index) =>
      Effect.gen(function* () {
        yield* index.commit([put("t", bytes(1), new Uint8Array(100_000)), put("u", bytes(1), bytes(1))])
        yield* index.wipe
        assert.isUndefined(index.get("u", bytes(1)))
        assert.deepStrictEqual(keysOf(index, { limit: 10 }), [])
        yield* index.commit([put("t", bytes(2), bytes(2))])
        assert.deepStrictEqual(keysOf(index, { limit: 10 }), ["02"])
        yield* index.flushed
      }))
  })
}
