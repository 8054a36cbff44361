/** Changes of the record of members as operators and nodes would make them, from numbers. */
import { sealAuthorityFor } from "../../src/membership/Authority.ts"
import type { Identity } from "../../src/membership/Identity.ts"
import type { JoinToken } from "../../src/membership/JoinToken.ts"
import { certificatesOf, foundCluster, type MembershipChange, type MembershipRecord } from "../../src/membership/Membership.ts"
import { revoke, signRevocations } from "../../src/membership/Revocations.ts"
import { good, joinAskOf, noise, nowMs, type Scene } from "./fixtures.ts"

export const foundingOf = ({ cluster, pairs, seed }: Scene, identity: Identity): MembershipRecord =>
  foundCluster({ pairs, cluster, identity, authoritySeed: seed, serials: [noise(9)(16), noise(10)(16)], name: "cellar", addresses: ["[fd00::1]:9444"], nowMs })

/** Invited, asked, admitted. */
export const admissionOf = (scene: Scene, identity: Identity, token: JoinToken): ReadonlyArray<MembershipChange> => [
  { _tag: "Invited", token, isApproved: true, atMs: nowMs }, { _tag: "JoinAsked", node: identity.id, ask: joinAskOf(scene, identity, token), atMs: nowMs },
  { _tag: "Admitted", node: identity.id, token: token.id, certificate: scene.certify(identity), sealedAuthority: good(sealAuthorityFor(scene.pairs, scene.cluster, scene.seed, identity.shown)) }
]

/** By the record as it is: another removal before it, and it is refused. */
export const removalOf = ({ authority }: Scene, record: MembershipRecord, { id }: Identity): MembershipChange => {
  const revocations = certificatesOf(record.members.get(id)!, nowMs).reduce((list, certificate) => good(revoke(list, certificate, nowMs)), record.revocations)
  return { _tag: "Gone", node: id, revocations, signedRevocations: signRevocations(authority, revocations) }
}
