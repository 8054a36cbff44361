/** The chunker against its definition: cuts are equal, certain, bounded, keyed and independent of slicing. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type ChunkerOptions, checkChunkerOptions, defaultChunkerOptions } from "../../src/chunker/ChunkerOptions.ts"
import { makeChunker } from "../../src/chunker/Chunker.ts"
import { cutKernel } from "../../src/chunker/CutKernel.ts"
import { makeReferenceChunker } from "../../src/chunker/ReferenceChunker.ts"
import { randomBytes } from "./random.ts"

const key = randomBytes(32, 1)
const otherKey = randomBytes(32, 2)
const small: ChunkerOptions = { minBytes: 64, averageBytes: 256, maxBytes: 1024 }

const optionsArbitrary = fc
  .record({ min: fc.integer({ min: 64, max: 200 }), more: fc.integer({ min: 1, max: 400 }), rest: fc.integer({ min: 1, max: 600 }) })
  .map(({ min, more, rest }) => ({ minBytes: min, averageBytes: min + more, maxBytes: min + more + rest }))

/** Bytes with long runs and repeats beside noise: what real files are made of. */
const bytesArbitrary = fc
  .array(
    fc.oneof(
      fc.record({ seed: fc.nat(), size: fc.nat(1500) }).map(({ seed, size }) => randomBytes(size, seed)),
      fc.record({ byte: fc.nat(255), size: fc.nat(1500) }).map(({ byte, size }) => new Uint8Array(size).fill(byte)),
      fc.uint8Array({ maxLength: 40 })
    ),
    { maxLength: 6 }
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)))

const sum = (lengths: ReadonlyArray<number>): number => lengths.reduce((total, length) => total + length, 0)

describe("chunker", () => {
  it("chunker: any bytes, any options: cuts where its definition says", () => {
    fc.assert(
      fc.property(bytesArbitrary, optionsArbitrary, fc.boolean(), (bytes, options, final) => {
        const cuts = makeChunker(key, options).cut(bytes, final)
        expect(cuts).toEqual(makeReferenceChunker(key, options).cut(bytes, final))
      }),
      { numRuns: 150 }
    )
  })

  it("chunker: chunks longer than the window under scan: cuts where its definition says", () => {
    const bytes = new Uint8Array(Buffer.concat([Buffer.alloc(450_000), randomBytes(500_000, 3)]))
    const options = { minBytes: 100_000, averageBytes: 200_001, maxBytes: 600_000 }
    const cuts = makeChunker(key, options).cut(bytes, true)
    expect(cuts).toEqual(makeReferenceChunker(key, options).cut(bytes, true))
    expect(cuts[0]).toBeGreaterThan(450_000)
    expect(cuts[0]).toBeLessThan(600_000)
  })

  it("chunker: every chunk within its bounds, nothing lost, none empty, the last alone may be short", () => {
    fc.assert(
      fc.property(bytesArbitrary, optionsArbitrary, (bytes, options) => {
        const cuts = makeChunker(key, options).cut(bytes, true)
        expect(sum(cuts)).toBe(bytes.length)
        cuts.forEach((length, index) => {
          expect(length).toBeGreaterThan(index === cuts.length - 1 ? 0 : options.minBytes)
          expect(length).toBeLessThanOrEqual(options.maxBytes)
        })
      }),
      { numRuns: 150 }
    )
  })

  it("chunker: a stream sliced anyhow is cut as if it had come whole", () => {
    fc.assert(
      fc.property(bytesArbitrary, optionsArbitrary, fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1 }), (bytes, options, slices) => {
        const chunker = makeChunker(key, options)
        const cuts: Array<number> = []
        let from = 0
        let to = 0
        for (let turn = 0; to < bytes.length; turn++) {
          to = Math.min(bytes.length, to + (slices[turn % slices.length] ?? 1))
          const found = chunker.cut(bytes.subarray(from, to), to === bytes.length)
          cuts.push(...found)
          from += sum(found)
          expect(to - from).toBeLessThan(options.maxBytes)
        }
        expect(cuts).toEqual(chunker.cut(bytes, true))
      }),
      { numRuns: 150 }
    )
  })

  it("chunker: bytes put in front move no cut point behind the first few", () => {
    const bytes = randomBytes(200_000, 4)
    const ends = (input: Uint8Array): ReadonlyArray<number> => {
      let at = 0
      return makeChunker(key, small).cut(input, true).map((length) => input.length - (at += length))
    }
    const before = new Set(ends(bytes))
    const after = ends(new Uint8Array(Buffer.concat([randomBytes(777, 5), bytes])))
    expect(after.filter((end) => !before.has(end)).length).toBeLessThan(20)
    expect(before.size).toBeGreaterThan(500)
  })

  it("chunker: the mean is near the average, and sizes gather around it", () => {
    const options = { minBytes: 2048, averageBytes: 4096, maxBytes: 16_384 }
    const bytes = randomBytes(8 << 20, 6)
    const cuts = makeChunker(key, options).cut(bytes, true)
    const mean = bytes.length / cuts.length
    expect(mean).toBeGreaterThan(4096 * 0.9)
    expect(mean).toBeLessThan(4096 * 1.4)
    expect(cuts.filter((length) => length === options.maxBytes).length).toBeLessThan(cuts.length / 100)
  })

  it("chunker: another vault's key, the same bytes: unrelated boundaries", () => {
    const bytes = randomBytes(1 << 20, 7)
    const options = { minBytes: 512, averageBytes: 2048, maxBytes: 8192 }
    const ends = (vault: Uint8Array): Set<number> => {
      let at = 0
      return new Set(makeChunker(vault, options).cut(bytes, true).map((length) => (at += length)))
    }
    const mine = ends(key)
    const shared = [...ends(otherKey)].filter((end) => mine.has(end) && end !== bytes.length)
    expect(mine.size).toBeGreaterThan(300)
    expect(shared.length).toBeLessThan(5)
  })

  it("chunker: no bytes, no chunks; less than the minimum waits for more, or is the last chunk", () => {
    const chunker = makeChunker(key, small)
    expect(chunker.cut(new Uint8Array(0), false)).toEqual([])
    expect(chunker.cut(new Uint8Array(0), true)).toEqual([])
    expect(chunker.cut(new Uint8Array(63), false)).toEqual([])
    expect(chunker.cut(new Uint8Array(63), true)).toEqual([63])
  })

  it("chunker: sizes out of order or out of bounds are refused with a sentence", () => {
    expect(checkChunkerOptions(defaultChunkerOptions)).toBeUndefined()
    const refused = (options: Partial<ChunkerOptions>): string | undefined => checkChunkerOptions({ ...small, ...options })?.message
    expect(refused({ minBytes: 63 })).toBe("chunker: minBytes is 63: give at least 64")
    expect(refused({ minBytes: 64.5 })).toContain("whole number")
    expect(refused({ averageBytes: 64 })).toContain("more than minBytes")
    expect(refused({ maxBytes: 256 })).toContain("more than averageBytes")
    expect(refused({ maxBytes: 5 << 20 })).toContain("at most 4194304")
    expect(() => makeChunker(key, { ...small, minBytes: 1 })).toThrow("minBytes is 1")
  })

  it("chunker: the kernel cuts as the chunker does and moves only buffers that its input owns", () => {
    const owned = randomBytes(5000, 8)
    const part = owned.subarray(10)
    const { bytes, lengths } = cutKernel.run({ gearKey: key, options: small, bytes: owned, final: true })
    expect(bytes).toBe(owned)
    expect(lengths).toEqual(makeChunker(key, small).cut(owned, true))
    expect(cutKernel.transfersIn({ gearKey: key, options: small, bytes: owned, final: true })).toEqual([owned.buffer])
    expect(cutKernel.transfersIn({ gearKey: key, options: small, bytes: part, final: true })).toEqual([])
    expect(cutKernel.transfersOut({ bytes: owned, lengths })).toEqual([owned.buffer])
  })
})
