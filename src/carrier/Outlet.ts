/**
 * Outlet: what leaves for one peer next. Between what waits (control, notes, streams) and the network, which is given no more at a time than what
 * may stand before something urgent. Every turn takes one frame: what acknowledges, then the most urgent; now and then the least.
 */
import { assert } from "../base/assert.ts"
import { putU64, emptyBytes } from "../base/bytes.ts"
import { carrierFairShare, carrierFrameBytesMax, carrierPeerWindowBytes, carrierResendMs, carrierStreamWindowBytes, carrierUnsentBytesMax, carrierWidenMs } from "../base/clusterLimits.ts"
import { encodeFrame, type Header, priorities, type Priority } from "./CarrierFormat.ts"
import type { CarrierState, Incoming, Instant, Out, Outgoing, Peer, Refusal } from "./CarrierState.ts"

/** Returns undefined, so that who reads can end with it. */
export const refuse = (out: Out, from: Peer["id"], reason: Refusal, detail: string): undefined => void out.push({ _tag: "Refused", from, reason, detail })

export const transmit = (out: Out, peer: Peer, bytes: Uint8Array): void => {
  peer.unsentBytes += bytes.length
  out.push({ _tag: "Transmit", to: peer.id, bytes })
}

type Fields = Pick<Header, "kind"> & Partial<Omit<Header, "kind" | "payloadBytes">>

/** Tagged under the session, with the next sequence. */
const sendFrame = (state: CarrierState, out: Out, peer: Peer, fields: Fields, payload: Uint8Array, at: Instant): void => {
  const { session } = peer
  assert(session !== undefined, "frames are sent in sessions")
  session.sequence += 1
  const header = {
    priority: 0, isFirst: false, isLast: false, isTold: false, topic: 0, session: session.id, sender: state.self.id, epoch: state.members.epoch, sequence: session.sequence,
    timeMs: at.wallMs, stream: 0, oldest: oldestOf(peer), offset: 0, messageBytes: 0, deadlineMs: 0, ...fields
  } as const
  transmit(out, peer, encodeFrame(header, payload, session.tagOwn))
}

/** All streams that this node has opened before are over. */
export const oldestOf = (peer: Peer): number => {
  for (const stream of peer.asks.keys()) return stream
  return peer.streamNext
}

export const flush = (state: CarrierState, out: Out, at: Instant): void => {
  for (const peer of state.peers.values()) if (peer.session !== undefined) pump(state, out, peer, at)
}

/** Sends until the network has enough, or nothing may be sent. */
export const pump = (state: CarrierState, out: Out, peer: Peer, at: Instant): void => {
  while (peer.unsentBytes < carrierUnsentBytesMax) {
    if (!sendControl(state, out, peer, at) && !sendNext(state, out, peer, at)) return
  }
}

const sendControl = (state: CarrierState, out: Out, peer: Peer, at: Instant): boolean => {
  if (peer.isPingDue) {
    peer.isPingDue = false
    peer.clock.ping = at
    sendFrame(state, out, peer, { kind: "Ping" }, emptyBytes, at)
    return true
  }
  if (peer.pongDue !== undefined) {
    const times = new Uint8Array(16)
    putU64(times, 0, peer.pongDue[0])
    putU64(times, 8, peer.pongDue[1])
    peer.pongDue = undefined
    sendFrame(state, out, peer, { kind: "Pong" }, times, at)
    return true
  }
  for (const stream of peer.cancelsDue) {
    peer.cancelsDue.delete(stream)
    sendFrame(state, out, peer, { kind: "Cancel", stream }, emptyBytes, at)
    return true
  }
  for (const stream of peer.creditsDue) {
    peer.creditsDue.delete(stream)
    const incoming = peer.incoming.get(stream)
    const offset = incoming?.expected ?? peer.closed.get(stream)
    if (offset === undefined) continue
    sendFrame(state, out, peer, { kind: "Credit", stream, offset, messageBytes: credited(incoming, offset, at.nowMs) }, emptyBytes, at)
    return true
  }
  return false
}

/** By how much the stream's window is narrower than it is by default: what its asker has not taken of answers, where that is worth a word. */
const credited = (incoming: Incoming | undefined, offset: number, nowMs: number): number => {
  if (incoming === undefined) return 0
  incoming.credited = offset
  const narrower = incoming.heldUnits < carrierStreamWindowBytes / 4 ? 0 : Math.min(incoming.heldUnits, carrierStreamWindowBytes)
  if (narrower > 0 || incoming.widenDueMs !== undefined) incoming.widenDueMs = nowMs + carrierWidenMs
  return narrower
}

/** One frame of a note or a stream: of the most urgent level that has any, every so often of the least urgent one. */
const sendNext = (state: CarrierState, out: Out, peer: Peer, at: Instant): boolean => {
  peer.turn += 1
  const isTurned = peer.turn % carrierFairShare === 0
  for (const level of isTurned ? [3, 2, 1, 0] as const : priorities) {
    const note = peer.notes[level].shift()
    if (note !== undefined) {
      peer.queuedBytes -= note.bytes.length
      sendFrame(state, out, peer, { kind: "Note", priority: level, topic: note.topic }, note.bytes, at)
      return true
    }
    const stream = nextStream(peer, level)
    if (stream !== undefined) {
      sendPiece(state, out, peer, stream, at)
      return true
    }
  }
  return false
}

/** The one that has waited longest of those that may send. What is urgent is not held back by what others have under way. */
const nextStream = (peer: Peer, level: Priority): Outgoing | undefined => {
  if (level > 0 && peer.inFlightBytes >= carrierPeerWindowBytes) return undefined
  let next: Outgoing | undefined
  for (const stream of peer.outgoing.values()) {
    if (stream.priority === level && stream.sent < Math.min(stream.end, stream.limit) && (next === undefined || stream.turn < next.turn)) next = stream
  }
  return next
}

const sendPiece = (state: CarrierState, out: Out, peer: Peer, stream: Outgoing, at: Instant): void => {
  const part = stream.parts.find(({ begin, bytes }) => stream.sent <= begin + bytes.length)
  assert(part !== undefined, "what is not sent yet is part of a message")
  const { begin, bytes, isLast } = part
  const isFirst = stream.sent === begin
  const from = isFirst ? 0 : stream.sent - begin - 1
  const count = Math.min(bytes.length - from, carrierFrameBytesMax, Math.max(0, stream.limit - stream.sent - (isFirst ? 1 : 0)))
  if (stream.sent === stream.acked) stream.resendDueMs = at.nowMs + stream.resendMs
  const units = count + (isFirst ? 1 : 0)
  sendFrame(state, out, peer, {
    kind: "Data", priority: stream.priority, topic: stream.topic, isFirst, isLast, isTold: stream.isTold, stream: stream.stream, offset: stream.sent,
    messageBytes: isFirst ? bytes.length : 0, deadlineMs: isFirst && Number.isFinite(stream.dueMs) ? Math.max(1, Math.ceil(stream.dueMs - at.nowMs)) : 0
  }, bytes.subarray(from, from + count), at)
  stream.sent += units
  peer.inFlightBytes += units
  stream.turn = peer.turn
}

/** All before `offset` has come. A late word of less changes nothing. */
export const acknowledge = (peer: Peer, stream: Outgoing, offset: number, limit: number, nowMs: number): void => {
  stream.limit = Math.max(stream.limit, limit)
  if (offset <= stream.acked) return
  // What was sent again from further back may be acknowledged beyond it.
  const sent = Math.max(stream.sent, offset)
  peer.inFlightBytes += sent - stream.sent - (offset - stream.acked)
  stream.sent = sent
  stream.acked = offset
  stream.resendMs = carrierResendMs
  stream.resendDueMs = nowMs + stream.resendMs
  while (stream.parts[0] !== undefined && stream.parts[0].begin + stream.parts[0].bytes.length < offset) peer.queuedBytes -= stream.parts.shift()!.bytes.length
}

/** What is under way counts as lost: it goes again from where it was heard of. */
export const rewind = (peer: Peer, stream: Outgoing): void => {
  peer.inFlightBytes -= stream.sent - stream.acked
  stream.sent = stream.acked
}

export const dropOutgoing = (peer: Peer, id: number): void => {
  const stream = peer.outgoing.get(id)
  if (stream === undefined) return
  rewind(peer, stream)
  for (const { bytes } of stream.parts) peer.queuedBytes -= bytes.length
  peer.outgoing.delete(id)
}
