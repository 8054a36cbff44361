/**
 * RaftMonitor: judges what the replicas of one group did, in all their lives: what must hold of the group after every step
 * (the invariants of tla/raft/Raft.tla, said a second time), and of each step whether it is the action that it says. It sits between a
 * trace (RaftTrace.ts) and tests and simulations; TraceRaft.tla judges the same traces, and the two must agree.
 *
 * It knows each replica's memory, its disk as far as that was told to be written, and what a crash may have left. Time it does
 * not know: who hears a leader, and when patience ends, is not judged.
 */
import { begin, judge } from "./RaftAct.ts"
import { Broken, decides, isConf, keyOf, Log, membersOf, must, noConf, Replica, sameConf, sameSlot, votersOf } from "./RaftReplica.ts"
import { RaftTurn } from "./RaftTurn.ts"
import type { After, Conf, Place, RaftStep, RaftTrace, Said, Slot } from "./RaftTrace.ts"

export type RaftVerdict =
  | { readonly _tag: "Accepted"; readonly steps: number }
  | { readonly _tag: "Refused"; readonly index: number; readonly invariant: string; readonly why: string }

export class RaftMonitor {
  readonly #replicas = new Map<string, Replica>()
  /** All that was ever known to be committed anywhere. */
  readonly #chosen: Array<Slot> = []
  readonly #led = new Map<number, string>()
  /** Of every read: how much was chosen when it was asked. */
  readonly #asked = new Map<number, number>()
  readonly #said = new Set<Said>()
  #keys: Set<string> | undefined
  /** Answers of rounds. */
  readonly #heard = new Set<string>()
  /** The entry that stands at a place in a term, and the term before it: the same in all logs that have it. */
  readonly #entries = new Map<string, { readonly slot: Slot; before: number }>()
  #first: Conf = noConf
  #steps = 0
  #isFinished = false
  /** What only holds while rules of steps are kept, is not judged where this is false. */
  readonly #judgesSteps: boolean

  /** Of running replicas nobody sees when a state that was fetched is on the disk: whoever learns it late says so, and a life may have ended before. TLC is given no such trace. */
  readonly #knowsLate: boolean

  constructor(judgesSteps = true, knowsLate = false) {
    this.#judgesSteps = judgesSteps
    this.#knowsLate = knowsLate
  }

  get steps(): number {
    return this.#steps
  }

  /** Takes one step; throws Broken. */
  step(step: RaftTrace[number]): void {
    must("Steps", !this.#isFinished, () => "the trace had ended")
    if (step.action === "Finish") {
      must("Steps", step.steps === this.#steps && this.#steps > 0 && (step.at as string) === "", () => `${step.steps} steps are told of, and there were ${this.#steps}`)
      this.#isFinished = true
      return
    }
    this.#steps += 1
    if (step.action === "Begin" || step.action === "Crash") return this.#start(step)
    const replica = this.#replicas.get(step.at)
    must("Steps", replica !== undefined, () => `${step.at} has not begun`)
    if (step.action === "Saved") return this.#save(replica, step.place, step.after)
    this.#follow(replica, step)
  }

  get isFinished(): boolean {
    return this.#isFinished
  }

  #start(step: Extract<RaftStep, { readonly action: "Begin" | "Crash" }>): void {
    const { after, at, found } = step
    let replica = this.#replicas.get(at)
    if (step.action === "Begin") {
      must("Steps", replica === undefined && found.slots.length === 0 && found.term === 0 && found.vote === "" && found.place.i === 0, () => `${at} begins with what is not its own`)
      replica = new Replica(at, found, after)
      this.#replicas.set(at, replica)
      // Whoever comes in later begins with none.
      if (isConf(found.place.c)) this.#first = found.place.c
    } else {
      must("Steps", replica !== undefined, () => `${at} has not begun`)
      must("PromisesAreDurable", found.term >= replica.disk.term && (found.term > replica.disk.term || replica.disk.vote === "" || found.vote === replica.disk.vote), () => `${at} had term ${replica!.disk.term} and vote ${replica!.disk.vote} on its disk, and begins again with ${found.term} and ${found.vote}`)
      must("CorruptIsNotAbsent", replica.mayBeLeft(found), () => `${at} finds on its disk what no crash leaves: ${found.slots.length} entries behind ${found.place.i}, term ${found.term} vote ${found.vote}`)
      must("SnapshotIsWhole", found.saved.i === replica.saved.i && found.saved.t === replica.saved.t, () => `${at} has a state up to ${replica!.saved.i}, and finds one up to ${found.saved.i}`)
      replica.disk = { term: found.term, vote: found.vote, log: new Log(found.place, found.slots) }
      replica.start()
      replica.after = after
    }
    this.#isState(found.saved, at)
    const { log, saved } = replica
    must("CorruptIsNotAbsent", after.last === log.last && after.gap === log.gap && after.first === log.place.i, () => `${at} begins with a log up to ${after.last}, its first gap ${after.gap}; its disk has one up to ${log.last}, its first gap ${log.gap}`)
    const handed = Math.max(saved.i, log.place.i)
    must("Steps", after.role === "Follower" && after.term === found.term && after.vote === found.vote && after.leader === "" && after.commit === handed && after.handed === handed && after.pending + after.round + after.reads + after.fetching + after.match.length + after.rounds.length + after.proving[0] + after.proving[1] === 0, () => `${at} begins with more than its disk has`)
    this.#members()
  }

  #save(replica: Replica, place: Place, after: After): void {
    this.#isState(place, replica.id)
    must("Steps", JSON.stringify(after) === JSON.stringify(replica.after), () => `${replica.id} saves a state, and has another memory behind it`)
    const { fetching, handed } = replica.after
    const isFetched = this.#knowsLate && fetching > 0 && place.i >= fetching
    must("SnapshotIsWhole", place.i > replica.saved.i && (place.i <= handed || isFetched), () => `${replica.id} has a state up to ${place.i}, and ${replica.after.handed} are applied`)
    replica.saved = place
  }

  #follow(replica: Replica, step: Exclude<RaftStep, { readonly action: "Begin" | "Crash" | "Saved" }>): void {
    const { after: before, id } = replica
    const { after } = step
    const turn = new RaftTurn(replica, step)
    if ("heard" in step) must("Steps", this.#wasSaid(step.heard), () => `${id} hears what nobody said: ${keyOf(step.heard)}`)
    if ("round" in step && step.round > 0) must("Steps", this.#heard.has(answerTo(step.heard as Extract<Said, { readonly m: "Heard" }>, step.round)), () => `${id} hears of round ${step.round}, and nobody answered it`)
    if (this.#judgesSteps) begin(turn)
    if (step.action === "Read" && !this.#asked.has(step.read)) this.#asked.set(step.read, this.#chosen.length)
    if (step.action === "Persisted") must("Steps", replica.persist()?.ticket === step.ticket, () => `${id}: ${step.ticket} is not what is written next`)
    const was = step.written.length > 0 ? replica.log.copy : replica.log
    for (const one of step.written) {
      replica.ticket += 1
      must("Steps", one.ticket === replica.ticket, () => `${id}: ticket ${one.ticket} comes after ${replica.ticket - 1}`)
      replica.pending.push(one)
      replica.log.write(one)
      must("Steps", !one.entries.some(({ i }) => i > replica.log.last) && replica.log.isDense, () => `${id} writes entries that leave a hole`)
      this.#matches(replica.log, one.entries.map(({ i }) => i))
      for (const place of one.place) this.#isState(place, id)
    }
    if (step.written.length > 0) replica.log.conclude()
    if (step.action === "SnapshotInstalled") {
      this.#isState(step.place, id)
      if (step.place.i > replica.saved.i) replica.saved = step.place
    }
    replica.after = after
    this.#judge(replica, before, was, step)
    if (this.#judgesSteps) judge(turn, was)
    for (const said of step.said) this.#say(replica, said)
  }

  /** What must hold of the group. */
  #judge(replica: Replica, before: Replica["after"], was: Log, step: Exclude<RaftStep, { readonly action: "Begin" | "Crash" | "Saved" }>): void {
    const { after, id, log } = replica
    const isLeader = after.role === "Leader"
    if (isLeader) this.#leads(replica, before)
    if (isLeader && (before.role === "Leader" || before.role === "Candidate") && before.term === after.term) {
      must("LeaderAppends", step.written.every(({ cut, entries }) => cut === 0 && entries.every(({ i }) => i > was.last)), () => `${id}, who leads, changes its own log`)
    }
    must("StateMachineSafety", after.first <= after.handed && after.handed <= after.commit && after.commit <= log.last && after.commit >= before.commit && after.handed >= before.handed, () => `${id} has a log up to ${log.last}, ${after.commit} committed, ${after.handed} handed out`)
    if (after.commit > before.commit) this.#commits(replica, before)
    if (after.handed > before.handed) this.#applies(replica, before.handed)
    for (const { index, read } of step.answered) {
      const least = this.#asked.get(read)
      must("ReadIsLinearizable", least !== undefined && index >= least, () => `read ${read} is told ${index}, and ${least} were committed when it was asked`)
    }
    if (step.written.some(({ cut, entries, place }) => cut > 0 || place.length > 0 || entries.some(({ e }) => isConf(e.c)))) this.#members()
  }

  #leads(replica: Replica, before: Replica["after"]): void {
    const { after: { term }, id } = replica
    const other = this.#led.get(term)
    must("ElectionSafety", other === undefined || other === id, () => `${other} and ${id} both lead in term ${term}`)
    if (before.role === "Leader" && before.term === term) return
    this.#led.set(term, id)
    const voted = (one: string): boolean => {
      const disk = this.#replicas.get(one)?.disk
      return disk !== undefined && (disk.term > term || (disk.term === term && disk.vote === id))
    }
    must("PromisesAreDurable", voted(id) && decides(replica.log.confAt(before.last).conf, voted), () => `${id} leads in term ${term} without a majority of votes on disks`)
    this.#isComplete(replica)
  }

  /** The newest leader has all that was ever committed, and can read it. */
  #isComplete({ after: { term }, id, log }: Replica, from = log.place.i + 1): void {
    if ([...this.#led.keys()].some((other) => other > term)) return
    for (let index = Math.max(from, log.place.i + 1); index <= this.#chosen.length; index += 1) {
      const slot = log.at(index)
      must("LeaderCompleteness", slot !== undefined && sameSlot(slot, this.#chosen[index - 1]!), () => `${id} leads in term ${term} without ${index}, which was committed`)
    }
  }

  #commits(replica: Replica, { commit, last, role, term }: Replica["after"]): void {
    const { after, id, log } = replica
    // A leader that commits its own dismissal leads no longer.
    const isByCount = role === "Leader" && term === after.term
    const begin = this.#chosen.length
    for (let index = Math.max(commit, log.place.i) + 1; index <= after.commit; index += 1) {
      const slot = log.at(index)!
      if (index > this.#chosen.length) {
        must("StateMachineSafety", isByCount && slot.ok, () => `${id} takes ${index} for committed, which nobody has committed`)
        this.#chosen.push(slot)
      }
      const chosen = this.#chosen[index - 1]!
      must("StateMachineSafety", slot.ok ? sameSlot(slot, chosen) : slot.t < 0 || slot.t === chosen.t, () => `${id} takes for committed at ${index} what is not what was committed there`)
    }
    if (this.#chosen.length > begin) for (const other of this.#replicas.values()) if (other.after.role === "Leader") this.#isComplete(other, begin + 1)
    if (!isByCount) return
    const slot = log.at(after.commit)
    must("LeaderCompleteness", slot === undefined || slot.t === after.term, () => `${id} commits ${after.commit} of term ${slot?.t} by counting copies in term ${after.term}`)
    // What it counts may have rotted since: corrupt is not absent.
    const has = (other: string): boolean => {
      const found = this.#replicas.get(other)
      if (found === undefined || slot === undefined) return slot === undefined
      const copy = found.disk.log.at(after.commit)
      return after.commit <= Math.max(found.disk.log.place.i, found.saved.i) || (copy !== undefined && (copy.t < 0 || copy.t === slot.t))
    }
    must("CommittedStays", decides(log.confAt(last).conf, has), () => `${id} commits ${after.commit} in term ${after.term}, and no majority has it on the disk`)
  }

  #applies({ after, disk, id, log, saved }: Replica, handed: number): void {
    for (let index = Math.max(handed, log.place.i) + 1; index <= after.handed; index += 1) {
      const slot = disk.log.at(index)
      const isThere = index <= Math.max(disk.log.place.i, saved.i) || (slot !== undefined && slot.ok && sameSlot(slot, this.#chosen[index - 1]!))
      must("AppliedIsDurable", isThere && (log.at(index)?.ok ?? false), () => `${id} applies ${index}, which its disk does not have`)
    }
  }

  /** Entries that were written, and what they follow on, are the same wherever they are. */
  #matches(log: Log, indexes: ReadonlyArray<number>): void {
    for (const index of new Set(indexes.flatMap((at) => [at, at + 1]))) {
      const slot = log.at(index)
      if (slot === undefined || slot.t < 0) continue
      const before = log.termAt(index - 1) ?? -1
      must("LogMatching", before <= slot.t, () => `terms fall: ${slot.t} at ${index} after ${before}`)
      if (!slot.ok) continue
      const key = `${index} ${slot.t}`
      const known = this.#entries.get(key)
      if (known === undefined) {
        this.#entries.set(key, { slot, before })
        continue
      }
      must("LogMatching", sameSlot(known.slot, slot), () => `there are two entries ${index} of term ${slot.t}`)
      must("LogMatching", known.before < 0 || before < 0 || known.before === before, () => `entry ${index} of term ${slot.t} follows on one of term ${known.before}, and elsewhere on one of ${before}`)
      if (known.before < 0) known.before = before
    }
  }

  /** Whoever can be elected under their configurations cannot be so without each other. */
  #members(): void {
    const deciding: Array<Conf> = []
    for (const { conf, log } of this.#replicas.values()) {
      if (deciding.some((other) => sameConf(other, conf))) continue
      const isNewest = log.last >= this.#chosen.length && this.#chosen.every((slot, at) => at < log.place.i || (log.at(at + 1)!.ok && sameSlot(log.at(at + 1)!, slot)))
      if (isNewest) deciding.push(conf)
    }
    for (const [at, one] of deciding.entries()) {
      must("MembershipSafety", votersOf(one).length > 0, () => "a configuration has no voters")
      for (const other of deciding.slice(at + 1)) must("MembershipSafety", overlap(one, other), () => `${JSON.stringify(one)} and ${JSON.stringify(other)} may decide without each other`)
    }
  }

  #isState(place: Place, id: string): void {
    const chosen = this.#chosen[place.i - 1]
    let conf = this.#first
    for (let at = Math.min(place.i, this.#chosen.length); at > 0; at -= 1) {
      if (!isConf(this.#chosen[at - 1]!.c)) continue
      conf = this.#chosen[at - 1]!.c
      break
    }
    // Whoever comes in later knows of no configuration until it has a state or a log.
    const isConfThere = sameConf(place.c, conf) || (place.i === 0 && !isConf(place.c))
    must("SnapshotIsWhole", (place.i === 0 ? place.t === 0 : chosen?.t === place.t) && isConfThere, () => `${id} has a state up to ${place.i} of term ${place.t} with ${JSON.stringify(place.c)}; ${chosen === undefined ? "that was not committed" : `committed is one of term ${chosen.t} with ${JSON.stringify(conf)}`}`)
  }

  /** What it promises is on its disk. */
  #say({ after, disk, id, log }: Replica, said: Said): void {
    if (said.m === "Vote" || said.m === "RequestVote") {
      const whom = said.m === "Vote" ? said.to : id
      const isKept = said.pre || disk.term > said.term || (disk.term === said.term && disk.vote === whom)
      must("PromisesAreDurable", isKept, () => `${id} says that it votes for ${whom} in term ${said.term}; its disk has ${disk.vote === "" ? "no vote" : disk.vote} in ${disk.term}`)
    } else if (said.m === "Appended" && said.term === after.term) {
      must("PromisesAreDurable", disk.term >= said.term, () => `${id} acknowledges in term ${said.term}, which its disk does not have`)
      must("CorruptIsNotAbsent", said.match <= disk.log.readable, () => `${id} acknowledges ${said.match}, and its disk can read no further than ${disk.log.readable}`)
      const mine = log.at(said.match)
      const kept = disk.log.at(said.match)
      must("PromisesAreDurable", mine === undefined || kept === undefined || sameSlot(mine, kept), () => `${id} acknowledges ${said.match}, which its disk does not have`)
    }
    if (said.m === "Heard") this.#heard.add(answerTo(said, said.round))
    this.#said.add(said)
    this.#keys?.add(keyOf(said))
  }

  #wasSaid(said: Said): boolean {
    if (this.#said.has(said)) return true
    this.#keys ??= new Set([...this.#said].map(keyOf))
    return this.#keys.has(keyOf(said))
  }
}

const answerTo = ({ from, term, to }: Extract<Said, { readonly m: "Heard" }>, round: number): string => `${from} ${to} ${term} ${round}`

const overlap = (one: Conf, other: Conf): boolean => {
  const all = [...new Set([...membersOf(one), ...membersOf(other)])]
  for (let ids = 0; ids < 2 ** all.length; ids += 1) {
    const has = (id: string): boolean => (ids & (1 << all.indexOf(id))) !== 0
    if (decides(one, has) && decides(other, (id) => !has(id))) return false
  }
  return true
}

/** A trace as a whole: one that does not end, or has nothing in it, is refused. */
export const judgeRaft = (trace: RaftTrace): RaftVerdict => {
  const monitor = new RaftMonitor()
  for (const [index, step] of trace.entries()) {
    try {
      monitor.step(step)
    } catch (error) {
      if (!(error instanceof Broken)) throw error
      return { _tag: "Refused", index, invariant: error.invariant, why: `${step.action} at ${step.at}: ${error.message}` }
    }
  }
  return monitor.isFinished ? { _tag: "Accepted", steps: monitor.steps } : { _tag: "Refused", index: trace.length, invariant: "Steps", why: "the trace does not end" }
}
