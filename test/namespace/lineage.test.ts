/** Reads go through the lineage: a rolled back and a branched bucket, their rows written by hand, read as they should. */
import { describe, expect, it } from "vitest"
import type { Sequence, VertexHash } from "../../src/base/ids.ts"
import type { Change } from "../../src/namespace/Model.ts"
import { childrenOf } from "../../src/namespace/Query.ts"
import { listObjects, listVersions } from "../../src/namespace/QueryList.ts"
import { bucketConfigAt, bucketIdAt, currentOf, viewAt } from "../../src/namespace/QueryView.ts"
import { bucketConfigKey, bucketNameKey } from "../../src/namespace/Rows.ts"
import { bucketConfigRow, bucketNameRow, type LineageInterval } from "../../src/namespace/RowsValue.ts"
import { all, bucketIdOf, create, Machine, put, tenant, vault } from "./store.ts"

const listed = (machine: Machine, bucket: string, at: Sequence = machine.sequence): ReadonlyArray<string> => {
  const view = viewAt(machine.rows, tenant, bucket, at, machine.sequence, machine.nowMs)
  if (view === undefined) throw new Error(`no bucket ${bucket}`)
  const versions = listVersions(machine.rows, view, all, false).versions.map(({ key, etag, isLatest }) => `${key}:${etag}${isLatest ? "" : " old"}`)
  const objects = listObjects(machine.rows, view, all).versions.map(({ key, etag }) => `${key}:${etag}`)
  expect(versions.filter((it) => !it.endsWith(" old"))).toEqual(objects)
  return versions
}

const remove = (bucket: string, key: string): Change => ({ _tag: "DeleteObjects", bucket, targets: [{ key }] })

/** A commit that gives a bucket a lineage, as rollback and branch will: it touches no version row. */
const relate = (machine: Machine, name: string, number: number, lineage: ReadonlyArray<LineageInterval>): void => {
  machine.run({ _tag: "RaiseHorizon", oldestReadable: 0 })
  const { rows, sequence } = machine
  const source = bucketIdAt(rows, tenant, "b", sequence)
  if (source === undefined) throw new Error("no bucket b")
  const config = { ...bucketConfigAt(rows, source, sequence), name, lineage }
  rows.write([
    [bucketNameKey(tenant, name, sequence), bucketNameRow.encode({ tenant, vault, bucket: bucketIdOf(number) })],
    [bucketConfigKey(bucketIdOf(number), sequence), bucketConfigRow.encode(config)]
  ])
}

const viewOf = (machine: Machine, bucket: string, at: Sequence) => {
  const view = viewAt(machine.rows, tenant, bucket, at, machine.sequence, machine.nowMs)
  if (view === undefined) throw new Error(`no bucket ${bucket}`)
  return view
}

const vertexOf = (machine: Machine, bucket: string, key: string): VertexHash => {
  const found = currentOf(machine.rows, viewOf(machine, bucket, machine.sequence), key)
  if (found === undefined) throw new Error(`no ${key}`)
  return found.row.hash
}

const childrenSeen = (machine: Machine, bucket: string, parent: VertexHash, at: Sequence = machine.sequence) =>
  childrenOf(machine.rows, viewOf(machine, bucket, at), parent)

describe("namespace lineage", () => {
  it("namespace: a rolled back bucket shows what it showed then, takes writes, and undoes neither", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    for (const [key, text] of [["kept", "1"], ["changed", "1"], ["gone", "1"]] as const) machine.run(put("b", key, text))
    const then = machine.sequence
    machine.run(put("b", "changed", "2"))
    machine.run(remove("b", "gone"))
    machine.run(put("b", "new", "2"))
    const before = machine.sequence
    const rowsBefore = machine.rows.rows.size
    relate(machine, "b", 1, [{ source: bucketIdOf(1), from: 1, to: then }, { source: bucketIdOf(1), from: before + 1 }])
    expect(machine.rows.rows.size - rowsBefore).toBe(3)
    expect(listed(machine, "b")).toEqual(["changed:etag-1", "gone:etag-1", "kept:etag-1"])
    expect(listed(machine, "b", before)).toEqual(["changed:etag-2", "kept:etag-1", "new:etag-2"])
    expect(listed(machine, "b", then)).toEqual(listed(machine, "b"))
    machine.run(put("b", "changed", "3"))
    machine.run(remove("b", "kept"))
    expect(listed(machine, "b")).toEqual(["changed:etag-3", "gone:etag-1"])
    expect(listed(machine, "b", machine.sequence - 2)).toEqual(["changed:etag-1", "gone:etag-1", "kept:etag-1"])
  })

  it("namespace: a branch and its source go their own ways from the commit they share", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    for (const key of ["kept", "mine", "yours"]) machine.run(put("b", key, "1"))
    const shared = machine.sequence
    machine.run(put("b", "later", "1"))
    relate(machine, "branch", 2, [{ source: bucketIdOf(1), from: 1, to: shared }, { source: bucketIdOf(2), from: machine.sequence + 1 }])
    expect(listed(machine, "branch")).toEqual(["kept:etag-1", "mine:etag-1", "yours:etag-1"])
    machine.run(put("branch", "mine", "2"))
    machine.run(put("b", "yours", "3"))
    machine.run(remove("branch", "kept"))
    machine.run(put("branch", "only", "2"))
    expect(listed(machine, "branch")).toEqual(["mine:etag-2", "only:etag-2", "yours:etag-1"])
    expect(listed(machine, "b")).toEqual(["kept:etag-1", "later:etag-1", "mine:etag-1", "yours:etag-3"])
    machine.run({ _tag: "SetVersioning", bucket: "branch", status: "Enabled" })
    machine.run(put("branch", "yours", "4"))
    machine.run({ _tag: "SetVersioning", bucket: "branch", status: "Suspended" })
    machine.run(put("branch", "yours", "5"))
    expect(listed(machine, "branch")).toEqual(["mine:etag-2", "only:etag-2", "yours:etag-5", "yours:etag-4 old"])
    expect(listed(machine, "b")).toEqual(["kept:etag-1", "later:etag-1", "mine:etag-1", "yours:etag-3"])
  })

  it("namespace: the graph of versions is followed forward, AS OF a commit, and into both ways of a branch", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    machine.run(put("b", "k", "1"))
    const first = vertexOf(machine, "b", "k")
    machine.run(put("b", "other", "1"))
    const shared = machine.sequence
    relate(machine, "branch", 2, [{ source: bucketIdOf(1), from: 1, to: shared }, { source: bucketIdOf(2), from: machine.sequence + 1 }])
    machine.run(put("b", "k", "2"))
    const second = machine.sequence
    machine.run(put("branch", "k", "3"))
    expect(childrenSeen(machine, "b", first)).toEqual([{ key: "k", sequence: second, ordinal: 0 }])
    expect(childrenSeen(machine, "branch", first)).toEqual([{ key: "k", sequence: second + 1, ordinal: 0 }])
    expect(childrenSeen(machine, "b", first, second - 1)).toEqual([])
    expect(childrenSeen(machine, "b", vertexOf(machine, "b", "other"))).toEqual([])
  })
})
