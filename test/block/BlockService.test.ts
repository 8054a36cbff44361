import { Effect, Layer } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { BlockId, ChunkId, StoreId, VaultId } from "../../src/base/ids.ts"
import { alignRegion, type BlockChunk } from "../../src/block/Block.ts"
import { Blocks, type BlockWritten, type RegionRead } from "../../src/block/BlockService.ts"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"

const options = { store: "0102030405060708090a0b0c0d0e0f10" as StoreId, vault: "1112131415161718191a1b1c1d1e1f20" as VaultId }
const block = "2122232425262728292a2b2c2d2e2f30" as BlockId
const path = `blocks/21/${block}.block`

const chunks = (sizes: ReadonlyArray<number>): ReadonlyArray<BlockChunk> => {
  const random = seededRandom(5)
  return sizes.map((size) => {
    const sealed = random.bytes(size)
    return { id: hashOf(random.bytes(8)) as string as ChunkId, sizeBytes: size, sealedHash: hashOf(sealed), sealed }
  })
}

const run = <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Blocks>): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, Layer.provide(Blocks.layer(options), Layer.merge(disk.layer, Compute.layer()))))

const write = (given: ReadonlyArray<BlockChunk>) => Effect.flatMap(Blocks, (blocks) => blocks.write(block, given))
const verify = Effect.flatMap(Blocks, (blocks) => Effect.exit(blocks.verify(block)))
const readsOf = (given: ReadonlyArray<BlockChunk>, written: BlockWritten): ReadonlyArray<RegionRead> =>
  written.places.map(({ offset, lengthBytes }, index) => ({ block, offset, lengthBytes, sealedHash: given[index]!.sealedHash }))

describe("block service", () => {
  test("what is written is read, region by region, in any order, and the directory says what there is", async () => {
    const disk = new MemoryDisk()
    const given = chunks([100, 1, 5000, 8, 70_000, 13])
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const written = yield* blocks.write(block, given)
      const reads = readsOf(given, written)
      const order = [3, 0, 5, 4, 1, 2, 0]
      const got = yield* blocks.read(order.map((index) => reads[index]!))
      for (const [at, index] of order.entries()) expect(toHex(got[at] as Uint8Array)).toBe(toHex(given[index]!.sealed))
      const directory = yield* blocks.directory(block)
      expect(directory.hash).toBe(written.arrival.hash)
      expect(directory.regions.map((region) => region.chunk)).toEqual(given.map((chunk) => chunk.id))
      expect(yield* blocks.verify(block)).toEqual([])
      expect(yield* blocks.list).toEqual([block])
      yield* blocks.remove(block)
      expect(yield* blocks.list).toEqual([])
      expect((yield* blocks.read(reads.slice(0, 1)))[0]).toMatchObject({ _tag: "BlockMissing" })
    }))
  })

  test("chunks that lie in memory as in the file, and others beside them, are the same block; what lies between them is not taken along", async () => {
    const given = chunks([100, 4093, 8, 70_000, 13, 5000, 1])
    const apart = new MemoryDisk()
    await run(apart, write(given))
    for (const between of [0, 0xff]) {
      const memory = new Uint8Array(200_000).fill(between)
      let at = 96
      const together = given.map((chunk, index): BlockChunk => {
        // The fourth lies elsewhere, the sixth is a word too far behind.
        if (index === 3) return chunk
        if (index === 5) at += 8
        const sealed = memory.subarray(at, at + chunk.sealed.length)
        sealed.set(chunk.sealed)
        at = alignRegion(at + chunk.sealed.length)
        return { ...chunk, sealed }
      })
      const disk = new MemoryDisk()
      await run(disk, Effect.andThen(write(together), verify))
      expect(toHex(disk.contents().get(path)!)).toBe(toHex(apart.contents().get(path)!))
    }
  })

  test("a block that grows chunk by chunk is the same file as one that is written at once", async () => {
    const given = chunks([100, 4093, 8, 70_000, 13, 5000, 1, 4096, 8192, 3])
    const atOnce = new MemoryDisk()
    await run(atOnce, write(given))
    for (const cuts of [[1, 2, 3], [4], [0, 5, 5, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
      const disk = new MemoryDisk()
      await run(disk, Effect.scoped(Effect.gen(function*() {
        const writer = yield* (yield* Blocks).begin(block)
        let from = 0
        for (const to of [...cuts, given.length]) {
          // Memory that is given away once it is written.
          const lent = given.slice(from, to).map((chunk) => ({ ...chunk, sealed: Uint8Array.from(chunk.sealed) }))
          yield* writer.append(lent)
          for (const { sealed } of lent) sealed.fill(0)
          from = to
        }
        const { places } = yield* writer.finish
        const read = yield* (yield* Blocks).read(readsOf(given, { places } as BlockWritten))
        expect(read.map((bytes) => toHex(bytes as Uint8Array))).toEqual(given.map(({ sealed }) => toHex(sealed)))
      })))
      expect(toHex(disk.contents().get(path)!)).toBe(toHex(atOnce.contents().get(path)!))
    }
  })

  test("a block that was begun and not finished, interrupted or failed, leaves no file", async () => {
    const given = chunks([9000, 9000])
    for (const end of [Effect.void, Effect.die("a defect"), Effect.interrupt]) {
      const disk = new MemoryDisk()
      await run(disk, Effect.gen(function*() {
        const blocks = yield* Blocks
        yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          const writer = yield* blocks.begin(block)
          yield* writer.append(given.slice(0, 1))
          yield* end
        })))
        expect(yield* blocks.list).toEqual([])
      }))
    }
    const lost = new MemoryDisk()
    lost.loseWrite = (at, offset) => at === path && offset > 0
    await run(lost, Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        const writer = yield* (yield* Blocks).begin(block)
        yield* Effect.forEach(given, (chunk) => writer.append([chunk]), { discard: true })
        return yield* writer.finish
      })))
      expect(exit._tag).toBe("Failure")
      expect(yield* (yield* Blocks).list).toEqual([])
    }))
  })

  test("a range of a block costs the bytes of its chunks, not of the block", async () => {
    const disk = new MemoryDisk()
    const given = chunks(Array.from({ length: 40 }, () => 100_000))
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const reads = readsOf(given, yield* blocks.write(block, given))
      const before = disk.counts.get("read") ?? 0
      const got = yield* blocks.read([reads[3]!, reads[4]!, reads[30]!])
      expect((disk.counts.get("read") ?? 0) - before).toBe(2)
      // Neighbours share a buffer of their own lengths; the block has four million bytes.
      expect((got[0] as Uint8Array).buffer.byteLength).toBeLessThanOrEqual(200_008)
    }))
  })

  test("power cut after any disk operation: a block that was acknowledged is whole, name and bytes", async () => {
    const given = chunks([3000, 9000, 5])
    const total = new MemoryDisk()
    await run(total, write(given))
    let acknowledged = 0
    for (let stop = 1; stop <= total.operations + 3; stop++) {
      for (let seed = 0; seed < 6; seed++) {
        const disk = new MemoryDisk()
        disk.stopAfter(stop)
        const fiber = Effect.runFork(Effect.scoped(Effect.provide(write(given), Layer.provide(Blocks.layer(options), Layer.merge(disk.layer, Compute.layer())))))
        for (let turn = 0; turn < 60 && fiber.pollUnsafe() === undefined; turn++) await new Promise((resolve) => setImmediate(resolve))
        const done = fiber.pollUnsafe()?._tag === "Success"
        const verified = await run(disk.crash(seededRandom(seed * 1000 + stop)), verify)
        const isWhole = verified._tag === "Success" && verified.value.length === 0
        expect(isWhole || !done, `stopped after ${stop}, seed ${seed}: acknowledged and not whole`).toBe(true)
        if (done) acknowledged++
      }
    }
    expect(acknowledged).toBeGreaterThan(5)
  })

  test("a write that the disk bent is found by reading back: no success, no file left", async () => {
    const given = chunks([3000, 9000, 5])
    for (const offset of [0, 70, 100, 2000, 3097, 8000, 12_120, 12_200, 12_380]) {
      const disk = new MemoryDisk()
      disk.fault = (operation, at) => {
        if (operation === "syncFolder" && at === "blocks/21") disk.corrupt(path, offset)
        return undefined
      }
      const outcome = await run(disk, Effect.exit(write(given)))
      expect(outcome._tag, `byte ${offset}`).toBe("Failure")
      expect([...disk.contents().keys()]).not.toContain(path)
    }
  })

  for (const operation of ["open", "write", "sync", "syncFolder", "read"] as const) {
    test(`${operation} fails while a block is written: an error, no success, no file left`, async () => {
      const disk = new MemoryDisk()
      let armed = false
      disk.fault = (asked, at) => armed && asked === operation && at.startsWith("blocks/21") ? "Io" : undefined
      const outcome = await run(disk, Effect.gen(function*() {
        const blocks = yield* Blocks
        armed = true
        return yield* Effect.exit(blocks.write(block, chunks([3000, 5])))
      }))
      expect(outcome._tag).toBe("Failure")
      expect([...disk.contents().keys()]).not.toContain(path)
    })
  }

  test("any byte changed: a scrub names it, a read that touches it refuses, a read that does not is right", async () => {
    const disk = new MemoryDisk()
    const given = chunks([30, 61, 8])
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const written = yield* blocks.write(block, given)
      const reads = readsOf(given, written)
      for (let at = 0; at < written.arrival.sizeBytes; at++) {
        disk.corrupt(path, at)
        const scrub = yield* Effect.exit(blocks.verify(block))
        expect(scrub._tag === "Failure" || scrub.value.length === 1, `byte ${at}`).toBe(true)
        const got = yield* blocks.read(reads)
        for (const [index, { offset, lengthBytes }] of reads.entries()) {
          const touched = at >= offset && at < offset + lengthBytes
          const result = got[index]!
          const found = result instanceof Uint8Array ? toHex(result) : `${result._tag} of ${block}`
          expect(found, `byte ${at}`).toBe(touched ? `BlockDamaged of ${block}` : toHex(given[index]!.sealed))
        }
        disk.corrupt(path, at)
      }
      expect(yield* blocks.verify(block)).toEqual([])
    }))
  })

  test("places outside a block, or longer than a region may be, are refused before anything is read", async () => {
    const disk = new MemoryDisk()
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const given = chunks([30])
      const [place] = readsOf(given, yield* blocks.write(block, given))
      const before = disk.operations
      const wild = [
        { ...place!, offset: 0 }, { ...place!, offset: -8 }, { ...place!, lengthBytes: 0 }, { ...place!, lengthBytes: 2 ** 40 },
        { ...place!, offset: 2 ** 60 }, { ...place!, offset: Number.NaN }
      ]
      for (const result of yield* blocks.read(wild)) expect(result).toMatchObject({ _tag: "BlockDamaged" })
      expect(disk.operations).toBe(before)
      expect((yield* blocks.read([{ ...place!, lengthBytes: 1000 }]))[0]).toMatchObject({ _tag: "BlockDamaged" })
    }))
  })

  test("a block under another's name, and one of another store, are refused", async () => {
    const disk = new MemoryDisk()
    await run(disk, write(chunks([30])))
    const other = "21ffffffffffffffffffffffffffffff" as BlockId
    await Effect.runPromise(disk.service.rename(path, `blocks/21/${other}.block`))
    const exit = await run(disk, Effect.flatMap(Blocks, (blocks) => Effect.exit(blocks.directory(other))))
    expect(String(exit._tag === "Failure" ? exit.cause : "")).toContain(`the file holds block ${block}`)
  })

  test("hundreds of blocks are read with a bounded number of open files", async () => {
    const disk = new MemoryDisk()
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const given = chunks([20])
      const ids = Array.from({ length: 150 }, (_, index) => index.toString(16).padStart(32, "0") as BlockId)
      const places: Array<RegionRead> = []
      for (const id of ids) places.push({ ...(yield* blocks.write(id, given)).places[0]!, sealedHash: given[0]!.sealedHash })
      for (let round = 0; round < 2; round++) {
        for (const result of yield* blocks.read(places)) expect(toHex(result as Uint8Array)).toBe(toHex(given[0]!.sealed))
      }
      yield* Effect.forEach(places, (place) => blocks.read([place]), { concurrency: 100 })
    }))
  })

  test("a write that the disk lost, or put elsewhere, is noticed while the page cache shows what was written: the block is refused", async () => {
    for (const landing of [() => "Lost" as const, (_: string, offset: number) => offset + 4096, (at: string) => at === path ? 512 : 0]) {
      const disk = new MemoryDisk()
      disk.landing = landing
      const written = await run(disk, Effect.exit(write(chunks([3000, 9000, 5]))))
      expect(String(written)).toMatch(/BlockDamaged/)
      expect(disk.contents().has(path), "nobody will find it").toBe(false)
    }
  })

  test("a byte that rots under a page that stays cached is named by verify", async () => {
    const disk = new MemoryDisk()
    await run(disk, write(chunks([3000, 9000])))
    disk.corrupt(path, 96 + 3000 + 500, undefined, "Kept")
    expect(await run(disk, verify)).toMatchObject({ _tag: "Success", value: [{ chunk: chunks([3000, 9000])[1]!.id }] })
  })
})
