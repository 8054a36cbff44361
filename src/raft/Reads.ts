/**
 * Reads: linearizable reads without a log entry and without a clock (ReadIndex, dissertation, 6.4): the index that was committed
 * when the read came, once a quorum has answered a round of messages that began after it. Reads that come while a round is
 * under way share the next one. Between whoever reads, here or at a follower, and the leader's messages.
 */
import type { ReplicaId } from "./Entry.ts"
import type { MessageBody } from "./Message.ts"
import { reachedBy } from "./Configuration.ts"
import { beat } from "./Leader.ts"
import { type Out, send } from "./Outbox.ts"
import { termAt } from "./RaftLog.ts"
import type { RaftState, WaitingRead } from "./RaftState.ts"

/** Asked here. */
export const read = (state: RaftState, out: Out, number: number): void => {
  if (state.role === "Leader") return wait(state, out, number, undefined)
  const { leader } = state
  if (leader === undefined) return void out.push({ _tag: "RefuseRead", read: number, leader })
  send(state, out, leader, { _tag: "ReadAsked", read: number })
}

/** Asked by a follower. One who has not led for long enough to know what is committed lets it wait. */
export const readAsked = (state: RaftState, out: Out, from: ReplicaId, number: number): void => {
  if (state.role === "Leader") return wait(state, out, number, from)
  send(state, out, from, { _tag: "ReadAnswered", read: number, index: undefined })
}

export const readAnswered = (state: RaftState, out: Out, { index, read: number }: Extract<MessageBody, { readonly _tag: "ReadAnswered" }>): void =>
  void out.push(index === undefined ? { _tag: "RefuseRead", read: number, leader: state.leader } : { _tag: "ReadReady", read: number, index })

const wait = (state: RaftState, out: Out, number: number, from: ReplicaId | undefined): void => {
  const waiting: WaitingRead = { read: number, from, round: undefined, index: 0 }
  if (state.reads.length >= state.options.readsWaitingMax) return refuse(state, out, waiting)
  state.reads.push(waiting)
}

const refuse = (state: RaftState, out: Out, { from, read: number }: WaitingRead): void => {
  if (from === undefined) out.push({ _tag: "RefuseRead", read: number, leader: state.leader })
  else send(state, out, from, { _tag: "ReadAnswered", read: number, index: undefined })
}

/** It leads no longer: whoever waits asks again. */
export const refuseReads = (state: RaftState, out: Out): void => {
  for (const waiting of state.reads.splice(0)) refuse(state, out, waiting)
}

/** After every step of a leader: answers the reads whose round is over, and begins the next round. */
export const settleReads = (state: RaftState, out: Out): void => {
  const { commit, configuration, id, log, peers, reads } = state
  if (state.role !== "Leader" || reads.length === 0) return
  // What earlier leaders committed is known once an entry of this term is.
  if (termAt(log, commit) !== state.term) return
  const roundOf = (peer: ReplicaId): number => (peer === id ? state.round : peers.get(peer)?.round ?? 0)
  answer(state, out, reachedBy(configuration, roundOf))
  if (reads.length === 0 || reads.some(({ round }) => round !== undefined)) return
  state.round += 1
  for (const waiting of reads) {
    waiting.round = state.round
    waiting.index = commit
  }
  beat(state, out)
  answer(state, out, reachedBy(configuration, roundOf))
}

const answer = ({ reads, ...state }: RaftState, out: Out, round: number): void => {
  const ready = reads.filter((waiting) => waiting.round !== undefined && waiting.round <= round)
  if (ready.length === 0) return
  reads.splice(0, reads.length, ...reads.filter((waiting) => !ready.includes(waiting)))
  for (const { from, index, read: number } of ready) {
    if (from === undefined) out.push({ _tag: "ReadReady", read: number, index })
    else out.push({ _tag: "Send", message: { from: state.id, to: from, term: state.term, body: { _tag: "ReadAnswered", read: number, index } } })
  }
}
