/**
 * MemberLink: a node's way to the other members: TLS by its certificate, the carrier over it, who is there. Between start-up (MemberNode, ClusterFolder) and the adapters. What it knows
 * of the members is told to it, and may change while it runs.
 */
import { Clock, Effect } from "effect"
import { service as pairs } from "../adapters/NodeKeyPairs.ts"
import { make, type TlsIdentity, type TlsNetwork } from "../adapters/NodeTls.ts"
import { type CarrierInterface, runCarrier } from "../carrier/CarrierService.ts"
import { type AvailabilityInterface, watchAvailability } from "../membership/AvailabilityService.ts"
import { certificatePem, dnsNameOf, signingKeyPem } from "../membership/Certificate.ts"
import { sayPresence } from "../cluster/Presence.ts"
import { presentMsMax } from "../base/clusterLimits.ts"
import { signingSeedBytes } from "../ports/KeyPairs.ts"
import { addressIn, addressOf, identitiesIn, judgeCertificate, type MembershipRecord } from "../membership/Membership.ts"
import type { NodeId } from "../membership/Identity.ts"
import { Entropy } from "../ports/Entropy.ts"
import { MemberRefused, type OwnIdentity } from "./MemberFolder.ts"
import type { HostPort } from "./Settings.ts"

export interface LinkOptions {
  readonly own: OwnIdentity
  readonly listen: HostPort
  readonly record: MembershipRecord
  /** Where an operator has said that members are, other than the table has it. */
  readonly placeOf: (node: NodeId) => string | undefined
  /** What a node that is no member is answered; undefined: the door closes. */
  readonly stranger: (asked: Uint8Array, remote: string) => Effect.Effect<Uint8Array | undefined>
}

export interface MemberLink {
  readonly carrier: CarrierInterface
  readonly availability: AvailabilityInterface
  /** Where others find it: the port that was taken. */
  readonly listens: HostPort
  readonly record: () => MembershipRecord
  /** It has a session, and was heard within presentMsMax. */
  readonly isUp: (node: string) => boolean
  /** Connections of those who are no members any more are closed, and none is taken. */
  readonly follow: (record: MembershipRecord) => Effect.Effect<void>
}

const shownBy = ({ identity, seeds }: OwnIdentity, { authority, members }: MembershipRecord): Effect.Effect<TlsIdentity, MemberRefused> => {
  const row = members.get(identity.id)
  return row === undefined
    ? Effect.fail(new MemberRefused({ detail: "this node is no member of its cluster any more: let it join anew, with an empty folder" }))
    : Effect.succeed({ certificate: certificatePem(row.certificate), key: signingKeyPem(seeds.subarray(0, signingSeedBytes)), authority: certificatePem(authority) })
}

const othersIn = ({ members }: MembershipRecord, self: NodeId): ReadonlyArray<NodeId> => [...members.keys()].filter((id) => id !== self)

/** Until the scope closes. */
export const openLink = Effect.fnUntraced(function*({ listen, own, placeOf, record: first, stranger }: LinkOptions) {
  const { id: self } = own.identity
  const clock = yield* Clock.Clock
  let record = first
  let shown = yield* shownBy(own, first)
  const network: TlsNetwork = yield* make({
    self, host: listen.host, port: listen.port, identity: shown,
    judge: (certificate) => judgeCertificate(pairs, record, certificate, clock.currentTimeMillisUnsafe()),
    addressOf: (node) => addressOf(placeOf(node as NodeId) ?? "") ?? addressIn(record, node as NodeId), nameOf: (node) => dnsNameOf(node as NodeId),
    strangers: { authority: first.authority, answer: stranger }
  })
  const availability = yield* watchAvailability()
  yield* availability.watch(othersIn(first, self))
  const carrier = yield* runCarrier({ cluster: first.cluster, self: own.identity, members: identitiesIn(first), network, pairs, entropy: yield* Entropy, heard: availability.heard })
  yield* sayPresence(carrier, () => othersIn(record, self))
  const renewed = Effect.fnUntraced(function*(next: MembershipRecord) {
    if (!next.members.has(self)) return
    const now = yield* shownBy(own, next)
    if (now.certificate === shown.certificate) return
    yield* network.renew(now)
    shown = now
    yield* Effect.logInfo("this node's certificate was renewed")
  })
  const link: MemberLink = {
    carrier, availability, listens: { host: network.host, port: network.port }, record: () => record,
    isUp: (node) => {
      const peer = carrier.status().peers.find(({ id }) => id === node)
      return peer !== undefined && peer.hasSession && peer.failure === undefined && Number(clock.monotonicTimeNanosUnsafe()) / 1e6 - peer.heardMs <= presentMsMax
    },
    follow: (next) => Effect.gen(function*() {
      record = next
      yield* carrier.setMembers(identitiesIn(next))
      yield* network.judgeAgain
      yield* availability.watch(othersIn(next, self))
      yield* Effect.catch(renewed(next), (error) => Effect.logError(`the renewed certificate is not shown: ${error.message}`))
    })
  }
  return link
})
