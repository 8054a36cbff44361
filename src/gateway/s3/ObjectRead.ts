/** ObjectRead: GET and HEAD of an object. It sits between the router and namespace (the version), get (its bytes). */
import { Effect, type Scope } from "effect"
import { millisOf } from "../../base/time.ts"
import type { BucketInfo, ObjectVersion } from "../../namespace/Model.ts"
import { type ByteRange, contentRange, parseRange } from "./ByteRange.ts"
import { checksumHeaders } from "./Checksums.ts"
import { judgeRead, parseEtags } from "./Conditions.ts"
import { formatHttpDate, parseHttpDate } from "./HttpDate.ts"
import { expiryHeaders, readOverrides, writeAttributes } from "./ObjectAttributes.ts"
import { type Call, type Header, momentOf, type Operation, type OperationNow, type Reply, type Rooms, versionIdOf } from "./Operation.ts"
import { invalidArgument, type OperationError, S3Error, s3Error } from "./S3Error.ts"
import { inlineBytesMax, partNumberMax } from "../../base/limits.ts"

/** x-amz-version-id, where the bucket's versioning was ever switched on: "null" says nothing before that. */
export const versionHeaders = (rooms: Rooms, bucket: string, version: ObjectVersion, at: number): Effect.Effect<Array<Header>, OperationError> => {
  if (version.versionId !== "null") return Effect.succeed([["x-amz-version-id", version.versionId]])
  return Effect.map(rooms.namespace.bucket(bucket, at), ({ versioning }) => versionHeader(version, versioning))
}

const versionHeader = ({ versionId }: ObjectVersion, versioning: BucketInfo["versioning"]): Array<Header> =>
  versionId === "null" && versioning === "Unversioned" ? [] : [["x-amz-version-id", versionId]]

/** A delete marker as the current version is 404, by its version id 405; both say what they are. */
const markerError = (call: Call, version: ObjectVersion, named: boolean, at: number): S3Error => {
  const headers: Array<Header> = [["x-amz-delete-marker", "true"], ["x-amz-version-id", version.versionId]]
  if (!named) return new S3Error({ code: "NoSuchKey", extra: [["Key", call.key]], headers, commit: at })
  headers.push(["last-modified", formatHttpDate(millisOf(version.time))], ["allow", "DELETE"])
  return new S3Error({ code: "MethodNotAllowed", extra: [["Method", call.request.method], ["ResourceType", "DeleteMarker"]], headers, commit: at })
}

interface Selection {
  readonly range: ByteRange
  readonly status: 200 | 206
  readonly headers: ReadonlyArray<Header>
}

/** `?partNumber=N`: the bytes of that part; an object of one piece has part 1 only. */
const selectPart = (version: ObjectVersion, text: string, at: number): Selection | S3Error => {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > partNumberMax) return invalidArgument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
  const size = version.sizeBytes
  if (version.parts === undefined) {
    if (number !== 1) return new S3Error({ code: "InvalidPartNumber", extra: [["ActualPartCount", "1"], ["PartNumberRequested", text]], commit: at })
    const range = { start: 0, end: size }
    return { range, status: 206, headers: size === 0 ? [] : [["content-range", contentRange(range, size)]] }
  }
  let start = 0
  for (const part of version.parts) {
    const range = { start, end: start + part.sizeBytes }
    start = range.end
    if (part.partNumber !== number) continue
    return {
      range,
      status: 206,
      headers: [["x-amz-mp-parts-count", String(version.parts.length)], ...(part.sizeBytes === 0 ? [] : [["content-range", contentRange(range, size)] as const])]
    }
  }
  return new S3Error({ code: "InvalidPartNumber", extra: [["ActualPartCount", String(version.parts.length)], ["PartNumberRequested", text]], commit: at })
}

/** If-Range: the range counts only while the object is still the one that the client knows. */
const rangeCounts = (condition: string | undefined, version: ObjectVersion): boolean => {
  if (condition === undefined) return true
  const date = parseHttpDate(condition)
  if (date !== undefined) return Math.floor(millisOf(version.time) / 1000) <= Math.floor(date / 1000)
  return parseEtags(condition).includes(version.etag)
}

const select = (call: Call, version: ObjectVersion, at: number): Selection | S3Error => {
  const { headers, query } = call.request
  const size = version.sizeBytes
  const part = query.get("partNumber")
  const header = headers.get("range")
  if (part !== undefined) {
    return header === undefined ? selectPart(version, part, at) : s3Error("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
  }
  const range = rangeCounts(headers.get("if-range"), version) ? parseRange(header, size) : undefined
  if (range === "Unsatisfiable") {
    return new S3Error({
      code: "InvalidRange", extra: [["RangeRequested", header ?? ""], ["ActualObjectSize", String(size)]],
      headers: [["content-range", `bytes */${size}`]], commit: at
    })
  }
  if (range === undefined) return { range: { start: 0, end: size }, status: 200, headers: [] }
  return { range, status: 206, headers: [["content-range", contentRange(range, size)]] }
}

/** The checksum of a whole object, or of the part asked for; that of a range is unknown. */
const checksumsOf = (call: Call, version: ObjectVersion, selection: Selection): ReadonlyArray<Header> => {
  if (call.request.headers.get("x-amz-checksum-mode")?.toUpperCase() !== "ENABLED") return []
  const part = call.request.query.get("partNumber")
  if (part !== undefined && version.parts !== undefined) {
    return checksumHeaders(version.parts.find((one) => one.partNumber === Number(part))?.checksum)
  }
  return selection.status === 200 || part !== undefined ? checksumHeaders(version.checksum) : []
}

const describe = (version: ObjectVersion, named: ReadonlyArray<Header>): Array<Header> => [
  ["etag", `"${version.etag}"`],
  ["last-modified", formatHttpDate(millisOf(version.time))],
  ["accept-ranges", "bytes"],
  ...expiryHeaders(version.expiresMs),
  ...named
]

/** The version that a read or a copy means; a delete marker is an error. */
export const findVersion = (rooms: Rooms, call: Call, at: number, atMs?: number): Effect.Effect<ObjectVersion, OperationError> => {
  const versionId = versionIdOf(call.request.query.get("versionId"))
  if (versionId instanceof S3Error) return Effect.fail(versionId)
  return Effect.flatMap(rooms.namespace.object(call.bucket, call.key, versionId, at, atMs), (version) =>
    version.deleteMarker ? Effect.fail(markerError(call, version, versionId !== undefined, at)) : Effect.succeed(version))
}

/** An answer whose body is still to be opened. */
interface Opening {
  readonly status: number
  readonly headers: Array<Header>
  readonly range: ByteRange
}

/** The answer to a read of a version, whole where its bytes are at hand. */
const judge = (rooms: Rooms, call: Call, found: Found, withBody: boolean, nowMs: number): Reply | Opening | S3Error => {
  const { at, named, version } = found
  const headers = describe(version, named)
  const verdict = judgeRead(call.request, version, nowMs)
  if (verdict === "NotModified") return { status: 304, headers, body: undefined, commit: at }
  if (verdict instanceof S3Error) return verdict
  const overrides = readOverrides(call.request)
  if (overrides instanceof S3Error) return overrides
  const selection = select(call, version, at)
  if (selection instanceof S3Error) return selection
  const { range, status } = selection
  const { end, start } = range
  headers.push(["content-length", String(end - start)], ...selection.headers, ...writeAttributes(version.attributes, overrides), ...checksumsOf(call, version, selection))
  if (!withBody || end === start) return { status, headers, body: undefined, commit: at }
  const body = rooms.get.inline(version, start, end)
  return body === undefined ? { status, headers, range } : { status, headers, body, commit: at }
}

/** Its body is opened last, once nothing is left that could refuse. */
const answer = (rooms: Rooms, call: Call, found: Found, withBody: boolean, nowMs: number): Effect.Effect<Reply, OperationError, Scope.Scope> => {
  const judged = judge(rooms, call, found, withBody, nowMs)
  if (judged instanceof S3Error) return Effect.fail(judged)
  if (!("range" in judged)) return Effect.succeed(judged)
  const { headers, range: { end, start }, status } = judged
  return Effect.map(rooms.get.open(found.version, start, end), (body): Reply => ({ status, headers, body, commit: found.at }))
}

interface Found {
  readonly at: number
  readonly version: ObjectVersion
  readonly named: ReadonlyArray<Header>
}

/**
 * The answer where all of it is in memory: nothing is waited for between look-up and bytes, so nothing can go meanwhile
 * and no hold is needed. Undefined: the operation itself answers, or says what is wrong.
 */
const readNow = (rooms: Rooms, call: Call, withBody: boolean, nowMs: number): Reply | undefined => {
  if (call.asOf !== undefined || call.request.query.has("versionId")) return undefined
  // A larger object's bytes are not in its row: one look-up of it is enough.
  const current = rooms.namespace.current(call.bucket, call.key, nowMs, withBody ? inlineBytesMax : undefined)
  if (current === undefined || current.version.deleteMarker) return undefined
  const { bucket, sequence: at, version } = current
  const judged = judge(rooms, call, { at, version, named: versionHeader(version, bucket.versioning) }, withBody, nowMs)
  return judged instanceof S3Error || "range" in judged ? undefined : judged
}

export const getObjectNow: OperationNow = (rooms, call, nowMs) => readNow(rooms, call, true, nowMs)
export const headObjectNow: OperationNow = (rooms, call, nowMs) => readNow(rooms, call, false, nowMs)

const find = Effect.fnUntraced(function*(rooms: Rooms, call: Call): Effect.fn.Return<Found, OperationError> {
  const { sequence: at, ms } = yield* momentOf(rooms, call)
  const version = yield* findVersion(rooms, call, at, ms)
  return { at, version, named: yield* versionHeaders(rooms, call.bucket, version, at) }
})

const read = (rooms: Rooms, call: Call, withBody: boolean): Effect.Effect<Reply, OperationError, Scope.Scope> =>
  Effect.flatMap(withBody ? Effect.andThen(rooms.get.hold, find(rooms, call)) : find(rooms, call), (found) =>
    Effect.clockWith((clock) => answer(rooms, call, found, withBody, clock.currentTimeMillisUnsafe())))

export const getObject: Operation = (rooms, call) => read(rooms, call, true)
export const headObject: Operation = (rooms, call) => read(rooms, call, false)
