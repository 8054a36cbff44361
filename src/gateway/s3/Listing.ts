/**
 * Listing: ListObjects, ListObjectsV2, ListObjectVersions. It sits between the router and namespace. Version 2 carries
 * its commit in the token, so that all pages see one; the markers of the other two are keys, and have no room for it:
 * each of their pages sees the newest commit (named by x-ouroboros-commit) unless the client asks AS OF one.
 */
import { Effect } from "effect"
import { listKeysMax } from "../../base/limits.ts"
import { millisOf } from "../../base/time.ts"
import type { BucketInfo, ObjectPage, ObjectVersion, VersionPage } from "../../namespace/Model.ts"
import type { Moment } from "../../namespace/Namespace.ts"
import { ownerElement } from "./Buckets.ts"
import { formatIso } from "./HttpDate.ts"
import { decodeToken, encodeToken, type ListingToken } from "./ListingToken.ts"
import { bucketAt, type Call, momentOf, numberOf, type Operation, orFail, type Rooms, versionIdOf, xmlReply } from "./Operation.ts"
import { invalidArgument, type OperationError, S3Error } from "./S3Error.ts"
import { uriEncode } from "./SigV4.ts"
import { document, element, wrap } from "./XmlOut.ts"

export interface ListArguments {
  readonly prefix: string
  readonly delimiter: string
  readonly limit: number
  /** Applied to every name in the answer. */
  readonly encode: (name: string) => string
  readonly encodingElement: string
}

/** What all listings have in common. InvalidArgument: a limit or an encoding that is none. */
export const readArguments = (call: Call, limitName = "max-keys"): ListArguments | S3Error => {
  const { query } = call.request
  const limit = numberOf(call, limitName, 0, listKeysMax, listKeysMax)
  if (limit instanceof S3Error) return limit
  const encoding = query.get("encoding-type")
  const encodes = encoding !== undefined && encoding !== ""
  if (encodes && encoding.toLowerCase() !== "url") return invalidArgument("encoding-type", encoding, "Invalid Encoding Method specified in Request")
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    limit,
    encode: encodes ? (name) => uriEncode(name, true) : (name) => name,
    encodingElement: encodes ? element("EncodingType", "url") : ""
  }
}

/** Read once: it is decoded for whoever asks. */
const checksumElements = ({ checksum }: ObjectVersion): string =>
  checksum === undefined ? "" : element("ChecksumAlgorithm", checksum.algorithm) + element("ChecksumType", checksum.type)

const contents = (version: ObjectVersion, list: ListArguments, owner: string): string =>
  wrap("Contents",
    element("Key", list.encode(version.key)) + element("LastModified", formatIso(millisOf(version.time))) +
    element("ETag", `"${version.etag}"`) + checksumElements(version) + element("Size", version.sizeBytes) + owner + element("StorageClass", "STANDARD"))

export const prefixElements = (prefixes: ReadonlyArray<string>, list: ListArguments): string =>
  prefixes.map((prefix) => wrap("CommonPrefixes", element("Prefix", list.encode(prefix)))).join("")

const emptyPage: ObjectPage = { versions: [], commonPrefixes: [] }

const pageOf = (rooms: Rooms, call: Call, list: ListArguments, after: string, { sequence, ms }: Moment) =>
  list.limit === 0
    ? Effect.succeed(emptyPage)
    : rooms.namespace.listObjects(call.bucket, { prefix: list.prefix, delimiter: list.delimiter, after, limit: list.limit }, sequence, ms)

const commonHead = (bucket: BucketInfo, list: ListArguments): string =>
  element("Name", bucket.name) + element("Prefix", list.encode(list.prefix)) + element("MaxKeys", list.limit) +
  (list.delimiter === "" ? "" : element("Delimiter", list.encode(list.delimiter))) + list.encodingElement

export const listObjects: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const list = yield* orFail(readArguments(call))
  const marker = call.request.query.get("marker") ?? ""
  const moment = yield* momentOf(rooms, call)
  const at = moment.sequence
  const bucket = yield* bucketAt(rooms, call, at)
  const page = yield* pageOf(rooms, call, list, marker, moment)
  const owner = ownerElement("Owner", bucket.owner)
  return xmlReply(at, document("ListBucketResult",
    commonHead(bucket, list) + element("Marker", list.encode(marker)) + element("IsTruncated", page.next !== undefined) +
    (page.next === undefined ? "" : element("NextMarker", list.encode(page.next))) +
    page.versions.map((version) => contents(version, list, owner)).join("") + prefixElements(page.commonPrefixes, list)))
})

/** Where a listing goes on, it sees the commit and the point of time of its first page. */
const pointOfPage = (rooms: Rooms, call: Call, token: ListingToken | undefined): Effect.Effect<Moment, OperationError> => {
  if (token === undefined) return momentOf(rooms, call)
  return Effect.map(rooms.namespace.resolve({ _tag: "Sequence", sequence: token.sequence }), (sequence) => ({ sequence, ms: token.ms }))
}

export const listObjectsV2: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const { query } = call.request
  const list = yield* orFail(readArguments(call))
  const text = query.get("continuation-token")
  const token = text === undefined ? undefined : decodeToken(text, call.bucket)
  if (text !== undefined && token === undefined) {
    return yield* invalidArgument("continuation-token", text, "The continuation token provided is incorrect")
  }
  const startAfter = query.get("start-after") ?? ""
  const moment = yield* pointOfPage(rooms, call, token)
  const at = moment.sequence
  const bucket = yield* bucketAt(rooms, call, at)
  const page = yield* pageOf(rooms, call, list, token?.position ?? startAfter, moment)
  const owner = query.get("fetch-owner") === "true" ? ownerElement("Owner", bucket.owner) : ""
  return xmlReply(at, document("ListBucketResult",
    commonHead(bucket, list) + element("KeyCount", page.versions.length + page.commonPrefixes.length) +
    element("IsTruncated", page.next !== undefined) + element("ContinuationToken", text) +
    (page.next === undefined ? "" : element("NextContinuationToken", encodeToken({ ...moment, position: page.next }, call.bucket))) +
    (startAfter === "" ? "" : element("StartAfter", list.encode(startAfter))) +
    page.versions.map((version) => contents(version, list, owner)).join("") + prefixElements(page.commonPrefixes, list)))
})

const versionElement = (version: ObjectVersion, list: ListArguments, owner: string): string => {
  const head = element("Key", list.encode(version.key)) + element("VersionId", version.versionId) +
    element("IsLatest", version.isLatest) + element("LastModified", formatIso(millisOf(version.time)))
  return version.deleteMarker
    ? wrap("DeleteMarker", head + owner)
    : wrap("Version", head + element("ETag", `"${version.etag}"`) + checksumElements(version) + element("Size", version.sizeBytes) +
      owner + element("StorageClass", "STANDARD"))
}

const emptyVersions: VersionPage = { versions: [], commonPrefixes: [] }

export const listObjectVersions: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const { query } = call.request
  const list = yield* orFail(readArguments(call))
  const keyMarker = query.get("key-marker") ?? ""
  const idMarker = query.get("version-id-marker") ?? ""
  if (idMarker !== "" && keyMarker === "") {
    return yield* invalidArgument("version-id-marker", idMarker, "A version-id marker cannot be specified without a key marker.")
  }
  const afterVersionId = yield* orFail(versionIdOf(idMarker === "" ? undefined : idMarker))
  const { sequence: at, ms } = yield* momentOf(rooms, call)
  const bucket = yield* bucketAt(rooms, call, at)
  const page = list.limit === 0 ? emptyVersions : yield* rooms.namespace.listVersions(call.bucket, {
    prefix: list.prefix, delimiter: list.delimiter, after: keyMarker, limit: list.limit,
    ...(afterVersionId === undefined ? {} : { afterVersionId })
  }, at, ms)
  const owner = ownerElement("Owner", bucket.owner)
  const next = page.next === undefined
    ? ""
    : element("NextKeyMarker", list.encode(page.next.key)) + element("NextVersionIdMarker", page.next.versionId)
  return xmlReply(at, document("ListVersionsResult",
    commonHead(bucket, list) + element("KeyMarker", list.encode(keyMarker)) + element("VersionIdMarker", idMarker) +
    element("IsTruncated", page.next !== undefined) + next +
    page.versions.map((version) => versionElement(version, list, owner)).join("") + prefixElements(page.commonPrefixes, list)))
})
