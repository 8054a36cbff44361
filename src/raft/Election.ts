/**
 * Election: who leads (Raft paper, 5.2 and 5.4.1; dissertation, 9.6 for asking before standing, 6.2 for a leader that nobody
 * answers, 3.10 for handing over). Between the clock's ticks and the leader's beginning.
 *
 * 1. One vote a term, on the disk before it is given.
 * 2. It goes to none whose log may lack what this replica has; a gap counts as the newest that it may have been.
 * 3. Whoever has gaps does not stand.
 * 4. While a leader is heard nobody else is listened to, but by the leader's own wish.
 */
import { isLost, isQuorum, isVoter, membersOf } from "./Configuration.ts"
import type { ReplicaId, Term } from "./Entry.ts"
import { lead } from "./Leader.ts"
import type { Message, MessageBody } from "./Message.ts"
import { hardStateChanged, hold, type Out, send } from "./Outbox.ts"
import { configurationAt, firstGapOf, lastIndexOf, lastTermOf } from "./RaftLog.ts"
import type { RaftState } from "./RaftState.ts"
import { refuseReads } from "./Reads.ts"

type RequestVote = Extract<MessageBody, { readonly _tag: "RequestVote" }>

const awaitLeader = (state: RaftState): void => {
  state.electionDueMs = state.nowMs + state.options.electionMs * (1 + state.jitter)
}

/** In that term, which is not below its own; of that leader, if it is known. */
export const follow = (state: RaftState, out: Out, term: Term, leader: ReplicaId | undefined): void => {
  if (term > state.term) {
    state.term = term
    state.vote = undefined
    state.proving = []
    hardStateChanged(state)
  }
  const led = state.role === "Leader"
  state.role = "Follower"
  state.leader = leader
  if (led) refuseReads(state, out)
  state.votes.clear()
  state.peers.clear()
  state.reads.length = 0
  state.transfer = undefined
  state.uncommittedBytes = 0
  if (leader !== undefined) state.heardMs = state.nowMs
  awaitLeader(state)
}

/**
 * A voter; also one whom its newest configuration dismisses while that is not known to be committed: nobody else may have the
 * log that it takes (dissertation, 4.2.2).
 */
const mayStand = ({ commit, configuration, configurationIndex, id, log }: RaftState): boolean =>
  firstGapOf(log) === undefined
  && (isVoter(configuration, id) || (configurationIndex > commit && isVoter(configurationAt(log, configurationIndex - 1).configuration, id)))

/** Its leader is silent. Asks first: a replica that was cut off disturbs nobody when it is back. */
export const standOrAsk = (state: RaftState, out: Out): void => {
  awaitLeader(state)
  state.leader = undefined
  if (!mayStand(state)) return
  state.role = "PreCandidate"
  ask(state, out, true, false)
}

/** Candidate in the next term. */
export const stand = (state: RaftState, out: Out, transfer: boolean): void => {
  if (!mayStand(state)) return
  state.role = "Candidate"
  state.leader = undefined
  state.term += 1
  state.vote = state.id
  hardStateChanged(state)
  awaitLeader(state)
  ask(state, out, false, transfer)
}

const ask = (state: RaftState, out: Out, pre: boolean, transfer: boolean): void => {
  const { configuration, id, log, term, votes } = state
  votes.clear()
  const request: RequestVote = { _tag: "RequestVote", pre, transfer, lastIndex: lastIndexOf(log), lastTerm: lastTermOf(log, term) }
  for (const other of membersOf(configuration)) {
    if (other === id || !isVoter(configuration, other)) continue
    if (pre) send(state, out, other, request, term + 1)
    else hold(state, other, request)
  }
  // Its own counts once it is on the disk.
  if (pre) count(state, out, id, true)
  else hold(state, id, { _tag: "Vote", pre, granted: true })
}

const isNewEnough = (state: RaftState, { lastIndex, lastTerm }: RequestVote): boolean => {
  const ours = lastTermOf(state.log, state.term)
  return lastTerm > ours || (lastTerm === ours && lastIndex >= lastIndexOf(state.log))
}

/** Whether it hears a leader, or is one, whom a quorum answers: then a request that the leader did not ask for is not even looked at. */
export const isLoyal = ({ heardMs, leader, nowMs, options, role }: RaftState, { transfer }: RequestVote): boolean =>
  !transfer && (role === "Leader" || (leader !== undefined && nowMs - heardMs < options.electionMs))

/** Its term is not below ours; of one that asks first it is the term after the asker's. */
export const voteAsked = (state: RaftState, out: Out, from: ReplicaId, term: Term, request: RequestVote): void => {
  const isFree = state.vote === undefined && state.leader === undefined || state.vote === from
  if (request.pre) {
    const granted = (term > state.term || isFree) && isNewEnough(state, request)
    // A grant is of the term that was asked for; a refusal tells ours.
    send(state, out, from, { _tag: "Vote", pre: true, granted }, granted ? term : state.term)
    return
  }
  const granted = isFree && isNewEnough(state, request)
  if (granted) {
    if (state.vote === undefined) hardStateChanged(state)
    state.vote = from
    awaitLeader(state)
  }
  hold(state, from, { _tag: "Vote", pre: false, granted })
}

export const voted = (state: RaftState, out: Out, { body, from, term }: Message & { readonly body: Extract<MessageBody, { readonly _tag: "Vote" }> }): void => {
  const isOurs = body.pre ? state.role === "PreCandidate" && (!body.granted || term === state.term + 1) : state.role === "Candidate" && term === state.term
  if (isOurs) count(state, out, from, body.granted)
}

const count = (state: RaftState, out: Out, from: ReplicaId, granted: boolean): void => {
  const { configuration, votes } = state
  votes.set(from, granted)
  if (isQuorum(configuration, (id) => votes.get(id) === true)) {
    if (state.role === "PreCandidate") stand(state, out, false)
    else lead(state, out)
  } else if (isLost(configuration, (id) => votes.get(id) === false)) follow(state, out, state.term, undefined)
}
