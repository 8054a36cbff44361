/** Failure: what a command ends with when it cannot do what it was asked, and the exit code scripts see. */
import { Data, Runtime } from "effect"

/** 0 is success; 1 anything not below. */
export const exitCodes = { failed: 1, usage: 2, notFound: 3, denied: 4, unreachable: 5, conflict: 6 } as const

const notFound = new Set(["NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NoSuchUpload", "NoSuchNode", "NotFound"])
const denied = new Set(["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"])
const conflict = new Set(["BucketNotEmpty", "BucketAlreadyOwnedByYou", "BucketAlreadyExists", "PreconditionFailed", "BucketBornLater", "LineageTooLong", "NotPending", "Refused", "NoCluster"])

/** The server refused: S3's code and its sentence. */
export class ServerRefused extends Data.TaggedError("ServerRefused")<{
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly what: string
}> {
  override get message(): string {
    return `${this.what}: ${this.code}${this.detail === "" ? "" : `: ${this.detail}`}`
  }
}

/** The work was done in part or not at all; `detail` says what is there and what is not. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/** A node runs on the folder and does not answer where it was looked for. */
export class NodeElsewhere extends Data.TaggedError("NodeElsewhere")<{ readonly data: string; readonly admin: { readonly host: string; readonly port: number } }> {
  override get message(): string {
    return `a node runs on ${this.data} but does not answer at ${this.admin.host}:${this.admin.port}; name its admin address with --admin`
  }
}

/** No member answers where one was looked for. */
export class MemberUnreachable extends Data.TaggedError("MemberUnreachable")<{ readonly data: string; readonly admin: { readonly host: string; readonly port: number } }> {
  override get message(): string {
    return `no node answers at ${this.admin.host}:${this.admin.port}, and a stopped member is never opened for its cluster's commands: ` +
      `start it (ouroboros serve --data ${this.data}), or name the admin address of a running member with --admin`
  }
}

/** What was compared is not alike, and the exit code was to say so: nothing more is said. */
export class DifferencesFound extends Data.TaggedError("DifferencesFound")<{ readonly count: number }> {
  override get message(): string {
    return ""
  }
}

/** A path of this machine at which there is nothing. */
export class FileMissing extends Data.TaggedError("FileMissing")<{ readonly path: string }> {
  override get message(): string {
    return `${this.path}: no such file or folder`
  }
}

export const exitCodeOf = (error: unknown): number => {
  const tag = (error as { readonly _tag?: unknown } | null)?._tag
  if (error instanceof ServerRefused) {
    return notFound.has(error.code) ? exitCodes.notFound
      : denied.has(error.code) ? exitCodes.denied
      : conflict.has(error.code) ? exitCodes.conflict
      : exitCodes.failed
  }
  if (tag === "UsageError" || tag === "SettingsError" || tag === "ShowHelp") return exitCodes.usage
  if (tag === "HttpClientError" || tag === "NodeElsewhere" || tag === "MemberUnreachable") return exitCodes.unreachable
  if (tag === "FileMissing") return exitCodes.notFound
  const marked = Runtime.getErrorExitCode(error)
  return marked === 0 ? exitCodes.failed : marked
}
