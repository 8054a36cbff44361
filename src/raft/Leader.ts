/**
 * Leader: how a leader brings its log to the others, and when it is committed (Raft paper, 5.3 and 5.4; dissertation, 10.2 for
 * pipelining and for writing beside sending). Between elections and answers on one side and the outbox on the other.
 *
 * 1. An entry is committed where a quorum has it on the disk and its term is this leader's (5.4.2, figure 8).
 * 2. A leader never cuts or changes its own log.
 * 3. A stale answer takes nothing back: what a peer has stored, it has, unless it says that it can no longer read it.
 */
import { assert } from "../base/assert.ts"
import { type Configuration, isJoint, isVoter, membersOf, reachedBy, settled } from "./Configuration.ts"
import { type EntryBody, entryBytesOf, type LogIndex, type ReplicaId } from "./Entry.ts"
import type { MessageBody } from "./Message.ts"
import { hold, type Out, send, store } from "./Outbox.ts"
import { entriesFrom, firstIndexOf, lastIndexOf, lastUpTo, slotAt, termAt } from "./RaftLog.ts"
import { durableIndexOf, type Peer, type RaftState } from "./RaftState.ts"

const newPeer = (state: RaftState): Peer =>
  ({ mode: "Probe", match: 0, next: lastIndexOf(state.log) + 1, inFlight: [], isWaiting: false, round: 0, wasHeard: true })

/** Of the term in which it was just elected. */
export const lead = (state: RaftState, out: Out): void => {
  state.role = "Leader"
  state.leader = state.id
  state.round = 0
  state.heartbeatDueMs = state.nowMs + state.options.heartbeatMs
  state.electionDueMs = state.nowMs + state.options.electionMs
  state.uncommittedBytes = 0
  state.peers.clear()
  for (const id of membersOf(state.configuration)) state.peers.set(id, newPeer(state))
  ownPeer(state).match = durableIndexOf(state)
  appendOwn(state, out, { _tag: "Nothing" })
}

const ownPeer = (state: RaftState): Peer => {
  let peer = state.peers.get(state.id)
  if (peer === undefined) state.peers.set(state.id, peer = newPeer(state))
  return peer
}

/** Into its own log, and on the way to everyone. */
export const appendOwn = (state: RaftState, out: Out, body: EntryBody): LogIndex => {
  assert(state.role === "Leader", "only a leader makes entries")
  const index = lastIndexOf(state.log) + 1
  const entry = { index, term: state.term, body }
  store(state, entry)
  state.uncommittedBytes += entryBytesOf(entry)
  if (body._tag === "Configuration") lookAtMembers(state, body.configuration)
  hold(state, state.id, { _tag: "Appended", match: index, received: index, damagedTo: undefined, round: 0 })
  broadcast(state, out)
  return index
}

const lookAtMembers = (state: RaftState, configuration: Configuration): void => {
  const members = membersOf(configuration)
  for (const id of members) if (!state.peers.has(id)) state.peers.set(id, newPeer(state))
  for (const id of state.peers.keys()) if (id !== state.id && !members.includes(id)) state.peers.delete(id)
  // Who votes no more is not waited for.
  if (state.transfer !== undefined && !isVoter(configuration, state.transfer.to)) state.transfer = undefined
}

const others = function* ({ id, peers }: RaftState): Generator<readonly [ReplicaId, Peer]> {
  for (const [other, peer] of peers) if (other !== id) yield [other, peer]
}

/** Whatever is new, to everyone who can take it. */
export const broadcast = (state: RaftState, out: Out): void => {
  for (const [id, peer] of others(state)) replicate(state, out, id, peer)
}

/** Still here: to everyone, with what was lost on the way. Its answers are of this round. */
export const beat = (state: RaftState, out: Out): void => {
  for (const [id, peer] of others(state)) {
    peer.isWaiting = false
    if (peer.mode === "Replicate" && peer.next >= firstIndexOf(state.log)) sendAppend(state, out, id, peer, 0)
    else replicate(state, out, id, peer)
  }
}

const replicate = (state: RaftState, out: Out, id: ReplicaId, peer: Peer): void => {
  const { log, options } = state
  if (peer.next < firstIndexOf(log) || peer.mode === "Snapshot") return offer(state, out, id, peer)
  if (peer.mode === "Probe") {
    if (peer.isWaiting) return
    peer.isWaiting = true
    sendAppend(state, out, id, peer, options.appendBytesMax)
    return
  }
  while (peer.next <= lastIndexOf(log) && peer.inFlight.length < options.appendsInFlightMax) {
    const last = sendAppend(state, out, id, peer, options.appendBytesMax)
    assert(last >= peer.next, "a leader's log has no gaps")
    peer.inFlight.push(last)
    peer.next = last + 1
  }
}

/** The last index that the message carries. */
const sendAppend = (state: RaftState, out: Out, id: ReplicaId, { next }: Peer, bytesMax: number): LogIndex => {
  const { commit, log, round } = state
  const previousTerm = termAt(log, next - 1)
  assert(previousTerm !== undefined, "a leader knows the term before what it sends")
  const entries = bytesMax === 0 ? [] : entriesFrom(log, next, lastIndexOf(log), bytesMax, entryBytesOf)
  send(state, out, id, { _tag: "Append", previousIndex: next - 1, previousTerm, entries, commit, round })
  return next - 1 + entries.length
}

const offer = (state: RaftState, out: Out, id: ReplicaId, peer: Peer): void => {
  if (peer.isWaiting && peer.mode === "Snapshot") return
  peer.mode = "Snapshot"
  peer.inFlight = []
  peer.isWaiting = true
  send(state, out, id, { _tag: "Offer", snapshot: state.log.snapshot, round: state.round })
}

const heard = (state: RaftState, from: ReplicaId, round: number): Peer | undefined => {
  const peer = state.peers.get(from)
  if (peer === undefined) return undefined
  peer.wasHeard = true
  assert(round <= state.round, "nobody answers a round that has not begun")
  peer.round = Math.max(peer.round, round)
  return peer
}

export const appended = (state: RaftState, out: Out, from: ReplicaId, { damagedTo, match, received, round }: Extract<MessageBody, { readonly _tag: "Appended" }>): void => {
  const peer = heard(state, from, round)
  if (peer === undefined) return
  // It may speak of entries behind ours that an earlier leader gave it.
  if (match > lastIndexOf(state.log) || match < peer.match) return
  peer.match = match
  peer.next = Math.max(peer.next, match + 1)
  peer.inFlight = peer.inFlight.filter((index) => index > received)
  if (from !== state.id && (peer.mode === "Probe" || match >= state.log.snapshot.index)) {
    if (peer.mode !== "Replicate") peer.next = match + 1
    peer.mode = "Replicate"
    peer.isWaiting = false
  }
  advanceCommit(state, out)
  if (from === state.id || !isLeader(state)) return
  reach(state, out, damagedTo)
  replicate(state, out, from, peer)
  if (state.transfer?.to === from && match === lastIndexOf(state.log)) send(state, out, from, { _tag: "TimeoutNow" })
}

export const refused = (state: RaftState, out: Out, from: ReplicaId, { damagedTo, hintIndex, hintTerm, previousIndex, round }: Extract<MessageBody, { readonly _tag: "Refused" }>): void => {
  const peer = heard(state, from, round)
  if (peer === undefined || peer.mode === "Snapshot") return
  if (damagedTo !== undefined) peer.match = Math.min(peer.match, hintIndex)
  // An answer of long ago: all up to there has been stored since (the bug by which committed entries were sent for again, and cut).
  else if (previousIndex <= peer.match || (peer.mode === "Probe" && previousIndex !== peer.next - 1)) return
  const upTo = damagedTo !== undefined ? hintIndex : Math.min(hintIndex, previousIndex)
  const [at, term] = lastUpTo(state.log, upTo, hintTerm)
  // Only what the snapshot stands for is left, and they do not agree on its end.
  const agreed = upTo < at || term > hintTerm ? at - 1 : at
  peer.mode = "Probe"
  peer.inFlight = []
  peer.isWaiting = false
  peer.next = Math.max(peer.match, agreed) + 1
  reach(state, out, damagedTo)
  replicate(state, out, from, peer)
}

/** Entries up to the last one that a damaged peer has show which of those it may forget: so many for one answer; the next one asks again. */
const reach = (state: RaftState, out: Out, damagedTo: LogIndex | undefined): void => {
  for (let count = 0; count < fillersMax && lastIndexOf(state.log) < (damagedTo ?? 0); count += 1) appendOwn(state, out, { _tag: "Nothing" })
}

const fillersMax = 100

const isLeader = ({ role }: RaftState): boolean => role === "Leader"

export const heardOf = (state: RaftState, from: ReplicaId, round: number): void => void heard(state, from, round)

const advanceCommit = (state: RaftState, out: Out): void => {
  const { configuration, log, peers } = state
  const index = reachedBy(configuration, (id) => peers.get(id)?.match ?? 0)
  if (index <= state.commit || termAt(log, index) !== state.term) return
  for (let at = state.commit + 1; at <= index; at += 1) {
    const slot = slotAt(log, at)
    if (slot?.body !== undefined && slot.term === state.term) state.uncommittedBytes -= entryBytesOf(slot)
  }
  state.commit = index
  configurationCommitted(state, out)
  // They need not wait for the next heartbeat to hear of it.
  for (const [id, peer] of others(state)) if (peer.mode === "Replicate" && peer.next > lastIndexOf(log)) sendAppend(state, out, id, peer, 0)
}

/** A joint one is left at once; who has no vote in the new one leads no longer (Raft paper, 6). */
const configurationCommitted = (state: RaftState, out: Out): void => {
  if (state.configurationIndex > state.commit) return
  if (isJoint(state.configuration)) appendOwn(state, out, { _tag: "Configuration", configuration: settled(state.configuration) })
}

/** Everything up to its removal is committed: somebody else may lead. */
export const isDismissed = ({ commit, configuration, configurationIndex, id, role }: RaftState): boolean =>
  role === "Leader" && configurationIndex <= commit && !isVoter(configuration, id)
