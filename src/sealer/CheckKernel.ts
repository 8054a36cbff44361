/**
 * CheckKernel: sealed chunks checked as far as they can be: hash of the stored bytes, seal, name and size of the
 * plaintext, which goes nowhere. Sits between verification and the lanes.
 */
import { ownBuffers } from "../base/bytes.ts"
import { hashOf } from "../base/hash.ts"
import type { ChunkId, Hash } from "../base/ids.ts"
import type { Kernel } from "../ports/Compute.ts"
import { SealError } from "./SealError.ts"
import { vaultOf } from "./SealKernel.ts"
import type { Vault } from "./Vault.ts"
import type { VaultKeys } from "./VaultKeys.ts"

/** A sealed chunk in `bytes`, and what is recorded of it. */
export interface CheckPiece {
  readonly offset: number
  readonly length: number
  readonly id: ChunkId
  readonly sealedHash: Hash
  /** Of the plaintext. */
  readonly sizeBytes: number
}

export interface CheckInput {
  readonly keys: VaultKeys
  /** Moves to the lane where it owns its buffer, and does not come back. */
  readonly bytes: Uint8Array
  readonly pieces: ReadonlyArray<CheckPiece>
}

export interface CheckOutput {
  /** In the order of the pieces: what is wrong with each. */
  readonly faults: ReadonlyArray<string | undefined>
}

const faultOf = (vault: Vault, bytes: Uint8Array, piece: CheckPiece): string | undefined => {
  if (bytes.length !== piece.length) return `${bytes.length} of ${piece.length} bytes are there`
  if (hashOf(bytes) !== piece.sealedHash) return "the stored bytes have not the hash that is recorded"
  const plaintext = vault.openChunk(piece.id, bytes)
  if (plaintext instanceof SealError) return `it does not open: ${plaintext.reason}: ${plaintext.detail}`
  return plaintext.length === piece.sizeBytes ? undefined : `it holds ${plaintext.length} bytes, ${piece.sizeBytes} are recorded`
}

export const checkKernel: Kernel<CheckInput, CheckOutput> = {
  name: "sealer/check",
  run: ({ keys, bytes, pieces }) => {
    const vault = vaultOf(keys)
    return { faults: pieces.map((piece) => faultOf(vault, bytes.subarray(piece.offset, piece.offset + piece.length), piece)) }
  },
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: () => []
}
