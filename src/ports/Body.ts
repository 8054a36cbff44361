/**
 * Body: a stream of bytes that its consumer pulls: the body of a request or of a response. It may stall, abort and
 * lie about its length; whoever reads checks.
 */
import { Data, type Effect } from "effect"

export class BodyError extends Data.TaggedError("BodyError")<{
  /** Aborted: the peer went away. Stalled: no progress in time. Overloaded: no memory in time. The rest: what arrived is not what was announced. */
  readonly reason: "Aborted" | "Stalled" | "Overloaded" | "TooShort" | "TooLong" | "Malformed" | "Unverified" | "BadDigest" | "BadChecksum" | "ContentHashMismatch"
  readonly detail: string
  /** Of a body of our own: what failed. */
  readonly cause?: unknown
}> {
  override get message(): string {
    return `body: ${this.reason}: ${this.detail}`
  }
}

export interface Body {
  /** What is announced, or undefined where nobody said. */
  readonly sizeBytes: number | undefined
  /** The next bytes, never empty, theirs who pulls; undefined at the end, again and again. One pull at a time. */
  readonly next: Effect.Effect<Uint8Array | undefined, BodyError>
  /**
   * The same for who has room for the bytes: what comes may be a view of `memory`, from its first byte on, or bytes of its
   * own as ever. Nobody else touches the memory until this has answered, and for ever where it was interrupted before.
   * Absent where it would be no better.
   */
  readonly nextInto?: (memory: Uint8Array) => Effect.Effect<Uint8Array | undefined, BodyError>
}
