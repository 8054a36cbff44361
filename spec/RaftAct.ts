/**
 * RaftAct: what one step of a replica must bring about, said a second time after tla/raft/Raft.tla: from what the replica was and what
 * happened, what it is then, and what it may say. Between RaftMonitor.ts, which knows the group, and RaftTurn.ts.
 *
 * What a command says, and when somebody loses patience, is not known here; when a leader counts once more may differ by a step.
 */
import { appendAsked, compact, entriesFound, entriesWanted, installed, offered, wants } from "./RaftFollower.ts"
import { keyOf, type Log, must, noConf, sameConf, samePlace, sameSlot, votersOf } from "./RaftReplica.ts"
import { anything, type Of, type RaftTurn } from "./RaftTurn.ts"
import type { After, Said } from "./RaftTrace.ts"

const fields: ReadonlyArray<keyof After> = ["role", "term", "vote", "leader", "commit", "handed", "first", "last", "gap", "pending", "match", "round", "rounds", "reads", "fetching", "proving"]

/** Before what was written is looked at. */
export const begin = (turn: RaftTurn): void => {
  const { action } = turn.step
  if (action === "Persisted") return
  take(turn)
  turn.settle()
}

const take = (turn: RaftTurn): void => {
  const step = turn.step
  const next = turn.next
  const before = turn.before
  switch (step.action) {
    case "StandOrAsk": return turn.standOrAsk()
    case "VoteAsked": return turn.voteAsked(step.heard as Of<"RequestVote">)
    case "Voted": return turn.voted(step.heard as Of<"Vote">)
    case "TimeoutNow": {
      const { term, to } = step.heard as Of<"TimeoutNow">
      turn.demand(term >= before.term && before.role !== "Leader" && to === turn.replica.id, "it need not stand")
      if (term > before.term) turn.follow(term, "")
      return turn.stand(true)
    }
    case "StepDown":
      turn.demand(before.role === "Leader", "it does not lead")
      return turn.follow(before.term, "")
    case "Failed": return turn.follow(before.term, "")
    case "Raised":
      turn.demand(step.term > before.term, "it is no later term")
      return turn.follow(step.term, "")
    case "Denied": return turn.denied(step.by)
    case "Propose":
      turn.demand(before.role === "Leader", "it does not lead")
      return turn.appendOwn(noConf, anything)
    case "ChangeMembership": return turn.change(step.target)
    case "AppendedBy":
    case "RefusedBy":
    case "HeardOf": return turn.answered(step.heard, step.round)
    case "AppendAsked": return appendAsked(turn, step.heard as Of<"Append">)
    case "Offered": return offered(turn, step.heard as Of<"Offer">)
    case "Read":
    case "ReadAsked":
      if (before.role === "Leader") turn.replica.reads.push({ read: step.read, round: 0, index: 0 })
      return
    case "ReadAnswered": {
      const { index, read, term } = step.heard as Of<"ReadAnswered">
      turn.demand(term >= before.term, "it is of a term that is over")
      if (term > before.term) turn.follow(term, "")
      turn.answers = [`${read} ${index}`]
      return
    }
    case "Compact": return compact(turn, step.place)
    case "SnapshotInstalled": return installed(turn, step.place)
    case "SnapshotFailed":
      next.fetching = 0
      return
    case "EntriesWanted": return entriesWanted(turn, step.heard as Of<"EntriesWanted">)
    case "EntriesFound": return entriesFound(turn, step.heard as Of<"EntriesFound">)
    case "StateFound": {
      const { place, term } = step.heard as Of<"StateFound">
      if (term > before.term) turn.follow(term, "")
      const { gap } = turn.now
      if (gap > 0 && gap <= place.i) wants(turn, place)
      return
    }
    case "Beat":
    case "Persisted": return
  }
}

/** After what was written is on its way. */
export const judge = (turn: RaftTurn, was: Log): void => {
  const { id } = turn.replica
  const step = turn.step
  turn.base = was
  if (step.action === "Persisted") persisted(turn)
  compare(turn, was)
  for (const said of step.said) turn.demand(maySay(turn, said), `it says what it has not come to: ${keyOf(said)}`)
  if (step.answered.length === 0 && turn.answers.length === 0) return
  const answers = new Set(step.answered.map(({ index, read }) => `${read} ${index}`))
  must("ReadIsLinearizable", answers.size === new Set(turn.answers).size && turn.answers.every((one) => answers.has(one)), () => `${id} answers ${[...answers].join(", ")}; nothing but ${turn.answers.join(", ")} may be answered`)
}

/** What is written may count. A leader that need not count again does not always. */
const persisted = (turn: RaftTurn): void => {
  const { after } = turn.step
  const replica = turn.replica
  turn.elect(replica.disk.term === turn.before.term && replica.disk.vote === replica.id)
  const isCounted = after.commit > turn.before.commit || after.last > turn.before.last
  if (turn.before.role === "Leader" && isCounted) turn.count(Math.min(turn.base.last, replica.durableBefore(turn.step.written.length)))
  turn.settle()
}

const compare = (turn: RaftTurn, was: Log): void => {
  const replica = turn.replica
  const { after, written } = turn.step
  const next = turn.next
  const log = turn.log ?? was
  const [one] = written
  const isLogWritten = one !== undefined && (one.entries.length > 0 || one.cut > 0 || one.place.length > 0)
  turn.log?.conclude()
  if (turn.log !== undefined && turn.step.action === "EntriesFound") learn(turn, one?.entries.map(({ i }) => i) ?? [])
  if (turn.log !== undefined || isLogWritten) {
    const now = replica.log
    const isSame = now.last === log.last && samePlace(now.place, log.place) && log.slots.every((slot, at) => slot === now.slots[at] || (slot.what === anything ? now.slots[at]!.t === slot.t && sameConf(now.slots[at]!.c, slot.c) : sameSlot(slot, now.slots[at]!)))
    must("Steps", isSame, () => `${replica.id}: ${turn.step.action}: its log is another than what it must be: ${now.last} entries, not ${log.last}`)
  }
  const isHard = next.term !== turn.before.term || next.vote !== turn.before.vote
  const [hard] = one?.hard ?? []
  must("PromisesAreDurable", (hard === undefined) === !isHard && (hard === undefined || (hard.term === next.term && hard.vote === next.vote)), () => `${replica.id} writes ${hard === undefined ? "no term" : `term ${hard.term} vote ${hard.vote}`}; it has term ${next.term} vote ${next.vote}`)
  must("SnapshotIsWhole", !replica.isUnwritten || one !== undefined, () => `${replica.id} began with a log that its disk has not, and does not write it`)
  replica.isUnwritten = false
  next.last = log.last
  next.first = log.place.i
  next.gap = log.gap
  next.pending = replica.pending.length
  next.reads = replica.reads.length < 2 ? replica.reads.length : new Set(replica.reads.map(({ index, read, round }) => `${read} ${round} ${index}`)).size
  next.handed = Math.max(next.handed, Math.min(next.commit, replica.durable, log.readable))
  for (const name of fields) {
    must("Steps", next[name] === after[name] || String(next[name]) === String(after[name]), () => `${replica.id}: ${turn.step.action}: ${name} is ${String(after[name])}, and must be ${String(next[name])}`)
  }
}

/** Terms of gaps are kept in memory alone. */
const learn = (turn: RaftTurn, filled: ReadonlyArray<number>): void => {
  const { log } = turn.replica
  turn.log!.slots.forEach((slot, at) => {
    const index = log.place.i + 1 + at
    if (!slot.ok && !filled.includes(index)) log.put(index, slot)
  })
}

const maySay = (turn: RaftTurn, said: Said): boolean => {
  const { heardRounds, id, log, owed } = turn.replica
  const { after } = turn.step
  const before = turn.before
  const leads = (after.role === "Leader" || before.role === "Leader") && said.term === after.term
  const isRound = (round: number): boolean => isBetween(round, before.role === "Leader" ? before.round : 0, Math.max(before.round, after.round))
  // Copies that count one after another once they are written may each bring more to be committed.
  const isCommit = ({ commit, entries, prev }: Of<"Append">): boolean =>
    isBetween(commit, Math.min(turn.step.action === "Persisted" ? before.commit : after.commit, prev + entries.length), Math.min(after.commit, prev + entries.length))
  switch (said.m) {
    case "RequestVote":
    case "Vote": return said.from === id && (said.pre ? turn.may : owed).has(keyOf(said))
    case "Appended": return said.from === id && owed.has(keyOf(said))
    case "EntriesFound":
    case "StateFound": return turn.may.has(keyOf(said))
    case "TimeoutNow": return leads && said.from === id && votersOf(log.newest.conf).includes(said.to) && turn.believed.get(said.to) === log.last
    case "Append": return leads && said.from === id && said.prev >= log.place.i && log.termAt(said.prev) === said.prevTerm && said.prev + said.entries.length <= log.last
      && said.entries.every((entry, at) => sameSlot(entry, log.at(said.prev + 1 + at)!)) && isCommit(said) && isRound(said.round)
    case "Offer": return leads && said.from === id && samePlace(said.place, log.place) && said.place.i > 0 && isRound(said.round)
    case "Refused": return turn.may.has(keyOf(said))
    case "Heard": return said.from === id && said.term === after.term && heardRounds.has(`${said.to} ${said.round}`)
    case "EntriesWanted": return said.from === id && said.term === after.term && said.low === log.gap && said.high === endOfGaps(log)
    case "ReadAnswered": return said.from === id && said.term === after.term && turn.answers.includes(`${said.read} ${said.index}`)
  }
}

const isBetween = (value: number, least: number, most: number): boolean => least <= value && value <= most

/** Whoever is asked tells up to an entry that can be read here. */
const endOfGaps = (log: Log): number => {
  let to = log.gap
  while (to < log.last && !log.at(to)!.ok) to += 1
  return to
}
