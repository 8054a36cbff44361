/** Runs the contract of KeyValue against Lmdb and the twin; and what each has beyond it: damage, crashes. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lmdb from "../../src/adapters/Lmdb.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { bytes, keyValueContract, put } from "./keyValue.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "ouroboros-index-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

keyValueContract("Lmdb", () => Effect.flatMap(temporaryFolder, Lmdb.openAt))
keyValueContract("MemoryKeyValue", () => Effect.sync(() => new MemoryKeyValue().service))

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
