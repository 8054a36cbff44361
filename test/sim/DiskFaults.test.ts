/** Each fault of the disk's twin, seen by a small program on the Disk port, and told to the disk's witness. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { MemoryDisk } from "../../sim/Disk.ts"
import type { DiskFaultClass } from "../../sim/faults/FaultClass.ts"
import { seededRandom } from "../../sim/Random.ts"
import type { DiskFile } from "../../src/ports/Disk.ts"

const page = 4096
const filled = (value: number, length = page): Uint8Array => new Uint8Array(length).fill(value)

/** A disk, and what its witness was told. */
const witnessed = () => {
  const disk = new MemoryDisk()
  const seen = new Set<DiskFaultClass>()
  disk.witness = (fault) => void seen.add(fault)
  return { disk, seen }
}

/** A file of as many pages of ones, durable with its name. */
const ones = (disk: MemoryDisk, path: string, pages = 2) =>
  Effect.gen(function* () {
    const file = yield* disk.service.open(path, "create")
    yield* file.write(0, [filled(1, pages * page)])
    yield* file.sync
    yield* disk.service.syncFolder("")
    return file
  })

/** The first byte of each page, or the error's code. */
const firsts = (file: DiskFile, pages = 2) =>
  Effect.map(Effect.exit(file.read(0, pages * page)), (exit) =>
    Exit.isSuccess(exit) ? Array.from({ length: pages }, (_, at) => exit.value[at * page]) : "failed")

describe("disk twin: power cuts", () => {
  it.effect("disk: a sector that was being written may hold garbage, those beside it do not", () =>
    Effect.gen(function* () {
      const { disk, seen } = witnessed()
      disk.powerCut = { corruptChance: 1, oldContentsChance: 0 }
      yield* Effect.scoped(Effect.flatMap(ones(disk, "a", 3), (file) => file.write(page, [filled(2)])))
      const bytes = disk.crash(seededRandom(1)).contents().get("a")!
      assert.deepStrictEqual([bytes[0], bytes[2 * page]], [1, 1])
      assert.isTrue(new Set(bytes.subarray(page, 2 * page)).size > 100)
      assert.isTrue(seen.has("InFlightCorrupt"))
    }))
  it.effect("disk: where a size outlives its bytes, those of a file that is gone may be there instead", () =>
    Effect.gen(function* () {
      const found = new Set<number>()
      for (let seed = 0; seed < 60; seed += 1) {
        const { disk, seen } = witnessed()
        disk.powerCut = { corruptChance: 0, oldContentsChance: 0.5 }
        yield* Effect.scoped(ones(disk, "old"))
        yield* disk.service.remove("old")
        yield* disk.service.syncFolder("")
        yield* Effect.scoped(Effect.gen(function* () {
          const file = yield* disk.service.open("new", "create")
          yield* disk.service.syncFolder("")
          yield* file.write(0, [filled(2)])
        }))
        const bytes = disk.crash(seededRandom(seed)).contents().get("new")!
        for (const byte of bytes) found.add(byte)
        if (bytes.includes(1)) assert.isTrue(seen.has("OldContents"))
      }
      assert.deepStrictEqual([...found].sort((a, b) => a - b), [0, 1, 2])
    }))
  it.effect("disk: an unsynced name is lost, and what was under way and slow may have happened", () =>
    Effect.gen(function* () {
      const outcomes = new Set<string>()
      for (let seed = 0; seed < 40; seed += 1) {
        const { disk, seen } = witnessed()
        const asked: Array<string> = []
        const scoped = Effect.scoped(Effect.gen(function* () {
          const file = yield* ones(disk, "a")
          yield* disk.service.rename("a", "b")
          disk.delayMs = (operation) => {
            asked.push(operation)
            return 1000
          }
          yield* file.write(0, [filled(2)])
        }))
        const fiber = yield* Effect.forkChild(scoped)
        while (asked.length === 0) yield* Effect.yieldNow
        const after = disk.crash(seededRandom(seed)).contents()
        const name = [...after.keys()].join()
        outcomes.add(`${name} ${after.get(name)![0]}`)
        assert.strictEqual(seen.has("UnsyncedNameLost"), name === "a")
        yield* TestClock.adjust(1000)
        yield* Fiber.interrupt(fiber)
      }
      assert.deepStrictEqual([...outcomes].sort(), ["a 1", "a 2", "b 1", "b 2"])
    }))
  it.effect("disk: a killed process loses nothing that it wrote, synced or not", () =>
    Effect.gen(function* () {
      const { disk, seen } = witnessed()
      yield* Effect.scoped(Effect.flatMap(ones(disk, "a"), (file) => file.write(0, [filled(2)])))
      assert.strictEqual(disk.kill().contents().get("a")![0], 2)
      assert.deepStrictEqual([...seen], ["ProcessKilled"])
    }))
})

describe("disk twin: sectors", () => {
  it.effect("disk: a latent sector answers EIO, also after a power cut, until it is written whole; part of it cannot be", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk, seen } = witnessed()
      const file = yield* ones(disk, "a")
      disk.spoil("a", page)
      assert.strictEqual((yield* Effect.flip(file.read(page + 5, 1))).code, "Io")
      assert.strictEqual((yield* file.read(0, page))[0], 1)
      assert.strictEqual((yield* Effect.flip(file.write(page - 1, [filled(2, 2)]))).code, "Io")
      assert.isTrue(seen.has("LatentSector"))
      const next = disk.crash(seededRandom(1))
      const again = yield* next.service.open("a", "write")
      assert.strictEqual(yield* firsts(again), "failed")
      yield* again.write(page, [filled(3)])
      assert.deepStrictEqual(yield* firsts(again), [1, 3])
      yield* again.sync
      assert.deepStrictEqual(yield* firsts(yield* next.crash(seededRandom(2)).service.open("a", "read")), [1, 3])
    })))
  it.effect("disk: a latent sector under a cached page shows in a direct read, and to everybody after a power cut", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk } = witnessed()
      const file = yield* ones(disk, "a")
      disk.spoil("a", 0, true)
      assert.deepStrictEqual(yield* firsts(file), [1, 1])
      assert.strictEqual(yield* firsts(yield* disk.service.open("a", "read", { direct: true })), "failed")
      assert.strictEqual(yield* firsts(yield* disk.crash(seededRandom(1)).service.open("a", "read")), "failed")
    })))
  it.effect("disk: a stale read answers once what was there before, a reverted page until it is written", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk } = witnessed()
      disk.remembers = true
      const file = yield* ones(disk, "a")
      const direct = yield* disk.service.open("a", "write", { direct: true })
      yield* file.write(page, [filled(2)])
      yield* file.sync
      disk.fault = (operation) => (operation === "read" ? "Stale" : undefined)
      assert.deepStrictEqual(yield* firsts(direct), [0, 1])
      disk.fault = undefined
      assert.deepStrictEqual(yield* firsts(direct), [1, 2])
      assert.isTrue(disk.revert("a", page))
      assert.deepStrictEqual(yield* firsts(direct), [1, 1])
      assert.deepStrictEqual(yield* firsts(file), [1, 2], "the page cache knows better")
      assert.isFalse(disk.revert("a", page))
      yield* direct.write(page, [filled(3)])
      yield* direct.sync
      assert.deepStrictEqual(yield* firsts(direct), [1, 3])
      assert.deepStrictEqual([...disk.crash(seededRandom(3)).contents().get("a")!.subarray(page, page + 1)], [3])
    })))
  it.effect("disk: a misdirected write overwrites another file, and its own keeps what it had", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk } = witnessed()
      const file = yield* ones(disk, "a")
      const victim = yield* ones(disk, "b")
      disk.landing = (path) => (path === "a" ? { path: "b", offset: page } : 0)
      yield* file.write(0, [filled(2)])
      yield* file.sync
      assert.deepStrictEqual(yield* firsts(file), [2, 1])
      assert.deepStrictEqual(yield* firsts(victim), [1, 1], "page caches show what was meant")
      const after = disk.crash(seededRandom(1))
      after.landing = undefined
      assert.deepStrictEqual(yield* firsts(yield* after.service.open("a", "read")), [1, 1])
      assert.deepStrictEqual(yield* firsts(yield* after.service.open("b", "read")), [1, 2])
    })))
})

describe("disk twin: operations", () => {
  it.effect("disk: a sync that fails may have saved everything, or nothing for good", () =>
    Effect.scoped(Effect.gen(function* () {
      for (const [fault, kept] of [["UnknownSync", 2], ["DroppedSync", 1]] as const) {
        const { disk } = witnessed()
        const file = yield* ones(disk, "a")
        yield* file.write(0, [filled(2)])
        disk.fault = () => fault
        assert.strictEqual((yield* Effect.flip(file.sync)).code, "Io")
        disk.fault = undefined
        yield* file.sync
        assert.deepStrictEqual(yield* firsts(file), [2, 1], "the page cache shows it either way")
        assert.strictEqual(disk.crash(seededRandom(1)).contents().get("a")![0], kept)
      }
    })))
  it.effect("disk: a slow disk takes its time on its node's clock, and bytes that change meanwhile are written changed", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk } = witnessed()
      const file = yield* ones(disk, "a")
      disk.delayMs = (operation) => (operation === "write" ? 40 : 0)
      const bytes = filled(2)
      const fiber = yield* Effect.forkChild(file.write(0, [bytes]))
      yield* TestClock.adjust(39)
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(yield* firsts(file), [1, 1])
      bytes.fill(9)
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* firsts(file), [9, 1])
    })))
  it.effect("disk: where direct I/O is refused the page cache answers for a disk that lies, and the disk says so", () =>
    Effect.scoped(Effect.gen(function* () {
      const { disk, seen } = witnessed()
      disk.directRefused = true
      yield* ones(disk, "a")
      assert.deepStrictEqual(disk.service.warnings(), [])
      const file = yield* disk.service.open("a", "write", { direct: true })
      disk.landing = () => "Lost"
      yield* file.write(0, [filled(2)])
      assert.deepStrictEqual(yield* firsts(file), [2, 1])
      assert.strictEqual(disk.service.warnings().length, 1)
      assert.isTrue(seen.has("DirectRefused"))
    })))
})
