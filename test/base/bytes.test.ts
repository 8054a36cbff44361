/** Bytes given back: what is released is empty, and nothing else is touched. */
import { describe, expect, it } from "vitest"
import { copyOf, release } from "../../src/base/bytes.ts"

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

  it("released twice is released once", () => {
    const bytes = new Uint8Array(8192)
    release(bytes)
    release(bytes)
    expect(bytes.length).toBe(0)
  })
})
