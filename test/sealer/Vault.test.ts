/** The vault: what it seals it opens, nothing else opens, and nothing of one vault is recognised in another. */
import { zstdCompressSync } from "node:zlib"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChunkId } from "../../src/base/ids.ts"
import { sealOverheadBytesMax } from "../../src/base/limits.ts"
import { SealError, type SealReason } from "../../src/sealer/SealError.ts"
import { chunkHeaderBytes, nonceBytes } from "../../src/sealer/SealedChunk.ts"
import { openVault } from "../../src/sealer/Vault.ts"
import { hashOf } from "../../src/base/hash.ts"
import { keysOf, noise, text } from "./fixtures.ts"

const vault = openVault(keysOf(1))
const foreign = openVault(keysOf(2))

const reasonOf = (opened: Uint8Array | SealError): SealReason | "opened" =>
  opened instanceof SealError ? opened.reason : "opened"

describe("vault: chunks", () => {
  it("sealer: any chunk, sealed and opened, is what it was, within its overhead, under its hash", () => {
    const chunks = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.record({ size: fc.integer({ min: 1, max: 100_000 }), seed: fc.nat() }).map(({ size, seed }) => noise(size, seed)),
      fc.record({ size: fc.integer({ min: 1, max: 200_000 }), seed: fc.nat() }).map(({ size, seed }) => text(size, seed))
    )
    fc.assert(
      fc.property(chunks, (plaintext) => {
        const id = vault.nameChunk(plaintext)
        const sealed = vault.sealChunk(id, plaintext)
        expect(sealed).toMatchObject({ id, sizeBytes: plaintext.length, hash: hashOf(sealed.bytes) })
        expect(sealed.bytes.length).toBeLessThanOrEqual(plaintext.length + sealOverheadBytesMax)
        expect(sealed.bytes.byteLength).toBe(sealed.bytes.buffer.byteLength)
        const opened = vault.openChunk(id, sealed.bytes)
        expect(opened).toBeInstanceOf(Uint8Array)
        expect(Buffer.compare(opened as Uint8Array, plaintext)).toBe(0)
      }),
      { numRuns: 100 }
    )
  })

  it("sealer: the largest chunk; one byte; none and one too many are our own bugs", () => {
    for (const plaintext of [noise(4 << 20, 1), text(4 << 20, 2), noise(1, 3)]) {
      const id = vault.nameChunk(plaintext)
      const opened = vault.openChunk(id, vault.sealChunk(id, plaintext).bytes)
      expect(Buffer.compare(opened as Uint8Array, plaintext)).toBe(0)
    }
    const large = new Uint8Array((4 << 20) + 1)
    expect(() => vault.sealChunk(vault.nameChunk(large), large)).toThrow("no chunk has 4194305 bytes")
    expect(() => vault.sealChunk(vault.nameChunk(new Uint8Array(0)), new Uint8Array(0))).toThrow("no chunk has 0 bytes")
    expect(() => vault.sealChunk(vault.nameChunk(noise(9, 1)), noise(9, 2))).toThrow("not named after its bytes")
  })

  it("sealer: text shrinks, noise does not, and the header says which", () => {
    const [dense, loose] = [noise(300_000, 4), text(300_000, 4)]
    expect(vault.sealChunk(vault.nameChunk(dense), dense).bytes.length).toBe(dense.length + chunkHeaderBytes + 28)
    expect(vault.sealChunk(vault.nameChunk(loose), loose).bytes.length).toBeLessThan(loose.length / 2)
  })

  it("sealer: any byte of a sealed chunk changed: refused", () => {
    for (const plaintext of [noise(100, 5), text(1000, 5)]) {
      const id = vault.nameChunk(plaintext)
      const { bytes } = vault.sealChunk(id, plaintext)
      for (let at = 0; at < bytes.length; at++) {
        for (const bit of [0x01, 0x80]) {
          const changed = Uint8Array.from(bytes)
          changed[at] = (changed[at] ?? 0) ^ bit
          expect(reasonOf(vault.openChunk(id, changed)), `byte ${at}`).not.toBe("opened")
        }
      }
      for (let size = 0; size < bytes.length; size++) expect(reasonOf(vault.openChunk(id, bytes.subarray(0, size)))).not.toBe("opened")
      expect(reasonOf(vault.openChunk(id, Buffer.concat([bytes, Buffer.alloc(1)])))).toBe("Damaged")
    }
  })

  it("sealer: another vault, another master, another generation, another chunk: refused by name", () => {
    const plaintext = text(5000, 6)
    const id = vault.nameChunk(plaintext)
    const { bytes } = vault.sealChunk(id, plaintext)
    const open = (keys: Partial<ReturnType<typeof keysOf>>): string => reasonOf(openVault({ ...keysOf(1), ...keys }).openChunk(id, bytes))
    expect(open({})).toBe("opened")
    expect(open({ vaultId: keysOf(2).vaultId })).toBe("WrongVault")
    expect(open({ generation: 2 })).toBe("WrongGeneration")
    expect(open({ master: noise(32, 99) })).toBe("Damaged")
    expect(reasonOf(vault.openChunk(vault.nameChunk(noise(3, 3)), bytes))).toBe("WrongChunk")
    const error = vault.openChunk("00".repeat(32) as ChunkId, bytes)
    expect((error as SealError).message).toContain(`the header names ${id}`)
  })

  it("sealer: any bytes at all: an error, never a hang, never more memory than a chunk", () => {
    const id = vault.nameChunk(noise(10, 1))
    const header = vault.sealChunk(id, noise(10, 1)).bytes.subarray(0, 8)
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 100, maxLength: 300 }).map((rest) => Buffer.concat([header, rest])))
    fc.assert(
      fc.property(bytes, (input) => {
        expect(vault.openChunk(id, input)).toBeInstanceOf(SealError)
      }),
      { numRuns: 500 }
    )
  })

  it("sealer: another compressor, the same chunk: other bytes under another nonce, and both open", () => {
    const plaintext = text(20_000, 7)
    const id = vault.nameChunk(plaintext)
    const one = vault.sealChunk(id, plaintext)
    const two = vault.sealChunk(id, plaintext, () => undefined)
    const nonceIn = ({ bytes }: { readonly bytes: Uint8Array }): string => Buffer.from(bytes.subarray(chunkHeaderBytes, chunkHeaderBytes + nonceBytes)).toString("hex")
    expect(one.bytes.length).not.toBe(two.bytes.length)
    expect(nonceIn(one)).not.toBe(nonceIn(two))
    // Same size, same header, one byte of another body: only a hash of the body tells them apart.
    const bodies = [0, 1].map((last) => vault.sealChunk(id, plaintext, () => Uint8Array.from([...new Uint8Array(500), last])))
    expect(new Set(bodies.map(nonceIn)).size).toBe(2)
    for (const { bytes } of [one, two]) expect(reasonOf(vault.openChunk(id, bytes))).toBe("opened")
  })

  it("sealer: a frame that gives more, fewer or other bytes than announced is damage, whoever sealed it", () => {
    const plaintext = text(20_000, 8)
    const id = vault.nameChunk(plaintext)
    const lying = (frame: Uint8Array): string => reasonOf(vault.openChunk(id, vault.sealChunk(id, plaintext, () => frame).bytes))
    const frameOf = (bytes: Uint8Array): Uint8Array => zstdCompressSync(bytes)
    expect(lying(frameOf(plaintext))).toBe("opened")
    expect(lying(frameOf(new Uint8Array(64 << 20)))).toBe("Damaged")
    expect(lying(frameOf(plaintext.subarray(1)))).toBe("Damaged")
    expect(lying(frameOf(text(20_000, 9)))).toBe("Damaged")
    expect(lying(new Uint8Array(100))).toBe("Damaged")
  })

  it("sealer: a frame that asks for a window beyond any chunk is refused, one within is not", () => {
    const plaintext = new Uint8Array(20_000).fill(0x61)
    const id = vault.nameChunk(plaintext)
    // RFC 8878: magic, no sizes in the header, window of 2^log bytes, one last block: a byte repeated.
    const block = ((plaintext.length << 3) | 0b011).toString(16).padStart(6, "0").match(/../g)?.toReversed().join("") ?? ""
    const frameOf = (log: number): Buffer => Buffer.from(`28b52ffd00${((log - 10) << 3).toString(16).padStart(2, "0")}${block}61`, "hex")
    const opened = (log: number): string => reasonOf(vault.openChunk(id, vault.sealChunk(id, plaintext, () => frameOf(log)).bytes))
    expect([15, 23, 24, 27, 41].map(opened)).toEqual(["opened", "opened", "Damaged", "Damaged", "Damaged"])
  })

  it("sealer: equal content in two vaults: ids, vertex hashes, gear keys and sealed bytes are unrelated", () => {
    const plaintext = text(5000, 10)
    const [id, other] = [vault.nameChunk(plaintext), foreign.nameChunk(plaintext)]
    expect(id).not.toBe(other)
    expect(vault.vertexHash(plaintext)).not.toBe(foreign.vertexHash(plaintext))
    expect(vault.vertexHash(plaintext)).not.toBe(id)
    expect(vault.gearKey).not.toEqual(foreign.gearKey)
    const bodyOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(chunkHeaderBytes)).toString("hex")
    expect(bodyOf(vault.sealChunk(id, plaintext).bytes)).not.toBe(bodyOf(foreign.sealChunk(other, plaintext).bytes))
    // Same master, other vault or tenant: still nothing in common.
    for (const changed of [{ vaultId: keysOf(3).vaultId }, { tenantId: "11".repeat(16) as never }]) {
      const near = openVault({ ...keysOf(1), ...changed })
      expect(near.nameChunk(plaintext)).not.toBe(id)
      expect(near.gearKey).not.toEqual(vault.gearKey)
    }
  })

  it("sealer: a new generation keeps names and cuts, so deduplication goes on", () => {
    const next = openVault({ ...keysOf(1), generation: 2 })
    expect(next.nameChunk(text(100, 1))).toBe(vault.nameChunk(text(100, 1)))
    expect(next.gearKey).toEqual(vault.gearKey)
    expect(next.vertexHash(text(100, 1))).toBe(vault.vertexHash(text(100, 1)))
  })
})

describe("vault: values", () => {
  it("sealer: any value under any context opens to what it was, and to nothing under another", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.uint8Array({ maxLength: 60 }), (plaintext, associated) => {
        const bytes = vault.sealValue("test a", associated, plaintext)
        expect(bytes.length).toBe(plaintext.length + 38)
        expect(Buffer.compare(vault.openValue("test a", associated, bytes) as Uint8Array, plaintext)).toBe(0)
        expect(reasonOf(vault.openValue("test b", associated, bytes))).toBe("Damaged")
        expect(reasonOf(vault.openValue("test a", Buffer.concat([associated, Buffer.alloc(1)]), bytes))).toBe("Damaged")
        expect(reasonOf(foreign.openValue("test a", associated, bytes))).toBe("Damaged")
      }),
      { numRuns: 100 }
    )
  })

  it("sealer: equal values give equal bytes; a bit of value or associated data changes the salt and all after it", () => {
    const associated = noise(9, 1)
    const one = Buffer.from(vault.sealValue("test a", associated, text(100, 1)))
    expect(vault.sealValue("test a", associated, text(100, 1))).toEqual(one)
    const salts = [vault.sealValue("test a", associated, text(100, 2)), vault.sealValue("test a", noise(9, 2), text(100, 1)), vault.sealValue("test b", associated, text(100, 1))]
      .map((bytes) => Buffer.from(bytes.subarray(6, 22)).toString("hex"))
    expect(new Set([one.subarray(6, 22).toString("hex"), ...salts]).size).toBe(4)
    // Where associated data ends is part of what is hashed.
    const split = (at: number): Uint8Array => vault.sealValue("test a", one.subarray(0, at), one.subarray(at, 40))
    expect(Buffer.from(split(10).subarray(6, 22))).not.toEqual(Buffer.from(split(11).subarray(6, 22)))
  })

  it("sealer: any byte of a sealed value changed, cut off or added: refused", () => {
    const bytes = vault.sealValue("test a", noise(5, 1), text(60, 1))
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      expect(reasonOf(vault.openValue("test a", noise(5, 1), changed)), `byte ${at}`).not.toBe("opened")
      expect(reasonOf(vault.openValue("test a", noise(5, 1), bytes.subarray(0, at)))).not.toBe("opened")
    }
    expect(reasonOf(vault.openValue("test a", noise(5, 1), Buffer.concat([bytes, Buffer.alloc(1)])))).toBe("Damaged")
  })

  it("sealer: any bytes as a value: an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
        expect(vault.openValue("test a", noise(5, 1), input)).toBeInstanceOf(SealError)
      }),
      { numRuns: 300 }
    )
  })

  it("sealer: contexts are constants: a program that makes them of data is stopped", () => {
    const fresh = openVault(keysOf(4))
    for (let index = 0; index < 64; index++) fresh.sealValue(`use ${index}`, noise(1, 1), noise(1, 1))
    expect(() => fresh.sealValue("one more", noise(1, 1), noise(1, 1))).toThrow("more than 64 contexts")
  })
})
