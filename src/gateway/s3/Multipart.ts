/** Multipart: uploads in parts: create, part, part copy, complete, abort. It sits between the router and put, namespace. */
import { Effect } from "effect"
import { idBytes, idOf, type UploadId } from "../../base/ids.ts"
import { partNumberMax, singlePutBytesMax } from "../../base/limits.ts"
import type { Checksum, ChecksumAlgorithm, CompletedPart, UploadInfo } from "../../namespace/Model.ts"
import type { AsOfRefused, Refused } from "../../namespace/Namespace.ts"
import { type ByteRange, parseCopyRange } from "./ByteRange.ts"
import { algorithms, checkValue, claimOf, elementOf, headerOf, requestedAlgorithm } from "./Checksums.ts"
import { parseEtags, writeCondition } from "./Conditions.ts"
import { readAttributes, refuseHeaders } from "./ObjectAttributes.ts"
import { blameStore, findSource, laterBody, resultElements, sourceBody } from "./ObjectCopy.ts"
import { storedHeaders, tooLarge } from "./ObjectWrite.ts"
import { onceOf } from "./Once.ts"
import { type Call, type Header, type Operation, orFail, payloadOf, reply, type Rooms, xmlOf, xmlReply } from "./Operation.ts"
import { invalidArgument, type OperationError, S3Error, s3Error } from "./S3Error.ts"
import { childrenOf, textOf, type XmlNode } from "./XmlIn.ts"
import { document, element } from "./XmlOut.ts"

/** An id that cannot be one names no upload. */
export const uploadIdOf = (call: Call): UploadId | S3Error => {
  const text = call.request.query.get("uploadId") ?? ""
  return /^[0-9a-f]{32}$/.test(text) ? text as UploadId : new S3Error({ code: "NoSuchUpload", extra: [["UploadId", text]] })
}

const partNumberOf = (call: Call): number | S3Error => {
  const text = call.request.query.get("partNumber") ?? ""
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0
  return number >= 1 && number <= partNumberMax
    ? number
    : invalidArgument("partNumber", text, "Part number must be an integer between 1 and 10000, inclusive")
}

const typeOf = (text: string | undefined): Checksum["type"] | undefined | S3Error => {
  if (text === undefined || text === "") return undefined
  return text === "FULL_OBJECT" || text === "COMPOSITE" ? text : s3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
}

/** Which checksums an upload will have. CRC64NVME is whole-object only, the SHA ones composite only (S3 API reference). */
const uploadChecksum = (call: Call): UploadInfo["checksum"] | S3Error => {
  const algorithm = requestedAlgorithm(call.request.headers)
  if (algorithm instanceof S3Error) return algorithm
  const type = typeOf(call.request.headers.get("x-amz-checksum-type"))
  if (type instanceof S3Error) return type
  if (algorithm === undefined) {
    return type === undefined ? undefined : s3Error("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
  }
  const wrong = (algorithm === "CRC64NVME" && type === "COMPOSITE") || (algorithm.startsWith("SHA") && type === "FULL_OBJECT")
  if (wrong) return s3Error("InvalidRequest", `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`)
  return { algorithm, type: type ?? (algorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE") }
}

export const createUpload: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const refused = refuseHeaders(call.request)
  if (refused !== undefined) return yield* refused
  const attributes = yield* orFail(readAttributes(call.request, rooms.ttlDefaultSeconds))
  const checksum = uploadChecksum(call)
  if (checksum instanceof S3Error) return yield* checksum
  const upload = idOf<UploadId>(rooms.entropy.bytes(idBytes))
  const { sequence } = yield* rooms.namespace.propose({
    _tag: "CreateUpload", bucket: call.bucket, key: call.key, upload, attributes, ...(checksum === undefined ? {} : { checksum })
  })
  const headers: Array<Header> = checksum === undefined
    ? []
    : [["x-amz-checksum-algorithm", checksum.algorithm], ["x-amz-checksum-type", checksum.type]]
  return xmlReply(sequence, document("InitiateMultipartUploadResult",
    element("Bucket", call.bucket) + element("Key", call.key) + element("UploadId", upload)), headers)
})

/** A part's checksum must be of the algorithm that its upload was created with. */
const partAlgorithm = (call: Call, upload: UploadInfo): ChecksumAlgorithm | undefined | S3Error => {
  const claim = claimOf(call.request.headers)
  if (claim instanceof S3Error) return claim
  const expected = upload.checksum?.algorithm
  if (claim !== undefined && expected !== undefined && claim.algorithm !== expected) {
    return s3Error("InvalidRequest",
      `Checksum Type mismatch occurred, expected checksum Type: ${expected.toLowerCase()}, actual checksum Type: ${claim.algorithm.toLowerCase()}`)
  }
  return claim?.algorithm ?? expected
}

export const uploadPart: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const upload = yield* orFail(uploadIdOf(call))
  const partNumber = yield* orFail(partNumberOf(call))
  const info = yield* rooms.namespace.upload(call.bucket, call.key, upload)
  const algorithm = partAlgorithm(call, info)
  if (algorithm instanceof S3Error) return yield* algorithm
  const payload = yield* orFail(payloadOf(rooms, call, { part: true, ...(algorithm === undefined ? {} : { algorithm }) }))
  if (payload.sizeBytes > singlePutBytesMax) return yield* tooLarge(payload.sizeBytes)
  const stored = yield* rooms.put.part({ bucket: call.bucket, key: call.key, upload, partNumber, ...payload })
  return reply(200, stored.sequence, storedHeaders(stored).filter(([name]) => name !== "x-amz-checksum-type"))
})

const copyRange = (call: Call, sizeBytes: number): ByteRange | S3Error => {
  const header = call.request.headers.get("x-amz-copy-source-range")
  if (header === undefined) return { start: 0, end: sizeBytes }
  const range = parseCopyRange(header, sizeBytes)
  if (range === "Malformed") {
    return invalidArgument("x-amz-copy-source-range", header, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
  }
  return range === "Unsatisfiable"
    ? invalidArgument("x-amz-copy-source-range", header, `Range specified is not valid for source object of size: ${sizeBytes}`)
    : range
}

export const uploadPartCopy: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const upload = yield* orFail(uploadIdOf(call))
  const partNumber = yield* orFail(partNumberOf(call))
  const info = yield* rooms.namespace.upload(call.bucket, call.key, upload)
  const found = yield* findSource(rooms, call)
  const range = yield* orFail(copyRange(call, found.version.sizeBytes))
  if (range.end - range.start > singlePutBytesMax) return yield* tooLarge(range.end - range.start)
  const source = yield* laterBody(rooms, found.version, range.start, range.end)
  const stored = yield* blameStore(rooms.put.part({
    bucket: call.bucket, key: call.key, upload, partNumber, ...sourceBody(rooms, source, info.checksum?.algorithm)
  }))
  return xmlReply(stored.sequence, document("CopyPartResult", resultElements(stored)), found.headers)
})

type Part = CompletedPart & { readonly checksum?: string }

const readPart = (node: XmlNode): Part | S3Error => {
  const number = textOf(node, "PartNumber")?.trim() ?? ""
  const etag = textOf(node, "ETag")
  if (!/^\d{1,9}$/.test(number) || etag === undefined) return s3Error("MalformedXML", "Every Part must have a PartNumber and an ETag.")
  if (Number(number) < 1 || Number(number) > partNumberMax) {
    return invalidArgument("partNumber", number, "PartNumber must be an integer between 1 and 10000, inclusive")
  }
  let checksum: string | undefined
  for (const algorithm of algorithms) checksum ??= textOf(node, elementOf(algorithm))
  return { partNumber: Number(number), etag: parseEtags(etag.trim())[0] ?? "", ...(checksum === undefined ? {} : { checksum }) }
}

/** The parts as the client lists them: one or more, ascending. */
const readParts = (root: XmlNode): ReadonlyArray<Part> | S3Error => {
  const nodes = childrenOf(root, "Part")
  if (nodes.length === 0 || nodes.length > partNumberMax) return s3Error("MalformedXML", "A completed upload names 1 to 10000 parts.")
  const parts: Array<Part> = []
  for (const node of nodes) {
    const part = readPart(node)
    if (part instanceof S3Error) return part
    if (part.partNumber <= (parts.at(-1)?.partNumber ?? 0)) return s3Error("InvalidPartOrder")
    parts.push(part)
  }
  return parts
}

/** The checksum of the whole object that a client claims when it completes; composite ones end with "-N". */
const wholeChecksum = (call: Call, info: UploadInfo): Checksum | S3Error | undefined => {
  const type = typeOf(call.request.headers.get("x-amz-checksum-type"))
  if (type instanceof S3Error) return type
  if (type !== undefined && info.checksum !== undefined && type !== info.checksum.type) {
    return s3Error("InvalidRequest", `The upload was created using the ${info.checksum.type} checksum mode. The complete request must use the same checksum mode.`)
  }
  let found: Checksum | undefined
  for (const algorithm of algorithms) {
    const value = call.request.headers.get(headerOf(algorithm))
    if (value === undefined) continue
    if (found !== undefined) return s3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    const composite = /^(.*)-\d{1,5}$/.exec(value)
    const wrong = checkValue(algorithm, composite?.[1] ?? value)
    if (wrong !== undefined) return wrong
    found = { algorithm, value, type: composite !== null ? "COMPOSITE" : type ?? info.checksum?.type ?? "FULL_OBJECT" }
  }
  return found
}

/** x-amz-mp-object-size: the client's claim of the sum of its parts. */
const checkSize = Effect.fnUntraced(function*(rooms: Rooms, call: Call, upload: UploadId, parts: ReadonlyArray<Part>): Effect.fn.Return<void, OperationError> {
  const claimed = call.request.headers.get("x-amz-mp-object-size")
  if (claimed === undefined) return
  const wanted = new Set(parts.map((part) => part.partNumber))
  let sizeBytes = 0
  let after: number | undefined = 0
  while (after !== undefined) {
    const page: { readonly parts: ReadonlyArray<{ readonly partNumber: number; readonly sizeBytes: number }>; readonly next?: number } =
      yield* rooms.namespace.listParts(call.bucket, call.key, upload, after, 1000)
    for (const part of page.parts) if (wanted.has(part.partNumber)) sizeBytes += part.sizeBytes
    after = page.next
  }
  if (claimed !== String(sizeBytes)) {
    return yield* s3Error("InvalidRequest", `The provided 'x-amz-mp-object-size' header value ${claimed} does not match what was computed: ${sizeBytes}`)
  }
})

/** Undefined: it is gone, and what its client calls the request may say that it was completed by it. */
const uploadOf = (rooms: Rooms, call: Call, upload: UploadId): Effect.Effect<UploadInfo | undefined, Refused | AsOfRefused> =>
  Effect.catch(rooms.namespace.upload(call.bucket, call.key, upload), (error) =>
    error._tag === "Refused" && error.refusal === "NoSuchUpload" && call.invocation !== undefined ? Effect.succeed(undefined) : Effect.fail(error))

export const completeUpload: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const upload = yield* orFail(uploadIdOf(call))
  const info = yield* uploadOf(rooms, call, upload)
  const checksum = info === undefined ? undefined : wholeChecksum(call, info)
  if (checksum instanceof S3Error) return yield* checksum
  // The x-amz-checksum headers speak of the object here, not of this document.
  const parts = yield* orFail(readParts(yield* xmlOf(rooms, withoutChecksums(call), "CompleteMultipartUpload", "CompleteMultipartUploadRequest")))
  if (info !== undefined) yield* checkSize(rooms, call, upload, parts)
  const condition = writeCondition(call.request)
  const stored = yield* rooms.put.complete({
    bucket: call.bucket, key: call.key, upload, parts, ...onceOf(call, "CompleteUpload", upload, parts, condition),
    ...(checksum === undefined ? {} : { checksum }),
    ...(condition === undefined ? {} : { condition })
  })
  const host = call.request.headers.get("host") ?? ""
  const headers: Array<Header> = stored.versionId === undefined ? [] : [["x-amz-version-id", stored.versionId]]
  return xmlReply(stored.sequence, document("CompleteMultipartUploadResult",
    element("Location", `${call.request.secure ? "https" : "http"}://${host}${call.request.rawPath}`) +
    element("Bucket", call.bucket) + element("Key", call.key) + element("ETag", `"${stored.etag}"`) +
    (stored.checksum === undefined
      ? ""
      : element(elementOf(stored.checksum.algorithm), stored.checksum.value) + element("ChecksumType", stored.checksum.type))), headers)
})

const withoutChecksums = (call: Call): Call => {
  const headers = new Map(call.request.headers)
  for (const algorithm of algorithms) headers.delete(headerOf(algorithm))
  headers.delete("x-amz-sdk-checksum-algorithm")
  return { ...call, request: { ...call.request, headers } }
}

export const abortUpload: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const upload = yield* orFail(uploadIdOf(call))
  const { sequence } = yield* rooms.namespace.propose({ _tag: "AbortUpload", bucket: call.bucket, key: call.key, upload }, undefined, undefined, onceOf(call, "AbortUpload", upload).once)
  return reply(204, sequence)
})
