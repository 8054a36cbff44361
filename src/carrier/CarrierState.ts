/**
 * CarrierState: what one node's carrier knows of its peers, what happens to it, and what it wants done. Between the machine's parts
 * (Handshake, Streams, Outlet, PeerClock), which change it, and the runner, which brings events and carries out commands.
 */
import type { RestartId } from "../base/ids.ts"
import type { ClusterId, Identity, NodeId, PublicIdentity } from "../membership/Identity.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import type { Priority } from "./CarrierFormat.ts"
import type { ClockOfPeer } from "./PeerClock.ts"
import type { Session } from "./Session.ts"

/** When something happens: by the monotonic clock, by which all waiting goes, and by the wall's, which frames tell. */
export interface Instant {
  readonly nowMs: number
  /** Whole milliseconds since 1970. */
  readonly wallMs: number
}

/** Of those who belong to the cluster, others than this node too. */
export interface Members {
  readonly epoch: number
  /** Frames of earlier epochs are refused. */
  readonly epochLeast: number
  readonly identities: ReadonlyMap<NodeId, PublicIdentity>
}

export type Refusal =
  | "Malformed" | "Version" | "NotMember" | "Misaddressed" | "WrongCluster" | "Unsigned" | "Replayed" | "Stale" | "OldEpoch" | "UnknownSession" | "TooSoon" | "Broken" | "TooMuch"

export type AskFailure = "Deadline" | "Unreachable" | "SessionLost" | "Busy" | "TooLarge" | "NotMember"

export type CarrierEvent =
  | { readonly _tag: "Ticked"; readonly at: Instant }
  | { readonly _tag: "MembersChanged"; readonly at: Instant; readonly members: Members }
  /** `from`: whoever the network says has sent it: of TLS, the node whose certificate it was. */
  | { readonly _tag: "Received"; readonly at: Instant; readonly from: NodeId; readonly bytes: Uint8Array }
  /** The network has taken so many bytes for this peer. */
  | { readonly _tag: "Sent"; readonly at: Instant; readonly to: NodeId; readonly bytes: number }
  /** At most one frame; may be lost, never comes twice. */
  | { readonly _tag: "Note"; readonly at: Instant; readonly to: NodeId; readonly topic: number; readonly priority: Priority; readonly bytes: Uint8Array }
  /** `ask`: the runner's number for it, used once. `isTold`: no answer is wanted; Answered says that all of it has come. */
  | {
    readonly _tag: "Ask"
    readonly at: Instant
    readonly ask: number
    readonly to: NodeId
    readonly topic: number
    readonly priority: Priority
    readonly bytes: Uint8Array
    readonly isTold: boolean
    readonly deadlineMs: number
  }
  | { readonly _tag: "CancelAsk"; readonly at: Instant; readonly ask: number }
  /** One or more to each request that Deliver has brought; the last one ends it. */
  | { readonly _tag: "Answer"; readonly at: Instant; readonly to: NodeId; readonly request: number; readonly bytes: Uint8Array; readonly isLast: boolean }
  /** Whoever got so many bytes by Deliver, or by one Answered of `ask`, has done with them. */
  | { readonly _tag: "Taken"; readonly at: Instant; readonly from: NodeId; readonly bytes: number; readonly ask?: number }

export type CarrierCommand =
  /** Sent answers it, with the bytes' length. */
  | { readonly _tag: "Transmit"; readonly to: NodeId; readonly bytes: Uint8Array }
  /** `request`: what Answer names; undefined: none is wanted. The bytes are the runner's, until Taken. */
  | { readonly _tag: "Deliver"; readonly from: NodeId; readonly topic: number; readonly priority: Priority; readonly bytes: Uint8Array; readonly request: number | undefined; readonly deadlineMs: number }
  | { readonly _tag: "Answered"; readonly ask: number; readonly from: NodeId; readonly bytes: Uint8Array; readonly isLast: boolean }
  | { readonly _tag: "Failed"; readonly ask: number; readonly to: NodeId; readonly reason: AskFailure }
  /** Nobody waits for the answer to that request any more. */
  | { readonly _tag: "Cancelled"; readonly from: NodeId; readonly request: number }
  | { readonly _tag: "Connected"; readonly to: NodeId; readonly restart: RestartId }
  | { readonly _tag: "Disconnected"; readonly to: NodeId; readonly why: "Silent" | "Idle" | "Replaced" | "Removed" }
  /** What came was not taken: to be counted and logged. */
  | { readonly _tag: "Refused"; readonly from: NodeId; readonly reason: Refusal; readonly detail: string }
  /** The clocks of both are farther apart than carrierDriftMsMax, or no longer. */
  | { readonly _tag: "ClockOff" | "ClockRight"; readonly of: NodeId; readonly offsetMs: number }

export type Out = Array<CarrierCommand>

export interface PartOfDirection {
  readonly bytes: Uint8Array
  readonly isLast: boolean
  /** In units: each message counts one more than its bytes, so that empty ones can be acknowledged. */
  readonly begin: number
}

/** What this side sends on a stream. 0 <= acked <= sent <= end, sent <= limit */
export interface Outgoing {
  readonly stream: number
  readonly topic: number
  readonly priority: Priority
  readonly isTold: boolean
  /** By nowMs. Of requests. */
  readonly dueMs: number
  readonly parts: Array<PartOfDirection>
  acked: number
  sent: number
  end: number
  limit: number
  /** The last message of the direction is among the parts. */
  isClosed: boolean
  resendDueMs: number
  resendMs: number
  /** The peer's turns: whoever has waited longest goes first. */
  turn: number
}

/** What comes on a stream. */
export interface Incoming {
  readonly stream: number
  readonly priority: Priority
  /** All before it has come. */
  expected: number
  credited: number
  /** Units of answers that were delivered and are not taken: by so much its window is narrower. */
  heldUnits: number
  /** When whoever sends is told again how wide its window is; undefined: nothing has narrowed it since the last piece came. */
  widenDueMs: number | undefined
  message: { readonly bytes: Uint8Array; filled: number; readonly header: { readonly isLast: boolean; readonly isTold: boolean; readonly topic: number; readonly priority: Priority; readonly deadlineMs: number } } | undefined
  isOver: boolean
}

/** A stream that this node has opened. */
export interface OwnAsk {
  readonly ask: number
  readonly stream: number
  readonly isTold: boolean
  readonly dueMs: number
}

/** A stream that the peer has opened, all of whose request has come. */
export interface Request {
  /** The runner's name for it, used once: streams of a peer that was started anew begin where its earlier ones did. */
  readonly request: number
  /** Until when its asker waits. */
  readonly dueMs: number
}

export interface Opening {
  readonly hello: Uint8Array
  readonly helloHash: Uint8Array
  /** Agreed on with the peer's key. */
  readonly secret: Uint8Array
  nextMs: number
}

/** A session that the peer has begun, until its first frame shows that it has heard of it. */
export interface Welcomed {
  readonly helloHash: string
  readonly welcome: Uint8Array
  readonly session: Session
}

export interface Peer {
  readonly id: NodeId
  readonly shown: PublicIdentity
  session: Session | undefined
  opening: Opening | undefined
  welcomed: Welcomed | undefined
  /** When a Hello of it was last looked at, and when it was last told that a session is over. */
  helloMs: number
  resetMs: number
  heardMs: number
  /** When something was last asked, told or noted, by either. */
  usedMs: number
  pingDueMs: number
  readonly clock: ClockOfPeer
  /** Handed to the network, and not taken yet. */
  unsentBytes: number
  /** Messages of outgoing streams, and of notes. */
  queuedBytes: number
  /** Sent and not acknowledged, over all streams. */
  inFlightBytes: number
  /** Of messages that come in pieces, or were delivered and are not taken. */
  heldBytes: number
  readonly notes: [Array<QueuedNote>, Array<QueuedNote>, Array<QueuedNote>, Array<QueuedNote>]
  readonly outgoing: Map<number, Outgoing>
  readonly incoming: Map<number, Incoming>
  readonly asks: Map<number, OwnAsk>
  /** Requests under way here, by stream. */
  readonly requests: Map<number, Request>
  /** Streams of the peer's that are over, with where they ended. */
  readonly closed: Map<number, number>
  peerOldest: number
  streamNext: number
  readonly creditsDue: Set<number>
  readonly cancelsDue: Set<number>
  /** Wall times of pings to answer: as sent, as received. */
  pongDue: readonly [sentMs: number, receivedMs: number] | undefined
  isPingDue: boolean
  turn: number
}

export interface QueuedNote {
  readonly topic: number
  readonly bytes: Uint8Array
}

export interface CarrierState {
  readonly cluster: ClusterId
  readonly self: Identity
  readonly restart: RestartId
  readonly pairs: KeyPairsService
  /** Of 32 random bytes, drawn at the start: nonces are counted under it. */
  readonly nonce: (count: Uint8Array) => Uint8Array
  nonceNext: number
  members: Members
  readonly peers: Map<NodeId, Peer>
  /** By the runner's number. */
  readonly asks: Map<number, NodeId>
  requestNext: number
  /** wallMs - nowMs: a change is a jump of our own clock. */
  wallAheadMs: number | undefined
}
