/** The twin of Disk beyond the contract: what power cuts, kills, faults and stops do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"

const filled = (value: number, length = 8192): Uint8Array => new Uint8Array(length).fill(value)

/** A file of ones, durable with its name; then twos over it, not synced. */
const halfWritten = (disk: MemoryDisk) =>
  Effect.scoped(Effect.gen(function* () {
    const file = yield* disk.service.open("a", "create")
    yield* file.write(0, [filled(1)])
    yield* file.sync
    yield* disk.service.syncFolder("")
    yield* file.write(0, [filled(2)])
  }))

describe("disk twin", () => {
  it.effect("disk: after a power cut unsynced sectors are lost, kept or torn; all of it happens", () =>
    Effect.gen(function* () {
      const seen = new Set<string>()
      for (let seed = 0; seed < 100; seed += 1) {
        const disk = new MemoryDisk()
        yield* halfWritten(disk)
        const bytes = disk.crash(seededRandom(seed)).contents().get("a") ?? filled(0, 0)
        assert.strictEqual(bytes.length, 8192)
        for (let at = 0; at < bytes.length; at += 512) assert.strictEqual(new Set(bytes.subarray(at, at + 512)).size, 1)
        const twos = bytes.filter((byte) => byte === 2).length
        seen.add(twos === 0 ? "lost" : twos === 8192 ? "kept" : twos % 4096 === 0 ? "torn" : "torn by 512")
      }
      assert.deepStrictEqual([...seen].sort(), ["kept", "lost", "torn", "torn by 512"])
    }))
  it.effect("disk: synced data without its name may be gone, with its name never; a kill keeps all", () =>
    Effect.gen(function* () {
      const kept = new Set<boolean>()
      for (let seed = 0; seed < 50; seed += 1) {
        const disk = new MemoryDisk()
        const make = (path: string) => Effect.scoped(Effect.gen(function* () {
          const file = yield* disk.service.open(path, "create")
          yield* file.write(0, [filled(3)])
          yield* file.sync
        }))
        yield* make("named")
        yield* disk.service.syncFolder("")
        yield* make("nameless")
        const killed = disk.kill()
        assert.isTrue(killed.contents().has("nameless"))
        const after = killed.crash(seededRandom(seed)).contents()
        assert.deepStrictEqual(after.get("named"), filled(3))
        kept.add(after.has("nameless"))
      }
      assert.strictEqual(kept.size, 2)
    }))
  it.effect("disk: a failed sync drops what it should have saved, and the next sync does not bring it back", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      yield* halfWritten(disk)
      disk.fault = (operation) => (operation === "sync" ? "DroppedSync" : undefined)
      yield* Effect.scoped(Effect.gen(function* () {
        const file = yield* disk.service.open("a", "write")
        assert.strictEqual((yield* Effect.flip(file.sync)).code, "Io")
        disk.fault = undefined
        yield* file.sync
        assert.strictEqual((yield* file.read(0, 1))[0], 2)
      }))
      assert.deepStrictEqual(disk.crash(seededRandom(1)).contents().get("a"), filled(1))
    }))
  it.effect("disk: stopped after n operations, the next one never completes, whichever n", () =>
    Effect.gen(function* () {
      for (let n = 0; n <= 5; n += 1) {
        const disk = new MemoryDisk()
        disk.stopAfter(n)
        const fiber = yield* Effect.forkChild(halfWritten(disk))
        for (let turn = 0; turn < 50; turn += 1) yield* Effect.yieldNow
        assert.strictEqual(fiber.pollUnsafe() === undefined, n < 5)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(disk.crash(seededRandom(n)).stopped, false)
      }
    }))
  it.effect("disk: a full disk says so", () =>
    Effect.scoped(Effect.gen(function* () {
      const disk = new MemoryDisk()
      disk.capacityBytes = 10_000
      const file = yield* disk.service.open("a", "create")
      yield* file.write(0, [filled(1, 4096)])
      assert.strictEqual((yield* Effect.flip(file.write(4096, [filled(1)]))).code, "NoSpace")
    })))
  it.effect("disk: rot changes the byte that is read and the byte that survives", () =>
    Effect.gen(function* () {
      const disk = new MemoryDisk()
      yield* halfWritten(disk)
      disk.corrupt("a", 100)
      assert.strictEqual(disk.contents().get("a")?.[100], 3)
    }))
  it.effect("disk: a lost or misdirected write shows in a direct read, and not in the page cache", () =>
    Effect.scoped(Effect.gen(function* () {
      for (const [landing, shown] of [["Lost", [1, 1]], [4096, [1, 2]]] as const) {
        const disk = new MemoryDisk()
        const file = yield* disk.service.open("a", "create")
        yield* file.write(0, [filled(1)])
        disk.landing = () => landing
        yield* file.write(0, [filled(2, 4096)])
        disk.landing = undefined
        yield* file.sync
        yield* disk.service.syncFolder("")
        const direct = yield* disk.service.open("a", "read", { direct: true })
        const seen = (bytes: Uint8Array) => [bytes[0], bytes[4096]]
        assert.deepStrictEqual(seen(yield* file.read(0, 8192)), [2, 1])
        assert.deepStrictEqual(seen(yield* direct.read(0, 8192)), [...shown])
        assert.deepStrictEqual(seen(disk.crash(seededRandom(1)).contents().get("a")!), [...shown])
      }
    })))
  it.effect("disk: a direct write that is lost leaves the page cache nothing to show, and the size as if it were there", () =>
    Effect.scoped(Effect.gen(function* () {
      const disk = new MemoryDisk()
      disk.landing = () => "Lost"
      const file = yield* disk.service.open("a", "create", { direct: true })
      yield* file.write(0, [filled(2)])
      yield* file.sync
      const buffered = yield* disk.service.open("a", "read")
      for (const handle of [file, buffered]) assert.deepStrictEqual(yield* handle.read(0, 8192), filled(0))
    })))
  it.effect("disk: rot under a page that is cached shows in a direct read only", () =>
    Effect.scoped(Effect.gen(function* () {
      const disk = new MemoryDisk()
      const file = yield* disk.service.open("a", "create")
      yield* file.write(0, [filled(2)])
      yield* file.sync
      disk.corrupt("a", 100, undefined, "Kept")
      const direct = yield* disk.service.open("a", "read", { direct: true })
      assert.strictEqual((yield* file.read(100, 1))[0], 2)
      assert.strictEqual((yield* direct.read(100, 1))[0], 3)
    })))
})
