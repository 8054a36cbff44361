/**
 * Answer: the last message of an answer: one byte that says how it ended, then its last bytes, or why there are none. Between handlers and those who ask;
 * messages before the last are the handler's own bytes. After the trailers of gRPC, but with the last bytes in them: most answers are one message.
 */
import { concatBytes, copyOf, fromUtf8, toUtf8 } from "../base/bytes.ts"
import { carrierDetailBytesMax } from "../base/clusterLimits.ts"

/** By their codes, from 1 on; 0: it ended well. */
const refusals = ["NoHandler", "Died", "Refused", "Busy", "TooLarge"] as const
export type AnswerRefusal = (typeof refusals)[number]

export type AnswerEnd =
  | { readonly _tag: "Done"; readonly bytes: Uint8Array }
  | { readonly _tag: "Failed"; readonly reason: AnswerRefusal; readonly detail: string }

export const doneAnswer = (bytes: Uint8Array): Uint8Array => copyOf(concatBytes([Uint8Array.of(0), bytes]))

/** The detail is cut where it is too long. */
export const failedAnswer = (reason: AnswerRefusal, detail: string): Uint8Array =>
  copyOf(concatBytes([Uint8Array.of(1 + refusals.indexOf(reason)), toUtf8(detail.toWellFormed().slice(0, carrierDetailBytesMax / 4))]))

/** A view of the bytes, which are the reader's own; undefined: no end of an answer. */
export const readAnswer = (bytes: Uint8Array): AnswerEnd | undefined => {
  const code = bytes[0]
  if (code === 0) return { _tag: "Done", bytes: bytes.subarray(1) }
  const reason = code === undefined ? undefined : refusals[code - 1]
  const detail = bytes.length > 1 + carrierDetailBytesMax ? undefined : fromUtf8(bytes.subarray(1))
  return reason === undefined || detail === undefined ? undefined : { _tag: "Failed", reason, detail }
}
