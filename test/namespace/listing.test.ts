/** What a listing reads: no more than it shows, wherever in the bucket, and however much lies between. */
import { describe, expect, it } from "vitest"
import { oldestReadable } from "../../src/namespace/Query.ts"
import { listObjects, listVersions } from "../../src/namespace/QueryList.ts"
import { viewAt } from "../../src/namespace/QueryView.ts"
import { all, create, Machine, put, tenant } from "./store.ts"

const padded = (index: number): string => `dir${Math.floor(index / 1000)}/${String(index).padStart(6, "0")}`

const costOf = (machine: Machine, at: number, use: (view: NonNullable<ReturnType<typeof viewAt>>) => void): number => {
  const view = viewAt(machine.rows, tenant, "b", at, machine.sequence, machine.nowMs)
  if (view === undefined) throw new Error("no bucket")
  const before = machine.rows.scanned
  use(view)
  return machine.rows.scanned - before
}

describe("namespace listings", () => {
  it("namespace: a page costs its own names, at the end of a bucket as at its start", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    for (let index = 0; index < 3000; index += 1) machine.run(put("b", padded(index), "x"))
    const { rows, sequence } = machine
    for (const after of ["", padded(1500), padded(2899)]) {
      expect(costOf(machine, sequence, (view) => {
        expect(listObjects(rows, view, { ...all, after, limit: 100 }).versions).toHaveLength(100)
      })).toBeLessThan(110)
    }
    // Three common prefixes of a thousand names each: a seek apiece.
    expect(costOf(machine, sequence, (view) => {
      expect(listObjects(rows, view, { ...all, delimiter: "/" }).commonPrefixes).toHaveLength(3)
    })).toBeLessThan(60)
  })

  it("namespace: older versions and what S3 no longer lists are not read", () => {
    const machine = new Machine()
    machine.run(create("b", 1))
    // Overwritten without versioning: 500 hidden rows of one key; then 500 listed versions of another.
    for (let index = 0; index < 500; index += 1) machine.run(put("b", "hidden", `x${index}`))
    machine.run({ _tag: "SetVersioning", bucket: "b", status: "Enabled" })
    for (let index = 0; index < 500; index += 1) machine.run(put("b", "versions", `x${index}`))
    machine.run(put("b", "z", "z"))
    const { rows, sequence } = machine
    expect(costOf(machine, sequence, (view) => {
      expect(listObjects(rows, view, all).versions).toHaveLength(3)
    })).toBeLessThan(30)
    // Of the past too: each key's rows are sought from the commit down.
    expect(costOf(machine, 300, (view) => {
      expect(listObjects(rows, view, all).versions).toMatchObject([{ etag: "etag-x298" }])
    })).toBeLessThan(40)
    expect(costOf(machine, sequence, (view) => {
      expect(listVersions(rows, view, { ...all, after: "versions", afterVersionId: "00000000000003840000", limit: 3 }, false).versions).toHaveLength(3)
    })).toBeGreaterThan(0)
    expect(oldestReadable(rows)).toBe(0)
  })
})
