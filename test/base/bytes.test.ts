/** Bytes given back: what is released is empty, and nothing else is touched. */
import { describe, expect, it } from "vitest"
import { copyInto, copyOf, release } from "../../src/base/bytes.ts"

describe("bytes", () => {
  it("what its owner releases is empty at once", () => {
    const bytes = new Uint8Array(1 << 20).fill(7)
    const { buffer } = bytes
    release(bytes)
    expect(bytes.length).toBe(0)
    expect(buffer.detached).toBe(true)
  })

  it("a view of a part of a buffer is left alone, and so is what may come from a pool", () => {
    const whole = new Uint8Array(1 << 20).fill(7)
    release(whole.subarray(1))
    release(whole.subarray(0, 4096))
    expect(whole.length).toBe(1 << 20)
    const small = Buffer.from("small")
    release(small)
    expect(small.toString()).toBe("small")
    const shared = new Uint8Array(new SharedArrayBuffer(8192)).fill(7)
    release(shared)
    expect(shared.length).toBe(8192)
  })

  it("a copy of a Buffer is no view of it: releasing one leaves the other", () => {
    const bytes = Buffer.from(new Uint8Array(8192).fill(7).buffer)
    const copy = copyOf(bytes)
    release(bytes)
    expect(copy.length).toBe(8192)
    expect(copy.every((byte) => byte === 7)).toBe(true)
  })

  it("bytes are copied whole and in their place, whoever shares either memory, however long and wherever they lie", () => {
    const shared = (length: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(length))
    const own = (length: number): Uint8Array => new Uint8Array(length)
    const bytes = Uint8Array.from({ length: 50_000 }, (_, index) => (index * 31 + (index >> 8)) & 0xff)
    for (const [from, to] of [[shared, shared], [shared, own], [own, shared], [own, own]] as const) {
      for (const [start, length, at] of [[0, 0, 0], [1, 1, 7], [3, 16_383, 2], [5, 16_384, 0], [8, 16_385, 11], [13, 49_000, 1]] as const) {
        const source = from(50_000)
        source.set(bytes)
        const target = to(60_000).fill(9)
        copyInto(target, at, source.subarray(start, start + length))
        const expected = new Uint8Array(60_000).fill(9)
        expected.set(bytes.subarray(start, start + length), at)
        expect(Buffer.compare(Buffer.from(Uint8Array.from(target)), Buffer.from(expected)), `${length} at ${at}`).toBe(0)
        expect(Buffer.compare(Buffer.from(copyOf(source.subarray(start, start + length))), Buffer.from(bytes.subarray(start, start + length)))).toBe(0)
      }
    }
    const within = shared(100)
    within.set(bytes.subarray(0, 100))
    copyInto(within, 10, within.subarray(0, 50))
    expect([...within.subarray(10, 60)]).toEqual([...bytes.subarray(0, 50)])
  })

  it("released twice is released once", () => {
    const bytes = new Uint8Array(8192)
    release(bytes)
    release(bytes)
    expect(bytes.length).toBe(0)
  })
})
