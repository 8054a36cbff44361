/** Gear: a vault's 256 secret numbers, one for each value of a byte. Sits between the sealer's gear key and the chunker. */
import { assert } from "../base/assert.ts"
import { keyedHash } from "../base/hash.ts"

export const gearKeyBytes = 32
/** 256 values of 64 bits. */
export const gearTableBytes = 256 * 8

/**
 * The table of a key: keyed BLAKE3 of the counters 0 to 63 (big-endian, 4 bytes), 32 bytes each, one after another,
 * read as 256 little-endian 64-bit numbers. Another key gives unrelated cut points, so chunk sizes name no content.
 */
export const gearTable = (gearKey: Uint8Array): Uint8Array => {
  assert(gearKey.length === gearKeyBytes, `a gear key has ${gearKeyBytes} bytes, not ${gearKey.length}`)
  const hash = keyedHash(gearKey)
  const table = new Uint8Array(gearTableBytes)
  const counter = new Uint8Array(4)
  for (let index = 0; index * 32 < gearTableBytes; index++) {
    counter[3] = index
    table.set(hash(counter), index * 32)
  }
  return table
}
