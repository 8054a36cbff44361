/** The erasure code against its definition, every loss, ranges, and fixed for ever. */
import { readFileSync } from "node:fs"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { toHex } from "../../src/base/bytes.ts"
import { makeReedSolomon, type ReedSolomon } from "../../src/slices/ReedSolomon.ts"
import { referenceParity } from "../../src/slices/ReferenceCode.ts"

const slicesOf = (seed: number, count: number, bytes: number): ReadonlyArray<Uint8Array> => {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => random.bytes(bytes))
}

/** All slices of some data. */
const coded = (code: ReedSolomon, data: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const parity = Array.from({ length: code.parityCount }, () => new Uint8Array(data[0]!.length))
  code.encode(data, parity)
  return [...data, ...parity]
}

/** Every choice of up to `most` of `count` things. */
const choices = (count: number, most: number): ReadonlyArray<ReadonlyArray<number>> => {
  const all: Array<ReadonlyArray<number>> = [[]]
  for (let thing = 0; thing < count; thing++) {
    all.push(...all.filter((chosen) => chosen.length < most).map((chosen) => [...chosen, thing]))
  }
  return all
}

const expectBack = (code: ReedSolomon, slices: ReadonlyArray<Uint8Array>, lost: ReadonlyArray<number>): void => {
  const targets = lost.map(() => new Uint8Array(slices[0]!.length).fill(0xaa))
  code.reconstruct(slices.map((slice, index) => (lost.includes(index) ? undefined : slice)), lost, targets)
  for (const [at, index] of lost.entries()) expect(Buffer.compare(targets[at]!, slices[index]!), `slice ${index} without ${lost.join()}`).toBe(0)
}

describe("slices: Reed-Solomon", () => {
  it("code: parity is what the definition says, for any shape and length", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 200 }), fc.integer(),
      (dataCount, parityCount, bytes, seed) => {
        const data = slicesOf(seed, dataCount, bytes)
        const slices = coded(makeReedSolomon(dataCount, parityCount), data)
        expect(slices.slice(dataCount).map(toHex)).toEqual(referenceParity(data, parityCount).map(toHex))
      }
    ), { seed: 7, numRuns: 60 })
  })

  for (const [dataCount, parityCount] of [[4, 2], [8, 3]] as const) {
    it(`code: ${dataCount}+${parityCount}, whichever slices are lost, all of them come back`, () => {
      const code = makeReedSolomon(dataCount, parityCount)
      // Longer than a window, and no multiple of anything.
      const slices = coded(code, slicesOf(dataCount, dataCount, 70_001))
      const losses = choices(dataCount + parityCount, parityCount)
      expect(losses.length).toBe(dataCount === 4 ? 1 + 6 + 15 : 1 + 11 + 55 + 165)
      for (const lost of losses) expectBack(code, slices, lost)
    })
  }

  it("code: any shape, any loss, any range of the slices alone", () => {
    const shape = fc.integer({ min: 1, max: 20 }).chain((dataCount) => fc.integer({ min: 1, max: 10 }).chain((parityCount) =>
      fc.record({
        dataCount: fc.constant(dataCount), parityCount: fc.constant(parityCount), seed: fc.integer(),
        lost: fc.shuffledSubarray(Array.from({ length: dataCount + parityCount }, (_, index) => index), { minLength: 1, maxLength: parityCount }),
        from: fc.integer({ min: 0, max: 999 }), length: fc.integer({ min: 0, max: 500 })
      })))
    fc.assert(fc.property(shape, ({ dataCount, parityCount, seed, lost, from, length }) => {
      const code = makeReedSolomon(dataCount, parityCount)
      const slices = coded(code, slicesOf(seed, dataCount, 1000))
      expectBack(code, slices.map((slice) => slice.subarray(from, from + length)), lost)
    }), { seed: 8, numRuns: 80 })
  })

  it("code: the widest one there is, and nothing wider", () => {
    const code = makeReedSolomon(128, 128)
    const slices = coded(code, slicesOf(1, 128, 3000))
    expectBack(code, slices, Array.from({ length: 128 }, (_, index) => 2 * index + (index % 2)))
    expect(() => makeReedSolomon(128, 129)).toThrow("no code has more")
    expect(() => code.reconstruct(slices.map((slice, index) => (index < 129 ? undefined : slice)), [0], [new Uint8Array(3000)])).toThrow("are needed")
  })

  it("code: golden parity: a change would make stored slices unreadable", () => {
    const data = Array.from({ length: 8 }, (_, slice) => Uint8Array.from({ length: 40 }, (_byte, at) => (slice * 40 + at) * 7 + 1))
    const lines = [...coded(makeReedSolomon(4, 2), data.slice(0, 4)).slice(4), ...coded(makeReedSolomon(8, 3), data).slice(8)].map(toHex)
    expect(readFileSync(new URL("golden/parity.v1.txt", import.meta.url), "utf8")).toBe([...lines, ""].join("\n"))
  })
})
