/** Runs the contract of KeyValue against Lmdb and the twin; and what each has beyond it: damage, crashes. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lmdb from "../../src/adapters/Lmdb.ts"
import { KeyValueError, type KeyValueService } from "../../src/ports/KeyValue.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { bytes, drop, keyValueContract, put } from "./keyValue.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ouroboros-index-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

keyValueContract("Lmdb", () => Effect.flatMap(temporaryFolder, Lmdb.openAt))
keyValueContract("MemoryKeyValue", () => Effect.sync(() => new MemoryKeyValue().service))

/** A read that fails throws; here it is an effect that fails. */
const thrown = (read: () => unknown): Effect.Effect<unknown, KeyValueError> =>
  Effect.try({ try: read, catch: (error) => (error instanceof KeyValueError ? error : new KeyValueError({ operation: "open", detail: String(error) })) })

const filled = (folder: string) =>
  Effect.scoped(
    Effect.flatMap(Lmdb.openAt(folder), (index) =>
      Effect.andThen(index.commit([put("t", bytes(1), new Uint8Array(20_000).fill(1))]), index.flushed)
    )
  )

describe("index: Lmdb", () => {
  it.effect("index: closed and opened again, every table is there; the map grew past 20 MB", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* filled(folder)
      yield* Effect.scoped(Effect.flatMap(Lmdb.openAt(folder), (index) =>
        Effect.forEach([2, 3, 4], (key) => index.commit([put("u", bytes(key), new Uint8Array(8_000_000).fill(key))]))))
      const { service, wasReset } = yield* Lmdb.openOrReset(folder)
      assert.isFalse(wasReset)
      assert.strictEqual(service.get("t", bytes(1))?.length, 20_000)
      assert.strictEqual(service.get("u", bytes(4))?.[7_999_999], 4)
    })))
  const damages: ReadonlyArray<readonly [string, (folder: string) => void]> = [
    ["garbage", (folder) => writeFileSync(join(folder, "data.mdb"), new Uint8Array(30_000).fill(7))],
    ["cut short", (folder) => writeFileSync(join(folder, "data.mdb"), readFileSync(join(folder, "data.mdb")).subarray(0, 9000))],
    ["left by an opening that never ended", (folder) => writeFileSync(join(folder, "opening"), "")],
    ["left by the third run that was killed before it wrote", (folder) => writeFileSync(join(folder, "running"), "3")]
  ]
  for (const [title, damage] of damages) {
    it.effect(`index: ${title}, an error to open, reset on demand`, () =>
      Effect.scoped(Effect.gen(function* () {
        const folder = yield* temporaryFolder
        yield* filled(folder)
        damage(folder)
        assert.strictEqual((yield* Effect.flip(Lmdb.openAt(folder))).operation, "open")
        const { service, wasReset } = yield* Lmdb.openOrReset(folder)
        assert.isTrue(wasReset)
        assert.isUndefined(service.get("t", bytes(1)))
        yield* service.commit([put("t", bytes(1), bytes(2))])
        assert.deepStrictEqual([...(service.get("t", bytes(1)) ?? [])], [2])
      })))
  }
})

/** Every branch of a tree, but for its first, leads beyond the file; the first row is read at an opening (mdb.c: a page's header has 24 bytes, its flags at 18, the length of its list of places at 20). */
const misleadBranches = (path: string): number => {
  const file = readFileSync(path)
  const pageBytes = 4096
  let count = 0
  for (let start = 2 * pageBytes; start + pageBytes <= file.length; start += pageBytes) {
    const page = file.subarray(start, start + pageBytes)
    if ((page.readUInt16LE(18) & 3) !== 1) continue
    for (let at = 26; at < 24 + page.readUInt16LE(20); at += 2) page.fill(0x7f, 24 + page.readUInt16LE(at), 28 + page.readUInt16LE(at))
    count += 1
  }
  writeFileSync(path, file)
  return count
}

/** So long that a branch has few places, and a tree several levels. */
const keyOf = (number: number): Uint8Array => new Uint8Array(900).fill(1).fill(number, 1, 2)
const misled = Effect.gen(function* () {
  const folder = yield* temporaryFolder
  yield* Effect.scoped(Effect.flatMap(Lmdb.openAt(folder), (index) =>
    Effect.andThen(index.commit(Array.from({ length: 250 }, (_, key) => put("t", keyOf(key), new Uint8Array(500).fill(key)))), index.flushed)))
  assert.isAbove(misleadBranches(join(folder, "data.mdb")), 0)
  return folder
})

describe("index: Lmdb with a page that leads nowhere", () => {
  const meets: ReadonlyArray<readonly [string, "read" | "commit" | "wipe", (index: KeyValueService) => Effect.Effect<unknown, KeyValueError>]> = [
    ["a read", "read", (index) => thrown(() => index.get("t", keyOf(100)))],
    ["a range", "read", (index) => thrown(() => index.range("t", { limit: 99 }))],
    ["a commit", "commit", (index) => index.commit([put("t", keyOf(100), bytes(7))])],
    ["an emptying", "wipe", (index) => index.wipe]
  ]
  for (const [title, operation, meet] of meets) {
    it.effect(`index: ${title} meets it, says so, and the next opening begins anew`, () =>
      Effect.scoped(Effect.gen(function* () {
        const folder = yield* misled
        assert.strictEqual((yield* Effect.scoped(Effect.flatMap(Lmdb.openAt(folder), (index) => Effect.flip(meet(index))))).operation, operation)
        const { service, wasReset, why } = yield* Lmdb.openOrReset(folder)
        assert.isTrue(wasReset)
        assert.include(why, "the last run met damage: MDB_PAGE_NOTFOUND")
        yield* service.commit([put("t", bytes(1), bytes(2))])
        assert.deepStrictEqual([...(service.get("t", bytes(1)) ?? [])], [2])
      })))
  }
})

describe("index: Lmdb with a page that leads nowhere, where no marker can be left", () => {
  it.effect("index: the read still fails by its name, and says what to do", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* misled
      const index = yield* Lmdb.openAt(folder)
      mkdirSync(join(folder, "damaged"))
      const { message, operation } = yield* Effect.flip(thrown(() => index.get("t", keyOf(100))))
      assert.strictEqual(operation, "read")
      assert.include(message, "MDB_PAGE_NOTFOUND")
      assert.include(message, "delete the folder, it is rebuilt")
    })))
})

describe("index: Lmdb on a disk that takes no more", () => {
  it.effect("index: commits fail, the process lives on, and what fits is taken again", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const fixture = new URL("fullDiskFixture.ts", import.meta.url).pathname
      const run = spawnSync("sh", ["-c", 'ulimit -f 1000 && exec "$0" "$1" "$2"', process.execPath, fixture, folder], { encoding: "utf8", timeout: 20_000 })
      assert.include(run.stdout, "Success,Failure,Failure,Success", run.stderr)
      assert.strictEqual(run.status, 0)
    })), 30_000)
})

describe("index: runs that never closed it", () => {
  const running = (folder: string): string | undefined =>
    existsSync(join(folder, "running")) ? readFileSync(join(folder, "running"), "utf8") : undefined

  it.effect("index: are counted until one writes, and forgotten by one that closes it", () =>
    Effect.scoped(Effect.gen(function* () {
      const folder = yield* temporaryFolder
      yield* filled(folder)
      assert.isUndefined(running(folder))
      writeFileSync(join(folder, "running"), "2")
      yield* Effect.scoped(Effect.gen(function* () {
        const index = yield* Lmdb.openAt(folder)
        assert.strictEqual(running(folder), "3")
        assert.strictEqual(index.get("t", bytes(1))?.length, 20_000)
        yield* index.commit([put("t", bytes(2), bytes(2))])
        yield* index.flushed
        assert.strictEqual(running(folder), "1")
      }))
      assert.isUndefined(running(folder))
      writeFileSync(join(folder, "running"), "what is this")
      yield* Effect.scoped(Effect.map(Lmdb.openAt(folder), () => assert.strictEqual(running(folder), "2")))
    })))
})

describe("index: the twin", () => {
  it.effect("index: a crash keeps a prefix of the commits, all lengths happen, never less than was flushed", () =>
    Effect.gen(function* () {
      const lengths = new Set<number>()
      for (let seed = 0; seed < 60; seed += 1) {
        const index = new MemoryKeyValue()
        for (let key = 1; key <= 5; key += 1) {
          yield* index.service.commit([put("t", bytes(key), bytes(key)), put("u", bytes(key), bytes(key))])
          if (key === 2) yield* index.service.flushed
        }
        const kept = index.crash(seededRandom(seed)).entries()
        const keys = kept.filter(([table]) => table === "t").map(([, key]) => key[0])
        assert.deepStrictEqual(keys, Array.from({ length: keys.length }, (_, at) => at + 1))
        assert.strictEqual(kept.length, keys.length * 2)
        lengths.add(keys.length)
      }
      assert.deepStrictEqual([...lengths].sort((a, b) => a - b), [2, 3, 4, 5])
    }))
})

describe("index: the twin with rows that cannot be read", () => {
  it.effect("index: whatever meets them fails, others do not; it knows that it is damaged, and a restart does not mend it", () =>
    Effect.gen(function* () {
      const index = new MemoryKeyValue()
      yield* index.service.commit([put("t", bytes(1), bytes(1))])
      assert.strictEqual(index.spoil(() => true), 1)
      yield* index.service.commit([put("t", bytes(2), bytes(2))])
      assert.deepStrictEqual([...(index.service.get("t", bytes(2)) ?? [])], [2])
      assert.isFalse(index.isFoundDamaged)
      for (const service of [index.service, index.kill().service]) {
        const read = [thrown(() => service.get("t", bytes(1))), thrown(() => service.getMany("t", [bytes(2), bytes(1)])), thrown(() => service.range("t", { limit: 2 }))]
        for (const meet of read) assert.strictEqual((yield* Effect.flip(meet)).operation, "read")
      }
      const { isFoundDamaged, service } = index.kill()
      assert.isTrue(isFoundDamaged)
      assert.strictEqual((yield* Effect.flip(service.commit([drop("t", bytes(1))]))).operation, "commit")
      assert.strictEqual((yield* Effect.flip(service.wipe)).operation, "wipe")
      assert.deepStrictEqual([...(service.get("t", bytes(2)) ?? [])], [2])
    }))
})

describe("index: what the twin does at rest", () => {
  it.effect("index: a value that rotted twice is mended to what it was", () =>
    Effect.gen(function* () {
      const first = new MemoryKeyValue()
      yield* first.service.commit([put("t", bytes(1), bytes(1, 2, 3))])
      yield* first.service.flushed
      const random = seededRandom(1)
      const rotten = first.kill()
      assert.strictEqual(rotten.rot(random, 1), 1)
      const again = rotten.kill()
      assert.strictEqual(again.rot(random, 1), 1)
      assert.notDeepEqual([...(again.service.get("t", bytes(1)) ?? [])], [1, 2, 3])
      again.mend()
      assert.deepStrictEqual([...(again.service.get("t", bytes(1)) ?? [])], [1, 2, 3])
    }))
})
