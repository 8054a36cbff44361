/**
 * Carrier: what one node says to the others of its cluster: notes that may be lost, and requests with answers, any number at once over one session a
 * peer. A pure machine, as raft's: events in, an ordered list of commands out. Between the rooms that have something to say and the network, which may drop,
 * delay, reorder, repeat and change everything.
 *
 * 1. What is delivered was said by the member that it names, for this node, in this cluster, and has not changed. Handshake, Session.
 * 2. Nothing is delivered twice, and of a message all or nothing. Session.isHeardFirst, Streams.dataHeard.
 * 3. Every ask ends: in its last answer, or in Failed, not later than its deadline. Streams.tickStreams.
 * 4. Lengths are checked from the header before anything is allocated; all that waits has a bound. CarrierFormat.readHeader, Streams.
 * 5. What is urgent waits for no more than carrierUnsentBytesMax of anything else. Outlet.pump.
 */
import { assert, unreachable } from "../base/assert.ts"
import {
  carrierFrameBytesMax, carrierIdleMsMax, carrierNotesMax, carrierPeersMax, carrierPingMs, carrierQueueBytesMax, carrierResetMs, carrierSilentMsMax, carrierPeerHeldBytesMax, carrierUnsentBytesMax
} from "../base/clusterLimits.ts"
import { keyedHash } from "../base/hash.ts"
import type { RestartId } from "../base/ids.ts"
import type { ClusterId, Identity, NodeId } from "../membership/Identity.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { encodeFrame, type Header, payloadOf, plainTagging, readHeader } from "./CarrierFormat.ts"
import type { AskFailure, CarrierCommand, CarrierEvent, CarrierState, Instant, Members, Out, Peer } from "./CarrierState.ts"
import { helloHeard, openSession, welcomeHeard } from "./Handshake.ts"
import { flush, refuse, transmit } from "./Outlet.ts"
import { forgetClock, freshClock, isClockOff, isStale, pongHeard, sampleOf } from "./PeerClock.ts"
import { isHeardFirst, type Session } from "./Session.ts"
import { answer, answerTaken, ask, cancelAsk, cancelHeard, creditHeard, dataHeard, loseStreams, oldestHeard, tickStreams, whyNotAsk } from "./Streams.ts"
import { getU64 } from "../base/bytes.ts"

/** `secret`: 32 fresh random bytes; `restart`: drawn at this start. */
export const makeCarrier = (options: {
  readonly cluster: ClusterId
  readonly self: Identity
  readonly restart: RestartId
  readonly pairs: KeyPairsService
  readonly secret: Uint8Array
  readonly members: Members
}): CarrierState => {
  const { cluster, members, pairs, restart, secret, self } = options
  const state: CarrierState = { cluster, self, restart, pairs, nonce: keyedHash(secret), nonceNext: 0, members, peers: new Map(), asks: new Map(), requestNext: 1, wallAheadMs: undefined }
  meet(state, [], members)
  return state
}

/** The state is changed in place. */
export const step = (state: CarrierState, event: CarrierEvent): ReadonlyArray<CarrierCommand> => {
  const out: Out = []
  lookAtClock(state, event.at)
  handle(state, out, event)
  flush(state, out, event.at)
  return out
}

/** How far each peer's clock is ahead of ours; undefined: not measured yet. */
export const offsetsOf = (state: CarrierState): ReadonlyMap<NodeId, number | undefined> =>
  new Map([...state.peers].map(([id, { clock }]) => [id, sampleOf(clock)?.offsetMs]))

const handle = (state: CarrierState, out: Out, event: CarrierEvent): void => {
  const { at } = event
  switch (event._tag) {
    case "Ticked":
      for (const peer of state.peers.values()) tick(state, out, peer, at)
      return
    case "MembersChanged":
      state.members = event.members
      return meet(state, out, event.members)
    case "Received":
      return receive(state, out, event.from, event.bytes, at)
    case "Sent":
      return sent(state, event.to, event.bytes)
    case "Note":
      return note(state, out, event)
    case "Ask":
      return asked(state, out, event)
    case "CancelAsk":
      return cancel(state, event.ask)
    case "Answer":
      return answered(state, event)
    case "Taken":
      return taken(state, event)
    default:
      return unreachable(event)
  }
}

/** More than clocks drift between two events, and than a runner is late. */
const jumpMsMin = 500

const lookAtClock = (state: CarrierState, { nowMs, wallMs }: Instant): void => {
  const aheadMs = wallMs - nowMs
  if (state.wallAheadMs !== undefined && Math.abs(aheadMs - state.wallAheadMs) > jumpMsMin) {
    for (const { clock } of state.peers.values()) forgetClock(clock)
  }
  state.wallAheadMs = aheadMs
}

const meet = (state: CarrierState, out: Out, { identities }: Members): void => {
  assert(identities.size <= carrierPeersMax + 1, `a cluster has ${carrierPeersMax} members at most`)
  for (const [id, shown] of identities) {
    if (id === state.self.id || state.peers.has(id)) continue
    state.peers.set(id, {
      id, shown, session: undefined, opening: undefined, welcomed: undefined, helloMs: Number.NEGATIVE_INFINITY, resetMs: Number.NEGATIVE_INFINITY,
      heardMs: 0, usedMs: 0, pingDueMs: 0, clock: freshClock(), unsentBytes: 0, queuedBytes: 0, inFlightBytes: 0, heldBytes: 0, notes: [[], [], [], []],
      outgoing: new Map(), incoming: new Map(), asks: new Map(), requests: new Map(), closed: new Map(), peerOldest: 0,
      streamNext: state.self.id < id ? 1 : 2, creditsDue: new Set(), cancelsDue: new Set(), pongDue: undefined, isPingDue: false, turn: 0
    })
  }
  for (const peer of state.peers.values()) {
    if (identities.has(peer.id)) continue
    loseStreams(state, out, peer, true)
    state.peers.delete(peer.id)
    if (peer.session !== undefined) out.push({ _tag: "Disconnected", to: peer.id, why: "Removed" })
  }
}

const tick = (state: CarrierState, out: Out, peer: Peer, at: Instant): void => {
  const { nowMs } = at
  tickStreams(state, out, peer, at)
  if (peer.session !== undefined) {
    if (nowMs - peer.heardMs >= carrierSilentMsMax) end(state, out, peer, "Silent")
    else if (nowMs - peer.usedMs >= carrierIdleMsMax && peer.requests.size === 0 && !isWanted(peer)) {
      reset(state, out, peer, peer.session.id, at)
      end(state, out, peer, "Idle")
    }
    else if (nowMs >= peer.pingDueMs) {
      peer.pingDueMs = nowMs + carrierPingMs
      peer.isPingDue = true
    }
  }
  if (peer.opening !== undefined || (peer.session === undefined && isWanted(peer))) openSession(state, out, peer, at)
  // Nobody wants the session any more that was to come.
  if (peer.session === undefined && !isWanted(peer)) peer.opening = undefined
}

const isWanted = (peer: Peer): boolean => peer.asks.size > 0 || peer.notes.some((notes) => notes.length > 0)

const end = (state: CarrierState, out: Out, peer: Peer, why: "Silent" | "Idle" | "Replaced"): void => {
  peer.session = undefined
  peer.isPingDue = false
  peer.pongDue = undefined
  forgetClock(peer.clock)
  loseStreams(state, out, peer, false)
  out.push({ _tag: "Disconnected", to: peer.id, why })
}

const enter = (state: CarrierState, out: Out, peer: Peer, session: Session, at: Instant): void => {
  if (peer.session !== undefined) end(state, out, peer, "Replaced")
  Object.assign(peer, { session, opening: undefined, welcomed: undefined, heardMs: at.nowMs, usedMs: at.nowMs, pingDueMs: at.nowMs + carrierPingMs, isPingDue: true })
  out.push({ _tag: "Connected", to: peer.id, restart: session.restartOfPeer })
}

const receive = (state: CarrierState, out: Out, from: NodeId, bytes: Uint8Array, at: Instant): void => {
  const header = readHeader(bytes)
  if (typeof header === "string") return refuse(out, from, "Malformed", header)
  // Below, TLS says whose certificate it was; here, who claims to have sent this.
  if (header.sender !== from) return refuse(out, from, "Misaddressed", `sends as node ${header.sender}`)
  const peer = state.peers.get(from)
  if (peer === undefined) return refuse(out, from, "NotMember", "is no member of the cluster as this node knows it")
  if (header.kind === "Hello" || header.kind === "Welcome" || header.kind === "Reset") return heardUnkeyed(state, out, peer, header, bytes, at)
  const session = [peer.session, peer.welcomed?.session].find((one) => one?.id === header.session)
  if (session === undefined) {
    reset(state, out, peer, header.session, at)
    return refuse(out, from, "UnknownSession", `session ${header.session} is over, or never was`)
  }
  const payload = payloadOf(bytes, header, session.tagOfPeer)
  if (payload === undefined) return refuse(out, from, "Unsigned", `a ${header.kind} that was changed on its way`)
  if (!isHeardFirst(session.heard, header.sequence)) return refuse(out, from, "Replayed", `frame ${header.sequence} came before`)
  if (session !== peer.session) enter(state, out, peer, session, at)
  peer.heardMs = at.nowMs
  if (header.epoch < Math.max(session.epoch, state.members.epochLeast)) return refuse(out, from, "OldEpoch", `epoch ${header.epoch}, after ${Math.max(session.epoch, state.members.epochLeast)}`)
  session.epoch = header.epoch
  if (header.kind === "Ping") peer.pongDue = [header.timeMs, at.wallMs]
  else if (header.kind === "Pong") return clockHeard(out, peer, header, payload, at)
  else if (isStale(peer.clock, header.timeMs, at.wallMs)) {
    // Its clock may have jumped: the next pong tells.
    peer.pingDueMs = Math.min(peer.pingDueMs, at.nowMs)
    return refuse(out, from, "Stale", `a ${header.kind} of ${header.timeMs}, by a clock that is ${Math.round(sampleOf(peer.clock)?.offsetMs ?? 0)} ms ahead`)
  }
  oldestHeard(state, out, peer, header.oldest)
  return heard(state, out, peer, header, payload, at)
}

const heardUnkeyed = (state: CarrierState, out: Out, peer: Peer, header: Header, bytes: Uint8Array, at: Instant): void => {
  const payload = payloadOf(bytes, header, plainTagging)
  if (payload === undefined) return refuse(out, peer.id, "Unsigned", `a ${header.kind} that was changed on its way`)
  if (header.kind === "Hello") return helloHeard(state, out, peer, header, bytes, payload, at)
  if (header.kind === "Reset") {
    // Anybody could say so: a session in which something is under way goes on until there is another.
    if (peer.session?.id !== header.session) return
    if (!isWanted(peer) && peer.requests.size === 0) return end(state, out, peer, "Idle")
    return peer.opening === undefined ? openSession(state, out, peer, at) : undefined
  }
  const session = welcomeHeard(state, out, peer, header, bytes, payload)
  if (session !== undefined) enter(state, out, peer, session, at)
}

/** To whoever uses a session that this node does not know, since it was started anew. */
const reset = (state: CarrierState, out: Out, peer: Peer, session: string, { nowMs, wallMs }: Instant): void => {
  if (nowMs < peer.resetMs + carrierResetMs || peer.unsentBytes >= carrierUnsentBytesMax) return
  peer.resetMs = nowMs
  transmit(out, peer, encodeFrame({
    kind: "Reset", priority: 0, isFirst: false, isLast: false, isTold: false, topic: 0, session, sender: state.self.id, epoch: state.members.epoch, sequence: 0,
    timeMs: wallMs, stream: 0, oldest: 0, offset: 0, messageBytes: 0, deadlineMs: 0
  }, new Uint8Array(0), plainTagging))
}

const clockHeard = (out: Out, peer: Peer, { timeMs }: Header, payload: Uint8Array, { nowMs }: Instant): void => {
  const [pingMs, gotMs] = payload.length === 16 ? [getU64(payload, 0), getU64(payload, 8)] : []
  if (pingMs === undefined || gotMs === undefined) return refuse(out, peer.id, "Malformed", `a Pong of ${payload.length} bytes`)
  const { clock } = peer
  pongHeard(clock, pingMs, gotMs, timeMs, nowMs)
  const isOff = isClockOff(clock)
  if (isOff === clock.isOff) return
  clock.isOff = isOff
  out.push({ _tag: isOff ? "ClockOff" : "ClockRight", of: peer.id, offsetMs: sampleOf(clock)?.offsetMs ?? 0 })
}

const heard = (state: CarrierState, out: Out, peer: Peer, header: Header, payload: Uint8Array, at: Instant): void => {
  if (header.kind === "Ping") return
  peer.usedMs = at.nowMs
  switch (header.kind) {
    case "Note":
      return noteHeard(out, peer, header, payload)
    case "Data":
      return dataHeard(state, out, peer, header, payload, at)
    case "Credit":
      return creditHeard(state, out, peer, header, at)
    case "Cancel":
      return cancelHeard(state, out, peer, header)
    case "Hello":
    case "Welcome":
    case "Reset":
    case "Pong":
      return assert(false, "these are heard before")
    default:
      return unreachable(header.kind)
  }
}

const noteHeard = (out: Out, peer: Peer, { priority, topic }: Header, payload: Uint8Array): void => {
  if (peer.heldBytes + payload.length > carrierPeerHeldBytesMax) return refuse(out, peer.id, "TooMuch", "notes that nobody takes")
  peer.heldBytes += payload.length
  out.push({ _tag: "Deliver", from: peer.id, topic, priority, bytes: Uint8Array.from(payload), request: undefined, deadlineMs: 0 })
}

const sent = (state: CarrierState, to: NodeId, bytes: number): void => {
  const peer = state.peers.get(to)
  // One that was removed meanwhile.
  if (peer !== undefined) peer.unsentBytes = Math.max(0, peer.unsentBytes - bytes)
}

/** The oldest of its level makes room: a heartbeat of now says more than one of then. */
const note = (state: CarrierState, out: Out, event: Extract<CarrierEvent, { readonly _tag: "Note" }>): void => {
  const { at, bytes, priority, to, topic } = event
  assert(bytes.length <= carrierFrameBytesMax, `a note has ${carrierFrameBytesMax} bytes at most, not ${bytes.length}`)
  const peer = state.peers.get(to)
  if (peer === undefined) return
  const notes = peer.notes[priority]
  while (notes.length > 0 && (notes.length >= carrierNotesMax || peer.queuedBytes + bytes.length > carrierQueueBytesMax)) peer.queuedBytes -= notes.shift()!.bytes.length
  notes.push({ topic, bytes })
  peer.queuedBytes += bytes.length
  use(state, out, peer, at)
}

const use = (state: CarrierState, out: Out, peer: Peer, at: Instant): void => {
  peer.usedMs = at.nowMs
  if (peer.session === undefined && peer.opening === undefined) openSession(state, out, peer, at)
}

const asked = (state: CarrierState, out: Out, event: Extract<CarrierEvent, { readonly _tag: "Ask" }>): void => {
  assert(!state.asks.has(event.ask), "an ask's number is used once")
  const peer = state.peers.get(event.to)
  const reason: AskFailure | undefined = peer === undefined ? "NotMember" : whyNotAsk(peer, event.bytes)
  if (peer === undefined || reason !== undefined) return void out.push({ _tag: "Failed", ask: event.ask, to: event.to, reason: reason ?? "NotMember" })
  ask(state, peer, event)
  use(state, out, peer, event.at)
}

const cancel = (state: CarrierState, number: number): void => {
  const peer = state.peers.get(state.asks.get(number) ?? "" as NodeId)
  // It has ended meanwhile.
  if (peer !== undefined) cancelAsk(state, peer, number)
}

const answered = (state: CarrierState, event: Extract<CarrierEvent, { readonly _tag: "Answer" }>): void => {
  const peer = state.peers.get(event.to)
  if (peer !== undefined) answer(peer, event)
}

const taken = (state: CarrierState, { ask, bytes, from }: Extract<CarrierEvent, { readonly _tag: "Taken" }>): void => {
  const peer = state.peers.get(from)
  if (peer === undefined) return
  peer.heldBytes = Math.max(0, peer.heldBytes - bytes)
  if (ask !== undefined) answerTaken(peer, ask, bytes)
}
