/** The machine against the reference model: any commands, then any reads of any commit, answer alike. */
import fc from "fast-check"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { describe, it } from "vitest"
import { lineageIntervalsMax, partBytesMin } from "../../src/base/limits.ts"
import { fromByteString, toHex } from "../../src/base/bytes.ts"
import type { BucketId, UploadId } from "../../src/base/ids.ts"
import { hybridTime, millisOf } from "../../src/base/time.ts"
import type { Answer, Attributes, BucketAt, DiffEntry, DiffPage, ObjectVersion, VersionPlace, VersionQuery } from "../../src/namespace/Model.ts"
import { bucketsAt } from "../../src/namespace/Query.ts"
import { diffOf, nothingOf } from "../../src/namespace/QueryDiff.ts"
import { listObjects, listVersions, objectVersion } from "../../src/namespace/QueryList.ts"
import { listUploads } from "../../src/namespace/QueryUploads.ts"
import { currentOf, type Found, foundOf, versionOf, type View, viewAt } from "../../src/namespace/QueryView.ts"
import { afterPrefix, table } from "../../src/namespace/Rows.ts"
import { decodeVertex } from "../../src/namespace/Vertex.ts"
import { plain } from "../../sim/checker/Oracle.ts"
import { byBytes, type Condition, ObjectStore, type Outcome, type Target, type Version } from "../../spec/ObjectStore.ts"
import { attributes, bucketIdOf, contentOf, Machine, tenant, uploadIdOf } from "./store.ts"

const keys = [
  "a", "a/", "a/b", "a/b/c", "a//", "a0", "../x", "/lead", "b", "\0", "a\0", "a\0b", "a\u0001", "é", "😀", "😀/x", "\u{10000}", "\ue000", "\uffff",
  "\ufeffbom", "x".repeat(1024)
] as const
const buckets = ["one", "two", "three"] as const

const key = fc.oneof({ weight: 3, arbitrary: fc.constantFrom("a", "a/b", "b") }, { weight: 2, arbitrary: fc.constantFrom(...keys) })
const bucket = fc.oneof({ weight: 5, arbitrary: fc.constant(buckets[0]) }, { weight: 2, arbitrary: fc.constantFrom(buckets[1], buckets[2]) })
const etag = fc.constantFrom("*", "etag-v1", "etag-v2")
const condition: fc.Arbitrary<Condition> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 1, arbitrary: fc.record({ ifMatch: etag, ifNoneMatch: etag }, { requiredKeys: [] }) }
)
/** A version id is drawn as the place of a version among all ever made. */
const pick = fc.option(fc.nat(30), { nil: undefined, freq: 2 })
const target = fc.record({ key, pick, condition })
const upload = fc.nat(2)
const partList = fc.array(fc.record({ number: fc.integer({ min: 1, max: 4 }), text: fc.constantFrom("p", "q") }), { maxLength: 4 })

type Op =
  | { readonly _tag: "rollback"; readonly bucket: string; readonly back: number }
  | { readonly _tag: "branch"; readonly bucket: string; readonly source: string; readonly back: number }
  | { readonly _tag: "horizon"; readonly back: number }
  | { readonly _tag: "index" | "purge" | "forget" }
  | { readonly _tag: "create" | "drop"; readonly bucket: string }
  | { readonly _tag: "versioning"; readonly bucket: string; readonly status: "Enabled" | "Suspended" }
  | { readonly _tag: "put"; readonly bucket: string; readonly key: string; readonly text: string; readonly condition: Condition; readonly ttl?: number | undefined }
  | { readonly _tag: "wait"; readonly ms: number }
  | { readonly _tag: "expire"; readonly limit: number }
  | { readonly _tag: "delete"; readonly bucket: string; readonly targets: ReadonlyArray<{ readonly key: string; readonly pick: number | undefined; readonly condition: Condition }> }
  | { readonly _tag: "stale"; readonly pick: number; readonly idleMs: number }
  | { readonly _tag: "start" | "abort"; readonly bucket: string; readonly key: string; readonly upload: number; readonly ttl?: number | undefined }
  | { readonly _tag: "part"; readonly bucket: string; readonly key: string; readonly upload: number; readonly number: number; readonly text: string; readonly big: boolean }
  | { readonly _tag: "complete"; readonly bucket: string; readonly key: string; readonly upload: number
      readonly parts: ReadonlyArray<{ readonly number: number; readonly text: string }>; readonly condition: Condition; readonly sorted: boolean }

/** Rollback and branch: `back` commits from the newest, below 0 into the future. */
const historical: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("rollback" as const), bucket, back: fc.integer({ min: -1, max: 12 }) }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("branch" as const), bucket, source: bucket, back: fc.integer({ min: -1, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("horizon" as const), back: fc.integer({ min: 0, max: 20 }) }) }
)

const ttl = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined, freq: 2 })
const time: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("wait" as const), ms: fc.constantFrom(1, 500, 998, 999, 1000, 1001, 3000) }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("expire" as const), limit: fc.constantFrom(1, 2, 250) }) }
)

/** One key, its versions and markers: what the general commands reach too seldom. */
const versioned: fc.Arbitrary<Op> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("versioning" as const), bucket: fc.constant("one"), status: fc.constantFrom("Enabled" as const, "Suspended" as const) }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("put" as const), bucket: fc.constant("one"), key: fc.constant("a"), text: fc.constantFrom("v1", "v2", "v3"), condition: fc.constant({}), ttl }) },
  { weight: 4, arbitrary: time },
  { weight: 4, arbitrary: fc.record({
    _tag: fc.constant("delete" as const), bucket: fc.constant("one"),
    targets: fc.array(fc.record({ key: fc.constant("a"), pick, condition: fc.constant({}) }), { minLength: 1, maxLength: 4 })
  }) }
)

const uploadKeyed = fc.constantFrom("a", "a/b", "😀")
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("create" as const, "drop" as const), bucket }) },
  { weight: 2, arbitrary: historical },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("versioning" as const), bucket, status: fc.constantFrom("Enabled" as const, "Suspended" as const) }) },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("put" as const), bucket, key, text: fc.constantFrom("v1", "v2", "v3"), condition, ttl }) },
  { weight: 5, arbitrary: time },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("delete" as const), bucket, targets: fc.array(target, { minLength: 1, maxLength: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constantFrom("start" as const, "start" as const, "abort" as const), bucket, key: uploadKeyed, upload, ttl }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("stale" as const), pick: fc.nat(3), idleMs: fc.constantFrom(0, 1, 2, 500, 1000) }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("part" as const), bucket, key: uploadKeyed, upload, number: fc.integer({ min: 1, max: 4 }), text: fc.constantFrom("p", "q"), big: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("complete" as const), bucket, key: uploadKeyed, upload, parts: partList, condition, sorted: fc.boolean() }) }
)

const query = fc.record({
  prefix: fc.constantFrom("", "", "a", "a/", "a\0", "😀", "\ue000", "x", "zz"),
  delimiter: fc.constantFrom("", "/", "/", "b", "\0", "//"),
  after: fc.oneof(fc.constant(""), fc.constantFrom(...keys)),
  limit: fc.integer({ min: 0, max: 5 })
})
const laterMs = fc.constantFrom(0, 0, 500, 999, 1000, 2500, 10_000)
const read = fc.record({ bucket, key, query, at: fc.nat(1000), pick, from: pick, laterMs })

/** Machine and model side by side. */
class Pair {
  readonly machine = new Machine()
  readonly model = new ObjectStore()
  readonly versionIds: Array<string> = ["null", "0000000000000001ffff", "nonsense"]
  created = 0

  step(op: Op): void {
    const [answer, outcome] = this.#run(op)
    deepStrictEqual(plain(answer), outcome)
    deepStrictEqual(this.machine.sequence, this.model.head)
    for (const name of buckets) deepStrictEqual(this.#intervals(name), this.model.intervals(name), `the lineage of ${name}`)
    const ids = "deleted" in outcome ? outcome.deleted.map((it) => it.deleteMarkerVersionId) : "versionId" in outcome ? [outcome.versionId] : []
    // The place of a null version as if it were an id: it must not answer to it.
    if ("etag" in outcome && (outcome.versionId ?? "null") === "null") this.versionIds.push(`${this.model.head.toString(16).padStart(16, "0")}0000`)
    for (const id of ids) if (id !== undefined && id !== "null") this.versionIds.push(id)
  }

  /** How many the bucket's lineage has: what a store limits. */
  #intervals(name: string): number {
    const { nowMs, rows, sequence } = this.machine
    return viewAt(rows, tenant, name, sequence, sequence, nowMs)?.config.lineage.length ?? 0
  }

  versionId(pick: number | undefined): string | undefined {
    // From the newest down: those are the ones that still exist.
    return pick === undefined ? undefined : pick % 2 === 0 ? "null" : this.versionIds[Math.max(0, this.versionIds.length - 1 - (pick >> 1))]
  }

  #run(op: Op): readonly [Answer, Outcome] {
    const { machine, model } = this
    if (op._tag === "wait") {
      machine.nowMs += op.ms
      return this.#run({ _tag: "drop", bucket: "none" })
    }
    // The machine's next commit is a millisecond later.
    model.nowMs = machine.nowMs + 1
    switch (op._tag) {
      case "create":
        this.created += 1
        return [machine.run({ _tag: "CreateBucket", bucket: op.bucket, id: bucketIdOf(this.created), owner: "root" }), model.createBucket(op.bucket)]
      case "drop":
        return [machine.run({ _tag: "DeleteBucket", bucket: op.bucket }), model.deleteBucket(op.bucket)]
      case "versioning":
        return [machine.run({ _tag: "SetVersioning", bucket: op.bucket, status: op.status }), model.setVersioning(op.bucket, op.status)]
      case "rollback": {
        const to = Math.max(0, model.head - op.back)
        return [machine.run({ _tag: "Rollback", bucket: op.bucket, to }), model.rollback(op.bucket, to)]
      }
      case "branch": {
        this.created += 1
        const from = Math.max(0, model.head - op.back)
        const change = { _tag: "Branch", bucket: op.bucket, source: op.source, id: bucketIdOf(this.created), owner: "root", from } as const
        return [machine.run(change), model.branch(op.bucket, op.source, from)]
      }
      case "horizon": {
        const oldestReadable = Math.max(0, model.head - op.back)
        return [machine.run({ _tag: "RaiseHorizon", oldestReadable }), model.raiseHorizon(oldestReadable)]
      }
      case "index":
        return [machine.run({ _tag: "ReindexChunks", chunks: [], done: true }), this.#other()]
      case "purge":
        return [machine.run({ _tag: "PurgeVersions", rows: versionPlaces(machine) }), this.#other()]
      case "forget": {
        const buckets = Array.from({ length: this.created }, (_, index) => bucketIdOf(index + 1))
        return [machine.run({ _tag: "DropHistory", before: model.oldestReadable, limit: 1000, buckets }), this.#other()]
      }
      case "put": {
        const change = { _tag: "PutObject", bucket: op.bucket, key: op.key, attributes: living(op.ttl), content: contentOf(op.text), condition: op.condition } as const
        return [machine.run(change), model.put(op.bucket, op.key, `etag-${op.text}`, op.text, op.condition, op.ttl)]
      }
      case "delete": {
        const targets = op.targets.map(({ key, pick, condition }): Target => {
          const versionId = this.versionId(pick)
          return { key, condition, ...(versionId === undefined ? {} : { versionId }) }
        })
        return [machine.run({ _tag: "DeleteObjects", bucket: op.bucket, targets }), model.delete(op.bucket, targets)]
      }
      case "start":
        // An id is random and never drawn twice: the model's upload of that number must be over.
        if (model.uploads.has(uploadIdOf(op.upload)) || this.#used.has(op.upload)) return this.#run({ _tag: "drop", bucket: "none" })
        this.#used.add(op.upload)
        return [
          machine.run({ _tag: "CreateUpload", bucket: op.bucket, key: op.key, upload: uploadIdOf(op.upload), attributes: living(op.ttl) }),
          model.createUpload(op.bucket, op.key, uploadIdOf(op.upload), op.ttl)
        ]
      case "expire":
        return [machine.run({ _tag: "ExpireVersions", limit: op.limit }), model.expire(op.limit)]
      case "abort":
        return [
          machine.run({ _tag: "AbortUpload", bucket: op.bucket, key: op.key, upload: uploadIdOf(op.upload) }),
          model.abort(op.bucket, op.key, uploadIdOf(op.upload))
        ]
      case "stale": {
        // One that is under way, or none.
        const [upload, { bucket, key }] = [...model.uploads][op.pick] ?? [uploadIdOf(0), { bucket: "one", key: "a" }]
        const before = hybridTime(model.nowMs - op.idleMs, 0)
        return [machine.run({ _tag: "AbortStaleUpload", bucket, key, upload: upload as UploadId, before }), model.abortStale(bucket, key, upload, millisOf(before))]
      }
      case "part": {
        const content = { ...contentOf(op.text), sizeBytes: op.big ? partBytesMin : 1 }
        return [
          machine.run({ _tag: "PutPart", bucket: op.bucket, key: op.key, upload: uploadIdOf(op.upload), partNumber: op.number, content }),
          model.putPart(op.bucket, op.key, uploadIdOf(op.upload), op.number, { etag: `etag-${op.text}`, sizeBytes: content.sizeBytes, body: op.text })
        ]
      }
      case "complete":
        return this.#complete(op)
    }
  }

  #other(): Outcome {
    this.model.other()
    return { done: true }
  }

  readonly #used = new Set<number>()

  #complete(op: Extract<Op, { readonly _tag: "complete" }>): readonly [Answer, Outcome] {
    const parts = op.sorted ? [...new Map(op.parts.map((part) => [part.number, part])).values()].sort((a, b) => a.number - b.number) : op.parts
    const id = uploadIdOf(op.upload)
    const stored = this.model.uploads.get(id)
    const sizeBytes = parts.reduce((sum, { number }) => sum + (stored?.parts.get(number)?.sizeBytes ?? 0), 0)
    const text = parts.map((part) => part.text).join("")
    return [
      this.machine.run({
        _tag: "CompleteUpload", bucket: op.bucket, key: op.key, upload: id, content: { ...contentOf(text, "etag-whole"), sizeBytes },
        parts: parts.map(({ number, text }) => ({ partNumber: number, etag: `etag-${text}` })), objectParts: [], condition: op.condition
      }),
      this.model.complete(op.bucket, op.key, id, parts.map(({ number, text }) => [number, `etag-${text}`] as const), "etag-whole", op.condition)
    ]
  }

  view(bucket: string, at: number): View | undefined {
    return viewAt(this.machine.rows, tenant, bucket, at, this.machine.sequence, this.ms(at, 0))
  }

  /** A point of time at which that commit was the newest: its own, or later. */
  ms(at: number, laterMs: number): number {
    return Math.min((this.model.times[at] ?? 0) + laterMs, (this.model.times[at + 1] ?? Number.MAX_SAFE_INTEGER) - 1)
  }

  check({ bucket, key, query, at: drawn, pick, from, laterMs = 0 }: ReadOp & { readonly laterMs?: number }): void {
    const { rows } = this.machine
    const at = drawn % (this.model.head + 1)
    const ms = this.ms(at, laterMs)
    deepStrictEqual(bucketsAt(rows, tenant, at).map(({ name, versioning }) => ({ name, versioning })), this.model.buckets(at))
    const view = viewAt(rows, tenant, bucket, at, this.machine.sequence, ms)
    deepStrictEqual(view !== undefined, this.model.buckets(at).some(({ name }) => name === bucket))
    if (view === undefined) return
    const versionId = this.versionId(pick)
    const found = versionId === undefined ? currentOf(rows, view, key) : versionOf(rows, view, key, versionId)
    deepStrictEqual(found === undefined ? undefined : shown(objectVersion(key, found, true, undefined)), shownModel(this.model.object(bucket, key, versionId, at, ms)))
    const listed = listObjects(rows, view, query)
    const model = this.model.listObjects(bucket, query, at, ms)
    deepStrictEqual({ items: listed.versions.map(shown), prefixes: listed.commonPrefixes, more: listed.next !== undefined }, { ...model, items: model.items.map(shownModel) })
    this.#checkVersions(bucket, view, { ...query, ...(query.after === "" ? {} : this.#marker(bucket, query.after, from, at, ms)) }, at, ms)
  }

  /** A version of the key that was listed then: page tokens name no other. */
  #marker(bucket: string, key: string, from: number | undefined, at: number, ms: number): { readonly afterVersionId?: string } {
    const listed = this.model.listVersions(bucket, { prefix: key, delimiter: "", after: "", limit: 1000 }, undefined, at, ms).items.filter((it) => it.key === key)
    const marker = from === undefined ? undefined : listed[from % Math.max(1, listed.length)]
    return marker === undefined ? {} : { afterVersionId: marker.versionId }
  }

  #checkVersions(bucket: string, view: View, query: VersionQuery, at: number, ms: number): void {
    const page = listVersions(this.machine.rows, view, query, false)
    const model = this.model.listVersions(bucket, query, query.afterVersionId, at, ms)
    const items = model.items.map((version) => ({ ...shownModel(version), isLatest: version.isLatest }))
    deepStrictEqual({ items: page.versions.map((version) => ({ ...shown(version), isLatest: version.isLatest })), prefixes: page.commonPrefixes, more: page.next !== undefined }, { items, prefixes: model.prefixes, more: model.more })
  }

  /** Everything that a bucket shows at a commit: what S3 lists, and each version by its id. */
  checkWhole(bucket: string, at: number): void {
    const view = this.view(bucket, at)
    deepStrictEqual(view !== undefined, this.model.buckets(at).some(({ name }) => name === bucket))
    if (view === undefined) return
    this.#checkVersions(bucket, view, { prefix: "", delimiter: "", after: "", limit: 1000 }, at, this.ms(at, 0))
    for (const key of ["a", "a/b", "b"]) {
      const listed = this.model.listVersions(bucket, { prefix: key, delimiter: "", after: "", limit: 1000 }, undefined, at).items
      for (const versionId of ["null", undefined, ...listed.map((it) => it.versionId)]) {
        const found: Found | undefined = versionId === undefined ? currentOf(this.machine.rows, view, key) : versionOf(this.machine.rows, view, key, versionId)
        deepStrictEqual(found === undefined ? undefined : shown(objectVersion(key, found, true, undefined)), shownModel(this.model.object(bucket, key, versionId, at)))
      }
    }
  }

  /** A diff, page by page, is what is left of two listings when what both have is taken away. */
  checkDiff(from: BucketAt, to: BucketAt, prefix: string, limit: number): void {
    const some = this.view(to.bucket, to.at) ?? this.view(from.bucket, from.at)
    if (some === undefined) return
    const before = this.view(from.bucket, from.at) ?? nothingOf(some)
    const after = this.view(to.bucket, to.at) ?? nothingOf(some)
    const entries: Array<DiffEntry> = []
    for (let next: string | undefined = ""; next !== undefined;) {
      const page: DiffPage = diffOf(this.machine.rows, before, after, { prefix, after: next, limit })
      entries.push(...page.entries)
      ok(page.entries.length <= limit && page.next !== next, "a page is bounded, and goes on")
      next = page.next
    }
    const listed = ({ bucket, at }: BucketAt) =>
      new Map(this.model.listObjects(bucket, { prefix, delimiter: "", after: "", limit: 1000 }, at).items.map((it) => [it.key, it]))
    const [old, now] = [listed(from), listed(to)]
    const expected = [...new Set([...old.keys(), ...now.keys()])].sort(byBytes).flatMap((key) => {
      const pair = [old.get(key), now.get(key)] as const
      return pair[0]?.sequence === pair[1]?.sequence ? [] : [{ key, from: shownModel(pair[0]), to: shownModel(pair[1]), same: pair[0]?.body === pair[1]?.body }]
    })
    deepStrictEqual(entries.map((entry) => ({
      key: entry.key,
      from: entry._tag === "Added" ? undefined : shown(entry.from), to: entry._tag === "Removed" ? undefined : shown(entry.to),
      same: entry._tag === "Changed" && entry.sameBytes
    })), expected)
  }

  /** All pages of a listing, each of one or two names, are the listing. */
  checkPages(bucket: string, delimiter: string, limit: number): void {
    const view = this.view(bucket, this.model.head)
    if (view === undefined) return
    const { rows } = this.machine
    const whole = this.model.listObjects(bucket, { prefix: "", delimiter, after: "", limit: 1000 }, this.model.head)
    const names: Array<string> = []
    for (let after: string | undefined = ""; after !== undefined;) {
      ok(names.length <= whole.items.length + whole.prefixes.length, "a page that adds nothing")
      const page = listObjects(rows, view, { prefix: "", delimiter, after, limit })
      names.push(...[...page.versions.map((it) => it.key), ...page.commonPrefixes].sort(byBytes))
      after = page.next
    }
    deepStrictEqual(names, [...whole.items.map((it) => it.key), ...whole.prefixes].sort(byBytes))
    const versions = this.model.listVersions(bucket, { prefix: "", delimiter, after: "", limit: 1000 }, undefined, this.model.head)
    const ids: Array<string> = []
    for (let marker: Pick<VersionQuery, "after" | "afterVersionId"> | undefined = { after: "" }; marker !== undefined;) {
      ok(ids.length <= versions.items.length + versions.prefixes.length, "a page that adds nothing")
      const page = listVersions(rows, view, { prefix: "", delimiter, limit, ...marker }, false)
      ids.push(...page.versions.map((it) => `${it.key}?${it.versionId}`), ...page.commonPrefixes)
      const { next }: typeof page = page
      marker = next === undefined ? undefined : { after: next.key, ...(next.versionId === undefined ? {} : { afterVersionId: next.versionId }) }
    }
    deepStrictEqual(ids.sort(), [...versions.items.map((it) => `${it.key}?${it.versionId}`), ...versions.prefixes].sort())
    const uploads = listUploads(rows, view, { prefix: "", delimiter: "", after: "", limit: 1000 })
    const open = [...this.model.uploads].filter(([, it]) => it.bucket === bucket).map(([id]) => id)
    deepStrictEqual(uploads.uploads.map((it) => String(it.upload)).sort(), open.sort())
  }
}

/** Every version row that there is: what a collector could propose at most. */
const versionPlaces = (machine: Machine): ReadonlyArray<VersionPlace> =>
  (["version", "hidden"] as const).flatMap((rows) =>
    Array.from(machine.rows.scan(table[rows], afterPrefix(table[rows])), ([rowKey, value]): VersionPlace => {
      const source = toHex(fromByteString(rowKey.slice(1, 17))) as BucketId
      const { sequence, ordinal, row } = foundOf(source, rows, rowKey, value)
      return { source, rows, sequence, ordinal, key: decodeVertex(row.vertex).key }
    }))

type ReadOp = typeof read extends fc.Arbitrary<infer R> ? Omit<R, "laterMs"> : never

const living = (ttl: number | undefined): Attributes =>
  (ttl === undefined ? attributes : { ...attributes, headers: { ...attributes.headers, "x-ouroboros-ttl": String(ttl) } })
const textOf = ({ manifest }: ObjectVersion): string => (manifest._tag === "Inline" ? Buffer.from(manifest.bytes).toString() : "")
const shown = (version: ObjectVersion) => ({
  key: version.key, versionId: version.versionId, sequence: version.sequence, deleteMarker: version.deleteMarker, etag: version.etag, body: textOf(version)
})
const shownModel = (version: Version | undefined) => version === undefined ? undefined : {
  key: version.key, versionId: version.versionId, sequence: version.sequence, deleteMarker: version.deleteMarker, etag: version.etag, body: version.body
}

/** OUROBOROS_SEEDS=n: n runs of each, where that is more. */
const runs = (least: number): number => Math.max(least, Number(process.env["OUROBOROS_SEEDS"] ?? 0))

describe("namespace against the reference", () => {
  it("namespace: one key through every turn of versioning", { timeout: 600_000 }, () => {
    const reads = fc.array(fc.record({ at: fc.nat(1000), pick, from: pick, laterMs }), { minLength: 10, maxLength: 10 })
    fc.assert(
      fc.property(fc.array(versioned, { minLength: 10, maxLength: 40 }), reads, (ops, places) => {
        const pair = new Pair()
        pair.step({ _tag: "create", bucket: "one" })
        for (const each of ops) {
          pair.step(each)
          pair.check({ bucket: "one", key: "a", query: { prefix: "", delimiter: "", after: "a", limit: 5 }, at: pair.model.head, pick: 0, from: 1 })
        }
        for (const each of places) pair.check({ bucket: "one", key: "a", query: { prefix: "", delimiter: "", after: "a", limit: 2 }, ...each })
      }),
      { numRuns: runs(80) }
    )
  })

  it("namespace: rollbacks and branches among versions and markers: all buckets, at every commit, are the reference's", { timeout: 600_000 }, () => {
    const few = fc.oneof(fc.constantFrom("a"), fc.constantFrom("a", "a/b", "b"))
    const written: fc.Arbitrary<Op> = fc.oneof(
      { weight: 2, arbitrary: fc.record({ _tag: fc.constant("versioning" as const), bucket, status: fc.constantFrom("Enabled" as const, "Suspended" as const) }) },
      { weight: 5, arbitrary: fc.record({ _tag: fc.constant("put" as const), bucket, key: few, text: fc.constantFrom("v1", "v2", "v3"), condition, ttl }) },
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("delete" as const), bucket, targets: fc.array(fc.record({ key: few, pick, condition: fc.constant({}) }), { minLength: 1, maxLength: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ _tag: fc.constantFrom("create" as const, "drop" as const), bucket }) },
      { weight: 4, arbitrary: historical },
      { weight: 2, arbitrary: time },
      { weight: 2, arbitrary: fc.constantFrom<Op>({ _tag: "purge" }, { _tag: "purge" }, { _tag: "forget" }) }
    )
    const diffed = fc.array(fc.tuple(bucket, fc.nat(100), fc.option(bucket, { nil: undefined }), fc.nat(100)), { minLength: 20, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(written, { minLength: 10, maxLength: 50 }), fc.integer({ min: 1, max: 3 }), diffed, (ops, limit, diffs) => {
        const pair = new Pair()
        pair.step({ _tag: "index" })
        pair.step({ _tag: "create", bucket: "one" })
        for (const each of ops) {
          pair.step(each)
          for (const name of buckets) pair.checkWhole(name, pair.model.head)
        }
        for (const name of buckets) {
          for (let at = pair.model.oldestReadable; at <= pair.model.head; at += 1) pair.checkWhole(name, at)
          pair.checkPages(name, "/", limit)
        }
        for (const [bucket, back, other, forth] of diffs) {
          const at = (drawn: number): number => Math.max(pair.model.oldestReadable, drawn % (pair.model.head + 1))
          pair.checkDiff({ bucket, at: at(back) }, { bucket: other ?? bucket, at: at(forth) }, limit === 1 ? "a" : "", limit)
        }
      }),
      { numRuns: runs(150) }
    )
  })

  it("namespace: any commands, then any reads at any commit, are the reference's", { timeout: 600_000 }, () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), fc.array(read, { minLength: 5, maxLength: 15 }), fc.integer({ min: 1, max: 3 }), (ops, reads, limit) => {
        const pair = new Pair()
        pair.step({ _tag: "create", bucket: buckets[0] })
        for (const each of ops) pair.step(each)
        for (const each of reads) pair.check(each)
        for (const delimiter of ["", "/", "\0"]) pair.checkPages(buckets[0], delimiter, limit)
      }),
      { numRuns: runs(250) }
    )
  })

  it("namespace: rolled back until its lineage is full, a bucket is refused by both, by one commit", () => {
    const pair = new Pair()
    pair.step({ _tag: "create", bucket: "one" })
    const put = (text: string): void => pair.step({ _tag: "put", bucket: "one", key: "a", text, condition: {} })
    put("v1")
    // Each goes back into the last interval, and so adds one, until the last two that there is no room for.
    for (let round = 1; round < lineageIntervalsMax + 2; round += 1) {
      put("v2")
      put("v3")
      pair.step({ _tag: "rollback", bucket: "one", back: 1 })
    }
    strictEqual(pair.model.intervals("one"), lineageIntervalsMax)
    pair.step({ _tag: "branch", bucket: "two", source: "one", back: 0 })
    strictEqual(pair.model.intervals("two"), 0)
  })
})
