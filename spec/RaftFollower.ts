/**
 * RaftFollower: what a replica does with a leader's entries and states, and with what others found for its gaps, said a second time after
 * tla/raft/Raft.tla. Between RaftAct.ts, which knows what was heard, and RaftTurn.ts.
 */
import { keyOf, type Log, must, samePlace } from "./RaftReplica.ts"
import type { Place, Slot } from "./RaftTrace.ts"
import type { Of, RaftTurn } from "./RaftTurn.ts"

/** Entries begin in gaps whose terms are lost, and end before they show whether what lies behind is of the same history: not proven. */
const isProven = (log: Log, base: number, entries: ReadonlyArray<Slot>): boolean => {
  let isDoubtful = false
  for (const [at, { t }] of entries.entries()) {
    const slot = log.at(base + 1 + at)
    if (slot === undefined || (slot.t >= 0 && slot.t !== t)) return true
    isDoubtful = slot.t < 0
  }
  return !isDoubtful || base + entries.length >= log.last
}

const led = (turn: RaftTurn, heard: Of<"Append"> | Of<"Offer">): void => {
  const { role, term } = turn.before
  turn.demand(heard.from !== turn.replica.id && (heard.term > term || (heard.term === term && role !== "Leader")), "it does not follow that leader")
  turn.follow(heard.term, heard.from)
  turn.replica.heardRounds.add(`${heard.from} ${heard.round}`)
}

const owe = (turn: RaftTurn, to: string, match: number): void => {
  turn.replica.owed.add(keyOf({ m: "Appended", from: turn.replica.id, to, term: turn.next.term, match }))
}

/** It tells what it can no longer read. */
const refuse = (turn: RaftTurn, { from, prevTerm }: Of<"Append">, upTo: number): void => {
  const refusal = keyOf({ m: "Refused", from: turn.replica.id, to: from, term: turn.next.term, hint: turn.now.lastUpTo(upTo, prevTerm) })
  turn.may.add(refusal)
  must("CorruptIsNotAbsent", turn.step.said.some((said) => said.m === "Refused" && keyOf(said) === refusal), () => `${turn.replica.id} cannot read ${turn.now.gap}, and does not tell ${from}`)
}

export const appendAsked = (turn: RaftTurn, heard: Of<"Append">): void => {
  led(turn, heard)
  const replica = turn.replica
  const log = turn.now
  const gap = log.gap === 0 ? Infinity : log.gap
  if (heard.prev < log.place.i) return gap === Infinity ? owe(turn, heard.from, log.place.i) : refuse(turn, heard, log.place.i)
  const [behind, count] = turn.next.proving
  const goesOn = count > 0 && behind + count === heard.prev && replica.proving.at(-1)!.t === heard.prevTerm
  if (!goesOn && (heard.prev >= gap || log.termAt(heard.prev) !== heard.prevTerm)) return gap === Infinity ? undefined : refuse(turn, heard, Math.min(heard.prev, gap - 1))
  const base = goesOn ? behind : heard.prev
  const entries = goesOn ? [...replica.proving, ...heard.entries] : heard.entries
  const isTaken = isProven(log, base, entries)
  const match = isTaken ? heard.prev + heard.entries.length : gap - 1
  replica.proving = isTaken ? [] : entries
  turn.next.proving = isTaken ? [0, 0] : [base, entries.length]
  if (isTaken) tookAll(turn, base, entries)
  turn.next.commit = Math.max(turn.next.commit, Math.min(heard.commit, match))
  owe(turn, heard.from, match)
}

const tookAll = (turn: RaftTurn, base: number, entries: ReadonlyArray<Slot>): void => {
  for (const [at, entry] of entries.entries()) {
    const index = base + 1 + at
    const slot = turn.now.at(index)
    if (slot !== undefined && (slot.t < 0 || slot.t === entry.t)) {
      if (!slot.ok) turn.changed().put(index, entry)
      continue
    }
    if (slot !== undefined) {
      must("StateMachineSafety", index > turn.next.commit, () => `${turn.replica.id} cuts ${index}, which is committed`)
      turn.changed().cut(index)
    }
    turn.changed().put(index, entry)
  }
}

export const wants = (turn: RaftTurn, place: Place): void => {
  if (turn.next.fetching >= place.i) return
  turn.next.fetching = place.i
}

export const offered = (turn: RaftTurn, heard: Of<"Offer">): void => {
  led(turn, heard)
  const { place } = heard
  const log = turn.now
  const isThere = place.i <= log.place.i || ((log.gap === 0 || log.gap > place.i) && log.termAt(place.i) === place.t)
  if (!isThere) return wants(turn, place)
  turn.next.commit = Math.max(turn.next.commit, place.i)
  owe(turn, heard.from, Math.max(place.i, log.place.i))
}

export const installed = (turn: RaftTurn, place: Place): void => {
  const next = turn.next
  const { id } = turn.replica
  if (next.fetching <= place.i) next.fetching = 0
  if (place.i <= turn.now.place.i) return
  turn.replica.proving = []
  next.proving = [0, 0]
  const log = turn.changed()
  if (!log.mayGoOn(place)) log.cut(log.place.i + 1)
  log.rebase(place)
  next.commit = Math.max(next.commit, place.i)
  next.handed = Math.max(next.handed, place.i)
  if (next.leader !== "" && next.leader !== id) owe(turn, next.leader, place.i)
}

export const compact = (turn: RaftTurn, place: Place): void => {
  const log = turn.changed()
  turn.demand(place.i > log.place.i && place.i <= turn.before.handed && (log.gap === 0 || log.gap > place.i) && samePlace(place, log.placeAt(place.i)), "the log may not be compacted there")
  log.rebase(place)
}

export const entriesWanted = (turn: RaftTurn, { from, high, low, term }: Of<"EntriesWanted">): void => {
  if (term > turn.before.term) turn.follow(term, "")
  const log = turn.now
  if (low <= log.place.i) {
    turn.may.add(keyOf({ m: "StateFound", from: turn.replica.id, to: from, term: turn.next.term, place: log.place }))
    return
  }
  const terms: Array<number> = []
  for (let index = low; index <= high && (log.termAt(index) ?? -1) >= 0; index += 1) terms.push(log.termAt(index)!)
  const found: Of<"EntriesFound"> = { m: "EntriesFound", to: from, term: turn.next.term, low, terms, entries: [] }
  for (let count = 0; count <= terms.length; count += 1) {
    const entries = log.slots.slice(low - log.place.i - 1, low - log.place.i - 1 + count)
    if (entries.every(({ ok }) => ok)) turn.may.add(keyOf({ ...found, entries }))
  }
}

export const entriesFound = (turn: RaftTurn, { entries, low, term, terms, to }: Of<"EntriesFound">): void => {
  turn.demand(to === turn.replica.id, "nobody asked it")
  if (term > turn.before.term) turn.follow(term, "")
  let same = low - 1
  for (const [at, theirs] of terms.entries()) {
    const mine = turn.now.termAt(low + at) ?? -1
    if (mine >= 0 && mine !== theirs) break
    if (mine >= 0) same = low + at
  }
  for (let index = Math.max(low, turn.now.place.i + 1); index <= same; index += 1) {
    const slot = turn.now.at(index)
    if (slot === undefined || slot.ok) continue
    turn.changed().put(index, entries[index - low] ?? { ...slot, t: terms[index - low]! })
  }
}
