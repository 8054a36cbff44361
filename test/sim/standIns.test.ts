/** The cheap kernels of short worlds: they are taken back, sizes are the real ones, and no bit of what they sealed can change. */
import { createCipheriv } from "node:crypto"
import { zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { Bodies } from "../../sim/workload/Bodies.ts"
import { foundIn } from "../../sim/checker/Sealed.ts"
import { seededRandom } from "../../sim/Random.ts"
import { underStandIns } from "../../sim/StandIns.ts"
import { concatBytes, copyOf, toUtf8 } from "../../src/base/bytes.ts"
import { openVault } from "../../src/sealer/Vault.ts"
import { SealError } from "../../src/sealer/SealError.ts"
import type { VaultKeys } from "../../src/sealer/VaultKeys.ts"

const keys = { vaultId: "ab".repeat(16), generation: 1, master: seededRandom(3).bytes(32) } as unknown as VaultKeys
const others = { ...keys, master: seededRandom(4).bytes(32) }
const context = "tree node"
const name = toUtf8("associated")

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const other = copyOf(bytes)
  other[bit >> 3]! ^= 1 << (bit & 7)
  return other
}

/** What a world's vault does, in one run of the stand-ins. */
const sealed = <A>(act: (vault: ReturnType<typeof openVault>) => A): A => underStandIns(() => act(openVault(keys)))

describe("stand-ins of short worlds", () => {
  it("give back what was sealed, of any size", () => {
    for (const size of [0, 1, 3, 4, 5, 15, 16, 17, 1023, 16_383, 16_384, 16_385, 40_001]) {
      const plaintext = seededRandom(size).bytes(size)
      expect(sealed((vault) => vault.openValue(context, name, vault.sealValue(context, name, plaintext)))).toEqual(Buffer.from(plaintext))
    }
  })

  it("make bytes of the real sizes, and others than the real ones", () => {
    for (const size of [0, 1, 100, 1024, 5000]) {
      const plaintext = seededRandom(size).bytes(size)
      const real = openVault(keys).sealValue(context, name, plaintext)
      const cheap = sealed((vault) => vault.sealValue(context, name, plaintext))
      expect(cheap.length).toBe(real.length)
      expect(Buffer.from(cheap).equals(Buffer.from(real))).toBe(false)
      expect(openVault(keys).openValue(context, name, cheap)).toBeInstanceOf(SealError)
    }
  })

  it("refuse a value of which any one bit is another", () => {
    for (const size of [0, 1, 6, 8, 61]) {
      const value = sealed((vault) => vault.sealValue(context, name, seededRandom(size).bytes(size)))
      for (let bit = 0; bit < value.length * 8; bit += 1) {
        expect(sealed((vault) => vault.openValue(context, name, flipped(value, bit))), `bit ${bit} of ${size} bytes`).toBeInstanceOf(SealError)
      }
    }
  })

  it("refuse another name, another use, another vault, and parts that changed places", () => {
    const value = sealed((vault) => vault.sealValue(context, name, seededRandom(9).bytes(64)))
    const swapped = concatBytes([value.subarray(0, 22), value.subarray(26, 30), value.subarray(22, 26), value.subarray(30)])
    expect(sealed((vault) => vault.openValue(context, toUtf8("associatec"), value))).toBeInstanceOf(SealError)
    expect(sealed((vault) => vault.openValue("another use", name, value))).toBeInstanceOf(SealError)
    expect(sealed((vault) => vault.openValue(context, name, swapped))).toBeInstanceOf(SealError)
    expect(sealed((vault) => vault.openValue(context, name, value.subarray(0, -1)))).toBeInstanceOf(SealError)
    expect(underStandIns(() => openVault(others).openValue(context, name, value))).toBeInstanceOf(SealError)
  })

  it("refuse a chunk of which any one bit is another, compressed or not", () => {
    for (const plaintext of [seededRandom(5).bytes(150), new Uint8Array(600).fill(9)]) {
      const chunk = sealed((vault) => vault.sealChunk(vault.nameChunk(plaintext), plaintext))
      expect(chunk.bytes.length < plaintext.length).toBe(plaintext[0] === 9)
      expect(sealed((vault) => vault.openChunk(chunk.id, chunk.bytes))).toEqual(Buffer.from(plaintext))
      for (let bit = 0; bit < chunk.bytes.length * 8; bit += 1) {
        expect(sealed((vault) => vault.openChunk(chunk.id, flipped(chunk.bytes, bit))), `bit ${bit}`).toBeInstanceOf(SealError)
      }
    }
  })

  it("leave nothing in clear", () => {
    const { bytes } = new Bodies({ marked: true }).ofSize(seededRandom(8), 4000)
    expect(foundIn(bytes)).toBeDefined()
    expect(foundIn(sealed((vault) => vault.sealValue(context, name, bytes)))).toBeUndefined()
    expect(foundIn(sealed((vault) => vault.sealChunk(vault.nameChunk(bytes), bytes).bytes))).toBeUndefined()
  })

  it("compress what repeats itself, and refuse what is no frame or longer than announced", () => {
    const random = seededRandom(1)
    for (const bytes of [random.bytes(1000), new Uint8Array(100_000).fill(3), concatBytes([random.bytes(20), new Uint8Array(500), random.bytes(20)])]) {
      const frame = underStandIns(() => zstdCompressSync(bytes))
      expect(underStandIns(() => zstdDecompressSync(frame))).toEqual(Buffer.from(bytes))
      expect(() => underStandIns(() => zstdDecompressSync(frame, { maxOutputLength: bytes.length - 1 }))).toThrow("longer")
      expect(() => underStandIns(() => zstdDecompressSync(flipped(frame, 0)))).toThrow("no frame")
    }
  })

  it("are gone afterwards, also where a world failed", () => {
    expect(() => underStandIns(() => { throw new Error("a world") })).toThrow("a world")
    const plaintext = seededRandom(2).bytes(100)
    expect(zstdDecompressSync(zstdCompressSync(plaintext))).toEqual(Buffer.from(plaintext))
    // NIST's test case 13 of GCM for AES-256.
    const cipher = createCipheriv("aes-256-gcm", new Uint8Array(32), new Uint8Array(12))
    cipher.final()
    expect(cipher.getAuthTag().toString("hex")).toBe("530f8afbc74536b9a963b4f1c4cb738b")
  })
})
