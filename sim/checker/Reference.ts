/**
 * Reference: the reference model in lock-step with the node, commit by commit, and every answer that any client gets judged by
 * it: what was applied once is there for ever, was asked for, answers what the model answers; and what is read at a commit,
 * by whoever, is what the model has there (P1, P2, P3). It sits between all clients of a world, its node and spec/ObjectStore.
 */
import { Effect } from "effect"
import { concatBytes, fromUtf8 } from "../../src/base/bytes.ts"
import { parseIso } from "../../src/gateway/s3/HttpDate.ts"
import { hashOf } from "../../src/base/hash.ts"
import { millisOf } from "../../src/base/time.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import type { Outcome, Request } from "../Client.ts"
import { claim } from "../Violation.ts"
import { type Answered, codeOf, commitOf, etagOf, fateOf, textOf, xmlOf } from "../workload/Answer.ts"
import { asksOf, askOf, bodyHeader, bytesOf, targetOf } from "./Asked.ts"
import { type AtRest, type CheckedWorld, type Checker, type MakeChecker, steadyMsMin } from "./Checker.ts"
import { type CommitRecord, jsonOf, Oracle } from "./Oracle.ts"
import { hurtAndHeal } from "./Hurt.ts"
import { checkPast } from "./Past.ts"
import { judgeDiff, judgeRead, type ReadView } from "./ReadJudge.ts"

const tokenDigits = 32
/** Bytes that nobody knows: a copy of what a lost request left. */
const unknownToken = "?".repeat(tokenDigits)
/** Of commits between a question and an error: it names no commit, so that any of them may be what it saw. */
const commitsTriedMax = 200

/** When a request was sent: the last commit, and the last that anybody was told of. */
interface Sent {
  readonly ask: string | undefined
  readonly head: number
  readonly told: number
  /** What the node's wall clock said. */
  readonly wallMs: number
}

class Reference implements Checker {
  readonly name = "reference"
  readonly #bodies = new Map<string, Uint8Array>()
  /** Tokens by upload, part number and size. */
  readonly #parts = new Map<string, string>()
  /** Where a listing goes on, by its token. */
  readonly #positions = new Map<string, string>()
  readonly #sent = new Map<Request, Sent>()
  readonly #oracle = new Oracle({
    signaturesOf: asksOf,
    partBody: ({ content, partNumber, upload }) => this.#parts.get(`${upload} ${partNumber} ${content.sizeBytes}`) ?? unknownToken
  })
  #told = 0
  /** The latest time that was read AS OF. */
  #readMs = -1
  #isOff = false
  #world: CheckedWorld | undefined

  begin(world: CheckedWorld): void {
    this.#world = world
    this.#isOff = world.merciless
  }

  readonly applied: Oracle["applied"] = (entry, answer) => {
    if (this.#isOff) return
    claim(entry.sequence <= this.#oracle.head || millisOf(entry.time) > this.#readMs, `commit ${entry.sequence} is of ${millisOf(entry.time)}, and ${this.#readMs} was read AS OF before`)
    this.#oracle.applied(entry, answer)
    if (this.#oracle.broken !== undefined) throw this.#oracle.broken
  }

  readonly sent = (request: Request): void => {
    if (this.#isOff) return
    const ask = askOf(request)
    if (ask !== undefined) this.#oracle.ask(ask)
    this.#sent.set(request, { ask, head: this.#oracle.head, told: this.#told, wallMs: this.#world?.clock().wallMs ?? 0 })
    if (request.to !== "admin" && request.method === "PUT") this.#remember(request)
  }

  readonly heard = (request: Request, outcome: Outcome): void => {
    const sent = this.#sent.get(request)
    this.#sent.delete(request)
    if (sent === undefined || this.#isOff) return
    // An administrator's refusal names no commit: whether one was made of it nobody can tell.
    const isTelling = request.to !== "admin" || outcome._tag !== "Answered"
    if (fateOf(outcome) === "NotDone" && sent.ask !== undefined && isTelling) this.#refused(sent.ask, outcome)
    judgeParts(request, outcome)
    if (outcome._tag !== "Answered" || outcome.status >= 500) return
    if (request.to === "admin") return this.#heardOfAdmin(request, outcome, sent)
    if (sent.ask === undefined) this.#judge(request, outcome, sent)
    else if (outcome.status < 300) this.#done(request, outcome, sent.ask)
  }

  /** Bytes by their tokens, and which token a part has. */
  #remember(request: Request): void {
    const { headers = {}, query = {} } = request
    const source = headers["x-amz-copy-source"]
    const bytes = source === undefined ? bytesOf(request.body) : this.#copied(source, headers["x-amz-copy-source-range"])
    if (bytes === undefined) return
    const token = hashOf(bytes).slice(0, tokenDigits)
    if (query["uploadId"] !== undefined) {
      const part = `${query["uploadId"]} ${Number(query["partNumber"])} ${bytes.length}`
      this.#parts.set(part, (this.#parts.get(part) ?? token) === token ? token : unknownToken)
      this.#bodies.set(token, bytes)
    } else if (headers[bodyHeader] === token) this.#bodies.set(token, bytes)
  }

  /** Of a version that is named, which cannot become another meanwhile. */
  #copied(source: string, range: string | undefined): Uint8Array | undefined {
    const match = /^\/([^/]+)\/(.*)\?versionId=([0-9a-f]{20})$/.exec(source)
    if (match === null) return undefined
    const version = this.#oracle.model.object(match[1]!, decodeURIComponent(match[2]!), match[3], this.#oracle.head)
    const bytes = version === undefined ? undefined : this.#bytesOf(version.body)
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? []
    return first === undefined || bytes === undefined ? bytes : bytes.subarray(Number(first), Number(last) + 1)
  }

  readonly #bytesOf = (body: string): Uint8Array | undefined => {
    const parts: Array<Uint8Array> = []
    for (let at = 0; at < body.length; at += tokenDigits) {
      const bytes = this.#bodies.get(body.slice(at, at + tokenDigits))
      if (bytes === undefined) return undefined
      parts.push(bytes)
    }
    return parts.length === 0 ? undefined : concatBytes(parts)
  }

  /** What is refused is not done, ever; that it was refused may be a commit itself. */
  #refused(ask: string, outcome: Outcome): void {
    const commit = outcome._tag === "Answered" && outcome.headers.has("x-ouroboros-commit") ? commitOf(outcome) : 0
    const record = this.#oracle.records[commit]
    if (record?.signature === ask && isRefusal(record)) return
    this.#oracle.unask(ask)
  }

  /** A write that was done is the commit that it names, with the answer that the model gave. */
  #done(request: Request, answer: Answered, ask: string): void {
    const commit = commitOf(answer)
    const record = this.#oracle.records[commit]
    claim(record !== undefined, `${ask} is told to be commit ${commit}, and ${this.#oracle.head} is the last`)
    this.#told = Math.max(this.#told, commit)
    // The mark of a copy is its source's.
    claim(record.signature === ask || record.signature === ask.replace(/ [^ ]*$/, " *"), `${ask} is told to be commit ${commit}, which is ${record.signature}`)
    claim(!("refusal" in record.outcome), `${ask} is told to be done, and commit ${commit} refused it: ${jsonOf(record.outcome)}`)
    if ("etag" in record.outcome) {
      const { etag, versionId } = record.outcome
      const told = toldOf(request, answer)
      claim(told === undefined || told === etag, `${ask} is told the ETag ${told}, commit ${commit} has ${etag}`)
      const id = answer.headers.get("x-amz-version-id")
      claim("uploadId" in (request.query ?? {}) || id === versionId, `${ask} is told the version ${id}, commit ${commit} has ${versionId}`)
    }
    if ("deleted" in record.outcome && request.method === "DELETE") {
      const { deleteMarker, deleteMarkerVersionId, versionId } = record.outcome.deleted[0]!
      const id = answer.headers.get("x-amz-version-id")
      claim((answer.headers.get("x-amz-delete-marker") === "true") === deleteMarker && id === (deleteMarkerVersionId ?? versionId),
        `${ask} is told the version ${id}, commit ${commit} says ${jsonOf(record.outcome)}`)
    }
  }

  #heardOfAdmin(request: Request, answer: Answered, { ask }: Sent): void {
    if (answer.status !== 200) return
    if (request.path === "/v1/diff") {
      const complaint = judgeDiff(this.#oracle.model, request.query ?? {}, answer)
      return claim(complaint === undefined, `diff ${jsonOf(request.query)}: ${complaint}`)
    }
    if (ask === undefined) return
    const { commit } = JSON.parse(Buffer.from(answer.body).toString("utf8")) as { readonly commit: number }
    this.#told = Math.max(this.#told, commit)
    claim(this.#oracle.records[commit]?.signature === ask, `${ask} is told to be commit ${commit}, which is ${this.#oracle.records[commit]?.signature}`)
  }

  /** A read sees everything that anybody was told of before it was sent, and nothing but what a commit has. */
  #judge(request: Request, answer: Answered, sent: Sent): void {
    const { head, oldestReadable, model, times } = this.#view()
    const what = `${request.method} ${request.path} ${jsonOf({ ...request.query, ...request.headers })}`
    const asked = request.headers?.["x-ouroboros-as-of"]
    const token = request.query?.["continuation-token"]
    const code = answer.status === 400 ? codeOf(answer) : ""
    const sequence = asked !== undefined && /^\d+$/.test(asked) ? Number(asked) : undefined
    if (code === "AsOfBeforeHorizon") return claim(sequence === undefined || sequence < oldestReadable, `${what}: before the horizon, which is ${oldestReadable}`)
    if (code === "AsOfInFuture") return claim(sequence === undefined || sequence > sent.head, `${what}: in the future, and ${sent.head} was the head`)
    if (code !== "") return
    const commit = commitOf(answer)
    claim(commit <= head, `${what} is answered of commit ${commit}, and ${head} is the last`)
    const isPast = asked !== undefined
    // As of a time, what has a time to live is judged by that time, which lies behind the commit's own.
    const view = { model, isPast: sequence !== undefined, sureMs: isPast ? undefined : this.#sureMs(sent), bytesOf: this.#bytesOf, positionOf: (name: string) => this.#positions.get(name) } satisfies Omit<ReadView, "at">
    if (!isPast && token === undefined) claim(commit >= sent.told, `${what} is answered of commit ${commit}, and ${sent.told} was acknowledged before it was asked`)
    if (sequence !== undefined && answer.status < 400) claim(commit === sequence, `${what} is answered of commit ${commit}`)
    if (isPast && sequence === undefined && answer.status < 400) this.#judgeTime(asked, commit, times, what)
    if (answer.status < 400) {
      const complaint = judgeRead({ ...view, at: commit }, request, answer)
      claim(complaint === undefined, `${what} at commit ${commit}: ${complaint}`)
      return this.#follow(request, answer)
    }
    // An error names the commit at which it was answered, at best.
    if (isPast && sequence === undefined) return
    const first = sequence ?? Math.max(sent.told, commit - commitsTriedMax)
    let complaint: string | undefined
    for (let at = sequence ?? commit; at >= first; at -= 1) {
      complaint = judgeRead({ ...view, at }, request, answer)
      if (complaint === undefined) return
    }
    claim(complaint === undefined, `${what} at every commit from ${first} to ${commit}: ${complaint}`)
  }

  /** What was read now was read at that time of the node's clock or later; undefined: its clock was set meanwhile. */
  #sureMs({ wallMs }: Sent): number | undefined {
    const clock = this.#world?.clock()
    return clock === undefined || clock.steadyMs < steadyMsMin ? undefined : Math.min(wallMs, clock.wallMs)
  }

  #view() {
    const { head, model, oldestReadable } = this.#oracle
    return { head, model, oldestReadable, times: model.times }
  }

  /** AS OF a time is the newest commit then, and no later one comes to lie before it: in no life, by no clock. */
  #judgeTime(asked: string, commit: number, times: ReadonlyArray<number>, what: string): void {
    const ms = parseIso(asked) ?? 0
    claim(commit === 0 || times[commit]! <= ms, `${what} is answered of commit ${commit}, of ${times[commit]}`)
    const next = commit + 1
    claim(times[next] === undefined || times[next] > ms, `${what} is answered of commit ${commit}, and ${next} was there at ${times[next]}`)
    this.#readMs = Math.max(this.#readMs, ms)
  }

  #follow(request: Request, answer: Answered): void {
    if (request.query?.["list-type"] !== "2" || request.query["encoding-type"] !== "url") return
    const root = xmlOf(answer, "ListBucketResult")
    const token = textOf(root, "NextContinuationToken")
    if (token === undefined) return
    const names = ["Contents", "CommonPrefixes"].flatMap((element) => (root.children.get(element) ?? []).map((node) => decodeURIComponent(textOf(node, "Key") ?? textOf(node, "Prefix") ?? "")))
    const last = names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).at(-1)
    if (last !== undefined) this.#positions.set(token, last)
  }

  /** Everything that was ever applied is there, and the horizon is where it was raised to. */
  readonly atRest = ({ note, random }: AtRest) =>
    Effect.gen({ self: this }, function*() {
      if (this.#isOff) return
      const namespace = yield* Namespace
      const { head, oldestReadable, counts } = this.#oracle
      claim(namespace.head().sequence === head, `the store ends with commit ${namespace.head().sequence}, and ${head} were applied`)
      claim(namespace.oldestReadable() === oldestReadable, `the horizon is ${namespace.oldestReadable()}, not ${oldestReadable}`)
      yield* checkPast(this.#oracle.model, oldestReadable, random, this.#bytesOf)
      note(`reference: ${head} commits: ${[...counts].map(([name, count]) => `${name} ${count}`).join(", ")}`)
    })

  /** What is still to be read then is what it was. */
  readonly later = this.atRest

  /** A chunk is harmed where it lies: its object is not read as something else, and whoever sends the same bytes again heals it. */
  readonly hurt = (rest: AtRest) =>
    Effect.suspend(() => {
      this.#isOff = true
      return hurtAndHeal(this.#oracle.model, rest, this.#bytesOf)
    })
}

export const referenceChecker: MakeChecker = () => new Reference()

/** One part alone is never too small, nor out of order. */
const judgeParts = (request: Request, outcome: Outcome): void => {
  if (outcome._tag !== "Answered" || outcome.status !== 400 || request.method !== "POST" || request.query?.["uploadId"] === undefined) return
  const code = codeOf(outcome)
  const parts = fromUtf8(bytesOf(request.body))?.match(/<Part>/g)?.length ?? 0
  claim(parts > 1 || (code !== "EntityTooSmall" && code !== "InvalidPartOrder"), `an upload is completed with ${parts} part, and is answered ${code}`)
}

const isRefusal = ({ outcome }: CommitRecord): boolean =>
  "refusal" in outcome || ("deleted" in outcome && outcome.deleted[0]?.refusal !== undefined)

/** The ETag that a write is told, in a header or in XML. */
const toldOf = (request: Request, answer: Answered): string | undefined => {
  if (answer.headers.has("etag")) return etagOf(answer)
  const { key } = targetOf(request)
  if (key === "" || answer.body.length === 0) return undefined
  const root = request.method === "POST" ? "CompleteMultipartUploadResult" : request.query?.["uploadId"] === undefined ? "CopyObjectResult" : "CopyPartResult"
  return textOf(xmlOf(answer, root), "ETag")?.replace(/^"(.*)"$/, "$1")
}
