/** Chunks in the machine: references counted exactly, arrivals, moves to blocks, multipart parts coming and going. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId } from "../../src/base/ids.ts"
import { hybridTime } from "../../src/base/time.ts"
import { commitRowsMax, deleteTargetsPerCommitMax, partBytesMin } from "../../src/base/limits.ts"
import type { Change, ChunkArrival, Content, Manifest, VersionPlace } from "../../src/namespace/Model.ts"
import { chunksOf, journaledBytes, journaledChunks } from "../../src/namespace/Query.ts"
import { endedUploads } from "../../src/namespace/QueryUploads.ts"
import { foundOf } from "../../src/namespace/QueryView.ts"
import { afterPrefix, ascendingAt, condemnedKey, journaledKey, regionKey, regionsPrefix, table, totalsKey } from "../../src/namespace/Rows.ts"
import { chunkRow, deadRow, journaledRow, partRow, regionRow, stagedPageRow, totalsRow } from "../../src/namespace/RowsValue.ts"
import { decodeVersionRow } from "../../src/namespace/RowsVersion.ts"
import { decodeVertex } from "../../src/namespace/Vertex.ts"
import { arrival, attributes, bucketIdOf, chunked, chunkIdOf, contentOf, create, hashOfNumber, Machine, put, uploadIdOf, vault } from "./store.ts"

const rowsOf = (machine: Machine, from: string): ReadonlyArray<readonly [string, Uint8Array]> => [...machine.rows.scan(from, afterPrefix(from))]

const named = (manifest: Manifest): ReadonlyArray<ChunkId> =>
  manifest._tag === "Inline" ? [] : [...new Set(manifest.entries.map(({ chunk }) => chunk))]

/** References, condemnation, regions, the journal's rows and the totals, as they follow from all other rows. */
const checkInvariants = (machine: Machine): void => {
  const counts = new Map<string, number>()
  const count = (ids: ReadonlyArray<ChunkId>): void => ids.forEach((id) => counts.set(id, (counts.get(id) ?? 0) + 1))
  for (const rows of [table.version, table.hidden]) {
    for (const [, value] of rowsOf(machine, rows)) count(named(decodeVertex(decodeVersionRow(value).vertex).manifest))
  }
  for (const [, value] of rowsOf(machine, table.part)) count(named(partRow.decode(value).manifest))
  for (const [, value] of rowsOf(machine, table.stagedPage)) count(named({ _tag: "Chunks", entries: stagedPageRow.decode(value).entries }))
  const journal = new Map<string, string>()
  const regions = new Map<string, readonly [string, number]>()
  const condemned: Array<string> = []
  let bytes = 0
  let condemnedBytes = 0
  for (const [key, value] of rowsOf(machine, table.chunk)) {
    const id = toHex(fromByteString(key.slice(17))) as ChunkId
    const { references, copies, condemnedAt } = chunkRow.decode(value)
    expect(references, id).toBe(counts.get(id) ?? 0)
    counts.delete(id)
    expect(condemnedAt !== undefined, id).toBe(references === 0)
    if (condemnedAt !== undefined) condemned.push(condemnedKey(condemnedAt, vault, id))
    for (const { place } of copies) {
      if (condemnedAt !== undefined) condemnedBytes += place.lengthBytes
      if (place._tag === "Block") {
        regions.set(regionKey(place.block, place.offset), [id, place.lengthBytes])
        continue
      }
      journal.set(journaledKey(place.segment, place.offset), id)
      bytes += place.lengthBytes
    }
  }
  expect([...counts]).toEqual([])
  const sorted = <A>(map: ReadonlyMap<string, A>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
  expect(rowsOf(machine, table.journaled).map(([key, value]) => [key, journaledRow.decode(value).chunk])).toEqual(sorted(journal))
  expect(journaledBytes(machine.rows)).toBe(bytes)
  expect(rowsOf(machine, table.region).map(([key, value]) => {
    const { chunk, lengthBytes } = regionRow.decode(value)
    return [key, [chunk, lengthBytes]]
  })).toEqual(sorted(regions))
  expect(rowsOf(machine, table.condemned).map(([key]) => key)).toEqual(condemned.sort())
  checkBlocks(machine, regions, condemned.length, condemnedBytes)
}

/** What lies in blocks has a block's row; an empty block is noted, so that it will be dropped; totals are sums. */
const checkBlocks = (machine: Machine, regions: ReadonlyMap<string, unknown>, condemnedChunks: number, condemnedBytes: number): void => {
  const blocks = new Set(rowsOf(machine, table.block).map(([key]) => key.slice(1)))
  const dead = new Map(rowsOf(machine, table.dead).map(([key, value]) => [key.slice(1), deadRow.decode(value).bytes]))
  const live = new Set([...regions.keys()].map((key) => key.slice(1, 17)))
  for (const block of live) expect(blocks.has(block), "a region lies in a block that has a row").toBe(true)
  for (const block of blocks) expect(live.has(block) || dead.has(block), "an empty block is noted as such").toBe(true)
  for (const block of dead.keys()) expect(blocks.has(block), "what is noted of a block goes with it").toBe(true)
  const deadBytes = [...dead.values()].reduce((sum, each) => sum + each, 0)
  const value = machine.rows.get(totalsKey)
  const garbage = value === undefined ? undefined : totalsRow.decode(value).garbage
  expect(garbage ?? { condemnedChunks: 0, condemnedBytes: 0, deadBytes: 0 }).toEqual({ condemnedChunks, condemnedBytes, deadBytes })
}

const block = (number: number) => ({ block: `e0${number.toString(16).padStart(30, "0")}` as BlockId, sizeBytes: 1000, hash: hashOfNumber(number), regions: 1 })

let offsets = 0
const arriving = (id: number): ChunkArrival => arrival(id, (offsets += 100))

/** In the journal, or in a block that comes with the commit. */
const contentIn = (ids: ReadonlyArray<number>, arrivals: ReadonlyArray<{ readonly id: number; readonly inBlock: number }>): Content => {
  const made = arrivals.map(({ id, inBlock }) => inBlock === 0 ? arriving(id) : inBlockOf(id, inBlock))
  const blocks = [...new Set(arrivals.flatMap(({ inBlock }) => inBlock === 0 ? [] : [inBlock]))].map(block)
  return { ...chunked(ids, made), blocks }
}
const inBlockOf = (id: number, number: number): ChunkArrival =>
  ({ ...arriving(id), place: { _tag: "Block", block: block(number).block, offset: (offsets += 100), lengthBytes: 40 } })

/** Nobody seals a block of nothing. */
const sealed = (number: number, moves: Extract<Change, { readonly _tag: "BlockSealed" }>["moves"]): Change =>
  moves.length === 0 ? { _tag: "RaiseHorizon", oldestReadable: 0 } : { _tag: "BlockSealed", block: block(number), moves }

const chunk = fc.nat(6)
const arrivals = fc.array(fc.record({ id: chunk, inBlock: fc.constantFrom(0, 0, 1, 2) }), { maxLength: 4 })
const manifestChunks = fc.array(chunk, { maxLength: 4 })
const condemnedOf = (machine: Machine) => rowsOf(machine, table.condemned).map(([key]) => ({
  chunk: toHex(fromByteString(key.slice(25))) as ChunkId, condemnedAt: ascendingAt(key, 1)
}))
const change: fc.Arbitrary<(machine: Machine) => Change> = fc.oneof(
  fc.record({ key: fc.constantFrom("a", "b"), ids: manifestChunks, arrivals }).map(({ key, ids, arrivals }) => (): Change => ({
    _tag: "PutObject", bucket: "b", key, attributes, content: contentIn(ids, arrivals)
  })),
  fc.record({ level: fc.integer({ min: 1, max: 2 }), page: fc.integer({ min: 7, max: 9 }), ids: manifestChunks, arrivals }).map(({ level, page, ids, arrivals }) => (): Change => {
    const content = contentIn([], arrivals)
    return {
      _tag: "StagePage", page: chunkIdOf(page), level, entries: ids.map((id) => ({ chunk: chunkIdOf(level === 1 ? id : 7 + (id % 3)), sizeBytes: 10 })),
      arrivals: [...content.arrivals, arriving(page)], blocks: content.blocks
    }
  }),
  fc.record({ pages: fc.array(fc.integer({ min: 7, max: 9 }), { minLength: 1, maxLength: 2 }) }).map(({ pages }) => (): Change => ({
    _tag: "PutObject", bucket: "b", key: "paged", attributes,
    content: { ...contentOf("x"), manifest: { _tag: "Pages", level: 1, entries: pages.map((page) => ({ chunk: chunkIdOf(page), sizeBytes: 20 })) } }
  })),
  fc.record({ upload: fc.nat(2), number: fc.integer({ min: 1, max: 3 }), ids: manifestChunks, arrivals }).map(({ upload, number, ids, arrivals }) => (): Change => ({
    _tag: "PutPart", bucket: "b", key: "m", upload: uploadIdOf(upload), partNumber: number, content: contentIn(ids, arrivals)
  })),
  fc.nat(2).map((upload) => (): Change => ({ _tag: "CreateUpload", bucket: "b", key: "m", upload: uploadIdOf(upload), attributes })),
  fc.nat(2).map((upload) => (): Change => ({ _tag: "AbortUpload", bucket: "b", key: "m", upload: uploadIdOf(upload) })),
  fc.nat(2).map((upload) => (machine: Machine): Change => ({ _tag: "AbortStaleUpload", bucket: "b", key: "m", upload: uploadIdOf(upload), before: hybridTime(machine.nowMs - 2, 0) })),
  fc.record({ upload: fc.nat(2), limit: fc.integer({ min: 1, max: 2 }) }).map(({ upload, limit }) => (): Change => ({ _tag: "DropParts", upload: uploadIdOf(upload), limit })),
  fc.record({ number: fc.integer({ min: 3, max: 1000 }), stale: fc.boolean() }).map(({ number, stale }) => (machine: Machine): Change => sealed(
    number, journaledChunks(machine.rows, vault, 2).map(({ id, copies }, index) => ({
      chunk: id,
      from: stale ? { _tag: "Journal", segment: 9, offset: 9, lengthBytes: 9 } : (copies[0]?.place ?? { _tag: "Journal", segment: 9, offset: 9, lengthBytes: 9 }),
      to: { _tag: "Block", block: block(number).block, offset: index * 40, lengthBytes: 40 }
    }))
  )),
  fc.constantFrom("a", "b", "paged").map((key) => (): Change => ({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] })),
  fc.constant((machine: Machine): Change => ({ _tag: "RaiseHorizon", oldestReadable: machine.sequence })),
  fc.constant((machine: Machine): Change => ({ _tag: "PurgeVersions", rows: hiddenIn(machine) })),
  fc.record({ skip: fc.nat(2), late: fc.nat(9) }).map(({ skip, late }) => (machine: Machine): Change => ({
    _tag: "FreeChunks",
    chunks: condemnedOf(machine).slice(skip).map(({ chunk, condemnedAt }) => ({ chunk, condemnedAt: Math.max(0, condemnedAt - (late === 0 ? 1 : 0)) }))
  })),
  fc.integer({ min: 0, max: 4 }).map((number) => (machine: Machine): Change => ({ _tag: "DropBlock", block: someBlock(machine, number) })),
  fc.record({ from: fc.nat(4), to: fc.integer({ min: 2000, max: 3000 }) }).map(({ from, to }) => (machine: Machine): Change =>
    sealed(to, movesOut(machine, someBlock(machine, from), to))),
  fc.record({ skip: fc.nat(3) }).map(({ skip }) => (machine: Machine): Change => ({
    _tag: "ReindexChunks", done: false, chunks: rowsOf(machine, table.chunk).slice(skip, skip + 3).map(([key]) => toHex(fromByteString(key.slice(17))) as ChunkId)
  }))
)

const someBlock = (machine: Machine, number: number): BlockId => {
  const blocks = rowsOf(machine, table.block).map(([key]) => toHex(fromByteString(key.slice(1))) as BlockId)
  return blocks[number % Math.max(1, blocks.length)] ?? block(1).block
}

/** What compaction asks for: all that lives in a block goes to another. */
const movesOut = (machine: Machine, from: BlockId, to: number) =>
  rowsOf(machine, regionsPrefix(from)).map(([key, value], index) => {
    const { chunk, lengthBytes } = regionRow.decode(value)
    return {
      chunk, from: { _tag: "Block" as const, block: from, offset: ascendingAt(key, 17), lengthBytes },
      to: { _tag: "Block" as const, block: block(to).block, offset: 96 + index * 40, lengthBytes }
    }
  })

const hiddenIn = (machine: Machine): ReadonlyArray<VersionPlace> =>
  rowsOf(machine, table.hidden).map(([rowKey, value]) => {
    const { sequence, ordinal } = foundOf(bucketIdOf(1), "hidden", rowKey, value)
    return { source: bucketIdOf(1), rows: "hidden", key: decodeVertex(decodeVersionRow(value).vertex).key, sequence, ordinal }
  })

/** A machine of today: everything is indexed from its first commit on. */
const fresh = (): Machine => {
  const machine = new Machine()
  machine.run(create("b", 1))
  machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
  return machine
}

describe("namespace chunks", () => {
  it("namespace: whatever happens, references are what the rows name, and the journal's rows what lies there", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const machine = fresh()
        for (const each of changes) machine.run(each(machine))
        checkInvariants(machine)
      }),
      { numRuns: 500 }
    )
  })

  it("namespace: a manifest that names an unknown chunk, or a page never staged, is refused and leaves nothing", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    const content = chunked([1, 2], [arriving(1)])
    expect(machine.run({ _tag: "PutObject", bucket: "b", key: "k", attributes, content })).toEqual({ _tag: "Refused", refusal: "ChunkMissing" })
    expect(chunksOf(machine.rows, vault, [chunkIdOf(1)])).toEqual([undefined])
    const paged: Manifest = { _tag: "Pages", level: 1, entries: [{ chunk: chunkIdOf(1), sizeBytes: 10 }] }
    const unstaged = { ...contentOf("x"), manifest: paged, arrivals: [arriving(1)] }
    expect(machine.run({ _tag: "PutObject", bucket: "b", key: "k", attributes, content: unstaged })).toEqual({ _tag: "Refused", refusal: "ChunkMissing" })
    checkInvariants(machine)
  })

  it("namespace: a chunk that arrives twice keeps its first copy; sealing moves it once, by what was read", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    machine.run({ _tag: "PutObject", bucket: "b", key: "k", attributes, content: chunked([1, 1], [arrival(1, 100)]) })
    machine.run({ _tag: "PutObject", bucket: "b", key: "l", attributes, content: chunked([1], [arrival(1, 500)]) })
    const [row] = chunksOf(machine.rows, vault, [chunkIdOf(1)])
    expect(row).toMatchObject({ references: 2, copies: [{ place: { offset: 100 }, incarnation: 2 }] })
    const to = { _tag: "Block", block: block(1).block, offset: 0, lengthBytes: 40 } as const
    const from = arrival(1, 100).place
    machine.run({ _tag: "BlockSealed", block: block(1), moves: [{ chunk: chunkIdOf(1), from: arrival(1, 500).place, to }] })
    expect(journaledChunks(machine.rows, vault, 10)).toHaveLength(1)
    machine.run({ _tag: "BlockSealed", block: block(1), moves: [{ chunk: chunkIdOf(1), from, to }] })
    machine.run({ _tag: "BlockSealed", block: block(2), moves: [{ chunk: chunkIdOf(1), from, to: { ...to, block: block(2).block } }] })
    expect(chunksOf(machine.rows, vault, [chunkIdOf(1)])).toMatchObject([{ copies: [{ place: to, incarnation: 5 }] }])
    expect(journaledChunks(machine.rows, vault, 10)).toEqual([])
    checkInvariants(machine)
  })

  it("namespace: an upload completed twice answers alike, until its parts are dropped, bounded a commit", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    const upload = uploadIdOf(1)
    machine.run({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes })
    for (let partNumber = 1; partNumber <= 5; partNumber += 1) {
      const content = { ...chunked([partNumber], [arriving(partNumber)], "e"), sizeBytes: partBytesMin }
      machine.run({ _tag: "PutPart", bucket: "b", key: "m", upload, partNumber, content })
    }
    const content = { ...chunked([1, 2, 3], [], "whole-3"), sizeBytes: 3 * partBytesMin }
    const complete: Change = {
      _tag: "CompleteUpload", bucket: "b", key: "m", upload, content, objectParts: [], parts: [1, 2, 3].map((partNumber) => ({ partNumber, etag: "e" }))
    }
    const stored = machine.run(complete)
    expect(stored).toEqual({ _tag: "Stored", versionId: undefined, etag: "whole-3" })
    expect(machine.run(complete)).toEqual(stored)
    expect(endedUploads(machine.rows, 10)).toEqual([upload])
    expect(machine.run({ _tag: "DropParts", upload, limit: 3 })).toEqual({ _tag: "Dropped", remaining: true })
    checkInvariants(machine)
    expect(machine.run({ _tag: "DropParts", upload, limit: 3 })).toEqual({ _tag: "Dropped", remaining: false })
    expect(endedUploads(machine.rows, 10)).toEqual([])
    expect(machine.run(complete)).toEqual({ _tag: "Refused", refusal: "NoSuchUpload" })
    expect(chunksOf(machine.rows, vault, [4, 1].map(chunkIdOf)).map((row) => row?.references)).toEqual([0, 1])
    checkInvariants(machine)
  })

  it("namespace: a full page and as many deletions as a commit may have fit one commit", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    const ids = Array.from({ length: 1024 }, (_, index) => index)
    const entries = ids.map((id) => ({ chunk: chunkIdOf(id), sizeBytes: 10 }))
    const staged: Change = { _tag: "StagePage", page: chunkIdOf(5000), level: 1, entries, arrivals: [...ids, 5000].map((id) => arrival(id)), blocks: [] }
    const before = machine.rows.rows.size
    expect(machine.run(staged)).toEqual({ _tag: "Done" })
    expect(machine.rows.rows.size - before).toBeLessThanOrEqual(commitRowsMax)
    machine.run({ _tag: "SetVersioning", bucket: "b", status: "Enabled" })
    machine.run({ _tag: "SetVersioning", bucket: "b", status: "Suspended" })
    for (let index = 0; index < 1000; index += 1) machine.run(put("b", `key-${index}`, "x"))
    const answer = machine.run({ _tag: "DeleteObjects", bucket: "b", targets: ids.slice(0, deleteTargetsPerCommitMax).map((index) => ({ key: `key-${index}` })) })
    expect(answer._tag === "Deleted" && answer.outcomes.every(({ deleteMarkerVersionId }) => deleteMarkerVersionId === "null")).toBe(true)
    checkInvariants(machine)
  })
})
