/** Memory of bodies: what slow readers hold in all, and that a client which goes away leaves nothing behind. */
import { assert, describe, expect, it, test } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Allowances, type AllowanceSizes } from "../../src/allowance.ts"
import { toHex } from "../../src/base/bytes.ts"
import { readAheadBatchesMax } from "../../src/base/limits.ts"
import type { ChunkId } from "../../src/base/ids.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { Fetch, type FetchService } from "../../src/fetch.ts"
import { Get, type GetOptions } from "../../src/get.ts"
import { Intents } from "../../src/intents.ts"
import type { ObjectVersion } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Pins } from "../../src/pins.ts"
import type { Body } from "../../src/ports/Body.ts"
import { Put } from "../../src/put.ts"
import { seededRandom } from "../../sim/Random.ts"
import { SimulatedScheduler } from "../../sim/Scheduler.ts"
import { get, makeBucket, noSummary, put, versionOf } from "./operations.ts"
import { newMachine, readAll, storeOn, withStore } from "./store.ts"

const MiB = 1024 * 1024
const chunkBytes = 1000

/** Chunks out of nothing: each is full of its number. Counts what it has given, as nobody else does. */
const memoryFetch = (given: { bytes: number }, delay: Effect.Effect<void> = Effect.yieldNow): FetchService => ({
  chunks: (ids) => Effect.andThen(delay, Effect.sync(() => ids.map((id) => {
    given.bytes += chunkBytes
    return new Uint8Array(chunkBytes).fill(Number(id))
  }))),
  isDamaged: () => false,
  cachedPart: () => undefined,
  noteDamaged: () => undefined,
  damaged: () => new Set(),
  healed: () => undefined
})

const objectOf = (chunks: number): ObjectVersion => ({
  sizeBytes: chunks * chunkBytes,
  manifest: { _tag: "Chunks", entries: Array.from({ length: chunks }, (_, index) => ({ chunk: String(index) as ChunkId, sizeBytes: chunkBytes })) }
} as unknown as ObjectVersion)

const services = (fetch: FetchService, sizes: Partial<AllowanceSizes>, options: GetOptions = {}) =>
  Layer.build(Get.layer(options).pipe(
    Layer.provide(Layer.merge(Layer.succeed(Fetch, fetch), Layer.succeed(Intents, { open: Effect.void, oldest: () => undefined, count: () => 0 }))),
    Layer.provideMerge(Allowances.layer(sizes))
  ))

const settled = Effect.gen(function*() {
  for (let turn = 0; turn < 30; turn += 1) yield* Effect.yieldNow
})

describe("memory for reads", () => {
  it.effect("get: two hundred slow readers hold no more than the memory for reads, and each gets its bytes", () =>
    Effect.scoped(Effect.gen(function*() {
      const random = seededRandom(5)
      const total = 40 * chunkBytes
      const given = { bytes: 0 }
      let takenBytes = 0
      let most = 0
      const context = yield* services(memoryFetch(given), { readBytes: total })
      const { reads } = Context.get(context, Allowances)
      const reader = Effect.scoped(Effect.gen(function*() {
        const from = random.below(5)
        const body = yield* Context.get(context, Get).open(objectOf(8), from * chunkBytes, 8 * chunkBytes)
        for (let index = from; index < 8; index += 1) {
          const bytes = yield* body.next
          assert.deepStrictEqual(bytes, new Uint8Array(chunkBytes).fill(index))
          most = Math.max(most, given.bytes - takenBytes)
          yield* Effect.sleep(random.below(400))
          takenBytes += chunkBytes
        }
        assert.isUndefined(yield* body.next)
      }))
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      for (let index = 0; index < 200; index += 1) fibers.push(yield* Effect.forkChild(reader))
      for (let turn = 0; turn < 600 && fibers.some((fiber) => fiber.pollUnsafe() === undefined); turn += 1) {
        yield* settled
        yield* TestClock.adjust(100)
      }
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.isAtMost(most, total)
      assert.isAbove(most, total / 3, "and most of it is used")
      assert.deepStrictEqual(reads.status(), { total, used: 0, waiting: 0, refused: 0 })
    })))

  it.effect("get: memory that slow readers do not give back is no hang for the next: it is told in time", () =>
    Effect.scoped(Effect.gen(function*() {
      const context = yield* services(memoryFetch({ bytes: 0 }), { readBytes: 4 * chunkBytes })
      const service = Context.get(context, Get)
      const held: Array<Body> = []
      for (let index = 0; index < 3; index += 1) held.push(yield* service.open(objectOf(2)))
      const next = yield* Effect.forkChild(Effect.scoped(service.open(objectOf(2))))
      yield* settled
      assert.isUndefined(next.pollUnsafe())
      yield* TestClock.adjust(10_000)
      const exit = yield* Fiber.await(next)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("overloaded: bytes of memory for downloads"))
      // Those who have begun go on to their end, one after another.
      for (const body of held) assert.strictEqual((yield* readAll(body)).length, 2 * chunkBytes)
    })))

  it.effect("get: a reader that goes away stops the reading ahead, and its memory is the next one's", () =>
    Effect.scoped(Effect.gen(function*() {
      let fetches = 0
      let interrupted = 0
      const given = { bytes: 0 }
      // The first fetch answers, the next ones never do.
      const delay = Effect.suspend(() => (fetches += 1) === 1 ? Effect.yieldNow : Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted += 1))))
      const context = yield* services(memoryFetch(given, delay), { readBytes: 200 * MiB })
      const scope = Scope.makeUnsafe()
      const body = yield* Context.get(context, Get).open(objectOf(20_000)).pipe(Scope.provide(scope))
      yield* body.next
      yield* body.next
      yield* settled
      assert.strictEqual(fetches, 1 + readAheadBatchesMax)
      // The first batches are a quarter and a half of a whole one.
      assert.isAbove(Context.get(context, Allowances).reads.status().used, 3 * 4_000_000)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(interrupted, readAheadBatchesMax)
      assert.strictEqual(Context.get(context, Allowances).reads.status().used, 0)
    })))
})

/** The first bytes, and then silence. */
const endless = (bytes: Uint8Array, pullBytes: number): Body => {
  let at = 0
  return {
    sizeBytes: undefined,
    next: Effect.suspend(() => {
      if (at >= bytes.length) return Effect.never
      const piece = bytes.slice(at, at + pullBytes)
      at += piece.length
      return Effect.andThen(Effect.yieldNow, Effect.succeed(piece))
    })
  }
}

describe("memory for uploads", () => {
  it.effect("put: where no memory comes back the next large upload is told so, and small ones go on", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* makeBucket
      const { bodies } = yield* Allowances
      const service = yield* Put
      const upload = (body: Body) => service.object({ bucket: "b", key: "k", attributes: { headers: {}, userMetadata: {} }, summary: noSummary, body })
      const bytes = seededRandom(9).bytes(5000)
      yield* Effect.forkChild(upload(endless(bytes, 1000)))
      yield* settled
      const next = yield* Effect.forkChild(upload(endless(bytes, 1000)))
      yield* settled
      assert.strictEqual(bodies.status().waiting, 1)
      yield* put("small", bytes)
      yield* TestClock.adjust(10_000)
      const exit = yield* Fiber.await(next)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("overloaded: bytes of memory for uploads"))
      assert.deepStrictEqual(bodies.status(), { total: 64 * MiB, used: 64 * MiB, waiting: 0, refused: 1 })
    })).pipe(Effect.provide(storeOn(newMachine(9), { allowances: { bodyBytes: 64 * MiB } }))))
})

describe("clients that go away", () => {
  it("put: whenever its client goes away, no fiber, block, pin or memory of it stays", async () => {
    const random = seededRandom(3)
    const machine = newMachine(3)
    let mostBlocks = 0
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const blocks = yield* Blocks
      const namespace = yield* Namespace
      // What a page of the manifest has named is the collector's.
      const unnamed = Effect.map(blocks.list, (all) => all.filter((block) => namespace.block(block) === undefined))
      const { bodies } = yield* Allowances
      for (let turns = 1; turns < 240; turns += 1 + random.below(20)) {
        const service = yield* Put
        const fiber = yield* Effect.forkChild(service.object({
          bucket: "b", key: "k", attributes: { headers: {}, userMetadata: {} }, summary: noSummary,
          body: endless(random.bytes(90_000), 2000)
        }))
        for (let turn = 0; turn < turns; turn += 1) yield* Effect.yieldNow
        expect(bodies.status().used).toBeGreaterThan(0)
        mostBlocks = Math.max(mostBlocks, (yield* unnamed).length)
        yield* Fiber.interrupt(fiber)
        expect(yield* unnamed).toEqual([])
        expect(bodies.status()).toMatchObject({ used: 0, waiting: 0 })
        expect((yield* Pins).oldest()).toBeUndefined()
        expect((yield* Intents).count()).toBe(0)
      }
      // The store is as good as before.
      const bytes = random.bytes(50_000)
      yield* put("k", bytes)
      expect(toHex(yield* get("k"))).toBe(toHex(bytes))
    }))
    expect(mostBlocks, "some were interrupted with blocks written").toBeGreaterThan(0)
  })

  it("get: whenever its client goes away, its memory is given back and later reads are whole", async () => {
    const random = seededRandom(4)
    await withStore(newMachine(4), Effect.gen(function*() {
      yield* makeBucket
      const bytes = random.bytes(60_000)
      yield* put("k", bytes)
      const version = yield* versionOf("k")
      const service = yield* Get
      const { reads } = yield* Allowances
      for (let turns = 0; turns < 120; turns += 1 + random.below(6)) {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(service.open(version), readAll)))
        for (let turn = 0; turn < turns; turn += 1) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        expect(reads.status()).toMatchObject({ used: 0, waiting: 0 })
      }
      expect(toHex(yield* get("k"))).toBe(toHex(bytes))
    }))
  })

  test("get: the bytes come in their order, whichever of the fibers that fetch them runs first", () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const random = seededRandom(seed)
      const scheduler = new SimulatedScheduler(random, { disorder: 0.5 })
      const read = Effect.scoped(Effect.gen(function*() {
        const context = yield* services(memoryFetch({ bytes: 0 }), {}, { batchBytes: chunkBytes })
        const body = yield* Context.get(context, Get).open(objectOf(12))
        const order: Array<number> = []
        for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) order.push(bytes[0]!)
        return order
      }))
      const fiber = Effect.runForkWith(Context.make(Scheduler.Scheduler, scheduler))(read)
      while (scheduler.step()) { /* until nothing waits */ }
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), `seed ${seed}`)
    }
  })
})
