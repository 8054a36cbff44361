/** PeersCarrier: what replicas ask each other (replica's Peers), over the carrier: one ask, one answer. Between a node's replica and the carrier. */
import { Effect, type Scope } from "effect"
import { peerAskMs } from "../base/raftLimits.ts"
import { AnswerRefused } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import { PeerError, type Peers } from "../replica/Peers.ts"
import { topics } from "./Topics.ts"

export interface PeersOptions {
  readonly carrier: CarrierInterface
  /** Whose replica that is; undefined: nobody's that is a member. */
  readonly nodeOf: (replica: ReplicaId) => NodeId | undefined
}

/** Answers in bounded time: what is not answered by then may be done or not. */
export const peersOver = ({ carrier, nodeOf }: PeersOptions): Peers => ({
  ask: (peer, ask) => {
    const to = nodeOf(peer)
    if (to === undefined) return Effect.fail(new PeerError({ peer, detail: "no member has it: its node may have been removed" }))
    return Effect.mapError(carrier.ask(to, topics.replica, ask, { level: 2, deadlineMs: peerAskMs }), (error) => new PeerError({ peer, detail: error.message }))
  }
})

/** Serves asks of other replicas until the scope closes. */
export const servePeers = (carrier: CarrierInterface, answer: (ask: Uint8Array) => Effect.Effect<Uint8Array>): Effect.Effect<void, never, Scope.Scope> =>
  carrier.serve(topics.replica, ({ bytes, deadlineMs }) => (deadlineMs === 0 ? Effect.fail(new AnswerRefused({ detail: "who asks wants an answer" })) : answer(bytes)))
