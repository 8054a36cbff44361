/** RequestIds: a name for every request, the same in its answer, its error document and its log lines. */
import { toHex } from "../base/bytes.ts"
import type { EntropyService } from "../ports/Entropy.ts"

const REQUEST_ID_BYTES = 8
const POOL_BYTES = 512 * REQUEST_ID_BYTES

/** 16 upper-case hex digits each, drawn from Entropy in batches. */
export const requestIds = (entropy: EntropyService): (() => string) => {
  let pool = new Uint8Array(0)
  let at = 0
  return () => {
    if (at >= pool.length) {
      pool = Uint8Array.from(entropy.bytes(POOL_BYTES))
      at = 0
    }
    at += REQUEST_ID_BYTES
    return toHex(pool.subarray(at - REQUEST_ID_BYTES, at)).toUpperCase()
  }
}
