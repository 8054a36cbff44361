/** What must hold of a carrier between any two steps. Between Carrier.ts and whoever watches it: tests, the simulator. */
import { assert } from "../base/assert.ts"
import { carrierNotesMax, carrierPeerHeldBytesMax, carrierPeerWindowBytes, carrierStreamsMax, carrierStreamWindowBytes, carrierUnsentBytesMax } from "../base/clusterLimits.ts"
import { frameBytesMax } from "./CarrierFormat.ts"
import type { CarrierState, Peer } from "./CarrierState.ts"
import { isOwnStream } from "./Streams.ts"

/** Throws AssertionError. */
export const invariants = (state: CarrierState): void => {
  let asks = 0
  for (const peer of state.peers.values()) {
    invariantsOf(state, peer)
    asks += peer.asks.size
    for (const { ask } of peer.asks.values()) assert(state.asks.get(ask) === peer.id, "a peer's ask is known by its number")
  }
  assert(asks === state.asks.size, "every ask is one of a peer's")
}

const invariantsOf = (state: CarrierState, peer: Peer): void => {
  assert(!state.peers.has(state.self.id), "nobody is his own peer")
  let [queued, inFlight] = [0, 0]
  for (const stream of peer.outgoing.values()) {
    assert(0 <= stream.acked && stream.acked <= stream.sent && stream.sent <= stream.end && stream.sent <= stream.limit, "acked <= sent <= end, limit")
    assert(stream.limit <= stream.acked + carrierStreamWindowBytes, "a window is no larger than it may be")
    assert(peer.asks.has(stream.stream) || peer.requests.has(stream.stream), "a stream is somebody's ask, or answers one")
    inFlight += stream.sent - stream.acked
    for (const { bytes } of stream.parts) queued += bytes.length
  }
  for (const notes of peer.notes) {
    assert(notes.length <= carrierNotesMax, "so many notes wait at most")
    for (const { bytes } of notes) queued += bytes.length
  }
  assert(queued === peer.queuedBytes && inFlight === peer.inFlightBytes, "what waits and what is under way is counted right")
  // What is urgent is not held back by what others have under way, and may come on top.
  assert(inFlight <= carrierPeerWindowBytes + carrierStreamsMax * carrierStreamWindowBytes, "what is under way is bounded")
  assert(peer.unsentBytes <= carrierUnsentBytesMax + 4 * frameBytesMax, "the network is given a little at a time")
  assert(peer.heldBytes >= 0 && peer.heldBytes <= carrierPeerHeldBytesMax, "what has come and is not taken is bounded")
  assert(peer.asks.size <= carrierStreamsMax, "so many asks are under way at most")
  assert(peer.session === undefined || peer.session.id !== peer.welcomed?.session.id, "a session is entered once")
  for (const incoming of peer.incoming.values()) {
    assert(incoming.message === undefined || incoming.message.filled <= incoming.message.bytes.length, "a message has no more than it said")
    assert(incoming.heldUnits >= 0 && (incoming.heldUnits === 0 || isOwnStream(state, peer, incoming.stream)), "only answers wait for their asker on a stream")
    assert(incoming.credited <= incoming.expected, "what has not come is not acknowledged")
  }
}
