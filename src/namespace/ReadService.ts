/**
 * ReadService: what the namespace answers without a commit. It sits between callers, who name a commit to read at, and
 * the queries; it adds the errors: no such bucket, before the horizon, in the future. Every read is one synchronous
 * look at the rows, so it sees one commit whole.
 */
import { Clock, DateTime, Effect } from "effect"
import { assert } from "../base/assert.ts"
import type { Sequence, TenantId, VaultId } from "../base/ids.ts"
import { sequencesRemembered, viewsRememberedMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import type { ApplyContext } from "./ApplyCommit.ts"
import type { AsOf, BucketAt, DiffPage, DiffQuery, ObjectVersion, Refusal } from "./Model.ts"
import { AsOfRefused, type NamespaceService, Refused, type Unavailable } from "./Namespace.ts"
import { blockOf, bucketInfo, bucketsAt, childrenOf, chunksOf, commitTime, expiringSince, journaledBytes, journaledChunks, oldestReadable, sequenceAt } from "./Query.ts"
import { diffOf, nothingOf } from "./QueryDiff.ts"
import { lineageEvents } from "./QueryLineage.ts"
import { listObjects, listVersions, objectVersion } from "./QueryList.ts"
import { endedUploads, listParts, listUploads, uploadOf } from "./QueryUploads.ts"
import { currentOf, type Found, newestOf, versionOf, type View, viewAt } from "./QueryView.ts"
import type { StateReader, StateService } from "./State.ts"
import { decodeVertexTrusted, vertexHead } from "./Vertex.ts"

export interface Reading extends ApplyContext {
  readonly state: StateService
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly settledAt: (ms: number) => Effect.Effect<void, Unavailable>
}

type Reads = Omit<NamespaceService, "propose" | "checkpoint" | "lastChange">

export const makeReads = (options: Reading): Reads => {
  const { state, tenant, vault } = options
  const { reader } = state
  const look = makeLook(options)
  const { head } = look
  return {
    ...readsOfBuckets(options, look),
    ...readsOfUploads(options, look),
    head: () => ({ sequence: head(), time: state.stamp().time }),
    oldestReadable: () => oldestReadable(reader),
    expiringSince: () => expiringSince(reader),
    momentOf: (asOf) => asOf === undefined
      ? Effect.clockWith((clock) => Effect.succeed({ sequence: head(), ms: look.headMs(clock.currentTimeMillisUnsafe()) }))
      : Effect.map(resolve(options, look, asOf), (sequence) => ({ sequence, ms: asOf._tag === "Time" ? asOf.ms : look.timeOf(sequence) })),
    resolve: (asOf) => Effect.suspend(() => resolve(options, look, asOf)),
    buckets: (at) => Effect.suspend(() => {
      const problem = look.unreadable(at)
      return problem === undefined ? Effect.succeed(bucketsAt(reader, tenant, at)) : Effect.fail(problem)
    }),
    chunks: (ids) => chunksOf(reader, vault, ids),
    journaled: (limit) => journaledChunks(reader, vault, limit),
    block: (id) => blockOf(reader, id),
    sequenceAt: makeSequenceAt(reader, head),
    counts: () => ({ commits: head(), journaledBytes: journaledBytes(reader) })
  }
}

/**
 * Collection and retention ask again and again, each for a point of time that goes on with the clock: the search goes on from
 * the answer of the time before. A commit that is there keeps its time.
 */
const makeSequenceAt = (reader: StateReader, head: () => Sequence) => {
  const known = Array.from({ length: sequencesRemembered }, () => ({ ms: Number.NEGATIVE_INFINITY, at: 0 }))
  return (ms: number): Sequence => {
    let best: (typeof known)[number] | undefined
    for (const one of known) if (one.ms <= ms && (best === undefined || one.ms > best.ms)) best = one
    const at = sequenceAt(reader, head(), ms, best?.at)
    best ??= known[0]!
    best.ms = ms
    best.at = at
    return at
  }
}

/** How every read comes to its view of a bucket, or to the reason why there is none. */
interface Look {
  readonly head: () => Sequence
  /** Why the commit cannot be read; undefined: it can. */
  readonly unreadable: (at: Sequence) => AsOfRefused | undefined
  readonly refusedAsOf: (reason: "BeforeHorizon" | "Future", asked: string) => AsOfRefused
  /** `atMs`: the point of time; absent, now for the newest commit, and for an earlier one the time of that. */
  readonly inBucket: <A>(
    bucket: string, at: Sequence, atMs: number | undefined, read: (view: View) => Effect.Effect<A, Refused>, history?: boolean
  ) => Effect.Effect<A, Refused | AsOfRefused>
  /** The newest commit's, chosen in the same step in which it is read: it is never history by then, however late its fiber is. */
  readonly inNewest: <A>(bucket: string, read: (view: View) => Effect.Effect<A, Refused>) => Effect.Effect<A, Refused | AsOfRefused>
  /** The point of time of the newest commit's view: now, and never before the commit. */
  readonly headMs: (nowMs: number) => number
  readonly timeOf: (at: Sequence) => number
  /** The newest commit's view of a bucket; undefined where it has none. */
  readonly newest: (bucket: string, atMs: number) => View | undefined
}

/**
 * Views of the newest commit, by bucket: most reads are of it, and one request may read twice. None outlives its commit.
 */
const makeNewestViews = ({ state, tenant }: Reading) => {
  const views = new Map<string, View | undefined>()
  let of = -1
  return (bucket: string, atMs: number): View | undefined => {
    const { sequence } = state.stamp()
    if (of !== sequence || views.size >= viewsRememberedMax) views.clear()
    of = sequence
    if (views.has(bucket)) {
      const known = views.get(bucket)
      return known === undefined || known.atMs === atMs ? known : { ...known, atMs }
    }
    const view = viewAt(state.reader, tenant, bucket, sequence, sequence, atMs)
    views.set(bucket, view)
    return view
  }
}

const makeLook = (reading: Reading): Look => {
  const { state, tenant } = reading
  const { reader } = state
  const newest = makeNewestViews(reading)
  const headMs = (nowMs: number): number => Math.max(nowMs, millisOf(state.stamp().time))
  const timeOf = (at: Sequence): number => millisOf(commitTime(reader, at) ?? 0n)
  const head = (): Sequence => state.stamp().sequence
  const refusedAsOf: Look["refusedAsOf"] = (reason, asked) =>
    new AsOfRefused({ reason, asked, oldestReadable: oldestReadable(reader), head: head() })
  const unreadable: Look["unreadable"] = (at) => {
    if (at > head()) return refusedAsOf("Future", `commit ${at}`)
    return at < oldestReadable(reader) ? refusedAsOf("BeforeHorizon", `commit ${at}`) : undefined
  }
  const readIn = <A>(
    clock: Clock.Clock, bucket: string, at: Sequence, atMs: number | undefined, read: (view: View) => Effect.Effect<A, Refused>, history = false
  ): Effect.Effect<A, Refused | AsOfRefused> => {
    const problem = unreadable(at)
    if (problem !== undefined) return Effect.fail(problem)
    const ms = atMs ?? (at >= head() ? headMs(clock.currentTimeMillisUnsafe()) : timeOf(at))
    const view = at === head() && !history ? newest(bucket, ms) : viewAt(reader, tenant, bucket, at, head(), ms, history)
    return view === undefined ? refused("NoSuchBucket", bucket, at) : read(view)
  }
  const inBucket: Look["inBucket"] = (bucket, at, atMs, read, history) => Effect.clockWith((clock) => readIn(clock, bucket, at, atMs, read, history))
  const inNewest: Look["inNewest"] = (bucket, read) => Effect.clockWith((clock) => readIn(clock, bucket, head(), undefined, read))
  return { head, unreadable, refusedAsOf, inBucket, inNewest, headMs, timeOf, newest }
}

const refused = (refusal: Refusal, bucket: string, at: Sequence, key?: string): Effect.Effect<never, Refused> =>
  Effect.fail(new Refused({ refusal, bucket, sequence: at, ...(key === undefined ? {} : { key }) }))

const resolve = ({ state, settledAt }: Reading, look: Look, asOf: AsOf | undefined): Effect.Effect<Sequence, AsOfRefused | Unavailable> => {
  if (asOf === undefined) return Effect.succeed(look.head())
  if (asOf._tag === "Time") return resolveTime(look, asOf.ms)
  const problem = look.unreadable(asOf.sequence)
  return problem === undefined ? Effect.succeed(asOf.sequence) : Effect.fail(problem)

  function resolveTime({ head, refusedAsOf, unreadable }: Look, ms: number): Effect.Effect<Sequence, AsOfRefused | Unavailable> {
    return Effect.gen(function*() {
      const nowMs = yield* Clock.currentTimeMillis
      if (ms > Math.max(nowMs, millisOf(state.stamp().time))) return yield* refusedAsOf("Future", timeText(ms))
      // Else a commit under way could come to lie before a point of time that was read already.
      yield* settledAt(ms)
      const at = sequenceAt(state.reader, head(), ms)
      return unreadable(at) === undefined ? at : yield* refusedAsOf("BeforeHorizon", timeText(ms))
    })
  }
}

/** Times that no calendar has (year 275760 ends) are shown as they were asked. */
const timeText = (ms: number): string => (Math.abs(ms) <= 8.64e15 ? DateTime.formatIso(DateTime.makeUnsafe(ms)) : `${ms} ms`)

const readsOfBuckets = (
  options: Reading, look: Look
): Pick<Reads, "bucket" | "object" | "current" | "children" | "listObjects" | "listVersions" | "history" | "diff" | "lineage"> => {
  const { reader } = options.state
  const { head, headMs, inBucket, newest } = look
  return {
    lineage: (bucket, at) => inBucket(bucket, at, undefined, (view) => Effect.succeed(lineageEvents(reader, view))),
    diff: (from, to, query) => Effect.clockWith((clock) => diff(options, look, from, to, query, clock.currentTimeMillisUnsafe())),
    bucket: (name, at) => inBucket(name, at, undefined, (view) => Effect.succeed(bucketInfo(view))),
    object: (bucket, key, versionId, at, atMs) =>
      inBucket(bucket, at, atMs, (view) => {
        const found = versionId === undefined ? currentOf(reader, view, key) : versionOf(reader, view, key, versionId)
        if (found === undefined) return refused(versionId === undefined ? "NoSuchKey" : "NoSuchVersion", bucket, at, key)
        const latest = versionId === undefined ? found : newestOf(reader, view, key)
        return Effect.succeed(verified(options, key, found, latest?.sequence === found.sequence && latest.ordinal === found.ordinal))
      }),
    current: (bucket, key, nowMs, sizeBytesMax = Number.POSITIVE_INFINITY) => {
      // The newest commit is never before the horizon.
      const view = newest(bucket, headMs(nowMs))
      const found = view === undefined ? undefined : currentOf(reader, view, key)
      if (view === undefined || found === undefined || vertexHead(found.row.vertex).sizeBytes > sizeBytesMax) return undefined
      return { sequence: head(), bucket: bucketInfo(view), version: verified(options, key, found, true) }
    },
    listObjects: (bucket, query, at, atMs) => inBucket(bucket, at, atMs, (view) => Effect.succeed(listObjects(reader, view, query))),
    listVersions: (bucket, query, at, atMs) => inBucket(bucket, at, atMs, (view) => Effect.succeed(listVersions(reader, view, query, false))),
    children: (bucket, parent, at) => inBucket(bucket, at, undefined, (view) => Effect.succeed(childrenOf(reader, view, parent))),
    history: (bucket, query, at) => inBucket(bucket, at, undefined, (view) => Effect.succeed(listVersions(reader, view, query, true)), true)
  }
}

const diff = (
  { state: { reader }, tenant }: Reading, { head, headMs, timeOf, unreadable }: Look, from: BucketAt, to: BucketAt, query: DiffQuery, nowMs: number
): Effect.Effect<DiffPage, Refused | AsOfRefused> => {
  const problem = unreadable(from.at) ?? unreadable(to.at)
  if (problem !== undefined) return Effect.fail(problem)
  const msOf = (at: Sequence): number => (at >= head() ? headMs(nowMs) : timeOf(at))
  const before = viewAt(reader, tenant, from.bucket, from.at, head(), msOf(from.at))
  const after = viewAt(reader, tenant, to.bucket, to.at, head(), msOf(to.at))
  const some = after ?? before
  if (some === undefined) return refused("NoSuchBucket", to.bucket, to.at)
  // A bucket was empty before it was made. Of two buckets one that is not there is a slip, not an empty one.
  const absent = before === undefined ? from : to
  if (from.bucket !== to.bucket && (before === undefined || after === undefined)) return refused("NoSuchBucket", absent.bucket, absent.at)
  return Effect.succeed(diffOf(reader, before ?? nothingOf(some), after ?? nothingOf(some), query))
}

/** Uploads have no history: they are read as they are now. */
const readsOfUploads = (
  { state: { reader } }: Reading, { inNewest }: Look
): Pick<Reads, "upload" | "listUploads" | "listParts" | "endedUploads"> => {
  return {
    upload: (bucket, key, upload) =>
      inNewest(bucket, (view) => {
        const info = uploadOf(reader, view, key, upload)
        return info === undefined ? refused("NoSuchUpload", bucket, view.at, key) : Effect.succeed(info)
      }),
    listUploads: (bucket, query) => inNewest(bucket, (view) => Effect.succeed(listUploads(reader, view, query))),
    listParts: (bucket, key, upload, after, limit) =>
      inNewest(bucket, (view) =>
        uploadOf(reader, view, key, upload) === undefined
          ? refused("NoSuchUpload", bucket, view.at, key)
          : Effect.succeed(listParts(reader, upload, after, limit))),
    endedUploads: (limit) => endedUploads(reader, limit)
  }
}

/** A vertex is what it is named (P3): checked on every read of an object. In listings the tree's seal vouches for it. */
const verified = ({ vertexHash, vault }: Reading, key: string, found: Found, isLatest: boolean): ObjectVersion => {
  const { hash, vertex } = found.row
  assert(vertexHash(vault, vertex) === hash, `vertex ${hash} of a row is not what its hash says: the state is damaged`)
  // The hash vouches for the form of the bytes.
  const whole = decodeVertexTrusted(vertex)
  assert(whole.key === key && whole.sequence === found.sequence, `vertex ${hash} lies in another version's row`)
  return objectVersion(key, found, isLatest, undefined, whole)
}
