/**
 * ReadService: what the namespace answers without a commit. It sits between callers, who name a commit to read at, and
 * the queries; it adds the errors: no such bucket, before the horizon, in the future. Every read is one synchronous
 * look at the rows, so it sees one commit whole.
 */
import { Clock, Effect } from "effect"
import { assert } from "../base/assert.ts"
import type { Sequence, TenantId, UploadId, VaultId } from "../base/ids.ts"
import { millisOf } from "../base/time.ts"
import type { ApplyContext } from "./ApplyCommit.ts"
import type { AsOf, ObjectVersion, Refusal } from "./Model.ts"
import { AsOfRefused, type NamespaceService, Refused } from "./Namespace.ts"
import { blockOf, bucketInfo, bucketsAt, chunksOf, journaledBytes, journaledChunks, oldestReadable, sequenceAt } from "./Query.ts"
import { listObjects, listVersions, objectVersion } from "./QueryList.ts"
import { endedUploads, listParts, listUploads, uploadOf } from "./QueryUploads.ts"
import { currentOf, versionOf, type View, viewAt } from "./QueryView.ts"
import type { StateService } from "./State.ts"
import { decodeVertex } from "./Vertex.ts"

export interface Reading extends ApplyContext {
  readonly state: StateService
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly settledAt: (ms: number) => Effect.Effect<void>
}

type Reads = Omit<NamespaceService, "propose" | "checkpoint">

export const makeReads = (options: Reading): Reads => {
  const { state, tenant, vault } = options
  const reader = state.reader
  const head = (): Sequence => state.stamp().sequence
  const refusedAsOf = (reason: "BeforeHorizon" | "Future", asked: string): AsOfRefused =>
    new AsOfRefused({ reason, asked, oldestReadable: oldestReadable(reader), head: head() })

  /** Why the commit cannot be read; undefined: it can. */
  const unreadable = (at: Sequence): AsOfRefused | undefined => {
    if (at > head()) return refusedAsOf("Future", `commit ${at}`)
    return at < oldestReadable(reader) ? refusedAsOf("BeforeHorizon", `commit ${at}`) : undefined
  }
  const fail = (refusal: Refusal, bucket: string, at: Sequence, key?: string): Effect.Effect<never, Refused> =>
    Effect.fail(new Refused({ refusal, bucket, sequence: at, ...(key === undefined ? {} : { key }) }))
  const inBucket = <A>(
    bucket: string, at: Sequence, history: boolean, read: (view: View) => Effect.Effect<A, Refused>
  ): Effect.Effect<A, Refused | AsOfRefused> =>
    Effect.suspend((): Effect.Effect<A, Refused | AsOfRefused> => {
      const problem = unreadable(at)
      if (problem !== undefined) return Effect.fail(problem)
      const view = viewAt(reader, tenant, bucket, at, head(), history)
      return view === undefined ? fail("NoSuchBucket", bucket, at) : read(view)
    })
  const inBucketNow = <A>(bucket: string, read: (view: View) => Effect.Effect<A, Refused>): Effect.Effect<A, Refused | AsOfRefused> =>
    Effect.suspend(() => inBucket(bucket, head(), false, read))

  const resolveTime = (ms: number): Effect.Effect<Sequence, AsOfRefused> =>
    Effect.gen(function*() {
      const nowMs = yield* Clock.currentTimeMillis
      if (ms > Math.max(nowMs, millisOf(state.stamp().time))) return yield* refusedAsOf("Future", new Date(ms).toISOString())
      // Else a commit under way could come to lie before a point of time that was read already.
      yield* options.settledAt(ms)
      const at = sequenceAt(reader, head(), ms)
      return at < oldestReadable(reader) ? yield* refusedAsOf("BeforeHorizon", new Date(ms).toISOString()) : at
    })

  return {
    head: () => ({ sequence: head(), time: state.stamp().time }),
    oldestReadable: () => oldestReadable(reader),
    resolve: (asOf: AsOf | undefined) =>
      Effect.suspend(() => {
        if (asOf === undefined) return Effect.succeed(head())
        if (asOf._tag === "Time") return resolveTime(asOf.ms)
        const problem = unreadable(asOf.sequence)
        return problem === undefined ? Effect.succeed(asOf.sequence) : Effect.fail(problem)
      }),
    buckets: (at) =>
      Effect.suspend(() => {
        const problem = unreadable(at)
        return problem === undefined ? Effect.succeed(bucketsAt(reader, tenant, at)) : Effect.fail(problem)
      }),
    bucket: (name, at) => inBucket(name, at, false, (view) => Effect.succeed(bucketInfo(view))),
    object: (bucket, key, versionId, at) =>
      inBucket(bucket, at, false, (view) => {
        const found = versionId === undefined ? currentOf(reader, view, key) : versionOf(reader, view, key, versionId)
        if (found === undefined) return fail(versionId === undefined ? "NoSuchKey" : "NoSuchVersion", bucket, at, key)
        const latest = versionId === undefined ? found : currentOf(reader, view, key)
        const version = objectVersion(key, found, latest?.sequence === found.sequence && latest.ordinal === found.ordinal, undefined)
        return Effect.succeed(verified(options, version, found.row.vertex, vault))
      }),
    listObjects: (bucket, query, at) => inBucket(bucket, at, false, (view) => Effect.succeed(listObjects(reader, view, query))),
    listVersions: (bucket, query, at) => inBucket(bucket, at, false, (view) => Effect.succeed(listVersions(reader, view, query, false))),
    history: (bucket, query, at) => inBucket(bucket, at, true, (view) => Effect.succeed(listVersions(reader, view, query, true))),
    upload: (bucket, key, upload) =>
      inBucketNow(bucket, (view) => {
        const info = uploadOf(reader, view, key, upload)
        return info === undefined ? fail("NoSuchUpload", bucket, view.at, key) : Effect.succeed(info)
      }),
    listUploads: (bucket, query) => inBucketNow(bucket, (view) => Effect.succeed(listUploads(reader, view, query))),
    listParts: (bucket: string, key: string, upload: UploadId, after: number, limit: number) =>
      inBucketNow(bucket, (view) =>
        uploadOf(reader, view, key, upload) === undefined
          ? fail("NoSuchUpload", bucket, view.at, key)
          : Effect.succeed(listParts(reader, upload, after, limit))),
    chunks: (ids) => chunksOf(reader, vault, ids),
    journaled: (limit) => journaledChunks(reader, vault, limit),
    endedUploads: (limit) => endedUploads(reader, limit),
    block: (id) => blockOf(reader, id),
    sequenceAt: (ms) => sequenceAt(reader, head(), ms),
    counts: () => ({ commits: head(), journaledBytes: journaledBytes(reader) })
  }
}

/** A vertex is what it is named (P3): checked on every read of an object. In listings the tree's seal vouches for it. */
const verified = ({ vertexHash }: ApplyContext, version: ObjectVersion, vertex: Uint8Array, vault: VaultId): ObjectVersion => {
  assert(vertexHash(vault, vertex) === version.vertex, `vertex ${version.vertex} of a row is not what its hash says: the state is damaged`)
  const { key, sequence } = decodeVertex(vertex)
  assert(key === version.key && sequence === version.sequence, `vertex ${version.vertex} lies in another version's row`)
  return version
}
