/**
 * Streams: requests and answers in pieces, each direction of a stream a row of messages, put together again at the other end: once, in order, or not at all.
 * Between the machine (Carrier.ts) and Outlet. After HTTP/2's streams (RFC 9113, 5) and TCP's acknowledgements; lost pieces go again from
 * where the peer has heard (go-back-N): below is TCP, which loses none unless its connection does.
 */
import { assert } from "../base/assert.ts"
import {
  carrierDeadlineMsMax, carrierHeldBytesMax, carrierMessageBytesMax, carrierPeerHeldBytesMax, carrierQueueBytesMax, carrierResendMs, carrierResendMsMax,
  carrierStreamsMax, carrierStreamSpan, carrierStreamWindowBytes
} from "../base/clusterLimits.ts"
import type { NodeId } from "../membership/Identity.ts"
import { type Header, isStreamId } from "./CarrierFormat.ts"
import type { AskFailure, CarrierEvent, CarrierState, Incoming, Instant, Out, Outgoing, OwnAsk, Peer } from "./CarrierState.ts"
import { acknowledge, dropOutgoing, oldestOf, refuse, rewind } from "./Outlet.ts"

type Asked = Extract<CarrierEvent, { readonly _tag: "Ask" }>

const fail = (state: CarrierState, out: Out, peer: Peer, own: OwnAsk, reason: AskFailure): void => {
  forgetAsk(state, peer, own)
  out.push({ _tag: "Failed", ask: own.ask, to: peer.id, reason })
}

const forgetAsk = (state: CarrierState, peer: Peer, { ask, stream }: OwnAsk): void => {
  state.asks.delete(ask)
  peer.asks.delete(stream)
  dropOutgoing(peer, stream)
  dropIncoming(peer, stream)
}

const dropIncoming = (peer: Peer, stream: number): void => {
  const incoming = peer.incoming.get(stream)
  if (incoming?.message !== undefined) peer.heldBytes -= incoming.message.bytes.length
  peer.incoming.delete(stream)
  peer.creditsDue.delete(stream)
}

/** The smaller id's are odd: known before there is a session. */
export const isOwnStream = (state: CarrierState, peer: Peer, stream: number): boolean => (stream % 2 === 1) === (state.self.id < peer.id)

export const whyNotAsk = (peer: Peer, bytes: Uint8Array): AskFailure | undefined => {
  if (bytes.length > carrierMessageBytesMax) return "TooLarge"
  const isFull = peer.asks.size >= carrierStreamsMax || peer.streamNext - oldestOf(peer) >= carrierStreamSpan || !isStreamId(peer.streamNext)
  return isFull || peer.queuedBytes + bytes.length > carrierQueueBytesMax ? "Busy" : undefined
}

/** Waits for a session where there is none. */
export const ask = (state: CarrierState, peer: Peer, asked: Asked): void => {
  const { at, bytes, deadlineMs, isTold, priority, topic } = asked
  const stream = peer.streamNext
  peer.streamNext += 2
  const dueMs = at.nowMs + Math.min(deadlineMs, carrierDeadlineMsMax)
  state.asks.set(asked.ask, peer.id)
  peer.asks.set(stream, { ask: asked.ask, stream, isTold, dueMs })
  push(peer, begin(peer, { stream, topic, priority, isTold, dueMs }), bytes, true)
}

const begin = (peer: Peer, { dueMs, isTold, priority, stream, topic }: Pick<Outgoing, "dueMs" | "isTold" | "priority" | "stream" | "topic">): Outgoing => {
  const outgoing: Outgoing = {
    stream, topic, priority, isTold, dueMs, parts: [], acked: 0, sent: 0, end: 0, limit: carrierStreamWindowBytes, isClosed: false,
    resendDueMs: 0, resendMs: carrierResendMs, turn: peer.turn
  }
  peer.outgoing.set(stream, outgoing)
  return outgoing
}

const push = (peer: Peer, stream: Outgoing, bytes: Uint8Array, isLast: boolean): void => {
  assert(!stream.isClosed, "nothing follows the last message")
  stream.parts.push({ bytes, isLast, begin: stream.end })
  stream.end += 1 + bytes.length
  stream.isClosed = isLast
  peer.queuedBytes += bytes.length
}

/** The runner answers; what nobody waits for any more is dropped. Answers are never refused for their number: who streams waits for room itself. */
export const answer = (peer: Peer, event: Extract<CarrierEvent, { readonly _tag: "Answer" }>): void => {
  const id = streamOf(peer, event.request)
  if (id === undefined) return
  assert(event.bytes.length <= carrierMessageBytesMax, `an answer has ${carrierMessageBytesMax} bytes at most, not ${event.bytes.length}`)
  const request = peer.incoming.get(id)
  const stream = peer.outgoing.get(id)
    ?? begin(peer, { stream: id, topic: 0, priority: priorityOf(request), isTold: false, dueMs: Number.POSITIVE_INFINITY })
  push(peer, stream, event.bytes, event.isLast)
}

/** What was answered to a request and has not come there yet, in units; undefined: the request is over. */
export const unheardOf = (state: CarrierState, to: NodeId, request: number): number | undefined => {
  const peer = state.peers.get(to)
  const id = peer === undefined ? undefined : streamOf(peer, request)
  if (id === undefined) return undefined
  const stream = peer?.outgoing.get(id)
  return stream === undefined ? 0 : stream.end - stream.acked
}

/** Undefined: it is over. */
const streamOf = (peer: Peer, request: number): number | undefined => {
  for (const [stream, one] of peer.requests) if (one.request === request) return stream
  return undefined
}

/** An answer is as urgent as what it answers. */
const priorityOf = (request: Incoming | undefined) => request?.priority ?? 2

export const cancelAsk = (state: CarrierState, peer: Peer, asked: number): void => {
  for (const own of peer.asks.values()) {
    if (own.ask !== asked) continue
    forgetAsk(state, peer, own)
    peer.cancelsDue.add(own.stream)
    return
  }
}

export const dataHeard = (state: CarrierState, out: Out, peer: Peer, header: Header, payload: Uint8Array, at: Instant): void => {
  const { stream } = header
  const isOwn = isOwnStream(state, peer, stream)
  const own = peer.asks.get(stream)
  // An answer that nobody waits for: its sender is told so, as often as it takes.
  if (isOwn && (own === undefined || own.isTold)) return void peer.cancelsDue.add(stream)
  if (!isOwn && (peer.closed.has(stream) || stream < peer.peerOldest)) return void peer.creditsDue.add(stream)
  const incoming = peer.incoming.get(stream) ?? admit(out, peer, header)
  if (incoming === undefined) return
  if (header.offset !== incoming.expected || incoming.isOver || header.isFirst !== (incoming.message === undefined)) return void peer.creditsDue.add(stream)
  if (header.isFirst && !beginMessage(state, out, peer, incoming, header)) return
  const { message } = incoming
  assert(message !== undefined, "a piece belongs to a message")
  if (message.filled + payload.length > message.bytes.length) return refuse(out, peer.id, "Malformed", "a message that is longer than it said")
  incoming.widenDueMs = undefined
  message.bytes.set(payload, message.filled)
  message.filled += payload.length
  incoming.expected += payload.length + (header.isFirst ? 1 : 0)
  if (message.filled === message.bytes.length) return complete(state, out, peer, incoming, at)
  if (incoming.expected - incoming.credited >= carrierStreamWindowBytes / 4) peer.creditsDue.add(stream)
}

/** A stream that its other side has just opened. An answer's is known: it was asked for. */
const admit = (out: Out, peer: Peer, { isFirst, offset, priority, stream }: Header): Incoming | undefined => {
  if (offset !== 0 || !isFirst) return undefined
  if (peer.incoming.size >= 2 * carrierStreamsMax || stream - peer.peerOldest > 2 * carrierStreamSpan) return refuse(out, peer.id, "TooMuch", `more than ${carrierStreamsMax} streams`)
  const incoming: Incoming = { stream, priority, expected: 0, credited: 0, heldUnits: 0, widenDueMs: undefined, message: undefined, isOver: false }
  peer.incoming.set(stream, incoming)
  return incoming
}

/** Room for all of it, or for none: it comes again when there may be some. */
const beginMessage = (state: CarrierState, out: Out, peer: Peer, incoming: Incoming, header: Header): boolean => {
  const { messageBytes } = header
  let held = 0
  for (const other of state.peers.values()) held += other.heldBytes
  if (peer.heldBytes + messageBytes > carrierPeerHeldBytesMax || held + messageBytes > carrierHeldBytesMax) {
    refuse(out, peer.id, "TooMuch", `no room for a message of ${messageBytes} bytes now`)
    return false
  }
  peer.heldBytes += messageBytes
  incoming.message = { bytes: new Uint8Array(messageBytes), filled: 0, header }
  return true
}

const complete = (state: CarrierState, out: Out, peer: Peer, incoming: Incoming, at: Instant): void => {
  const { stream } = incoming
  const { bytes, header } = incoming.message!
  incoming.message = undefined
  incoming.isOver = header.isLast
  peer.creditsDue.add(stream)
  const own = peer.asks.get(stream)
  if (own !== undefined) {
    incoming.heldUnits += 1 + bytes.length
    out.push({ _tag: "Answered", ask: own.ask, from: peer.id, bytes, isLast: header.isLast })
    if (header.isLast) {
      forgetAsk(state, peer, own)
      peer.cancelsDue.add(stream)
    }
    return
  }
  const { deadlineMs, isTold, priority, topic } = header
  const from = peer.id
  if (isTold) {
    close(peer, stream)
    peer.creditsDue.add(stream)
    return void out.push({ _tag: "Deliver", from, topic, priority, bytes, request: undefined, deadlineMs })
  }
  const request = state.requestNext
  state.requestNext += 1
  peer.requests.set(stream, { request, dueMs: at.nowMs + Math.min(deadlineMs, carrierDeadlineMsMax) })
  out.push({ _tag: "Deliver", from, topic, priority, bytes, request, deadlineMs })
}

/** Whoever asks has done with an answer: its sender may send more, once that is worth a word. */
export const answerTaken = (peer: Peer, ask: number, bytes: number): void => {
  for (const own of peer.asks.values()) {
    const incoming = own.ask === ask ? peer.incoming.get(own.stream) : undefined
    if (incoming === undefined) continue
    const before = incoming.heldUnits
    incoming.heldUnits = Math.max(0, before - 1 - bytes)
    const quarter = carrierStreamWindowBytes / 4
    const isWorthIt = Math.floor(incoming.heldUnits / quarter) < Math.floor(before / quarter)
    if (incoming.widenDueMs !== undefined && isWorthIt) peer.creditsDue.add(own.stream)
    return
  }
}

/** Remembered until its opener says that it is over: pieces of it may come again. */
const close = (peer: Peer, stream: number): void => {
  const incoming = peer.incoming.get(stream)
  if (incoming !== undefined && stream >= peer.peerOldest) peer.closed.set(stream, incoming.expected)
  dropIncoming(peer, stream)
  dropOutgoing(peer, stream)
  peer.requests.delete(stream)
}

export const creditHeard = (state: CarrierState, out: Out, peer: Peer, { messageBytes, offset, stream }: Header, at: Instant): void => {
  const outgoing = peer.outgoing.get(stream)
  if (outgoing === undefined) return
  if (offset > outgoing.end) return refuse(out, peer.id, "Malformed", "acknowledges what was never sent")
  acknowledge(peer, outgoing, offset, offset + Math.max(0, carrierStreamWindowBytes - messageBytes), at.nowMs)
  if (!outgoing.isClosed || outgoing.acked < outgoing.end) return
  const own = peer.asks.get(stream)
  if (own === undefined) return close(peer, stream)
  dropOutgoing(peer, stream)
  if (!own.isTold) return
  forgetAsk(state, peer, own)
  out.push({ _tag: "Answered", ask: own.ask, from: peer.id, bytes: new Uint8Array(0), isLast: true })
}

/** The asker has its answer, or wants none. */
export const cancelHeard = (state: CarrierState, out: Out, peer: Peer, { stream }: Header): void => {
  if (isOwnStream(state, peer, stream)) return
  // Its request may be on the way still.
  if (!peer.incoming.has(stream) && stream >= peer.peerOldest && !peer.closed.has(stream)) peer.closed.set(stream, 0)
  giveUp(out, peer, stream)
}

const giveUp = (out: Out, peer: Peer, stream: number): void => {
  const under = peer.outgoing.get(stream)?.isClosed === true ? undefined : peer.requests.get(stream)
  close(peer, stream)
  if (under !== undefined) out.push({ _tag: "Cancelled", from: peer.id, request: under.request })
}

/** Streams that their opener has done with end here too, half a message or not, and need not be remembered. */
export const oldestHeard = (state: CarrierState, out: Out, peer: Peer, oldest: number): void => {
  if (oldest <= peer.peerOldest) return
  peer.peerOldest = oldest
  for (const stream of peer.closed.keys()) if (stream < oldest) peer.closed.delete(stream)
  for (const stream of peer.incoming.keys()) if (stream < oldest && !isOwnStream(state, peer, stream)) giveUp(out, peer, stream)
}

/** What is due: deadlines on both sides, pieces that nobody has acknowledged. */
export const tickStreams = (state: CarrierState, out: Out, peer: Peer, { nowMs }: Instant): void => {
  for (const own of peer.asks.values()) {
    if (nowMs < own.dueMs) continue
    fail(state, out, peer, own, peer.session === undefined ? "Unreachable" : "Deadline")
    peer.cancelsDue.add(own.stream)
  }
  for (const [stream, { dueMs }] of peer.requests) {
    if (nowMs >= dueMs) giveUp(out, peer, stream)
  }
  // The word that there is room again may have been lost.
  for (const { stream, widenDueMs } of peer.incoming.values()) if (widenDueMs !== undefined && nowMs >= widenDueMs) peer.creditsDue.add(stream)
  for (const stream of peer.outgoing.values()) {
    if (stream.sent === stream.acked || nowMs < stream.resendDueMs) continue
    rewind(peer, stream)
    stream.resendMs = Math.min(2 * stream.resendMs, carrierResendMsMax)
    stream.resendDueMs = nowMs + stream.resendMs
  }
}

/** The session is over: what was begun in it is lost; what was not begun waits for the next. */
export const loseStreams = (state: CarrierState, out: Out, peer: Peer, isForGood: boolean): void => {
  for (const own of peer.asks.values()) {
    const outgoing = peer.outgoing.get(own.stream)
    if (isForGood || outgoing === undefined || outgoing.sent > 0 || outgoing.resendMs !== carrierResendMs) fail(state, out, peer, own, isForGood ? "NotMember" : "SessionLost")
  }
  for (const [stream, { request }] of peer.requests) if (peer.outgoing.get(stream)?.isClosed !== true) out.push({ _tag: "Cancelled", from: peer.id, request })
  for (const stream of peer.outgoing.keys()) if (!peer.asks.has(stream)) dropOutgoing(peer, stream)
  for (const stream of peer.incoming.keys()) dropIncoming(peer, stream)
  for (const some of [peer.requests, peer.closed, peer.creditsDue, peer.cancelsDue]) some.clear()
  peer.peerOldest = 0
}
