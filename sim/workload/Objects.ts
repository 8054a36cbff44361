/**
 * Objects: every operation of the store, as odd as they can be asked, by a few clients side by side: buckets that come, go and
 * change their versioning, objects of any size, copies, uploads in any order, listings page by page over commits, the past,
 * rollbacks, branches and housework. It judges little itself: checker/Reference judges every answer.
 */
import { Effect } from "effect"
import { fromUtf8 } from "../../src/base/bytes.ts"
import { opHeader, targetOf } from "../checker/Asked.ts"
import type { Outcome, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"
import { afterwards, type Answered, codeOf, commitOf, etagOf, insist, textOf, xmlOf } from "./Answer.ts"
import { type Blob, Bodies } from "./Bodies.ts"
import {
  branchBuckets, type Drawing, drawAdmin, drawComplete, drawCopy, drawDelete, drawDeletes, drawHousework, drawListing, drawPart, drawPut, drawRead,
  drawSlowPut, objectBuckets, rangeOf, someBucket, versioningRequest
} from "./Drawn.ts"
import { Known, type KnownUpload } from "./Known.ts"
import { keysOf, nameMark } from "./Names.ts"
import { settled } from "./Settled.ts"
import type { MakeWorkload, Workload, WorkloadContext } from "./Workload.ts"

/** Looked at in the end. */
const lastReadsMax = 15
/** Of the housework that one operator asks for beside slow uploads. */
const rushMax = 12
/** Each collection looks at all that the store has: fewer in a hundred are more than a short life has. */
const adminShares: Readonly<Record<WorkloadContext["profile"], ReadonlyArray<number>>> = { short: [4, 8, 20], full: [1, 3, 8] }
const statusesKnown = new Set([200, 204, 206, 304, 400, 403, 404, 405, 409, 411, 412, 416])

class Objects implements Workload {
  readonly name = "objects"
  readonly #bodies = new Bodies({ marked: true })
  readonly #known = new Known()
  /** Buckets that were there at some time. */
  readonly #seen = new Set<string>()
  #keys: ReadonlyArray<string> = []
  #left = 0
  #marks = 0
  #ttlChance = 0
  /** Of a hundred requests, those of an operator: rollbacks, branches, collections. */
  #adminShare = 0

  readonly setup = ({ client, operations, profile, random }: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      this.#left = operations
      this.#bodies.drawScale(random, profile)
      this.#ttlChance = random.pick([0, 0.08, 0.4])
      this.#adminShare = random.pick(adminShares[profile])
      this.#bodies.repeat(random.pick([0, 0, 0.4, 0.8]))
      this.#keys = keysOf(random.pick([1, 3, 12, 60]))
      for (const [index, bucket] of objectBuckets.entries()) if (index === 0 || random.chance(0.7)) yield* insist(client, { method: "PUT", path: `/${bucket}` })
      if (random.chance(0.7)) yield* insist(client, versioningRequest(objectBuckets[0]!, "Enabled"))
    })

  readonly start = (context: WorkloadContext) => {
    const clients = Array.from({ length: 1 + context.random.below(4) }, () => context.random.fork())
    return Effect.forEach(clients, (random) => this.#work(context, random), { concurrency: "unbounded", discard: true })
  }

  #work(context: WorkloadContext, random: Random) {
    return Effect.gen({ self: this }, function*() {
      while (this.#left > 0) {
        this.#left -= 1
        const outcome = yield* this.#step(context, this.#drawing(context, random))
        yield* afterwards(outcome, 20 + random.below(400))
        if (random.chance(0.4)) yield* Effect.sleep(random.below(random.chance(0.1) ? 8000 : 200))
      }
    })
  }

  #drawing(context: WorkloadContext, random: Random): Drawing {
    this.#marks += 1
    return { random, bodies: this.#bodies, known: this.#known, keys: this.#keys, ttlChance: this.#ttlChance, nowMs: context.nowMs(), mark: `${nameMark}-o-${this.#marks}` }
  }

  #step(context: WorkloadContext, drawing: Drawing): Effect.Effect<Outcome> {
    const { random } = drawing
    const bucket = someBucket(random)
    if (random.below(100) < this.#adminShare) return this.#ask(context, drawAdmin(drawing, bucket))
    const draw = random.below(94)
    if (draw < 3) return this.#rush(context, drawing, bucket)
    if (draw < 26) {
      const { blob, ...request } = drawPut(drawing, bucket)
      return this.#ask(context, request, (answer) => this.#learn(request, answer, blob))
    }
    if (draw < 33) return this.#ask(context, drawCopy(drawing, bucket))
    if (draw < 40) return this.#ask(context, drawDelete(drawing, bucket), (answer, request) => this.#learn(request, answer, undefined))
    if (draw < 43) return this.#ask(context, drawDeletes(drawing, bucket))
    if (draw < 58) return this.#uploads(context, drawing, bucket)
    if (draw < 75) return this.#ask(context, drawRead(drawing, bucket), (answer) => this.#known.etag(etagOf(answer)))
    if (draw < 87) return this.#ask(context, drawListing(drawing, bucket), (answer, request) => this.#follow(request, answer))
    return this.#ask(context, this.#ofBucket(random, bucket))
  }

  /** Bodies that come slowly, while one operator or two seal, checkpoint and collect without a pause. */
  #rush(context: WorkloadContext, drawing: Drawing, bucket: string): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const { random } = drawing
      const left = new Set(Array.from({ length: 1 + random.below(3) }, (_, index) => index))
      const puts = [...left].map((index) => {
        const { blob, ...request } = drawSlowPut(this.#drawing(context, random), bucket)
        const put = this.#ask(context, request, (answer) => this.#learn(request, answer, blob))
        return Effect.ensuring(put, Effect.sync(() => void left.delete(index)))
      })
      const operator = Effect.gen({ self: this }, function*() {
        for (let asked = 0; asked < rushMax && left.size > 0; asked += 1) {
          this.#left -= 1
          yield* this.#ask(context, drawHousework(random))
          yield* Effect.sleep(random.below(300))
        }
      })
      const operators = Effect.all(Array.from({ length: 1 + random.below(2) }, () => operator), { concurrency: "unbounded" })
      const [outcomes] = yield* Effect.all([Effect.all(puts, { concurrency: "unbounded" }), operators], { concurrency: "unbounded" })
      return outcomes[0]!
    })
  }

  #ofBucket(random: Random, bucket: string): Request {
    const draw = random.below(12)
    const path = `/${branchBuckets.includes(bucket) ? objectBuckets[1] : bucket}`
    if (draw < 4) return { method: "PUT", path }
    if (draw < 8) return versioningRequest(bucket, random.pick(["Enabled", "Enabled", "Suspended"]))
    if (draw < 9) return { method: "DELETE", path: `/${bucket}` }
    return draw < 10 ? { method: "GET", path: "/" } : draw < 11 ? { method: "GET", path, query: { versioning: "" } } : { method: "HEAD", path }
  }

  /** An upload goes on, whatever happens to it meanwhile: parts in any order and again, the end more than once. */
  #uploads(context: WorkloadContext, drawing: Drawing, bucket: string): Effect.Effect<Outcome> {
    const { keys, known, mark, random } = drawing
    const upload = known.someUpload(random)
    const draw = random.below(20)
    if (upload === undefined || upload.isOver && draw < 16 || draw < 4) {
      const key = random.pick(keys)
      return this.#ask(context, { method: "POST", path: `/${bucket}/${key}`, query: { uploads: "" }, headers: { "x-amz-meta-op": mark } }, (answer) => {
        const uploadId = textOf(xmlOf(answer, "InitiateMultipartUploadResult"), "UploadId") ?? ""
        known.upload({ bucket, key, uploadId, parts: new Map(), sizes: new Set(), isOver: false })
      })
    }
    const path = `/${upload.bucket}/${upload.key}`
    const query = { uploadId: upload.uploadId }
    if (draw < 12) return this.#ask(context, drawPart(drawing, upload), (answer, request) => this.#part(upload, request, answer))
    if (draw < 17) return this.#ask(context, drawComplete(drawing, upload), () => this.#over(upload))
    if (draw < 18) return this.#ask(context, { method: "DELETE", path, query }, () => this.#over(upload))
    return this.#ask(context, draw < 19 ? { method: "GET", path, query } : { method: "GET", path: `/${bucket}`, query: { uploads: "" } })
  }

  #over(upload: KnownUpload): void {
    upload.isOver = true
  }

  #part(upload: KnownUpload, { query }: Request, answer: Answered): void {
    const etag = answer.headers.has("etag") ? etagOf(answer) : textOf(xmlOf(answer, "CopyPartResult"), "ETag")?.replaceAll("\"", "") ?? ""
    upload.parts.set(Number(query?.["partNumber"]), etag)
  }

  #learn(request: Request, answer: Answered, blob: Blob | undefined): void {
    const { bucket, key } = targetOf(request)
    const versionId = answer.headers.get("x-amz-version-id")
    const isWhole = request.headers?.["x-amz-meta-body"] !== undefined
    this.#known.etag(etagOf(answer))
    if (versionId === undefined || !/^[0-9a-f]{20}$/.test(versionId)) return
    this.#known.version({ bucket, key, versionId, token: isWhole ? blob?.token : undefined, sizeBytes: blob?.bytes.length ?? 0 })
  }

  /** The next page, as a client would ask for it: of version 2 with its token, of the others with what the page names, or ends with. */
  #follow(request: Request, answer: Answered): void {
    const { headers, path, query = {} } = request
    const root = xmlOf(answer, query["versions"] === undefined ? "ListBucketResult" : "ListVersionsResult")
    if (textOf(root, "IsTruncated") !== "true" || headers?.["x-ouroboros-as-of"] !== undefined) return
    const named = (element: string): string => decodeURIComponent(textOf(root, element) ?? "")
    const { marker: _, "start-after": __, "key-marker": ___, "version-id-marker": ____, ...same } = query
    if (query["versions"] !== undefined) {
      const id = textOf(root, "NextVersionIdMarker")
      this.#known.page({ path, query: { ...same, "key-marker": named("NextKeyMarker"), ...(id === undefined ? {} : { "version-id-marker": id }) } })
    } else if (query["list-type"] === "2") this.#known.page({ path, query: { ...same, "continuation-token": textOf(root, "NextContinuationToken") ?? "" } })
    else this.#known.page({ path, query: { ...same, marker: named("NextMarker") } })
  }

  #ask(context: WorkloadContext, request: Request, done: (answer: Answered, request: Request) => void = () => {}): Effect.Effect<Outcome> {
    return Effect.map(context.client.send(request), (outcome) => {
      if (outcome._tag !== "Answered") return outcome
      const { status } = outcome
      const code = status < 400 ? "" : codeOf(outcome)
      claim(status >= 500 || statusesKnown.has(status), `${request.method} ${request.path} is answered ${status} ${fromUtf8(outcome.body)?.slice(0, 300)}`)
      claim(status !== 501 && code !== "MalformedXML" && code !== "SignatureDoesNotMatch", `${request.method} ${request.path} is answered ${code}: no client asks so`)
      if (request.to !== "admin" && status < 500) this.#known.commit(commitOf(outcome))
      if (request.to === "admin" && status >= 400) context.probe(`objects: ${request.path} is refused`)
      if (status < 300) this.#seen.add(targetOf(request).bucket)
      if (status < 300) done(outcome, request)
      return outcome
    })
  }

  /** Who goes away when blocks of his body are written leaves nothing: checker/Garbage looks, with no start between. */
  #goAway({ client, random }: WorkloadContext): Effect.Effect<void> {
    const bytes = Buffer.concat([this.#bodies.ofSize(random, 1000).bytes, random.bytes(40_000 + random.below(20_000))])
    const pieces = Array.from({ length: 8 }, () => 6000)
    const body = { bytes, pieces, stalls: pieces.map((_, piece) => ({ piece, ms: 300 })), abortsAfterBytes: bytes.length - 1 }
    return Effect.asVoid(client.send({ method: "PUT", path: `/${objectBuckets[0]}/${random.pick(this.#keys)}`, body, headers: { [opHeader]: `${nameMark}-o-away` } }))
  }

  /** All buckets, all listings, and some of the versions: the reference judges what they are answered. */
  readonly check = (context: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      const { random } = context
      yield* this.#goAway(context)
      yield* settled(context, { method: "GET", path: "/" })
      for (const bucket of [...objectBuckets, ...branchBuckets]) {
        const query = { "encoding-type": "url" }
        yield* settled(context, { method: "GET", path: `/${bucket}`, query: { ...query, "list-type": "2" } })
        yield* settled(context, { method: "GET", path: `/${bucket}`, query: { ...query, versions: "" } })
        if (!this.#seen.has(bucket)) continue
        for (let reads = 0; reads < 2; reads += 1) {
          const point = { "x-ouroboros-as-of": String(this.#known.someCommit(random)) }
          yield* settled(context, { method: "GET", path: `/${bucket}`, query: { ...query, versions: "" }, headers: point })
          yield* settled(context, { method: "GET", path: `/${bucket}/${random.pick(this.#keys)}`, headers: { ...point, ...rangeOf(random) } })
        }
        for (const key of this.#keys.slice(0, 4)) yield* settled(context, { method: "GET", path: `/${bucket}/${key}`, headers: rangeOf(random) })
      }
      for (const { bucket, key, versionId } of this.#known.versions.slice(-lastReadsMax)) yield* settled(context, { method: "GET", path: `/${bucket}/${key}`, query: { versionId }, headers: rangeOf(random) })
    })
}

export const objectsWorkload: MakeWorkload = () => new Objects()
