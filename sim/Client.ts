/**
 * Client: an S3 client as a workload sees it: requests by meaning, answers, and the honest "nobody knows". It sits between
 * workloads and the HttpListener twin; requests are signed with SigV4 as production verifies it.
 */
import type { Effect } from "effect"
import { fromUtf8 } from "../src/base/bytes.ts"

export type Outcome =
  | { readonly _tag: "Answered"; readonly status: number; readonly headers: ReadonlyMap<string, string>; readonly body: Uint8Array }
  /** The connection was cut while it was under way: it may have happened, or happen later. */
  | { readonly _tag: "Unknown"; readonly why: string }
  /** Nobody listened, or the node's clock is so far off that it takes no signature: it did not happen. */
  | { readonly _tag: "Refused"; readonly why: string }

/** What an operator takes for well of /health/ready: it serves, and of these checks none complains: the index asks for a restart. */
export const isSound = (outcome: Outcome, wanted: ReadonlyArray<string> = ["index"]): boolean => {
  if (outcome._tag !== "Answered" || outcome.status !== 200) return false
  const { checks } = JSON.parse(fromUtf8(outcome.body) ?? "{}") as { readonly checks: ReadonlyArray<{ readonly name: string; readonly ok: boolean }> }
  return !checks.some(({ name, ok }) => !ok && wanted.includes(name))
}

/** Bytes, and how they come. */
export interface BodyPlan {
  readonly bytes: Uint8Array
  /** Lengths of the pieces in which they are sent, the last one for whatever is left; absent: one piece. */
  readonly pieces?: ReadonlyArray<number>
  /** Before the piece with this index the client falls silent for so long. */
  readonly stalls?: ReadonlyArray<{ readonly piece: number; readonly ms: number }>
  /** The client goes away after so many bytes. */
  readonly abortsAfterBytes?: number
  /** What the head announces, where that is not what is sent; "Chunked": nothing. */
  readonly announcedBytes?: number | "Chunked"
}

export interface Request {
  readonly method: string
  /** Not percent-encoded: "/bucket/key". */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** Names in lower case; values are sent as they are, one byte a character. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | BodyPlan
  /** Where it goes; absent: s3. */
  readonly to?: "s3" | "admin"
}

export interface SimulatedClient {
  /** Ends always: an answer that never comes is Unknown after the client's patience. */
  readonly send: (request: Request) => Effect.Effect<Outcome>
}
