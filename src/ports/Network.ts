/**
 * Network: datagrams of bytes between nodes; may drop, delay, reorder, duplicate and flip bits. Sessions, framing and
 * signatures are the carrier's. An address is a node's id: where that is to be found, and whether it is that node, is the network's business.
 * Twin: sim/Network. Adapter: adapters/NodeTls, which does none of that while a connection lasts, and knows by its certificate who has sent.
 */
import { Context, Data, type Effect, type Queue, type Scope } from "effect"

export class NetworkError extends Data.TaggedError("NetworkError")<{
  readonly operation: "listen" | "send"
  readonly address: string
  readonly detail: string
}> {}

export interface Datagram {
  readonly from: string
  readonly bytes: Uint8Array
}

export interface NetworkService {
  /** What arrives for this address until the scope closes; a full queue drops. */
  readonly listen: (address: string) => Effect.Effect<Queue.Dequeue<Datagram>, NetworkError, Scope.Scope>
  /** Best effort: success says only that it was handed over; it waits while the network has enough. */
  readonly send: (to: string, bytes: Uint8Array) => Effect.Effect<void, NetworkError>
}

export class Network extends Context.Service<Network, NetworkService>()("ouroborosdb/ports/Network") {}
