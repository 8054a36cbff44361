/**
 * Raft: the consensus machine of one replica of one group, in the manner of etcd-io/raft: events in, an ordered list of commands
 * out, which its runner carries out. Pure; between the runner (clock, disk, carrier, state machine) and its own parts: Election,
 * Leader, Follower, Reads. After Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), and
 * Ongaro's dissertation (2014). Actions as in tla/raft/Raft.tla.
 *
 * 1. At most one leader a term; it has every entry that was committed before (election safety, leader completeness).
 * 2. Two logs that agree on one entry agree on all before it (log matching).
 * 3. What is applied is committed, on this replica's disk, in order, once.
 * 4. A promise (vote, copy) is on the disk before it is said.
 * 5. An entry that cannot be read is not an absent one.
 */
import { assert, unreachable } from "../base/assert.ts"
import { configurationOf, isJoint, isQuorum, isVoter, towards } from "./Configuration.ts"
import { follow, isLoyal, stand, standOrAsk, voteAsked, voted } from "./Election.ts"
import { entryBytesOf, type LogIndex } from "./Entry.ts"
import { appendAsked, askForGaps, askStranger, entriesFound, entriesWanted, installed, offered, stateFound } from "./Follower.ts"
import { appendOwn, appended, beat, heardOf, isDismissed, refused } from "./Leader.ts"
import type { Message } from "./Message.ts"
import { flush, type Out, send } from "./Outbox.ts"
import { compact, configurationAt, firstGapOf, lastIndexOf, termAt } from "./RaftLog.ts"
import type { RaftCommand, RaftEvent, RaftState } from "./RaftState.ts"
import { read, readAnswered, readAsked, settleReads } from "./Reads.ts"

/** The state is changed in place. */
export const step = (state: RaftState, event: RaftEvent): ReadonlyArray<RaftCommand> => {
  const out: Out = []
  if (state.failed !== undefined) {
    refuseAll(out, event)
    return out
  }
  handle(state, out, event)
  if (isDismissed(state)) follow(state, out, state.term, undefined)
  settleReads(state, out)
  flush(state, out)
  return out
}

const handle = (state: RaftState, out: Out, event: RaftEvent): void => {
  switch (event._tag) {
    case "Ticked":
      return tick(state, out, event)
    case "Received":
      return receive(state, out, event.message)
    case "Propose":
      return propose(state, out, event)
    case "Read":
      return read(state, out, event.read)
    case "ChangeMembership":
      return changeMembership(state, out, event)
    case "TransferLeadership":
      return transfer(state, out, event)
    case "Persisted":
      return persisted(state, out, event.ticket)
    case "PersistFailed":
      return fail(state, out, event.detail)
    case "Compact":
      return compactTo(state, event.index)
    case "SnapshotInstalled":
      return installed(state, event.snapshot)
    case "SnapshotFailed":
      state.fetching = undefined
      return
    default:
      return unreachable(event)
  }
}

const tick = (state: RaftState, out: Out, { jitter, nowMs }: Extract<RaftEvent, { readonly _tag: "Ticked" }>): void => {
  state.nowMs = Math.max(state.nowMs, nowMs)
  state.jitter = jitter
  if (state.role !== "Leader") {
    if (state.nowMs < state.electionDueMs) return
    standOrAsk(state, out)
    return askForGaps(state, out)
  }
  if (state.transfer !== undefined && state.nowMs >= state.transfer.dueMs) state.transfer = undefined
  if (state.nowMs >= state.electionDueMs && !isAnswered(state)) return follow(state, out, state.term, undefined)
  if (state.nowMs < state.heartbeatDueMs) return
  state.heartbeatDueMs = state.nowMs + state.options.heartbeatMs
  beat(state, out)
}

/** Whether a quorum was heard since the last look: a leader that nobody follows must not let clients wait for ever. */
const isAnswered = (state: RaftState): boolean => {
  const { configuration, id, peers } = state
  const isThere = isQuorum(configuration, (other) => other === id || peers.get(other)?.wasHeard === true)
  for (const peer of peers.values()) peer.wasHeard = false
  state.electionDueMs = state.nowMs + state.options.electionMs
  return isThere
}

const receive = (state: RaftState, out: Out, message: Message): void => {
  const { body, from, term } = message
  if (body._tag === "RequestVote" && term > state.term && isLoyal(state, body)) return
  const isAhead = body._tag === "RequestVote" || body._tag === "Vote" ? body.pre && (body._tag === "RequestVote" || body.granted) : false
  const isOfLeader = body._tag === "Append" || body._tag === "Offer"
  if (term > state.term && !isAhead) follow(state, out, term, isOfLeader ? from : undefined)
  else if (term < state.term) return tellTerm(state, out, message)
  else if (isOfLeader) {
    assert(state.role !== "Leader", "one leader a term")
    follow(state, out, term, from)
  }
  hear(state, out, message)
}

/** Whoever leads or asks in an earlier term hears of the later one; all else of earlier terms is over. */
const tellTerm = (state: RaftState, out: Out, { body, from }: Message): void => {
  if (body._tag === "Append" || body._tag === "Offer") send(state, out, from, { _tag: "Heard", round: 0 })
  else if (body._tag === "RequestVote" && body.pre) send(state, out, from, { _tag: "Vote", pre: true, granted: false })
  else if (body._tag === "EntriesWanted") entriesWanted(state, out, from, body)
  else if (body._tag === "EntriesFound") entriesFound(state, body)
  else if (body._tag === "StateFound") stateFound(state, out, from, body)
}

const hear = (state: RaftState, out: Out, message: Message): void => {
  const { body, from, term } = message
  const isLeader = state.role === "Leader"
  switch (body._tag) {
    case "RequestVote":
      voteAsked(state, out, from, term, body)
      return askStranger(state, out, from)
    case "Vote":
      return voted(state, out, { ...message, body })
    case "Append":
      return appendAsked(state, out, from, body)
    case "Offer":
      return offered(state, out, from, body)
    case "Appended":
      return isLeader ? appended(state, out, from, body) : undefined
    case "Refused":
      return isLeader ? refused(state, out, from, body) : undefined
    case "Heard":
      return isLeader ? heardOf(state, from, body.round) : undefined
    case "TimeoutNow":
      return state.role === "Leader" ? undefined : stand(state, out, true)
    case "ReadAsked":
      return readAsked(state, out, from, body.read)
    case "ReadAnswered":
      return readAnswered(state, out, body)
    case "EntriesWanted":
      return entriesWanted(state, out, from, body)
    case "EntriesFound":
      return entriesFound(state, body)
    case "StateFound":
      return stateFound(state, out, from, body)
    default:
      return unreachable(body)
  }
}

type Refusal = Extract<RaftCommand, { readonly _tag: "RefuseProposal" }>["reason"]

const whyNot = (state: RaftState, bytes: number): Refusal | undefined => {
  if (state.role !== "Leader") return "NotLeader"
  if (state.transfer !== undefined) return "Transferring"
  // One that is larger than the limit by itself goes where nothing else waits.
  return state.uncommittedBytes > 0 && state.uncommittedBytes + bytes > state.options.uncommittedBytesMax ? "Busy" : undefined
}

const propose = (state: RaftState, out: Out, { bytes, proposal }: Extract<RaftEvent, { readonly _tag: "Propose" }>): void => {
  const body = { _tag: "Command", bytes } as const
  const reason = whyNot(state, entryBytesOf({ index: 0, term: 0, body }))
  if (reason !== undefined) return void out.push({ _tag: "RefuseProposal", proposal, reason, leader: state.leader })
  const index = lastIndexOf(state.log) + 1
  out.push({ _tag: "Accepted", proposal, index, term: state.term })
  appendOwn(state, out, body)
}

/** One at a time, and only by a leader that knows what is committed. */
const changeMembership = (state: RaftState, out: Out, { learners, proposal, voters }: Extract<RaftEvent, { readonly _tag: "ChangeMembership" }>): void => {
  const { commit, configuration, configurationIndex, log } = state
  const isUnderWay = isJoint(configuration) || configurationIndex > commit || termAt(log, commit) !== state.term
  const reason = whyNot(state, 0) ?? (isUnderWay ? "UnderWay" : voters.length === 0 ? "NoVoters" : undefined)
  if (reason !== undefined) return void out.push({ _tag: "RefuseProposal", proposal, reason, leader: state.leader })
  out.push({ _tag: "Accepted", proposal, index: lastIndexOf(log) + 1, term: state.term })
  appendOwn(state, out, { _tag: "Configuration", configuration: towards(configuration, configurationOf(voters, learners)) })
}

/** It takes no proposals until the other one leads, or has let the time for it pass. */
const transfer = (state: RaftState, out: Out, { to }: Extract<RaftEvent, { readonly _tag: "TransferLeadership" }>): void => {
  if (state.role !== "Leader" || to === state.id || !isVoter(state.configuration, to)) return
  state.transfer = { to, dueMs: state.nowMs + state.options.electionMs }
  if (state.peers.get(to)?.match === lastIndexOf(state.log)) send(state, out, to, { _tag: "TimeoutNow" })
}

const persisted = (state: RaftState, out: Out, ticket: number): void => {
  while (state.pending[0] !== undefined && state.pending[0].ticket <= ticket) {
    for (const message of state.pending.shift()!.held) {
      // Said of a term that is over it is worth nothing.
      if (message.term < state.term) continue
      if (message.to === state.id) hear(state, out, message)
      else out.push({ _tag: "Send", message })
    }
  }
}

const fail = (state: RaftState, out: Out, detail: string): void => {
  follow(state, out, state.term, undefined)
  state.failed = detail
}

/** Its disk has failed: it promises nothing any more, and says so to those who ask. */
const refuseAll = (out: Out, event: RaftEvent): void => {
  if (event._tag === "Read") out.push({ _tag: "RefuseRead", read: event.read, leader: undefined })
  else if (event._tag === "Propose" || event._tag === "ChangeMembership") out.push({ _tag: "RefuseProposal", proposal: event.proposal, reason: "Failed", leader: undefined })
}

/** Never over a gap: it may have been a configuration. */
const compactTo = (state: RaftState, index: LogIndex): void => {
  const { log } = state
  const term = termAt(log, index)
  if (index <= log.snapshot.index || index > state.handed || term === undefined || (firstGapOf(log) ?? Infinity) <= index) return
  const snapshot = { index, term, configuration: configurationAt(log, index).configuration }
  compact(log, snapshot)
  state.unsaved.snapshot = snapshot
}
