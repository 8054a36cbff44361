import { createHash } from "node:crypto"
import { crc32c } from "@node-rs/crc32"
import { Effect, Exit, Fiber } from "effect"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { concatBytes, toBase64, toHex } from "../../src/base/bytes.ts"
import { smallCrc } from "../../src/base/crcCombine.ts"
import type { ChunkId, UploadId } from "../../src/base/ids.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { Fetch } from "../../src/fetch.ts"
import { Get } from "../../src/get.ts"
import { decodePage } from "../../src/namespace/Manifest.ts"
import type { Checksum, ChunkRow } from "../../src/namespace/Model.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Pins } from "../../src/pins.ts"
import { Put } from "../../src/put.ts"
import { Settle } from "../../src/settle.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, noSummary, put, versionOf } from "./operations.ts"
import { bodyOf, brokenBody, type Machine, newMachine, tiny, withStore } from "./store.ts"

const upload = "4142434445464748494a4b4c4d4e4f50" as UploadId
const attributes = { headers: {}, userMetadata: {} }

/** A byte of the first copy turns over where it lies. */
const damage = (machine: Machine, row: ChunkRow): void => {
  const { place } = row.copies[0]!
  const path = place._tag === "Block"
    ? `blocks/${place.block.slice(0, 2)}/${place.block}.block`
    : [...machine.disk.contents().keys()].filter((name) => name.startsWith("journal/"))
      .find((name) => Number.parseInt(name.replace(/\D/g, ""), 10) === place.segment) ?? "journal"
  machine.disk.corrupt(path, place.offset + 60)
}

const pageBytes = (page: ChunkId) => Effect.map(Effect.flatMap(Fetch, (fetch) => fetch.chunks([page])), ([bytes]) => bytes!)

describe("put and get", () => {
  test("what is put is got, whatever its size, before and after it settled, and so is every range of it", () =>
    withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      const random = seededRandom(7)
      const objects = [0, 1, 199, 200, 201, 511, 1024, 4095, 4096, 4097, 16_384, 40_000, 150_000].map((size) => random.bytes(size))
      for (const bytes of objects) {
        const stored = yield* put(`k${bytes.length}`, bytes)
        expect(stored.etag).toMatch(/^[0-9a-f]{32}-[1-9][0-9]*$/)
      }
      for (const settled of [false, true]) {
        if (settled) yield* (yield* Settle).settleNow
        for (const bytes of objects) {
          const size = bytes.length
          expect(toHex(yield* get(`k${size}`)), `size ${size}`).toBe(toHex(bytes))
          for (let i = 0; i < 10; i++) {
            const start = random.below(size + 1)
            const end = start + random.below(size - start + 1)
            expect(toHex(yield* get(`k${size}`, start, end)), `size ${size} [${start}, ${end})`).toBe(toHex(bytes.subarray(start, end)))
          }
        }
      }
      expect((yield* versionOf("k150000")).manifest._tag).toBe("Pages")
    })))

  test("whatever the pulls of a body, the chunks are the same ones", () =>
    withStore(newMachine(2), Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(8).bytes(30_000)
      const etags = new Set<string>()
      for (const pullMax of [1, 7, 1000, 4096, 30_000]) etags.add((yield* put(`p${pullMax}`, bytes, pullMax)).etag)
      expect(etags.size).toBe(1)
    })))

  test("equal content costs no bytes, in one object and across objects", () =>
    withStore(newMachine(3), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const bytes = seededRandom(9).bytes(10_000)
      yield* put("a", bytes)
      const once = namespace.counts().journaledBytes
      yield* put("b", bytes)
      expect(namespace.counts().journaledBytes).toBe(once)
      yield* put("zeros", new Uint8Array(60_000))
      expect(namespace.counts().journaledBytes).toBeLessThan(once + 10_000)
      expect(toHex(yield* get("b"))).toBe(toHex(bytes))
      expect((yield* get("zeros")).every((byte) => byte === 0)).toBe(true)
      expect((yield* get("zeros")).length).toBe(60_000)
      const before = namespace.counts().journaledBytes
      const part = seededRandom(90).bytes(4500)
      yield* put("thrice", concatBytes([part, part, part]))
      expect(namespace.counts().journaledBytes - before).toBeLessThan(10_000)
      expect(toHex(yield* get("thrice", 4500, 9000))).toBe(toHex(part))
    })))

  test("an upload that is interrupted at any point gives back its memory and its pins, and leaves no block", () =>
    withStore(newMachine(13), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const service = yield* Put
      for (let turns = 0; turns < 60; turns += 3) {
        const fiber = yield* Effect.forkChild(service.object({
          // Says nothing about its size: such a body is counted as the largest.
          bucket: "b", key: "cut", attributes, body: { ...bodyOf(seededRandom(turns).bytes(80_000)), sizeBytes: undefined }, summary: noSummary
        }))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
      }
      const blocks = yield* (yield* Blocks).list
      expect(blocks.filter((block) => namespace.block(block) === undefined)).toEqual([])
      expect((yield* Pins).oldest()).toBeUndefined()
      const bytes = seededRandom(51).bytes(50_000)
      yield* put("whole", bytes)
      expect(toHex(yield* get("whole"))).toBe(toHex(bytes))
    })))

  test("a body that breaks off leaves nothing: no version, no block, no claim on memory", () =>
    withStore(newMachine(4), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const service = yield* Put
      for (let i = 0; i < 8; i++) {
        const exit = yield* Effect.exit(service.object({
          bucket: "b", key: "broken", attributes, body: brokenBody(seededRandom(i).bytes(100_000)), summary: noSummary
        }))
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain("the client went away")
      }
      expect(yield* Effect.exit(versionOf("broken"))).toMatchObject({ _tag: "Failure" })
      expect((yield* (yield* Blocks).list).filter((block) => namespace.block(block) === undefined)).toEqual([])
      const bytes = seededRandom(50).bytes(50_000)
      yield* put("whole", bytes)
      expect(toHex(yield* get("whole"))).toBe(toHex(bytes))
    })))

  test("a refused put leaves no block behind", () =>
    withStore(newMachine(5), Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", seededRandom(1).bytes(10))
      const exit = yield* Effect.exit((yield* Put).object({
        bucket: "b", key: "k", attributes, body: bodyOf(seededRandom(2).bytes(17_500)), summary: noSummary, condition: { ifNoneMatch: "*" }
      }))
      expect(Exit.isFailure(exit) && String(exit.cause)).toContain("PreconditionFailed")
      expect(yield* (yield* Blocks).list).toEqual([])
    }), { sizes: { unitBytes: 4096, inlineBytesMax: 200, blockBytesTarget: 16_384 } }))

  test("the file of a block is made while its chunks are still read, and is gone where nothing came to be written to it", () => {
    const sizes = { ...tiny.sizes, unitBytes: 4096, blockBytesMin: 16_384, blockBytesTarget: 65_536 }
    return withStore(newMachine(15), Effect.gen(function*() {
      yield* makeBucket
      const blocks = yield* Blocks
      const service = yield* Put
      const bytes = seededRandom(3).bytes(40_000)
      const whole = bodyOf(bytes, seededRandom(4), 1000)
      let pulledBytes = 0
      const seen: Array<readonly [pulledBytes: number, files: number]> = []
      const next = Effect.tap(whole.next, (piece) => Effect.gen(function*() {
        for (let turn = 0; turn < 30; turn += 1) yield* Effect.yieldNow
        seen.push([pulledBytes, (yield* Effect.orDie(blocks.list)).length])
        pulledBytes += piece?.length ?? 0
      }))
      yield* service.object({ bucket: "b", key: "k", attributes, body: { ...whole, next }, summary: noSummary })
      expect(seen.find(([, files]) => files > 0)![0]).toBeLessThan(sizes.blockBytesMin)
      expect(toHex(yield* get("k"))).toBe(toHex(bytes))
      expect((yield* blocks.list).length).toBe(1)
      // One chunk that is new, the others known: too little for a block of its own.
      const again = Uint8Array.from(bytes)
      again[10] = again[10]! ^ 1
      yield* put("again", again)
      expect(toHex(yield* get("again"))).toBe(toHex(again))
      expect((yield* blocks.list).length).toBe(1)
    }), { sizes })
  })

  test("a copy reads and writes no byte, and outlives its source", () => {
    const machine = newMachine(6)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(11).bytes(50_000)
      yield* put("source", bytes)
      const reads = machine.disk.counts.get("read")
      const source = yield* versionOf("source")
      const stored = yield* (yield* Put).copy({ source, bucket: "b", key: "copy", attributes })
      expect(stored.etag).toBe(source.etag)
      expect(machine.disk.counts.get("read")).toBe(reads)
      yield* (yield* Namespace).propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key: "source" }] })
      expect(toHex(yield* get("copy"))).toBe(toHex(bytes))
    }))
  })

  test("a range looks its chunks up in batches and reads only what it needs", () => {
    const machine = newMachine(7)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(12).bytes(200_000)
      yield* put("large", bytes)
      yield* (yield* Settle).settleNow
      const before = machine.disk.counts.get("read") ?? 0
      expect(toHex(yield* get("large", 100_000, 100_010))).toBe(toHex(bytes.subarray(100_000, 100_010)))
      // One page for each level, one chunk.
      expect((machine.disk.counts.get("read") ?? 0) - before).toBeLessThanOrEqual(4)
      const all = machine.disk.counts.get("read") ?? 0
      yield* get("large")
      expect((machine.disk.counts.get("read") ?? 0) - all).toBeLessThan(60)
    }))
  })

  test("a damaged block is an error that names chunk and place, never wrong bytes; what lies beside it is read", () => {
    const machine = newMachine(8)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(13).bytes(20_000)
      yield* put("a", bytes)
      yield* (yield* Settle).settleNow
      const { manifest } = yield* versionOf("a")
      const id = manifest._tag === "Pages" ? (yield* (yield* Get).entries(manifest))[3]!.chunk : ""
      const [row] = (yield* Namespace).chunks([id as never])
      const place = row!.copies[0]!.place
      if (place._tag !== "Block") throw new Error("settled")
      machine.disk.corrupt(`blocks/${place.block.slice(0, 2)}/${place.block}.block`, place.offset + 40)
      const whole = yield* Effect.exit(get("a"))
      expect(Exit.isFailure(whole) && String(whole.cause)).toMatch(new RegExp(`${id}.*${place.block}`))
      expect(toHex(yield* get("a", 0, 100))).toBe(toHex(bytes.subarray(0, 100)))
    }))
  })

  test("the same bytes put again heal what was damaged, in a block and in the journal, also for those who had it before", () => {
    const machine = newMachine(14)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const objects = [3000, 30_000].map((size) => seededRandom(size).bytes(size))
      for (const settled of [true, false]) {
        for (const bytes of objects) {
          const key = `before ${bytes.length} ${settled}`
          if (!settled) bytes[0]! ^= 1
          yield* put(key, bytes)
          if (settled) yield* (yield* Settle).settleNow
          const version = yield* versionOf(key)
          const [entry] = yield* (yield* Get).entries(version.manifest)
          damage(machine, namespace.chunks([entry!.chunk])[0]!)
          expect(Exit.isFailure(yield* Effect.exit(get(key))), key).toBe(true)
          yield* put("after", bytes)
          for (const name of [key, "after"]) expect(toHex(yield* get(name)), name).toBe(toHex(bytes))
          yield* (yield* Settle).settleNow
          for (const name of [key, "after"]) expect(toHex(yield* get(name)), name).toBe(toHex(bytes))
        }
      }
      expect((yield* Settle).status().damaged).toEqual([])
      expect(namespace.counts().journaledBytes).toBe(0)
    }))
  })

  test("a damaged manifest page is healed by the same object put again, at every level, in a block and in the journal", () => {
    const machine = newMachine(15)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(31).bytes(150_000)
      yield* put("before", bytes)
      const { manifest } = yield* versionOf("before")
      if (manifest._tag !== "Pages") throw new Error("a manifest of pages")
      expect(manifest.level, "pages that list pages").toBeGreaterThan(1)
      const [root] = manifest.entries
      const lower = decodePage(yield* pageBytes(root!.chunk)).entries[0]!
      for (const settled of [false, true]) {
        if (settled) yield* (yield* Settle).settleNow
        for (const page of [root!.chunk, lower.chunk]) {
          damage(machine, (yield* Namespace).chunks([page])[0]!)
          ;(yield* Fetch).noteDamaged([page])
          yield* put("after", bytes)
          for (const name of ["before", "after"]) expect(toHex(yield* get(name)), name).toBe(toHex(bytes))
        }
      }
      expect((yield* Fetch).damaged().size).toBe(0)
    }))
  })

  test("a damaged chunk that was a small last part is healed where the same part is joined again", () => {
    const machine = newMachine(16)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const service = yield* Put
      const namespace = yield* Namespace
      const small = seededRandom(32).bytes(150)
      const joined = (key: string, id: string) => Effect.gen(function*() {
        yield* namespace.propose({ _tag: "CreateUpload", bucket: "b", key, upload: id as UploadId, attributes })
        const { etag } = yield* service.part({ bucket: "b", key, upload: id as UploadId, partNumber: 1, body: bodyOf(small), summary: noSummary })
        yield* service.complete({ bucket: "b", key, upload: id as UploadId, parts: [{ partNumber: 1, etag }] })
      })
      yield* joined("before", upload)
      const { manifest } = yield* versionOf("before")
      const [entry] = yield* (yield* Get).entries(manifest)
      damage(machine, namespace.chunks([entry!.chunk])[0]!)
      ;(yield* Fetch).noteDamaged([entry!.chunk])
      yield* joined("after", upload.replace("4", "5"))
      for (const name of ["before", "after"]) expect(toHex(yield* get(name)), name).toBe(toHex(small))
    }))
  })

  test("readers under way do not notice that their chunks move from the journal into blocks", () =>
    withStore(newMachine(9), Effect.gen(function*() {
      yield* makeBucket
      const random = seededRandom(14)
      const objects = Array.from({ length: 6 }, () => random.bytes(14_000))
      for (const [index, bytes] of objects.entries()) yield* put(`k${index}`, bytes)
      const settle = yield* Settle
      const namespace = yield* Namespace
      const readers = Effect.forEach(objects, (bytes, index) => Effect.gen(function*() {
        for (let round = 0; round < 12; round++) expect(toHex(yield* get(`k${index}`))).toBe(toHex(bytes))
      }), { concurrency: "unbounded" })
      const mover = Effect.gen(function*() {
        for (let round = 0; round < 6; round++) {
          yield* put("more", random.bytes(15_000))
          yield* settle.settleNow
          yield* namespace.checkpoint(true)
          yield* settle.settleNow
        }
      })
      yield* Effect.all([readers, mover], { concurrency: "unbounded" })
    })))

  test("any object, any pulls, any range: the bytes that were put", () =>
    withStore(newMachine(10), Effect.gen(function*() {
      yield* makeBucket
      const cases = fc.sample(fc.tuple(fc.nat(25_000), fc.integer({ min: 1, max: 9000 }), fc.nat(1000), fc.nat(1000), fc.nat()), { numRuns: 60, seed: 5 })
      for (const [size, pullMax, from, length, seed] of cases) {
        const bytes = seededRandom(seed).bytes(size)
        yield* put("any", bytes, pullMax)
        const start = Math.floor(size * from / 1000)
        const end = start + Math.floor((size - start) * length / 1000)
        expect(toHex(yield* get("any", start, end))).toBe(toHex(bytes.subarray(start, end)))
      }
    })))
})

describe("multipart", () => {
  const partBytes = 5 * 1024 * 1024
  const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

  test("parts become one object: bytes, ETag of MD5s, combined and composite checksums, and the parts are dropped", () =>
    withStore(newMachine(11), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const service = yield* Put
      const parts = [new Uint8Array(partBytes).fill(1), new Uint8Array(partBytes).fill(2), seededRandom(1).bytes(150)]
      for (const type of ["FULL_OBJECT", "COMPOSITE"] as const) {
        yield* namespace.propose({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes, checksum: { algorithm: "CRC32C", type } })
        const sums = parts.map((bytes) => smallCrcFast(bytes))
        const stored = []
        for (const [index, bytes] of parts.entries()) {
          const checksum: Checksum = { algorithm: "CRC32C", value: toBase64(sums[index]!), type: "FULL_OBJECT" }
          stored.push(yield* service.part({
            bucket: "b", key: "m", upload, partNumber: index * 3 + 1, body: bodyOf(bytes, seededRandom(1), 1_000_000),
            summary: () => ({ md5: md5(bytes), checksum })
          }))
        }
        const request = { bucket: "b", key: "m", upload, parts: stored.map(({ etag }, index) => ({ partNumber: index * 3 + 1, etag })) }
        const whole = type === "FULL_OBJECT" ? toBase64(smallCrcFast(concatBytes(parts))) : `${toBase64(smallCrc("CRC32C", concatBytes(sums)))}-3`
        const wrong = yield* Effect.exit(service.complete({ ...request, checksum: { algorithm: "CRC32C", type, value: "AAAAAA==" } }))
        expect(Exit.isFailure(wrong) && String(wrong.cause)).toContain("BadChecksum")
        const done = yield* service.complete({ ...request, checksum: { algorithm: "CRC32C", type, value: whole } })
        expect(done.checksum).toEqual({ algorithm: "CRC32C", type, value: whole })
        expect(done.etag).toBe(`${md5(concatBytes(parts.map((bytes) => Buffer.from(md5(bytes), "hex"))))}-3`)
        expect(md5(yield* get("m"))).toBe(md5(concatBytes(parts)))
        for (let turn = 0; turn < 200 && namespace.endedUploads(1).length > 0; turn++) yield* Effect.sleep(5)
        expect(namespace.endedUploads(1)).toEqual([])
      }
    }), { settings: {}, sizes: {}, settle: { pollMs: 3 } }))

  test("parts that are missing, out of order, too small or changed are refused as S3 does", () =>
    withStore(newMachine(12), Effect.gen(function*() {
      yield* makeBucket
      const service = yield* Put
      yield* (yield* Namespace).propose({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes })
      const etags: Array<string> = []
      for (const partNumber of [1, 2]) {
        etags.push((yield* service.part({
          bucket: "b", key: "m", upload, partNumber, body: bodyOf(seededRandom(partNumber).bytes(3000)), summary: noSummary
        })).etag)
      }
      const complete = (parts: ReadonlyArray<readonly [number, string]>) => Effect.exit(service.complete({
        bucket: "b", key: "m", upload, parts: parts.map(([partNumber, etag]) => ({ partNumber, etag }))
      }))
      for (const [parts, refusal] of [
        [[[1, etags[0]!], [3, etags[1]!]], "InvalidPart"], [[[1, etags[1]!]], "InvalidPart"], [[], "InvalidPart"],
        [[[2, etags[1]!], [1, etags[0]!]], "InvalidPartOrder"], [[[1, etags[0]!], [2, etags[1]!]], "EntityTooSmall"]
      ] as const) {
        const exit = yield* complete(parts)
        expect(Exit.isFailure(exit) && String(exit.cause)).toContain(refusal)
      }
      expect(Exit.isSuccess(yield* complete([[2, etags[1]!]]))).toBe(true)
      expect(toHex(yield* get("m"))).toBe(toHex(seededRandom(2).bytes(3000)))
      expect((yield* versionOf("m")).etag).toMatch(/^[0-9a-f]{32}-1$/)
    })))
})

/** CRC-32C of many bytes: the table-driven one of the platform's package. */
const smallCrcFast = (bytes: Uint8Array): Uint8Array => {
  const target = Buffer.alloc(4)
  target.writeUInt32BE(crc32c(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)))
  return target
}
