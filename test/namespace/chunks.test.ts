/** Chunks in the machine: references counted exactly, arrivals, moves to blocks, multipart parts coming and going. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId } from "../../src/base/ids.ts"
import { commitRowsMax, deleteTargetsPerCommitMax, partBytesMin } from "../../src/base/limits.ts"
import type { Change, ChunkArrival, Manifest } from "../../src/namespace/Model.ts"
import { chunksOf, journaledBytes, journaledChunks } from "../../src/namespace/Query.ts"
import { endedUploads } from "../../src/namespace/QueryUploads.ts"
import { afterPrefix, journaledKey, table } from "../../src/namespace/Rows.ts"
import { chunkRow, journaledRow, partRow, stagedPageRow } from "../../src/namespace/RowsValue.ts"
import { decodeVersionRow } from "../../src/namespace/RowsVersion.ts"
import { decodeVertex } from "../../src/namespace/Vertex.ts"
import { arrival, attributes, chunked, chunkIdOf, contentOf, create, hashOfNumber, Machine, put, uploadIdOf, vault } from "./store.ts"

const rowsOf = (machine: Machine, from: string): ReadonlyArray<readonly [string, Uint8Array]> => [...machine.rows.scan(from, afterPrefix(from))]

const named = (manifest: Manifest): ReadonlyArray<ChunkId> =>
  manifest._tag === "Inline" ? [] : [...new Set(manifest.entries.map(({ chunk }) => chunk))]

/** The references and the journal's rows, as they follow from all other rows. */
const checkInvariants = (machine: Machine): void => {
  const counts = new Map<string, number>()
  const count = (ids: ReadonlyArray<ChunkId>): void => ids.forEach((id) => counts.set(id, (counts.get(id) ?? 0) + 1))
  for (const rows of [table.version, table.hidden]) {
    for (const [, value] of rowsOf(machine, rows)) count(named(decodeVertex(decodeVersionRow(value).vertex).manifest))
  }
  for (const [, value] of rowsOf(machine, table.part)) count(named(partRow.decode(value).manifest))
  for (const [, value] of rowsOf(machine, table.stagedPage)) count(named({ _tag: "Chunks", entries: stagedPageRow.decode(value).entries }))
  const journal = new Map<string, string>()
  let bytes = 0
  for (const [key, value] of rowsOf(machine, table.chunk)) {
    const id = toHex(fromByteString(key.slice(17)))
    const { references, copies } = chunkRow.decode(value)
    expect(references, id).toBe(counts.get(id) ?? 0)
    counts.delete(id)
    for (const { place } of copies) {
      if (place._tag !== "Journal") continue
      journal.set(journaledKey(place.segment, place.offset), id)
      bytes += place.lengthBytes
    }
  }
  expect([...counts]).toEqual([])
  expect(rowsOf(machine, table.journaled).map(([key, value]) => [key, journaledRow.decode(value).chunk])).toEqual([...journal].sort(([a], [b]) => (a < b ? -1 : 1)))
  expect(journaledBytes(machine.rows)).toBe(bytes)
}

const block = (number: number) => ({ block: `e0${number.toString(16).padStart(30, "0")}` as BlockId, sizeBytes: 1000, hash: hashOfNumber(number), regions: 1 })

let offsets = 0
const arriving = (id: number): ChunkArrival => arrival(id, (offsets += 100))

const chunk = fc.nat(6)
const arrivals = fc.array(chunk.map((id) => ({ id })), { maxLength: 4 })
const manifestChunks = fc.array(chunk, { maxLength: 4 })
const change: fc.Arbitrary<(machine: Machine) => Change> = fc.oneof(
  fc.record({ key: fc.constantFrom("a", "b"), ids: manifestChunks, arrivals }).map(({ key, ids, arrivals }) => (): Change => ({
    _tag: "PutObject", bucket: "b", key, attributes, content: chunked(ids, arrivals.map(({ id }) => arriving(id)))
  })),
  fc.record({ level: fc.integer({ min: 1, max: 2 }), page: fc.integer({ min: 7, max: 9 }), ids: manifestChunks, arrivals }).map(({ level, page, ids, arrivals }) => (): Change => ({
    _tag: "StagePage", page: chunkIdOf(page), level, entries: ids.map((id) => ({ chunk: chunkIdOf(level === 1 ? id : 7 + (id % 3)), sizeBytes: 10 })),
    arrivals: [...arrivals.map(({ id }) => arriving(id)), arriving(page)], blocks: []
  })),
  fc.record({ pages: fc.array(fc.integer({ min: 7, max: 9 }), { minLength: 1, maxLength: 2 }) }).map(({ pages }) => (): Change => ({
    _tag: "PutObject", bucket: "b", key: "paged", attributes,
    content: { ...contentOf("x"), manifest: { _tag: "Pages", level: 1, entries: pages.map((page) => ({ chunk: chunkIdOf(page), sizeBytes: 20 })) } }
  })),
  fc.record({ upload: fc.nat(2), number: fc.integer({ min: 1, max: 3 }), ids: manifestChunks, arrivals }).map(({ upload, number, ids, arrivals }) => (): Change => ({
    _tag: "PutPart", bucket: "b", key: "m", upload: uploadIdOf(upload), partNumber: number, content: chunked(ids, arrivals.map(({ id }) => arriving(id)))
  })),
  fc.nat(2).map((upload) => (): Change => ({ _tag: "CreateUpload", bucket: "b", key: "m", upload: uploadIdOf(upload), attributes })),
  fc.nat(2).map((upload) => (): Change => ({ _tag: "AbortUpload", bucket: "b", key: "m", upload: uploadIdOf(upload) })),
  fc.record({ upload: fc.nat(2), limit: fc.integer({ min: 1, max: 2 }) }).map(({ upload, limit }) => (): Change => ({ _tag: "DropParts", upload: uploadIdOf(upload), limit })),
  fc.record({ number: fc.nat(1000), stale: fc.boolean() }).map(({ number, stale }) => (machine: Machine): Change => ({
    _tag: "BlockSealed", block: block(number),
    moves: journaledChunks(machine.rows, vault, 2).map(({ id, copies }, index) => ({
      chunk: id,
      from: stale ? { _tag: "Journal", segment: 9, offset: 9, lengthBytes: 9 } : (copies[0]?.place ?? { _tag: "Journal", segment: 9, offset: 9, lengthBytes: 9 }),
      to: { _tag: "Block", block: block(number).block, offset: index * 40, lengthBytes: 40 }
    }))
  })),
  fc.constantFrom("a", "b", "paged").map((key) => (): Change => ({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] }))
)

describe("namespace chunks", () => {
  it("namespace: whatever happens, references are what the rows name, and the journal's rows what lies there", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const machine = new Machine()
        machine.run(create("b", 1))
        for (const each of changes) machine.run(each(machine))
        checkInvariants(machine)
      }),
      { numRuns: 300 }
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
