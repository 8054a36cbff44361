/**
 * KeyPairs: key pairs of nodes, made from seeds: ML-DSA-65 (FIPS 204) signs, X-Wing (X25519 and ML-KEM-768,
 * draft-connolly-cfrg-xwing-kem) agrees on secrets. Synchronous: a signature takes a millisecond, an agreement a tenth.
 * Adapter: adapters/NodeKeyPairs. Twin: sim/KeyPairs, which costs next to nothing and hides nothing. Both pass test/contract/keyPairs.
 */
import { Context } from "effect"

export const signingSeedBytes = 32
export const signingPublicBytes = 1952
export const signatureBytes = 3309
export const agreementSeedBytes = 32
/** ML-KEM-768's encapsulation key, then X25519's. */
export const agreementPublicBytes = 1184 + 32
export const agreementCiphertextBytes = 1088 + 32
export const agreedSecretBytes = 32

export interface SigningKey {
  readonly publicKey: Uint8Array
  /** `context`: a constant of the program that names the use; "" is that of X.509 and TLS. */
  readonly sign: (context: string, bytes: Uint8Array) => Uint8Array
}

export interface AgreementKey {
  readonly publicKey: Uint8Array
  /** The secret within, or another one where the ciphertext was made for another key; undefined: no ciphertext at all. */
  readonly open: (ciphertext: Uint8Array) => Uint8Array | undefined
}

export interface KeyPairsService {
  /** The same seed, the same pair. */
  readonly signing: (seed: Uint8Array) => SigningKey
  readonly agreement: (seed: Uint8Array) => AgreementKey
  /** False too where key or signature are none. */
  readonly verify: (publicKey: Uint8Array, context: string, bytes: Uint8Array, signature: Uint8Array) => boolean
  /** A fresh secret for the owner of the key; undefined: that is no key. */
  readonly encapsulate: (publicKey: Uint8Array) => { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | undefined
}

export class KeyPairs extends Context.Service<KeyPairs, KeyPairsService>()("ouroborosdb/ports/KeyPairs") {}
