/** The mixed load: every worker does one operation after the other on keys of its own, and tells the model each outcome. */
import { type Answer, type Call, call, type Target } from "../e2e/wire.ts"
import { contentOf, sha256Of } from "./Content.ts"
import { acknowledged, type PlainKey, type State, type VersionedKey, type Worker } from "./Model.ts"
import type { Random } from "./Random.ts"

export const plainBucket = "crash-plain"
export const versionedBucket = "crash-versioned"

const KiB = 1024
const MiB = 1024 * KiB
const partBytes = 5 * MiB
const versionsMax = 25

export interface Tally {
  acknowledged: number
  refused: number
  unknown: number
  readonly wrong: Array<string>
}

export interface Load {
  readonly target: Target
  readonly random: Random
  readonly tally: Tally
  /** True from the kill on: no new operation begins. */
  readonly isOver: () => boolean
}

type Outcome = { readonly _tag: "Acknowledged"; readonly answer: Answer } | { readonly _tag: "Refused"; readonly answer: Answer } | { readonly _tag: "Unknown" }

const send = async (load: Load, what: Call): Promise<Outcome> => {
  let answer: Answer
  try {
    answer = await call(load.target, what)
  } catch {
    // Cut: the outcome is open, and the check after the restart decides it.
    load.tally.unknown += 1
    return { _tag: "Unknown" }
  }
  if (answer.status >= 500) {
    load.tally.unknown += 1
    return { _tag: "Unknown" }
  }
  if (answer.status >= 400) {
    load.tally.refused += 1
    return { _tag: "Refused", answer }
  }
  load.tally.acknowledged += 1
  return { _tag: "Acknowledged", answer }
}

const complain = (load: Load, what: string): void => {
  load.tally.wrong.push(what)
}

/** Sizes as stores see them: mostly small, inlined or not, now and then some MiB, rarely whole blocks. */
const sizeOf = (random: Random): number => {
  const chance = random.next()
  if (chance < 0.35) return random.between(0, 4 * KiB)
  if (chance < 0.8) return random.between(4 * KiB, 100 * KiB)
  if (chance < 0.985) return random.between(100 * KiB, 2 * MiB)
  return random.between(17 * MiB, 20 * MiB)
}

/** Few seeds: contents come back, under other keys and again after deletion. */
const newContent = (random: Random) => {
  const sizeBytes = sizeOf(random)
  return contentOf(random.between(0, 40), sizeBytes)
}

const write = async (load: Load, key: PlainKey, what: Call, state: State): Promise<Outcome> => {
  const outcome = await send(load, what)
  if (outcome._tag === "Acknowledged") acknowledged(key, state, outcome.answer.headers["etag"])
  if (outcome._tag === "Unknown") key.maybe.push(state)
  return outcome
}

const expectSuccess = (load: Load, outcome: Outcome, what: string): void => {
  if (outcome._tag === "Refused") complain(load, `${what} was refused: ${outcome.answer.status} ${outcome.answer.code}`)
}

const put = async (load: Load, key: PlainKey): Promise<void> => {
  const { bytes, sha256 } = newContent(load.random)
  expectSuccess(load, await write(load, key, { method: "PUT", bucket: plainBucket, key: key.key, body: bytes }, sha256), `PUT ${key.key}`)
}

const remove = async (load: Load, key: PlainKey): Promise<void> => {
  expectSuccess(load, await write(load, key, { method: "DELETE", bucket: plainBucket, key: key.key }, undefined), `DELETE ${key.key}`)
}

/** Only where the state is known, so that the answer is known too. */
const conditional = async (load: Load, key: PlainKey): Promise<void> => {
  if (key.maybe.length > 0) return put(load, key)
  const { bytes, sha256 } = newContent(load.random)
  const isRight = load.random.next() < 0.5
  const isThere = key.known !== undefined
  const headers: Record<string, string> = isThere && isRight
    ? { "if-match": key.etag ?? "" }
    : isThere || isRight
    ? { "if-none-match": "*" }
    : { "if-match": '"00000000000000000000000000000000"' }
  const expected = isRight
  const outcome = await send(load, { method: "PUT", bucket: plainBucket, key: key.key, body: bytes, headers })
  if (outcome._tag === "Acknowledged") {
    acknowledged(key, sha256, outcome.answer.headers["etag"])
    if (!expected) complain(load, `conditional PUT ${key.key} ${JSON.stringify(headers)} succeeded`)
  } else if (outcome._tag === "Refused") {
    const status = outcome.answer.status
    const isRightRefusal = status === 412 || (status === 404 && !isThere)
    if (expected || !isRightRefusal) complain(load, `conditional PUT ${key.key} ${JSON.stringify(headers)}: ${status} ${outcome.answer.code}`)
  } else if (expected) {
    key.maybe.push(sha256)
  }
}

const copy = async (load: Load, from: PlainKey, to: PlainKey): Promise<void> => {
  if (from === to || from.maybe.length > 0 || from.known === undefined) return put(load, to)
  const outcome = await send(load, {
    method: "PUT", bucket: plainBucket, key: to.key, headers: { "x-amz-copy-source": `/${plainBucket}/${from.key}` }
  })
  expectSuccess(load, outcome, `copy ${from.key} to ${to.key}`)
  if (outcome._tag === "Unknown") to.maybe.push(from.known)
  // A copy may fail after its 200 has gone out: then the body is an <Error>.
  else if (outcome._tag === "Acknowledged") {
    const etag = /<ETag>(?:&quot;|")?([^<&"]+)/.exec(outcome.answer.body.toString())?.[1]
    if (etag === undefined) to.maybe.push(from.known)
    else acknowledged(to, from.known, `"${etag}"`)
  }
}

const putVersion = async (load: Load, key: VersionedKey): Promise<void> => {
  if (key.versions.length >= versionsMax) return removeVersion(load, key)
  const isDelete = load.random.next() < 0.15
  const content = isDelete ? undefined : newContent(load.random)
  const outcome = await send(load, {
    method: isDelete ? "DELETE" : "PUT", bucket: versionedBucket, key: key.key, ...(content === undefined ? {} : { body: content.bytes })
  })
  expectSuccess(load, outcome, `${isDelete ? "DELETE" : "PUT"} of a version of ${key.key}`)
  if (outcome._tag === "Unknown") key.maybe.push(content?.sha256)
  if (outcome._tag === "Acknowledged") {
    const id = outcome.answer.headers["x-amz-version-id"]
    if (id === undefined) complain(load, `${key.key}: no version id`)
    else key.versions.push({ id, sha256: content?.sha256 })
  }
}

/** The oldest version goes for good; where that is unknown, it counts as one that may be there. */
const removeVersion = async (load: Load, key: VersionedKey): Promise<void> => {
  const oldest = key.versions[0]
  if (oldest === undefined) return
  const outcome = await send(load, { method: "DELETE", bucket: versionedBucket, key: key.key, query: [["versionId", oldest.id]] })
  expectSuccess(load, outcome, `DELETE of version ${oldest.id} of ${key.key}`)
  if (outcome._tag === "Refused") return
  key.versions.shift()
  if (outcome._tag === "Unknown") key.maybe.push(oldest.sha256)
}

const textOf = (answer: Answer, element: string): string =>
  new RegExp(`<${element}>([^<]*)</${element}>`).exec(answer.body.toString())?.[1]?.replaceAll("&quot;", "\"") ?? ""

export const completeBody = (parts: ReadonlyArray<readonly [number, string]>): string =>
  `<CompleteMultipartUpload>${parts.map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`

/** Begins an upload, or goes on with the one that a kill interrupted. */
const multipart = async (load: Load, worker: Worker): Promise<void> => {
  const { uploadKey } = worker
  const { key } = uploadKey
  if (worker.upload === undefined) {
    const created = await send(load, { method: "POST", bucket: plainBucket, key, query: [["uploads", ""]] })
    expectSuccess(load, created, `create an upload of ${key}`)
    if (created._tag !== "Acknowledged") return
    worker.upload = { id: textOf(created.answer, "UploadId"), parts: new Map() }
  }
  const { id, parts } = worker.upload
  const sizes = [partBytes, load.random.between(1, 300 * KiB)]
  for (const [index, sizeBytes] of sizes.entries()) {
    const number = index + 1
    if (parts.has(number)) continue
    if (load.isOver()) return
    const { bytes } = contentOf(load.random.between(0, 40), sizeBytes)
    const sent = await send(load, { method: "PUT", bucket: plainBucket, key, query: [["partNumber", String(number)], ["uploadId", id]], body: bytes })
    expectSuccess(load, sent, `part ${number} of ${key}`)
    if (sent._tag !== "Acknowledged") return
    parts.set(number, { etag: sent.answer.headers["etag"] ?? "", bytes })
  }
  if (load.isOver()) return
  await complete(load, worker)
}

const complete = async (load: Load, worker: Worker): Promise<void> => {
  const { upload, uploadKey } = worker
  if (upload === undefined) return
  const parts = [...upload.parts].toSorted(([a], [b]) => a - b)
  const whole = Buffer.concat(parts.map(([, { bytes }]) => bytes))
  const sha256 = sha256Of(whole)
  const outcome = await send(load, {
    method: "POST", bucket: plainBucket, key: uploadKey.key, query: [["uploadId", upload.id]],
    body: completeBody(parts.map(([number, { etag }]) => [number, etag]))
  })
  worker.upload = undefined
  expectSuccess(load, outcome, `complete ${uploadKey.key}`)
  if (outcome._tag === "Unknown") uploadKey.maybe.push(sha256)
  if (outcome._tag === "Acknowledged") {
    const etag = textOf(outcome.answer, "ETag")
    if (etag === "") uploadKey.maybe.push(sha256)
    else acknowledged(uploadKey, sha256, etag)
  }
}

/** Until the kill. */
export const work = async (load: Load, worker: Worker): Promise<void> => {
  const { random } = load
  while (!load.isOver()) {
    const key = random.pick(worker.plain)
    const chance = random.next()
    if (chance < 0.4) await put(load, key)
    else if (chance < 0.5) await remove(load, key)
    else if (chance < 0.62) await conditional(load, key)
    else if (chance < 0.72) await copy(load, random.pick(worker.plain), key)
    else if (chance < 0.93) await putVersion(load, random.pick(worker.versioned))
    else if (chance < 0.96) await removeVersion(load, random.pick(worker.versioned))
    else await multipart(load, worker)
  }
}
