/**
 * Returns: what goes comes back, within milliseconds: the same bytes are let go of, collected, sealed and sent again, by requests
 * that meet in every order; the source of a copy goes under it; the same new body comes twice at once; an operator undoes
 * the newest deletion; uploads that rested for long go on just when they are to be ended. It judges nothing itself: checker/Reference and checker/Noted do.
 */
import { Effect } from "effect"
import { fromUtf8, toUtf8 } from "../../src/base/bytes.ts"
import { bodyHeader, opHeader } from "../checker/Asked.ts"
import type { BodyPlan, Outcome, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { afterwards, etagOf, insist, textOf, xmlOf } from "./Answer.ts"
import { type Blob, Bodies } from "./Bodies.ts"
import { bucketName, keysOf, nameMark } from "./Names.ts"
import { settled } from "./Settled.ts"
import type { MakeWorkload, Workload, WorkloadContext } from "./Workload.ts"

const bucket = bucketName("returns")
/** How often one episode brings its bodies again. */
const roundsMax = 8
/** Of the housework that an operator asks for beside it. */
const collectionsMax = 5
/** Copies of one source at once: mostly one, for the first that is committed keeps what the others count on. */
const copiesMax = 6
const loneCopies = 0.7
/** How often nobody goes on with some uploads until they are stale, where the node ends such. */
const rests = 0.04
const restMs = 60_000
const restingMax = 4

/** A part that is sent again and again. */
interface Turn {
  readonly path: string
  readonly uploadId: string
}

const collection = (): Request => ({ method: "POST", path: "/v1/gc", to: "admin", query: { now: "1" } })
const settling = (): Request => ({ method: "POST", path: "/v1/settle", to: "admin" })
const rollbackTo = (to: number): Request => ({ method: "POST", path: "/v1/rollback", to: "admin", body: toUtf8(JSON.stringify({ bucket, to })) })

/** The commit that an answer names, of S3 or of the admin address. */
const commitIn = (outcome: Outcome): number | undefined => {
  if (outcome._tag !== "Answered" || outcome.status >= 300) return undefined
  const named = outcome.headers.get("x-ouroboros-commit") ?? /"commit": ?(\d+)/.exec(fromUtf8(outcome.body) ?? "")?.[1]
  return named === undefined ? undefined : Number(named)
}

/** The version that was stored, where it has a name: deleted by it, nothing but itself is hidden. */
const versionIn = (outcome: Outcome): Record<string, string> => {
  const versionId = outcome._tag === "Answered" ? outcome.headers.get("x-amz-version-id") : undefined
  return versionId === undefined ? {} : { versionId }
}

/** All but its end at once, and that after `ms`: most of it is looked up long before a commit names it. */
const lateEnd = (random: Random, bytes: Uint8Array, ms: number): BodyPlan =>
  ({ bytes, pieces: [bytes.length - 1 - random.below(Math.min(200, bytes.length - 1))], stalls: [{ piece: 1, ms }] })

const inAnyOrder = (effects: ReadonlyArray<Effect.Effect<Outcome>>): Effect.Effect<ReadonlyArray<Outcome>> => Effect.all(effects, { concurrency: "unbounded" })

/** Of eight bodies, how many have few chunks, and how many at most some. */
const sizes = { short: { few: 4, more: 6 }, full: { few: 6, more: 7 } } as const

class Returns implements Workload {
  readonly name = "returns"
  readonly #bodies = new Bodies({ marked: true })
  readonly #keys = keysOf(4)
  #left = 0
  #marks = 0
  #sizes: (typeof sizes)[keyof typeof sizes] = sizes.short

  readonly setup = ({ client, operations, profile, random }: WorkloadContext) =>
    Effect.gen({ self: this }, function*() {
      this.#left = operations
      this.#sizes = sizes[profile]
      yield* insist(client, { method: "PUT", path: `/${bucket}` })
      if (random.chance(0.3)) yield* insist(client, { method: "PUT", path: `/${bucket}`, query: { versioning: "" }, body: toUtf8("<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>") })
    })

  readonly start = (context: WorkloadContext) => {
    const clients = Array.from({ length: context.random.pick([1, 1, 2]) }, () => context.random.fork())
    return Effect.forEach(clients, (random) => this.#work(context, random), { concurrency: "unbounded", discard: true })
  }

  #work(context: WorkloadContext, random: Random) {
    return Effect.gen({ self: this }, function*() {
      // Elsewhere the source of a copy stays.
      const churns = context.isFleeting ? 2 : 6
      while (this.#left > 0) {
        const draw = random.below(10)
        const outcome = yield* random.chance(rests) ? this.#rested(context, random) : draw < churns ? this.#churn(context, random) : draw < 7 ? this.#copied(context, random) : draw < 9 ? this.#twice(context, random) : this.#undone(context, random)
        yield* afterwards(outcome, 20 + random.below(400))
        yield* Effect.sleep(random.below(random.pick([10, 1000, 5000])))
      }
    })
  }

  #ask({ client }: WorkloadContext, request: Request): Effect.Effect<Outcome> {
    this.#left -= 1
    return client.send(request)
  }

  #pathOf(random: Random): string {
    return `/${bucket}/${random.pick(this.#keys)}`
  }

  #put(context: WorkloadContext, path: string, blob: Blob): Effect.Effect<Outcome> {
    this.#marks += 1
    return this.#ask(context, { method: "PUT", path, body: blob.bytes, headers: { [opHeader]: `${nameMark}-b-${this.#marks}`, [bodyHeader]: blob.token } })
  }

  #part(context: WorkloadContext, { path, uploadId }: Turn, body: Uint8Array | BodyPlan): Effect.Effect<Outcome> {
    return this.#ask(context, { method: "PUT", path, query: { uploadId, partNumber: "1" }, body })
  }

  /** Of few chunks, which go to the journal, or of so many that they make blocks and pages, one after another. */
  #body(random: Random): Blob {
    const draw = random.below(8)
    const { few, more } = this.#sizes
    return this.#bodies.ofSize(random, draw < few ? 1200 + random.below(4500) : draw < more ? 6500 + random.below(4000) : 17_500 + random.below(10_000))
  }

  #begun(context: WorkloadContext, random: Random) {
    return Effect.gen({ self: this }, function*() {
      this.#marks += 1
      const path = this.#pathOf(random)
      const begun = yield* this.#ask(context, { method: "POST", path, query: { uploads: "" }, headers: { [opHeader]: `${nameMark}-b-${this.#marks}` } })
      const turn: Turn | undefined = begun._tag !== "Answered" || begun.status >= 300 ? undefined
        : { path, uploadId: textOf(xmlOf(begun, "InitiateMultipartUploadResult"), "UploadId") ?? "" }
      return { begun, turn }
    })
  }

  /** Several uploads rest until they are stale; a collection ends one after another, and their clients go on with them meanwhile. */
  #rested(context: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const all = yield* Effect.forEach(Array.from({ length: 1 + random.below(restingMax) }), () => this.#begun(context, random))
      const resting = all.flatMap(({ turn }) => (turn === undefined ? [] : [{ turn, body: this.#body(random).bytes }]))
      for (const { body, turn } of resting) yield* this.#part(context, turn, body)
      yield* Effect.sleep(restMs + random.below(200))
      const apartMs = random.pick([2, 10, 50])
      const goneOn = resting.map(({ body, turn }) => Effect.andThen(Effect.sleep(random.below(apartMs)), Effect.suspend(() => this.#completed(context, turn, body))))
      yield* inAnyOrder([this.#ask(context, collection()), ...goneOn])
      return all.at(-1)!.begun
    })
  }

  /** Two bodies take each other's place as the part of an upload, which needs no retention, and operators seal and collect just then. */
  #churn(context: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const { begun, turn } = yield* this.#begun(context, random)
      if (turn === undefined) return begun
      const one = this.#body(random)
      // What lies in its row takes one commit to come: the very next after whoever begins to count on the chunks that it lets go of.
      const other = random.chance(0.5) ? random.bytes(1 + random.below(190)) : this.#bodies.ofSize(random, one.bytes.length + 1 + random.below(500)).bytes
      let isOver = random.chance(0.6)
      const rounds = Effect.gen({ self: this }, function*() {
        for (let left = 1 + random.below(roundsMax); left > 0 && this.#left > 0; left -= 1) {
          yield* this.#part(context, turn, one.bytes)
          yield* random.chance(0.5) ? this.#again(context, random, turn, one.bytes, other) : this.#meanwhile(context, random, turn, one.bytes, other)
        }
        isOver = true
      })
      yield* Effect.all([rounds, this.#collects(context, random, () => isOver)], { concurrency: "unbounded" })
      return random.chance(0.6) ? yield* this.#completed(context, turn, one.bytes) : begun
    })
  }

  /** An operator who seals and collects without a pause. */
  #collects(context: WorkloadContext, random: Random, isOver: () => boolean) {
    return Effect.gen({ self: this }, function*() {
      for (let asked = 0; asked < collectionsMax && !isOver(); asked += 1) {
        yield* this.#ask(context, random.chance(0.7) ? collection() : settling())
        yield* Effect.sleep(random.below(random.pick([30, 300])))
      }
    })
  }

  /** It is let go of, and comes again while it is being sealed and collected. */
  #again(context: WorkloadContext, random: Random, turn: Turn, one: Uint8Array, other: Uint8Array) {
    return Effect.gen({ self: this }, function*() {
      yield* this.#part(context, turn, other)
      const apartMs = random.pick([1, 4, 20, 100, 400])
      const after = (effect: Effect.Effect<Outcome>) => Effect.andThen(Effect.sleep(random.below(apartMs)), effect)
      const sealed = random.chance(one.length < 6000 ? 0.8 : 0.2) ? [this.#ask(context, settling())] : []
      const collected = Effect.suspend(() => this.#ask(context, collection()))
      const back = Effect.suspend(() => this.#part(context, turn, random.chance(0.5) ? lateEnd(random, one, random.below(random.pick([10, 300]))) : one))
      yield* inAnyOrder([...sealed, after(collected), after(random.chance(0.5) ? after(back) : back)])
    })
  }

  /** It comes again, and is let go of and collected before its end has come. */
  #meanwhile(context: WorkloadContext, random: Random, turn: Turn, one: Uint8Array, other: Uint8Array) {
    const ms = random.pick([5, 20, 100])
    const gone = Effect.andThen(Effect.sleep(random.below(ms)), Effect.suspend(() => this.#part(context, turn, other)))
    const collected = Effect.andThen(gone, Effect.suspend(() => this.#ask(context, collection())))
    return inAnyOrder([this.#part(context, turn, lateEnd(random, one, 2 * ms + random.below(10 * ms))), collected])
  }

  #completed(context: WorkloadContext, turn: Turn, one: Uint8Array): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const last = yield* this.#part(context, turn, one)
      if (last._tag !== "Answered" || last.status >= 300) return last
      const body = toUtf8(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"${etagOf(last)}"</ETag></Part></CompleteMultipartUpload>`)
      const { path, uploadId } = turn
      yield* this.#ask(context, { method: "POST", path, query: { uploadId }, body })
      return yield* this.#ask(context, { method: "GET", path })
    })
  }

  /** The source of a copy goes, and what it had is collected, while the copy is under way. */
  #copied(context: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const from = this.#pathOf(random)
      const query = versionIn(yield* this.#put(context, from, this.#body(random)))
      const copies = Array.from({ length: random.chance(loneCopies) ? 1 : 1 + random.below(copiesMax) }, () => this.#pathOf(random)).map((to) =>
        Effect.andThen(Effect.sleep(random.below(4)), Effect.suspend(() => this.#ask(context, { method: "PUT", path: to, headers: { "x-amz-copy-source": from } }))))
      const gone = Effect.andThen(Effect.sleep(1 + random.below(random.pick([3, 10, 100]))), Effect.suspend(() => this.#ask(context, { method: "DELETE", path: from, query })))
      let under = copies.length
      const told = copies.map((copy) => Effect.ensuring(copy, Effect.sync(() => { under -= 1 })))
      // For as long as one is under way: a retention of milliseconds is over by then.
      const [outcomes] = yield* Effect.all([inAnyOrder(told), Effect.andThen(gone, this.#collects(context, random, () => under === 0))], { concurrency: "unbounded" })
      return outcomes[0]!
    })
  }

  /** The same new body under two names at once; one of the two goes soon, and it is sealed and collected at the same time. */
  #twice(context: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const blob = this.#body(random)
      const paths = [this.#pathOf(random), this.#pathOf(random)]
      const ms = random.pick([1, 5, 50])
      const [outcome] = yield* inAnyOrder(paths.map((path) => Effect.andThen(Effect.sleep(random.below(ms)), Effect.suspend(() => this.#put(context, path, blob)))))
      if (random.chance(0.5)) yield* this.#ask(context, { method: "DELETE", path: random.pick(paths) })
      // With nobody at work whom a collection would wait for.
      const collected = Effect.andThen(Effect.sleep(random.below(random.pick([2, 10, 100]))), Effect.suspend(() => this.#ask(context, collection())))
      if (random.chance(0.6)) yield* inAnyOrder([this.#ask(context, settling()), collected])
      return outcome!
    })
  }

  /** An operator goes back to just before the newest deletion, more than once. */
  #undone(context: WorkloadContext, random: Random): Effect.Effect<Outcome> {
    return Effect.gen({ self: this }, function*() {
      const path = this.#pathOf(random)
      const stored = yield* this.#put(context, path, this.#body(random))
      for (let times = 2 + random.below(2); times > 0; times -= 1) {
        const query = random.chance(0.2) ? {} : versionIn(stored)
        const commit = commitIn(yield* this.#ask(context, { method: "DELETE", path, query }))
        if (commit === undefined) break
        yield* this.#ask(context, rollbackTo(commit - 1))
        yield* this.#ask(context, { method: "GET", path })
      }
      return stored
    })
  }

  readonly check = (context: WorkloadContext) =>
    Effect.forEach(this.#keys, (key) => settled(context, { method: "GET", path: `/${bucket}/${key}` }), { discard: true })
}

export const returnsWorkload: MakeWorkload = () => new Returns()
