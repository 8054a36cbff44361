import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { concatBytes, fromHex, toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { BlockId, ChunkId, StoreId, VaultId } from "../../src/base/ids.ts"
import { alignRegion, blockFooterBytes, blockHeaderBytes, coalesce, hasRoom, layout, regionBytesMax } from "../../src/block/Block.ts"
import type { BlockChunk } from "../../src/block/Block.ts"
import { BlockFault, decodeDirectory, decodeFooter, decodeHeader, encodeHeader, encodeTail } from "../../src/block/BlockFormat.ts"
import { blockRegionsMax, blockSizeBytesMax } from "../../src/base/limits.ts"

const header = {
  store: "0102030405060708090a0b0c0d0e0f10" as StoreId,
  vault: "1112131415161718191a1b1c1d1e1f20" as VaultId,
  block: "2122232425262728292a2b2c2d2e2f30" as BlockId
}

const chunk = (size: number, seed: number): BlockChunk => {
  const sealed = new Uint8Array(size).map((_, index) => (index * 31 + seed * 7) & 0xff)
  return { id: hashOf(new Uint8Array([seed])) as string as ChunkId, sizeBytes: size, sealedHash: hashOf(sealed), sealed }
}

const encode = (chunks: ReadonlyArray<BlockChunk>): Uint8Array => {
  const { regions, directoryOffset } = layout(chunks)
  const head = encodeHeader(header)
  const parts = chunks.flatMap((one) => [one.sealed, new Uint8Array(alignRegion(one.sealed.length) - one.sealed.length)])
  return concatBytes([head, ...parts, encodeTail(head, regions, directoryOffset).bytes])
}

const decode = (bytes: Uint8Array) => {
  const head = decodeHeader(bytes.subarray(0, blockHeaderBytes))
  if (head instanceof BlockFault) return head
  const footer = decodeFooter(bytes.subarray(Math.max(0, bytes.length - blockFooterBytes)), bytes.length)
  if (footer instanceof BlockFault) return footer
  const regions = decodeDirectory(bytes.subarray(0, blockHeaderBytes), bytes.subarray(footer.directoryOffset), footer)
  return regions instanceof BlockFault ? regions : { head, footer, regions }
}

describe("block format", () => {
  test("version 1 is what version 1 was: the golden block, byte for byte", () => {
    const golden = readFileSync(new URL("golden/block-v1.hex", import.meta.url), "utf8").replaceAll("\n", "")
    const bytes = encode([chunk(13, 1), chunk(8, 2), chunk(40, 3)])
    expect(toHex(bytes)).toBe(golden)
    const decoded = decode(fromHex(golden))
    expect(decoded).toMatchObject({ head: header, regions: layout([chunk(13, 1), chunk(8, 2), chunk(40, 3)]).regions })
  })

  test("what is encoded is decoded, whatever the chunks", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 }), (sizes) => {
      const chunks = sizes.map(chunk)
      const bytes = encode(chunks)
      const decoded = decode(bytes)
      expect(decoded).not.toBeInstanceOf(BlockFault)
      if (decoded instanceof BlockFault) return
      expect(decoded.footer.sizeBytes).toBe(bytes.length)
      expect(decoded.regions.map((region) => region.chunk)).toEqual(chunks.map((one) => one.id))
      for (const [index, region] of decoded.regions.entries()) {
        expect(toHex(bytes.subarray(region.offset, region.offset + region.lengthBytes))).toBe(toHex(chunks[index]!.sealed))
      }
    }))
  })

  test("one byte changed in header, directory or footer: refused, each time", () => {
    const bytes = encode([chunk(13, 1), chunk(8, 2), chunk(40, 3)])
    const { directoryOffset } = layout([chunk(13, 1), chunk(8, 2), chunk(40, 3)])
    for (let at = 0; at < bytes.length; at++) {
      if (at >= blockHeaderBytes && at < directoryOffset) continue
      for (const flip of [0x01, 0x80, 0xff]) {
        const damaged = bytes.slice()
        damaged[at]! ^= flip
        expect(decode(damaged), `byte ${at}`).toBeInstanceOf(BlockFault)
      }
    }
  })

  test("any bytes in: a fault or a block, never a throw", () => {
    const valid = encode([chunk(13, 1), chunk(8, 2)])
    const mangled = fc.tuple(fc.nat(valid.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 })).map(([at, bytes]) => {
      const copy = valid.slice()
      copy.set(bytes.subarray(0, copy.length - at), at)
      return copy
    })
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 600 }), mangled), (bytes) => {
      const decoded = decode(bytes)
      expect(decoded instanceof BlockFault || toHex(bytes.subarray(0, 8)) === toHex(valid.subarray(0, 8))).toBe(true)
    }), { numRuns: 500 })
  })

  test("a footer that claims more than the file has is refused before anything is read for it", () => {
    const footer = encode([chunk(13, 1)]).subarray(-blockFooterBytes)
    expect(decodeFooter(footer, 1 << 20)).toBeInstanceOf(BlockFault)
    const huge = footer.slice()
    huge.set([0xff, 0xff, 0xff, 0xff], 8)
    expect(decodeFooter(huge, 300)).toMatchObject({ what: "the footer claims 4294967295 regions" })
  })

  test("a filler that asks hasRoom never breaks a limit of the layout", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: regionBytesMax }), { minLength: 1, maxLength: 40 }), (sizes) => {
      let sealed = 0
      let regions = 0
      for (const size of sizes) {
        if (!hasRoom(sealed, regions, size)) break
        sealed += size
        regions += 1
      }
      const at = sizes.slice(0, regions).reduce((offset, size) => alignRegion(offset + size), blockHeaderBytes)
      expect(at + regions * 80 + blockFooterBytes).toBeLessThanOrEqual(blockSizeBytesMax)
    }))
    expect(hasRoom(blockRegionsMax * 10, blockRegionsMax, 10)).toBe(false)
  })

  test("neighbours share a read, far ones do not, and every place is in exactly one run", () => {
    const place = fc.record({ offset: fc.nat(100_000), lengthBytes: fc.integer({ min: 1, max: 5_000 }) })
    fc.assert(fc.property(fc.array(place, { maxLength: 40 }), (places) => {
      const runs = coalesce(places, 100, 10_000)
      const members = runs.flatMap((run) => run.members).sort((a, b) => a - b)
      expect(members).toEqual(places.map((_, index) => index))
      for (const run of runs) {
        expect(run.lengthBytes).toBeLessThanOrEqual(10_000)
        for (const index of run.members) {
          expect(places[index]!.offset).toBeGreaterThanOrEqual(run.offset)
          expect(places[index]!.offset + places[index]!.lengthBytes).toBeLessThanOrEqual(run.offset + run.lengthBytes)
        }
      }
    }))
    expect(coalesce([{ offset: 0, lengthBytes: 10 }, { offset: 10, lengthBytes: 10 }, { offset: 500, lengthBytes: 1 }], 100, 10_000)).toHaveLength(2)
  })
})
