/** What must hold of one replica's machine between any two steps. Between Raft.ts and whoever watches it: tests, the simulator. */
import { assert } from "../base/assert.ts"
import { configurationAt, firstGapOf, isGap, lastIndexOf, lastTermOf, slotAt } from "./RaftLog.ts"
import type { RaftState } from "./RaftState.ts"

/** Throws AssertionError. */
export const invariants = (state: RaftState): void => {
  const { commit, configuration, handed, id, log, options, peers, pending, reads, role, term } = state
  assert(log.snapshot.index <= handed && handed <= commit && commit <= lastIndexOf(log), "snapshot <= handed <= commit <= last index")
  assert(lastTermOf(log, term) <= term, "no entry is of a later term than its replica")
  let before = log.snapshot.term
  let isLost = false
  assert(firstGapOf(log) === log.slots.find(isGap)?.index, "the first gap is the first")
  log.slots.forEach((slot, offset) => {
    assert(slot.index === log.snapshot.index + 1 + offset, "slots are dense")
    assert((slot.term ?? before) >= before, "terms do not fall")
    assert(!isLost || slot.term !== before, "a lost term between two that are the same is known")
    isLost = slot.term === undefined
    before = slot.term ?? before
  })
  assert(JSON.stringify(configurationAt(log).configuration) === JSON.stringify(configuration), "the newest configuration of the log counts")
  assert(pending.every(({ ticket }, index) => index === 0 || pending[index - 1]!.ticket < ticket), "what is written is written in order")
  assert(role === "Leader" || (peers.size === 0 && reads.length === 0), "only a leader minds others")
  if (role !== "Leader") return
  assert(state.leader === id && state.vote === id, "a leader follows itself")
  assert(log.slots.every(({ body }) => body !== undefined), "a leader's log has no gaps")
  assert(commit <= log.snapshot.index || slotAt(log, commit) !== undefined, "what is committed is there")
  for (const peer of peers.values()) {
    assert(0 <= peer.match && peer.match < peer.next && peer.next <= lastIndexOf(log) + 1, "match < next <= last index + 1")
    assert(peer.inFlight.length <= options.appendsInFlightMax, "so many messages are under way at most")
    assert(peer.inFlight.every((index, at) => index > peer.match && (at === 0 || peer.inFlight[at - 1]! < index)), "what is under way ascends behind what is stored")
  }
}
