/**
 * Clients: what users of a store do, drawn from a seed: a few of them side by side on a handful of keys, each waiting
 * for its answers. What each is told goes to the oracle; what the store does for itself is asked for now and then.
 */
import { Effect } from "effect"
import { type BucketId, idOf, type UploadId } from "../../src/base/ids.ts"
import type { Change, CompletedPart, DeleteTarget, ObjectVersion, WriteCondition } from "../../src/namespace/Model.ts"
import { Gc } from "../../src/gc.ts"
import { Namespace, Refused } from "../../src/namespace/Namespace.ts"
import { type Body, BodyError } from "../../src/ports/Body.ts"
import { Put, type Stored } from "../../src/put.ts"
import { Retention } from "../../src/retention.ts"
import { Settle } from "../../src/settle.ts"
import type { Random } from "../../sim/Random.ts"
import type { Outcome } from "../../spec/ObjectStore.ts"
import type { Blob } from "../../sim/workload/Bodies.ts"
import { jsonOf, plain, signatureOf } from "../../sim/checker/Oracle.ts"
import { claim } from "../../sim/Violation.ts"
import { branchName, bucketNames, checkListings, checkObject, keyNames, orFaulty } from "./reads.ts"
import type { World } from "./world.ts"

interface Client {
  readonly world: World
  readonly random: Random
  readonly name: string
}

const attributesOf = (op: string, body: string) => ({ headers: {}, userMetadata: { op, body } })

/** Pulls of any size; now and then a client goes away in the middle. */
const bodyOf = ({ random }: Client, { bytes }: Blob): Body => {
  let at = 0
  const breaksAt = random.chance(0.05) ? random.below(bytes.length + 1) : Number.MAX_SAFE_INTEGER
  return {
    sizeBytes: random.chance(0.8) ? bytes.length : undefined,
    next: Effect.suspend((): Effect.Effect<Uint8Array | undefined, BodyError> => {
      if (at >= breaksAt) return Effect.fail(new BodyError({ reason: "Aborted", detail: "the client went away" }))
      if (at === bytes.length) return Effect.succeed(undefined)
      const taken = bytes.slice(at, at + 1 + random.below(Math.max(1, bytes.length)))
      at += taken.length
      return Effect.succeed(taken)
    })
  }
}

/** Asks, waits, and tells the oracle. `judged` says whether a refusal that is no commit may be. */
const ask = <A, E, R>(
  { world, name }: Client, signature: string, effect: Effect.Effect<A, E, R>,
  answered: (answer: A) => { readonly sequence: number; readonly outcome: Outcome }, judged: (refusal: string) => boolean = () => false
): Effect.Effect<void, never, R> =>
  Effect.gen(function*() {
    const { oracle } = world
    world.count("Asked")
    oracle.ask(signature)

    const result = yield* Effect.result(effect)
    if (result._tag === "Success") {
      const { sequence, outcome } = answered(result.success)
      oracle.told(signature, sequence, outcome)
      return world.note(`${name} ${signature} = ${sequence} ${jsonOf(outcome)}`)
    }
    const error = result.failure
    if (error instanceof Refused) {
      const { refusal, sequence } = error
      const isCommit = oracle.records[sequence]?.signature === signature
      if (isCommit || !judged(refusal)) oracle.told(signature, sequence, { refusal })
      return world.note(`${name} ${signature} refused ${refusal} ${sequence}`)
    }
    const wentAway = error instanceof BodyError && error.reason === "Aborted"
    const message = error instanceof Error ? error.message : jsonOf(error)
    claim(wentAway || world.faulty, `${signature} failed: ${message}`)
    world.count(wentAway ? "WentAway" : "Failed")
    world.note(`${name} ${signature} failed: ${message}`)
  })

const propose = (client: Client, change: Change) =>
  Effect.gen(function*() {
    yield* ask(client, signatureOf(change)!, (yield* Namespace).propose(change), ({ sequence, answer }) => ({ sequence, outcome: plain(answer) }))
  })

const storedOutcome = ({ sequence, versionId, etag }: Stored) => ({ sequence, outcome: { versionId, etag } })

const conditionOf = (client: Client, bucket: string, key: string): WriteCondition | undefined => {
  const { random, world: { oracle: { model } } } = client
  if (random.chance(0.8)) return undefined
  const etag = model.object(bucket, key, undefined, model.head)?.etag ?? ""
  const asked = random.pick(["*", etag === "" ? "nothing" : etag, "other"])
  return random.chance(0.5) ? { ifMatch: asked } : { ifNoneMatch: asked }
}

const putSignature = (bucket: string, key: string, op: string, condition: WriteCondition | undefined): string =>
  `PutObject ${bucket} ${key} ${op} ${jsonOf(condition)}`


const opOf = ({ name, world }: Client): string => `${name}-${world.lives}-${world.counts.get("Asked") ?? 0}`

/** In every other world some objects have an end, within the life of a store. Nothing is drawn: other worlds stay what they are. */
const lifeOf = (world: World): Readonly<Record<string, string>> => {
  const asked = world.counts.get("Asked") ?? 0
  return world.seed % 2 === 1 && asked % 3 === 0 ? { "x-ouroboros-ttl": String(1 + asked % 7) } : {}
}

const put = (client: Client, bucket: string, key: string) =>
  Effect.gen(function*() {
    const { world, random } = client
    const blob = world.bodies.draw(random)
    const op = opOf(client)
    const condition = conditionOf(client, bucket, key)
    const md5 = random.chance(0.5) ? blob.token : undefined
    const request = {
      bucket, key, attributes: { ...attributesOf(op, blob.token), headers: lifeOf(world) }, body: bodyOf(client, blob), summary: () => ({ md5, checksum: undefined }),
      ...(condition === undefined ? {} : { condition })
    }
    yield* ask(client, putSignature(bucket, key, op, condition), (yield* Put).object(request), storedOutcome)
  })

/** A version that exists now, of any key of a bucket. */
const someVersion = ({ world, random }: Client, bucket: string) => {
  const { model } = world.oracle
  const versions = model.listVersions(bucket, { prefix: "", delimiter: "", after: "", limit: 1000 }, undefined, model.head).items
  return versions.length === 0 ? undefined : random.pick(versions)
}

const copy = (client: Client, bucket: string, key: string) =>
  Effect.gen(function*() {
    const { random } = client
    const from = random.pick(bucketNames)
    const version = someVersion(client, from)
    if (version === undefined || version.deleteMarker) return
    const { sequence } = (yield* Namespace).head()
    const source: ObjectVersion | undefined = yield* Effect.catch(
      (yield* Namespace).object(from, version.key, version.versionId, sequence), () => Effect.succeed(undefined))
    if (source === undefined) return
    const op = opOf(client)
    const condition = conditionOf(client, bucket, key)
    const request = { source, bucket, key, attributes: attributesOf(op, version.body), ...(condition === undefined ? {} : { condition }) }
    yield* ask(client, putSignature(bucket, key, op, condition), (yield* Put).copy(request), storedOutcome)
  })

const remove = (client: Client, bucket: string) => {
  const { random } = client
  const count = random.chance(0.7) ? 1 : 1 + random.below(4)
  const targets = Array.from({ length: count }, (): DeleteTarget => {
    const version = random.chance(0.5) ? someVersion(client, bucket) : undefined
    if (version !== undefined) return { key: version.key, versionId: version.versionId }
    const key = random.pick(keyNames)
    const condition = random.chance(0.1) ? { ifMatch: "*" } : undefined
    return { key, ...(condition === undefined ? {} : { condition }) }
  })
  return propose(client, { _tag: "DeleteObjects", bucket, targets })
}

/** An upload from its creation to its end, whatever that is. */
const multipart = (client: Client, bucket: string, key: string) =>
  Effect.gen(function*() {
    const { world, random } = client
    const upload = idOf<UploadId>(random.bytes(16))
    yield* propose(client, { _tag: "CreateUpload", bucket, key, upload, attributes: attributesOf(opOf(client), "") })
    const count = 1 + random.below(3)
    const big = random.chance(0.1)
    for (let turn = 0; turn < count; turn += 1) {
      const partNumber = random.chance(0.8) ? turn + 1 : 1
      const blob = big && turn < count - 1 ? world.bodies.bigPart() : world.bodies.draw(random)
      const signature = `PutPart ${bucket} ${key} ${upload} ${partNumber} ${blob.token}`
      const request = { bucket, key, upload, partNumber, body: bodyOf(client, blob), summary: () => ({ md5: blob.token, checksum: undefined }) }
      yield* ask(client, signature, (yield* Put).part(request), storedOutcome)
      yield* pause(client)
    }
    if (random.chance(0.1)) return
    if (random.chance(0.2)) return yield* propose(client, { _tag: "AbortUpload", bucket, key, upload })
    yield* finish(client, bucket, key, upload)
  })

const finish = (client: Client, bucket: string, key: string, upload: UploadId) =>
  Effect.gen(function*() {
    const { world, random } = client
    const stored = [...world.oracle.model.uploads.get(upload)?.parts ?? []].sort(([a], [b]) => a - b)
    const chosen = random.chance(0.6) ? stored.slice(-1) : stored
    const parts = chosen.map(([partNumber, { etag }]): CompletedPart => ({ partNumber, etag: random.chance(0.05) ? "0".repeat(32) : etag }))
    const signature = `CompleteUpload ${bucket} ${key} ${upload} ${jsonOf(parts)}`
    const refusals = ["InvalidPart", "InvalidPartOrder", "EntityTooSmall", "NoSuchUpload", "NoSuchBucket"]
    const whole = parts.length > 0 && parts.every(({ partNumber, etag }, index) => {
      const part = world.oracle.model.uploads.get(upload)?.parts.get(partNumber)
      return part?.etag === etag && (index === parts.length - 1 || part.sizeBytes >= 5 * 1024 * 1024)
    })
    yield* ask(client, signature, (yield* Put).complete({ bucket, key, upload, parts }), storedOutcome, (refusal) => !whole && refusals.includes(refusal))
  })

const read = (client: Client, bucket: string, key: string) =>
  Effect.gen(function*() {
    const { world, random } = client

    const head = world.oracle.head
    const at = random.chance(0.6) ? head : random.below(head + 1)
    if (random.chance(0.25)) return yield* Effect.asVoid(checkListings(world, bucket, at, random.pick([1000, 2]), random.pick(["", "/"])))
    const version = random.chance(0.3) ? someVersion(client, bucket) : undefined
    if (version !== undefined) return yield* checkObject(world, bucket, version.key, version.versionId, at, random)
    yield* checkObject(world, bucket, key, undefined, at, random)
  })

/** AS OF a time is the newest commit then. */
const readTime = ({ world, random }: Client) =>
  Effect.gen(function*() {
    const ms = world.clock.nowMs - random.below(20_000)
    const found = yield* Effect.result((yield* Namespace).resolve({ _tag: "Time", ms }))
    const { oracle } = world
    const expected = oracle.sequenceAt(ms)
    if (found._tag === "Success") claim(found.success === expected, `the commit at ${ms} is ${found.success}, not ${expected}`)
    else claim(expected < oracle.oldestReadable, `AS OF ${ms}: ${found.failure.message}`)
  })

const housework = ({ world, random }: Client) =>
  Effect.gen(function*() {
    const choice = random.below(6)
    world.note(`housework ${choice}`)
    if (choice === 0) yield* (yield* Retention).raiseNow
    else if (choice === 1) yield* orFaulty(world, "checkpoint", (yield* Namespace).checkpoint(true))
    else if (choice >= 4) yield* orFaulty(world, "gc", (yield* Gc).run(random.chance(0.7)))
    else yield* orFaulty(world, "settleNow", (yield* Settle).settleNow)
  })

const pause = ({ random }: Client) =>
  Effect.suspend(() => random.chance(0.5) ? Effect.yieldNow : Effect.sleep(random.chance(0.1) ? random.below(4000) : random.below(100)))

/** Back to some commit, mostly one that differs from its neighbours; or a branch of it, by whatever name is free. */
const goBack = (client: Client, bucket: string) => {
  const { world: { oracle }, random } = client
  const to = random.chance(0.8) ? random.pick(oracle.interesting.slice(-30)) : random.below(oracle.head + 3)
  if (random.chance(0.6)) return propose(client, { _tag: "Rollback", bucket, to })
  const there = new Set(oracle.model.buckets(oracle.head).map(({ name }) => name))
  const free = branchNames.find((name) => !there.has(name)) ?? bucket
  return propose(client, { _tag: "Branch", bucket: free, source: bucket, id: idOf<BucketId>(random.bytes(16)), owner: "root", from: to })
}

const branchNames = [bucketNames[1], branchName]

const step = (client: Client) => {
  const { random, world } = client
  const bucket = random.chance(0.8) ? bucketNames[0] : world.historical && random.chance(0.5) ? branchName : bucketNames[1]
  if (world.historical && random.chance(0.06)) return goBack(client, bucket)
  const key = random.chance(0.5) ? keyNames[0] : random.pick(keyNames)
  const there = world.oracle.model.buckets(world.oracle.head).some(({ name }) => name === bucket)
  const draw = random.below(100)
  if (!there && draw < 70) return propose(client, { _tag: "CreateBucket", bucket, id: idOf<BucketId>(random.bytes(16)), owner: "root" })
  if (draw < 38) return put(client, bucket, key)
  if (draw < 46) return copy(client, bucket, key)
  if (draw < 58) return remove(client, bucket)
  if (draw < 66) return multipart(client, bucket, key)
  if (draw < 84) return read(client, bucket, key)
  if (draw < 87) return readTime(client)
  if (draw < 91) return propose(client, { _tag: "SetVersioning", bucket, status: random.pick(["Enabled", "Enabled", "Suspended"]) })
  if (draw < 92) return propose(client, { _tag: "DeleteBucket", bucket })
  return housework(client)
}

/** A few clients side by side, each with so many turns. */
export const clientsAtWork = (world: World, turns: number) =>
  Effect.suspend(() => {
    const count = 1 + world.random.below(3)
    const clients = Array.from({ length: count }, (_, index): Client => ({ world, random: world.random.fork(), name: `c${index}` }))
    const work = (client: Client) => Effect.gen(function*() {
      for (let turn = 0; turn < turns; turn += 1) {
        yield* step(client)
        yield* pause(client)
      }
    })
    return Effect.forEach(clients, work, { concurrency: "unbounded", discard: true })
  })
