import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { getRow, scanRows } from "../../../src/namespace/Tree.ts"
import { halfSipHash, makeCoin } from "../../../src/namespace/TreeCut.ts"
import { MapTree, sortedChanges, value } from "./trees.ts"

const keys = fc.string({ unit: fc.constantFrom("a", "b", "\u00ff", "0"), minLength: 1, maxLength: 6 })
const batches = fc.array(
  fc.array(fc.tuple(keys, fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined })), { minLength: 1, maxLength: 60 }),
  { maxLength: 12 }
)

const check = (history: ReadonlyArray<ReadonlyArray<readonly [string, number | undefined]>>, itemsAverage: number): void => {
  const tree = new MapTree(itemsAverage)
  const model = new Map<string, Uint8Array>()
  for (const batch of history) {
    const changes = new Map(batch.map(([key, size]) => [key, size === undefined ? undefined : value(`${key}${"x".repeat(size)}`)]))
    for (const [key, bytes] of changes) {
      if (bytes === undefined) model.delete(key)
      else model.set(key, bytes)
    }
    tree.fold(sortedChanges(changes))
    const rows = sortedChanges(model)
    const bulk = new MapTree(itemsAverage)
    bulk.build(rows as Array<[string, Uint8Array]>)
    expect(tree.root).toBe(bulk.root)
    expect([...scanRows(tree.store, tree.tree, "", "\u0100", false)].map(([key, bytes]) => [key, String(bytes)]))
      .toEqual(rows.map(([key, bytes]) => [key, String(bytes)]))
    // Nothing leaks: the index holds the nodes of the tree, and as many as it says.
    expect(tree.nodes.size).toBe(tree.tree.nodes)
    expect(bulk.nodes.size).toBe(bulk.tree.nodes)
  }
}

describe("tree", () => {
  it("any history of changes ends at the root of a bulk build of the same rows, and leaks no node", () => {
    fc.assert(fc.property(batches, fc.constantFrom(2, 3, 8), (history, average) => check(history, average)), { numRuns: 150 })
  })

  it("rows scanned from anywhere, either way, are those of a sorted list", () => {
    const rows = Array.from({ length: 3000 }, (_, index) => [`k${String(index * 7 % 10_000).padStart(5, "0")}`, value(`v${index}`)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const tree = new MapTree(8)
    tree.build(rows)
    fc.assert(fc.property(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), fc.boolean(), (a, b, reverse) => {
      const [from, to] = [`k${String(a).padStart(5, "0")}`, `k${String(b).padStart(5, "0")}`]
      const expected = rows.filter(([key]) => from <= key && key < to).map(([key]) => key)
      if (reverse) expected.reverse()
      expect([...scanRows(tree.store, tree.tree, from, to, reverse)].map(([key]) => key)).toEqual(expected)
    }), { numRuns: 60 })
    for (const [key, bytes] of rows) expect(getRow(tree.store, tree.tree, key)).toEqual(bytes)
    expect(getRow(tree.store, tree.tree, "k0000")).toBeUndefined()
    expect(getRow(tree.store, tree.tree, "z")).toBeUndefined()
  })

  it("one changed row among many thousands copies one node a level", () => {
    const tree = new MapTree(8)
    tree.build(Array.from({ length: 20_000 }, (_, index) => [`k${String(index).padStart(6, "0")}`, value("v")] as const))
    const before = new Set(tree.nodes.keys())
    tree.fold([["k010000", value("w")]])
    const fresh = [...tree.nodes.keys()].filter((address) => !before.has(address))
    expect(fresh.length).toBeLessThanOrEqual(7)
  })

  it("a row inserted and removed again brings back the old root", () => {
    const tree = new MapTree(8)
    tree.build(Array.from({ length: 5000 }, (_, index) => [`k${String(index).padStart(6, "0")}`, value("v")] as const))
    const root = tree.root
    tree.fold([["k002500x", value("w")]])
    expect(tree.root).not.toBe(root)
    tree.fold([["k002500x", undefined]])
    expect(tree.root).toBe(root)
  })

  it("a node swapped for another, cut short or flipped is named, never read", () => {
    const tree = new MapTree(8)
    tree.build(Array.from({ length: 500 }, (_, index) => [`k${String(index).padStart(6, "0")}`, value("v")] as const))
    const sealed = [...tree.nodes]
    for (const [address, bytes] of sealed.slice(0, 20)) {
      const other = sealed[30]![1]
      for (const bad of [other, bytes.subarray(0, 20), new Uint8Array(0), bytes.map((byte, index) => index === 40 ? byte ^ 1 : byte)]) {
        const copy = new MapTree(8)
        for (const [key, good] of sealed) copy.nodes.set(key, good)
        copy.nodes.set(address, bad)
        copy.tree = tree.tree
        expect(() => [...scanRows(copy.store, copy.tree, "", "z", false)]).toThrow(/Index/)
      }
    }
  })
})

describe("cuts", () => {
  it("HalfSipHash-2-4 gives the reference vectors of its authors", () => {
    const [k0, k1] = [0x03020100, 0x07060504]
    const vectors = [[0xa9, 0x35, 0x9f, 0x5b], [0x27, 0x47, 0x5a, 0xb8], [0xfa, 0x62, 0xa6, 0x03], [0x8a, 0xfe, 0xe7, 0x04]]
    for (const [length, vector] of vectors.entries()) {
      const message = String.fromCharCode(...Array.from({ length }, (_, index) => index))
      expect(halfSipHash(k0, k1, message)).toBe(Buffer.from(vector).readUInt32LE(0))
    }
  })

  it("nodes have about as many items as asked for, and never more than the bounds", () => {
    const coin = makeCoin(new Uint8Array(32).fill(1), 32)
    for (const level of [0, 1, 7]) {
      const cuts = Array.from({ length: 64_000 }, (_, index) => coin(`key-${index}`, level)).filter(Boolean).length
      expect(cuts).toBeGreaterThan(1800)
      expect(cuts).toBeLessThan(2200)
    }
    // A coin that never falls: count and bytes cut alone, and shapes still follow from contents.
    const [bulk, stepwise] = [new MapTree(1_000_000), new MapTree(1_000_000)]
    const rows = Array.from({ length: 1500 }, (_, index) => [`k${String(index).padStart(6, "0")}`, value("v".repeat(index % 7 === 0 ? 4000 : 10))] as const)
    bulk.build(rows)
    for (let at = 0; at < 5; at++) stepwise.fold(rows.filter((_, index) => index % 5 === at))
    expect(stepwise.root).toBe(bulk.root)
    expect(bulk.tree.nodes).toBeGreaterThan(1500 / 128)
    for (const sealed of bulk.nodes.values()) expect(sealed.length).toBeLessThan(40 * 1024)
  })
})
