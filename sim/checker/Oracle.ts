/**
 * Oracle: the reference model run in lock-step with the store. It sits between the store's stream of applied commits,
 * what clients asked for and were told, and the reads that must show it all again after every crash.
 *
 * 1. Every commit that was applied once is there for ever, under the same sequence, the same to the bit: what is applied
 *    is durable, so what was acknowledged is too.
 * 2. Every commit was asked for, and is applied at most as often as it was asked for.
 * 3. An answer is what the model answers at that sequence.
 * 4. Commits that nobody was told of may turn up in recovery, whole; the model takes them in then.
 */
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import { type HybridTime, millisOf } from "../../src/base/time.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer, Change } from "../../src/namespace/Model.ts"
import { ObjectStore, type Outcome } from "../../spec/ObjectStore.ts"
import { claim } from "../Violation.ts"

/** How the oracle knows who asked for a commit, and which bytes it names. */
export interface Reading {
  /** Who may have asked, the likeliest first; undefined: the store's own housework. */
  readonly signaturesOf: (change: Change) => ReadonlyArray<string> | undefined
  /** The token of a part's bytes. */
  readonly partBody: (change: Extract<Change, { readonly _tag: "PutPart" }>) => string
}

export interface CommitRecord {
  readonly signature: string
  readonly digest: string
  readonly time: HybridTime
  readonly outcome: Outcome
}

const names = new Map<string, string>()

/** A field's name as JSON. There are few of them, but for those that users make up. */
const quoted = (name: string): string => {
  const known = names.get(name)
  if (known !== undefined) return known
  const text = JSON.stringify(name)
  if (names.size < namesMax) names.set(name, text)
  return text
}
const namesMax = 1000

/**
 * JSON with fields in one order: what was decoded has them in the order of the format, what a client made in its own. Bytes
 * are hex, whatever class shows them. Every commit of every life is compared so: JSON.stringify with a replacer takes thrice the time.
 */
export const jsonOf = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value)
  if (typeof value === "bigint") return `"${value}"`
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null"
  if (value instanceof Uint8Array) return `"${toHex(value)}"`
  if (Array.isArray(value)) return `[${value.map(jsonOf).join()}]`
  const fields = value as Readonly<Record<string, unknown>>
  let text = ""
  for (const name of Object.keys(fields).sort()) {
    const field = fields[name]
    if (field !== undefined) text += `${text === "" ? "" : ","}${quoted(name)}:${jsonOf(field)}`
  }
  return `{${text}}`
}

/** Who asked for a change, as far as the change itself tells; undefined: the store's own housework. */
export const signatureOf = (change: Change): string | undefined => {
  switch (change._tag) {
    case "CreateBucket":
      return `CreateBucket ${change.id}`
    case "DeleteBucket":
      return `DeleteBucket ${change.bucket}`
    case "SetVersioning":
      return `SetVersioning ${change.bucket} ${change.status}`
    case "PutObject":
      return `PutObject ${change.bucket} ${change.key} ${change.attributes.userMetadata["op"]} ${jsonOf(change.condition)}`
    case "DeleteObjects":
      return `DeleteObjects ${change.bucket} ${jsonOf(change.targets)}`
    case "CreateUpload":
      return `CreateUpload ${change.bucket} ${change.key} ${change.upload}`
    case "PutPart":
      return `PutPart ${change.bucket} ${change.key} ${change.upload} ${change.partNumber} ${change.content.etag}`
    case "CompleteUpload":
      return `CompleteUpload ${change.bucket} ${change.key} ${change.upload} ${jsonOf(change.parts)}`
    case "AbortUpload":
      return `AbortUpload ${change.bucket} ${change.key} ${change.upload}`
    case "Rollback":
      return `Rollback ${change.bucket} ${change.to}`
    case "Branch":
      return `Branch ${change.bucket} ${change.id} ${change.source} ${change.from}`
    case "DropParts": case "StagePage": case "BlockSealed": case "RaiseHorizon": case "ChunksHealed":
    case "PurgeVersions": case "DropHistory": case "FreeChunks": case "DropBlock": case "ReindexChunks": case "ExpireVersions": case "ExpireAgain":
    case "AbortStaleUpload":
      return undefined
  }
}

const ttlOf = ({ attributes }: Extract<Change, { readonly _tag: "PutObject" }>): number | undefined => {
  const seconds = attributes.headers["x-ouroboros-ttl"]
  return seconds === undefined ? undefined : Number(seconds)
}

/** Each change says by itself who asked, and parts were sent with the MD5 that is their token. */
const plainReading: Reading = {
  signaturesOf: (change) => {
    const signature = signatureOf(change)
    return signature === undefined ? undefined : [signature]
  },
  partBody: ({ content }) => content.etag
}

export class Oracle {
  readonly #reading: Reading
  readonly model = new ObjectStore()
  /** By sequence; [0] is the empty store. */
  readonly records: Array<CommitRecord | undefined> = [undefined]
  /** Commits that changed what S3 shows: all the points of history that differ. */
  readonly interesting: Array<number> = [0]
  /** How often each change was asked for and is not applied yet. */
  readonly #asked = new Map<string, number>()
  /** Commits by what they change, and those that were refused. */
  readonly counts = new Map<string, number>()
  /** Thrown inside the store it would be the store's defect: kept, and thrown by whoever drives. */
  broken: unknown

  constructor(reading: Reading = plainReading) {
    this.#reading = reading
  }

  get head(): number {
    return this.model.head
  }

  get oldestReadable(): number {
    return this.model.oldestReadable
  }

  ask(signature: string): void {
    this.#asked.set(signature, (this.#asked.get(signature) ?? 0) + 1)
  }

  /** It was answered that it did not happen, and is not to happen. */
  unask(signature: string): void {
    this.#asked.set(signature, Math.max(0, (this.#asked.get(signature) ?? 0) - 1))
  }

  readonly applied = (entry: Entry, answer: Answer): void => {
    try {
      this.#apply(entry, answer)
    } catch (error) {
      this.broken ??= error
    }
  }

  #apply(entry: Entry, answer: Answer): void {
    const { sequence, time, change } = entry
    const digest = hashOf(toUtf8(jsonOf([time, entry.author, change])))
    const before = this.records[sequence]
    if (sequence <= this.head) {
      claim(before?.digest === digest, `commit ${sequence} is another one than it was: ${change._tag}, it was ${before?.signature}`)
      claim(jsonOf(plain(answer)) === jsonOf(before.outcome), `commit ${sequence} (${before.signature}) answers ${jsonOf(answer)}, it answered ${jsonOf(before.outcome)}`)
      return
    }
    claim(sequence === this.head + 1, `commit ${sequence} comes after ${this.head}`)
    const last = this.records[this.head]
    claim(last === undefined || time > last.time, `commit ${sequence} has a time after that of the one before`)
    const signature = this.#asker(change, sequence)
    this.model.nowMs = millisOf(time)
    const outcome = this.#run(change)
    claim(this.head === sequence, `the model has commit ${sequence}`)
    claim(jsonOf(plain(answer)) === jsonOf(outcome), `commit ${sequence} (${signature ?? change._tag}) answers ${jsonOf(answer)}, the model ${jsonOf(outcome)}`)
    if (change._tag === "DropParts" && answer._tag === "Dropped" && !answer.remaining) this.model.forgetEnded(change.upload)
    this.records.push({ signature: signature ?? change._tag, digest, time, outcome })
    this.#count(change._tag)
    if ("refusal" in outcome) this.#count("Refused")
    if (this.model.commits[sequence] !== this.model.commits[sequence - 1] && signature !== undefined) this.interesting.push(sequence)
  }

  #asker(change: Change, sequence: number): string | undefined {
    const signatures = this.#reading.signaturesOf(change)
    if (signatures === undefined) return undefined
    const signature = signatures.find((one) => (this.#asked.get(one) ?? 0) > 0)
    claim(signature !== undefined, `commit ${sequence} was not asked for, or is there twice: ${signatures.join(" or ")}`)
    this.#asked.set(signature, this.#asked.get(signature)! - 1)
    return signature
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  #run(change: Change): Outcome {
    const { model } = this
    switch (change._tag) {
      case "CreateBucket":
        return model.createBucket(change.bucket)
      case "DeleteBucket":
        return model.deleteBucket(change.bucket)
      case "SetVersioning":
        return model.setVersioning(change.bucket, change.status)
      case "PutObject":
        return model.put(change.bucket, change.key, change.content.etag, change.attributes.userMetadata["body"] ?? "", change.condition, ttlOf(change))
      case "DeleteObjects":
        return model.delete(change.bucket, change.targets)
      case "CreateUpload":
        return model.createUpload(change.bucket, change.key, change.upload)
      case "PutPart": {
        const { etag, sizeBytes } = change.content
        return model.putPart(change.bucket, change.key, change.upload, change.partNumber, { etag, sizeBytes, body: this.#reading.partBody(change) })
      }
      case "CompleteUpload": {
        const parts = change.parts.map(({ partNumber, etag }) => [partNumber, etag] as const)
        return model.complete(change.bucket, change.key, change.upload, parts, change.content.etag, change.condition)
      }
      case "AbortUpload":
        return model.abort(change.bucket, change.key, change.upload)
      case "AbortStaleUpload":
        return model.abortStale(change.bucket, change.key, change.upload, millisOf(change.before))
      case "ExpireVersions":
        return model.expire(change.limit)
      case "ExpireAgain":
        return model.expireAgain(change.rows)
      case "RaiseHorizon":
        return model.raiseHorizon(change.oldestReadable)
      case "Rollback":
        return model.rollback(change.bucket, change.to)
      case "Branch":
        return model.branch(change.bucket, change.source, change.from)
      case "DropParts": case "StagePage": case "BlockSealed": case "ChunksHealed":
      case "PurgeVersions": case "DropHistory": case "FreeChunks": case "DropBlock": case "ReindexChunks":
        model.other()
        return { done: true }
    }
  }

  /** A client was told that its change is commit `sequence`, with this outcome. */
  told(signature: string, sequence: number, outcome: Outcome): void {
    const record = this.records[sequence]
    claim(record !== undefined, `a client was told of commit ${sequence}, and ${this.head} is the last (${signature})`)
    claim(record.signature === signature, `a client was told that ${signature} is commit ${sequence}, which is ${record.signature}`)
    claim(jsonOf(outcome) === jsonOf(record.outcome), `a client of ${signature} was told ${jsonOf(outcome)}, the model says ${jsonOf(record.outcome)}`)
  }

  /** The newest commit whose time is at or before `ms`. */
  sequenceAt(ms: number): number {
    let at = this.head
    while (at > 0 && millisOf(this.records[at]!.time) > ms) at -= 1
    return at
  }
}

export const plain = (answer: Answer): Outcome => {
  switch (answer._tag) {
    case "Refused":
      return { refusal: answer.refusal }
    case "Stored":
      return { versionId: answer.versionId, etag: answer.etag }
    case "Deleted":
      return { deleted: answer.outcomes }
    default:
      return { done: true }
  }
}
