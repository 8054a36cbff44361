/** A cluster, its nodes and what they say, from numbers. With the twin's key pairs all of it is the same every time. */
import { seededRandom } from "../../sim/Random.ts"
import { makeKeyPairs } from "../../sim/KeyPairs.ts"
import { toHex } from "../../src/base/bytes.ts"
import { authorityHashOf, createAuthority, issueCertificate, type Authority } from "../../src/membership/Authority.ts"
import { encodePublicIdentity, identityOf, identitySeedsBytes, type ClusterId, type Identity } from "../../src/membership/Identity.ts"
import { type JoinToken } from "../../src/membership/JoinToken.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import type { JoinAsk } from "../../src/membership/Message.ts"
import type { KeyPairsService } from "../../src/ports/KeyPairs.ts"

/** 2026-11-22, 00:00 UTC. */
export const nowMs = 1_795_305_600_000
export const dayMs = 24 * 3_600_000
export const noise = (seed: number) => seededRandom(seed).bytes
export const seedsOf = (seed: number): Uint8Array => noise(seed)(identitySeedsBytes)

export interface Scene {
  readonly pairs: KeyPairsService
  readonly cluster: ClusterId
  readonly seed: Uint8Array
  readonly authority: Authority
  readonly node: (seed: number) => Identity
  readonly certify: (identity: Identity, lifeMs?: number, atMs?: number) => Uint8Array
  readonly token: (seed: number, expiresMs?: number) => JoinToken
}

export const sceneOf = (seed: number, pairs: KeyPairsService = makeKeyPairs()): Scene => {
  const random = noise(seed)
  const cluster = toHex(random(16)) as ClusterId
  const authoritySeed = random(32)
  const authority = createAuthority(pairs, cluster, authoritySeed, { serial: random(16), nowMs })
  return {
    pairs, cluster, seed: authoritySeed, authority,
    node: (number) => identityOf(pairs, seedsOf(number)),
    certify: (identity, lifeMs, atMs = nowMs) =>
      issueCertificate(authority, identity.shown, { serial: random(16), nowMs: atMs, ...(lifeMs === undefined ? {} : { lifeMs }) }),
    token: (number, expiresMs = nowMs + 3_600_000) => ({
      cluster, authority: authorityHashOf(authority.certificate), id: toHex(noise(number)(16)), secret: noise(number + 1000)(32), expiresMs
    })
  }
}

export const joinAskOf = ({ cluster }: Scene, identity: Identity, token: JoinToken): JoinAsk => ({
  _tag: "JoinAsk", version: 1, cluster, token: token.id, nonce: noise(5)(32), atMs: nowMs, identity: encodePublicIdentity(identity.shown),
  name: "attic", addresses: ["10.0.0.7:9444", "[fd00::7]:9444"], program: "0.1.0"
})

export const reasonOf = (value: unknown): string => (value instanceof MembershipError ? value.reason : `no error: ${JSON.stringify(value)?.slice(0, 80)}`)
/** What is no error. Throws where it is one. */
export const good = <A>(value: A | MembershipError): A => {
  if (value instanceof MembershipError) throw value
  return value
}
