/** The hash kernels every format shares: BLAKE3 (plain, keyed, key derivation) and CRC-32C. */
import { Blake3Hasher } from "@napi-rs/blake-hash"
import { crc32c as crc } from "@node-rs/crc32"
import { assert } from "./assert.ts"
import type { Hash } from "./ids.ts"

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const plain = new Blake3Hasher()

/** Digests leave as text: a buffer of the native side's own, for each, costs the collector more than most hashes cost. */
const digestOf = (hasher: Blake3Hasher): Uint8Array => Buffer.from(hasher.digest("hex"), "hex")

/** BLAKE3 of the bytes, 32 bytes. */
export const hashBytes = (bytes: Uint8Array): Uint8Array => {
  plain.reset()
  return digestOf(plain.update(bytes))
}

/** BLAKE3 of the bytes as 64 hex digits. */
export const hashOf = (bytes: Uint8Array): Hash => {
  plain.reset()
  return plain.update(bytes).digest("hex") as Hash
}

/** An incremental BLAKE3, for what does not fit one buffer. */
export const incrementalHash = (): { readonly update: (bytes: Uint8Array) => void; readonly digest: () => Hash } => {
  const hasher = new Blake3Hasher()
  return { update: (bytes) => void hasher.update(bytes), digest: () => hasher.digest("hex") as Hash }
}

/** BLAKE3 in keyed mode under a 32-byte key. The hasher is made once and reset: making one costs 15 us. */
export const keyedHash = (key: Uint8Array): ((...parts: ReadonlyArray<Uint8Array>) => Uint8Array) => {
  assert(key.length === 32, `a BLAKE3 key has 32 bytes, not ${key.length}`)
  const hasher = Blake3Hasher.newKeyed(asBuffer(key))
  return (...parts) => {
    hasher.reset()
    for (const part of parts) hasher.update(part)
    return digestOf(hasher)
  }
}

/** The same in hex, for what is named by it. */
export const keyedHashHex = (key: Uint8Array): ((bytes: Uint8Array) => string) => {
  assert(key.length === 32, `a BLAKE3 key has 32 bytes, not ${key.length}`)
  const hasher = Blake3Hasher.newKeyed(asBuffer(key))
  return (bytes) => {
    hasher.reset()
    return hasher.update(bytes).digest("hex")
  }
}

/** BLAKE3's key derivation mode: `context` is a constant of the program, unique to one use. 32 bytes. */
export const deriveKey = (context: string, material: Uint8Array): Uint8Array =>
  Blake3Hasher.deriveKey(context, material)

/** CRC-32C (Castagnoli), for headers: finds accidents, proves nothing. */
export const crc32c = (bytes: Uint8Array): number => crc(asBuffer(bytes))
