/**
 * RaftTurn: one step of a replica under way, said a second time after tla/raft/Raft.tla: what it becomes by elections, by leading and at
 * the end of every step, and what it may say then. Between RaftAct.ts, which knows what happened, and RaftReplica.ts.
 */
import { decides, isJoint, keyOf, type Log, membersOf, must, noConf, reachedBy, type Replica, settled, towards, votersOf } from "./RaftReplica.ts"
import type { After, Conf, RaftStep, Said } from "./RaftTrace.ts"

export type Taken = Exclude<RaftStep, { readonly action: "Begin" | "Crash" | "Saved" }>
type Writable<A> = { -readonly [K in keyof A]: A[K] }
export type Of<M extends Said["m"]> = Extract<Said, { readonly m: M }>

/** Of an own entry: what it says is the client's. */
export const anything = "?"

export class RaftTurn {
  readonly replica: Replica
  readonly step: Taken
  readonly before: After
  readonly next: Writable<After>
  /** What its log was. */
  base: Log
  /** What it must be; undefined: as it was. */
  log: Log | undefined
  readonly match: Map<string, number>
  readonly rounds: Map<string, number>
  /** What it believed of copies before it may have stepped down. */
  believed: ReadonlyMap<string, number> = new Map()
  /** What it may say at once; what it may say once it is written is owed. */
  readonly may = new Set<string>()
  answers: ReadonlyArray<string> = []

  constructor(replica: Replica, step: Taken) {
    this.replica = replica
    this.step = step
    this.base = replica.log
    this.before = replica.after
    this.next = { ...replica.after }
    this.match = new Map(replica.after.match)
    this.rounds = new Map(replica.after.rounds)
  }

  get now(): Log {
    return this.log ?? this.base
  }

  changed(): Log {
    this.log ??= this.base.copy
    return this.log
  }

  demand(holds: boolean, why: string): void {
    must("Steps", holds, () => `${this.replica.id}: ${this.step.action}: ${why}`)
  }

  // Elections.

  follow(term: number, leader: string): void {
    const next = this.next
    if (term > next.term) {
      next.vote = ""
      this.replica.proving = []
      this.replica.owed.clear()
      this.replica.heardRounds.clear()
      next.proving = [0, 0]
    }
    next.term = term
    next.role = "Follower"
    next.leader = leader
    next.round = 0
    this.match.clear()
    this.rounds.clear()
    this.replica.forgetVotes()
    this.replica.reads.length = 0
  }

  mayStand(): boolean {
    const { id } = this.replica
    const { conf, index } = this.now.newest
    return this.now.gap === 0 && (votersOf(conf).includes(id) || (index > this.next.commit && votersOf(this.now.confAt(index - 1).conf).includes(id)))
  }

  standOrAsk(): void {
    const { id } = this.replica
    this.demand(this.before.role !== "Leader", "it leads")
    this.next.leader = ""
    if (!this.mayStand()) return
    this.replica.forgetVotes()
    if (decides(this.now.newest.conf, (one) => one === id)) return this.stand(false)
    this.next.role = "PreCandidate"
    this.may.add(keyOf(this.requestOf(this.next.term + 1, true, false)))
  }

  requestOf(term: number, pre: boolean, transfer: boolean): Said {
    return { m: "RequestVote", from: this.replica.id, term, pre, transfer, lastIndex: this.now.last, lastTerm: this.now.lastTerm(this.next.term) }
  }

  stand(transfer: boolean): void {
    if (!this.mayStand()) return
    const { id, owed } = this.replica
    this.next.role = "Candidate"
    this.next.leader = ""
    this.next.term += 1
    this.next.vote = id
    owed.clear()
    this.replica.forgetVotes()
    owed.add(keyOf(this.requestOf(this.next.term, false, transfer)))
  }

  voteAsked(asked: Of<"RequestVote">): void {
    const { id, owed } = this.replica
    const ours = this.now.lastTerm(asked.pre || asked.term === this.before.term ? this.before.term : asked.term)
    const isNewEnough = asked.lastTerm > ours || (asked.lastTerm === ours && asked.lastIndex >= this.now.last)
    const isFree = (): boolean => (this.next.vote === "" && this.next.leader === "") || this.next.vote === asked.from
    const vote: Said = { m: "Vote", from: id, to: asked.from, term: asked.term, pre: asked.pre }
    if (asked.pre) {
      const { role, term } = this.before
      this.demand(asked.term >= term && (asked.term > term || isFree()) && isNewEnough, "it may not be told to stand")
      must("Undisturbed", role !== "Leader", () => `${id}, who leads, tells ${asked.from} that it may stand`)
      this.may.add(keyOf(vote))
      return
    }
    this.demand(asked.term >= this.before.term, "it asks in a term that is over")
    if (asked.term > this.before.term) this.follow(asked.term, "")
    if (!isFree() || !isNewEnough) return
    this.next.vote = asked.from
    owed.add(keyOf(vote))
  }

  voted({ from, pre, term, to }: Of<"Vote">): void {
    const { disk, id, votes } = this.replica
    const { role, term: now } = this.before
    this.demand(to === id && (pre ? role === "PreCandidate" && term === now + 1 : role === "Candidate" && term === now), "nobody waits for that vote")
    votes.add(from)
    this.replica.refusals.delete(from)
    const conf = this.now.newest.conf
    if (pre) return decides(conf, (one) => one === id || votes.has(one)) ? this.stand(false) : undefined
    this.elect(disk.term === now && disk.vote === id)
  }

  /** So many that no quorum can be had any more: it stands no longer. */
  denied(by: string): void {
    const { refusals, votes } = this.replica
    const { role, term } = this.before
    this.demand(role === "Candidate" || role === "PreCandidate", "it does not stand")
    votes.delete(by)
    refusals.add(by)
    if (!decides(this.now.newest.conf, (one) => !refusals.has(one))) this.follow(term, "")
  }

  elect(hasOwn: boolean): void {
    const { id, votes } = this.replica
    if (this.next.role !== "Candidate" || !decides(this.now.newest.conf, (one) => votes.has(one) || (hasOwn && one === id))) return
    this.next.role = "Leader"
    this.next.leader = id
    this.next.round = 0
    this.replica.forgetVotes()
    this.appendOwn(noConf, "")
  }

  // The leader.

  appendOwn(c: Conf, what: string): void {
    const log = this.changed()
    log.put(log.last + 1, { t: this.next.term, c, ok: true, what })
  }

  change(target: Conf): void {
    const { commit, role, term } = this.before
    const { conf, index } = this.now.newest
    this.demand(role === "Leader" && !isJoint(conf) && index <= commit && this.now.termAt(commit) === term && target.voters.length > 0, "membership may not change now")
    this.appendOwn(towards(conf, target), "")
  }

  count(durable: number): void {
    const { id } = this.replica
    const { conf, index } = this.now.newest
    const reached = reachedBy(conf, (one) => (one === id ? durable : this.match.get(one) ?? 0))
    if (reached <= this.next.commit || this.now.termAt(reached) !== this.next.term) return
    this.next.commit = reached
    if (index <= reached && isJoint(conf)) this.appendOwn(settled(conf), "")
  }

  answered(heard: Said, round: number): void {
    const { durable, id } = this.replica
    const { role, term } = this.before
    const { from } = heard as Of<"Heard">
    this.demand(role === "Leader" && heard.term === term && "to" in heard && heard.to === id, "nobody waits for that answer")
    if (this.rounds.has(from)) {
      must("ReadIsLinearizable", round <= this.before.round, () => `${from} answers round ${round}, which has not begun`)
      this.rounds.set(from, Math.max(this.rounds.get(from)!, round))
      const match = this.match.get(from)!
      if (heard.m === "Refused") this.match.set(from, Math.min(match, heard.hint))
      if (heard.m === "Appended" && heard.match <= this.now.last && heard.match >= match) {
        this.match.set(from, heard.match)
        this.count(durable)
      }
    }
    // Entries for a damaged one: so that it sees what it may forget.
    const fillers = this.step.after.last - this.now.last
    if (this.step.action !== "AppendedBy" || heard.m === "Appended") for (let count = 0; count < fillers; count += 1) this.appendOwn(noConf, "")
  }

  members(): void {
    if (this.next.role !== "Leader") {
      this.next.match = []
      this.next.rounds = []
      return
    }
    const members = membersOf(this.now.newest.conf).filter((one) => one !== this.replica.id)
    const of = (values: ReadonlyMap<string, number>): After["match"] => members.map((one) => [one, values.get(one) ?? 0])
    this.next.match = of(this.match)
    this.next.rounds = of(this.rounds)
  }

  // Every step.

  /** Reads whose round is over are answered, and the next round begins. */
  reads(): void {
    const { id } = this.replica
    const next = this.next
    if (next.role !== "Leader" || this.replica.reads.length === 0 || this.now.termAt(next.commit) !== next.term) return
    const conf = this.now.newest.conf
    const answer = (): void => {
      const reached = reachedBy(conf, (one) => (one === id ? next.round : this.rounds.get(one) ?? 0))
      const ready = this.replica.reads.filter(({ round }) => round > 0 && round <= reached)
      this.answers = [...this.answers, ...ready.map(({ index, read }) => `${read} ${index}`)]
      this.replica.reads.splice(0, Infinity, ...this.replica.reads.filter((one) => !ready.includes(one)))
    }
    answer()
    if (this.replica.reads.length === 0 || this.replica.reads.some(({ round }) => round > 0)) return
    next.round += 1
    for (const one of this.replica.reads) Object.assign(one, { round: next.round, index: next.commit })
    answer()
  }

  settle(): void {
    const next = this.next
    const { conf, index } = this.now.newest
    this.believed = new Map(this.match)
    if (next.role === "Leader" && index <= next.commit && !votersOf(conf).includes(this.replica.id)) this.follow(next.term, "")
    this.reads()
    this.members()
  }
}
