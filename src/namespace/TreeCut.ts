/**
 * TreeCut: the keyed coin that decides where nodes of the tree end. It sits between keys and the cut rule.
 *
 * HalfSipHash-2-4 (Aumasson and Bernstein, 2012): one coin for each row of a rebuild, ten times faster here than a call
 * of BLAKE3. Keyed, so that nobody who chooses names chooses cuts; it protects balance, nothing secret.
 */
import { assert } from "../base/assert.ts"
import { keyedHash } from "../base/hash.ts"
import { nodeLevelsMax } from "../base/limits.ts"
import type { RowKey } from "./State.ts"

/** 32 bits under a key of two 32-bit words (little endian); `key` has one byte a character. */
export const halfSipHash = (k0: number, k1: number, key: RowKey): number => {
  let v0 = k0 | 0
  let v1 = k1 | 0
  let v2 = 0x6c796765 ^ k0
  let v3 = 0x74656462 ^ k1
  const length = key.length
  const words = length >>> 2
  // Message words, then the last one, which has the length, then four rounds to finish.
  for (let step = 0; step <= words + 1; step++) {
    let word = 0
    if (step < words) {
      const at = step << 2
      word = key.charCodeAt(at) | key.charCodeAt(at + 1) << 8 | key.charCodeAt(at + 2) << 16 | key.charCodeAt(at + 3) << 24
    } else if (step === words) {
      word = length << 24
      for (let at = words << 2; at < length; at++) word |= key.charCodeAt(at) << ((at & 3) << 3)
    } else v2 ^= 0xff
    v3 ^= word
    const rounds = step <= words ? 2 : 4
    for (let round = 0; round < rounds; round++) {
      v0 = v0 + v1 | 0
      v1 = (v1 << 5 | v1 >>> 27) ^ v0
      v0 = v0 << 16 | v0 >>> 16
      v2 = v2 + v3 | 0
      v3 = (v3 << 8 | v3 >>> 24) ^ v2
      v0 = v0 + v3 | 0
      v3 = (v3 << 7 | v3 >>> 25) ^ v0
      v2 = v2 + v1 | 0
      v1 = (v1 << 13 | v1 >>> 19) ^ v2
      v2 = v2 << 16 | v2 >>> 16
    }
    v0 ^= word
  }
  return (v1 ^ v3) >>> 0
}

/** Does a node of this level end after this key, if nothing else ends it? One in `itemsAverage` keys, anew each level. */
export type Coin = (key: RowKey, level: number) => boolean

export const makeCoin = (cutKey: Uint8Array, itemsAverage: number): Coin => {
  const bound = Math.floor(0x1_0000_0000 / itemsAverage)
  const hash = keyedHash(cutKey)
  const keys = new Int32Array(2 * nodeLevelsMax)
  for (let level = 0; level < nodeLevelsMax; level++) {
    const material = new DataView(Uint8Array.from(hash(Uint8Array.of(level))).buffer)
    keys[2 * level] = material.getInt32(0, true)
    keys[2 * level + 1] = material.getInt32(4, true)
  }
  return (key, level) => {
    assert(level < nodeLevelsMax, "a tree has fewer than nodeLevelsMax levels")
    return halfSipHash(keys[2 * level]!, keys[2 * level + 1]!, key) < bound
  }
}
