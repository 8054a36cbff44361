/**
 * IdentityFile: a node's private keys at rest: their seeds, encrypted under the operator's passphrase or a key file, as the vault's key is.
 * Between the data folder and Identity. Pure: whoever calls reads and writes the file and brings the random bytes.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { hashRawSync } from "@node-rs/argon2"
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, equalBytes, toHex, toUtf8 } from "../base/bytes.ts"
import { deriveKey, hashBytes } from "../base/hash.ts"
import { argonLanesMax, argonMemoryKiBMax, argonPassesMax } from "../base/limits.ts"
import type { Argon2Cost, KeyringProtection, KeyringSecret } from "../sealer/Keyring.ts"
import { identitySeedsBytes, type NodeId } from "./Identity.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"

/** "OBNI" */
const magic = 0x4f42_4e49
const formatVersion = 1
const suite = 1
const idAt = 8
const costAt = 40
const saltAt = 52
const nonceAt = 68
const bodyAt = 80
const tagAt = bodyAt + identitySeedsBytes
const checksumAt = tagAt + 16
export const identityFileBytes = checksumAt + 32
const keyFileBytes = 32
/** As keyrings: 64 MiB, 3 passes, 1 lane. */
const costDefault: Argon2Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 1 }

const refuse = refusalOf("identity")

const costFits = (memoryKiB: number, passes: number, lanes: number): boolean =>
  lanes >= 1 && lanes <= argonLanesMax && passes >= 1 && passes <= argonPassesMax && memoryKiB >= 8 * lanes && memoryKiB <= argonMemoryKiBMax

const problemOf = (secret: KeyringProtection): MembershipError | undefined => {
  if (secret._tag === "KeyFile") {
    return secret.key.length === keyFileBytes ? undefined : refuse("BadSecret", `a key file has ${keyFileBytes} bytes, this one has ${secret.key.length}`)
  }
  if (secret.passphrase === "" || !secret.passphrase.isWellFormed()) return refuse("BadSecret", "the passphrase is empty or not valid Unicode: give another")
  const { lanes, memoryKiB, passes } = secret.cost ?? costDefault
  return costFits(memoryKiB, passes, lanes) ? undefined : refuse("BadSecret", `Argon2id cannot run with ${memoryKiB} KiB, ${passes} passes, ${lanes} lanes`)
}

/** The secret, hardened as the header says, bound to its salt; contexts of its own, so that one key file serves keyring and identity. */
const wrappingKey = (header: Buffer, secret: KeyringSecret): Uint8Array => {
  const salt = header.subarray(saltAt, nonceAt)
  if (secret._tag === "KeyFile") return deriveKey("ouroborosdb 2026 identity 1 key file", concatBytes([secret.key, salt]))
  const hardened = hashRawSync(toUtf8(secret.passphrase.normalize("NFC")), {
    memoryCost: header.readUInt32BE(costAt), timeCost: header.readUInt32BE(costAt + 4), parallelism: header.readUInt32BE(costAt + 8), outputLen: 32, salt
  })
  return deriveKey("ouroborosdb 2026 identity 1 passphrase", concatBytes([hardened, salt]))
}

/** The file of these seeds; `random` is the Entropy port's `bytes`. */
export const sealIdentity = (
  id: NodeId, seeds: Uint8Array, protection: KeyringProtection, random: (count: number) => Uint8Array
): Uint8Array | MembershipError => {
  assert(seeds.length === identitySeedsBytes, `the seeds of an identity have ${identitySeedsBytes} bytes, not ${seeds.length}`)
  const problem = problemOf(protection)
  if (problem !== undefined) return problem
  const bytes = Buffer.alloc(identityFileBytes)
  bytes.writeUInt32BE(magic, 0)
  bytes.set([formatVersion, suite, protection._tag === "Passphrase" ? 1 : 2, 0], 4)
  bytes.write(id, idAt, "hex")
  if (protection._tag === "Passphrase") {
    const { lanes, memoryKiB, passes } = protection.cost ?? costDefault
    for (const [index, value] of [memoryKiB, passes, lanes].entries()) bytes.writeUInt32BE(value, costAt + 4 * index)
  }
  bytes.set(random(nonceAt - saltAt), saltAt)
  bytes.set(random(bodyAt - nonceAt), nonceAt)
  const cipher = createCipheriv("aes-256-gcm", wrappingKey(bytes, protection), bytes.subarray(nonceAt, bodyAt))
  cipher.setAAD(bytes.subarray(0, nonceAt))
  bytes.set(cipher.update(seeds), bodyAt)
  cipher.final()
  bytes.set(cipher.getAuthTag(), tagAt)
  bytes.set(hashBytes(bytes.subarray(0, checksumAt)), checksumAt)
  return bytes
}

/** What can be told without the secret. Checks length, format, bounds and checksum. */
export const readIdentityHeader = (bytes: Uint8Array): { readonly id: NodeId; readonly protection: KeyringSecret["_tag"] } | MembershipError => {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (data.length < 8 || data.readUInt32BE(0) !== magic) return refuse("UnknownFormat", "these bytes are not a node's identity")
  const [version, suiteOfFile, kind, zero] = data.subarray(4, 8)
  // Before the version, which may have rotted as well: one of this length has its checksum where this version has it.
  const isDamaged = data.length === identityFileBytes && !equalBytes(hashBytes(data.subarray(0, checksumAt)), data.subarray(checksumAt))
  if (!isDamaged && (version !== formatVersion || suiteOfFile !== suite)) {
    return refuse("UnknownFormat", `the identity has version ${version}, suite ${suiteOfFile}; this program knows ${formatVersion} and ${suite}: use the one that wrote it`)
  }
  if (isDamaged || data.length !== identityFileBytes) {
    return refuse("Damaged", "the identity is damaged: restore it from a copy, or let this node join as another")
  }
  const costs = [data.readUInt32BE(costAt), data.readUInt32BE(costAt + 4), data.readUInt32BE(costAt + 8)] as const
  const fits = kind === 1 ? costFits(...costs) : kind === 2 && costs.every((cost) => cost === 0)
  if (!fits || zero !== 0) return refuse("UnknownFormat", "the identity asks for what this program does not know")
  return { id: toHex(data.subarray(idAt, costAt)) as NodeId, protection: kind === 1 ? "Passphrase" : "KeyFile" }
}

/** The seeds, or why not. That they make the header's id is for the caller to see: Identity knows how. */
export const openIdentity = (bytes: Uint8Array, secret: KeyringSecret): { readonly id: NodeId; readonly seeds: Uint8Array } | MembershipError => {
  const header = readIdentityHeader(bytes)
  if (header instanceof MembershipError) return header
  const problem = problemOf(secret)
  if (problem !== undefined) return problem
  if (header.protection !== secret._tag) {
    return refuse("WrongProtection", header.protection === "Passphrase" ? "the identity is under a passphrase: give it" : "the identity is under a key file, not a passphrase")
  }
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decipher = createDecipheriv("aes-256-gcm", wrappingKey(data, secret), data.subarray(nonceAt, bodyAt))
  decipher.setAAD(data.subarray(0, nonceAt))
  decipher.setAuthTag(data.subarray(tagAt, checksumAt))
  const seeds = copyOf(decipher.update(data.subarray(bodyAt, tagAt)))
  try {
    decipher.final()
  } catch (error) {
    // The one failure of GCM; the checksum has ruled out damage.
    assert(error instanceof Error, "node:crypto throws errors")
    return refuse("WrongSecret", secret._tag === "Passphrase" ? "wrong passphrase" : "this key file belongs to another identity")
  }
  return { id: header.id, seeds }
}
