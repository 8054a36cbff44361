/**
 * Rollback and branch of a bucket of many keys, on the real index: `node bench/history.ts [--keys N] [--dir FOLDER]`.
 * A tenth of the keys is written over after the commit that it goes back to; no journal, no HTTP: the machine alone.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Effect, Layer } from "effect"
import { layer as lmdb } from "../src/adapters/Lmdb.ts"
import { unlocked } from "../src/adapters/NodeDisk.ts"
import { toUtf8 } from "../src/base/bytes.ts"
import { type BucketId, defaultTenant, type VaultId } from "../src/base/ids.ts"
import { hybridTime } from "../src/base/time.ts"
import { apply } from "../src/namespace/Apply.ts"
import { entryFormat } from "../src/namespace/Entry.ts"
import type { Change } from "../src/namespace/Model.ts"
import { diffOf } from "../src/namespace/QueryDiff.ts"
import { listObjects } from "../src/namespace/QueryList.ts"
import { currentOf, type View, viewAt } from "../src/namespace/QueryView.ts"
import type { StateService } from "../src/namespace/State.ts"
import { make } from "../src/namespace/StateService.ts"
import { Disk } from "../src/ports/Disk.ts"
import { openVault } from "../src/sealer/Vault.ts"
import { seededRandom } from "../sim/Random.ts"

const { values: options } = parseArgs({ options: { keys: { type: "string", default: "1000000" }, dir: { type: "string" } } })
const KEYS = Number(options.keys)
const READS = 5000
const PAGE = 1000

const random = seededRandom(1)
const vaultId = "00112233445566778899aabbccddeeff" as VaultId
const vault = openVault({ vaultId, generation: 1, master: random.bytes(32) })
const context = { vertexHash: (_: VaultId, bytes: Uint8Array) => vault.vertexHash(bytes) }
const key = (index: number): string => `photos/2026/holiday/image-${String(index).padStart(9, "0")}-edit.jpg`
const attributes = { headers: { "content-type": "image/jpeg" }, userMetadata: {} }
const print = (what: string, figure: number, unit: string): void => console.log(`${what.padEnd(58)} ${figure.toFixed(figure < 100 ? 2 : 0).padStart(10)} ${unit}`)

let sequence = 0
const run = (state: StateService, change: Change): void => {
  sequence += 1
  const time = hybridTime(1_790_000_000_000 + sequence, 0)
  const entry = { format: entryFormat, group: 0, sequence, time, tenant: defaultTenant, vault: vaultId, author: "root", change }
  const { rows, answer } = apply(state.reader, entry, context)
  if (answer._tag === "Refused") throw new Error(`${change._tag}: ${answer.refusal}`)
  state.write(rows, { sequence, time, wal: { segment: 1, offset: sequence } })
}

const put = (bucket: string, index: number, text: string): Change => ({
  _tag: "PutObject", bucket, key: key(index), attributes,
  content: { sizeBytes: 4, etag: "d41d8cd98f00b204e9800998ecf8427e", etagIsMd5: true, manifest: { _tag: "Inline", bytes: toUtf8(text) }, arrivals: [], blocks: [] }
})

const timed = <A>(what: string, act: () => A): A => {
  const start = performance.now()
  const used = process.cpuUsage()
  const result = act()
  const { system, user } = process.cpuUsage(used)
  print(what, performance.now() - start, `ms (${((system + user) / 1000).toFixed(1)} ms of processor)`)
  return result
}

const viewOf = (state: StateService, bucket: string, at = sequence): View => {
  const view = viewAt(state.reader, defaultTenant, bucket, at, sequence, 1_790_000_000_000 + sequence)
  if (view === undefined) throw new Error(`no bucket ${bucket}`)
  return view
}

const list = (state: StateService, view: View): number => {
  let count = 0
  for (let after: string | undefined = ""; after !== undefined;) {
    const page = listObjects(state.reader, view, { prefix: "", delimiter: "", after, limit: PAGE })
    count += page.versions.length
    after = page.next
  }
  return count
}

const reads = (state: StateService, what: string, view: View): void => {
  const count = timed(`${what}: all keys listed, in pages of ${PAGE}`, () => list(state, view))
  if (count !== KEYS) throw new Error(`${count} keys listed, not ${KEYS}`)
  const keys = Array.from({ length: READS }, () => key(random.below(KEYS)))
  for (const one of keys) currentOf(state.reader, view, one)
  timed(`${what}: ${READS} point reads, nodes in memory`, () => {
    for (const one of keys) if (currentOf(state.reader, view, one) === undefined) throw new Error(`no ${one}`)
  })
}

const diff = (state: StateService, from: View, to: View): number => {
  let count = 0
  for (let after: string | undefined = ""; after !== undefined;) {
    const page = diffOf(state.reader, from, to, { prefix: "", after, limit: PAGE })
    count += page.entries.length
    after = page.next
  }
  return count
}

const root = mkdtempSync(join(options.dir ?? tmpdir(), "ouroboros-bench-history-"))
const program = Effect.scoped(Effect.gen(function*() {
  const index = yield* Layer.build(lmdb(join(root, "index")))
  const state = yield* make({ sealer: vault, rootKey: new Uint8Array(32).fill(1), folder: "checkpoints" }).pipe(
    Effect.provideContext(index), Effect.provideService(Disk, unlocked(join(root, "data"))))
  const load = Effect.fnUntraced(function*(count: number, step: number, text: string) {
    for (let from = 0; from < count; from += 100_000) {
      for (let at = from; at < Math.min(count, from + 100_000); at += 1) run(state, put("photos", at * step, text))
      yield* state.checkpoint
    }
  })
  console.log(`a bucket of ${KEYS} keys, ${KEYS / 10} of them written over`)
  run(state, { _tag: "CreateBucket", bucket: "photos", id: "b0000000000000000000000000000001" as BucketId, owner: "root" })
  yield* load(KEYS, 1, "1")
  const then = sequence
  reads(state, "before any overwrite", viewOf(state, "photos"))
  yield* load(KEYS / 10, 10, "2")
  const late = sequence
  reads(state, "current", viewOf(state, "photos"))
  reads(state, "AS OF the commit before the overwrites", viewOf(state, "photos", then))
  timed("branch", () => run(state, { _tag: "Branch", bucket: "trial", source: "photos", id: "b0000000000000000000000000000002" as BucketId, owner: "root", from: then }))
  reads(state, "branch", viewOf(state, "trial"))
  timed("rollback", () => run(state, { _tag: "Rollback", bucket: "photos", to: then }))
  reads(state, "rolled back", viewOf(state, "photos"))
  const changed = timed("diff: what was rolled back", () => diff(state, viewOf(state, "photos", late), viewOf(state, "photos")))
  if (changed !== KEYS / 10) throw new Error(`${changed} keys changed`)
  timed("undo", () => run(state, { _tag: "Rollback", bucket: "photos", to: sequence - 1 }))
  reads(state, "undone", viewOf(state, "photos"))
  timed("rollback to its birth", () => run(state, { _tag: "Rollback", bucket: "photos", to: 1 }))
  timed("delete it: every row is looked at", () => run(state, { _tag: "DeleteBucket", bucket: "photos" }))
}))

mkdirSync(join(root, "data"))
try {
  await Effect.runPromise(program)
} finally {
  rmSync(root, { recursive: true, force: true })
}
