/**
 * VaultKeys: a vault's master key and the keys derived from it. Sits between the keyring, which keeps it at rest, and
 * the vault, which seals with it.
 *
 * BLAKE3's key derivation in two steps: contexts are constants of the program, as its specification (section 2.3) asks,
 * and tenant, vault, generation and suite are bound through the material. So no two vaults share any key.
 */
import { assert } from "../base/assert.ts"
import { concatBytes, toUtf8 } from "../base/bytes.ts"
import { deriveKey } from "../base/hash.ts"
import { type TenantId, type VaultId, defaultTenant, idBytes, rawId } from "../base/ids.ts"

/** Plain data: it is cloned to worker lanes. Never logged. */
export interface VaultKeys {
  /** The embedded store's one tenant where absent. */
  readonly tenantId?: TenantId
  readonly vaultId: VaultId
  /** The first is 1. Chunks and values name the generation they were sealed under; ids and cuts outlive it. */
  readonly generation: number
  /** 32 random bytes. */
  readonly master: Uint8Array
}

export const masterBytes = 32
/** Suite 1: BLAKE3, AES-256-GCM, zstd. One suite a vault. */
export const suiteByte = 1
export const generationMax = 0xffff_ffff

/** What is derived for the vault as a whole, and what for one generation of it. */
type VaultUse = "chunk id" | "vertex hash" | "gear" | "state root" | "node identity"
type GenerationUse = "chunk key" | "chunk nonce" | "value salt" | "value key"

const bound = (keys: VaultKeys, generation: number): Uint8Array => {
  assert(keys.master.length === masterBytes, `a master key has ${masterBytes} bytes, not ${keys.master.length}`)
  assert(Number.isInteger(generation) && generation >= 0 && generation <= generationMax, `no generation: ${generation}`)
  const tenant = rawId(keys.tenantId ?? defaultTenant)
  const vault = rawId(keys.vaultId)
  assert(tenant.length === idBytes && vault.length === idBytes, "ids of tenant and vault have 16 bytes")
  const numbers = Buffer.alloc(5)
  numbers.writeUInt8(suiteByte, 0)
  numbers.writeUInt32BE(generation, 1)
  return concatBytes([keys.master, numbers, tenant, vault])
}

/** A key of the vault that every generation shares. 32 bytes. */
export const vaultKey = (keys: VaultKeys, use: VaultUse): Uint8Array =>
  deriveKey(`ouroborosdb 2026 sealer vault 1 ${use}`, bound(keys, 0))

/** A key of one generation; `context` splits a use into independent keys. 32 bytes. */
export const generationKey = (keys: VaultKeys, generation: number, use: GenerationUse, context = ""): Uint8Array => {
  assert(generation >= 1, `generations start with 1, not ${generation}`)
  return deriveKey(`ouroborosdb 2026 sealer generation 1 ${use}`, concatBytes([bound(keys, generation), toUtf8(context)]))
}
