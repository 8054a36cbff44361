/**
 * Vault: names, seals and opens the data of one vault; the domain of deduplication and of trust (R7). Sits between
 * plaintext (chunks, vertices, records) and everything that keeps bytes. Pure and synchronous.
 */
import { assert } from "../base/assert.ts"
import { keyedHashHex } from "../base/hash.ts"
import type { ChunkId, VertexHash } from "../base/ids.ts"
import { sealContextsMax } from "../base/limits.ts"
import { type MemoryFor, makeChunkSealer } from "./ChunkSealer.ts"
import type { Compressor } from "./Compression.ts"
import type { SealError } from "./SealError.ts"
import type { SealedChunk } from "./SealedChunk.ts"
import { type ValueSealer, makeValueSealer } from "./SealedValue.ts"
import { type VaultKeys, vaultKey } from "./VaultKeys.ts"

export interface Vault {
  readonly keys: VaultKeys
  /** 32 bytes for makeChunker. */
  readonly gearKey: Uint8Array
  /** Keyed BLAKE3 of the plaintext: equal content, equal id, within this vault only. */
  readonly nameChunk: (plaintext: Uint8Array) => ChunkId
  /** Keyed hash of a vertex's canonical encoding. */
  readonly vertexHash: (bytes: Uint8Array) => VertexHash
  /**
   * Compresses where it pays, encrypts. `id` must be nameChunk(plaintext), 1 to chunkSizeBytesMax bytes: asserted. The
   * sealed bytes lie where `memory` says, by default in memory of their own.
   */
  readonly sealChunk: (id: ChunkId, plaintext: Uint8Array, compress?: Compressor, memory?: MemoryFor) => SealedChunk
  /** The plaintext whose name is `id`, or why not. */
  readonly openChunk: (id: ChunkId, bytes: Uint8Array) => Uint8Array | SealError
  /** Deterministic; see SealedValue. `context` is a constant of the program that names the use. */
  readonly sealValue: (context: string, associated: Uint8Array, plaintext: Uint8Array) => Uint8Array
  /** The plaintext, or why not. Context and associated bytes must be those of the sealing. */
  readonly openValue: (context: string, associated: Uint8Array, bytes: Uint8Array) => Uint8Array | SealError
}

/** Derives what the vault needs, once: 0.2 ms. */
export const openVault = (keys: VaultKeys): Vault => {
  const name = keyedHashHex(vaultKey(keys, "chunk id"))
  const nameVertex = keyedHashHex(vaultKey(keys, "vertex hash"))
  const values = new Map<string, ValueSealer>()

  const nameChunk = (plaintext: Uint8Array): ChunkId => name(plaintext) as ChunkId

  const chunks = makeChunkSealer(keys, nameChunk)

  const valuesOf = (context: string): ValueSealer => {
    const known = values.get(context)
    if (known !== undefined) return known
    assert(values.size < sealContextsMax, `more than ${sealContextsMax} contexts: a context is a constant, data goes into associated`)
    const sealer = makeValueSealer(keys, context)
    values.set(context, sealer)
    return sealer
  }

  return {
    keys,
    gearKey: vaultKey(keys, "gear"),
    nameChunk,
    vertexHash: (bytes) => nameVertex(bytes) as VertexHash,
    sealChunk: chunks.seal,
    openChunk: chunks.open,
    sealValue: (context, associated, plaintext) => valuesOf(context).seal(associated, plaintext),
    openValue: (context, associated, bytes) => valuesOf(context).open(associated, bytes)
  }
}
