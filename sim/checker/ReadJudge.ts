/**
 * ReadJudge: whether an answer to a read is what the reference model shows at a commit. It sits between the reference
 * store and the answers that clients get; a complaint is what differs, undefined: nothing does.
 */
import { equalBytes, fromUtf8 } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { parseRange } from "../../src/gateway/s3/ByteRange.ts"
import { childrenOf, textOf, type XmlNode } from "../../src/gateway/s3/XmlIn.ts"
import type { ObjectStore, Query, Version } from "../../spec/ObjectStore.ts"
import type { Request } from "../Client.ts"
import { type Answered, codeOf, etagOf, xmlOf } from "../workload/Answer.ts"
import { targetOf } from "./Asked.ts"

export interface ReadView {
  readonly model: ObjectStore
  readonly at: number
  /** Read as of that commit's time; else as of now, and then what has a time to live may be there or not. */
  readonly isPast: boolean
  /** The node's clock said so or more when it looked; undefined: nobody knows. */
  readonly sureMs?: number | undefined
  /** Undefined where nobody knows the bytes. */
  readonly bytesOf: (body: string) => Uint8Array | undefined
  /** Where a page goes on that has this token. */
  readonly positionOf: (token: string) => string | undefined
}

const shortOf = (answer: Answered): string => `${answer.status} ${codeOf(answer)}`

const conditionOf = (text: string | undefined): string | undefined => text?.replace(/^"(.*)"$/, "$1")

/** 304 or 412, by the conditions of a read on an ETag. */
const verdictOf = ({ headers = {} }: Request, etag: string): 200 | 304 | 412 => {
  const [ifMatch, ifNoneMatch] = [conditionOf(headers["if-match"]), conditionOf(headers["if-none-match"])]
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== etag) return 412
  return ifNoneMatch === "*" || ifNoneMatch === etag ? 304 : 200
}

const judgeBytes = (view: ReadView, request: Request, version: Version, answer: Answered): string | undefined => {
  const bytes = view.bytesOf(version.body)
  if (bytes === undefined) return undefined
  const range = parseRange(request.headers?.["range"], bytes.length)
  if (range === "Unsatisfiable") return answer.status === 416 ? undefined : `${shortOf(answer)}, the range is beyond ${bytes.length} bytes`
  const { start, end } = range ?? { start: 0, end: bytes.length }
  if (answer.status !== (range === undefined ? 200 : 206)) return `${shortOf(answer)} for [${start}, ${end}) of ${bytes.length} bytes`
  if (answer.headers.get("content-length") !== String(end - start)) return `${answer.headers.get("content-length")} bytes for [${start}, ${end}) of ${bytes.length}`
  if (request.method === "HEAD") return undefined
  const expected = bytes.subarray(start, end)
  return equalBytes(answer.body, expected) ? undefined : `[${start}, ${end}) of ${bytes.length} bytes is not what was written: ${answer.body.length} bytes, ${hashOf(answer.body)}, not ${hashOf(expected)}`
}

const judgePresent = (view: ReadView, request: Request, version: Version, answer: Answered): string | undefined => {
  const verdict = verdictOf(request, version.etag)
  if (verdict !== 200) return answer.status === verdict ? undefined : `${shortOf(answer)}, by its conditions ${verdict}`
  // Which parts an object has is not the model's.
  if (request.query?.["partNumber"] !== undefined && (answer.status === 416 || answer.status === 206)) return undefined
  if (answer.status >= 300 && answer.status !== 416) return `${shortOf(answer)}, and ${version.versionId} of commit ${version.sequence} is there`
  if (answer.status === 416) return judgeBytes(view, request, version, answer)
  if (etagOf(answer) !== version.etag) return `ETag ${etagOf(answer)}, not ${version.etag} of commit ${version.sequence}`
  const versionId = answer.headers.get("x-amz-version-id")
  if ((versionId ?? "null") !== version.versionId) return `version ${versionId}, not ${version.versionId}`
  return judgeBytes(view, request, version, answer)
}

const judgeAbsent = (answer: Answered, named: boolean, version: Version | undefined): string | undefined => {
  if (version === undefined) return answer.status === 404 ? undefined : `${shortOf(answer)}, and nothing is there`
  const isMarker = answer.headers.get("x-amz-delete-marker") === "true" && answer.headers.get("x-amz-version-id") === version.versionId
  return isMarker && answer.status === (named ? 405 : 404) ? undefined : `${shortOf(answer)}, and the delete marker ${version.versionId} is there`
}

const judgeObject = (view: ReadView, request: Request, answer: Answered): string | undefined => {
  const { bucket, key } = targetOf(request)
  const versionId = request.query?.["versionId"]
  // Whatever has expired by now, or not: a clock may have jumped.
  const raw = view.model.object(bucket, key, versionId, view.at, Number.NEGATIVE_INFINITY)
  const version = view.isPast ? view.model.object(bucket, key, versionId, view.at) : raw
  if (!view.isPast && raw?.expiresMs !== undefined) {
    if (answer.status === 404) return undefined
    if (view.sureMs !== undefined && raw.expiresMs <= view.sureMs) return `${shortOf(answer)}, and it expired ${view.sureMs - raw.expiresMs} ms before`
  }
  return version === undefined || version.deleteMarker ? judgeAbsent(answer, versionId !== undefined, version) : judgePresent(view, request, version, answer)
}

const decoded = (node: XmlNode, name: string): string => decodeURIComponent(textOf(node, name) ?? "")

/** "key@commit" and prefixes, in the order of each. */
const listedBy = (root: XmlNode, element: string): ReadonlyArray<string> => childrenOf(root, element).map((node) => `${decoded(node, "Key")} ${textOf(node, "VersionId") ?? textOf(node, "ETag")}`)

const prefixesOf = (root: XmlNode): ReadonlyArray<string> => childrenOf(root, "CommonPrefixes").map((node) => decoded(node, "Prefix"))

const queryOf = (view: ReadView, { query = {} }: Request): Query | undefined => {
  const token = query["continuation-token"]
  const after = token === undefined ? query["marker"] ?? query["key-marker"] ?? query["start-after"] ?? "" : view.positionOf(token)
  const limit = Number(query["max-keys"] ?? 1000)
  return after === undefined ? undefined : { prefix: query["prefix"] ?? "", delimiter: query["delimiter"] ?? "", after, limit }
}

const differs = (what: string, shown: ReadonlyArray<string>, expected: ReadonlyArray<string>): string | undefined =>
  shown.length === expected.length && shown.every((one, index) => one === expected[index]) ? undefined : `${what} ${JSON.stringify(shown)}, not ${JSON.stringify(expected)}`

const judgeListing = (view: ReadView, request: Request, answer: Answered): string | undefined => {
  const { bucket } = targetOf(request)
  const { at, model } = view
  if (!model.buckets(at).some(({ name }) => name === bucket)) return answer.status === 404 && codeOf(answer) === "NoSuchBucket" ? undefined : `${shortOf(answer)}, and there is no such bucket`
  if (answer.status !== 200) return `${shortOf(answer)}, and the bucket is there`
  const query = queryOf(view, request)
  if (query === undefined || (!view.isPast && expires(model, bucket, at))) return undefined
  const versions = request.query?.["versions"] !== undefined
  const root = xmlOf(answer, versions ? "ListVersionsResult" : "ListBucketResult")
  const truncated = (more: boolean) => (textOf(root, "IsTruncated") === String(more) ? undefined : `IsTruncated ${textOf(root, "IsTruncated")}, not ${more}`)
  if (versions) {
    const { items, more, prefixes } = model.listVersions(bucket, query, request.query?.["version-id-marker"], at)
    const named = (markers: boolean) => items.filter(({ deleteMarker }) => deleteMarker === markers).map(({ key, versionId }) => `${key} ${versionId}`)
    return differs("versions", listedBy(root, "Version"), named(false)) ?? differs("markers", listedBy(root, "DeleteMarker"), named(true)) ??
      differs("prefixes", prefixesOf(root), prefixes) ?? truncated(more)
  }
  const { items, more, prefixes } = model.listObjects(bucket, query, at)
  return differs("keys", listedBy(root, "Contents"), items.map(({ key, etag }) => `${key} "${etag}"`)) ?? differs("prefixes", prefixesOf(root), prefixes) ?? truncated(more)
}

const expires = (model: ObjectStore, bucket: string, at: number): boolean =>
  model.listVersions(bucket, { prefix: "", delimiter: "", after: "", limit: Number.MAX_SAFE_INTEGER }, undefined, at, Number.NEGATIVE_INFINITY).items.some(({ expiresMs }) => expiresMs !== undefined)

const judgeBuckets = ({ at, model }: ReadView, answer: Answered): string | undefined => {
  if (answer.status !== 200) return shortOf(answer)
  const root = xmlOf(answer, "ListAllMyBucketsResult")
  const shown = childrenOf(root, "Buckets").flatMap((node) => childrenOf(node, "Bucket")).map((node) => textOf(node, "Name") ?? "")
  return differs("buckets", shown, model.buckets(at).map(({ name }) => name))
}

const judgeVersioning = ({ at, model }: ReadView, bucket: string, answer: Answered): string | undefined => {
  const known = model.buckets(at).find(({ name }) => name === bucket)
  if (known === undefined || answer.status !== 200) return known === undefined && answer.status === 404 ? undefined : shortOf(answer)
  const status = textOf(xmlOf(answer, "VersioningConfiguration"), "Status") ?? "Unversioned"
  return status === known.versioning ? undefined : `versioning ${status}, not ${known.versioning}`
}

/** Reads that the model knows: objects, listings, buckets, versioning. Others are nobody's complaint. */
export const judgeRead = (view: ReadView, request: Request, answer: Answered): string | undefined => {
  const { bucket, key } = targetOf(request)
  const { method, path, query = {} } = request
  // A request whose date is too far from the node's clock is no question.
  if ((method !== "GET" && method !== "HEAD") || answer.status === 403) return undefined
  if (path === "/") return judgeBuckets(view, answer)
  if (key !== "") return Object.keys(query).every((name) => name === "versionId" || name === "partNumber") ? judgeObject(view, request, answer) : undefined
  if (method === "HEAD" || "location" in query || "uploads" in query || "acl" in query) return undefined
  return "versioning" in query ? judgeVersioning(view, bucket, answer) : judgeListing(view, request, answer)
}

interface DiffJson {
  readonly from: { readonly bucket: string; readonly commit: number }
  readonly to: { readonly bucket: string; readonly commit: number }
  readonly entries: ReadonlyArray<{ readonly change: string; readonly key: string }>
  readonly next?: string
}

/** Which keys changed between two commits, as GET /v1/diff says: on one page, where nothing expires. */
export const judgeDiff = (model: ObjectStore, query: Readonly<Record<string, string>>, answer: Answered): string | undefined => {
  const told = JSON.parse(fromUtf8(answer.body) ?? "") as DiffJson
  const all: Query = { prefix: query["prefix"] ?? "", delimiter: "", after: query["after"] ?? "", limit: Number.MAX_SAFE_INTEGER }
  if (expires(model, told.from.bucket, told.from.commit) || expires(model, told.to.bucket, told.to.commit)) return undefined
  const shown = ({ bucket, commit }: DiffJson["from"]) => new Map(model.listObjects(bucket, all, commit).items.map(({ key, sequence }) => [key, sequence]))
  const [from, to] = [shown(told.from), shown(told.to)]
  const expected: Array<string> = []
  for (const key of new Set([...from.keys(), ...to.keys()])) {
    if (told.next !== undefined && Buffer.compare(Buffer.from(key), Buffer.from(told.next)) > 0) continue
    if (from.get(key) !== to.get(key)) expected.push(`${!from.has(key) ? "added" : !to.has(key) ? "removed" : "changed"} ${key}`)
  }
  return differs("diff", told.entries.map(({ change, key }) => `${change} ${key}`).sort(), expected.sort())
}
