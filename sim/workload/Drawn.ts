/** Drawn: requests as wide as S3 allows, drawn for buckets and keys and what is known of them. Pure: a seed in, a request out. */
import { DateTime } from "effect"
import { toUtf8 as utf8 } from "../../src/base/bytes.ts"
import { uriEncode } from "../../src/gateway/s3/SigV4.ts"
import type { BodyPlan, Request } from "../Client.ts"
import type { Random } from "../Random.ts"
import { bodyHeader, opHeader } from "../checker/Asked.ts"
import { type Blob, type Bodies, contentMd5, md5Of } from "./Bodies.ts"
import type { Known, KnownUpload } from "./Known.ts"
import { bucketName, nameMark, pickKey, prefixes } from "./Names.ts"

export interface Drawing {
  readonly random: Random
  readonly bodies: Bodies
  readonly known: Known
  readonly keys: ReadonlyArray<string>
  /** How many writes have a time to live. */
  readonly ttlChance: number
  /** True time, for questions about the past. */
  readonly nowMs: number
  /** A mark that no other write has. */
  readonly mark: string
}

export const objectBuckets: ReadonlyArray<string> = ["objects-a", "objects-b", "objects-c"].map(bucketName)
/** Only branches have them. */
export const branchBuckets: ReadonlyArray<string> = ["branch-a", "branch-b"].map(bucketName)

export const someBucket = (random: Random): string =>
  random.chance(0.6) ? objectBuckets[0]! : random.chance(0.2) ? random.pick(branchBuckets) : random.pick(objectBuckets)

/** ETags that were seen, or anything. */
const conditionOf = ({ known, random }: Drawing, chance: number): Record<string, string> => {
  if (!random.chance(chance)) return {}
  const etag = random.pick(["*", known.etags.length === 0 ? "*" : `"${random.pick(known.etags)}"`, `"${"0".repeat(32)}"`])
  return random.chance(0.5) ? { "if-match": etag } : { "if-none-match": etag }
}

interface Sending {
  readonly body: Uint8Array | BodyPlan
  /** All of it comes, and its length is what is said. */
  readonly isWhole: boolean
}

/** How bytes come: mostly at once; in pieces, with pauses, not to the end, or with a length that is not theirs. */
const sendingOf = (random: Random, bytes: Uint8Array): Sending => {
  if (random.chance(0.7) || bytes.length < 2) return { body: bytes, isWhole: true }
  const pieces = Array.from({ length: 1 + random.below(3) }, () => 1 + random.below(bytes.length))
  const draw = random.below(10)
  if (draw < 4) return { body: { bytes, pieces }, isWhole: true }
  if (draw < 7) return { body: { bytes, pieces, stalls: [{ piece: random.below(2), ms: random.pick([10, 1000, 20_000, 90_000]) }] }, isWhole: true }
  if (draw < 9) return { body: { bytes, pieces, abortsAfterBytes: random.below(bytes.length) }, isWhole: false }
  return { body: { bytes, pieces, announcedBytes: bytes.length + 1 + random.below(100) }, isWhole: false }
}

const md5Header = (random: Random, { bytes }: Blob): Record<string, string> => {
  if (random.chance(0.5)) return {}
  return { "content-md5": contentMd5(random.chance(0.05) ? "0".repeat(32) : md5Of(bytes)) }
}

const ttlOf = ({ random, ttlChance }: Drawing): Record<string, string> => (random.chance(ttlChance) ? { "x-ouroboros-ttl": String(1 + random.below(random.pick([5, 60]))) } : {})

export const drawPut = (drawing: Drawing, bucket: string): Request & { readonly blob: Blob } => {
  const { bodies, keys, mark, random } = drawing
  const blob = bodies.draw(random)
  const { body, isWhole } = sendingOf(random, blob.bytes)
  return {
    method: "PUT", path: `/${bucket}/${pickKey(random, keys)}`, body, blob,
    headers: {
      [opHeader]: mark, ...(isWhole ? { [bodyHeader]: blob.token } : {}), ...md5Header(random, blob), ...conditionOf(drawing, 0.15), ...ttlOf(drawing),
      ...(random.chance(0.1) ? { "content-type": "text/x-odd; a=\"b\"", "cache-control": "no-cache" } : {})
    }
  }
}

/** A body of many chunks, new ones among them, that comes piece by piece: most of it lies in the store long before a commit names it. */
export const drawSlowPut = ({ bodies, keys, mark, random }: Drawing, bucket: string): Request & { readonly blob: Blob } => {
  const blob = bodies.ofSize(random, 25_000 + random.below(50_000))
  const pieces = Array.from({ length: 8 }, () => 2000 + random.below(12_000))
  const ms = random.pick([10, 300, 3000])
  const stalls = pieces.map((_, piece) => ({ piece, ms: random.below(ms) }))
  return {
    method: "PUT", path: `/${bucket}/${pickKey(random, keys)}`, body: { bytes: blob.bytes, pieces, stalls }, blob,
    headers: { [opHeader]: mark, [bodyHeader]: blob.token }
  }
}

/** What an operator in a hurry asks for, again and again. */
export const drawHousework = (random: Random): Request => ({ method: "POST", to: "admin", ...random.pick([
  { path: "/v1/settle" }, { path: "/v1/settle" }, { path: "/v1/checkpoint" }, { path: "/v1/checkpoint" }, { path: "/v1/gc", query: { now: "1" } }
]) })

/** With the source's metadata, or with that of the request: then of a version by its id, whose bytes are known. */
export const drawCopy = (drawing: Drawing, bucket: string): Request => {
  const { keys, known, mark, random } = drawing
  const path = `/${bucket}/${pickKey(random, keys)}`
  const version = known.someVersion(random)
  if (version?.token !== undefined && random.chance(0.5)) {
    const source = `/${version.bucket}/${uriEncode(version.key)}?versionId=${version.versionId}`
    return { method: "PUT", path, headers: { "x-amz-copy-source": source, "x-amz-metadata-directive": "REPLACE", [opHeader]: mark, [bodyHeader]: version.token, ...conditionOf(drawing, 0.1), ...ttlOf(drawing) } }
  }
  const from = version !== undefined && random.chance(0.6) ? `/${version.bucket}/${uriEncode(version.key)}` : `/${someBucket(random)}/${uriEncode(pickKey(random, keys))}`
  return { method: "PUT", path, headers: { "x-amz-copy-source": from, ...conditionOf(drawing, 0.1) } }
}

const versionOf = ({ known, random }: Drawing, bucket: string, key: string, chance: number): { readonly key: string; readonly query: Record<string, string> } => {
  const version = known.versions.findLast((one) => one.bucket === bucket && (one.key === key || random.chance(0.5)))
  if (!random.chance(chance)) return { key, query: {} }
  if (version === undefined) return { key, query: { versionId: "null" } }
  return { key: version.key, query: { versionId: random.chance(0.1) ? "f".repeat(20) : version.versionId } }
}

export const drawDelete = (drawing: Drawing, bucket: string): Request => {
  const { key, query } = versionOf(drawing, bucket, pickKey(drawing.random, drawing.keys), 0.45)
  return { method: "DELETE", path: `/${bucket}/${key}`, query, headers: conditionOf(drawing, 0.05) }
}

const xmlText = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
/** XML 1.0 cannot say them. */
// oxlint-disable-next-line no-control-regex
const sayable = (key: string): boolean => !/[\u0000-\u001f\ufffe\uffff]/.test(key)

export const drawDeletes = (drawing: Drawing, bucket: string): Request => {
  const { keys, random } = drawing
  const targets = Array.from({ length: 1 + random.below(6) }, () => versionOf(drawing, bucket, pickKey(random, keys), 0.4)).filter(({ key }) => sayable(key))
  const objects = targets.map(({ key, query }) => `<Object><Key>${xmlText(key)}</Key>${query["versionId"] === undefined ? "" : `<VersionId>${query["versionId"]}</VersionId>`}</Object>`)
  const body = utf8(`<Delete>${random.chance(0.3) ? "<Quiet>true</Quiet>" : ""}${objects.length === 0 ? `<Object><Key>${nameMark}</Key></Object>` : objects.join("")}</Delete>`)
  return { method: "POST", path: `/${bucket}`, query: { delete: "" }, headers: { "content-md5": contentMd5(md5Of(body)) }, body }
}

/** At a commit, at a time, or now. */
const pointOf = ({ known, nowMs, random }: Drawing): Record<string, string> => {
  const draw = random.below(10)
  if (draw < 6) return {}
  if (draw < 9) return { "x-ouroboros-as-of": String(known.someCommit(random)) }
  return { "x-ouroboros-as-of": DateTime.formatIso(DateTime.makeUnsafe(nowMs - random.below(60_000))) }
}

export const rangeOf = (random: Random): Record<string, string> => {
  if (random.chance(0.6)) return {}
  const first = random.pick([0, 1, 199, 200, 1024, 4096, 16_384, 60_000]) + random.below(3)
  return { range: random.pick([`bytes=${first}-`, `bytes=${first}-${first + random.below(9000)}`, `bytes=-${1 + random.below(5000)}`, "bytes=0-0", "bytes=5-2", "bytes=0-1,3-4"]) }
}

export const drawRead = (drawing: Drawing, bucket: string): Request => {
  const { keys, random } = drawing
  const { key, query } = versionOf(drawing, bucket, pickKey(random, keys), 0.3)
  const part = random.chance(0.05) ? { partNumber: String(1 + random.below(2)) } : {}
  const headers = { ...pointOf(drawing), ...("partNumber" in part ? {} : rangeOf(random)), ...conditionOf(drawing, 0.15) }
  return { method: random.chance(0.2) ? "HEAD" : "GET", path: `/${bucket}/${key}`, query: { ...query, ...part }, headers }
}

export const drawListing = (drawing: Drawing, bucket: string): Request => {
  const { keys, known, random } = drawing
  const path = `/${bucket}`
  if (known.pages.length > 0 && random.chance(0.4)) return { method: "GET", ...random.pick(known.pages.slice(-4)) }
  const common = { "encoding-type": "url", prefix: random.chance(0.5) ? "" : random.pick(prefixes), delimiter: random.pick(["", "", "/", "b", nameMark]), "max-keys": String(random.pick([1000, 1000, 5, 2, 1, 0])) }
  const after = random.chance(0.3) ? random.pick([...keys, "a/", "zzz"]) : undefined
  const kind = random.below(3)
  const headers = pointOf(drawing)
  if (kind === 0) return { method: "GET", path, headers, query: { ...common, ...(after === undefined ? {} : { marker: after }) } }
  if (kind === 1) return { method: "GET", path, headers, query: { ...common, "list-type": "2", ...(after === undefined ? {} : { "start-after": after }) } }
  return { method: "GET", path, headers, query: { ...common, versions: "", ...(after === undefined ? {} : { "key-marker": after }) } }
}

/** Sizes tell parts of one upload apart. */
export const drawPart = (drawing: Drawing, upload: KnownUpload): Request => {
  const { bodies, known, random } = drawing
  const partNumber = 1 + random.below(random.pick([1, 3, 10_000]))
  const path = `/${upload.bucket}/${upload.key}`
  const query = { uploadId: upload.uploadId, partNumber: String(partNumber) }
  const version = known.someVersion(random)
  if (version?.token !== undefined && version.sizeBytes > 1 && random.chance(0.25)) {
    const first = random.below(version.sizeBytes - 1)
    const last = first + random.below(version.sizeBytes - first)
    if (!upload.sizes.has(last - first + 1)) {
      upload.sizes.add(last - first + 1)
      const source = `/${version.bucket}/${uriEncode(version.key)}?versionId=${version.versionId}`
      return { method: "PUT", path, query, headers: { "x-amz-copy-source": source, "x-amz-copy-source-range": `bytes=${first}-${last}` } }
    }
  }
  let size = random.below(random.pick([300, 5000, 40_000]))
  while (upload.sizes.has(size)) size += 1
  upload.sizes.add(size)
  const blob = bodies.ofSize(random, size)
  return { method: "PUT", path, query, headers: md5Header(random, blob), body: sendingOf(random, blob.bytes).body }
}

export const drawComplete = (drawing: Drawing, upload: KnownUpload): Request => {
  const { random } = drawing
  const all = [...upload.parts].sort(([a], [b]) => a - b)
  const chosen = random.chance(0.8) ? all.slice(-1) : random.chance(0.5) ? all : all.slice().reverse()
  const named = chosen.map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>"${random.chance(0.03) ? "0".repeat(32) : etag}"</ETag></Part>`)
  const body = utf8(`<CompleteMultipartUpload>${named.length === 0 ? "<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>" : named.join("")}</CompleteMultipartUpload>`)
  return { method: "POST", path: `/${upload.bucket}/${upload.key}`, query: { uploadId: upload.uploadId }, headers: conditionOf(drawing, 0.1), body }
}

const post = (path: string, value: unknown): Request => ({ method: "POST", path, to: "admin", body: utf8(JSON.stringify(value)) })

/** What an operator does: mostly goes back, or makes the store tidy up. */
export const drawAdmin = (drawing: Drawing, bucket: string): Request => {
  const { known, random } = drawing
  const draw = random.below(20)
  if (draw < 5) return post("/v1/rollback", { bucket, to: known.someCommit(random) })
  if (draw < 9) return post("/v1/branch", { source: bucket, bucket: random.pick(branchBuckets), ...(random.chance(0.4) ? {} : { asOf: known.someCommit(random) }) })
  if (draw < 13) {
    const query = { bucket, from: String(known.someCommit(random)), ...(random.chance(0.5) ? {} : { to: String(known.someCommit(random)) }), ...(random.chance(0.7) ? {} : { with: someBucket(random) }) }
    return { method: "GET", path: "/v1/diff", to: "admin", query }
  }
  if (draw < 16) return { method: "POST", path: "/v1/gc", to: "admin", query: random.chance(0.5) ? { now: "1" } : {} }
  if (draw < 18) return { method: "POST", path: "/v1/settle", to: "admin" }
  return draw < 19 ? { method: "POST", path: "/v1/checkpoint", to: "admin" } : { method: "GET", path: "/v1/status", to: "admin" }
}

export const versioningRequest = (bucket: string, status: "Enabled" | "Suspended"): Request => ({
  method: "PUT", path: `/${bucket}`, query: { versioning: "" }, body: utf8(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>${status}</Status></VersioningConfiguration>`)
})
