/**
 * Reads: what the store shows beside what the model has, at any commit: buckets, objects, listings by pages, versions,
 * uploads, bodies to the bit. Used by clients while everything happens, and after every start.
 */
import { Effect } from "effect"
import { concatBytes, equalBytes } from "../../src/base/bytes.ts"
import type { UploadId } from "../../src/base/ids.ts"
import { Get } from "../../src/get.ts"
import type { ChunkRow, Manifest, ObjectVersion } from "../../src/namespace/Model.ts"
import { type AsOfRefused, Namespace, type NamespaceService, Refused } from "../../src/namespace/Namespace.ts"
import type { Body } from "../../src/ports/Body.ts"
import { Settle } from "../../src/settle.ts"
import type { Random } from "../../sim/Random.ts"
import type { Version } from "../../spec/ObjectStore.ts"
import { jsonOf } from "../../sim/checker/Oracle.ts"
import { Violation, claim } from "../../sim/Violation.ts"
import type { World } from "./world.ts"

export const bucketNames = ["one", "two"] as const
/** Only branches have it. */
export const branchName = "three"
export const keyNames = ["a", "a/b", "a/c", "b", "😀", "../x", "z\u0001"] as const

const readAll = (body: Body) =>
  Effect.gen(function*() {
    const parts: Array<Uint8Array> = []
    for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) {
      claim(bytes.length > 0, "a body gives no empty bytes")
      parts.push(bytes)
    }
    return concatBytes(parts)
  })

type Shown = Pick<ObjectVersion, "key" | "versionId" | "sequence" | "deleteMarker" | "etag">
const shown = ({ key, versionId, sequence, deleteMarker, etag }: Shown) => ({ key, versionId, sequence, deleteMarker, etag })

/** Of a failure that an I/O error may explain; where no fault is planted it is the store's. */
export const orFaulty = <A, E, R>(world: World, what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A | undefined, never, R> =>
  Effect.catch(effect, (error) => Effect.sync(() => {
    claim(world.faulty, `${what}: ${error instanceof Error ? error.message : jsonOf(error)}`)
    return undefined
  }))

/** The bytes [start, end) of a version, to the bit. */
export const checkBytes = (world: World, what: string, version: ObjectVersion, bytes: Uint8Array, start = 0, end = bytes.length) =>
  Effect.gen(function*() {
    claim(version.sizeBytes === bytes.length, `${what} has ${version.sizeBytes} bytes, not ${bytes.length}`)
    const read = yield* orFaulty(world, what, Effect.scoped(Effect.flatMap((yield* Get).open(version, start, end), readAll)))
    claim(read === undefined || equalBytes(read, bytes.subarray(start, end)), `${what} [${start}, ${end}) bit for bit`)
  })

const checkVersion = (what: string, version: Shown, model: Version): void =>
  claim(jsonOf(shown(version)) === jsonOf(shown(model)), `${what}: ${jsonOf(shown(version))}, the model has ${jsonOf(shown(model))}`)

/** A read at a commit that cannot be read any more says so, and only there. */
const readable = (world: World, at: number, error: Refused | AsOfRefused): boolean => {
  if (error instanceof Refused) return true
  claim(error.reason === "BeforeHorizon" && at < world.oracle.oldestReadable, `commit ${at} cannot be read: ${error.message}`)
  return false
}

/** One object at a commit, or its absence. */
export const checkObject = (world: World, bucket: string, key: string, versionId: string | undefined, at: number, random?: Random) =>
  Effect.gen(function*() {
    const { model } = world.oracle
    const what = `${bucket}/${key}?${versionId} at ${at}`
    const found = yield* Effect.result((yield* Namespace).object(bucket, key, versionId, at, model.times[at]))
    if (found._tag === "Failure") {
      if (!readable(world, at, found.failure)) return
      claim(model.object(bucket, key, versionId, at) === undefined, `${what} is there, and the store says ${found.failure.message}`)
      return
    }
    const expected = model.object(bucket, key, versionId, at)
    claim(expected !== undefined, `${what} is not there, and the store has it`)
    checkVersion(what, found.success, expected)
    if (expected.deleteMarker) return
    const bytes = world.bodies.bytes(expected.body)
    const start = random?.chance(0.5) === true ? random.below(bytes.length + 1) : 0
    const end = random?.chance(0.5) === true ? start + random.below(bytes.length - start + 1) : bytes.length
    yield* checkBytes(world, what, found.success, bytes, start, end)
  })

/** All pages of both listings at a commit. Returns the versions. */
export const checkListings = (world: World, bucket: string, at: number, limit: number, delimiter: string) =>
  Effect.gen(function*() {
    const { model } = world.oracle
    const namespace = yield* Namespace
    const what = `listing of ${bucket} at ${at} by ${limit}`
    const there = model.buckets(at).some(({ name }) => name === bucket)
    const names: Array<string> = []
    const versions: Array<ObjectVersion> = []
    const pages = Effect.gen(function*() {
      for (let after: string | undefined = ""; after !== undefined;) {
        const page: Effect.Success<ReturnType<NamespaceService["listObjects"]>> =
          yield* namespace.listObjects(bucket, { prefix: "", delimiter, after, limit }, at, model.times[at])
        names.push(...page.versions.map((it) => `${it.key}@${it.sequence}`), ...page.commonPrefixes)
        after = page.next
      }
      for (let marker: { readonly key: string; readonly versionId?: string } | undefined = { key: "" }; marker !== undefined;) {
        const from: { readonly after: string; readonly afterVersionId?: string } =
          { after: marker.key, ...(marker.versionId === undefined ? {} : { afterVersionId: marker.versionId }) }
        const page: Effect.Success<ReturnType<NamespaceService["listVersions"]>> =
          yield* namespace.listVersions(bucket, { prefix: "", delimiter: "", limit, ...from }, at, model.times[at])
        versions.push(...page.versions)
        marker = page.next
      }
    })
    const exit = yield* Effect.result(pages)
    if (exit._tag === "Failure") {
      if (!readable(world, at, exit.failure)) return []
      claim(!there, `${what}: ${exit.failure.message}`)
      return []
    }
    claim(there, `${what}: no such bucket then`)
    const all = { prefix: "", delimiter, after: "", limit: 1_000_000 }
    const listed = model.listObjects(bucket, all, at)
    claim(jsonOf(names.toSorted()) === jsonOf([...listed.items.map((it) => `${it.key}@${it.sequence}`), ...listed.prefixes].sort()), `${what}: ${jsonOf(names)}`)
    const expected = model.listVersions(bucket, { ...all, delimiter: "" }, undefined, at).items
    claim(versions.length === expected.length, `${what}: ${versions.length} versions, the model has ${expected.length}`)
    for (const [index, version] of versions.entries()) {
      checkVersion(what, version, expected[index]!)
      claim(version.isLatest === expected[index]!.isLatest, `${what}: which is the latest`)
    }
    return versions
  })

const checkBuckets = (world: World, at: number) =>
  Effect.gen(function*() {
    const buckets = yield* Effect.result((yield* Namespace).buckets(at))
    if (buckets._tag === "Failure") return void readable(world, at, buckets.failure)
    const names = buckets.success.map(({ name, versioning }) => ({ name, versioning }))
    claim(jsonOf(names) === jsonOf(world.oracle.model.buckets(at)), `buckets at ${at}: ${jsonOf(names)}`)
  })

/** Uploads under way and their parts, to the bit. */
const checkUploads = (world: World, bucket: string) =>
  Effect.gen(function*() {
    const { model } = world.oracle
    const namespace = yield* Namespace
    if (!model.buckets(model.head).some(({ name }) => name === bucket)) return
    const { uploads } = yield* Effect.orDie(namespace.listUploads(bucket, { prefix: "", delimiter: "", after: "", limit: 1000 }))
    const open = [...model.uploads].filter(([, upload]) => upload.bucket === bucket)
    claim(jsonOf(uploads.map((it) => it.upload).toSorted()) === jsonOf(open.map(([id]) => id).sort()), `uploads of ${bucket}`)
    for (const [id, upload] of open) {
      const { parts } = yield* Effect.orDie(namespace.listParts(bucket, upload.key, id as UploadId, 0, 1000))
      const expected = [...upload.parts].sort(([a], [b]) => a - b)
      claim(jsonOf(parts.map((it) => [it.partNumber, it.etag, it.sizeBytes])) === jsonOf(expected.map(([n, part]) => [n, part.etag, part.sizeBytes])), `parts of ${id}`)
      for (const [index, part] of parts.entries()) {
        // What Get asks of a version are its size and its manifest.
        const asVersion = { sizeBytes: part.sizeBytes, manifest: part.manifest } as ObjectVersion
        yield* checkBytes(world, `part ${part.partNumber} of ${id}`, asVersion, world.bodies.bytes(expected[index]![1].body))
      }
    }
  })

const chunkIdsOf = (manifest: Manifest) =>
  Effect.gen(function*() {
    if (manifest._tag === "Inline") return []
    return [...manifest.entries, ...(yield* Effect.orDie((yield* Get).entries(manifest)))].map(({ chunk }) => chunk)
  })

/** Chunks that versions name are referenced, and have copies. */
const checkChunks = (versions: ReadonlyArray<ObjectVersion>) =>
  Effect.gen(function*() {
    const namespace = yield* Namespace
    for (const { key, manifest } of versions) {
      const ids = yield* chunkIdsOf(manifest)
      const rows: ReadonlyArray<ChunkRow | undefined> = namespace.chunks(ids)
      for (const row of rows) claim(row !== undefined && row.references > 0 && row.copies.length > 0, `a chunk of ${key} is referenced and has a copy`)
    }
  })

/** Everything: after a start, or at the end. `points` of history, drawn, besides the newest. */
export const checkAll = (world: World, random: Random, points: number) =>
  Effect.gen(function*() {
    const { oracle } = world
    const namespace = yield* Namespace
    const { sequence } = namespace.head()
    claim(sequence === oracle.head, `the store ends with commit ${sequence}, and ${oracle.head} were applied: some are lost`)
    claim(namespace.oldestReadable() === oracle.oldestReadable, `the horizon is ${namespace.oldestReadable()}, not ${oracle.oldestReadable}`)
    const damaged = (yield* Settle).status().damaged
    claim(damaged.length === 0, `no chunk is damaged: ${damaged.join()}`)
    const drawn = Array.from({ length: points }, () => random.pick(oracle.interesting))
    const seen = new Set<string>()
    const names = world.historical ? [...bucketNames, branchName] : bucketNames
    for (const at of new Set([sequence, ...drawn])) {
      yield* checkBuckets(world, at)
      for (const bucket of names) {
        const versions = yield* checkListings(world, bucket, at, random.pick([1000, 3]), random.pick(["", "/"]))
        const fresh = versions.filter((version) => !seen.has(version.vertex))
        if (at === sequence) yield* checkChunks(versions)
        for (const version of fresh) {
          seen.add(version.vertex)
          if (version.deleteMarker) continue
          const model = oracle.model.object(bucket, version.key, version.versionId, at)
          if (model === undefined) throw new Violation("safety", `${version.key}?${version.versionId} is listed at ${at} and is not there`)
          yield* checkBytes(world, `${bucket}/${version.key}?${version.versionId} at ${at}`, version, world.bodies.bytes(model.body))
        }
      }
    }
    for (const bucket of names) yield* checkUploads(world, bucket)
  })
