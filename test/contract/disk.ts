/** The contract of the Disk port: what NodeDisk and its twin both do. Run by disk.test.ts against each. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { concatBytes } from "../../src/base/bytes.ts"
import { makePageMemory } from "../../src/base/wasm.ts"
import { DiskError, type DiskErrorCode, type DiskService } from "../../src/ports/Disk.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const asText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const failsWith = <A, R>(code: DiskErrorCode, effect: Effect.Effect<A, DiskError, R>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, DiskError)
    assert.strictEqual(error.code, code)
  })

const writeFile = (disk: DiskService, path: string, value: string) =>
  Effect.scoped(Effect.flatMap(disk.open(path, "create"), (file) => file.write(0, [text(value)])))

const readFile = (disk: DiskService, path: string) =>
  Effect.scoped(Effect.flatMap(disk.open(path, "read"), (file) => Effect.map(file.read(0, 1 << 20), asText)))

/** A disk all of whose files are opened for direct I/O: the same contract holds. */
export const alwaysDirect = (disk: DiskService): DiskService => ({ ...disk, open: (path, mode) => disk.open(path, mode, { direct: true }) })

/** `make` gives an empty disk for one test. */
export const diskContract = (name: string, make: () => Effect.Effect<DiskService, unknown, Scope.Scope>): void => {
  const story = (title: string, run: (disk: DiskService) => Effect.Effect<unknown, unknown, Scope.Scope>): void => {
    it.effect(title, () => Effect.scoped(Effect.flatMap(make(), run)))
  }
  describe(`disk contract: ${name}`, () => {
    filesStories(story)
    namesStories(story)
    refusalStories(story)
    directStories(story)
  })
}

type Story = (title: string, run: (disk: DiskService) => Effect.Effect<unknown, unknown, Scope.Scope>) => void

const filesStories = (story: Story): void => {
  story("disk: parts land one after another, read back whole and in pieces", (disk) =>
    Effect.gen(function* () {
      const file = yield* disk.open("a", "create")
      yield* file.write(0, [text("hello "), text(""), text("world")])
      assert.strictEqual(asText(yield* file.read(0, 11)), "hello world")
      assert.strictEqual(asText(yield* file.read(6, 100)), "world")
      assert.strictEqual((yield* file.read(11, 5)).length, 0)
      assert.strictEqual((yield* file.read(5000, 5)).length, 0)
      yield* file.write(6, [text("W")])
      assert.strictEqual(yield* readFile(disk, "a"), "hello World")
      assert.strictEqual(yield* file.size, 11)
      yield* file.write(3, [])
      assert.strictEqual(yield* file.size, 11)
      yield* file.sync
    }))
  story("disk: a write of 3,000 parts and 3 MB is whole", (disk) =>
    Effect.gen(function* () {
      const parts = Array.from({ length: 3000 }, (_, index) => new Uint8Array(1000).fill(index % 251))
      const file = yield* disk.open("large", "create")
      yield* file.write(17, parts)
      const bytes = yield* file.read(0, 4_000_000)
      assert.strictEqual(bytes.length, 3_000_017)
      for (let index = 0; index < 3000; index += 1) {
        assert.strictEqual(bytes[17 + index * 1000], index % 251)
        assert.strictEqual(bytes[17 + index * 1000 + 999], index % 251)
      }
    }))
  story("disk: a hole and what truncate adds read as zeros, what it cut off does not come back", (disk) =>
    Effect.gen(function* () {
      const file = yield* disk.open("a", "create")
      yield* file.write(5000, [text("x")])
      assert.deepStrictEqual([...(yield* file.read(4998, 3))], [0, 0, 120])
      yield* file.truncate(5000)
      yield* file.truncate(6000)
      assert.strictEqual(yield* file.size, 6000)
      assert.deepStrictEqual([...(yield* file.read(5000, 1))], [0])
    }))
  story("disk: bytes that a read returned are the caller's", (disk) =>
    Effect.gen(function* () {
      const file = yield* disk.open("a", "create")
      yield* file.write(0, [text("abc")])
      const bytes = yield* file.read(0, 3)
      bytes.fill(0)
      assert.strictEqual(asText(yield* file.read(0, 3)), "abc")
    }))
  story("disk: reads and writes side by side", (disk) =>
    Effect.gen(function* () {
      const file = yield* disk.open("a", "create")
      const indexes = Array.from({ length: 50 }, (_, index) => index)
      yield* Effect.forEach(indexes, (index) => file.write(index * 10, [new Uint8Array(10).fill(index)]), {
        concurrency: 50,
        discard: true
      })
      const read = yield* Effect.forEach(indexes, (index) => file.read(index * 10, 10), { concurrency: 50 })
      for (const index of indexes) assert.deepStrictEqual([...(read[index] ?? [])], Array(10).fill(index))
    }))
}

const namesStories = (story: Story): void => {
  story("disk: folders are made with their parents, listed in byte order, made again for nothing", (disk) =>
    Effect.gen(function* () {
      yield* disk.makeFolder("f/g")
      yield* disk.makeFolder("f/g")
      for (const name of ["b", "a", "B", "_", "a.1", "a-1"]) yield* writeFile(disk, `f/${name}`, name)
      assert.deepStrictEqual(yield* disk.list("f"), ["B", "_", "a", "a-1", "a.1", "b", "g"])
      assert.deepStrictEqual(yield* disk.list("f/g"), [])
      assert.deepStrictEqual(yield* disk.list(""), ["f"])
      yield* disk.syncFolder("f")
      yield* disk.syncFolder("")
    }))
  story("disk: rename replaces, the open file stays what it was", (disk) =>
    Effect.gen(function* () {
      yield* disk.makeFolder("f")
      yield* writeFile(disk, "new", "new")
      yield* writeFile(disk, "f/old", "old")
      const old = yield* disk.open("f/old", "read")
      yield* disk.rename("new", "f/old")
      assert.strictEqual(yield* readFile(disk, "f/old"), "new")
      assert.strictEqual(asText(yield* old.read(0, 3)), "old")
      yield* failsWith("NotFound", disk.open("new", "read"))
    }))
  story("disk: a removed file is gone for who opens it and there for who has it open", (disk) =>
    Effect.gen(function* () {
      yield* writeFile(disk, "a", "abc")
      const file = yield* disk.open("a", "write")
      yield* disk.remove("a")
      assert.strictEqual(asText(yield* file.read(0, 3)), "abc")
      yield* failsWith("NotFound", disk.open("a", "read"))
      yield* writeFile(disk, "a", "second")
      assert.strictEqual(yield* readFile(disk, "a"), "second")
    }))
  story("disk: free space is a number", (disk) =>
    Effect.map(disk.freeBytes, (bytes) => assert.isTrue(Number.isSafeInteger(bytes) && bytes > 0)))
}

const refusalStories = (story: Story): void => {
  story("disk: paths that could leave the folder are Invalid, everywhere", (disk) =>
    Effect.gen(function* () {
      for (const path of ["..", ".", "/etc", "a/../b", "a//b", "a/", "", "a\0b", "ü", "a b", "a\\b", "x".repeat(256)]) {
        yield* failsWith("Invalid", disk.open(path, "create"))
        yield* failsWith("Invalid", disk.remove(path))
        yield* failsWith("Invalid", disk.makeFolder(path))
        yield* failsWith("Invalid", disk.rename(path, "x"))
        if (path !== "") yield* failsWith("Invalid", disk.list(path))
        if (path !== "") yield* failsWith("Invalid", disk.syncFolder(path))
      }
    }))
  story("disk: each refusal has its code", (disk) =>
    Effect.gen(function* () {
      yield* failsWith("NotFound", disk.open("a", "read"))
      yield* failsWith("NotFound", disk.open("a", "write"))
      yield* failsWith("NotFound", disk.open("no/a", "create"))
      yield* failsWith("NotFound", disk.list("no"))
      yield* failsWith("NotFound", disk.remove("no"))
      yield* failsWith("NotFound", disk.rename("no", "a"))
      yield* failsWith("NotFound", disk.syncFolder("no"))
      yield* writeFile(disk, "a", "a")
      yield* failsWith("Exists", disk.open("a", "create"))
      yield* failsWith("Exists", disk.makeFolder("a"))
      yield* failsWith("Invalid", disk.list("a"))
      yield* failsWith("Invalid", disk.open("a/b", "create"))
      yield* disk.makeFolder("f")
      yield* failsWith("Invalid", disk.open("f", "read"))
      yield* failsWith("Invalid", disk.remove("f"))
      yield* failsWith("Invalid", disk.rename("a", "f"))
    }))
  story("disk: a file open for reading refuses writes, a closed one everything", (disk) =>
    Effect.gen(function* () {
      yield* writeFile(disk, "a", "a")
      const reader = yield* disk.open("a", "read")
      yield* failsWith("Invalid", reader.write(0, [text("b")]))
      yield* failsWith("Invalid", reader.truncate(0))
      const writer = yield* disk.open("a", "write")
      yield* failsWith("Invalid", writer.write(-1, [text("b")]))
      yield* failsWith("Invalid", writer.read(0, -1))
      yield* failsWith("Invalid", writer.truncate(1.5))
      const closed = yield* Effect.scoped(disk.open("a", "write"))
      yield* failsWith("Invalid", closed.read(0, 1))
      yield* failsWith("Invalid", closed.write(0, [text("b")]))
      yield* failsWith("Invalid", closed.sync)
      assert.strictEqual(yield* readFile(disk, "a"), "a")
    }))
}

/** Bytes that tell where they belong. */
const counted = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, index) => (index + from) % 251)

const directStories = (story: Story): void => {
  story("disk: direct writes at any offset, of any length, from any memory are read back both ways", (disk) =>
    Effect.gen(function* () {
      const pages = makePageMemory(65_536)
      pages.set(counted(65_536))
      const expected = new Uint8Array(300_000)
      const file = yield* disk.open("a", "create", { direct: true })
      const write = (offset: number, parts: ReadonlyArray<Uint8Array>) => {
        expected.set(concatBytes(parts), offset)
        return file.write(offset, parts)
      }
      yield* write(0, [counted(300_000, 7)])
      for (const [offset, length] of [[0, 1], [4095, 2], [4096, 4096], [1, 4095], [5000, 100], [4090, 12_300], [8192, 65_536], [299_999, 1]] as const) {
        yield* write(offset, [counted(length, offset)])
      }
      // Aligned memory at aligned places, at others, behind a part that shifts it, and cut short.
      yield* write(16_384, [pages])
      yield* write(100_001, [pages])
      yield* write(200_704, [pages.subarray(0, 8192), counted(3), pages.subarray(4096, 12_288), pages.subarray(0, 4097)])
      yield* file.sync
      for (const [offset, length] of [[0, 300_000], [1, 1], [4095, 2], [4096, 4096], [299_990, 100], [123, 70_000], [300_000, 1], [300_001, 1]] as const) {
        assert.deepStrictEqual(yield* file.read(offset, length), expected.slice(offset, offset + length))
      }
      const buffered = yield* disk.open("a", "read")
      assert.deepStrictEqual(yield* buffered.read(0, 400_000), expected)
    }))
  story("disk: direct writes of parts that lie in memory as in the file, of others, and of parts with a shift between them", (disk) =>
    Effect.gen(function* () {
      const pages = makePageMemory(131_072)
      pages.set(counted(131_072))
      const expected = new Uint8Array(400_000)
      const file = yield* disk.open("a", "create", { direct: true })
      const write = (offset: number, parts: ReadonlyArray<Uint8Array>) => {
        expected.set(concatBytes(parts), offset)
        return file.write(offset, parts)
      }
      yield* write(0, [counted(400_000, 7)])
      const head = counted(96, 3)
      // As a block: a head, then memory that begins where the file is; a second run that goes on in other memory.
      yield* write(0, [head, pages.subarray(96, 60_000), counted(8), pages.subarray(60_008, 120_000)])
      yield* write(150_000, [head, pages.subarray((150_096 % 4096), 70_000), pages.subarray(4096, 12_288), counted(5000), pages.subarray(1, 131_072)])
      // Too small to hold a whole page, too many for one call.
      yield* write(4096, Array.from({ length: 1100 }, (_, index) => pages.subarray(index * 64, index * 64 + 64)))
      yield* file.sync
      assert.deepStrictEqual(yield* file.read(0, 400_000), expected)
    }))
  story("disk: reads land in the memory they are given, where they fit, and are right in any case", (disk) =>
    Effect.gen(function* () {
      yield* Effect.scoped(Effect.flatMap(disk.open("a", "create"), (file) => Effect.andThen(file.write(0, [counted(40_000)]), file.sync)))
      for (const direct of [true, false]) {
        const file = yield* disk.open("a", "read", { direct })
        const pages = makePageMemory(65_536)
        const unaligned = new Uint8Array(65_536).subarray(1)
        for (const memory of [pages, pages.subarray(4096), pages.subarray(100), unaligned, new Uint8Array(10)]) {
          for (const [offset, length] of [[0, 40_000], [0, 4096], [5, 8], [4095, 8193], [39_000, 5000], [40_000, 10], [50_000, 10], [0, 0]] as const) {
            memory.fill(7)
            const bytes = yield* file.read(offset, length, memory)
            assert.deepStrictEqual(Uint8Array.from(bytes), counted(40_000).slice(offset, offset + length))
            if (memory.length > 40_000 + 8192 && length > 0) assert.isTrue(bytes.buffer === memory.buffer)
          }
        }
      }
    }))
  story("disk: what one handle synced the other kind reads", (disk) =>
    Effect.gen(function* () {
      const buffered = yield* disk.open("a", "create")
      const direct = yield* disk.open("a", "write", { direct: true })
      for (let turn = 0; turn < 4; turn += 1) {
        const [writer, reader] = turn % 2 === 0 ? [buffered, direct] : [direct, buffered]
        yield* writer.write(turn * 3000, [counted(20_000, turn)])
        yield* writer.sync
        assert.deepStrictEqual(yield* reader.read(turn * 3000, 30_000), counted(20_000, turn))
      }
    }))
  story("disk: direct reads and writes side by side, more than there is memory for at once", (disk) =>
    Effect.gen(function* () {
      const file = yield* disk.open("a", "create", { direct: true })
      const indexes = Array.from({ length: 40 }, (_, index) => index)
      const length = 3 * 4096 + 5
      const all = { concurrency: 40, discard: true } as const
      yield* Effect.forEach(indexes, (index) => file.write(index * 16_384, [counted(length, index)]), all)
      yield* Effect.forEach(indexes, (index) => Effect.map(file.read(index * 16_384, length), (bytes) =>
        assert.deepStrictEqual(bytes, counted(length, index))), all)
    }))
}
