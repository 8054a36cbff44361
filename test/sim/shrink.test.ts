/** Shrinking keeps what a failure takes and nothing else. */
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { shrink } from "../../sim/Shrink.ts"

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

it("finds the one that it takes among a thousand, in a few dozen runs", () => {
  const { kept, runs } = shrink(numbers(1000), (some) => some.includes(777), 1000)
  expect(kept).toEqual([777])
  expect(runs).toBeLessThan(60)
})

it("keeps every part of what it takes, in order, whatever that is", () => {
  fc.assert(fc.property(fc.uniqueArray(fc.nat(199), { maxLength: 8 }), (needed) => {
    const { kept } = shrink(numbers(200), (some) => needed.every((one) => some.includes(one)), 10_000)
    expect(kept).toEqual(needed.toSorted((a, b) => a - b))
  }))
})

it("what fails without anything is left with nothing", () => {
  expect(shrink(numbers(10), () => true, 100)).toEqual({ kept: [], runs: 1 })
})

it("stops where its runs end, with something that fails", () => {
  const { kept, runs } = shrink(numbers(1000), (some) => some.includes(3) && some.includes(997), 12)
  expect(runs).toBeLessThanOrEqual(12)
  expect(kept).toContain(3)
  expect(kept).toContain(997)
})
