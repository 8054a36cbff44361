/**
 * Registers: a few keys that many clients write, read, copy into, delete and fight over with conditions, in buckets with
 * versioning off, on and suspended; the history of each key must be linearizable (P2). Between SimulatedClient and spec/Linearizability.
 */
import { Effect } from "effect"
import { equalBytes } from "../../src/base/bytes.ts"
import { checkByKey, explain } from "../../spec/Linearizability.ts"
import { type KeyCondition, type KeyInput, type KeyOutput, type KeyVersioning, objectKeyModel } from "../../spec/ObjectKey.ts"
import type { Outcome, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { claim } from "../Violation.ts"
import { afterwards, type Answered, codeOf, etagOf, fateOf, insist, isAnswerOfStore } from "./Answer.ts"
import { type Blob, Bodies, contentMd5, md5Of } from "./Bodies.ts"
import { History } from "./History.ts"
import { bucketName, nameMark } from "./Names.ts"
import { settled } from "./Settled.ts"
import type { MakeWorkload, Workload, WorkloadContext } from "./Workload.ts"

const modes: ReadonlyArray<KeyVersioning> = ["Unversioned", "Enabled", "Suspended"]
const bucketOf = (mode: KeyVersioning): string => bucketName(`registers-${mode.toLowerCase()}`)
const modeOf = (bucket: string): KeyVersioning => modes.find((mode) => bucketOf(mode) === bucket)!
const contentSizes = [0, 5, 90, 199, 700, 5000, 20_000]
const sourceCount = 3
const opHeader = "x-amz-meta-op"

interface Content extends Blob {
  readonly etag: string
}

/** What one key's clients have seen: what they ask for by name, and put into conditions. */
interface Seen {
  readonly bucket: string
  readonly key: string
  readonly versionIds: Array<string>
  readonly etags: Array<string>
  /** Of writes whose outcome nobody knows. */
  unknowns: number
  /** Operations since, each counted once for every one of these. */
  doubt: number
}

/**
 * Each of them may take effect at any time: from so many on clients turn to a new key, or no search would ever decide what
 * a history could have been.
 */
const unknownsMax = 4
/** Where few are unknown, they may have come between any two of many operations that followed. */
const doubtMax = 150

class Registers implements Workload {
  readonly name = "registers"
  readonly perCost = 3
  readonly #history = new History<KeyInput, KeyOutput>()
  readonly #bodies = new Bodies({ marked: true })
  #contents: ReadonlyArray<Content> = []
  #keys: Array<Seen> = []
  /** Keys that clients have turned away from. */
  readonly #abandoned: Array<Seen> = []
  /** By its mark, what a write wrote. */
  readonly #written = new Map<string, Content>()
  #left = 0
  #marks = 0

  readonly setup = (context: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      const { client } = context
      const random = context.random.fork()
      this.#left = context.operations
      this.#contents = contentSizes.map((size) => {
        const blob = this.#bodies.ofSize(random, size)
        return { ...blob, etag: md5Of(blob.bytes) }
      })
      const used = modes.filter((_, index) => index === 0 || random.chance(0.7))
      const keyCount = 1 + random.below(3)
      this.#keys = used.flatMap((mode) => Array.from({ length: keyCount }, (_, index): Seen => ({ bucket: bucketOf(mode), key: `${"register/".repeat(index)}${nameMark}`, versionIds: [], etags: [], unknowns: 0, doubt: 0 })))
      for (const mode of used) {
        const path = `/${bucketOf(mode)}`
        yield* insist(client, { method: "PUT", path })
        if (mode !== "Unversioned") yield* insist(client, { method: "PUT", path, query: { versioning: "" }, body: versioningXml(mode) })
      }
      for (let index = 0; index < sourceCount; index += 1) {
        const content = this.#contents[(index * 2 + 2) % this.#contents.length]!
        yield* insist(client, { ...putRequest(`/${bucketOf("Unversioned")}/${sourceKey(index)}`, `source-${index}`, content), method: "PUT" })
      }
    })

  readonly start = (context: WorkloadContext) => {
    const clients = Array.from({ length: 2 + context.random.below(4) }, (_, index) => ({ name: `r${index}`, random: context.random.fork() }))
    return Effect.forEach(clients, ({ name, random }) => this.#work(context, name, random), { concurrency: "unbounded", discard: true })
  }

  #work(context: WorkloadContext, name: string, random: Random) {
    return Effect.gen({ self: this }, function*() {
      while (this.#left > 0) {
        this.#left -= 1
        const outcome = yield* this.#step(context, name, random)
        yield* afterwards(outcome, 20 + random.below(400))
        if (random.chance(0.3)) yield* Effect.sleep(random.below(100))
      }
    })
  }

  #step(context: WorkloadContext, name: string, random: Random): Effect.Effect<Outcome> {
    const seen = random.pick(this.#keys)
    const { bucket, key } = seen
    const draw = random.below(100)
    const versionId = seen.versionIds.length > 0 && random.chance(0.4) ? random.pick(seen.versionIds.slice(-6)) : undefined
    if (draw < 45) return this.#put(context, name, random, seen, draw < 12)
    if (draw < 60) return this.#ask(context, { _tag: "Delete", key: `${bucket}/${key}`, ...of(versionId, random.chance(0.15) ? conditionOf(random, seen) : undefined) }, seen, { method: "DELETE" })
    const method = random.chance(0.2) ? "HEAD" : "GET"
    return this.#ask(context, { _tag: "Get", key: `${bucket}/${key}`, ...of(versionId, random.chance(0.2) ? conditionOf(random, seen) : undefined) }, seen, { method })
  }

  #doubt(seen: Seen): void {
    seen.unknowns += 1
    if (seen.unknowns >= unknownsMax) this.#turnFrom(seen)
  }

  #turnFrom(seen: Seen): void {
    const index = this.#keys.indexOf(seen)
    if (index < 0) return
    this.#abandoned.push(seen)
    this.#keys[index] = { bucket: seen.bucket, key: `${seen.key}~`, versionIds: [], etags: [], unknowns: 0, doubt: 0 }
  }

  #put(context: WorkloadContext, name: string, random: Random, seen: Seen, copies: boolean) {
    const { bucket, key } = seen
    this.#marks += 1
    const mark = `${nameMark}-${name}-${this.#marks}`
    const source = random.below(sourceCount)
    const content = copies ? this.#contents[(source * 2 + 2) % this.#contents.length]! : random.pick(this.#contents)
    this.#written.set(mark, content)
    const input: KeyInput = { _tag: "Put", key: `${bucket}/${key}`, content: mark, etag: content.etag, ...of(undefined, random.chance(0.35) ? conditionOf(random, seen) : undefined) }
    const copying = { method: "PUT", headers: { "x-amz-copy-source": `/${bucketOf("Unversioned")}/${sourceKey(source)}`, "x-amz-metadata-directive": "REPLACE", [opHeader]: mark } }
    return this.#ask(context, input, seen, copies ? copying : putRequest("", mark, content, random))
  }

  #ask(context: WorkloadContext, input: KeyInput, seen: Seen, asked: Omit<Request, "path">): Effect.Effect<Outcome> {
    seen.doubt += seen.unknowns
    if (seen.doubt > doubtMax) this.#turnFrom(seen)
    const { condition, versionId } = input._tag === "Put" ? { ...input, versionId: undefined } : input
    const request: Request = {
      ...asked, path: `/${seen.bucket}/${seen.key}`, ...(versionId === undefined ? {} : { query: { versionId } }),
      headers: {
        ...asked.headers,
        ...(condition?.ifMatch === undefined ? {} : { "if-match": quoted(condition.ifMatch) }), ...(condition?.ifNoneMatch === undefined ? {} : { "if-none-match": quoted(condition.ifNoneMatch) })
      }
    }
    return Effect.suspend(() => {
      const label = `${asked.method} ${input._tag === "Put" ? input.content : ""} ${input.key}?${versionId ?? ""} ${condition === undefined ? "" : JSON.stringify(condition)}`
      const call = this.#history.call(input, label, context.lives())
      return Effect.map(context.client.send(request), (outcome) => {
        const output = this.#outputOf(input, outcome, asked.method)
        if (output !== undefined) {
          call.answered(output)
          this.#see(seen, output)
        } else if (fateOf(outcome) === "Unknown") {
          call.lost(context.lives())
          context.probe("registers: an outcome is unknown")
          this.#doubt(seen)
        } else call.none()
        context.note(`${label}: ${output === undefined ? fateOf(outcome) : JSON.stringify(output)}`)
        return outcome
      })
    })
  }

  #see({ etags, versionIds }: Seen, output: KeyOutput): void {
    const id = output._tag === "Stored" || output._tag === "Found" ? output.versionId : output._tag === "Deleted" || output._tag === "Missing" ? output.marker : undefined
    if (id !== undefined && id !== "null" && !versionIds.includes(id)) versionIds.push(id)
    if (output._tag === "Found" && etags.at(-1) !== output.etag) etags.push(output.etag)
  }

  /** What the store answered; undefined where it said nothing about the key. Bytes are judged here: they are the write's that it names. */
  #outputOf(input: KeyInput, outcome: Outcome, method: string): KeyOutput | undefined {
    if (!isAnswerOfStore(outcome)) return undefined
    const { headers, status } = outcome
    const versionId = headers.get("x-amz-version-id")
    const marker = headers.get("x-amz-delete-marker") === "true" && versionId !== undefined ? { marker: versionId } : {}
    if (status === 412) return { _tag: "PreconditionFailed" }
    if (status === 304) return { _tag: "NotModified" }
    if (status === 405) return { _tag: "Marker" }
    if (status === 404) {
      const code = codeOf(outcome)
      claim(code === "NoSuchKey" || code === "NoSuchVersion", `${method} ${input.key} is answered ${code}, and its bucket is there`)
      return { _tag: "Missing", ...marker }
    }
    claim(status < 300, `${method} ${input.key} is answered ${status} ${codeOf(outcome)}`)
    if (input._tag === "Put") return { _tag: "Stored", ...(versionId === undefined ? {} : { versionId }) }
    if (input._tag === "Delete") return { _tag: "Deleted", ...marker }
    return this.#foundOf(input, outcome, method)
  }

  #foundOf({ key }: KeyInput, answer: Answered, method: string): KeyOutput {
    const mark = answer.headers.get(opHeader) ?? ""
    const content = this.#written.get(mark)
    claim(content !== undefined, `${key} has the mark ${mark}, which nobody wrote`)
    claim(etagOf(answer) === content.etag, `${key} of ${mark} has the ETag ${etagOf(answer)}, it was written with ${content.etag}`)
    claim(answer.headers.get("content-length") === String(content.bytes.length), `${key} of ${mark} has ${answer.headers.get("content-length")} bytes, not ${content.bytes.length}`)
    claim(method === "HEAD" || equalBytes(answer.body, content.bytes), `${key} of ${mark} is what was written, byte for byte (${answer.body.length} bytes)`)
    const versionId = answer.headers.get("x-amz-version-id")
    return { _tag: "Found", content: mark, etag: content.etag, ...(versionId === undefined ? {} : { versionId }) }
  }

  /** Every key once more, by name and by every version that was ever seen; then all that was told is judged. */
  readonly check = (context: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      for (const seen of [...this.#keys, ...this.#abandoned]) {
        for (const versionId of [undefined, ...seen.versionIds.slice(-10)]) {
          const input: KeyInput = { _tag: "Get", key: `${seen.bucket}/${seen.key}`, ...of(versionId, undefined) }
          const call = this.#history.call(input, `the last GET of ${input.key}?${versionId ?? ""}`, context.lives())
          const outcome = yield* settled(context, { method: "GET", path: `/${seen.bucket}/${seen.key}`, ...(versionId === undefined ? {} : { query: { versionId } }) })
          const output = this.#outputOf(input, outcome, "GET")
          claim(output !== undefined || context.merciless, `${input.key} is read from a healed node: ${outcome._tag === "Answered" ? outcome.status : outcome.why}`)
          if (output === undefined) call.none()
          else call.answered(output)
        }
      }
      // What such faults took is named, and no history of one copy.
      if (context.merciless) return
      const judged = checkByKey(this.#history.operations(), ({ key }) => key, (key) => objectKeyModel(modeOf(key.slice(0, key.indexOf("/")))))
      const { operations, steps, configurations } = judged.verdict.sizes
      context.note(`linearizability: ${judged.verdict._tag}, ${operations} operations, ${steps} steps, ${configurations} configurations`)
      claim(judged.verdict._tag === "Linearizable", `${judged.key}: ${explain(judged.history, judged.verdict)}`)
    })
}

export const registersWorkload: MakeWorkload = () => new Registers()

const sourceKey = (index: number): string => `source-${nameMark}-${index}`

export const versioningXml = (status: "Enabled" | "Suspended"): Uint8Array =>
  new TextEncoder().encode(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`)

const of = (versionId: string | undefined, condition: KeyCondition | undefined) => ({
  ...(versionId === undefined ? {} : { versionId }), ...(condition === undefined ? {} : { condition })
})

const quoted = (etag: string): string => (etag === "*" ? "*" : `"${etag}"`)

const conditionOf = (random: Random, { etags }: Seen): KeyCondition => {
  const etag = random.pick(["*", etags.at(-1) ?? "*", etags.length === 0 ? "0".repeat(32) : random.pick(etags)])
  return random.chance(0.5) ? { ifMatch: etag } : { ifNoneMatch: etag }
}

/** With Content-MD5, whose hex is the ETag. Now and then in pieces, with a pause, or from a client that goes away. */
const putRequest = (path: string, mark: string, content: Content, random?: Random): Request => {
  const { bytes, etag } = content
  const request = { method: "PUT", path, headers: { "content-md5": contentMd5(etag), [opHeader]: mark } }
  if (random === undefined || random.chance(0.8) || bytes.length < 2) return { ...request, body: bytes }
  const pieces = [1 + random.below(bytes.length - 1)]
  if (random.chance(0.3)) return { ...request, body: { bytes, pieces, abortsAfterBytes: random.below(bytes.length) } }
  return { ...request, body: { bytes, pieces, stalls: [{ piece: random.below(2), ms: random.below(2000) }] } }
}
