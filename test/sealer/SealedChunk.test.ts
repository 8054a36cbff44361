/** A sealed chunk's header and its frame, read before any key is used: what does not fit is named, nothing is allocated. */
import { zstdCompressSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { compressWherePays, decompress } from "../../src/sealer/Compression.ts"
import { decodeChunkHeader } from "../../src/sealer/SealedChunk.ts"
import { openVault } from "../../src/sealer/Vault.ts"
import { keysOf, noise, text } from "./fixtures.ts"

const vault = openVault(keysOf(1))

const refusalOf = (plaintext: Uint8Array, change: (bytes: Buffer) => Uint8Array | void): string => {
  const bytes = Buffer.from(vault.sealChunk(vault.nameChunk(plaintext), plaintext).bytes)
  const header = decodeChunkHeader(change(bytes) ?? bytes)
  return "reason" in header ? `${header.reason}: ${header.detail}` : "read"
}

describe("sealed chunk", () => {
  it("sealer: a header that lies about sizes, generation or format is refused by its field", () => {
    const [dense, loose] = [noise(100, 1), text(1000, 1)]
    expect(refusalOf(dense, () => {})).toBe("read")
    expect(refusalOf(dense, (bytes) => bytes.subarray(0, 96))).toBe("Damaged: 96 bytes are too few")
    expect(refusalOf(dense, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)]))).toBe("Damaged: the header says 100 bytes, 101 are there")
    expect(refusalOf(dense, (bytes) => bytes.subarray(0, -1))).toBe("Damaged: the header says 100 bytes, 99 are there")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt32BE(99, 12))).toContain("do not fit together")
    expect(refusalOf(loose, (bytes) => void bytes.writeUInt32BE(0xffff_ffff, 12))).toContain("do not fit together")
    expect(refusalOf(loose, (bytes) => void bytes.writeUInt32BE(bytes.length - 96, 12))).toContain("do not fit together")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt32BE(0, 8))).toContain("generation 0")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt8(2, 4))).toBe("UnknownFormat: version 2; this program knows 1")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt8(2, 5))).toBe("UnknownFormat: suite 2; this program knows 1")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt8(2, 6))).toBe("UnknownFormat: compression 2")
    expect(refusalOf(dense, (bytes) => void bytes.writeUInt8(1, 7))).toContain("UnknownFormat")
  })
})

describe("compression", () => {
  it("sealer: a frame gives exactly what was announced or nothing", () => {
    const frame = zstdCompressSync(text(1000, 1))
    expect(decompress(frame, 1000)).toEqual(Buffer.from(text(1000, 1)))
    for (const size of [0, 1, 999, 1001, 4 << 20]) expect(decompress(frame, size)).toBeUndefined()
    for (const cut of [0, 1, 8, frame.length - 1]) expect(decompress(frame.subarray(0, cut), 1000)).toBeUndefined()
  })

  it("sealer: a bomb of 16 KB that holds 512 MiB takes no more memory than announced", () => {
    // RFC 8878: blocks of one byte repeated 128 Ki times, in a window of 8 MiB; the last one closes the frame.
    const block = (last: number): Buffer => Buffer.from([((131_072 << 3) | 0b010 | last) & 0xff, (131_072 >> 5) & 0xff, 131_072 >> 13, 0])
    const bomb = Buffer.concat([Buffer.from("28b52ffd0068", "hex"), ...Array.from({ length: 4095 }, () => block(0)), block(1)])
    expect(decompress(bomb.subarray(0, 6 + 4 * 16), 1 << 21)).toBeUndefined()
    const before = process.resourceUsage().maxRSS
    expect(decompress(bomb, 1 << 20)).toBeUndefined()
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(128 * 1024)
  })

  it("sealer: large noise is not tried, small noise is not kept, text is", () => {
    expect(compressWherePays(noise(1 << 20, 1))).toBeUndefined()
    expect(compressWherePays(noise(1000, 1))).toBeUndefined()
    expect(compressWherePays(text(127, 1))).toBeUndefined()
    expect(compressWherePays(text(1000, 1))?.length).toBeLessThan(900)
    expect(compressWherePays(text(1 << 20, 1))?.length).toBeLessThan(1 << 19)
  })
})
