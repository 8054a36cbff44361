/** Caches beside what they stand for: the same bytes with and without, nothing kept of what is gone, less where memory is short. */
import { Effect, type Scope } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { cacheEntryBytes, readDirectBytesMin } from "../../src/base/limits.ts"
import type { ChunkId, Sequence } from "../../src/base/ids.ts"
import { ChunkCache, Chunks } from "../../src/chunkCache.ts"
import { Fetch } from "../../src/fetch.ts"
import type { ObjectVersion } from "../../src/namespace/Model.ts"
import { State } from "../../src/namespace/State.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Memory, type MemoryGauge } from "../../src/ports/Memory.ts"
import { nextShare, Pressure } from "../../src/pressure.ts"
import { Settle } from "../../src/settle.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put, versionOf } from "./operations.ts"
import { newMachine, type Rooms, storeOn, tiny, withStore } from "./store.ts"

const limits = (chunkCacheBytes: number) => ({ ...tiny, settings: { ...tiny.settings, limits: { chunkCacheBytes } as never } })
const idsOf = (version: ObjectVersion): ReadonlyArray<ChunkId> =>
  version.manifest._tag === "Chunks" ? version.manifest.entries.map(({ chunk }) => chunk) : []
const withMemory = <A, E>(program: Effect.Effect<A, E, Rooms | Scope.Scope>, memory: MemoryGauge): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.provide(program, storeOn(newMachine(5), limits(1_000_000)))).pipe(
    Effect.provideService(Memory, memory)
  ) as Effect.Effect<A>)
const small = seededRandom(1).bytes(2500)

describe("caches", () => {
  test("any reads of any ranges are the same bytes, with a cache of any size and without", () => {
    const bodies = [1, 2, 3, 4].map((seed) => seededRandom(seed).bytes(500 + 9000 * (seed - 1)))
    const readings = (chunkCacheBytes: number) => withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      for (const [index, body] of bodies.entries()) yield* put(`k${index}`, body)
      const random = seededRandom(9)
      const read: Array<string> = []
      for (let round = 0; round < 120; round += 1) {
        const index = random.below(bodies.length)
        const start = random.below(bodies[index]!.length)
        const end = start + random.below(bodies[index]!.length - start + 1)
        const bytes = yield* get(`k${index}`, start, end)
        expect(toHex(bytes)).toBe(toHex(bodies[index]!.subarray(start, end)))
        read.push(toHex(bytes))
        // Bytes that were given are the caller's: what he does to them harms nobody.
        bytes.fill(0)
        const { bytes: held, bytesMax } = (yield* ChunkCache).status()
        expect(held).toBeLessThanOrEqual(bytesMax)
      }
      return { read, ...(yield* ChunkCache).status() }
    }), limits(chunkCacheBytes))
    return Promise.all([0, 20_000, 1_000_000].map(readings)).then(([off, some, all]) => {
      expect([some!.read, all!.read]).toEqual([off!.read, off!.read])
      expect([off!.hits, off!.bytes]).toEqual([0, 0])
      expect(some!.evictions).toBeGreaterThan(0)
      expect(all!.hits).toBeGreaterThan(some!.hits)
    })
  })

  test("what is read once is not taken, read twice it is, and given to nobody as it lies there", () =>
    withStore(newMachine(2), Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", small)
      const [id] = idsOf(yield* versionOf("k"))
      const fetch = yield* Fetch
      const cache = yield* ChunkCache
      const first = (yield* fetch.chunks([id!]))[0]!
      expect(cache.status().entries).toBe(0)
      yield* fetch.chunks([id!])
      expect(cache.status()).toMatchObject({ entries: 1, hits: 0 })
      const [one, two] = yield* fetch.chunks([id!, id!])
      one!.fill(0)
      expect(toHex(two!)).toBe(toHex(first))
      expect(toHex((yield* fetch.chunks([id!]))[0]!)).toBe(toHex(first))
      expect(cache.status().hits).toBe(2)
    }), limits(1_000_000)))

  test("much that is read round and round keeps the part of it that fits; what is read instead takes its place", () => {
    const sizeBytes = 1000
    const cache = new Chunks(20 * (sizeBytes + cacheEntryBytes))
    const bytes = new Uint8Array(sizeBytes)
    const idsNamed = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name} ${index}` as ChunkId)
    /** As fetch does it; the readings that the cache answered. */
    const read = (ids: ReadonlyArray<ChunkId>): number => {
      let answered = 0
      for (const id of ids) {
        if (cache.get(id) === undefined) cache.offer(id, bytes)
        else answered += 1
      }
      return answered
    }
    const large = idsNamed("large", 60)
    expect([1, 2, 3, 4, 5].map(() => read(large))).toEqual([0, 0, 20, 20, 20])
    expect(cache.status().evictions).toBe(0)
    // A download of much else, once, changes nothing.
    read(idsNamed("once", 500))
    expect(read(large)).toBe(20)
    const hot = idsNamed("hot", 10)
    // What was kept makes way step by step.
    expect([1, 2, 3, 4, 5].map(() => read(hot))).toEqual([0, 0, 4, 8, 10])
    expect(cache.status().evictions).toBe(10)
    // A part of what is here; of what is not, nothing, and it is not counted either: it will be asked for as a whole.
    const { misses } = cache.status()
    const part = cache.part(hot[0]!, sizeBytes, 10, 30)!
    expect([part.length, part.buffer.byteLength]).toEqual([20, 20])
    expect([cache.part(hot[0]!, sizeBytes + 1, 10, 30), cache.part("no" as ChunkId, sizeBytes, 10, 30)]).toEqual([undefined, undefined])
    expect(cache.status().misses).toBe(misses)
  })

  test("a chunk that is freed, or healed, leaves the cache", () =>
    withStore(newMachine(3), Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", small)
      const ids = idsOf(yield* versionOf("k"))
      const fetch = yield* Fetch
      const cache = yield* ChunkCache
      yield* fetch.chunks(ids)
      yield* fetch.chunks(ids)
      expect(cache.status().entries).toBe(ids.length)
      fetch.healed([ids[0]!])
      expect(cache.status().entries).toBe(ids.length - 1)
      const chunks = ids.map((chunk) => ({ chunk, condemnedAt: 1 as Sequence }))
      yield* (yield* Namespace).propose({ _tag: "FreeChunks", chunks })
      expect(cache.status()).toMatchObject({ entries: 0, bytes: 0 })
    }), limits(1_000_000)))

  test("damage that a read meets leaves nothing in the cache, and is named", () => {
    const machine = newMachine(4)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", small)
      yield* (yield* Settle).settleNow
      const [id] = idsOf(yield* versionOf("k"))
      const fetch = yield* Fetch
      const cache = yield* ChunkCache
      yield* fetch.chunks([id!])
      yield* fetch.chunks([id!])
      expect(cache.status().entries).toBe(1)
      cache.remove(id!)
      const { place } = (yield* Namespace).chunks([id!])[0]!.copies[0]!
      if (place._tag !== "Block") throw new Error("the chunk is in a block by now")
      machine.disk.corrupt(`blocks/${place.block.slice(0, 2)}/${place.block}.block`, place.offset + 60)
      const failed = yield* Effect.exit(fetch.chunks([id!]))
      expect(failed._tag).toBe("Failure")
      expect([fetch.isDamaged(id!), cache.status().entries]).toEqual([true, 0])
    }), limits(1_000_000))
  })

  test("what a manifest page says is remembered, its bytes are fetched every time: damage of a page is seen", () => {
    const machine = newMachine(6)
    const body = seededRandom(6).bytes(40_000)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", body)
      yield* (yield* Settle).settleNow
      const { manifest } = yield* versionOf("k")
      if (manifest._tag !== "Pages") throw new Error("the object has pages by now")
      for (const [start, end] of [[0, 100], [20_000, 30_000], [39_000, 40_000]] as const) {
        expect(toHex(yield* get("k", start, end))).toBe(toHex(body.subarray(start, end)))
      }
      const { place } = (yield* Namespace).chunks([manifest.entries[0]!.chunk])[0]!.copies[0]!
      if (place._tag !== "Block") throw new Error("the page is in a block by now")
      machine.disk.corrupt(`blocks/${place.block.slice(0, 2)}/${place.block}.block`, place.offset + 60)
      expect(yield* Effect.flip(get("k", 0, 100))).toMatchObject({ _tag: "ReadError", reason: "Damaged" })
    }), limits(0))
  })

  test("near the limit of memory caches shrink to a half, then to nothing, and grow again one step at a time", () => {
    let residentBytes = 100
    return withMemory(Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", small)
      const ids = idsOf(yield* versionOf("k"))
      const fetch = yield* Fetch
      const cache = yield* ChunkCache
      const state = yield* State
      const pressure = yield* Pressure
      const nodes = state.cache().bytesMax
      const at = (bytes: number) => Effect.gen(function*() {
        residentBytes = bytes
        yield* pressure.lookNow
        return [pressure.share(), cache.status().bytesMax, state.cache().bytesMax] as const
      })
      for (let times = 0; times < 3; times += 1) yield* fetch.chunks(ids)
      expect(cache.status().entries).toBe(ids.length)
      expect(yield* at(740)).toEqual([1, 1_000_000, nodes])
      expect(yield* at(750)).toEqual([0.5, 500_000, Math.floor(nodes / 2)])
      expect(yield* at(850)).toEqual([0, 0, 0])
      expect([cache.status().entries, cache.status().bytes]).toEqual([0, 0])
      expect(toHex((yield* get("k")))).toBe(toHex(small))
      expect((yield* at(810))[0]).toBe(0)
      expect((yield* at(600))[0]).toBe(0.5)
      expect(yield* at(600)).toEqual([1, 1_000_000, nodes])
    }), () => ({ residentBytes, limitBytes: 1000 }))
  })

  test("nodes of the index: the same rows with a cache of any size and without, within its bound", () => {
    const listings = (nodeCacheBytes: number) => withStore(newMachine(6), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const state = yield* State
      for (let index = 0; index < 150; index += 1) yield* put(`folder/${index * 7919 % 1000}`, small.subarray(0, 20 + index))
      yield* namespace.checkpoint(true)
      const found: Array<string> = []
      for (let round = 0; round < 3; round += 1) {
        const page = yield* namespace.listObjects("b", { prefix: "", delimiter: "", after: "", limit: 1000 }, namespace.head().sequence)
        found.push(...page.versions.map(({ key, etag }) => `${key} ${etag}`))
        for (let index = 0; index < 150; index += 10) found.push(toHex(yield* get(`folder/${index * 7919 % 1000}`)))
        expect(state.cache().bytes).toBeLessThanOrEqual(nodeCacheBytes)
      }
      return { found, ...state.cache() }
    }), { ...tiny, settings: { ...tiny.settings, limits: { nodeCacheBytes } as never } })
    return Promise.all([0, 20_000, 10_000_000].map(listings)).then(([off, some, all]) => {
      expect([some!.found, all!.found]).toEqual([off!.found, off!.found])
      expect([off!.hits, off!.bytes]).toEqual([0, 0])
      expect(some!.evictions).toBeGreaterThan(0)
      expect(all!.hits).toBeGreaterThan(some!.hits)
    })
  })

  test("shares fall at once and rise only with some to spare", () => {
    const next = (share: 0 | 0.5 | 1, used: number) => nextShare(share, { residentBytes: used * 1000, limitBytes: 1000 })
    expect([next(1, 0.74), next(1, 0.75), next(1, 0.85), next(0.5, 0.9)]).toEqual([1, 0.5, 0, 0])
    expect([next(0.5, 0.74), next(0.5, 0.69), next(0, 0.84), next(0, 0.79), next(0, 0.1)]).toEqual([0.5, 1, 0, 0.5, 0.5])
  })

  test("what is read the first time of late comes past the page cache, into memory that is used again; the next time through it", async () => {
    const machine = newMachine(6)
    const { service } = machine.disk
    let reads: Array<string> = []
    const memories = new Set<ArrayBufferLike>()
    const open: typeof service.open = (path, mode, options) => Effect.map(service.open(path, mode, options), (file) => ({
      ...file,
      read: (offset, length, memory) => {
        if (path.startsWith("blocks/") && length > readDirectBytesMin) {
          reads.push(options?.direct === true ? "past" : "through")
          if (memory !== undefined) memories.add(memory.buffer)
        }
        return file.read(offset, length, memory)
      }
    }))
    ;(machine.disk as { service: typeof service }).service = { ...service, open }
    const body = seededRandom(8).bytes(4_000_000)
    const chunks = { minBytes: 256 * 1024, averageBytes: 512 * 1024, maxBytes: 1024 * 1024 }
    const { unitBytes: _, blockBytesTarget: __, ...sizes } = tiny.sizes!
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", body, 100_000)
      const seen: Array<ReadonlyArray<string>> = []
      const slots: Array<number> = []
      for (let turn = 0; turn < 3; turn += 1) {
        reads = []
        memories.clear()
        expect(Buffer.compare(yield* get("k"), body)).toBe(0)
        seen.push([...new Set(reads)])
        slots.push(memories.size)
      }
      // The third is out of the cache of chunks, where there is room in it.
      expect(seen).toEqual([["past"], ["through"], []])
      expect(slots[0]).toBeLessThanOrEqual(2)
    }), { ...limits(64_000_000), settings: { chunks, limits: { chunkCacheBytes: 64_000_000 } as never }, sizes: { ...sizes, blockBytesMin: 1 } })
  })
})
