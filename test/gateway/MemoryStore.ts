/**
 * MemoryStore: Namespace, Put and Get in memory for tests of the gateway: the real machine and the real queries over
 * rows in a sorted array, object bytes whole in their manifests. It sits where journal, chunks and blocks would.
 */
import { createHash } from "node:crypto"
import { Clock, Effect, Layer } from "effect"
import { Allowances, type AllowanceSizes } from "../../src/allowance.ts"
import { concatBytes, fromHex } from "../../src/base/bytes.ts"
import { hashOf, hashBytes } from "../../src/base/hash.ts"
import { type ChunkId, defaultTenant, type VaultId, type VertexHash } from "../../src/base/ids.ts"
import { chunkSizeBytesMax, inlineBytesMax } from "../../src/base/limits.ts"
import { hybridTime, millisOf, nextHybridTime, type HybridTime } from "../../src/base/time.ts"
import { Get, ReadError } from "../../src/get.ts"
import { apply } from "../../src/namespace/Apply.ts"
import type { AsOf, ChunkArrival, Content, ManifestEntry, ObjectVersion, PartInfo } from "../../src/namespace/Model.ts"
import { AsOfRefused, type Committed, Namespace, type NamespaceService, type Quorum, Refused } from "../../src/namespace/Namespace.ts"
import { bucketInfo, bucketsAt, childrenOf, commitTime, oldestReadable, sequenceAt } from "../../src/namespace/Query.ts"
import { diffOf } from "../../src/namespace/QueryDiff.ts"
import { lineageEvents } from "../../src/namespace/QueryLineage.ts"
import { listObjects, listVersions, objectVersion } from "../../src/namespace/QueryList.ts"
import { listParts, listUploads, uploadOf } from "../../src/namespace/QueryUploads.ts"
import { currentOf, versionOf, type View, viewAt } from "../../src/namespace/QueryView.ts"
import type { RowKey, StateReader } from "../../src/namespace/State.ts"
import { type Body, BodyError } from "../../src/ports/Body.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { type BodySummary, Put, type PutBody, type Stored } from "../../src/put.ts"

const vault = "0123456789abcdef0123456789abcdef" as VaultId

/** Rows in one sorted array: slow to insert, and obviously right. */
class Rows implements StateReader {
  private readonly keys: Array<RowKey> = []
  private readonly values = new Map<RowKey, Uint8Array>()
  private at(key: RowKey): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.keys[middle] ?? "") < key) low = middle + 1
      else high = middle
    }
    return low
  }
  set(key: RowKey, value: Uint8Array | undefined): void {
    const known = this.values.has(key)
    if (value === undefined) {
      if (known) this.keys.splice(this.at(key), 1)
      this.values.delete(key)
      return
    }
    if (!known) this.keys.splice(this.at(key), 0, key)
    this.values.set(key, value)
  }
  get(key: RowKey): Uint8Array | undefined {
    return this.values.get(key)
  }
  getMany(keys: ReadonlyArray<RowKey>): ReadonlyArray<Uint8Array | undefined> {
    return keys.map((key) => this.get(key))
  }
  first(from: RowKey, to: RowKey): readonly [RowKey, Uint8Array] | undefined {
    for (const row of this.scan(from, to)) return row
    return undefined
  }
  *scan(from: RowKey, to: RowKey, reverse = false): Iterable<readonly [RowKey, Uint8Array]> {
    const keys = this.keys.slice(this.at(from), this.at(to))
    for (const key of reverse ? keys.reverse() : keys) yield [key, this.values.get(key) ?? new Uint8Array(0)]
  }
}

type Read<A> = Effect.Effect<A, Refused | AsOfRefused>

const makeNamespace = (rows: Rows): NamespaceService => {
  let head = 0
  let time: HybridTime = hybridTime(0, 0)
  const seen = <A>(
    bucket: string, at: number, use: (view: View) => A | undefined, key?: string, none: Refused["refusal"] = "NoSuchKey", atMs?: number
  ): Read<A> =>
    Effect.flatMap(Clock.currentTimeMillis, (nowMs): Read<A> => {
      if (at > head || at < oldestReadable(rows)) return outside(String(at), at > head)
      const view = viewAt(rows, defaultTenant, bucket, at, head, atMs ?? (at >= head ? nowMs : timeOf(at)))
      const found = view === undefined ? undefined : use(view)
      if (found !== undefined) return Effect.succeed(found)
      return Effect.fail(new Refused({ refusal: view === undefined ? "NoSuchBucket" : none, bucket, sequence: at, ...(key === undefined ? {} : { key }) }))
    })
  const timeOf = (at: number): number => millisOf(commitTime(rows, at) ?? hybridTime(0, 0))
  const outside = (asked: string, future: boolean): Effect.Effect<never, AsOfRefused> =>
    Effect.fail(new AsOfRefused({ reason: future ? "Future" : "BeforeHorizon", asked, oldestReadable: oldestReadable(rows), head }))
  const resolve = Effect.fnUntraced(function*(asOf: AsOf | undefined) {
    if (asOf === undefined) return head
    const nowMs = yield* Clock.currentTimeMillis
    const sequence = asOf._tag === "Sequence" ? asOf.sequence : sequenceAt(rows, head, asOf.ms)
    const future = asOf._tag === "Sequence" ? sequence > head : asOf.ms > nowMs
    if (future || sequence < Math.max(1, oldestReadable(rows))) return yield* outside(asOf._tag === "Sequence" ? String(sequence) : String(asOf.ms), future)
    return sequence
  })
  return {
    propose: Effect.fnUntraced(function*(change) {
      const nowMs = yield* Clock.currentTimeMillis
      head += 1
      time = nextHybridTime(time, nowMs)
      const entry = { format: 1, group: 0, sequence: head, time, tenant: defaultTenant, vault, author: "root", change }
      const applied = apply(rows, entry, { vertexHash: (_, bytes) => hashOf(bytes) as string as VertexHash })
      for (const [key, value] of applied.rows) rows.set(key, value)
      const { answer } = applied
      if (answer._tag === "Refused") {
        return yield* new Refused({ refusal: answer.refusal, bucket: "bucket" in change ? change.bucket : "", sequence: head })
      }
      return { sequence: head, time, answer } satisfies Committed
    }),
    head: () => ({ sequence: head, time: commitTime(rows, head) ?? time }),
    oldestReadable: () => oldestReadable(rows),
    lastChange: () => head,
    resolve,
    momentOf: (asOf) => Effect.flatMap(resolve(asOf), (sequence) =>
      Effect.map(Clock.currentTimeMillis, (nowMs) => ({
        sequence, ms: asOf === undefined ? nowMs : asOf._tag === "Time" ? asOf.ms : timeOf(sequence)
      }))),
    expiringSince: () => undefined,
    buckets: (at) => Effect.sync(() => bucketsAt(rows, defaultTenant, at)),
    bucket: (name, at) => seen(name, at, bucketInfo),
    lineage: (bucket, at) => seen(bucket, at, (view) => lineageEvents(rows, view)),
    diff: (from, to, query) => seen(from.bucket, from.at, (before) => {
      const after = viewAt(rows, defaultTenant, to.bucket, to.at, head, timeOf(to.at))
      return after === undefined ? undefined : diffOf(rows, before, after, query)
    }),
    object: (bucket, key, versionId, at, atMs) => seen(bucket, at, (view) => {
      const found = versionId === undefined ? currentOf(rows, view, key) : versionOf(rows, view, key, versionId)
      if (found === undefined) return undefined
      const current = currentOf(rows, view, key)
      return objectVersion(key, found, current?.sequence === found.sequence && current.ordinal === found.ordinal, undefined)
    }, key, versionId === undefined ? "NoSuchKey" : "NoSuchVersion", atMs),
    current: (bucket, key, nowMs, sizeBytesMax = Number.POSITIVE_INFINITY) => {
      const view = viewAt(rows, defaultTenant, bucket, head, head, nowMs)
      const found = view === undefined ? undefined : currentOf(rows, view, key)
      if (view === undefined || found === undefined) return undefined
      const version = objectVersion(key, found, true, undefined)
      return version.sizeBytes > sizeBytesMax ? undefined : { sequence: head, bucket: bucketInfo(view), version }
    },
    listObjects: (bucket, query, at, atMs) => seen(bucket, at, (view) => listObjects(rows, view, query), undefined, undefined, atMs),
    listVersions: (bucket, query, at, atMs) => seen(bucket, at, (view) => listVersions(rows, view, query, false), undefined, undefined, atMs),
    children: (bucket, parent, at) => seen(bucket, at, (view) => childrenOf(rows, view, parent)),
    history: (bucket, query, at) => seen(bucket, at, (view) => listVersions(rows, view, query, true)),
    upload: (bucket, key, upload) => seen(bucket, head, (view) => uploadOf(rows, view, key, upload), key, "NoSuchUpload"),
    listUploads: (bucket, query) => seen(bucket, head, (view) => listUploads(rows, view, query)),
    listParts: (bucket, key, upload, after, limit) =>
      seen(bucket, head, (view) => uploadOf(rows, view, key, upload) === undefined ? undefined : listParts(rows, upload, after, limit), key, "NoSuchUpload"),
    chunks: (ids) => ids.map(() => undefined),
    journaled: () => [],
    endedUploads: () => [],
    block: () => undefined,
    sequenceAt: (ms) => sequenceAt(rows, head, ms),
    counts: () => ({ commits: head, journaledBytes: 0 }),
    checkpoint: () => Effect.void
  }
}

const drain = (body: Body): Effect.Effect<Uint8Array, BodyError> => {
  const parts: Array<Uint8Array> = []
  const pull: Effect.Effect<Uint8Array, BodyError> = Effect.flatMap(body.next, (bytes) => {
    if (bytes === undefined) return Effect.succeed(concatBytes(parts))
    parts.push(bytes)
    return pull
  })
  return pull
}

/** Bytes of chunks by id; what the machine has not seen yet comes as an arrival. */
const chunks = new Map<string, Uint8Array>()

/** As put does: small bytes in the row, larger ones in chunks. */
const manifestOf = (bytes: Uint8Array, seen: Set<string>): Pick<Content, "manifest" | "arrivals"> => {
  if (bytes.length <= inlineBytesMax) return { manifest: { _tag: "Inline", bytes }, arrivals: [] }
  const entries: Array<ManifestEntry> = []
  const arrivals: Array<ChunkArrival> = []
  for (let at = 0; at < bytes.length; at += chunkSizeBytesMax) {
    const piece = bytes.slice(at, at + chunkSizeBytesMax)
    const hash = hashOf(piece)
    const id = hash as string as ChunkId
    entries.push({ chunk: id, sizeBytes: piece.length })
    if (seen.has(id)) continue
    seen.add(id)
    chunks.set(id, piece)
    arrivals.push({ id, sizeBytes: piece.length, sealedHash: hash, place: { _tag: "Journal", segment: 1, offset: seen.size * 2 ** 23, lengthBytes: piece.length + 64 } })
  }
  return { manifest: { _tag: "Chunks", entries }, arrivals }
}

const contentOf = (bytes: Uint8Array, summary: BodySummary, seen: Set<string>): Content => ({
  sizeBytes: bytes.length,
  etag: summary.md5 ?? `${hashOf(bytes).slice(0, 32)}-1`,
  etagIsMd5: summary.md5 !== undefined,
  ...(summary.checksum === undefined ? {} : { checksum: summary.checksum }),
  ...manifestOf(bytes, seen),
  blocks: []
})

const uploaded = Effect.fnUntraced(function*({ body, summary, wantsMd5 }: PutBody, seen: Set<string>) {
  const bytes = yield* drain(body)
  const found = summary(wantsMd5 === true ? createHash("md5").update(bytes).digest("hex") : undefined)
  return contentOf(bytes, found instanceof BodyError ? yield* found : found, seen)
})

const inline = ({ manifest }: Pick<ObjectVersion, "manifest">): Uint8Array =>
  manifest._tag === "Inline" ? manifest.bytes : concatBytes(manifest.entries.map(({ chunk }) => chunks.get(chunk) ?? new Uint8Array(0)))

const storedOf = ({ answer, sequence, time }: Committed, content: Content): Stored => ({
  sequence,
  versionId: answer._tag === "Stored" ? answer.versionId : undefined,
  etag: answer._tag === "Stored" ? answer.etag : content.etag,
  ...(content.checksum === undefined ? {} : { checksum: content.checksum }),
  modifiedMs: millisOf(time)
})

const makePut = (namespace: NamespaceService, seen = new Set<string>()): typeof Put.Service => ({
  object: Effect.fnUntraced(function*(request) {
    const { attributes, bucket, condition, key } = request
    const content = yield* uploaded(request, seen)
    const committed = yield* namespace.propose({ _tag: "PutObject", bucket, key, attributes, content, ...(condition === undefined ? {} : { condition }) })
    return storedOf(committed, content)
  }),
  part: Effect.fnUntraced(function*(request) {
    const { bucket, key, partNumber, upload } = request
    const content = yield* uploaded(request, seen)
    return storedOf(yield* namespace.propose({ _tag: "PutPart", bucket, key, upload, partNumber, content }), content)
  }),
  copy: Effect.fnUntraced(function*({ attributes, bucket, condition, key, source }) {
    const { checksum, etag, manifest, sizeBytes } = source
    const content: Content = { sizeBytes, etag, etagIsMd5: false, manifest, arrivals: [], blocks: [], ...(checksum === undefined ? {} : { checksum }) }
    const committed = yield* namespace.propose({ _tag: "PutObject", bucket, key, attributes, content, ...(condition === undefined ? {} : { condition }) })
    return storedOf(committed, content)
  }),
  complete: Effect.fnUntraced(function*({ bucket, condition, key, parts, upload }) {
    const at = namespace.head().sequence
    const page = yield* Effect.orDie(namespace.listParts(bucket, key, upload, 0, 10_000))
    const chosen: Array<PartInfo> = []
    for (const part of parts) {
      const found = page.parts.find((one) => one.partNumber === part.partNumber && one.etag === part.etag)
      if (found === undefined) return yield* new Refused({ refusal: "InvalidPart", bucket, key, sequence: at })
      chosen.push(found)
    }
    const bytes = concatBytes(chosen.map(inline))
    const etag = `${hashOf(hashBytes(concatBytes(chosen.map((part) => fromHex(part.etag.replace(/-.*/, "")))))).slice(0, 32)}-${chosen.length}`
    const content: Content = { ...contentOf(bytes, { md5: undefined, checksum: undefined }, seen), etag }
    const objectParts = chosen.map(({ checksum, partNumber, sizeBytes }) => ({ partNumber, sizeBytes, ...(checksum === undefined ? {} : { checksum }) }))
    const committed = yield* namespace.propose({
      _tag: "CompleteUpload", bucket, key, upload, parts, content, objectParts, ...(condition === undefined ? {} : { condition })
    })
    return storedOf(committed, content)
  })
})

const get: typeof Get.Service = {
  hold: Effect.void,
  open: (version, start = 0, end = version.sizeBytes) =>
    Effect.suspend(() => {
      if (version.attributes.userMetadata["damaged"] === "yes") return Effect.fail(new ReadError({ reason: "Damaged", detail: "a chunk fails its hash" }))
      let bytes: Uint8Array | undefined = inline(version).slice(start, end)
      const torn = version.attributes.userMetadata["damaged"] === "later"
      const next = Effect.suspend((): Effect.Effect<Uint8Array | undefined, BodyError> => {
        const now = bytes
        if (now === undefined && torn) return Effect.fail(new BodyError({ reason: "BadDigest", detail: "a later chunk fails its hash" }))
        bytes = undefined
        return Effect.succeed(now === undefined || now.length === 0 ? undefined : now)
      })
      return Effect.succeed({ sizeBytes: end - start, next } satisfies Body)
    }),
  // What a test damages is fetched, as only what is fetched can be damaged.
  inline: ({ attributes, manifest }, start, end) =>
    manifest._tag === "Inline" && attributes.userMetadata["damaged"] === undefined ? manifest.bytes.subarray(start, end) : undefined,
  entries: () => Effect.succeed([])
}

/** Counts up, so that every run sees the same ids. */
export const countingEntropy = (): typeof Entropy.Service => {
  let state = 1
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      return state >>> 24
    })
  }
}

/** `quorumOf`: as a store with other members would have one. */
export const memoryStore = (
  sizes: Partial<AllowanceSizes> = {}, quorumOf?: (namespace: NamespaceService) => Quorum
): Layer.Layer<Namespace | Put | Get | Entropy | Allowances> => {
  const alone = makeNamespace(new Rows())
  const namespace = quorumOf === undefined ? alone : { ...alone, quorum: quorumOf(alone) }
  return Layer.mergeAll(
    Layer.succeed(Namespace, namespace),
    Layer.succeed(Put, makePut(namespace)),
    Layer.succeed(Get, get),
    Layer.succeed(Entropy, countingEntropy()),
    Allowances.layer(sizes)
  )
}

