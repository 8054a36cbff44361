/**
 * S3Router: which operation a request asks for. It sits between a request that is told apart and the operations.
 * Unknown query parameters mean nothing; those that name a part of S3 that is not built are 501, never another answer.
 */
import { utf8Length } from "../../base/bytes.ts"
import { keyBytesMax } from "../../base/limits.ts"
import * as Buckets from "./Buckets.ts"
import * as Listing from "./Listing.ts"
import * as Multipart from "./Multipart.ts"
import * as ObjectCopy from "./ObjectCopy.ts"
import * as ObjectFacts from "./ObjectFacts.ts"
import * as ObjectRead from "./ObjectRead.ts"
import * as ObjectWrite from "./ObjectWrite.ts"
import type { Operation, OperationNow } from "./Operation.ts"
import { S3Error, s3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"
import * as UploadListing from "./UploadListing.ts"

export interface Route {
  /** As in S3's API reference: what authorization, logs and metrics call it. */
  readonly name: string
  /** Writes refuse the AS OF header. */
  readonly writes: boolean
  readonly run: Operation
  /** Asked before `run`. */
  readonly runNow: OperationNow | undefined
}

const read = (name: string, run: Operation, runNow?: OperationNow): Route => ({ name, writes: false, run, runNow })
const write = (name: string, run: Operation): Route => ({ name, writes: true, run, runNow: undefined })

/** Sub-resources that no operation serves, on buckets, objects or both. */
const UNBUILT = new Set([
  "accelerate", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle", "logging",
  "metadataConfiguration", "metadataInventoryTable", "metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock",
  "ownershipControls", "policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention",
  "select", "session", "tagging", "torrent", "website", "append", "abac"
])

const SERVICE: Readonly<Record<string, Route>> = { GET: read("ListBuckets", Buckets.listBuckets) }

/** METHOD, or METHOD?sub-resource. */
const BUCKET: Readonly<Record<string, Route>> = {
  "PUT": write("CreateBucket", Buckets.createBucket),
  "HEAD": read("HeadBucket", Buckets.headBucket),
  "DELETE": write("DeleteBucket", Buckets.deleteBucket),
  "GET": read("ListObjects", Listing.listObjects),
  "GET?list-type": read("ListObjectsV2", Listing.listObjectsV2),
  "GET?versions": read("ListObjectVersions", Listing.listObjectVersions),
  "GET?uploads": read("ListMultipartUploads", UploadListing.listUploads),
  "GET?location": read("GetBucketLocation", Buckets.getBucketLocation),
  "GET?versioning": read("GetBucketVersioning", Buckets.getBucketVersioning),
  "PUT?versioning": write("PutBucketVersioning", Buckets.putBucketVersioning),
  "GET?acl": read("GetBucketAcl", Buckets.getBucketAcl),
  "PUT?acl": write("PutBucketAcl", Buckets.putAcl),
  "POST?delete": write("DeleteObjects", ObjectWrite.deleteObjects)
}
const BUCKET_SUBRESOURCES = ["versions", "uploads", "location", "versioning", "acl", "delete"]

const OBJECT: Readonly<Record<string, Route>> = {
  "GET": read("GetObject", ObjectRead.getObject, ObjectRead.getObjectNow),
  "HEAD": read("HeadObject", ObjectRead.headObject, ObjectRead.headObjectNow),
  "PUT": write("PutObject", ObjectWrite.putObject),
  "PUT+copy": write("CopyObject", ObjectCopy.copyObject),
  "DELETE": write("DeleteObject", ObjectWrite.deleteObject),
  "GET?acl": read("GetObjectAcl", Buckets.getObjectAcl),
  "PUT?acl": write("PutObjectAcl", Buckets.putAcl),
  "GET?attributes": read("GetObjectAttributes", ObjectFacts.getObjectAttributes),
  "GET?tagging": read("GetObjectTagging", Buckets.getObjectTagging),
  "POST?uploads": write("CreateMultipartUpload", Multipart.createUpload),
  "PUT?uploadId": write("UploadPart", Multipart.uploadPart),
  "PUT?uploadId+copy": write("UploadPartCopy", Multipart.uploadPartCopy),
  "GET?uploadId": read("ListParts", UploadListing.listParts),
  "POST?uploadId": write("CompleteMultipartUpload", Multipart.completeUpload),
  "DELETE?uploadId": write("AbortMultipartUpload", Multipart.abortUpload)
}
const OBJECT_SUBRESOURCES = ["acl", "attributes", "uploads", "uploadId"]

const notAllowed = (request: S3Request, resource: string): S3Error =>
  new S3Error({ code: "MethodNotAllowed", extra: [["Method", request.method], ["ResourceType", resource]] })

const unbuilt = (request: S3Request): string | undefined => {
  for (const name of request.query.keys()) if (UNBUILT.has(name)) return name
  return undefined
}

const notImplemented = (name: string): S3Error =>
  new S3Error({ code: "NotImplemented", detail: `The sub-resource ?${name} is not implemented.`, extra: [["Header", name]] })

const routeBucket = (request: S3Request): Route | S3Error => {
  if (!Buckets.isBucketName(request.bucket ?? "")) return new S3Error({ code: "InvalidBucketName", extra: [["BucketName", request.bucket ?? ""]] })
  const missing = unbuilt(request)
  if (missing !== undefined) return notImplemented(missing)
  const { method } = request
  const named = BUCKET_SUBRESOURCES.find((name) => request.query.has(name))
  if (named !== undefined) return BUCKET[`${method}?${named}`] ?? notAllowed(request, named.toUpperCase())
  if (method === "GET" && request.query.get("list-type") === "2") return BUCKET["GET?list-type"] ?? notAllowed(request, "BUCKET")
  if (method === "POST") return s3Error("NotImplemented", "Uploads by HTML forms are not implemented.")
  return BUCKET[method] ?? notAllowed(request, "BUCKET")
}

const routeObject = (request: S3Request): Route | S3Error => {
  if (!Buckets.isBucketName(request.bucket ?? "")) return new S3Error({ code: "InvalidBucketName", extra: [["BucketName", request.bucket ?? ""]] })
  const sizeBytes = utf8Length(request.key ?? "")
  if (sizeBytes > keyBytesMax) {
    return new S3Error({ code: "KeyTooLongError", extra: [["Size", String(sizeBytes)], ["MaxSizeAllowed", String(keyBytesMax)]] })
  }
  const { method } = request
  const copies = method === "PUT" && request.headers.has("x-amz-copy-source") ? "+copy" : ""
  const missing = unbuilt(request)
  if (missing !== undefined) return (missing === "tagging" ? OBJECT[`${method}?tagging`] : undefined) ?? notImplemented(missing)
  const named = OBJECT_SUBRESOURCES.find((name) => request.query.has(name))
  if (named !== undefined) return OBJECT[`${method}?${named}${copies}`] ?? notAllowed(request, named.toUpperCase())
  return OBJECT[`${method}${copies}`] ?? notAllowed(request, "OBJECT")
}

/** The operation, or the S3 error: InvalidBucketName, KeyTooLongError, NotImplemented, MethodNotAllowed. */
export const route = (request: S3Request): Route | S3Error => {
  if (request.bucket === undefined && request.key !== undefined) return routeObject(request)
  if (request.bucket === undefined) return SERVICE[request.method] ?? notAllowed(request, "SERVICE")
  return request.key === undefined ? routeBucket(request) : routeObject(request)
}
