/**
 * Asked: which commits a request asks for, and who may have asked for a commit, in the same words. It sits between requests
 * as clients send them, commits as the namespace applies them, and the oracle that matches the two.
 */
import { S3Error } from "../../src/gateway/s3/S3Error.ts"
import { childrenOf, parseXml, textOf } from "../../src/gateway/s3/XmlIn.ts"
import { fromUtf8 } from "../../src/base/bytes.ts"
import type { Change } from "../../src/namespace/Model.ts"
import type { BodyPlan, Request } from "../Client.ts"

export const opHeader = "x-amz-meta-op"
/** The token of the bytes, which go with a copy. */
export const bodyHeader = "x-amz-meta-body"

export const bytesOf = (body: Uint8Array | BodyPlan | undefined): Uint8Array => (body === undefined ? new Uint8Array(0) : body instanceof Uint8Array ? body : body.bytes)

export interface Target {
  readonly bucket: string
  /** "" of a bucket. */
  readonly key: string
}

export const targetOf = ({ path }: Request): Target => {
  const slash = path.indexOf("/", 1)
  return slash < 0 ? { bucket: path.slice(1), key: "" } : { bucket: path.slice(1, slash), key: path.slice(slash + 1) }
}

const named = (targets: ReadonlyArray<{ readonly key: string; readonly versionId?: string | undefined }>): string =>
  targets.map(({ key, versionId }) => `${JSON.stringify(key)}?${versionId ?? ""}`).join(" ")

const targetsOfXml = (bytes: Uint8Array): string => {
  const root = parseXml(bytes, "Delete")
  if (root instanceof S3Error) return ""
  return named(childrenOf(root, "Object").map((node) => ({ key: textOf(node, "Key") ?? "", versionId: textOf(node, "VersionId") })))
}

const askOfAdmin = ({ body, path }: Request): string | undefined => {
  const asked = path === "/v1/rollback" || path === "/v1/branch" ? JSON.parse(fromUtf8(bytesOf(body)) ?? "{}") as { readonly bucket: string; readonly source: string } : undefined
  if (asked === undefined) return undefined
  return path === "/v1/rollback" ? `Rollback ${asked.bucket}` : `Branch ${asked.bucket} of ${asked.source}`
}

const askOfBucket = ({ body, method, query = {} }: Request, bucket: string): string | undefined => {
  if (method === "POST" && "delete" in query) return `DeleteObjects ${bucket} ${targetsOfXml(bytesOf(body))}`
  if (method === "DELETE") return `DeleteBucket ${bucket}`
  if (method !== "PUT") return undefined
  return "versioning" in query ? `SetVersioning ${bucket}` : `CreateBucket ${bucket}`
}

const askOfObject = ({ headers = {}, method, query = {} }: Request, { bucket, key }: Target): string | undefined => {
  const { uploadId, versionId } = query
  if (method === "POST") return uploadId === undefined ? `CreateUpload ${bucket} ${key}` : `CompleteUpload ${bucket} ${key} ${uploadId}`
  if (method === "DELETE") return uploadId === undefined ? `DeleteObjects ${bucket} ${named([{ key, versionId }])}` : `AbortUpload ${bucket} ${key} ${uploadId}`
  if (method !== "PUT") return undefined
  if (uploadId !== undefined) return `PutPart ${bucket} ${key} ${uploadId} ${Number(query["partNumber"])}`
  // A copy of the metadata brings whatever mark its source has.
  const copiesMark = headers["x-amz-copy-source"] !== undefined && headers["x-amz-metadata-directive"] !== "REPLACE"
  return `PutObject ${bucket} ${key} ${copiesMark ? "*" : headers[opHeader] ?? ""}`
}

/** What the oracle calls the commit that a request asks for; undefined: none. */
export const askOf = (request: Request): string | undefined => {
  if (request.to === "admin") return askOfAdmin(request)
  const target = targetOf(request)
  return target.key === "" ? askOfBucket(request, target.bucket) : askOfObject(request, target)
}

/** Who may have asked for a change; undefined: the store itself. */
export const asksOf = (change: Change): ReadonlyArray<string> | undefined => {
  switch (change._tag) {
    case "CreateBucket": case "DeleteBucket": case "SetVersioning": case "Rollback":
      return [`${change._tag} ${change.bucket}`]
    case "Branch":
      return [`Branch ${change.bucket} of ${change.source}`]
    case "PutObject": {
      const to = `PutObject ${change.bucket} ${change.key}`
      return [`${to} ${change.attributes.userMetadata["op"] ?? ""}`, `${to} *`]
    }
    case "DeleteObjects":
      return [`DeleteObjects ${change.bucket} ${named(change.targets)}`]
    case "CreateUpload":
      return [`CreateUpload ${change.bucket} ${change.key}`]
    case "PutPart":
      return [`PutPart ${change.bucket} ${change.key} ${change.upload} ${change.partNumber}`]
    case "CompleteUpload":
      return [`CompleteUpload ${change.bucket} ${change.key} ${change.upload}`]
    case "AbortUpload":
      return [`AbortUpload ${change.bucket} ${change.key} ${change.upload}`]
    case "AbortStaleUpload":
    case "DropParts": case "StagePage": case "BlockSealed": case "RaiseHorizon": case "ChunksHealed":
    case "PurgeVersions": case "DropHistory": case "FreeChunks": case "DropBlock": case "ReindexChunks": case "ExpireVersions": case "ExpireAgain":
      return undefined
  }
}
