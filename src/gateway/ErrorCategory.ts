/** ErrorCategory: what kind of thing failed, for counting: whose turn it is to act, in one word. */
import { ReadError } from "../fetch.ts"
import type { BodyError } from "../ports/Body.ts"
import type { OperationError, S3Error } from "./s3/S3Error.ts"

/**
 * client: a request that cannot be carried out. denied: who or whether. missing: no such thing. conflict: a condition, or
 * something else, is in the way. gone: the client stopped sending or taking. unavailable: later. overload: too much at
 * once. full: the disk. disk: an operation of the disk failed. damage: stored bytes are not what was written.
 * internal: a part of the node failed. defect: our own bug.
 */
export type ErrorCategory =
  | "client" | "denied" | "missing" | "conflict" | "gone" | "unavailable" | "overload" | "full" | "disk" | "damage" | "internal" | "defect"

const ofStatus = (status: number, code: S3Error["code"]): ErrorCategory => {
  if (code === "SlowDown") return "overload"
  if (code === "RequestTimeout" || code === "IncompleteBody") return "gone"
  if (status === 401 || status === 403) return "denied"
  if (status === 404) return "missing"
  if (status === 409 || status === 412) return "conflict"
  if (status === 503) return "unavailable"
  return status >= 500 && status !== 501 ? "internal" : "client"
}

/** Of an answer whose body failed after its head: of what failed, where the body says so. */
export const categoryOfCut = ({ cause, reason }: BodyError): ErrorCategory =>
  cause instanceof ReadError ? ofRead(cause) : reason === "Overloaded" ? "overload" : "internal"

const ofRead = ({ reason }: ReadError): ErrorCategory => (reason === "Disk" ? "disk" : reason === "Compute" ? "internal" : "damage")

/** Of the failure itself where that says more than the answer; `status` and `code` are the answer's. */
export const categoryOf = (error: OperationError, status: number, code: S3Error["code"]): ErrorCategory => {
  if (error._tag === "ReadError") return ofRead(error)
  if (error._tag === "Unavailable") {
    if (error.reason === "DiskFull") return "full"
    if (error.reason === "JournalFailed" || error.reason === "BlockFailed" || error.reason === "LostChunks") return "disk"
  }
  return ofStatus(status, code)
}
