/**
 * Durability: whatever was acknowledged is there after every restart and at the end, now, AS OF its commit and by its version
 * id, byte for byte (P1, P3). Each key has one writer, so that what may be there is known without a search.
 */
import { Effect } from "effect"
import { equalBytes } from "../../src/base/bytes.ts"
import type { Outcome, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"
import { afterwards, type Answered, codeOf, commitOf, etagOf, fateOf, insist, textOf, xmlOf } from "./Answer.ts"
import { type Blob, Bodies, contentMd5, md5Of } from "./Bodies.ts"
import { Horizon } from "./Horizon.ts"
import { bucketName, keysOf, nameMark } from "./Names.ts"
import { versioningXml } from "./Registers.ts"
import { settled } from "./Settled.ts"
import type { MakeWorkload, Workload, WorkloadContext } from "./Workload.ts"

const plainBucket = bucketName("durable")
const versionedBucket = bucketName("durable-versions")
const opHeader = "x-amz-meta-op"

/** One write of a key, in the order of its writer. */
interface Write {
  readonly mark: string
  /** Undefined: a delete. */
  readonly blob: Blob | undefined
  /** The node's life in which its fate was learned. */
  readonly life: number
  /** Absent: its fate is unknown. */
  readonly done?: { readonly commit: number; readonly versionId: string | undefined }
}

interface Key {
  readonly bucket: string
  readonly key: string
  readonly writes: Array<Write>
}

/**
 * What a read may show: the last write that was acknowledged, one of unknown fate after it, or one before it that was lost
 * in the same life of the node: it may have been under way still.
 */
const possible = ({ writes }: Key): ReadonlyArray<Write | undefined> => {
  const last = writes.findLastIndex(({ done }) => done !== undefined)
  const life = writes[last]?.life ?? 0
  const lost = writes.filter((write, index) => write.done === undefined && (index > last || write.life >= life))
  return [writes[last], ...lost]
}

class Durability implements Workload {
  readonly name = "durability"
  readonly perCost = 2
  readonly #bodies = new Bodies({ marked: true })
  readonly #horizon = new Horizon()
  #keys: ReadonlyArray<Key> = []
  #left = 0
  #marks = 0

  readonly setup = ({ client, operations, profile, random }: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      this.#left = operations
      this.#bodies.drawScale(random, profile)
      this.#bodies.repeat(random.pick([0, 0, 0.4, 0.8]))
      const names = keysOf(random.pick([2, 8, 30, 80]))
      this.#keys = names.map((key, index) => ({ bucket: index % 3 === 0 ? versionedBucket : plainBucket, key, writes: [] }))
      for (const bucket of [plainBucket, versionedBucket]) yield* insist(client, { method: "PUT", path: `/${bucket}` })
      yield* insist(client, { method: "PUT", path: `/${versionedBucket}`, query: { versioning: "" }, body: versioningXml("Enabled") })
    })

  readonly start = (context: WorkloadContext) => {
    const count = Math.min(this.#keys.length, 1 + context.random.below(3))
    const clients = Array.from({ length: count }, (_, index) => ({
      name: `d${index}`, random: context.random.fork(), keys: this.#keys.filter((_, key) => key % count === index)
    }))
    return Effect.forEach(clients, ({ name, random, keys }) => this.#work(context, name, random, keys), { concurrency: "unbounded", discard: true })
  }

  #work(context: WorkloadContext, name: string, random: Random, keys: ReadonlyArray<Key>) {
    return Effect.gen({ self: this }, function*() {
      let life = context.lives()
      while (this.#left > 0) {
        if (context.lives() !== life) {
          life = context.lives()
          context.probe("durability: looked after a restart")
          for (let looks = 0; looks < 6 && this.#left > 0; looks += 1) yield* this.#look(context, random, random.pick(keys))
        }
        this.#left -= 1
        const key = random.chance(0.3) ? keys[0]! : random.pick(keys)
        const draw = random.below(100)
        const outcome = yield* draw < 55 ? this.#put(context, random, name, key)
          : draw < 67 ? this.#remove(context, random, name, key)
          : draw < 77 ? this.#multipart(context, random, name, key)
          : this.#look(context, random, key)
        yield* afterwards(outcome, 20 + random.below(400))
      }
    })
  }

  #markOf(name: string): string {
    this.#marks += 1
    return `${nameMark}-${name}-${this.#marks}`
  }

  #learn(context: WorkloadContext, key: Key, mark: string, blob: Blob | undefined, outcome: Outcome): void {
    const fate = fateOf(outcome)
    context.note(`${key.bucket}/${key.key} ${blob === undefined ? "delete" : "put"} ${mark}: ${fate}`)
    if (fate === "NotDone") return
    const life = context.lives()
    if (fate === "Unknown" || outcome._tag !== "Answered") key.writes.push({ mark, blob, life })
    else key.writes.push({ mark, blob, life, done: { commit: commitOf(outcome), versionId: outcome.headers.get("x-amz-version-id") } })
  }

  #put(context: WorkloadContext, random: Random, name: string, key: Key) {
    const blob = this.#bodies.draw(random)
    const mark = this.#markOf(name)
    const headers = { [opHeader]: mark, ...(random.chance(0.5) ? { "content-md5": contentMd5(md5Of(blob.bytes)) } : {}) }
    return Effect.tap(context.client.send({ method: "PUT", path: pathOf(key), headers, body: blob.bytes }), (outcome) => Effect.sync(() => this.#learn(context, key, mark, blob, outcome)))
  }

  #remove(context: WorkloadContext, _: Random, name: string, key: Key) {
    const mark = this.#markOf(name)
    return Effect.tap(context.client.send({ method: "DELETE", path: pathOf(key) }), (outcome) => Effect.sync(() => this.#learn(context, key, mark, undefined, outcome)))
  }

  /** One or two parts; the second one repeated now and then. What is lost on the way is given up. */
  #multipart(context: WorkloadContext, random: Random, name: string, key: Key): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const { client } = context
      const mark = this.#markOf(name)
      const created = yield* client.send({ method: "POST", path: pathOf(key), query: { uploads: "" }, headers: { [opHeader]: mark } })
      if (created._tag !== "Answered" || created.status !== 200) return created
      const uploadId = textOf(xmlOf(created, "InitiateMultipartUploadResult"), "UploadId") ?? ""
      const blob = this.#bodies.draw(random)
      let etag = ""
      for (let tries = 0; tries < 3 && etag === ""; tries += 1) {
        const put = yield* client.send({ method: "PUT", path: pathOf(key), query: { partNumber: "7", uploadId }, body: blob.bytes })
        if (put._tag === "Answered" && put.status === 200) etag = etagOf(put)
        else yield* afterwards(put, 100)
      }
      if (etag === "") return created
      const body = new TextEncoder().encode(`<CompleteMultipartUpload><Part><PartNumber>7</PartNumber><ETag>"${etag}"</ETag></Part></CompleteMultipartUpload>`)
      const outcome = yield* client.send({ method: "POST", path: pathOf(key), query: { uploadId }, body })
      this.#learn(context, key, mark, blob, outcome)
      return outcome
    })
  }

  /** Now, or AS OF a write that was acknowledged, or by its version id. */
  #look(context: WorkloadContext, random: Random, key: Key): Effect.Effect<Outcome> {
    const done = key.writes.filter((write) => write.done !== undefined)
    const write = done.length > 0 && random.chance(0.6) ? random.pick(done) : undefined
    const request = write === undefined ? { method: "GET", path: pathOf(key) } : readOf(random, key, write)
    // What may be there is what may be there at the call or later: nobody else writes this key.
    return Effect.suspend(() => this.#judged(context, key, write, request, context.client.send(request)))
  }

  #judged(context: WorkloadContext, key: Key, write: Write | undefined, request: Request, read: Effect.Effect<Outcome>): Effect.Effect<Outcome> {
    const { passed } = this.#horizon
    return Effect.tap(read, (outcome) => Effect.sync(() => this.#judge(context, key, write, request, outcome, passed)))
  }

  #judge({ merciless, probe }: WorkloadContext, key: Key, write: Write | undefined, request: Request, outcome: Outcome, passed: number): void {
    if (outcome._tag !== "Answered" || outcome.status >= 500) return
    const what = `${key.bucket}/${key.key}${write === undefined ? "" : ` ${JSON.stringify({ ...request.query, ...request.headers })}`}`
    const asOf = request.headers?.["x-ouroboros-as-of"]
    if (asOf !== undefined && !this.#horizon.judge(Number(asOf), outcome, what, passed)) return probe("durability: history was let go")
    const shown = shownBy(outcome)
    const allowed = (write === undefined ? possible(key) : [write]).map((one) => (one?.blob === undefined ? undefined : one.mark))
    const mayBeLost = merciless && shown === undefined
    claim(mayBeLost || allowed.includes(shown), `${what} is ${outcome.status} ${codeOf(outcome)} ${shown ?? "absent"}; acknowledged or possible: ${allowed.map((mark) => mark ?? "absent").join(", ")}`)
    if (shown === undefined) return
    const { blob } = key.writes.find(({ mark }) => mark === shown)!
    claim(blob !== undefined && equalBytes(outcome.body, blob.bytes), `${what} is ${shown}, byte for byte (${outcome.body.length} of ${blob?.bytes.length} bytes)`)
  }

  /** Everything that was ever acknowledged, now, then and by version. */
  readonly check = (context: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      const random = context.random.fork()
      for (const key of this.#keys) {
        const now: Request = { method: "GET", path: pathOf(key) }
        yield* this.#judged(context, key, undefined, now, settled(context, now))
        for (const write of key.writes.filter(({ done }) => done !== undefined).slice(-4)) {
          const request = readOf(random, key, write)
          yield* this.#judged(context, key, write, request, settled(context, request))
        }
      }
      const writes = this.#keys.flatMap((key) => key.writes)
      context.note(`durability: ${writes.filter(({ done }) => done !== undefined).length} writes acknowledged, ${writes.filter(({ done }) => done === undefined).length} unknown`)
    })
}

export const durabilityWorkload: MakeWorkload = () => new Durability()

const pathOf = ({ bucket, key }: Key): string => `/${bucket}/${key}`

const readOf = (random: Random, key: Key, { blob, done }: Write): Request => {
  const named = blob !== undefined && done?.versionId !== undefined && random.chance(0.4)
  const request = { method: "GET", path: pathOf(key) }
  return named ? { ...request, query: { versionId: done.versionId } } : { ...request, headers: { "x-ouroboros-as-of": String(done!.commit) } }
}

/** The mark of what is shown; undefined: nothing is. */
const shownBy = (answer: Answered): string | undefined => {
  if (answer.status === 404) {
    claim(codeOf(answer) === "NoSuchKey" || codeOf(answer) === "NoSuchVersion", `a key's bucket is there: ${codeOf(answer)}`)
    return undefined
  }
  claim(answer.status === 200, `a read is answered ${answer.status} ${codeOf(answer)}`)
  return answer.headers.get(opHeader) ?? "no mark"
}
