/** The cache's lists: bounds, order, and what a walk through much leaves alone. */
import fc from "fast-check"
import { ok, strictEqual } from "node:assert"
import { describe, expect, it } from "vitest"
import { SegmentedLru } from "../../src/base/SegmentedLru.ts"

const filled = (bytesMax: number, keys: ReadonlyArray<string>, sizeBytes = 10): SegmentedLru<string, string> => {
  const lru = new SegmentedLru<string, string>(bytesMax)
  for (const key of keys) lru.add(key, key, sizeBytes)
  return lru
}
const held = (lru: SegmentedLru<string, string>, keys: ReadonlyArray<string>): ReadonlyArray<string> => keys.filter((key) => lru.has(key))

describe("segmented lru", () => {
  it("what came first goes first, unless it was asked for since", () => {
    const lru = filled(50, ["a", "b", "c", "d", "e"])
    expect([lru.get("a"), lru.get("c"), lru.get("x")]).toEqual(["a", "c", undefined])
    lru.add("f", "f", 10)
    lru.add("g", "g", 10)
    expect(held(lru, ["a", "b", "c", "d", "e", "f", "g"])).toEqual(["a", "c", "e", "f", "g"])
    expect(lru.status()).toEqual({ bytes: 50, bytesMax: 50, entries: 5, hits: 2, misses: 1, evictions: 2 })
  })

  it("a walk through much drives out only what nobody asked for", () => {
    const lru = filled(100, ["hot 1", "hot 2", "hot 3"])
    for (const key of ["hot 1", "hot 2", "hot 3"]) lru.get(key)
    for (let index = 0; index < 1000; index += 1) lru.add(`walk ${index}`, "", 10)
    expect(held(lru, ["hot 1", "hot 2", "hot 3"])).toEqual(["hot 1", "hot 2", "hot 3"])
    expect(lru.bytes).toBe(100)
  })

  it("what was kept and is asked for no more makes room for what is", () => {
    const lru = filled(100, ["old 1", "old 2", "old 3", "old 4", "old 5", "old 6", "old 7", "old 8"])
    for (let index = 1; index <= 8; index += 1) lru.get(`old ${index}`)
    for (let index = 0; index < 40; index += 1) {
      lru.add(`new ${index % 10}`, "", 10)
      lru.get(`new ${index % 10}`)
    }
    expect(held(lru, ["old 1", "old 2", "old 3", "old 4", "old 5", "old 6", "old 7", "old 8"])).toEqual([])
  })

  it("a smaller bound holds at once; what is larger than the bound is not taken, and drives nothing out", () => {
    const lru = filled(100, ["a", "b", "c", "d"])
    lru.get("a")
    lru.resize(20)
    expect([lru.bytes, held(lru, ["a", "b", "c", "d"])]).toEqual([20, ["a", "d"]])
    lru.add("large", "", 21)
    expect(held(lru, ["a", "d", "large"])).toEqual(["a", "d"])
    lru.resize(0)
    expect([lru.bytes, lru.status().entries]).toEqual([0, 0])
    lru.add("a", "", 1)
    expect(lru.bytes).toBe(0)
  })

  it("what comes is taken though the kept ones leave it no room: the oldest of them goes, not what came", () => {
    const lru = filled(100, ["a", "b"], 40)
    expect([lru.get("a"), lru.get("b")]).toEqual(["a", "b"])
    expect([lru.usedAtOfOldest(20), lru.usedAtOfOldest(30), lru.clock]).toEqual([-1, 1, 2])
    lru.add("c", "c", 30)
    expect([held(lru, ["a", "b", "c"]), lru.bytes]).toEqual([["b", "c"], 70])
  })

  it("whatever happens, it gives what was added last under a key or nothing, and holds no more than it may", () => {
    const key = fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h")
    const op = fc.oneof(
      fc.record({ _tag: fc.constant("add" as const), key, sizeBytes: fc.nat(40) }),
      fc.record({ _tag: fc.constant("get" as const), key }),
      fc.record({ _tag: fc.constant("remove" as const), key }),
      fc.record({ _tag: fc.constant("resize" as const), bytesMax: fc.nat(120) }),
      fc.record({ _tag: fc.constant("clear" as const) })
    )
    fc.assert(fc.property(fc.array(op, { maxLength: 80 }), (ops) => {
      let bytesMax = 100
      const lru = new SegmentedLru<string, number>(bytesMax)
      const last = new Map<string, { readonly value: number; readonly sizeBytes: number }>()
      for (const [value, one] of ops.entries()) {
        if (one._tag === "add") {
          lru.add(one.key, value, one.sizeBytes)
          last.set(one.key, { value, sizeBytes: one.sizeBytes })
          strictEqual(lru.has(one.key), one.sizeBytes <= bytesMax)
        } else if (one._tag === "get") {
          const found = lru.get(one.key)
          ok(found === undefined || found === last.get(one.key)?.value)
        } else if (one._tag === "remove") {
          lru.remove(one.key)
          last.delete(one.key)
          ok(!lru.has(one.key))
        } else if (one._tag === "resize") {
          bytesMax = one.bytesMax
          lru.resize(bytesMax)
        } else {
          lru.clear()
          last.clear()
        }
        const sizes = [...last].filter(([name]) => lru.has(name)).map(([, { sizeBytes }]) => sizeBytes)
        expect(lru.bytes).toBe(sizes.reduce((sum, bytes) => sum + bytes, 0))
        expect(lru.status().entries).toBe(sizes.length)
        expect(lru.bytes).toBeLessThanOrEqual(bytesMax)
      }
    }))
  })
})
