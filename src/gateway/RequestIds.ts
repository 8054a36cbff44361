/** RequestIds: a name for every request, the same in its answer, its error document and its log lines. */
import { toHex } from "../base/bytes.ts"
import type { EntropyService } from "../ports/Entropy.ts"

const REQUEST_ID_BYTES = 8
const REQUEST_ID_DIGITS = 2 * REQUEST_ID_BYTES
const POOL_BYTES = 512 * REQUEST_ID_BYTES

/** 16 upper-case hex digits each, drawn from Entropy in batches. */
export const requestIds = (entropy: EntropyService): (() => string) => {
  let pool = ""
  let at = 0
  return () => {
    if (at >= pool.length) {
      pool = toHex(entropy.bytes(POOL_BYTES)).toUpperCase()
      at = 0
    }
    at += REQUEST_ID_DIGITS
    return pool.slice(at - REQUEST_ID_DIGITS, at)
  }
}
