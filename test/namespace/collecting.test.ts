/**
 * Who frees and who counts on a chunk at the same time (R1): gateways and a collector as the rules describe them, in any
 * order, over the real machine and a set of block files. Each rule left out is a mutant that is found.
 */
import fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import { describe, expect, it } from "vitest"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId, Sequence } from "../../src/base/ids.ts"
import type { BlockArrival, Change, ChunkArrival } from "../../src/namespace/Model.ts"
import { chunksOf } from "../../src/namespace/Query.ts"
import { type Condemned, blockLoad, blocksAfter, blocksHeld, type BlockUse, blockUse, condemnedUntil, isIndexed, purgeable } from "../../src/namespace/QueryGarbage.ts"
import { Readable } from "../../src/namespace/QueryPurge.ts"
import { afterPrefix, table } from "../../src/namespace/Rows.ts"
import { chunkRow } from "../../src/namespace/RowsValue.ts"
import { attributes, chunked, chunkIdOf, create, hashOfNumber, Machine, vault } from "./store.ts"

/** A rule that is left out. */
type Mutant = "FreesUnderIntents" | "NoCompareAndSet" | "CountsOnCondemned" | "DropsUnderIntents"

interface Upload {
  readonly since: Sequence
  readonly ids: Array<number>
  readonly arrivals: Array<ChunkArrival>
  /** Named by no commit yet. */
  blocks: Array<BlockArrival>
}

class Broken extends Error {}

class Scene {
  readonly machine = new Machine()
  readonly #mutant: Mutant | undefined
  readonly #uploads = new Map<number, Upload>()
  readonly #files = new Set<BlockId>()
  #planned: ReadonlyArray<Condemned> = []
  #blocks = 0

  constructor(mutant: Mutant | undefined) {
    this.#mutant = mutant
    this.machine.run(create("b", 1))
    this.machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
  }

  get #oldest(): Sequence {
    return Math.min(this.machine.sequence, ...[...this.#uploads.values()].map(({ since }) => since))
  }

  begin(upload: number): void {
    if (!this.#uploads.has(upload)) this.#uploads.set(upload, { since: this.machine.sequence, ids: [], arrivals: [], blocks: [] })
  }

  /** A hit brings nothing, a miss a block of its own. */
  lookUp(number: number, id: number): void {
    const upload = this.#uploads.get(number)
    if (upload === undefined || upload.ids.includes(id)) return
    const [row] = chunksOf(this.machine.rows, vault, [chunkIdOf(id)])
    upload.ids.push(id)
    if (row !== undefined && (row.condemnedAt === undefined || this.#mutant === "CountsOnCondemned")) return
    this.#blocks += 1
    const block = this.#blocks.toString(16).padStart(32, "e") as BlockId
    this.#files.add(block)
    upload.blocks.push({ block, sizeBytes: 1000, hash: hashOfNumber(id), regions: 1 })
    upload.arrivals.push({ id: chunkIdOf(id), sizeBytes: 10, sealedHash: hashOfNumber(id), place: { _tag: "Block", block, offset: 96, lengthBytes: 40 } })
  }

  /** A page names what has come so far; its own bytes lie in the journal. */
  stage(number: number): void {
    const upload = this.#uploads.get(number)
    if (upload === undefined || upload.ids.length === 0) return
    const page: ChunkArrival = {
      id: chunkIdOf(1000 + number), sizeBytes: 10, sealedHash: hashOfNumber(9), place: { _tag: "Journal", segment: 1, offset: this.machine.sequence * 100, lengthBytes: 40 }
    }
    // The blocks are named, and only what the page lists has a row: the rest of a block is the upload's own still.
    const listed = upload.ids.slice(0, 1)
    const entries = listed.map((id) => ({ chunk: chunkIdOf(id), sizeBytes: 10 }))
    const arrivals = upload.arrivals.filter(({ id }) => listed.some((one) => chunkIdOf(one) === id))
    this.#run({ _tag: "StagePage", page: page.id, level: 1, entries, arrivals: [...arrivals, page], blocks: upload.blocks })
    upload.blocks = []
  }

  commit(number: number, key: string): void {
    const upload = this.#uploads.get(number)
    if (upload === undefined) return
    const content = { ...chunked(upload.ids, upload.arrivals), blocks: upload.blocks }
    this.#run({ _tag: "PutObject", bucket: "b", key, attributes, content })
    this.#uploads.delete(number)
  }

  remove(key: string): void {
    this.#run({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] })
    this.#run({ _tag: "RaiseHorizon", oldestReadable: this.machine.sequence })
    const { rows, sequence } = this.machine
    this.#run({ _tag: "PurgeVersions", rows: purgeable(rows, new Readable(rows, sequence), "hidden", undefined, undefined, 100, 100).places })
  }

  plan(): void {
    const until = this.#mutant === "FreesUnderIntents" ? this.machine.sequence : this.#oldest
    this.#planned = condemnedUntil(this.machine.rows, vault, until, 100)
  }

  /** Maybe long after it was planned. */
  free(): void {
    const now = this.#mutant === "NoCompareAndSet" ? new Map(condemnedUntil(this.machine.rows, vault, this.machine.sequence, 100).map((one) => [one.chunk, one])) : undefined
    this.#run({ _tag: "FreeChunks", chunks: this.#planned.map((one) => now?.get(one.chunk) ?? one) })
  }

  drop(): void {
    const { rows } = this.machine
    for (const block of blocksAfter(rows, undefined, 100)) {
      const use = blockUse(rows, block)
      if (use === undefined || (use.incarnation > this.#oldest && this.#mutant !== "DropsUnderIntents")) continue
      const answer = this.#run({ _tag: "DropBlock", block })
      if (answer._tag === "Collected" && answer.items === 1) this.#files.delete(block)
    }
  }

  #run(change: Change) {
    const answer = this.machine.run(change)
    if (answer._tag === "Refused" && answer.refusal === "ChunkMissing") throw new Broken(`${change._tag}: a chunk that was counted on is gone`)
    this.#check()
    return answer
  }

  /** What is named has its bytes; what blocks hold is told alike by whoever asks for each region and by whoever adds up. */
  #check(): void {
    this.#checkSums()
    for (const [key, value] of this.machine.rows.scan(table.chunk, afterPrefix(table.chunk))) {
      const { copies, references } = chunkRow.decode(value)
      const there = copies.some(({ place }) => place._tag === "Journal" || this.#files.has(place.block))
      if (references > 0 && !there) throw new Broken(`chunk ${toHex(fromByteString(key.slice(17))) as ChunkId} is named and has no bytes`)
    }
  }

  #checkSums(): void {
    const { rows } = this.machine
    const uses = blocksAfter(rows, undefined, 100).map((block) => blockUse(rows, block)!)
    const loads = uses.map(({ regions, ...use }) => ({ ...use, regionCount: regions.length }))
    const sum = (of: (use: BlockUse) => number): number => uses.reduce((total, use) => total + of(use), 0)
    const held = { sizeBytes: sum(({ sizeBytes }) => sizeBytes), liveBytes: sum(({ liveBytes }) => liveBytes) }
    const isAlike = isDeepStrictEqual(loads, loads.map(({ block }) => blockLoad(rows, block))) && isDeepStrictEqual(held, blocksHeld(rows))
    if (!isAlike) throw new Error(`blocks hold ${JSON.stringify({ loads, held })}, and those who add up say otherwise`)
  }
}

const upload = fc.nat(1)
const key = fc.constantFrom("a", "b")
const step: fc.Arbitrary<(scene: Scene) => void> = fc.oneof(
  { weight: 4, arbitrary: upload.map((number) => (scene: Scene) => scene.begin(number)) },
  { weight: 5, arbitrary: fc.tuple(upload, fc.nat(1)).map(([number, id]) => (scene: Scene) => scene.lookUp(number, id)) },
  { weight: 1, arbitrary: upload.map((number) => (scene: Scene) => scene.stage(number)) },
  { weight: 3, arbitrary: fc.tuple(upload, key).map(([number, name]) => (scene: Scene) => scene.commit(number, name)) },
  { weight: 6, arbitrary: key.map((name) => (scene: Scene) => scene.remove(name)) },
  { weight: 3, arbitrary: fc.constant((scene: Scene) => scene.plan()) },
  { weight: 3, arbitrary: fc.constant((scene: Scene) => scene.free()) },
  { weight: 1, arbitrary: fc.constant((scene: Scene) => scene.drop()) }
)

const steps = fc.array(step, { minLength: 40, maxLength: 60, size: "max" })

const run = (mutant: Mutant | undefined, all: ReadonlyArray<(scene: Scene) => void>): Scene => {
  const scene = new Scene(mutant)
  for (const each of all) each(scene)
  return scene
}

const finds = (mutant: Mutant): boolean =>
  fc.check(fc.property(steps, (each) => void run(mutant, each)), { numRuns: 4000, seed: 7, endOnFailure: true }).failed

describe("namespace collecting", () => {
  it("namespace: whoever uploads, deletes, frees and drops in whatever order, nobody is refused, and what is named has its bytes", () => {
    fc.assert(fc.property(steps, (each) => {
      expect(isIndexed(run(undefined, each).machine.rows)).toBe(true)
    }), { numRuns: 1000 })
  })

  it.each<Mutant>(["FreesUnderIntents", "CountsOnCondemned", "DropsUnderIntents"])("namespace: %s is found out", (mutant) => {
    expect(finds(mutant)).toBe(true)
  })

  it("namespace: a free that was planned before its chunk was brought again, named, hit and condemned anew changes nothing; without compare-and-set it does", () => {
    const story = (scene: Scene): void => {
      scene.begin(0)
      scene.lookUp(0, 1)
      scene.commit(0, "a")
      scene.remove("a")
      scene.plan()
      scene.begin(0)
      scene.lookUp(0, 1)
      scene.commit(0, "a")
      scene.begin(1)
      scene.lookUp(1, 1)
      scene.remove("a")
      scene.free()
      scene.commit(1, "b")
    }
    story(new Scene(undefined))
    expect(() => story(new Scene("NoCompareAndSet"))).toThrow("a chunk that was counted on is gone")
  })
})
