/** Rollback and branch, one story each: what they show, what they cost, what they refuse. The model test has the rest. */
import { describe, expect, it } from "vitest"
import type { Sequence } from "../../src/base/ids.ts"
import { lineageIntervalsMax, versionHidesMax } from "../../src/base/limits.ts"
import type { Answer, Change } from "../../src/namespace/Model.ts"
import { lineageEvents } from "../../src/namespace/QueryLineage.ts"
import { listVersions } from "../../src/namespace/QueryList.ts"
import { uploadOf } from "../../src/namespace/QueryUploads.ts"
import { bucketConfigAt, bucketIdAt, viewAt } from "../../src/namespace/QueryView.ts"
import { afterPrefix, lastChangeKey, lineageUsersPrefix } from "../../src/namespace/Rows.ts"
import type { LineageInterval } from "../../src/namespace/RowsValue.ts"
import { all, attributes, bucketIdOf, create, Machine, put, tenant, uploadIdOf } from "./store.ts"

const rollback = (bucket: string, to: Sequence): Change => ({ _tag: "Rollback", bucket, to })
const branch = (bucket: string, source: string, number: number, from: Sequence): Change =>
  ({ _tag: "Branch", bucket, source, id: bucketIdOf(number), owner: "root", from })
const remove = (bucket: string, key: string, versionId?: string): Change =>
  ({ _tag: "DeleteObjects", bucket, targets: [{ key, ...(versionId === undefined ? {} : { versionId }) }] })
const versioning = (bucket: string, status: "Enabled" | "Suspended"): Change => ({ _tag: "SetVersioning", bucket, status })
const refusal = (word: string): Answer => ({ _tag: "Refused", refusal: word } as Answer)
const done: Answer = { _tag: "Done" }

/** Keys and ETags that S3 lists, newest version first. */
const listed = (machine: Machine, bucket: string, at: Sequence = machine.sequence): ReadonlyArray<string> => {
  const view = viewAt(machine.rows, tenant, bucket, at, machine.sequence, machine.nowMs)
  return view === undefined ? ["no bucket"] : listVersions(machine.rows, view, all, false).versions.map(({ key, etag }) => `${key}:${etag}`)
}

const lineageOf = (machine: Machine, bucket: string): ReadonlyArray<LineageInterval> => {
  const id = bucketIdAt(machine.rows, tenant, bucket, machine.sequence)
  return id === undefined ? [] : bucketConfigAt(machine.rows, id, machine.sequence).lineage
}

const started = (...changes: ReadonlyArray<Change>): Machine => {
  const machine = new Machine()
  machine.run(create("b", 1))
  for (const change of changes) machine.run(change)
  return machine
}

describe("namespace history", () => {
  it("namespace: a rollback is undone by one to the commit before it, and that one by another", () => {
    const machine = started(put("b", "changed", "1"), put("b", "gone", "1"))
    const then = machine.sequence
    for (const change of [put("b", "changed", "2"), remove("b", "gone"), put("b", "new", "1")]) machine.run(change)
    const late = listed(machine, "b")
    expect(machine.run(rollback("b", then))).toEqual(done)
    const early = ["changed:etag-1", "gone:etag-1"]
    expect(listed(machine, "b")).toEqual(early)
    machine.run(rollback("b", machine.sequence - 1))
    expect(listed(machine, "b")).toEqual(late)
    machine.run(rollback("b", machine.sequence - 1))
    expect(listed(machine, "b")).toEqual(early)
    expect(listed(machine, "b", then + 3)).toEqual(late)
  })

  it("namespace: what was deleted and written after a rollback is rolled back like anything else", () => {
    const machine = started(put("b", "k", "1"), put("b", "k", "2"), put("b", "other", "1"))
    machine.run(rollback("b", 2))
    const back = machine.sequence
    machine.run(remove("b", "k"))
    expect(listed(machine, "b")).toEqual([])
    machine.run(rollback("b", back))
    expect(listed(machine, "b")).toEqual(["k:etag-1"])
    machine.run(put("b", "k", "3"))
    machine.run(rollback("b", back))
    expect(listed(machine, "b")).toEqual(["k:etag-1"])
    machine.run(rollback("b", back + 3))
    expect(listed(machine, "b")).toEqual(["k:etag-3"])
  })

  it("namespace: a bucket rolled back to its birth has one null version a key, whatever lies in its past", () => {
    const machine = started(put("b", "k", "1"), put("b", "k", "2"))
    machine.run(rollback("b", 1))
    expect(listed(machine, "b")).toEqual([])
    machine.run(put("b", "k", "3"))
    machine.run(versioning("b", "Enabled"))
    machine.run(put("b", "k", "4"))
    machine.run(versioning("b", "Suspended"))
    machine.run(put("b", "k", "5"))
    expect(listed(machine, "b")).toEqual(["k:etag-5", "k:etag-4"])
  })

  it("namespace: an undone rollback leaves the lineage as it was, though other buckets were written meanwhile", () => {
    const machine = started(put("b", "k", "1"), put("b", "k", "2"), create("other", 2))
    const whole = lineageOf(machine, "b")
    machine.run(rollback("b", 2))
    const rolledBackAt = machine.sequence
    expect(lineageOf(machine, "b")).toHaveLength(2)
    for (const text of ["1", "2", "3"]) machine.run(put("other", "k", text))
    machine.run(rollback("b", rolledBackAt - 1))
    expect(lineageOf(machine, "b")).toEqual(whole)
    expect(machine.rows.get(lastChangeKey(bucketIdOf(1)))).toBeUndefined()
    expect(listed(machine, "b")).toEqual(["k:etag-2"])
  })

  it("namespace: a bucket's lineage tells its branch and its rollbacks, undone ones too", () => {
    const machine = started(put("b", "k", "1"), put("b", "k", "2"))
    machine.run(branch("c", "b", 2, 2))
    const told = (bucket: string) => {
      const view = viewAt(machine.rows, tenant, bucket, machine.sequence, machine.sequence, 0)
      return view === undefined ? [] : lineageEvents(machine.rows, view).map((event) => (event._tag === "Branch"
        ? [event.sequence, `branch of ${event.source} at ${event.at}`] : [event.sequence, `rollback to ${event.to}`]))
    }
    machine.run(put("c", "k", "3"))
    machine.run(rollback("c", 4))
    machine.run(versioning("c", "Enabled"))
    machine.run(rollback("c", 5))
    expect(told("c")).toEqual([[4, "branch of b at 2"], [6, "rollback to 4"], [8, "rollback to 5"]])
    machine.run(rollback("b", 2))
    machine.run(rollback("b", 8))
    expect(told("b")).toEqual([[9, "rollback to 2"], [10, "rollback to 8"]])
  })

  it("namespace: rollback and branch write a handful of rows and touch no version, whatever the bucket holds", () => {
    const machine = started(...Array.from({ length: 300 }, (_, index) => put("b", `k${index}`, "1")))
    const versions = () => Array.from(machine.rows.scan("\x12", "\x14"), ([key, value]) => [key, Buffer.from(value).toString("hex")])
    const before = versions()
    const size = machine.rows.rows.size
    machine.rows.scanned = 0
    expect(machine.run(rollback("b", 50))).toEqual(done)
    expect(machine.run(branch("copy", "b", 2, 200))).toEqual(done)
    expect(machine.rows.rows.size - size).toBeLessThanOrEqual(8)
    expect(machine.rows.scanned).toBeLessThan(20)
    expect(versions()).toEqual(before)
    expect([listed(machine, "b").length, listed(machine, "copy").length]).toEqual([49, 199])
  })

  it("namespace: a rollback to before the bucket, its name's earlier bucket, the future or the horizon is refused by name", () => {
    const machine = started(put("b", "k", "1"), remove("b", "k"), { _tag: "DeleteBucket", bucket: "b" }, create("b", 2), put("b", "k", "2"))
    expect(machine.run(rollback("b", 2))).toEqual(refusal("BucketBornLater"))
    expect(machine.run(rollback("b", 4))).toEqual(refusal("BucketBornLater"))
    expect(machine.run(rollback("b", 0))).toEqual(refusal("BucketBornLater"))
    expect(machine.run(rollback("b", machine.sequence + 1))).toEqual(refusal("CommitInFuture"))
    expect(machine.run(rollback("none", 5))).toEqual(refusal("NoSuchBucket"))
    machine.run({ _tag: "RaiseHorizon", oldestReadable: 6 })
    expect(machine.run(rollback("b", 5))).toEqual(refusal("CommitBeforeHorizon"))
    expect(machine.run(branch("c", "b", 3, 5))).toEqual(refusal("CommitBeforeHorizon"))
    expect(machine.run(branch("b", "b", 3, 6))).toEqual(refusal("BucketAlreadyOwnedByYou"))
    expect(machine.run(branch("c", "none", 3, 6))).toEqual(refusal("NoSuchBucket"))
    expect(machine.run(branch("c", "b", 3, 6))).toEqual(done)
    expect(machine.run(rollback("c", machine.sequence - 1))).toEqual(refusal("BucketBornLater"))
    expect(listed(machine, "b")).toEqual(["k:etag-2"])
  })

  it("namespace: a bucket that was deleted is brought back by a branch, and keeps its rows' users named", () => {
    const machine = started(put("b", "k", "1"), remove("b", "k"), { _tag: "DeleteBucket", bucket: "b" })
    expect(machine.run(branch("b", "b", 2, 2))).toEqual(done)
    expect(listed(machine, "b")).toEqual(["k:etag-1"])
    machine.run(put("b", "new", "2"))
    machine.run(branch("c", "b", 3, machine.sequence))
    for (const source of [1, 2]) {
      const users = lineageUsersPrefix(bucketIdOf(source))
      const found = Array.from(machine.rows.scan(users, afterPrefix(users)), ([key]) => key.slice(users.length))
      expect(found, `users of ${source}`).toHaveLength(source === 1 ? 2 : 1)
    }
    for (const key of ["k", "new"]) machine.run(remove("b", key))
    expect(machine.run({ _tag: "DeleteBucket", bucket: "b" })).toEqual(done)
    expect(listed(machine, "c")).toEqual(["k:etag-1", "new:etag-2"])
  })

  it("namespace: of a branch that is gone behind the horizon nothing is left, and its source's rows can go", () => {
    const machine = started(put("b", "k", "1"), put("b", "other", "1"))
    machine.run(branch("c", "b", 2, 2))
    for (const [bucket, key] of [["b", "k"], ["c", "k"], ["b", "other"]] as const) machine.run(remove(bucket, key))
    for (const bucket of ["b", "c"]) machine.run({ _tag: "DeleteBucket", bucket })
    const rows = (["k", "other"] as const).map((key, index) => ({ source: bucketIdOf(1), rows: "hidden" as const, key, sequence: index + 2, ordinal: 0 }))
    machine.run({ _tag: "ReindexChunks", chunks: [], done: true })
    expect(machine.run({ _tag: "PurgeVersions", rows })).toMatchObject({ items: 0 })
    machine.run({ _tag: "RaiseHorizon", oldestReadable: machine.sequence })
    expect(machine.run({ _tag: "PurgeVersions", rows })).toMatchObject({ items: 2 })
    for (const bucket of [2, 1]) machine.run({ _tag: "DropHistory", before: machine.sequence, limit: 1000, buckets: [bucketIdOf(bucket)] })
    expect(Array.from(machine.rows.scan("\x10", "\x20"), ([key]) => Buffer.from(key, "latin1").toString("hex"))).toEqual([])
  })

  it("namespace: uploads under way stay in a bucket that is rolled back, and do not come with a branch", () => {
    const upload = uploadIdOf(1)
    const machine = started(put("b", "k", "1"), { _tag: "CreateUpload", bucket: "b", key: "k", upload, attributes })
    machine.run(rollback("b", 2))
    machine.run(branch("c", "b", 2, machine.sequence))
    const seen = (bucket: string) => {
      const view = viewAt(machine.rows, tenant, bucket, machine.sequence, machine.sequence, machine.nowMs)
      return view === undefined ? undefined : uploadOf(machine.rows, view, "k", upload)?.key
    }
    expect([seen("b"), seen("c")]).toEqual(["k", undefined])
  })

  it("namespace: a lineage as long as it may be refuses one more rollback or branch, and still goes back within it", () => {
    const machine = started(put("b", "k", "0"))
    // Each goes back into the last interval, and so adds one.
    for (let round = 1; round < lineageIntervalsMax; round += 1) {
      machine.run(put("b", "k", `kept-${round}`))
      machine.run(put("b", "k", `lost-${round}`))
      expect(machine.run(rollback("b", machine.sequence - 1))).toEqual(done)
    }
    expect(lineageOf(machine, "b")).toHaveLength(lineageIntervalsMax)
    machine.run(put("b", "k", "kept"))
    machine.run(put("b", "k", "lost"))
    expect(machine.run(rollback("b", machine.sequence - 1))).toEqual(refusal("LineageTooLong"))
    expect(machine.run(branch("c", "b", 2, machine.sequence))).toEqual(refusal("LineageTooLong"))
    expect(listed(machine, "b")).toEqual(["k:etag-lost"])
    expect(machine.run(rollback("b", 3))).toEqual(done)
    expect(listed(machine, "b")).toEqual(["k:etag-kept-1"])
  })

  it("namespace: a version hidden in as many branches as a row can say is hidden in no other, until some branch is gone for good", () => {
    const machine = started(put("b", "k", "1"))
    for (let number = 1; number <= versionHidesMax; number += 1) {
      machine.run(branch(`c${number}`, "b", number + 1, 2))
      machine.run(remove(`c${number}`, "k"))
    }
    expect(machine.run(put("b", "k", "2"))).toEqual(refusal("TooManyHides"))
    expect(machine.run(remove("b", "k"))).toMatchObject({ outcomes: [{ key: "k", refusal: "TooManyHides" }] })
    expect(machine.run(remove("b", "k", "null"))).toMatchObject({ outcomes: [{ refusal: "TooManyHides" }] })
    expect(listed(machine, "b")).toEqual(["k:etag-1"])
    machine.run({ _tag: "DeleteBucket", bucket: "c7" })
    // The branch can still be read, AS OF its last commit.
    expect(machine.run(put("b", "k", "2"))).toEqual(refusal("TooManyHides"))
    machine.run({ _tag: "RaiseHorizon", oldestReadable: machine.sequence })
    expect(machine.run(put("b", "k", "2"))).toMatchObject({ _tag: "Stored" })
    expect([listed(machine, "b"), listed(machine, "c8")]).toEqual([["k:etag-2"], []])
  })
})
