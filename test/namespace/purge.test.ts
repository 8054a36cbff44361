/** History behind the horizon goes, and nothing else: what every readable commit shows is the same before and after. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { commitRowsMax } from "../../src/base/limits.ts"
import type { Sequence } from "../../src/base/ids.ts"
import type { Change } from "../../src/namespace/Model.ts"
import { bucketsAt, oldestReadable } from "../../src/namespace/Query.ts"
import { bucketsAfter, chunksAfter, commitsBefore, condemnedUntil, isIndexed, mayListPurgeable, purgeable, withSupersededRows } from "../../src/namespace/QueryGarbage.ts"
import { listVersions } from "../../src/namespace/QueryList.ts"
import { Readable } from "../../src/namespace/QueryPurge.ts"
import { viewAt } from "../../src/namespace/QueryView.ts"
import { afterPrefix, chunkKey, gcKey, table } from "../../src/namespace/Rows.ts"
import { chunkRow } from "../../src/namespace/RowsValue.ts"
import { all, arrival, attributes, bucketIdOf, chunked, chunkIdOf, create, Machine, put, tenant, vault } from "./store.ts"

const names = ["one", "two", "three"] as const

/** What one commit shows: buckets, and every version that S3 lists in each. */
const shownAt = (machine: Machine, at: Sequence): unknown =>
  bucketsAt(machine.rows, tenant, at).map(({ id, name, versioning }) => {
    const view = viewAt(machine.rows, tenant, name, at, machine.sequence, 0)
    const versions = view === undefined ? [] : listVersions(machine.rows, view, all, false).versions
    return [id, name, versioning, versions.map(({ etag, isLatest, key, versionId }) => [key, versionId, etag, isLatest])]
  })

const collect = (machine: Machine): void => {
  const { rows } = machine
  const readable = (): Readable => new Readable(rows, oldestReadable(rows))
  machine.run({ _tag: "PurgeVersions", rows: purgeable(rows, readable(), "hidden", undefined, undefined, 1000, 500).places })
  for (const bucket of bucketsAfter(rows, undefined, 100)) {
    if (!mayListPurgeable(readable(), bucket)) continue
    machine.run({ _tag: "PurgeVersions", rows: purgeable(rows, readable(), "version", bucket, undefined, 1000, 500).places })
  }
  for (let turn = 0; turn < 2; turn += 1) {
    const buckets = withSupersededRows(rows, bucketsAfter(rows, undefined, 100), oldestReadable(rows)).slice(0, 64)
    machine.run({ _tag: "DropHistory", before: Number.MAX_SAFE_INTEGER, limit: commitRowsMax, buckets })
  }
}

let ids = 0
const name = fc.constantFrom(...names)
const key = fc.constantFrom("a", "b")
const text = fc.constantFrom("1", "2", "3")
const change: fc.Arbitrary<(machine: Machine) => Change> = fc.oneof(
  { weight: 3, arbitrary: name.map((bucket) => (): Change => create(bucket, (ids += 1))) },
  { weight: 8, arbitrary: fc.tuple(name, key, text).map(([bucket, at, body]) => (): Change => put(bucket, at, body)) },
  { weight: 5, arbitrary: fc.tuple(name, key).map(([bucket, at]) => (): Change => ({ _tag: "DeleteObjects", bucket, targets: [{ key: at }] })) },
  { weight: 2, arbitrary: fc.tuple(name, key).map(([bucket, at]) => (): Change => ({ _tag: "DeleteObjects", bucket, targets: [{ key: at, versionId: "null" }] })) },
  { weight: 2, arbitrary: fc.tuple(name, fc.constantFrom("Enabled", "Suspended")).map(([bucket, status]) => (): Change =>
    ({ _tag: "SetVersioning", bucket, status: status === "Enabled" ? "Enabled" : "Suspended" })) },
  { weight: 2, arbitrary: name.map((bucket) => (): Change => ({ _tag: "DeleteBucket", bucket })) },
  { weight: 3, arbitrary: fc.tuple(name, fc.nat(8)).map(([bucket, back]) => (machine: Machine): Change => ({ _tag: "Rollback", bucket, to: Math.max(0, machine.sequence - back) })) },
  { weight: 3, arbitrary: fc.tuple(name, name, fc.nat(8)).map(([bucket, source, back]) => (machine: Machine): Change =>
    ({ _tag: "Branch", bucket, source, id: bucketIdOf(ids += 1), owner: "root", from: Math.max(0, machine.sequence - back) })) },
  { weight: 2, arbitrary: fc.nat(6).map((back) => (machine: Machine): Change => ({ _tag: "RaiseHorizon", oldestReadable: Math.max(0, machine.sequence - back) })) }
)

describe("namespace purge", () => {
  it("namespace: every readable commit shows the same after a purge as before, through rollbacks, branches and deleted buckets", () => {
    let purged = 0
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 6, arbitrary: change }, { weight: 1, arbitrary: fc.constant(undefined) }), { minLength: 20, maxLength: 60, size: "max" }), (steps) => {
        const machine = new Machine()
        machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
        for (const step of steps) {
          if (step !== undefined) {
            machine.run(step(machine))
            continue
          }
          const until = machine.sequence
          const from = oldestReadable(machine.rows)
          const before = Array.from({ length: until - from + 1 }, (_, index) => shownAt(machine, from + index))
          const rows = machine.rows.rows.size
          collect(machine)
          purged += Math.max(0, rows - machine.rows.rows.size)
          expect(Array.from({ length: until - from + 1 }, (_, index) => shownAt(machine, from + index))).toEqual(before)
        }
      }),
      { numRuns: 400 }
    )
    expect(purged).toBeGreaterThan(400)
  })

  it("namespace: when everything is deleted and nothing is kept, no row of versions, children, buckets or old commits is left", () => {
    const machine = new Machine()
    machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
    machine.run(create("one", 1))
    machine.run({ _tag: "SetVersioning", bucket: "one", status: "Enabled" })
    for (const body of ["1", "2"]) machine.run(put("one", "a", body))
    machine.run({ _tag: "Branch", bucket: "two", source: "one", id: bucketIdOf(2), owner: "root", from: machine.sequence })
    machine.run({ _tag: "Rollback", bucket: "one", to: machine.sequence - 2 })
    machine.run(put("two", "a", "3"))
    for (const bucket of ["one", "two"]) {
      const view = viewAt(machine.rows, tenant, bucket, machine.sequence, machine.sequence, 0)
      const versions = view === undefined ? [] : listVersions(machine.rows, view, all, false).versions
      machine.run({ _tag: "DeleteObjects", bucket, targets: versions.map(({ key: at, versionId }) => ({ key: at, versionId })) })
      expect(machine.run({ _tag: "DeleteBucket", bucket })).toEqual({ _tag: "Done" })
    }
    machine.run({ _tag: "RaiseHorizon", oldestReadable: machine.sequence })
    for (let turn = 0; turn < 3; turn += 1) collect(machine)
    const left = [...machine.rows.rows.keys()].map((rowKey) => rowKey[0])
    for (const gone of [table.version, table.hidden, table.child, table.bucketConfig, table.bucketName, table.lineageUser, table.lastChange]) expect(left, `table ${gone.charCodeAt(0)}`).not.toContain(gone)
    expect(commitsBefore(machine.rows, oldestReadable(machine.rows), 10)).toBe(0)
  })

  it("namespace: a store of format 1 frees nothing before all its chunks are recorded, a few a commit", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    for (let number = 0; number < 5; number += 1) {
      machine.run({ _tag: "PutObject", bucket: "b", key: `k${number}`, attributes, content: chunked([number], [arrival(number)]) })
    }
    // As format 1 left it: no condemnation, though nothing names the last two.
    const forget = (number: number): void => {
      const rowKey = chunkKey(vault, chunkIdOf(number))
      const { condemnedAt: _, ...row } = chunkRow.decode(machine.rows.get(rowKey)!)
      machine.rows.write([[rowKey, chunkRow.encode({ ...row, references: 0 })]])
    }
    for (const number of [3, 4]) forget(number)
    const free = () => machine.run({ _tag: "FreeChunks", chunks: condemnedUntil(machine.rows, vault, machine.sequence, 10) })
    expect(free()).toMatchObject({ items: 0 })
    machine.run({ _tag: "ReindexChunks", chunks: chunksAfter(machine.rows, vault, undefined, 4), done: false })
    expect(condemnedUntil(machine.rows, vault, machine.sequence, 10)).toHaveLength(1)
    expect(free()).toMatchObject({ items: 0 })
    expect(isIndexed(machine.rows)).toBe(false)
    machine.run({ _tag: "ReindexChunks", chunks: chunksAfter(machine.rows, vault, chunkIdOf(3), 4), done: true })
    expect(machine.rows.get(gcKey)).toBeDefined()
    expect(free()).toMatchObject({ items: 2, bytes: 80 })
    expect([...machine.rows.scan(table.chunk, afterPrefix(table.chunk))]).toHaveLength(3)
  })

  it("namespace: a page of 1,024 chunks and what it alone named go within the bounds of a commit, and all goes in the end", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
    const numbers = Array.from({ length: 1024 }, (_, index) => index)
    const entries = numbers.map((number) => ({ chunk: chunkIdOf(number), sizeBytes: 10 }))
    machine.run({ _tag: "StagePage", page: chunkIdOf(5000), level: 1, entries, arrivals: [...numbers, 5000].map((number) => arrival(number)), blocks: [] })
    let commits = 0
    for (let chunks = condemnedUntil(machine.rows, vault, machine.sequence, 1024); chunks.length > 0; chunks = condemnedUntil(machine.rows, vault, machine.sequence, 1024)) {
      expect(machine.run({ _tag: "FreeChunks", chunks })).toMatchObject({ _tag: "Collected" })
      commits += 1
    }
    expect(commits).toBeLessThan(5)
    expect([...machine.rows.scan(table.chunk, afterPrefix(table.chunk))]).toEqual([])
    expect([...machine.rows.scan(table.stagedPage, afterPrefix(table.stagedPage))]).toEqual([])
  })
})
