/**
 * Authority: a cluster's own certificate authority, made at `cluster init`: an ML-DSA-65 key that signs the certificates of its nodes and the
 * list of those that it takes back. Between operators' approvals and TLS. Every member holds its key, sealed for that
 * member's agreement key alone (`sealAuthorityFor`): whoever leads may approve, and no disk has it in the clear.
 */
import { createCipheriv, createDecipheriv } from "node:crypto"
import { assert } from "../base/assert.ts"
import { concatBytes, copyOf, emptyBytes, equalBytes, fromHex, toHex } from "../base/bytes.ts"
import { authorityMs, certificateEarlierMs, certificateMs, certificateRenewMs } from "../base/clusterLimits.ts"
import { deriveKey, hashBytes } from "../base/hash.ts"
import type { KeyPairsService, SigningKey } from "../ports/KeyPairs.ts"
import { type Certificate, certificateBody, type CertificateFields, certificateOf, keyIdOf, readCertificate, serialOf } from "./Certificate.ts"
import type { ClusterId, Identity, NodeId, PublicIdentity } from "./Identity.ts"
import { nodeIdOf } from "./Identity.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"
import type { RevocationList } from "./Revocations.ts"

export interface Authority {
  readonly cluster: ClusterId
  readonly signer: SigningKey
  /** Its own, signed by itself: what every member and client of the cluster trusts. */
  readonly certificate: Uint8Array
}

export const authoritySeedBytes = 32
const refuse = refusalOf("certificate")
/** X.509's own context. */
const plain = ""
const second = 1000
const wholeSeconds = (ms: number): number => Math.floor(ms / second) * second

export interface Issuing {
  /** 16 fresh random bytes. */
  readonly serial: Uint8Array
  readonly nowMs: number
  readonly lifeMs?: number
}

const signed = (signer: SigningKey, fields: CertificateFields): Uint8Array => {
  const body = certificateBody(fields)
  return certificateOf(body, signer.sign(plain, body))
}

const lifeOf = ({ lifeMs, nowMs }: Issuing, lifeDefaultMs: number) => ({
  notBeforeMs: wholeSeconds(nowMs - certificateEarlierMs), notAfterMs: wholeSeconds(nowMs + (lifeMs ?? lifeDefaultMs))
})

/** A new cluster's; `seed`: 32 fresh random bytes. */
export const createAuthority = (pairs: KeyPairsService, cluster: ClusterId, seed: Uint8Array, issuing: Issuing): Authority => {
  const signer = pairs.signing(seed)
  const certificate = signed(signer, {
    cluster, serial: serialOf(issuing.serial), node: undefined, signing: signer.publicKey, agreement: emptyBytes, issuerKeyId: keyIdOf(signer.publicKey), ...lifeOf(issuing, authorityMs)
  })
  return { cluster, signer, certificate }
}

/** What a join token names: whoever shows a certificate of this hash is the cluster that invited. 64 hex digits. */
export const authorityHashOf = (certificate: Uint8Array): string => toHex(deriveKey("ouroborosdb 2026 authority hash 1", certificate))

/** A node's certificate. Renewal is another one: new serial, new times. It never outlives the authority's. */
export const issueCertificate = (authority: Authority, shown: PublicIdentity, issuing: Issuing): Uint8Array => {
  const own = readCertificate(authority.certificate)
  assert(!(own instanceof MembershipError), "an authority's own certificate can be read")
  const life = lifeOf(issuing, certificateMs)
  return signed(authority.signer, {
    cluster: authority.cluster, serial: serialOf(issuing.serial), node: nodeIdOf(shown), signing: shown.signing, agreement: shown.agreement,
    issuerKeyId: keyIdOf(authority.signer.publicKey), notBeforeMs: life.notBeforeMs, notAfterMs: Math.min(life.notAfterMs, own.notAfterMs)
  })
}

/** The authority's certificate, if it signed itself and its time has come and is not over. */
export const checkAuthority = (pairs: KeyPairsService, bytes: Uint8Array, nowMs: number): Certificate | MembershipError => {
  const certificate = readCertificate(bytes)
  if (certificate instanceof MembershipError) return certificate
  if (certificate.node !== undefined) return refuse("Foreign", `the certificate of node ${certificate.node} is no authority's`)
  return isSigned(pairs, certificate, certificate.signing) ? inTime(certificate, nowMs) : refuse("Unsigned", "the authority's certificate is not signed by itself")
}

/** A node's certificate, if this cluster's authority signed it, its time has come and is not over, and it was not taken back. */
export const checkCertificate = (
  pairs: KeyPairsService, authority: Certificate, bytes: Uint8Array, nowMs: number, revoked: RevocationList | undefined
): Certificate | MembershipError => {
  const certificate = readCertificate(bytes)
  if (certificate instanceof MembershipError) return certificate
  if (certificate.node === undefined) return refuse("Foreign", "an authority's certificate is no node's")
  if (certificate.cluster !== authority.cluster) return refuse("Foreign", `of cluster ${certificate.cluster}, not ${authority.cluster}`)
  if (!isSigned(pairs, certificate, authority.signing)) return refuse("Unsigned", `the certificate of node ${certificate.node} is not signed by this cluster's authority`)
  if (revoked?.entries.some(({ serial }) => serial === certificate.serial)) return refuse("Revoked", `the certificate ${certificate.serial} of node ${certificate.node} was taken back`)
  return inTime(certificate, nowMs)
}

const isSigned = (pairs: KeyPairsService, { body, signature }: Certificate, key: Uint8Array): boolean => pairs.verify(key, plain, body, signature)

const inTime = (certificate: Certificate, nowMs: number): Certificate | MembershipError => {
  const { notAfterMs, notBeforeMs, serial } = certificate
  if (nowMs > notAfterMs) return refuse("Expired", `the certificate ${serial} was good until ${notAfterMs / second} s, and it is ${nowMs / second} s: renew it, or set the clock`)
  return nowMs < notBeforeMs ? refuse("NotYet", `the certificate ${serial} is good from ${notBeforeMs / second} s on, and it is ${nowMs / second} s: set the clock`) : certificate
}

/** A node asks for another certificate while this one is still good for a while. */
export const isRenewalDue = ({ notAfterMs }: Pick<Certificate, "notAfterMs">, nowMs: number): boolean => nowMs >= notAfterMs - certificateRenewMs

/** The authority's seed for one member: ciphertext of the agreement, sealed seed, tag. */
export const sealedSeedBytes = 1120 + authoritySeedBytes + 16

const sealingKey = (secret: Uint8Array, cluster: ClusterId, member: NodeId): Uint8Array =>
  deriveKey("ouroborosdb 2026 authority for member 1", concatBytes([secret, fromHex(cluster), fromHex(member)]))

/** Each key seals one seed: the secret is fresh, so the nonce may be zero. */
const nonce = new Uint8Array(12)

/** The authority's seed, for the owner of that identity alone; it may lie on any disk. */
export const sealAuthorityFor = (pairs: KeyPairsService, cluster: ClusterId, seed: Uint8Array, member: PublicIdentity): Uint8Array | MembershipError => {
  assert(seed.length === authoritySeedBytes, `an authority's seed has ${authoritySeedBytes} bytes`)
  const agreed = pairs.encapsulate(member.agreement)
  if (agreed === undefined) return refusalOf("identity")("Malformed", "the agreement key is none")
  const cipher = createCipheriv("aes-256-gcm", sealingKey(agreed.secret, cluster, nodeIdOf(member)), nonce)
  const body = concatBytes([cipher.update(seed), cipher.final()])
  return copyOf(concatBytes([agreed.ciphertext, body, cipher.getAuthTag()]))
}

const refuseSeed = refusalOf("authority")

/** The authority's seed that was sealed for this member: to be sealed for another, and for nothing else. */
export const openAuthoritySeed = (cluster: ClusterId, sealed: Uint8Array, member: Identity): Uint8Array | MembershipError => {
  const secret = sealed.length === sealedSeedBytes ? member.opener.open(sealed.subarray(0, 1120)) : undefined
  if (secret === undefined) return refuseSeed("Malformed", "these bytes are no authority's key")
  const decipher = createDecipheriv("aes-256-gcm", sealingKey(secret, cluster, member.id), nonce)
  decipher.setAuthTag(sealed.subarray(-16))
  const seed = decipher.update(sealed.subarray(1120, -16))
  try {
    decipher.final()
  } catch (error) {
    // The one failure of GCM.
    assert(error instanceof Error, "node:crypto throws errors")
    return refuseSeed("Foreign", "the authority's key was sealed for another node or cluster, or is damaged")
  }
  return copyOf(seed)
}

/** The authority, of the seed that was sealed for this member and the certificate that everybody has. */
export const openAuthority = (
  pairs: KeyPairsService, certificate: Uint8Array, cluster: ClusterId, sealed: Uint8Array, member: Identity
): Authority | MembershipError => {
  const seed = openAuthoritySeed(cluster, sealed, member)
  if (seed instanceof MembershipError) return seed
  const signer = pairs.signing(seed)
  const own = readCertificate(certificate)
  if (own instanceof MembershipError) return own
  return own.node === undefined && own.cluster === cluster && equalBytes(hashBytes(own.signing), hashBytes(signer.publicKey))
    ? { cluster, signer, certificate } : refuseSeed("Foreign", "the authority's key and its certificate do not belong together")
}
