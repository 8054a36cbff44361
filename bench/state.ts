/**
 * The state alone, at a million rows on real disks: `node bench/state.ts [--rows N] [--dir FOLDER]`.
 * Prints what DECISIONS.md quotes: the sealed Merkle tree beside the same rows as plain keys of LMDB, in one run.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Layer, type Scope } from "effect"
import { layer as lmdb } from "../src/adapters/Lmdb.ts"
import { unlocked } from "../src/adapters/NodeDisk.ts"
import { fromByteString } from "../src/base/bytes.ts"
import type { VaultId } from "../src/base/ids.ts"
import type { RowChange, StateService } from "../src/namespace/State.ts"
import { make } from "../src/namespace/StateService.ts"
import { Disk } from "../src/ports/Disk.ts"
import { KeyValue, type KeyValueChange } from "../src/ports/KeyValue.ts"
import { openVault } from "../src/sealer/Vault.ts"
import { seededRandom } from "../sim/Random.ts"

const { values: options } = parseArgs({ options: { rows: { type: "string", default: "1000000" }, dir: { type: "string" } } })
const ROWS = Number(options.rows)
const CHANGES = 10_000
const PAGE = 1000
const READS = 5000

const root = mkdtempSync(join(options.dir ?? tmpdir(), "ouroboros-bench-state-"))
const random = seededRandom(1)
const pool = Buffer.from(random.bytes(1 << 20))
const freshValue = (): Uint8Array => {
  const at = random.below(pool.length - 200)
  return pool.subarray(at, at + 200)
}
/** 60 bytes: a table, a bucket, a key as people name files. */
const key = (index: number): string => `v0123456789abcdef/photos/2026/holiday/image-${String(index).padStart(9, "0")}-edit.jpg`.slice(0, 60)
const vault = openVault({ vaultId: "00112233445566778899aabbccddeeff" as VaultId, generation: 1, master: random.bytes(32) })

const folderBytes = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0)

const print = (what: string, figure: number, unit: string): void => console.log(`${what.padEnd(58)} ${figure.toFixed(figure < 100 ? 2 : 0).padStart(10)} ${unit}`)
const timed = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const start = performance.now()
    const used = process.cpuUsage()
    return Effect.tap(effect, () =>
      Effect.sync(() => {
        const { system, user } = process.cpuUsage(used)
        print(what, performance.now() - start, `ms (${((system + user) / 1000).toFixed(0)} ms of processor)`)
      }))
  })
const each = (what: string, count: number, act: (index: number) => void): void => {
  const start = performance.now()
  for (let index = 0; index < count; index++) act(index)
  print(what, (performance.now() - start) * 1000 / count, "us")
}

const open = (index: string): Effect.Effect<StateService, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const context = yield* Layer.build(lmdb(join(root, index)))
    return yield* make({ sealer: vault, rootKey: new Uint8Array(32).fill(1), folder: "checkpoints" }).pipe(
      Effect.provideContext(context), Effect.provideService(Disk, unlocked(join(root, "data")))
    )
  })

const stamp = (sequence: number) => ({ sequence, time: BigInt(sequence), wal: { segment: 1, offset: sequence } })
const randomChanges = (): ReadonlyArray<RowChange> => Array.from({ length: CHANGES }, () => [key(random.below(ROWS)), freshValue()])
const end = "w"
const scanned = (rows: Iterable<unknown>): void => {
  let count = 0
  for (const _ of rows) if (++count === PAGE) break
  if (count !== PAGE) throw new Error(`a page has ${PAGE} rows, not ${count}`)
}

const measureReads = (state: StateService): void => {
  const keys = Array.from({ length: READS }, () => key(random.below(ROWS)))
  each("point read, nodes not in memory", READS, (index) => void state.reader.get(keys[index]!))
  const warm = keys.slice(0, 1000)
  for (const one of warm) state.reader.get(one)
  each("point read, nodes in memory", READS, (index) => void state.reader.get(warm[index % 1000]!))
  for (const [name, from] of [["start", 0], ["middle", ROWS / 2], ["end", ROWS - PAGE]] as const) {
    const start = performance.now()
    scanned(state.reader.scan(key(from), end))
    print(`page of ${PAGE} rows at the ${name}`, performance.now() - start, "ms")
  }
  const start = performance.now()
  scanned(state.reader.scan("v", end, true))
  print(`page of ${PAGE} rows from the end backwards`, performance.now() - start, "ms")
}

const sealed = Effect.gen(function*() {
  console.log(`sealed tree, ${ROWS} rows of 60 + 200 bytes`)
  yield* Effect.scoped(Effect.gen(function*() {
    const state = yield* open("index")
    for (let from = 0; from < ROWS; from += 100_000) {
      state.write(Array.from({ length: Math.min(100_000, ROWS - from) }, (_, index) => [key(from + index), freshValue()]), stamp(1))
    }
    yield* timed("bulk load: one checkpoint and a base", state.checkpoint)
    print("nodes", state.status().nodes, "")
  }))
  yield* Effect.scoped(Effect.gen(function*() {
    const state = yield* timed("start with a good index", open("index"))
    measureReads(state)
    for (const round of [2, 3]) {
      state.write(randomChanges(), stamp(round))
      let longest = 0
      let last = performance.now()
      const watch = setInterval(() => {
        longest = Math.max(longest, performance.now() - last)
        last = performance.now()
      }, 1)
      yield* timed(`checkpoint after ${CHANGES} random changes`, state.checkpoint)
      clearInterval(watch)
      print("  longest time others waited meanwhile", longest, "ms")
    }
    state.write(Array.from({ length: CHANGES }, (_, index) => [`${key(ROWS >> 1)}${index + 10_000}`, freshValue()]), stamp(4))
    yield* timed(`checkpoint after ${CHANGES} rows inserted side by side`, state.checkpoint)
  }))
  print("index on disk", folderBytes(join(root, "index")) / 1e6, "MB")
  print("checkpoint files", folderBytes(join(root, "data")) / 1e6, "MB")
  const rebuilt = yield* Effect.scoped(timed("start without an index: rebuild from base and deltas", open("index2")))
  if (!rebuilt.status().rebuilt) throw new Error("it was to be rebuilt")
})

const plain = Effect.scoped(Effect.gen(function*() {
  console.log("\nplain LMDB keys, the same rows, nothing sealed")
  const index = yield* KeyValue
  const rows = (from: number, count: number): ReadonlyArray<KeyValueChange> =>
    Array.from({ length: count }, (_, at) => ({ _tag: "Put", table: "rows", key: fromByteString(key(from + at)), value: freshValue() }))
  yield* timed("bulk load, in transactions of 10,000", Effect.gen(function*() {
    for (let from = 0; from < ROWS; from += 10_000) yield* index.commit(rows(from, Math.min(10_000, ROWS - from)))
    yield* index.flushed
  }))
  const keys = Array.from({ length: READS }, () => fromByteString(key(random.below(ROWS))))
  each("point read", READS, (at) => void index.get("rows", keys[at]!))
  const start = performance.now()
  scanned(index.range("rows", { from: fromByteString(key(ROWS - PAGE)), limit: PAGE }))
  print(`page of ${PAGE} rows at the end`, performance.now() - start, "ms")
  const changes = randomChanges().map(([name, value]): KeyValueChange => ({ _tag: "Put", table: "rows", key: fromByteString(name), value: value! }))
  yield* timed(`${CHANGES} random changes, committed and flushed`, Effect.andThen(index.commit(changes), index.flushed))
  print("index on disk", folderBytes(join(root, "plain")) / 1e6, "MB")
})).pipe(Effect.provide(lmdb(join(root, "plain"))))

mkdirSync(join(root, "data"))
try {
  await Effect.runPromise(Effect.andThen(sealed, plain))
} finally {
  rmSync(root, { recursive: true, force: true })
}
