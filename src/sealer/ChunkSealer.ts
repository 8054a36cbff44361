/**
 * ChunkSealer: compresses, encrypts and opens chunks of one vault and generation (R7). Sits between the vault, which
 * holds it, and SealedChunk's bytes.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { assert } from "../base/assert.ts"
import { copyInto, release } from "../base/bytes.ts"
import { hashOf, keyedHash } from "../base/hash.ts"
import { type ChunkId, rawId } from "../base/ids.ts"
import { MiB, chunkSizeBytesMax } from "../base/limits.ts"
import { type Compressor, compressWherePays, decompress } from "./Compression.ts"
import { SealError } from "./SealError.ts"
import {
  type SealedChunk,
  chunkHeaderBytes,
  chunkOverheadBytes,
  decodeChunkHeader,
  encodeChunkHeader,
  nonceBytes,
  tagBytes
} from "./SealedChunk.ts"
import { type VaultKeys, generationKey } from "./VaultKeys.ts"

/** See Vault, which passes both on. */
export interface ChunkSealer {
  readonly seal: (id: ChunkId, plaintext: Uint8Array, compress?: Compressor, memory?: MemoryFor) => SealedChunk
  readonly open: (id: ChunkId, sealed: Uint8Array) => Uint8Array | SealError
}

/** Where so many sealed bytes shall lie. */
export type MemoryFor = (sizeBytes: number) => Uint8Array

const ownMemory: MemoryFor = (sizeBytes) => Buffer.allocUnsafeSlow(sizeBytes)

/** What the cipher takes at a time: its output is still in the cache when it is copied. */
const cipherBytes = MiB / 8

/** `nameChunk` is the vault's: what is sealed and what was opened is checked against its name. */
export const makeChunkSealer = (keys: VaultKeys, nameChunk: (plaintext: Uint8Array) => ChunkId): ChunkSealer => {
  const { vaultId, generation } = keys
  const chunkKey = keyedHash(generationKey(keys, generation, "chunk key"))
  const nonceOf = keyedHash(generationKey(keys, generation, "chunk nonce"))

  const seal = (id: ChunkId, plaintext: Uint8Array, compress: Compressor = compressWherePays, memory: MemoryFor = ownMemory): SealedChunk => {
    assert(plaintext.length >= 1 && plaintext.length <= chunkSizeBytesMax, `no chunk has ${plaintext.length} bytes`)
    // Under a wrong name it would never open again, and its key and nonce might be another chunk's.
    assert(nameChunk(plaintext) === id, `chunk ${id} is not named after its bytes`)
    const compressed = compress(plaintext)
    const body = compressed ?? plaintext
    const target = memory(chunkOverheadBytes + body.length)
    const bytes = Buffer.from(target.buffer, target.byteOffset, target.byteLength)
    const sizeBytes = plaintext.length
    encodeChunkHeader({ compressed: compressed !== undefined, generation, vaultId, id, sizeBytes, bodyBytes: body.length }, bytes)
    const header = bytes.subarray(0, chunkHeaderBytes)
    // A keyed hash of the exact bytes encrypted (R7): without compression the id in the header is one, checked above.
    const nonce = (compressed === undefined ? nonceOf(header) : nonceOf(header, compressed)).subarray(0, nonceBytes)
    const cipher = createCipheriv("aes-256-gcm", chunkKey(rawId(id)), nonce)
    cipher.setAAD(header)
    bytes.set(nonce, chunkHeaderBytes)
    for (let at = 0; at < body.length; at += cipherBytes) {
      const encrypted = cipher.update(body.subarray(at, at + cipherBytes))
      copyInto(bytes, chunkHeaderBytes + nonceBytes + at, encrypted)
      release(encrypted)
    }
    cipher.final()
    if (compressed !== undefined) release(compressed)
    bytes.set(cipher.getAuthTag(), bytes.length - tagBytes)
    return { id, sizeBytes, bytes, hash: hashOf(bytes) }
  }

  const open = (id: ChunkId, sealed: Uint8Array): Uint8Array | SealError => {
    const refuse = (reason: SealError["reason"], detail: string): SealError =>
      new SealError({ what: "chunk", name: id, reason, detail })
    const header = decodeChunkHeader(sealed)
    if ("reason" in header) return refuse(header.reason, header.detail)
    if (header.vaultId !== vaultId) return refuse("WrongVault", `sealed in vault ${header.vaultId}, opened in ${vaultId}`)
    if (header.id !== id) return refuse("WrongChunk", `the header names ${header.id}`)
    if (header.generation !== generation) {
      return refuse("WrongGeneration", `generation ${header.generation}; the key at hand is ${generation}`)
    }
    const at = chunkHeaderBytes
    const end = sealed.length - tagBytes
    const decipher = createDecipheriv("aes-256-gcm", chunkKey(rawId(id)), sealed.subarray(at, at + nonceBytes))
    decipher.setAAD(sealed.subarray(0, at))
    decipher.setAuthTag(sealed.subarray(end))
    const body = decipher.update(sealed.subarray(at + nonceBytes, end))
    try {
      decipher.final()
    } catch (error) {
      // The one failure of GCM: the tag does not fit key, nonce, header and bytes.
      assert(error instanceof Error, "node:crypto throws errors")
      return refuse("Damaged", "authentication failed: the bytes or the master key are not those it was sealed with")
    }
    const plaintext = header.compressed ? decompress(body, header.sizeBytes) : body
    if (header.compressed) release(body)
    if (plaintext === undefined) return refuse("Damaged", `its frame does not give ${header.sizeBytes} bytes`)
    if (nameChunk(plaintext) !== id) return refuse("Damaged", "what it holds has another name")
    return plaintext
  }
  return { seal, open }
}
