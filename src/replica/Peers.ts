/** Peers: the other replicas, as one that asks them sees them. Between replicas and the carrier, which brings an ask there and its answer back. */
import { Data, type Effect } from "effect"
import type { ReplicaId } from "../raft/Entry.ts"

/** No answer: whether the ask came there, and was done, nobody knows. */
export class PeerError extends Data.TaggedError("PeerError")<{
  readonly peer: ReplicaId
  readonly detail: string
}> {
  override get message(): string {
    return `replica ${this.peer}: ${this.detail}`
  }
}

export interface Peers {
  /** Bytes of an Ask, answered by those of a Reply: what `answer` of the replica there gave. Maybe done twice, and late. */
  readonly ask: (peer: ReplicaId, ask: Uint8Array) => Effect.Effect<Uint8Array, PeerError>
}
