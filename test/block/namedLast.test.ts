/** Blocks that others may name before they are finished here: a file with a block's name is the block, whatever a power cut did. */
import { Effect, Layer } from "effect"
import { describe, expect, it } from "vitest"
import { hashOf } from "../../src/base/hash.ts"
import type { BlockId, ChunkId, StoreId, VaultId } from "../../src/base/ids.ts"
import type { BlockChunk } from "../../src/block/Block.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"

const options = { store: "0102030405060708090a0b0c0d0e0f10" as StoreId, vault: "1112131415161718191a1b1c1d1e1f20" as VaultId }
const block = "2122232425262728292a2b2c2d2e2f30" as BlockId
const random = seededRandom(5)
const chunks = [100, 5000, 9000].map((size): BlockChunk => {
  const sealed = random.bytes(size)
  return { id: hashOf(random.bytes(8)) as string as ChunkId, sizeBytes: size, sealedHash: hashOf(sealed), sealed }
})

const run = <A, E>(disk: MemoryDisk, effect: Effect.Effect<A, E, Blocks>, isNamedLast = true): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, layerOf(disk, isNamedLast)))

const write = Effect.flatMap(Blocks, (blocks) => blocks.write(block, chunks))
/** What lies under its name, and what is wrong with it; undefined: nothing does. */
const found = Effect.gen(function*() {
  const blocks = yield* Blocks
  if (!(yield* blocks.list).includes(block)) return undefined
  const verified = yield* Effect.result(blocks.verify(block))
  return verified._tag === "Failure" ? [verified.failure._tag] : verified.success.map(({ what }) => what)
})

const layerOf = (disk: MemoryDisk, isNamedLast: boolean) => Layer.provide(Blocks.layer({ ...options, isNamedLast }), Layer.merge(disk.layer, Compute.layer()))

/** Of many power cuts, at every operation of the disk, so many left something that is not the block. */
const wrongAfterCuts = async (isNamedLast: boolean): Promise<number> => {
  let wrong = 0
  for (let stop = 1; stop <= 24; stop += 1) {
    for (let seed = 0; seed < 6; seed += 1) {
      const disk = new MemoryDisk()
      disk.stopAfter(stop)
      const fiber = Effect.runFork(Effect.scoped(Effect.provide(write, layerOf(disk, isNamedLast))))
      for (let turn = 0; turn < 60 && fiber.pollUnsafe() === undefined; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      const isWritten = fiber.pollUnsafe()?._tag === "Success"
      const left = await run(disk.crash(seededRandom(seed * 1000 + stop)), found, isNamedLast)
      if (left === undefined ? isWritten : left.length > 0) wrong += 1
    }
  }
  return wrong
}

describe("blocks that are named last", () => {
  it("named last: what a power cut leaves under a block's name is the block; of a single node it may be less, and nobody's", async () => {
    expect(await wrongAfterCuts(true)).toBe(0)
    expect(await wrongAfterCuts(false)).toBeGreaterThan(0)
  })

  it("named last: a removal that a power cut takes back brings no half of a block back (cluster world 112)", async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const disk = new MemoryDisk()
      disk.fault = (operation, path) => (operation === "sync" && path.startsWith("blocks/") ? "DroppedSync" : undefined)
      expect(await run(disk, Effect.map(Effect.result(write), ({ _tag }) => _tag))).toBe("Failure")
      expect(await run(disk.crash(seededRandom(seed)), found)).toBeUndefined()
    }
  })

  it("named last: what is left of an earlier attempt is in nobody's way, and goes with the next start", async () => {
    const disk = new MemoryDisk()
    disk.fault = (operation, path) => (operation === "sync" && path.endsWith(".growing") ? "Io" : operation === "remove" && path.endsWith(".growing") ? "Io" : undefined)
    await run(disk, Effect.result(write))
    const growing = (): number => [...disk.sizes().keys()].filter((path) => path.endsWith(".growing")).length
    expect(growing()).toBe(1)
    disk.fault = undefined
    await run(disk, Effect.gen(function*() {
      expect(growing()).toBe(0)
      yield* write
      expect(yield* found).toEqual([])
    }))
  })

  it("named last: what could not be removed goes with the next look at what there is, unless it is being written again", async () => {
    const disk = new MemoryDisk()
    const growing = (): number => [...disk.sizes().keys()].filter((path) => path.endsWith(".growing")).length
    await run(disk, Effect.gen(function*() {
      const blocks = yield* Blocks
      const fails = (): void => { disk.fault = (operation, path) => ((operation === "sync" || operation === "remove") && path.endsWith(".growing") ? "Io" : undefined) }
      fails()
      yield* Effect.result(write)
      expect(yield* blocks.list).toEqual([])
      expect(growing()).toBe(1)
      disk.fault = undefined
      expect(yield* blocks.list).toEqual([])
      expect(growing()).toBe(0)
      fails()
      yield* Effect.result(write)
      disk.fault = undefined
      yield* Effect.scoped(Effect.gen(function*() {
        const writer = yield* blocks.begin(block)
        yield* blocks.list
        expect(growing()).toBe(1)
        yield* writer.append(chunks)
        yield* writer.finish
      }))
      expect(yield* found).toEqual([])
    }))
  })

  it("named last: written again in the same life", async () => {
    const disk = new MemoryDisk()
    await run(disk, Effect.gen(function*() {
      disk.fault = (operation, path) => ((operation === "sync" || operation === "remove") && path.endsWith(".growing") ? "Io" : undefined)
      yield* Effect.result(write)
      disk.fault = undefined
      yield* write
      expect(yield* found).toEqual([])
    }))
  })
})
