/**
 * Recollection: what was read at a commit is read AS OF that commit for ever, or refused once the horizon has passed it (P2):
 * objects, ranges and listings of a bucket that is written, rolled back and collected meanwhile. So is what was read AS OF a time.
 */
import { DateTime, Effect } from "effect"
import { fromUtf8 } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { Outcome, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"
import { afterwards, type Answered, codeOf, commitOf, fateOf, insist, isAnswerOfStore } from "./Answer.ts"
import { Bodies } from "./Bodies.ts"
import { Horizon } from "./Horizon.ts"
import { bucketName, keysOf, nameMark, prefixes } from "./Names.ts"
import { versioningXml } from "./Registers.ts"
import { settled } from "./Settled.ts"
import type { MakeWorkload, Workload, WorkloadContext } from "./Workload.ts"

const bucket = bucketName("recollection")
/** Questions that are asked again at the end; those before are asked meanwhile, by chance. */
const rememberedMax = 60
const shownHeaders = ["etag", "x-amz-version-id", "x-amz-delete-marker", "x-amz-meta-op", "content-range", "content-length", "last-modified", "content-type"]

interface Memory {
  readonly question: Request
  readonly commit: number
  readonly answer: string
  /** Where it was asked AS OF one. */
  readonly time: string | undefined
}

/** All of an answer that is to stay: not ids of requests, nor tokens, which carry the time at which they were made. */
const essenceOf = (answer: Answered): string => {
  const { body, headers, status } = answer
  if (status >= 400) return `${status} ${codeOf(answer)} ${headers.get("x-amz-version-id") ?? ""}`
  const isXml = headers.get("content-type") === "application/xml"
  const shown = shownHeaders.filter((name) => !(isXml && name === "content-length")).map((name) => headers.get(name) ?? "").join("|")
  const text = isXml ? (fromUtf8(body) ?? "").replace(/<NextContinuationToken>[^<]*/, "<NextContinuationToken>") : undefined
  return `${status} ${shown} ${text ?? hashOf(body)}`
}

class Recollection implements Workload {
  readonly name = "recollection"
  readonly perCost = 2
  readonly #bodies = new Bodies({ marked: true })
  readonly #horizon = new Horizon()
  readonly #memories: Array<Memory> = []
  #keys: ReadonlyArray<string> = []
  #left = 0
  #marks = 0

  readonly setup = ({ client, operations, profile, random }: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      this.#left = operations
      this.#bodies.drawScale(random, profile)
      this.#keys = keysOf(random.pick([2, 6, 25]))
      yield* insist(client, { method: "PUT", path: `/${bucket}` })
      if (random.chance(0.6)) yield* insist(client, { method: "PUT", path: `/${bucket}`, query: { versioning: "" }, body: versioningXml("Enabled") })
    })

  readonly start = (context: WorkloadContext) => {
    const clients = Array.from({ length: 1 + context.random.below(3) }, () => context.random.fork())
    return Effect.forEach(clients, (random) => this.#work(context, random), { concurrency: "unbounded", discard: true })
  }

  #work(context: WorkloadContext, random: Random) {
    return Effect.gen({ self: this }, function*() {
      while (this.#left > 0) {
        this.#left -= 1
        const draw = random.below(100)
        const outcome = yield* draw < 45 ? this.#change(context, random) : draw < 75 || this.#memories.length === 0 ? this.#learn(context, random) : this.#recall(context, random.pick(this.#memories))
        yield* afterwards(outcome, 20 + random.below(400))
      }
    })
  }

  #change({ client, note }: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    const path = `/${bucket}/${random.pick(this.#keys)}`
    const draw = random.below(20)
    this.#marks += 1
    const request: Request = draw === 0 && this.#memories.length > 0
      ? { method: "POST", path: "/v1/rollback", to: "admin", body: new TextEncoder().encode(JSON.stringify({ bucket, to: random.pick(this.#memories).commit })) }
      : draw < 5 ? { method: "DELETE", path }
      : { method: "PUT", path, headers: { "x-amz-meta-op": `${nameMark}-${this.#marks}` }, body: this.#bodies.draw(random).bytes }
    return Effect.tap(client.send(request), (outcome) => Effect.sync(() => note(`recollection: ${request.method} ${request.path} ${fateOf(outcome)}`)))
  }

  #question(random: Random): Request {
    const draw = random.below(10)
    const key = random.pick(this.#keys)
    if (draw < 3) return { method: "GET", path: `/${bucket}/${key}` }
    if (draw < 4) return { method: "HEAD", path: `/${bucket}/${key}` }
    if (draw < 6) return { method: "GET", path: `/${bucket}/${key}`, headers: { range: `bytes=${random.below(300)}-${300 + random.below(9000)}` } }
    const query = {
      "encoding-type": "url", prefix: random.chance(0.5) ? "" : random.pick(prefixes), delimiter: random.chance(0.5) ? "" : "/", "max-keys": String(random.pick([1000, 1000, 3, 1, 0]))
    }
    if (draw < 7) return { method: "GET", path: `/${bucket}`, query: { ...query, ...(random.chance(0.5) ? {} : { marker: key }) } }
    if (draw < 8) return { method: "GET", path: `/${bucket}`, query: { ...query, "list-type": "2", ...(random.chance(0.5) ? {} : { "start-after": key }) } }
    return { method: "GET", path: `/${bucket}`, query: { ...query, versions: "", ...(random.chance(0.5) ? {} : { "key-marker": key }) } }
  }

  #learn({ client, nowMs }: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    const question = this.#question(random)
    const time = random.chance(0.3) ? DateTime.formatIso(DateTime.makeUnsafe(Math.floor(nowMs()) - random.below(random.pick([20, 3000])))) : undefined
    return Effect.tap(client.send(time === undefined ? question : asOf(question, time)), (outcome) => Effect.sync(() => {
      if (isAnswerOfStore(outcome)) this.#memories.push({ question, commit: commitOf(outcome), answer: essenceOf(outcome), time })
    }))
  }

  #recall(context: WorkloadContext, memory: Memory): Effect.Effect<Outcome> {
    return Effect.suspend(() => this.#judged(context, memory, context.client.send(again(memory))))
  }

  #judged(context: WorkloadContext, memory: Memory, read: Effect.Effect<Outcome>): Effect.Effect<Outcome> {
    const { passed } = this.#horizon
    return Effect.tap(read, (outcome) => Effect.sync(() => this.#judge(context, memory, outcome, passed)))
  }

  #judge({ merciless, probe }: WorkloadContext, { question, commit, answer, time }: Memory, outcome: Outcome, passed: number): void {
    if (outcome._tag !== "Answered" || outcome.status >= 500 || merciless) return
    const what = `${question.method} ${question.path} ${JSON.stringify({ ...question.query, ...question.headers })}${time === undefined ? "" : ` (first AS OF ${time})`}`
    if (!this.#horizon.judge(commit, outcome, what, passed)) return probe("recollection: history was let go")
    claim(commitOf(outcome) === commit, `${what} AS OF ${commit} is answered of commit ${commitOf(outcome)}`)
    const now = essenceOf(outcome)
    claim(now === answer, `${what} AS OF ${commit} is now\n  ${now}\nand was\n  ${answer}`)
  }

  readonly check = (context: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      for (const memory of this.#memories.slice(-rememberedMax)) yield* this.#judged(context, memory, settled(context, again(memory)))
      context.note(`recollection: ${this.#memories.length} answers are remembered`)
    })
}

export const recollectionWorkload: MakeWorkload = () => new Recollection()

const asOf = (question: Request, point: string): Request => ({ ...question, headers: { ...question.headers, "x-ouroboros-as-of": point } })
const again = ({ commit, question, time }: Memory): Request => asOf(question, time ?? String(commit))
