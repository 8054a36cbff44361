/**
 * Cluster: a few machines in one process, the messages on their way between them and the disks under them, each moved by hand
 * or by a seed. Claims after every step what no interleaving may break: one leader a term, the same entry at every index that
 * anyone applied, nothing committed is lost, reads see what was committed before they were asked.
 */
import { ok } from "node:assert"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Entry, HardState, LogIndex, ReplicaId, SnapshotPlace } from "../../src/raft/Entry.ts"
import type { Message } from "../../src/raft/Message.ts"
import { step } from "../../src/raft/Raft.ts"
import { invariants } from "../../src/raft/RaftInvariants.ts"
import { configurationAt, noSnapshot, type Slot, termAt } from "../../src/raft/RaftLog.ts"
import { RaftRecorder } from "../../sim/RaftRecorder.ts"
import { RaftMonitor } from "../../spec/RaftMonitor.ts"
import type { RaftStep } from "../../spec/RaftTrace.ts"
import { initialState, type RaftCommand, type RaftEvent, type RaftOptions, type RaftState } from "../../src/raft/RaftState.ts"
import { checkApplied, checkCommit, checkCopies, checkElected, checkSent, copiesOf } from "./Promises.ts"

export const options: RaftOptions = {
  electionMs: 1000, heartbeatMs: 200, appendBytesMax: 100, appendsInFlightMax: 4, uncommittedBytesMax: 10_000, readsWaitingMax: 100
}

type Persist = Extract<RaftCommand, { readonly _tag: "Persist" }>

/** What a replica has on its disk, and what is on its way there. */
export class ReplicaDisk {
  hardState: HardState = { term: 0, vote: undefined }
  snapshot: SnapshotPlace
  slots: Array<Slot> = []
  /** The state that is kept: entries applied, as their tokens, and where it stands. */
  state: { readonly tokens: ReadonlyArray<string>; readonly place: SnapshotPlace }
  readonly writing: Array<Persist> = []

  constructor(voters: ReadonlyArray<ReplicaId>) {
    this.snapshot = { ...noSnapshot, configuration: configurationOf(voters) }
    this.state = { tokens: [], place: this.snapshot }
  }

  /** The oldest of what is on its way is there. */
  write(): number | undefined {
    const next = this.writing.shift()
    if (next === undefined) return undefined
    const { entries, hardState, snapshot, ticket, truncateFrom } = next
    this.hardState = hardState ?? this.hardState
    if (truncateFrom !== undefined) this.slots.length = Math.max(0, Math.min(this.slots.length, truncateFrom - this.snapshot.index - 1))
    for (const entry of entries) {
      const at = entry.index - this.snapshot.index - 1
      if (at < 0) continue
      ok(at <= this.slots.length || snapshot !== undefined, `${entry.index} leaves a hole in the log`)
      this.slots[at] = entry
    }
    if (snapshot !== undefined) {
      this.slots.splice(0, snapshot.index - this.snapshot.index)
      this.snapshot = snapshot
    }
    return ticket
  }
}

export interface Replica {
  state: RaftState
  disk: ReplicaDisk
  isOn: boolean
  /** Applied, from the first index on. */
  applied: Array<string>
}

interface AskedRead {
  readonly replica: ReplicaId
  /** What was committed anywhere when it was asked. */
  readonly least: LogIndex
}

export const tokenOf = ({ body, index, term }: Entry): string =>
  `${index}/${term}:${body._tag === "Command" ? Buffer.from(body.bytes).toString() : body._tag === "Nothing" ? "-" : JSON.stringify(body.configuration)}`

/** From one to another, not back. */
export const wayOf = (from: ReplicaId, to: ReplicaId): string => `${from} -> ${to}`

export class Cluster {
  nowMs = 0
  readonly replicas = new Map<ReplicaId, Replica>()
  readonly wire: Array<Message> = []
  /** Everything that was ever applied anywhere. */
  readonly committed: Array<string> = []
  readonly leaders = new Map<number, ReplicaId>()
  readonly reads = new Map<number, AskedRead>()
  readonly answered: Array<number> = []
  readonly accepted = new Map<number, { readonly index: LogIndex; readonly term: number }>()
  readonly refusals: Array<string> = []
  /** Told of every command, before it is carried out. */
  told: (id: ReplicaId, command: RaftCommand) => void = () => undefined
  /** Told after every step, before its commands. */
  stepped: (id: ReplicaId, state: RaftState) => void = () => undefined
  /** Ways, as `wayOf` names them, on which everything is lost. */
  readonly cuts = new Set<string>()
  /** Ways on which everything waits while all else settles. */
  readonly slow = new Set<string>()
  /** Told of every step, once the monitor has judged it. */
  traced: (step: RaftStep) => void = (step) => void this.begun.push(step)
  /** What was traced before anyone listened: the first starts. */
  readonly begun: Array<RaftStep> = []
  #monitor: RaftMonitor | undefined = new RaftMonitor()
  readonly #recorder = new RaftRecorder((step) => {
    this.#monitor?.step(step)
    this.traced(step)
  })
  /** Claims nothing itself: for measuring what the monitor alone sees. */
  readonly #isMute: boolean
  readonly #first: ReadonlyArray<ReplicaId>
  readonly #jitter: (id: ReplicaId) => number
  #reads = 0
  #proposals = 0

  constructor(voters: ReadonlyArray<ReplicaId>, jitter: (id: ReplicaId) => number, first = voters, isMute = false) {
    this.#jitter = jitter
    this.#isMute = isMute
    this.#first = first
    for (const id of voters) this.add(id)
    this.traced = () => undefined
  }

  /** A new disk. */
  add(id: ReplicaId): void {
    this.replicas.set(id, { disk: new ReplicaDisk(this.#first), isOn: false, applied: [], state: undefined as unknown as RaftState })
    this.start(id)
  }

  /** What follows is no story from its beginning, as the monitor knows them. */
  unwatched(): void {
    this.#monitor = undefined
  }

  /** Whoever watches saw so many steps, and takes nothing for none. */
  get watched(): number {
    return this.#monitor?.steps ?? 0
  }

  /** It never comes back; a new disk in its place has another name. */
  remove(id: ReplicaId): void {
    this.replicas.delete(id)
    this.drop(({ to }) => to === id)
  }

  start(id: ReplicaId): void {
    const replica = this.of(id)
    const { hardState, slots, snapshot, state } = replica.disk
    replica.isOn = true
    replica.applied = [...state.tokens]
    replica.state = initialState({ id, options, hardState, snapshot, slots, applied: state.place, nowMs: this.nowMs, jitter: this.#jitter(id) })
    this.#claim(() => invariants(replica.state))
    this.#recorder.started(replica.state, { hardState, slots, snapshot, applied: state.place })
  }

  /** What was not written is gone. */
  crash(id: ReplicaId, written = 0): void {
    const replica = this.of(id)
    for (let count = 0; count < written; count += 1) replica.disk.write()
    replica.disk.writing.length = 0
    replica.isOn = false
    replica.applied = []
  }

  of(id: ReplicaId): Replica {
    const replica = this.replicas.get(id)
    ok(replica !== undefined, `there is no replica ${id}`)
    return replica
  }

  get alive(): ReadonlyArray<ReplicaId> {
    return [...this.replicas].filter(([, { isOn }]) => isOn).map(([id]) => id)
  }

  event(id: ReplicaId, event: RaftEvent): void {
    const replica = this.of(id)
    if (!replica.isOn) return
    const before = copiesOf(replica.state)
    const { commit } = replica.state
    const commands = step(replica.state, event)
    this.#claim(() => {
      invariants(replica.state)
      checkCopies(before, replica.state, event._tag === "Received" ? event.message : undefined)
      if (replica.state.role === "Leader" && replica.state.commit > commit) checkCommit(replica.state, (other) => this.replicas.get(other)?.disk)
    })
    this.#recorder.stepped(replica.state, event, commands)
    this.stepped(id, replica.state)
    if (replica.state.role === "Leader") this.#claim(() => this.#leads(id, replica.state.term))
    for (const command of commands) {
      this.told(id, command)
      this.#carryOut(id, replica, command)
    }
  }

  #claim(check: () => void): void {
    if (!this.#isMute) check()
  }

  #leads(id: ReplicaId, term: number): void {
    const other = this.leaders.get(term)
    ok(other === undefined || other === id, `${other} and ${id} both lead in term ${term}`)
    if (other === id) return
    this.leaders.set(term, id)
    checkElected(this.of(id).state, (voter) => this.replicas.get(voter)?.disk)
    // Leader completeness: whatever was applied anywhere is in its log, or in its snapshot.
    const { log } = this.of(id).state
    this.committed.forEach((token, at) => {
      if (at >= log.snapshot.index) {
        const slot = log.slots[at - log.snapshot.index]
        ok(slot?.body !== undefined && tokenOf(slot) === token, `${id} leads in term ${term} without ${token}`)
      }
    })
  }

  #carryOut(id: ReplicaId, replica: Replica, command: RaftCommand): void {
    switch (command._tag) {
      case "Persist":
        return void replica.disk.writing.push(command)
      case "Send":
        this.#claim(() => checkSent(replica.state, replica.disk, command.message))
        return this.#send(command.message)
      case "Apply":
        this.#claim(() => checkApplied(replica.disk, id, command.entries))
        return command.entries.forEach((entry) => this.#apply(id, replica, entry))
      case "Accepted":
        return void this.accepted.set(command.proposal, command)
      case "RefuseProposal":
        return void this.refusals.push(command.reason)
      case "ReadReady":
        return this.#readReady(command.read, command.index)
      case "RefuseRead":
        return void this.reads.delete(command.read)
      case "FetchSnapshot":
        return
    }
  }

  #send(message: Message): void {
    if (this.replicas.has(message.to) && !this.cuts.has(wayOf(message.from, message.to))) this.wire.push(message)
  }

  #apply(id: ReplicaId, replica: Replica, entry: Entry): void {
    const token = tokenOf(entry)
    this.#claim(() => ok(replica.applied.length === entry.index - 1, `${id} applies ${entry.index} after ${replica.applied.length}`))
    replica.applied.push(token)
    const other = this.committed[entry.index - 1]
    this.#claim(() => ok(other === undefined || other === token, `${id} applies ${token} where another applied ${other}`))
    this.committed[entry.index - 1] = token
  }

  #readReady(read: number, index: LogIndex): void {
    const asked = this.reads.get(read)
    if (asked === undefined) return
    this.#claim(() => ok(index >= asked.least, `a read at ${asked.replica} is told ${index}, and ${asked.least} was committed before it was asked`))
    this.reads.delete(read)
    this.answered.push(read)
  }

  // What a script or a seed does.

  tick(id: ReplicaId): void {
    this.event(id, { _tag: "Ticked", nowMs: this.nowMs, jitter: this.#jitter(id) })
  }

  propose(id: ReplicaId, text?: string): number {
    this.#proposals += 1
    this.event(id, { _tag: "Propose", proposal: this.#proposals, bytes: Buffer.from(text ?? `p${this.#proposals}`) })
    return this.#proposals
  }

  change(id: ReplicaId, voters: ReadonlyArray<ReplicaId>, learners: ReadonlyArray<ReplicaId> = []): void {
    this.#proposals += 1
    this.event(id, { _tag: "ChangeMembership", proposal: this.#proposals, voters, learners })
  }

  read(id: ReplicaId): number {
    this.#reads += 1
    // What a follower asked is known to its leader under the same number: they are unique here.
    this.reads.set(this.#reads, { replica: id, least: this.committed.length })
    this.event(id, { _tag: "Read", read: this.#reads })
    return this.#reads
  }

  /** Delivers the message at that place of the wire; it stays there too where it is to come twice. */
  deliver(at: number, keeps = false): void {
    const [message] = keeps ? this.wire.slice(at, at + 1) : this.wire.splice(at, 1)
    if (message !== undefined) this.event(message.to, { _tag: "Received", message })
  }

  /** What is on its way and such is lost. */
  drop(isSuch: (message: Message) => boolean): void {
    this.wire.splice(0, this.wire.length, ...this.wire.filter((message) => !isSuch(message)))
  }

  /** Whether the wire has something at that place that moves by itself. */
  #moves(at: number): boolean {
    const message = this.wire[at]
    return message !== undefined && !this.slow.has(wayOf(message.from, message.to))
  }

  written(id: ReplicaId): void {
    const ticket = this.of(id).disk.write()
    if (ticket !== undefined) this.event(id, { _tag: "Persisted", ticket })
  }

  /** A state for the log up to what this replica has applied. */
  checkpoint(id: ReplicaId, index = this.of(id).applied.length): void {
    const { applied, disk, state } = this.of(id)
    const term = termAt(state.log, index)
    if (index <= disk.state.place.index || term === undefined) return
    disk.state = { tokens: applied.slice(0, index), place: { index, term, configuration: configurationAt(state.log, index).configuration } }
    this.#recorder.saved(id, disk.state.place)
    this.event(id, { _tag: "Compact", index })
  }

  /** What it was told to fetch is there. */
  install(id: ReplicaId): boolean {
    const replica = this.of(id)
    const { fetching } = replica.state
    if (!replica.isOn || fetching === undefined) return false
    const tokens = this.committed.slice(0, fetching.index)
    ok(tokens.length === fetching.index, "a snapshot holds what is committed")
    if (replica.disk.state.place.index < fetching.index) replica.disk.state = { tokens, place: fetching }
    if (replica.applied.length < fetching.index) replica.applied = [...tokens]
    this.event(id, { _tag: "SnapshotInstalled", snapshot: fetching })
    return true
  }

  /** Everything moves on in order until nothing is on its way. */
  settle(turnsMax = 2000): void {
    for (let turn = 0; turn < turnsMax; turn += 1) {
      const busy = this.alive.filter((id) => this.of(id).disk.writing.length > 0)
      busy.forEach((id) => this.written(id))
      const fetched = this.alive.map((id) => this.install(id)).some(Boolean)
      const moving = this.wire.filter((_, at) => this.#moves(at)).length
      if (moving === 0 && busy.length === 0 && !fetched) return
      for (let left = moving; left > 0; left -= 1) this.deliver(this.wire.findIndex((_, at) => this.#moves(at)))
    }
    throw new Error("the cluster does not come to rest")
  }

  /** Time passes, and all that is sent arrives. */
  run(ms: number, stepMs = 100): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs += stepMs
      for (const id of this.alive) this.tick(id)
      this.settle()
    }
  }

  /** One line a replica. */
  describe(): string {
    return [...this.replicas].map(([id, { applied, isOn, state }]) => {
      const { commit, configuration: { learners, outgoing, voters }, log, role, term, vote } = state
      const slots = log.slots.map((slot) => (slot.body === undefined ? `?${slot.term ?? ""}` : String(slot.term))).join(" ")
      return `${id} ${isOn ? role : "off"} term ${term} vote ${vote ?? "-"} commit ${commit} applied ${applied.length} voters ${voters.join("")}${outgoing.length > 0 ? `<${outgoing.join("")}` : ""} learners ${learners.join("")} log ${log.snapshot.index}/${log.snapshot.term}: ${slots}`
    }).join("\n")
  }

  /** Whoever thinks so. */
  get leading(): ReadonlyArray<ReplicaId> {
    return this.alive.filter((id) => this.of(id).state.role === "Leader")
  }

  get leader(): ReplicaId | undefined {
    const leading = this.alive.map((id) => this.of(id).state).filter(({ role }) => role === "Leader").sort((a, b) => b.term - a.term)
    return leading[0]?.id
  }
}
