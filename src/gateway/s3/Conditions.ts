/**
 * Conditions: If-Match and its relatives, by the precedence of RFC 9110, section 13.2.2. It sits between headers and
 * the version that a read or a copy has found; conditions of writes are only read here and judged in apply.
 */
import type { ObjectVersion, WriteCondition } from "../../namespace/Model.ts"
import { millisOf } from "../../base/time.ts"
import { parseHttpDate } from "./HttpDate.ts"
import { S3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"

/** ETags of a list, without quotes or weakness; "*" for any. */
export const parseEtags = (text: string): ReadonlyArray<string> =>
  text.split(",").map((part) => part.trim().replace(/^W\//, "").replace(/^"(.*)"$/, "$1"))

const matches = (list: string, etag: string): boolean => {
  const etags = parseEtags(list)
  return etags.includes("*") || etags.includes(etag)
}

const failed = (condition: string): S3Error => new S3Error({ code: "PreconditionFailed", extra: [["Condition", condition]] })

export type Verdict = "Proceed" | "NotModified" | S3Error

/** Seconds of the last change: HTTP's times have no more. */
const secondOf = (ms: number): number => Math.floor(ms / 1000)

/** A condition with a date that cannot be read, or one in the future for If-Modified-Since, does not hold anything up. */
export const judgeRead = (request: S3Request, version: ObjectVersion, nowMs: number): Verdict => {
  const { headers } = request
  const changed = secondOf(millisOf(version.time))
  const ifMatch = headers.get("if-match")
  const ifUnmodified = headers.get("if-unmodified-since")
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) return failed("If-Match")
  } else if (ifUnmodified !== undefined) {
    const since = parseHttpDate(ifUnmodified)
    if (since !== undefined && changed > secondOf(since)) return failed("If-Unmodified-Since")
  }
  const ifNoneMatch = headers.get("if-none-match")
  const ifModified = headers.get("if-modified-since")
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, version.etag)) return "NotModified"
  } else if (ifModified !== undefined) {
    const since = parseHttpDate(ifModified)
    if (since !== undefined && since <= nowMs && changed <= secondOf(since)) return "NotModified"
  }
  return "Proceed"
}

/** The conditions of a copy on its source: every one that fails is 412, there is no 304. */
export const judgeCopy = (request: S3Request, version: ObjectVersion): S3Error | undefined => {
  const { headers } = request
  const changed = secondOf(millisOf(version.time))
  const ifMatch = headers.get("x-amz-copy-source-if-match")
  const ifUnmodified = headers.get("x-amz-copy-source-if-unmodified-since")
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, version.etag)) return failed("x-amz-copy-source-If-Match")
  } else if (ifUnmodified !== undefined) {
    const since = parseHttpDate(ifUnmodified)
    if (since !== undefined && changed > secondOf(since)) return failed("x-amz-copy-source-If-Unmodified-Since")
  }
  const ifNoneMatch = headers.get("x-amz-copy-source-if-none-match")
  const ifModified = headers.get("x-amz-copy-source-if-modified-since")
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, version.etag)) return failed("x-amz-copy-source-If-None-Match")
  } else if (ifModified !== undefined) {
    const since = parseHttpDate(ifModified)
    if (since !== undefined && changed <= secondOf(since)) return failed("x-amz-copy-source-If-Modified-Since")
  }
  return undefined
}

/** If-Match and If-None-Match of a write. */
export const writeCondition = (request: S3Request): WriteCondition | undefined => {
  const ifMatch = request.headers.get("if-match")
  const ifNoneMatch = request.headers.get("if-none-match")
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined
  return {
    ...(ifMatch === undefined ? {} : { ifMatch: parseEtags(ifMatch)[0] ?? "" }),
    ...(ifNoneMatch === undefined ? {} : { ifNoneMatch: parseEtags(ifNoneMatch)[0] ?? "" })
  }
}
