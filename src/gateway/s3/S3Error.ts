/**
 * S3Error: every error the S3 gateway answers, with its code, status and words, in one table.
 * It sits between the errors of the rooms (by tag) and the XML that a client reads.
 */
import { Data } from "effect"
import { unreachable } from "../../base/assert.ts"
import { retryAfterSeconds } from "../../base/limits.ts"
import type { Overloaded } from "../../allowance.ts"
import type { ReadError } from "../../get.ts"
import type { Refusal } from "../../namespace/Model.ts"
import type { AsOfRefused, Refused, Unavailable } from "../../namespace/Namespace.ts"
import type { BodyError } from "../../ports/Body.ts"
import type { ComputeError } from "../../ports/Compute.ts"

/** Code -> [status, message]. Codes and statuses: Amazon S3 API reference, "Error responses"; those of time travel are ours. */
const TABLE = {
  AccessControlListNotSupported: [400, "The bucket does not allow ACLs: only private and bucket-owner-full-control are accepted."],
  AccessDenied: [403, "Access Denied"],
  AsOfBeforeHorizon: [400, "The point in time asked for is before the oldest commit that history still keeps."],
  AsOfInFuture: [400, "The point in time asked for is in the future."],
  AuthorizationHeaderMalformed: [400, "The authorization header you provided is invalid."],
  AuthorizationQueryParametersError: [400, "The authorization query parameters you provided are invalid."],
  BadDigest: [400, "The Content-MD5 or checksum you specified did not match what was received."],
  BucketAlreadyOwnedByYou: [409, "Your previous request to create the named bucket succeeded and you already own it."],
  BucketNotEmpty: [409, "The bucket you tried to delete is not empty."],
  EntityTooLarge: [400, "Your proposed upload exceeds the maximum allowed object size."],
  EntityTooSmall: [400, "Your proposed upload is smaller than the minimum allowed size."],
  IllegalVersioningConfigurationException: [400, "The versioning configuration specified in the request is invalid."],
  IncompleteBody: [400, "You did not provide the number of bytes specified by the Content-Length HTTP header."],
  InternalError: [500, "We encountered an internal error. Please try again."],
  InvalidAccessKeyId: [403, "The access key id you provided does not exist in our records."],
  InvalidArgument: [400, "Invalid argument."],
  InvalidBucketName: [400, "The specified bucket is not valid."],
  InvalidDigest: [400, "The Content-MD5 you specified is not valid."],
  InvalidPart: [400, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."],
  InvalidPartNumber: [416, "The requested partnumber is not satisfiable."],
  InvalidPartOrder: [400, "The list of parts was not in ascending order. The parts list must be specified in order by part number."],
  InvalidRange: [416, "The requested range is not satisfiable."],
  InvalidRequest: [400, "Invalid request."],
  InvalidStorageClass: [400, "The storage class you specified is not valid."],
  InvalidURI: [400, "Couldn't parse the specified URI."],
  KeyTooLongError: [400, "Your key is too long."],
  MalformedTrailerError: [400, "The request contained trailing data that was not well-formed or did not conform to our published schema."],
  MalformedXML: [400, "The XML you provided was not well-formed or did not validate against our published schema."],
  MetadataTooLarge: [400, "Your metadata headers exceed the maximum allowed metadata size."],
  MethodNotAllowed: [405, "The specified method is not allowed against this resource."],
  MissingContentLength: [411, "You must provide the Content-Length HTTP header."],
  NoSuchBucket: [404, "The specified bucket does not exist."],
  NoSuchKey: [404, "The specified key does not exist."],
  NoSuchTagSet: [404, "The TagSet does not exist."],
  NoSuchUpload: [404, "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed."],
  NoSuchVersion: [404, "The specified version does not exist."],
  NotImplemented: [501, "A header or query you provided implies functionality that is not implemented."],
  PreconditionFailed: [412, "At least one of the preconditions you specified did not hold."],
  RequestTimeTooSkewed: [403, "The difference between the request time and the server's time is too large."],
  RequestTimeout: [400, "Your socket connection to the server was not read from or written to within the timeout period."],
  ServiceUnavailable: [503, "Service is unable to handle request."],
  SignatureDoesNotMatch: [403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."],
  SlowDown: [503, "Please reduce your request rate."],
  TooManyHides: [409, "The version to be hidden is hidden in as many branches and after as many rollbacks as can be recorded: delete branches that are no longer needed."],
  XAmzContentSHA256Mismatch: [400, "The provided 'x-amz-content-sha256' header does not match what was computed."]
} as const satisfies Record<string, readonly [number, string]>

export type S3Code = keyof typeof TABLE

export const statusOf = (code: S3Code): number => TABLE[code][0]
export const messageOf = (code: S3Code): string => TABLE[code][1]

export class S3Error extends Data.TaggedError("S3Error")<{
  readonly code: S3Code
  /** Instead of the table's words. */
  readonly detail?: string
  /** Further elements of the XML, in order. */
  readonly extra?: ReadonlyArray<readonly [name: string, text: string]>
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  /** The commit at which it was found, where that is not the newest. */
  readonly commit?: number
}> {
  override get message(): string {
    return `${this.code}: ${this.detail ?? messageOf(this.code)}`
  }
}

export const s3Error = (code: S3Code, detail?: string): S3Error =>
  detail === undefined ? new S3Error({ code }) : new S3Error({ code, detail })

/** An argument error names what was sent and where. */
export const invalidArgument = (name: string, value: string, detail: string): S3Error =>
  new S3Error({ code: "InvalidArgument", detail, extra: [["ArgumentName", name], ["ArgumentValue", value]] })

/** All that an operation of the gateway may fail with. */
export type OperationError = S3Error | Refused | AsOfRefused | Unavailable | BodyError | ComputeError | ReadError | Overloaded

export const codeOfRefusal = (refusal: Refusal): S3Code => {
  switch (refusal) {
    case "NoSuchBucket":
    case "BucketAlreadyOwnedByYou":
    case "BucketNotEmpty":
    case "NoSuchKey":
    case "NoSuchVersion":
    case "NoSuchUpload":
    case "InvalidPart":
    case "InvalidPartOrder":
    case "EntityTooSmall":
    case "PreconditionFailed":
      return refusal
    // A chunk found by deduplication went before the commit: the client's retry stores it anew.
    case "ChunkMissing":
      return "SlowDown"
    case "DeleteMarker":
      return "MethodNotAllowed"
    case "CommitInFuture":
      return "AsOfInFuture"
    case "CommitBeforeHorizon":
      return "AsOfBeforeHorizon"
    // Of rollback and branch, which S3 has no requests for.
    case "BucketBornLater":
    case "LineageTooLong":
      return "InvalidRequest"
    case "TooManyHides":
      return "TooManyHides"
    default:
      return unreachable(refusal)
  }
}

const retryLater = [["retry-after", String(retryAfterSeconds)]] as const

/** Too much to do at the moment. The client's own retry comes later. */
export const slowDown: S3Error = new S3Error({ code: "SlowDown", headers: retryLater })

const ofBody = (error: BodyError): S3Error => {
  switch (error.reason) {
    case "Aborted":
    case "TooShort":
    case "TooLong":
      return s3Error("IncompleteBody", `${messageOf("IncompleteBody")} (${error.detail})`)
    case "Stalled":
      return s3Error("RequestTimeout")
    case "Overloaded":
      return slowDown
    case "Malformed":
      return s3Error("InvalidRequest", `The body is malformed: ${error.detail}`)
    case "Unverified":
      return s3Error("SignatureDoesNotMatch", `The signature of a part of the body does not match: ${error.detail}`)
    case "BadDigest":
    case "BadChecksum":
      return s3Error("BadDigest", error.detail)
    case "ContentHashMismatch":
      return s3Error("XAmzContentSHA256Mismatch", `${messageOf("XAmzContentSHA256Mismatch")} (${error.detail})`)
    default:
      return unreachable(error.reason)
  }
}

const ofUnavailable = (error: Unavailable): S3Error => {
  switch (error.reason) {
    case "CommitTooLarge":
      return s3Error("EntityTooLarge", `The change does not fit one commit: ${error.detail}`)
    case "LostChunks":
      return new S3Error({ code: "SlowDown", detail: "The write was interrupted by a failed disk operation. Send it again.", headers: retryLater })
    case "DiskFull":
      return new S3Error({ code: "ServiceUnavailable", detail: `The disk of the store is full: ${error.detail}`, headers: retryLater })
    case "NoQuorum":
      return new S3Error({ code: "ServiceUnavailable", detail: `The members of the cluster that answer are no majority: ${error.detail}`, headers: retryLater })
    default:
      return new S3Error({ code: "ServiceUnavailable", detail: error.message, headers: retryLater })
  }
}

/** Any expected failure as the S3 error that says it. */
export const toS3Error = (error: OperationError): S3Error => {
  switch (error._tag) {
    case "S3Error":
      return error
    case "Refused": {
      const code = codeOfRefusal(error.refusal)
      return code === "SlowDown"
        ? new S3Error({ code, headers: retryLater, commit: error.sequence })
        : new S3Error({ code, commit: error.sequence })
    }
    case "AsOfRefused":
      return new S3Error({
        code: error.reason === "Future" ? "AsOfInFuture" : "AsOfBeforeHorizon",
        detail: error.message,
        extra: [["OldestReadable", String(error.oldestReadable)], ["Head", String(error.head)]]
      })
    case "Unavailable":
      return ofUnavailable(error)
    case "BodyError":
      return ofBody(error)
    case "Overloaded":
      return slowDown
    case "ComputeError":
      return s3Error("InternalError", `A worker of the store failed: ${error.kernel}.`)
    case "ReadError":
      return s3Error("InternalError", `The stored bytes cannot be read as they were written (${error.reason}): ${error.detail}`)
    default:
      return unreachable(error)
  }
}
