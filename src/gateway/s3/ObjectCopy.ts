/** ObjectCopy: CopyObject and the source of UploadPartCopy. It sits between the router and namespace, get, put. */
import { Effect, Scope } from "effect"
import { singlePutBytesMax } from "../../base/limits.ts"
import { expiryOf, ttlHeader } from "../../base/timeToLive.ts"
import type { Attributes, ChecksumAlgorithm, ObjectVersion } from "../../namespace/Model.ts"
import { type Body, BodyError } from "../../ports/Body.ts"
import type { PutBody, PutError, Stored } from "../../put.ts"
import { requestedAlgorithm, elementOf, makeHasher } from "./Checksums.ts"
import { judgeCopy, writeCondition } from "./Conditions.ts"
import { formatIso } from "./HttpDate.ts"
import { expiryHeaders, readAttributes, readTtl, refuseHeaders } from "./ObjectAttributes.ts"
import { versionHeaders } from "./ObjectRead.ts"
import { onceOf } from "./Once.ts"
import { type Call, type Header, type Operation, orFail, type Rooms, versionIdOf, xmlReply } from "./Operation.ts"
import { invalidArgument, type OperationError, S3Error, s3Error, slowDown } from "./S3Error.ts"
import { parseQuery, percentDecode } from "./S3Request.ts"
import { document, element } from "./XmlOut.ts"
import { toBase64 } from "../../base/bytes.ts"

export interface CopySource {
  readonly bucket: string
  readonly key: string
  readonly versionId: string | undefined
}

/** `[/]BUCKET/KEY[?versionId=ID]`, percent-encoded; the key may hold slashes and question marks in encoded form. */
export const parseCopySource = (header: string): CopySource | S3Error => {
  const wrong = (detail: string): S3Error => invalidArgument("x-amz-copy-source", header, detail)
  const mark = header.search(/\?versionId=/)
  const path = percentDecode((mark < 0 ? header : header.slice(0, mark)).replace(/^\//, ""))
  const pairs = mark < 0 ? [] : parseQuery(header.slice(mark + 1))
  if (path === undefined || pairs === undefined) return wrong("Copy Source must be URL-encoded")
  const slash = path.indexOf("/")
  if (slash < 1 || slash === path.length - 1) return wrong("Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
  const versionId = versionIdOf(pairs.find(([name]) => name === "versionId")?.[1])
  if (versionId instanceof S3Error) return versionId
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1), versionId }
}

export interface FoundSource {
  readonly source: CopySource
  readonly version: ObjectVersion
  /** x-amz-copy-source-version-id, where the source's bucket has versions. */
  readonly headers: ReadonlyArray<Header>
}

/** The version to copy from, once the conditions on it hold. */
export const findSource = Effect.fnUntraced(function*(rooms: Rooms, call: Call): Effect.fn.Return<FoundSource, OperationError, Scope.Scope> {
  yield* rooms.get.hold
  const source = yield* orFail(parseCopySource(call.request.headers.get("x-amz-copy-source") ?? ""))
  const { sequence: at, ms } = yield* rooms.namespace.momentOf(undefined)
  const version = yield* rooms.namespace.object(source.bucket, source.key, source.versionId, at, ms)
  if (version.deleteMarker) {
    return yield* source.versionId === undefined
      ? s3Error("NoSuchKey")
      : s3Error("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
  }
  const failed = judgeCopy(call.request, version)
  if (failed !== undefined) return yield* failed
  const named = yield* versionHeaders(rooms, source.bucket, version, at)
  return { source, version, headers: named.map(([, value]) => ["x-amz-copy-source-version-id", value] as const) }
})

const directive = (call: Call, name: string): "COPY" | "REPLACE" | S3Error => {
  const value = call.request.headers.get(name)
  if (value === undefined || value === "COPY") return "COPY"
  return value === "REPLACE" ? "REPLACE" : invalidArgument(name, value, `Unknown ${name}.`)
}

const attributesOf = (rooms: Rooms, call: Call, found: FoundSource): Attributes | S3Error => {
  const chosen = directive(call, "x-amz-metadata-directive")
  if (chosen instanceof S3Error) return chosen
  if (chosen === "REPLACE") return readAttributes(call.request, rooms.ttlDefaultSeconds)
  const { headers } = call.request
  const same = found.source.bucket === call.bucket && found.source.key === call.key && found.source.versionId === undefined
  const changes = headers.has("x-amz-storage-class") || headers.has("x-amz-checksum-algorithm") || headers.has("x-amz-website-redirect-location") ||
    headers.has("x-amz-server-side-encryption") || headers.has(ttlHeader)
  if (same && !changes) {
    return s3Error("InvalidRequest",
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
  }
  const ttl = readTtl(call.request, rooms.ttlDefaultSeconds)
  if (ttl instanceof S3Error) return ttl
  // The redirect is never copied; nor is the time to live: what somebody copies to keep must not go with its source.
  const { "x-amz-website-redirect-location": _, [ttlHeader]: __, ...kept } = found.version.attributes.headers
  const redirect = headers.get("x-amz-website-redirect-location")
  return {
    headers: {
      ...kept, ...(redirect === undefined ? {} : { "x-amz-website-redirect-location": redirect }), ...(ttl === undefined ? {} : { [ttlHeader]: ttl })
    },
    userMetadata: found.version.attributes.userMetadata
  }
}

/** The bytes of a version as the body of a write, with the checksum that the copy is to have. */
export const sourceBody = (rooms: Rooms, body: Body, algorithm: ChecksumAlgorithm | undefined): PutBody => {
  if (algorithm === undefined) return { body, summary: () => ({ md5: undefined, checksum: undefined }) }
  const hasher = makeHasher(algorithm, rooms.crc64)
  return {
    body: {
      sizeBytes: body.sizeBytes,
      next: Effect.map(body.next, (bytes) => {
        if (bytes !== undefined) hasher.update(bytes)
        return bytes
      })
    },
    summary: () => ({ md5: undefined, checksum: { algorithm, value: toBase64(hasher.digest()), type: "FULL_OBJECT" } })
  }
}

/**
 * Bytes of a version, opened by the first pull: by then the write has its memory. So a copy waits for memory of reads
 * while it holds memory of writes, and never the other way round: no two copies wait for one another.
 */
export const laterBody = (rooms: Rooms, version: ObjectVersion, start = 0, end = version.sizeBytes): Effect.Effect<Body, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let opened: Body | undefined
    const open = rooms.get.open(version, start, end).pipe(
      Scope.provide(scope),
      Effect.mapError((error) => new BodyError({ reason: error._tag === "Overloaded" ? "Overloaded" : "Unverified", detail: error.message }))
    )
    return {
      sizeBytes: end - start,
      next: Effect.suspend(() => opened?.next ?? Effect.flatMap(open, (body) => {
        opened = body
        return body.next
      }))
    }
  })

/** A body of our own that fails is damage in the store, no fault of the client; or the store has too much to do. */
export const blameStore = <A>(write: Effect.Effect<A, PutError>): Effect.Effect<A, Exclude<PutError, BodyError> | S3Error> =>
  Effect.catchTag(write, "BodyError", (error) =>
    Effect.fail(error.reason === "Overloaded" ? slowDown : s3Error("InternalError", `The bytes of the copy's source cannot be read as they were written: ${error.detail}`)))

const store = Effect.fnUntraced(function*(
  rooms: Rooms, call: Call, version: ObjectVersion, attributes: Attributes
): Effect.fn.Return<Stored, OperationError, Scope.Scope> {
  const algorithm = yield* orFail(requestedAlgorithm(call.request.headers))
  const condition = writeCondition(call.request)
  // The source as the request names it: by the next attempt it may be another version, with other attributes.
  const { headers } = call.request
  const asked = [headers.get("x-amz-copy-source"), headers.get("x-amz-metadata-directive"), readAttributes(call.request, rooms.ttlDefaultSeconds)]
  const once = onceOf(call, "CopyObject", asked, condition, algorithm)
  const { once: name } = once
  const target = { bucket: call.bucket, key: call.key, attributes, ...(condition === undefined ? {} : { condition }) }
  if (algorithm === undefined || (version.checksum?.algorithm === algorithm && version.checksum.type === "FULL_OBJECT")) {
    return yield* rooms.put.copy({ ...target, source: version, ...once })
  }
  const body = yield* laterBody(rooms, version)
  return yield* blameStore(rooms.put.object({ ...target, ...sourceBody(rooms, body, algorithm), ...(name === undefined ? {} : { once: () => name }) }))
})

export const resultElements = (stored: Stored): string =>
  element("LastModified", formatIso(stored.modifiedMs)) + element("ETag", `"${stored.etag}"`) +
  (stored.checksum === undefined ? "" : element(elementOf(stored.checksum.algorithm), stored.checksum.value) + element("ChecksumType", stored.checksum.type))

export const copyObject: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const refused = refuseHeaders(call.request)
  if (refused !== undefined) return yield* refused
  const found = yield* findSource(rooms, call)
  if (found.version.sizeBytes > singlePutBytesMax) {
    return yield* s3Error("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120")
  }
  const attributes = yield* orFail(attributesOf(rooms, call, found))
  const stored = yield* store(rooms, call, found.version, attributes)
  const headers: Array<Header> = [...found.headers]
  headers.push(...expiryHeaders(expiryOf(attributes.headers, stored.modifiedMs)))
  if (stored.versionId !== undefined) headers.push(["x-amz-version-id", stored.versionId])
  return xmlReply(stored.sequence, document("CopyObjectResult", resultElements(stored)), headers)
})

