/** CarrierStatus: what operators see of a carrier: sessions, clocks, bytes. Between the runner's state and `cluster status`. */
import type { NodeId } from "../membership/Identity.ts"
import type { CarrierState, Refusal } from "./CarrierState.ts"
import { sampleOf } from "./PeerClock.ts"

export interface PeerStatus {
  readonly id: NodeId
  readonly hasSession: boolean
  /** By the monotonic clock of this node; of the session's beginning or later. */
  readonly heardMs: number
  /** How far its clock is ahead of this node's, and how long the way there and back took; undefined: not measured. */
  readonly clock: { readonly offsetMs: number; readonly roundMs: number } | undefined
  /** Since this node started. */
  readonly sentBytes: number
  /** Waiting to be sent; sent and not acknowledged; come and not taken. */
  readonly queuedBytes: number
  readonly inFlightBytes: number
  readonly heldBytes: number
  readonly asks: number
  readonly requests: number
  /** Why the last frame could not be sent; undefined: it could. */
  readonly failure: string | undefined
}

export interface CarrierStatus {
  readonly epoch: number
  readonly peers: ReadonlyArray<PeerStatus>
  /** Frames that were not taken, by reason. */
  readonly refused: ReadonlyMap<Refusal, number>
  /** Messages that nobody serves, or that were too many. */
  readonly dropped: number
}

interface Counted {
  readonly wires: ReadonlyMap<NodeId, { readonly sentBytes: number; readonly failure: string | undefined }>
  readonly refused: ReadonlyMap<Refusal, number>
  readonly dropped: number
}

export const statusOf = (state: CarrierState, { dropped, refused, wires }: Counted): CarrierStatus => ({
  epoch: state.members.epoch, refused: new Map(refused), dropped,
  peers: [...state.peers.values()].map(({ asks, clock, heardMs, heldBytes, id, inFlightBytes, queuedBytes, requests, session }) => ({
    id, hasSession: session !== undefined, heardMs, clock: sampleOf(clock), sentBytes: wires.get(id)?.sentBytes ?? 0, queuedBytes, inFlightBytes, heldBytes,
    asks: asks.size, requests: requests.size, failure: wires.get(id)?.failure
  }))
})
