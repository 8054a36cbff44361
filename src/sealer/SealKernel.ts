/**
 * SealKernel: naming, sealing and opening as kernels of the Compute port. Sits between put.ts and get.ts and the lanes.
 * Chunk lengths come as input: cutting is the chunker's.
 */
import { assert } from "../base/assert.ts"
import { ownBuffers, toHex } from "../base/bytes.ts"
import { hashOf } from "../base/hash.ts"
import type { ChunkId, Hash } from "../base/ids.ts"
import type { Kernel } from "../ports/Compute.ts"
import { SealError, type SealReason } from "./SealError.ts"
import type { MemoryFor } from "./ChunkSealer.ts"
import type { SealedChunk } from "./SealedChunk.ts"
import { type Vault, openVault } from "./Vault.ts"
import type { VaultKeys } from "./VaultKeys.ts"

export interface NameInput {
  readonly keys: VaultKeys
  /** Moves to the lane and back where it owns its buffer, else it is copied. */
  readonly bytes: Uint8Array
  /** Of the chunks, one after another from the start of `bytes`. */
  readonly lengths: ReadonlyArray<number>
}

export interface NameOutput {
  readonly bytes: Uint8Array
  readonly ids: ReadonlyArray<ChunkId>
}

/** A chunk's place in `bytes`. */
export interface Piece {
  readonly offset: number
  readonly length: number
  readonly id: ChunkId
}

export interface SealInput {
  readonly keys: VaultKeys
  readonly bytes: Uint8Array
  readonly pieces: ReadonlyArray<Piece>
  /** Memory that threads share: each piece's chunk lies in it at its place, where that has room for it even if it does not shrink. */
  readonly target?: SealTarget
}

export interface SealTarget {
  readonly memory: Uint8Array
  /** In the order of the pieces. */
  readonly places: ReadonlyArray<number>
  /** From the end of each chunk to the next multiple of this there are zeros. */
  readonly alignBytes: number
}

export interface SealOutput {
  readonly bytes: Uint8Array
  /** In the order of the pieces; those whose place has no room for them have buffers of their own. */
  readonly sealed: ReadonlyArray<SealedChunk>
}

export interface OpenInput {
  readonly keys: VaultKeys
  /**
   * `hash` is that of `bytes`, from where the copy is recorded: it tells rotten bytes from what was sealed otherwise, where a
   * piece does not open. What opens is authenticated under its own key and has its name: a third proof would be the dearest.
   */
  readonly pieces: ReadonlyArray<{ readonly id: ChunkId; readonly bytes: Uint8Array; readonly hash: Hash }>
}

/** Why a piece did not open: SealError as plain data. WrongHash: the stored bytes are not those that were recorded. */
export interface NotOpened {
  readonly reason: SealReason | "WrongHash"
  readonly detail: string
}

export interface OpenOutput {
  /** In the order of the pieces; each plaintext in a buffer of its own. */
  readonly opened: ReadonlyArray<Uint8Array | NotOpened>
}

/** Vaults that a lane keeps: opening one costs 0.2 ms. A pure memo, by everything their keys depend on. */
const vaultsMax = 16
const vaults = new Map<string, Vault>()

/** The vault of these keys, opened once a lane. */
export const vaultOf = (keys: VaultKeys): Vault => {
  const name = `${keys.tenantId ?? ""} ${keys.vaultId} ${keys.generation} ${toHex(keys.master)}`
  const known = vaults.get(name)
  if (known !== undefined) return known
  if (vaults.size >= vaultsMax) vaults.clear()
  const vault = openVault(keys)
  vaults.set(name, vault)
  return vault
}

const sliceOf = (bytes: Uint8Array, offset: number, length: number): Uint8Array => {
  assert(offset >= 0 && length > 0 && offset + length <= bytes.length, `no piece at ${offset}, ${length} of ${bytes.length}`)
  return bytes.subarray(offset, offset + length)
}

export const nameKernel: Kernel<NameInput, NameOutput> = {
  name: "sealer/name",
  run: ({ keys, bytes, lengths }) => {
    const vault = vaultOf(keys)
    let offset = 0
    const ids = lengths.map((length) => {
      const id = vault.nameChunk(sliceOf(bytes, offset, length))
      offset += length
      return id
    })
    return { bytes, ids }
  },
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: ({ bytes }) => ownBuffers([bytes])
}

const memoryAt = ({ alignBytes, memory, places }: SealTarget, index: number): MemoryFor => (sizeBytes) => {
  const start = places[index]!
  const end = start + sizeBytes
  const padded = Math.ceil(end / alignBytes) * alignBytes
  if (padded > (places[index + 1] ?? memory.length)) return Buffer.allocUnsafeSlow(sizeBytes)
  memory.fill(0, end, padded)
  return memory.subarray(start, end)
}

export const sealKernel: Kernel<SealInput, SealOutput> = {
  name: "sealer/seal",
  run: ({ keys, bytes, pieces, target }) => {
    const vault = vaultOf(keys)
    const sealed = pieces.map(({ id, offset, length }, index) =>
      vault.sealChunk(id, sliceOf(bytes, offset, length), undefined, target === undefined ? undefined : memoryAt(target, index)))
    return { bytes, sealed }
  },
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: ({ bytes, sealed }) => ownBuffers([bytes, ...sealed.map((chunk) => chunk.bytes)])
}

export const openKernel: Kernel<OpenInput, OpenOutput> = {
  name: "sealer/open",
  run: ({ keys, pieces }) => {
    const vault = vaultOf(keys)
    const opened = pieces.map(({ id, bytes, hash }): Uint8Array | NotOpened => {
      const plaintext = vault.openChunk(id, bytes)
      if (!(plaintext instanceof SealError)) return plaintext
      const found = hashOf(bytes)
      return found === hash ? { reason: plaintext.reason, detail: plaintext.detail } : { reason: "WrongHash", detail: `recorded ${hash}, stored bytes have ${found}` }
    })
    return { opened }
  },
  transfersIn: ({ pieces }) => ownBuffers(pieces.map((piece) => piece.bytes)),
  transfersOut: ({ opened }) => ownBuffers(opened.filter((piece) => piece instanceof Uint8Array))
}
