/**
 * RaftRecorder: from what the machines of one group do to the steps that the monitor and TLC judge (spec/RaftTrace.ts). It sits
 * between whoever runs machines and sees each step with its event and commands, and spec/RaftMonitor.ts.
 *
 * A step is one action of tla/raft. What can change nothing and promises nothing (refusals, answers that are late) is none.
 */
import type { After, Conf, Found, Place, RaftStep, Said, Slot as TraceSlot, Written } from "../spec/RaftTrace.ts"
import { hashBytes } from "../src/base/hash.ts"
import type { Configuration } from "../src/raft/Configuration.ts"
import type { Entry, HardState, ReplicaId, SnapshotPlace } from "../src/raft/Entry.ts"
import type { Message } from "../src/raft/Message.ts"
import { firstGapOf, isGap, lastIndexOf, type Slot } from "../src/raft/RaftLog.ts"
import type { Peer, RaftCommand, RaftEvent, RaftState } from "../src/raft/RaftState.ts"

const noConf: Conf = { voters: [], outgoing: [], learners: [] }
const confOf = ({ learners, outgoing, voters }: Configuration): Conf => ({ voters, outgoing, learners })
export const placeOf = ({ configuration, index, term }: SnapshotPlace): Place => ({ i: index, t: term, c: confOf(configuration) })

const known = new WeakMap<Slot, TraceSlot>()
/** Entries are shared by logs and messages: each is hashed once. */
const slotOf = (slot: Slot): TraceSlot => {
  const before = known.get(slot)
  if (before !== undefined) return before
  const now: TraceSlot = isGap(slot)
    ? { t: slot.term ?? -1, c: noConf, ok: false, what: "" }
    : { t: slot.term, c: slot.body._tag === "Configuration" ? confOf(slot.body.configuration) : noConf, ok: true, what: slot.body._tag === "Command" ? Buffer.from(hashBytes(slot.body.bytes)).toString("hex", 0, 6) : "" }
  known.set(slot, now)
  return now
}

const slotsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<TraceSlot> => entries.map(slotOf)

const none: After["match"] = []

/** Ids ascending. */
const ofOthers = ({ id, peers }: RaftState, of: (peer: Peer) => number): After["match"] => {
  const pairs: Array<readonly [ReplicaId, number]> = []
  for (const [other, peer] of peers) if (other !== id) pairs.push([other, of(peer)])
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1))
}

const matchOf = ({ match }: Peer): number => match
const roundOf = ({ round }: Peer): number => round

const waitingIn = ({ reads }: RaftState): number => (reads.length < 2 ? reads.length : new Set(reads.map(({ index, read, round }) => `${read} ${round ?? 0} ${index}`)).size)

const afterOf = (state: RaftState): After => {
  const { commit, fetching, handed, leader, log, pending, proving, role, round, term, vote } = state
  const isLeader = role === "Leader"
  return {
    role, term, vote: vote ?? "", leader: leader ?? "", commit, handed, first: log.snapshot.index, last: lastIndexOf(log), gap: firstGapOf(log) ?? 0, pending: pending.length,
    match: isLeader ? ofOthers(state, matchOf) : none, round: isLeader ? round : 0, rounds: isLeader ? ofOthers(state, roundOf) : none,
    reads: waitingIn(state), fetching: fetching?.index ?? 0, proving: proving.length === 0 ? [0, 0] : [proving[0]!.index - 1, proving.length]
  }
}

const samePairs = (a: After["match"], b: After["match"]): boolean => a === b || a.length === b.length && a.every(([id, value], at) => b[at]![0] === id && b[at]![1] === value)

const same = (a: After, b: After): boolean =>
  a.role === b.role && a.term === b.term && a.vote === b.vote && a.leader === b.leader && a.commit === b.commit && a.handed === b.handed && a.first === b.first && a.last === b.last && a.gap === b.gap
  && a.pending === b.pending && a.round === b.round && a.reads === b.reads && a.fetching === b.fetching && a.proving[0] === b.proving[0] && a.proving[1] === b.proving[1]
  && samePairs(a.match, b.match) && samePairs(a.rounds, b.rounds)

const saidBefore = new WeakMap<Message, ReadonlyArray<Said>>()
/** A message is the same when it comes as when it went. */
const saidOf = (message: Message): ReadonlyArray<Said> => {
  let said = saidBefore.get(message)
  if (said === undefined) saidBefore.set(message, said = translated(message))
  return said
}

/** Empty: it can change nothing but a term. Answers also say that a round was heard. */
const translated = ({ body, from, term, to }: Message): ReadonlyArray<Said> => {
  const heard: ReadonlyArray<Said> = "round" in body && body.round > 0 && body._tag !== "Append" && body._tag !== "Offer" ? [{ m: "Heard", from, to, term, round: body.round }] : []
  switch (body._tag) {
    case "RequestVote": return [{ m: "RequestVote", from, term, pre: body.pre, transfer: body.transfer, lastIndex: body.lastIndex, lastTerm: body.lastTerm }]
    case "Vote": return body.granted ? [{ m: "Vote", from, to, term, pre: body.pre }] : []
    case "TimeoutNow": return [{ m: "TimeoutNow", from, to, term }]
    // What lies behind what it carries, its hearer does not take for committed.
    case "Append": return [{ m: "Append", from, term, prev: body.previousIndex, prevTerm: body.previousTerm, entries: slotsOf(body.entries), commit: Math.min(body.commit, body.previousIndex + body.entries.length), round: body.round }]
    case "Appended": return [{ m: "Appended", from, to, term, match: body.match }, ...heard]
    case "Refused": return body.damagedTo === undefined ? heard : [{ m: "Refused", from, to, term, hint: body.hintIndex }, ...heard]
    case "Heard": return heard
    case "Offer": return [{ m: "Offer", from, term, place: placeOf(body.snapshot), round: body.round }]
    case "EntriesWanted": return [{ m: "EntriesWanted", from, term, low: body.from, high: body.to }]
    case "EntriesFound": return [{ m: "EntriesFound", to, term, low: body.from, terms: body.terms, entries: slotsOf(body.entries) }]
    case "StateFound": return [{ m: "StateFound", from, to, term, place: placeOf(body.snapshot) }]
    case "ReadAnswered": return body.index === undefined ? [] : [{ m: "ReadAnswered", from, to, term, read: body.read, index: body.index }]
    case "ReadAsked": return []
  }
}

const writtenOf = ({ entries, hardState, snapshot, ticket, truncateFrom }: Extract<RaftCommand, { readonly _tag: "Persist" }>): Written => ({
  ticket, hard: hardState === undefined ? [] : [{ term: hardState.term, vote: hardState.vote ?? "" }], cut: truncateFrom ?? 0,
  entries: entries.map((entry) => ({ i: entry.index, e: slotOf(entry) })), place: snapshot === undefined ? [] : [placeOf(snapshot)]
})

export interface FoundReplica {
  readonly hardState: HardState
  readonly snapshot: SnapshotPlace
  readonly slots: ReadonlyArray<Slot>
  /** Where the state stands. */
  readonly applied: SnapshotPlace
}

/** A step, but for where and what followed. */
type Bare = RaftStep extends infer S ? S extends RaftStep ? Omit<S, "at" | "said" | "written" | "answered" | "after"> : never : never

export class RaftRecorder {
  readonly #say: (step: RaftStep) => void
  readonly #afters = new Map<ReplicaId, After>()

  constructor(say: (step: RaftStep) => void) {
    this.#say = say
  }

  /** A life begins. */
  started(state: RaftState, { applied, hardState, slots, snapshot }: FoundReplica): void {
    const { id } = state
    const action = this.#afters.has(id) ? "Crash" : "Begin"
    const found: Found = { term: hardState.term, vote: hardState.vote ?? "", place: placeOf(snapshot), slots: slots.map(slotOf), saved: placeOf(applied) }
    const after = afterOf(state)
    this.#afters.set(id, after)
    this.#say({ action, at: id, found, after })
  }

  saved(id: ReplicaId, place: SnapshotPlace): void {
    this.#say({ action: "Saved", at: id, place: placeOf(place), after: this.#afters.get(id)! })
  }

  stepped(state: RaftState, event: RaftEvent, commands: ReadonlyArray<RaftCommand>): void {
    const { failed, id } = state
    if (failed !== undefined && event._tag !== "PersistFailed") return
    const before = this.#afters.get(id)!
    const now = afterOf(state)
    const after = same(before, now) ? before : now
    if (after === before && commands.length === 0 && event._tag === "Ticked") return
    const said = commands.flatMap((command) => (command._tag === "Send" ? saidOf(command.message) : []))
    const bare = this.#bareOf(state, event, commands, before, after, said) ?? (said.length > 0 || after !== before ? { action: "Beat" as const } : undefined)
    if (bare === undefined) return
    this.#afters.set(id, after)
    const written = commands.flatMap((command) => (command._tag === "Persist" ? [writtenOf(command)] : []))
    const answered = commands.flatMap((command) => {
      if (command._tag === "ReadReady") return [{ read: command.read, index: command.index }]
      return command._tag === "Send" && command.message.body._tag === "ReadAnswered" && command.message.body.index !== undefined ? [{ read: command.message.body.read, index: command.message.body.index }] : []
    })
    this.#say({ ...bare, at: id, said, written, answered, after } as RaftStep)
  }

  #bareOf(state: RaftState, event: RaftEvent, commands: ReadonlyArray<RaftCommand>, before: After, after: After, said: ReadonlyArray<Said>): Bare | undefined {
    const does = (tag: RaftCommand["_tag"]): boolean => commands.some(({ _tag }) => _tag === tag)
    switch (event._tag) {
      case "Ticked":
        if (before.role === "Leader") return after.role === "Leader" ? undefined : { action: "StepDown" }
        return after.leader !== before.leader || after.term !== before.term || said.length > 0 ? { action: "StandOrAsk" } : undefined
      case "Received": return heardBy(state, event.message, before, after, said)
      case "Propose": return does("Accepted") ? { action: "Propose" } : undefined
      case "ChangeMembership": {
        const target = { voters: [...new Set(event.voters)].sort(), outgoing: [], learners: [...new Set(event.learners)].filter((other) => !event.voters.includes(other)).sort() }
        return does("Accepted") ? { action: "ChangeMembership", target } : undefined
      }
      case "TransferLeadership": return undefined
      case "Read": return does("RefuseRead") ? undefined : { action: "Read", read: event.read }
      case "Persisted": return before.pending > 0 ? { action: "Persisted", ticket: event.ticket } : undefined
      case "PersistFailed": return { action: "Failed" }
      case "Compact": return after.first === before.first ? undefined : { action: "Compact", place: this.#placed(commands) }
      case "SnapshotInstalled": return { action: "SnapshotInstalled", place: placeOf(event.snapshot) }
      case "SnapshotFailed": return after === before ? undefined : { action: "SnapshotFailed" }
    }
  }

  /** What the log stands on from this step on. */
  #placed(commands: ReadonlyArray<RaftCommand>): Place {
    const snapshot = commands.flatMap((command) => (command._tag === "Persist" && command.snapshot !== undefined ? [command.snapshot] : []))[0]
    return placeOf(snapshot ?? { index: 0, term: 0, configuration: noConf })
  }
}

const roundIn = (message: Message): number => ("round" in message.body ? message.body.round : 0)

/** Undefined: it changes nothing. */
const heardBy = (state: RaftState, message: Message, before: After, after: After, said: ReadonlyArray<Said>): Bare | undefined => {
  const { body, term } = message
  const isRaised = after.term > before.term
  const raised = isRaised ? { action: "Raised", term: after.term } as const : undefined
  const [heard] = saidOf(message)
  const isChanged = after !== before || said.length > 0
  switch (body._tag) {
    case "RequestVote":
      if (body.pre) return said.some(({ m }) => m === "Vote") ? { action: "VoteAsked", heard: heard! } : undefined
      return term === after.term ? { action: "VoteAsked", heard: heard! } : undefined
    case "Vote": {
      const isOurs = body.granted && (body.pre ? before.role === "PreCandidate" && term === before.term + 1 : before.role === "Candidate" && term === before.term)
      if (isOurs) return { action: "Voted", heard: heard! }
      const isDenied = !body.granted && !isRaised && term === before.term && before.role === (body.pre ? "PreCandidate" : "Candidate")
      return isDenied ? { action: "Denied", by: message.from } : raised
    }
    case "Append": return term === after.term && term >= before.term ? { action: "AppendAsked", heard: heard! } : undefined
    case "Offer": return term === after.term && term >= before.term ? { action: "Offered", heard: heard! } : undefined
    case "Appended":
    case "Refused":
    case "Heard": {
      if (before.role !== "Leader" || term !== before.term) return raised
      if (!isChanged) return undefined
      const round = roundIn(message)
      const mode = state.peers.get(message.from)?.mode
      const isMinded = mode === "Probe" || mode === "Replicate"
      const answer = body._tag === "Heard" ? undefined : saidOf(message).find(({ m }) => m === body._tag)
      if (body._tag === "Appended") return { action: "AppendedBy", heard: answer!, round }
      const copiesIn = ({ match }: After): number => match.find(([other]) => other === message.from)?.[1] ?? 0
      // One to whom a state is offered may say what it has lost once that is there.
      if (answer?.m === "Refused" && (copiesIn(after) < copiesIn(before) || isMinded || after.last > before.last)) return { action: "RefusedBy", heard: answer, round }
      return round === 0 ? undefined : { action: "HeardOf", heard: saidOf(message).find(({ m }) => m === "Heard")!, round }
    }
    case "TimeoutNow": return isRaised && after.role === "Candidate" ? { action: "TimeoutNow", heard: heard! } : raised
    case "ReadAsked": return before.role === "Leader" && after.role === "Leader" && isChanged ? { action: "ReadAsked", read: body.read } : raised
    case "ReadAnswered": return body.index === undefined || term < after.term ? raised : { action: "ReadAnswered", heard: heard! }
    case "EntriesWanted": return isChanged ? { action: "EntriesWanted", heard: heard! } : undefined
    case "EntriesFound": return before.role !== "Leader" || isRaised ? { action: "EntriesFound", heard: heard! } : undefined
    case "StateFound": return isChanged ? { action: "StateFound", heard: heard! } : undefined
  }
}
