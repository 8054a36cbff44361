/** UploadListing: ListParts and ListMultipartUploads. It sits between the router and namespace. */
import { Effect } from "effect"
import { listKeysMax, partNumberMax } from "../../base/limits.ts"
import type { PartInfo, UploadInfo } from "../../namespace/Model.ts"
import type { UploadId } from "../../base/ids.ts"
import { ownerElement } from "./Buckets.ts"
import { elementOf } from "./Checksums.ts"
import { formatIso } from "./HttpDate.ts"
import { prefixElements, readArguments } from "./Listing.ts"
import { uploadIdOf } from "./Multipart.ts"
import { bucketAt, type Call, numberOf, type Operation, orFail, type Rooms, xmlReply } from "./Operation.ts"
import { document, element, wrap } from "./XmlOut.ts"

const partElement = (part: PartInfo): string =>
  wrap("Part",
    element("PartNumber", part.partNumber) + element("LastModified", formatIso(part.modifiedMs)) + element("ETag", `"${part.etag}"`) +
    element("Size", part.sizeBytes) + (part.checksum === undefined ? "" : element(elementOf(part.checksum.algorithm), part.checksum.value)))

const checksumElements = (upload: UploadInfo): string =>
  upload.checksum === undefined ? "" : element("ChecksumAlgorithm", upload.checksum.algorithm) + element("ChecksumType", upload.checksum.type)

export const listParts: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const upload = yield* orFail(uploadIdOf(call))
  const limit = yield* orFail(numberOf(call, "max-parts", 0, listKeysMax, listKeysMax))
  const after = yield* orFail(numberOf(call, "part-number-marker", 0, partNumberMax, 0))
  const info = yield* rooms.namespace.upload(call.bucket, call.key, upload)
  const at = rooms.namespace.head().sequence
  const bucket = yield* bucketAt(rooms, call, at)
  const page: { readonly parts: ReadonlyArray<PartInfo>; readonly next?: number } =
    limit === 0 ? { parts: [] } : yield* rooms.namespace.listParts(call.bucket, call.key, upload, after, limit)
  return xmlReply(at, document("ListPartsResult",
    element("Bucket", call.bucket) + element("Key", call.key) + element("UploadId", upload) +
    ownerElement("Initiator", bucket.owner) + ownerElement("Owner", bucket.owner) + element("StorageClass", "STANDARD") + checksumElements(info) +
    element("PartNumberMarker", after) + element("NextPartNumberMarker", page.next ?? page.parts.at(-1)?.partNumber ?? 0) +
    element("MaxParts", limit) + element("IsTruncated", page.next !== undefined) + page.parts.map(partElement).join("")))
})

export const listUploads: Operation = Effect.fnUntraced(function*(rooms: Rooms, call: Call) {
  const { query } = call.request
  const list = yield* orFail(readArguments(call, "max-uploads"))
  const keyMarker = query.get("key-marker") ?? ""
  const idMarker = query.get("upload-id-marker") ?? ""
  const at = rooms.namespace.head().sequence
  const bucket = yield* bucketAt(rooms, call, at)
  const afterUpload = keyMarker !== "" && /^[0-9a-f]{32}$/.test(idMarker) ? idMarker as UploadId : undefined
  const page = list.limit === 0 ? { uploads: [], commonPrefixes: [] } : yield* rooms.namespace.listUploads(call.bucket, {
    prefix: list.prefix, delimiter: list.delimiter, after: keyMarker, limit: list.limit, ...(afterUpload === undefined ? {} : { afterUpload })
  })
  const next = "next" in page ? page.next : undefined
  const uploads = page.uploads.map((upload) =>
    wrap("Upload", element("Key", list.encode(upload.key)) + element("UploadId", upload.upload) +
      ownerElement("Initiator", bucket.owner) + ownerElement("Owner", bucket.owner) + element("StorageClass", "STANDARD") +
      element("Initiated", formatIso(upload.startedMs)) + checksumElements(upload)))
  return xmlReply(at, document("ListMultipartUploadsResult",
    element("Bucket", call.bucket) + element("KeyMarker", list.encode(keyMarker)) + element("UploadIdMarker", idMarker) +
    (next === undefined ? "" : element("NextKeyMarker", list.encode(next.key)) + element("NextUploadIdMarker", next.upload)) +
    element("Prefix", list.encode(list.prefix)) + (list.delimiter === "" ? "" : element("Delimiter", list.encode(list.delimiter))) +
    list.encodingElement + element("MaxUploads", list.limit) + element("IsTruncated", next !== undefined) +
    uploads.join("") + prefixElements(page.commonPrefixes, list)))
})
