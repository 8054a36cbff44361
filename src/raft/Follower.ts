/**
 * Follower: what a replica does with a leader's entries and offers (Raft paper, 5.3), and how it fills its gaps: from its leader,
 * or, while nobody can be elected, from whoever has them (Alagappan et al., FAST '18). Between messages and the outbox.
 *
 * 1. What is committed is never cut.
 * 2. A gap is filled where its term is known to be the entry's, or where the entries sent reach one behind it that is the same
 *    (log matching: then all before it are), or by the leader of its term.
 * 3. While it has gaps it acknowledges nothing behind the first.
 */
import { assert } from "../base/assert.ts"
import { type Entry, entryBytesOf, type LogIndex, type ReplicaId, type SnapshotPlace, type Term } from "./Entry.ts"
import type { MessageBody } from "./Message.ts"
import { cutFrom, hold, lookAtConfiguration, type Out, send, store, filled } from "./Outbox.ts"
import { compact, concludeTerms, entriesFrom, everyoneIn, fill, firstGapOf, isGap, lastIndexOf, lastUpTo, learnTerm, mayGoOn, slotAt, termAt } from "./RaftLog.ts"
import type { RaftState } from "./RaftState.ts"

const stored = (match: LogIndex, round: number): MessageBody => ({ _tag: "Appended", match, received: match, damagedTo: undefined, round })

type Append = Extract<MessageBody, { readonly _tag: "Append" }>

export const appendAsked = (state: RaftState, out: Out, from: ReplicaId, message: Append): void => {
  const { commit, entries, previousIndex, previousTerm, round } = message
  const { log } = state
  // Said at once, while the copy waits for the disk: it is about who leads.
  if (state.pending.length > 0) send(state, out, from, { _tag: "Heard", round })
  const gap = firstGapOf(log)
  if (previousIndex < log.snapshot.index) {
    if (gap === undefined) return hold(state, from, stored(log.snapshot.index, round))
    return refuse(state, out, from, message, log.snapshot.index)
  }
  const known = state.proving.at(-1)
  const goesOn = known !== undefined && known.index === previousIndex && known.term === previousTerm
  if (!goesOn && (previousIndex >= (gap ?? Infinity) || termAt(log, previousIndex) !== previousTerm)) {
    return refuse(state, out, from, message, Math.min(previousIndex, (gap ?? Infinity) - 1))
  }
  const all = goesOn ? [...state.proving, ...entries] : entries
  const received = previousIndex + entries.length
  const isTaken = take(state, all)
  const match = isTaken ? received : gap! - 1
  state.commit = Math.max(state.commit, Math.min(commit, match))
  hold(state, from, { _tag: "Appended", match, received, damagedTo: isTaken ? undefined : lastIndexOf(log), round })
}

const refuse = (state: RaftState, out: Out, from: ReplicaId, { previousIndex, previousTerm, round }: Append, upTo: LogIndex): void => {
  const [hintIndex, hintTerm] = lastUpTo(state.log, upTo, previousTerm)
  send(state, out, from, { _tag: "Refused", previousIndex, hintIndex, hintTerm, damagedTo: firstGapOf(state.log) === undefined ? undefined : lastIndexOf(state.log), round })
}

/**
 * Entries of the leader of this term that follow on what both have. False: they begin in gaps whose terms are lost, and end
 * before they meet an entry that shows whether what lies behind is of the same history: more of them must come first.
 */
const take = (state: RaftState, entries: ReadonlyArray<Entry>): boolean => {
  const { log } = state
  if (!isProven(state, entries)) {
    state.proving = entries
    return false
  }
  state.proving = []
  for (const entry of entries) {
    const slot = slotAt(log, entry.index)
    if (slot !== undefined && (slot.term ?? entry.term) === entry.term) {
      if (isGap(slot)) put(state, entry)
      continue
    }
    if (slot !== undefined) {
      assert(entry.index > state.commit, "what is committed is the same everywhere")
      cutFrom(state, entry.index)
    }
    store(state, entry)
  }
  return true
}

const isProven = ({ log }: RaftState, entries: ReadonlyArray<Entry>): boolean => {
  let isDoubtful = false
  for (const { index, term } of entries) {
    const slot = slotAt(log, index)
    if (slot === undefined || (slot.term !== undefined && slot.term !== term)) return true
    isDoubtful = slot.term === undefined
  }
  return !isDoubtful || entries.at(-1)!.index >= lastIndexOf(log)
}

const put = (state: RaftState, entry: Entry): void => {
  fill(state.log, entry)
  filled(state, entry)
  if (entry.body._tag === "Configuration") lookAtConfiguration(state)
}

export const offered = (state: RaftState, out: Out, from: ReplicaId, { round, snapshot }: Extract<MessageBody, { readonly _tag: "Offer" }>): void => {
  send(state, out, from, { _tag: "Heard", round })
  const { log } = state
  const gap = firstGapOf(log)
  const isThere = snapshot.index <= log.snapshot.index || ((gap === undefined || gap > snapshot.index) && termAt(log, snapshot.index) === snapshot.term)
  if (isThere) {
    state.commit = Math.max(state.commit, snapshot.index)
    return hold(state, from, stored(Math.max(snapshot.index, log.snapshot.index), round))
  }
  bring(state, out, from, snapshot)
}

/** The state is on the disk, and this replica's. */
export const installed = (state: RaftState, snapshot: SnapshotPlace): void => {
  const { log } = state
  if (state.fetching !== undefined && state.fetching.index <= snapshot.index) state.fetching = undefined
  if (snapshot.index <= log.snapshot.index) return
  state.proving = []
  // Entries behind it stay, unless they are known to be of another history; the leader's own will tell.
  if (mayGoOn(log, snapshot)) {
    compact(log, snapshot)
    concludeTerms(log)
  } else {
    if (lastIndexOf(log) > log.snapshot.index) cutFrom(state, log.snapshot.index + 1)
    log.snapshot = snapshot
  }
  state.unsaved.snapshot = snapshot
  state.commit = Math.max(state.commit, snapshot.index)
  state.handed = Math.max(state.handed, snapshot.index)
  lookAtConfiguration(state)
  if (state.leader !== undefined) hold(state, state.leader, stored(snapshot.index, 0))
}

/** Nobody leads who could send them: all are asked. Up to an entry that can be read, whose term tells whether they are the same. */
export const askForGaps = (state: RaftState, out: Out): void => ask(state, out, everyoneIn(state.log))

/** Of somebody who may be a member by an entry that cannot be read here: nobody would ask it otherwise. */
export const askStranger = (state: RaftState, out: Out, from: ReplicaId): void => {
  if (!everyoneIn(state.log).has(from)) ask(state, out, [from])
}

const ask = (state: RaftState, out: Out, whom: Iterable<ReplicaId>): void => {
  const { id, log } = state
  const from = firstGapOf(log)
  if (from === undefined) return
  let to: LogIndex = from
  while (to < lastIndexOf(log) && isGap(slotAt(log, to)!)) to += 1
  for (const other of whom) if (other !== id) send(state, out, other, { _tag: "EntriesWanted", from, to })
}

export const entriesWanted = (state: RaftState, out: Out, asker: ReplicaId, { from, to }: Extract<MessageBody, { readonly _tag: "EntriesWanted" }>): void => {
  const { log, options } = state
  if (from <= log.snapshot.index) return send(state, out, asker, { _tag: "StateFound", snapshot: log.snapshot })
  const terms: Array<Term> = []
  for (let index = from; index <= Math.min(to, from + gapTermsMax - 1); index += 1) {
    const term = termAt(log, index)
    if (term === undefined) break
    terms.push(term)
  }
  const entries = entriesFrom(log, from, from + terms.length - 1, options.appendBytesMax, entryBytesOf)
  if (terms.length > 0) send(state, out, asker, { _tag: "EntriesFound", from, terms, entries })
}

/** Terms of one message; a longer run of gaps whose terms are lost is its leader's to fill. */
const gapTermsMax = 10_000

/** Up to the last one whose term is known here to be the same, all are (log matching). */
export const entriesFound = (state: RaftState, { entries, from, terms }: Extract<MessageBody, { readonly _tag: "EntriesFound" }>): void => {
  const { log } = state
  let same = from - 1
  for (const [at, term] of terms.entries()) {
    const known = termAt(log, from + at)
    if (known !== undefined && known !== term) break
    if (known !== undefined) same = from + at
  }
  for (let index = from; index <= same; index += 1) {
    const slot = slotAt(log, index)
    if (slot === undefined || !isGap(slot)) continue
    const entry = entries[index - from]
    if (entry === undefined) learnTerm(log, index, terms[index - from]!)
    else put(state, entry)
  }
  // An answer to a question of another life may begin behind the first gap.
  concludeTerms(log)
}

/** Of whoever has no entries any more: a state that was committed stands for them. */
export const stateFound = (state: RaftState, out: Out, from: ReplicaId, { snapshot }: Extract<MessageBody, { readonly _tag: "StateFound" }>): void => {
  if ((firstGapOf(state.log) ?? Infinity) > snapshot.index) return
  bring(state, out, from, snapshot)
}

const bring = (state: RaftState, out: Out, from: ReplicaId, snapshot: SnapshotPlace): void => {
  if (state.fetching !== undefined && state.fetching.index >= snapshot.index) return
  state.fetching = snapshot
  out.push({ _tag: "FetchSnapshot", from, snapshot })
}
