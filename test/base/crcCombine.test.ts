import { crc32, crc32c } from "@node-rs/crc32"
import fc from "fast-check"
import { createCRC64 } from "hash-wasm"
import { describe, expect, test } from "vitest"
import { concatBytes, fromHex, toHex } from "../../src/base/bytes.ts"
import { combineCrcs, smallCrc } from "../../src/base/crcCombine.ts"
import type { CombinableCrc } from "../../src/base/crcCombine.ts"

const crc64 = await createCRC64("9a6c9329ac4bc9b5")
const of: Record<CombinableCrc, (bytes: Uint8Array) => Uint8Array> = {
  CRC32: (bytes) => fromHex(crc32(Buffer.from(bytes)).toString(16).padStart(8, "0")),
  CRC32C: (bytes) => fromHex(crc32c(Buffer.from(bytes)).toString(16).padStart(8, "0")),
  CRC64NVME: (bytes) => fromHex(crc64.init().update(bytes).digest())
}

describe("crcCombine", () => {
  test("the check values of the three CRCs are those of their specifications", () => {
    const digits = new TextEncoder().encode("123456789")
    expect(toHex(of.CRC32(digits))).toBe("cbf43926")
    expect(toHex(of.CRC32C(digits))).toBe("e3069283")
    expect(toHex(of.CRC64NVME(digits))).toBe("ae8b14860a799888")
  })

  for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME"] as const) {
    test(`${algorithm} of parts combined is ${algorithm} of the whole, whatever the parts`, () => {
      fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 }), (parts) => {
        const pieces = parts.map((part) => ({ crc: of[algorithm](part), lengthBytes: part.length }))
        expect(toHex(combineCrcs(algorithm, pieces))).toBe(toHex(of[algorithm](concatBytes(parts))))
        expect(toHex(smallCrc(algorithm, concatBytes(parts)))).toBe(toHex(of[algorithm](concatBytes(parts))))
      }))
    })
  }

  test("a part of many megabytes combines as well as a short one", () => {
    const parts = [new Uint8Array(9_000_001).fill(7), new Uint8Array(5_242_880).fill(9), new Uint8Array(3)]
    for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME"] as const) {
      const pieces = parts.map((part) => ({ crc: of[algorithm](part), lengthBytes: part.length }))
      expect(toHex(combineCrcs(algorithm, pieces))).toBe(toHex(of[algorithm](concatBytes(parts))))
    }
  })
})
