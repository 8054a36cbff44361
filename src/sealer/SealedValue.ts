/**
 * SealedValue: small sealed records (commits, tree nodes, checkpoints, credentials). Sits between the vault's keys and
 * the rooms that write such records.
 *
 * Deterministic authenticated encryption in the manner of SIV (Rogaway and Shrimpton, 2006; RFC 5297): the salt is a
 * keyed hash of everything, the value's own key a keyed hash of the salt, so equal values give equal bytes (Merkle
 * trees need that) and nothing else repeats a key. Sizes are not hidden, and equality under one context is not.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { assert } from "../base/assert.ts"
import { concatBytes } from "../base/bytes.ts"
import { keyedHash } from "../base/hash.ts"
import { KiB } from "../base/limits.ts"
import { SealError } from "./SealError.ts"
import { type VaultKeys, generationKey, suiteByte } from "./VaultKeys.ts"

/** Seals and opens values of one use of one vault. */
export interface ValueSealer {
  /** At most 4 KiB of associated bytes. The result may share its buffer with others. */
  readonly seal: (associated: Uint8Array, plaintext: Uint8Array) => Uint8Array
  readonly open: (associated: Uint8Array, bytes: Uint8Array) => Uint8Array | SealError
}

const formatVersion = 1
/** Version, suite, generation. */
const headerBytes = 6
const saltBytes = 16
const tagBytes = 16
export const valueOverheadBytes = headerBytes + saltBytes + tagBytes
const lengthBytes = 8
const associatedBytesMax = 4 * KiB
/** Values up to this size are hashed in one call with what binds them. */
const copiedBytesMax = 1 * KiB
const scratchBytes = lengthBytes + headerBytes + associatedBytesMax + copiedBytesMax
/** Constant: no two values share a key. */
const nonce = Buffer.alloc(12)

/** `context` is a constant of the program and names the use: a value opens only under the context it was sealed under. */
export const makeValueSealer = (keys: VaultKeys, context: string): ValueSealer => {
  const { generation } = keys
  const hashSalt = keyedHash(generationKey(keys, generation, "value salt", context))
  const keyOf = keyedHash(generationKey(keys, generation, "value key", context))
  // One buffer for what is hashed (length of the associated bytes, header, associated, plaintext) and, within it, what
  // is authenticated (header, associated): calls into native code cost more than copies of a few KiB.
  const scratch = Buffer.alloc(scratchBytes)
  scratch.writeUInt8(formatVersion, lengthBytes)
  scratch.writeUInt8(suiteByte, lengthBytes + 1)
  scratch.writeUInt32BE(generation, lengthBytes + 2)

  const bind = (associated: Uint8Array): number => {
    assert(associated.length <= associatedBytesMax, `associated bytes are a name, not ${associated.length} bytes of data`)
    scratch.writeUInt32BE(associated.length, 4)
    scratch.set(associated, lengthBytes + headerBytes)
    return lengthBytes + headerBytes + associated.length
  }

  const saltOf = (bound: number, plaintext: Uint8Array): Uint8Array => {
    if (plaintext.length > copiedBytesMax) return hashSalt(scratch.subarray(0, bound), plaintext).subarray(0, saltBytes)
    scratch.set(plaintext, bound)
    return hashSalt(scratch.subarray(0, bound + plaintext.length)).subarray(0, saltBytes)
  }

  const seal = (associated: Uint8Array, plaintext: Uint8Array): Uint8Array => {
    const bound = bind(associated)
    const salt = saltOf(bound, plaintext)
    const cipher = createCipheriv("aes-256-gcm", keyOf(salt), nonce)
    cipher.setAAD(scratch.subarray(lengthBytes, bound))
    const body = cipher.update(plaintext)
    cipher.final()
    return concatBytes([scratch.subarray(lengthBytes, lengthBytes + headerBytes), salt, body, cipher.getAuthTag()])
  }

  const open = (associated: Uint8Array, bytes: Uint8Array): Uint8Array | SealError => {
    const refuse = (reason: SealError["reason"], detail: string): SealError =>
      new SealError({ what: "value", name: context, reason, detail })
    if (bytes.length < valueOverheadBytes) return refuse("Damaged", `${bytes.length} bytes are too few`)
    const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (data.readUInt8(0) !== formatVersion || data.readUInt8(1) !== suiteByte) {
      return refuse("UnknownFormat", `version ${data.readUInt8(0)}, suite ${data.readUInt8(1)}`)
    }
    if (data.readUInt32BE(2) !== generation) {
      return refuse("WrongGeneration", `generation ${data.readUInt32BE(2)}; the key at hand is ${generation}`)
    }
    const end = data.length - tagBytes
    const decipher = createDecipheriv("aes-256-gcm", keyOf(data.subarray(headerBytes, headerBytes + saltBytes)), nonce)
    decipher.setAAD(scratch.subarray(lengthBytes, bind(associated)))
    decipher.setAuthTag(data.subarray(end))
    const plaintext = decipher.update(data.subarray(headerBytes + saltBytes, end))
    try {
      decipher.final()
    } catch (error) {
      // The one failure of GCM: the tag does not fit key, associated data and bytes.
      assert(error instanceof Error, "node:crypto throws errors")
      return refuse("Damaged", "authentication failed: bytes, associated data, vault or use are not those it was sealed with")
    }
    return plaintext
  }
  return { seal, open }
}
