/** A stand-in for the vault: authenticates, binds context and associated bytes, hides, keeps lengths; fast, no secret. */
import { concatBytes, equalBytes, toUtf8 } from "../../../src/base/bytes.ts"
import { deriveKey, keyedHash } from "../../../src/base/hash.ts"
import type { ValueSealer } from "../../../src/namespace/State.ts"

const tagBytes = 32

const mask = (tag: Uint8Array, bytes: Uint8Array): Uint8Array => {
  const words = new Uint32Array((bytes.length + 3) >>> 2)
  const out = new Uint8Array(words.buffer, 0, bytes.length)
  out.set(bytes)
  const key = new Uint32Array(Uint8Array.from(tag).buffer)
  for (let index = 0; index < words.length; index++) words[index]! ^= key[index & 7]! ^ Math.imul(index, 2654435761)
  return out
}

export const twinSealer = (key: Uint8Array = new Uint8Array(32).fill(7)): ValueSealer => {
  const keys = new Map<string, ReturnType<typeof keyedHash>>()
  const tagOf = (context: string, associated: Uint8Array, plaintext: Uint8Array): Uint8Array => {
    let hash = keys.get(context)
    if (hash === undefined) keys.set(context, hash = keyedHash(deriveKey(context, key)))
    return hash(toUtf8(`${associated.length}:`), associated, plaintext)
  }
  return {
    sealValue: (context, associated, plaintext) => {
      const tag = tagOf(context, associated, plaintext)
      return concatBytes([tag, mask(tag, plaintext)])
    },
    openValue: (context, associated, bytes) => {
      if (bytes.length < tagBytes) return new Error("too short")
      const tag = bytes.subarray(0, tagBytes)
      const plaintext = mask(tag, bytes.subarray(tagBytes))
      return equalBytes(tagOf(context, associated, plaintext), tag) ? plaintext : new Error("authentication failed")
    }
  }
}
