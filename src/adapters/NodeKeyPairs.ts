/** NodeKeyPairs: the KeyPairs port over node:crypto (OpenSSL 3.5). Imported public keys are remembered: an import is a tenth of a check. */
import { createHash, createPrivateKey, createPublicKey, decapsulate, diffieHellman, encapsulate, type KeyObject, randomBytes, sign, verify } from "node:crypto"
import { Layer } from "effect"
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, toHex } from "../base/bytes.ts"
import { hashBytes } from "../base/hash.ts"
import { membersMax } from "../base/clusterLimits.ts"
import {
  agreementCiphertextBytes, agreementPublicBytes, agreementSeedBytes, KeyPairs, type KeyPairsService, signatureBytes, signingPublicBytes, signingSeedBytes
} from "../ports/KeyPairs.ts"

type Kind = "ml-dsa-65" | "ml-kem-768" | "x25519"

const privateKey = (kind: Kind, key: Uint8Array): KeyObject =>
  createPrivateKey({ key: Buffer.from(key), format: kind === "x25519" ? "raw-private" : "raw-seed", asymmetricKeyType: kind })

const publicBytes = (key: KeyObject): Uint8Array => copyOf(createPublicKey(key).export({ format: "raw-public" }))

/** Undefined: no such key. OpenSSL looks at length and coefficients. */
const publicKey = (kind: Kind, key: Uint8Array): KeyObject | undefined => {
  try {
    return createPublicKey({ key: Buffer.from(key), format: "raw-public", asymmetricKeyType: kind })
  } catch (error) {
    if (isRefused(error)) return undefined
    throw error
  }
}

/** Of bytes that are no key, and of points of small order. */
const isRefused = (error: unknown): boolean =>
  error instanceof Error && "code" in error && typeof error.code === "string" && (error.code === "ERR_INVALID_ARG_VALUE" || error.code.startsWith("ERR_OSSL_"))

/** By the hash of the key: those of members, and a few of those who would like to be. */
const remembered = new Map<string, KeyObject>()

const verifyingKey = (bytes: Uint8Array): KeyObject | undefined => {
  if (bytes.length !== signingPublicBytes) return undefined
  const name = toHex(hashBytes(bytes))
  const known = remembered.get(name)
  if (known !== undefined) return known
  const key = publicKey("ml-dsa-65", bytes)
  if (key === undefined) return undefined
  const oldest = remembered.size >= 2 * membersMax ? remembered.keys().next().value : undefined
  if (oldest !== undefined) remembered.delete(oldest)
  remembered.set(name, key)
  return key
}

/** Draft-connolly-cfrg-xwing-kem, 5.3: the label is an ASCII drawing of an X-Wing. */
const label = Buffer.from("5c2e2f2f5e5c", "hex")
const lattice = 1184
const latticeCiphertext = 1088

const combine = (latticeSecret: Uint8Array, curveSecret: Uint8Array, curveCiphertext: Uint8Array, curvePublic: Uint8Array): Uint8Array =>
  copyOf(createHash("sha3-256").update(latticeSecret).update(curveSecret).update(curveCiphertext).update(curvePublic).update(label).digest())

const curveSecretOf = (own: KeyObject, other: KeyObject): Uint8Array | undefined => {
  try {
    return diffieHellman({ privateKey: own, publicKey: other })
  } catch (error) {
    if (isRefused(error)) return undefined
    throw error
  }
}

export const service: KeyPairsService = {
  signing: (seed) => {
    assert(seed.length === signingSeedBytes, `a signing seed has ${signingSeedBytes} bytes`)
    const key = privateKey("ml-dsa-65", seed)
    return {
      publicKey: publicBytes(key),
      sign: (context, bytes) => copyOf(sign(null, bytes, { key, context: Buffer.from(context) }))
    }
  },
  agreement: (seed) => {
    assert(seed.length === agreementSeedBytes, `an agreement seed has ${agreementSeedBytes} bytes`)
    const expanded = createHash("shake256", { outputLength: 96 }).update(seed).digest()
    const [latticeKey, curveKey] = [privateKey("ml-kem-768", expanded.subarray(0, 64)), privateKey("x25519", expanded.subarray(64))]
    const curvePublic = publicBytes(curveKey)
    return {
      publicKey: copyOf(concatBytes([publicBytes(latticeKey), curvePublic])),
      open: (ciphertext) => {
        if (ciphertext.length !== agreementCiphertextBytes) return undefined
        const curveCiphertext = ciphertext.subarray(latticeCiphertext)
        const other = publicKey("x25519", curveCiphertext)
        const curveSecret = other === undefined ? undefined : curveSecretOf(curveKey, other)
        return curveSecret === undefined ? undefined : combine(decapsulate(latticeKey, ciphertext.subarray(0, latticeCiphertext)), curveSecret, curveCiphertext, curvePublic)
      }
    }
  },
  verify: (key, context, bytes, signature) => {
    const verifier = signature.length === signatureBytes ? verifyingKey(key) : undefined
    return verifier !== undefined && verify(null, bytes, { key: verifier, context: Buffer.from(context) }, signature)
  },
  encapsulate: (bytes) => {
    if (bytes.length !== agreementPublicBytes) return undefined
    const [latticeKey, curvePublic] = [publicKey("ml-kem-768", bytes.subarray(0, lattice)), bytes.subarray(lattice)]
    const other = publicKey("x25519", curvePublic)
    if (latticeKey === undefined || other === undefined) return undefined
    const ephemeral = privateKey("x25519", randomBytes(32))
    const curveSecret = curveSecretOf(ephemeral, other)
    if (curveSecret === undefined) return undefined
    const { ciphertext, sharedKey } = encapsulate(latticeKey)
    const curveCiphertext = publicBytes(ephemeral)
    return { ciphertext: copyOf(concatBytes([ciphertext, curveCiphertext])), secret: combine(sharedKey, curveSecret, curveCiphertext, curvePublic) }
  }
}

export const layer: Layer.Layer<KeyPairs> = Layer.succeed(KeyPairs, service)
