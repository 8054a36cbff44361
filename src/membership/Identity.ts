/**
 * Identity: who a node is: a key pair that signs (ML-DSA-65) and one that agrees on secrets (X25519 with ML-KEM-768), for as
 * long as it lives. Its id is the hash of both public keys: whoever shows the keys shows the id. Between the seeds at rest
 * (IdentityFile) and everything that a node says.
 */
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, toHex } from "../base/bytes.ts"
import { deriveKey } from "../base/hash.ts"
import type { AgreementKey, KeyPairsService, SigningKey } from "../ports/KeyPairs.ts"

declare const brand: unique symbol

/** 32 bytes, 64 hex digits. */
export type NodeId = string & { readonly [brand]: "NodeId" }
/** 128 random bits, 32 hex digits; drawn at `cluster init`. */
export type ClusterId = string & { readonly [brand]: "ClusterId" }

export interface PublicIdentity {
  /** ML-DSA-65, 1,952 bytes. */
  readonly signing: Uint8Array
  /** ML-KEM-768, then X25519: 1,216 bytes. */
  readonly agreement: Uint8Array
}

export interface Identity {
  readonly id: NodeId
  readonly shown: PublicIdentity
  readonly signer: SigningKey
  readonly opener: AgreementKey
}

const suite = 1
const signingBytes = 1952
const agreementBytes = 1216
const seedBytes = 32
export const publicIdentityBytes = 2 + signingBytes + agreementBytes
/** Two seeds: the signing key's, the agreement key's. */
export const identitySeedsBytes = 2 * seedBytes

/** Format version 1, suite 1, both keys. */
export const encodePublicIdentity = ({ agreement, signing }: PublicIdentity): Uint8Array => {
  assert(signing.length === signingBytes && agreement.length === agreementBytes, "the keys of an identity have their lengths")
  return copyOf(concatBytes([Uint8Array.of(1, suite), signing, agreement]))
}

/** Undefined: not the bytes of an identity that this program knows. Says nothing of whether the keys are any good. */
export const decodePublicIdentity = (bytes: Uint8Array): PublicIdentity | undefined =>
  bytes.length === publicIdentityBytes && bytes[0] === 1 && bytes[1] === suite
    ? { signing: copyOf(bytes.subarray(2, 2 + signingBytes)), agreement: copyOf(bytes.subarray(2 + signingBytes)) }
    : undefined

export const nodeIdOf = (shown: PublicIdentity): NodeId => toHex(deriveKey("ouroborosdb 2026 node id 1", encodePublicIdentity(shown))) as NodeId

/** `seeds`: identitySeedsBytes fresh random bytes for a new node, or those of IdentityFile. */
export const identityOf = (pairs: KeyPairsService, seeds: Uint8Array): Identity => {
  assert(seeds.length === identitySeedsBytes, `the seeds of an identity have ${identitySeedsBytes} bytes, not ${seeds.length}`)
  const signer = pairs.signing(seeds.subarray(0, seedBytes))
  const opener = pairs.agreement(seeds.subarray(seedBytes))
  const shown = { signing: signer.publicKey, agreement: opener.publicKey }
  return { id: nodeIdOf(shown), shown, signer, opener }
}

/** How operators see a node: the first twelve digits. */
export const shortIdOf = (id: NodeId): string => id.slice(0, 12)

export const isNodeId = (text: string): text is NodeId => /^[0-9a-f]{64}$/.test(text)
export const isClusterId = (text: string): text is ClusterId => /^[0-9a-f]{32}$/.test(text)
