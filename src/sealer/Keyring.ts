/**
 * Keyring: a vault's master key at rest, encrypted under a passphrase or a key file. Sits between the data folder and
 * VaultKeys. Pure: whoever calls reads and writes the file and brings the random bytes.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { hashRawSync } from "@node-rs/argon2"
import { assert } from "../base/assert.ts"
import { concatBytes, equalBytes, toHex, toUtf8 } from "../base/bytes.ts"
import { deriveKey, hashBytes } from "../base/hash.ts"
import { type TenantId, type VaultId, defaultTenant } from "../base/ids.ts"
import { argonLanesMax, argonMemoryKiBMax, argonPassesMax } from "../base/limits.ts"
import { KeyringError } from "./KeyringError.ts"
import { type VaultKeys, masterBytes, suiteByte } from "./VaultKeys.ts"

/** What opens a keyring. A key file is 32 random bytes that must be kept apart from backups of the data (P6's exception). */
export type KeyringSecret =
  | { readonly _tag: "Passphrase"; readonly passphrase: string }
  | { readonly _tag: "KeyFile"; readonly key: Uint8Array }

/** Argon2id's parameters (RFC 9106). */
export interface Argon2Cost {
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
}

/** How a keyring is to be protected: a secret and, for a passphrase, what guessing it shall cost. */
export type KeyringProtection = KeyringSecret & { readonly cost?: Argon2Cost }

/** 64 MiB, 3 passes, 1 lane: 60 to 100 ms a guess. */
export const argon2CostDefault: Argon2Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 1 }

export const keyFileBytes = 32

/** "OBKR" */
const magic = 0x4f42_4b52
const formatVersion = 1
const saltBytes = 16
const nonceBytes = 12
const tagBytes = 16
const saltAt = 56
const nonceAt = saltAt + saltBytes
const bodyAt = nonceAt + nonceBytes
const tagAt = bodyAt + masterBytes
const checksumAt = tagAt + tagBytes
export const keyringBytes = checksumAt + 32

const problemOf = (secret: KeyringProtection): KeyringError | undefined => {
  const bad = (detail: string): KeyringError => new KeyringError({ reason: "BadSecret", detail })
  if (secret._tag === "KeyFile") {
    const { length } = secret.key
    return length === keyFileBytes ? undefined : bad(`a key file has ${keyFileBytes} bytes, this one has ${length}`)
  }
  if (secret.passphrase === "") return bad("the passphrase is empty: give one with at least a character")
  if (!secret.passphrase.isWellFormed()) return bad("the passphrase is not valid Unicode")
  const { memoryKiB, passes, lanes } = secret.cost ?? argon2CostDefault
  return costFits(memoryKiB, passes, lanes) ? undefined : bad(`Argon2id cannot run with ${memoryKiB} KiB, ${passes} passes, ${lanes} lanes`)
}

const costFits = (memoryKiB: number, passes: number, lanes: number): boolean =>
  lanes >= 1 && lanes <= argonLanesMax && passes >= 1 && passes <= argonPassesMax && memoryKiB >= 8 * lanes && memoryKiB <= argonMemoryKiBMax

/** The key that encrypts the master key: the secret, hardened by the header's parameters, bound to its salt. */
const wrappingKey = (header: Buffer, secret: KeyringSecret): Uint8Array => {
  const salt = header.subarray(saltAt, nonceAt)
  if (secret._tag === "KeyFile") return deriveKey("ouroborosdb 2026 keyring 1 key file", concatBytes([secret.key, salt]))
  // NFC: one passphrase, however a keyboard composes its accents (RFC 8265, OpaqueString).
  const hardened = hashRawSync(toUtf8(secret.passphrase.normalize("NFC")), {
    // The package's default algorithm is Argon2id, version 0x13; a golden file and another implementation hold it to that.
    memoryCost: header.readUInt32BE(44),
    timeCost: header.readUInt32BE(48),
    parallelism: header.readUInt32BE(52),
    outputLen: 32,
    salt
  })
  return deriveKey("ouroborosdb 2026 keyring 1 passphrase", concatBytes([hardened, salt]))
}

/** A keyring of these keys under `protection`; `random` is the Entropy port's `bytes`. */
export const sealKeyring = (keys: VaultKeys, protection: KeyringProtection, random: (count: number) => Uint8Array): Uint8Array | KeyringError => {
  const problem = problemOf(protection)
  if (problem !== undefined) return problem
  assert(keys.master.length === masterBytes, `a master key has ${masterBytes} bytes, not ${keys.master.length}`)
  const bytes = Buffer.alloc(keyringBytes)
  bytes.writeUInt32BE(magic, 0)
  bytes.writeUInt8(formatVersion, 4)
  bytes.writeUInt8(suiteByte, 5)
  bytes.writeUInt8(protection._tag === "Passphrase" ? 1 : 2, 6)
  bytes.write(keys.tenantId ?? defaultTenant, 8, "hex")
  bytes.write(keys.vaultId, 24, "hex")
  bytes.writeUInt32BE(keys.generation, 40)
  if (protection._tag === "Passphrase") {
    const { memoryKiB, passes, lanes } = protection.cost ?? argon2CostDefault
    bytes.writeUInt32BE(memoryKiB, 44)
    bytes.writeUInt32BE(passes, 48)
    bytes.writeUInt32BE(lanes, 52)
  }
  bytes.set(random(saltBytes), saltAt)
  bytes.set(random(nonceBytes), nonceAt)
  const cipher = createCipheriv("aes-256-gcm", wrappingKey(bytes, protection), bytes.subarray(nonceAt, bodyAt))
  cipher.setAAD(bytes.subarray(0, nonceAt))
  bytes.set(cipher.update(keys.master), bodyAt)
  cipher.final()
  bytes.set(cipher.getAuthTag(), tagAt)
  bytes.set(hashBytes(bytes.subarray(0, checksumAt)), checksumAt)
  return bytes
}

/** The keyring of a new vault, generation 1: `master` are 32 fresh random bytes. */
export const createKeyring = (input: {
  readonly tenantId?: TenantId
  readonly vaultId: VaultId
  readonly master: Uint8Array
  readonly protection: KeyringProtection
  readonly random: (count: number) => Uint8Array
}): Uint8Array | KeyringError => {
  const { tenantId = defaultTenant, vaultId, master, protection, random } = input
  return sealKeyring({ tenantId, vaultId, generation: 1, master }, protection, random)
}

/** What can be told without the secret: which vault it is and what opens it. */
export interface KeyringHeader {
  readonly protection: KeyringSecret["_tag"]
  readonly tenantId: TenantId
  readonly vaultId: VaultId
  readonly generation: number
}

/** Checks length, format, bounds and checksum; allocates nothing by what the bytes say. */
export const readKeyringHeader = (bytes: Uint8Array): KeyringHeader | KeyringError => {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const refuse = (reason: KeyringError["reason"], detail: string): KeyringError => new KeyringError({ reason, detail })
  if (data.length < 6 || data.readUInt32BE(0) !== magic) return refuse("UnknownFormat", "these bytes are not a keyring")
  const [version, suite] = [data.readUInt8(4), data.readUInt8(5)]
  // Before the version, which may have rotted as well: one of this length has its checksum where this version has it.
  if (data.length === keyringBytes && !equalBytes(hashBytes(data.subarray(0, checksumAt)), data.subarray(checksumAt))) {
    return refuse("Damaged", "the keyring is damaged: restore it from a backup, or import an exported key")
  }
  if (version !== formatVersion || suite !== suiteByte) {
    return refuse("UnknownFormat", `the keyring has version ${version}, suite ${suite}; this program knows ${formatVersion} and ${suiteByte}`)
  }
  if (data.length !== keyringBytes) return refuse("Damaged", `the keyring has ${data.length} bytes instead of ${keyringBytes}: restore it from a backup`)
  const [kind, generation] = [data.readUInt8(6), data.readUInt32BE(40)]
  const costs = [data.readUInt32BE(44), data.readUInt32BE(48), data.readUInt32BE(52)] as const
  const fits = kind === 1 ? costFits(...costs) : kind === 2 && costs.every((cost) => cost === 0)
  if (!fits || data.readUInt8(7) !== 0 || generation === 0) return refuse("UnknownFormat", "the keyring asks for what this program does not know")
  return {
    protection: kind === 1 ? "Passphrase" : "KeyFile",
    tenantId: toHex(data.subarray(8, 24)) as TenantId,
    vaultId: toHex(data.subarray(24, 40)) as VaultId,
    generation
  }
}

/** The vault's keys, or why not. Runs Argon2id with the stored parameters, within their limits. */
export const openKeyring = (bytes: Uint8Array, secret: KeyringSecret): Required<VaultKeys> | KeyringError => {
  const header = readKeyringHeader(bytes)
  if (header instanceof KeyringError) return header
  const refuse = (reason: KeyringError["reason"], detail: string): KeyringError => new KeyringError({ reason, detail })
  const problem = problemOf(secret)
  if (problem !== undefined) return problem
  if (header.protection !== secret._tag) {
    return refuse("WrongProtection", header.protection === "Passphrase" ? "the keyring is under a passphrase: give it" : "the keyring is under a key file, not a passphrase")
  }
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decipher = createDecipheriv("aes-256-gcm", wrappingKey(data, secret), data.subarray(nonceAt, bodyAt))
  decipher.setAAD(data.subarray(0, nonceAt))
  decipher.setAuthTag(data.subarray(tagAt, checksumAt))
  const master = Uint8Array.from(decipher.update(data.subarray(bodyAt, tagAt)))
  try {
    decipher.final()
  } catch (error) {
    // The one failure of GCM; the checksum has ruled out damage.
    assert(error instanceof Error, "node:crypto throws errors")
    return refuse("WrongSecret", secret._tag === "Passphrase" ? "wrong passphrase" : "this key file belongs to another keyring")
  }
  const { tenantId, vaultId, generation } = header
  return { tenantId, vaultId, generation, master }
}

/** The same keys under another secret: the data need not be touched. Fresh salt and nonce. */
export const changeProtection = (
  bytes: Uint8Array,
  secret: KeyringSecret,
  protection: KeyringProtection,
  random: (count: number) => Uint8Array
): Uint8Array | KeyringError => {
  const keys = openKeyring(bytes, secret)
  return keys instanceof KeyringError ? keys : sealKeyring(keys, protection, random)
}
