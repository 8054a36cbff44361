/**
 * Runs a script against a few machines: commands, `----`, what each step made a machine say. Between script/*.txt and Cluster,
 * which claims after every step what must hold; here it is claimed after every command that logs which agree anywhere agree on
 * all before, and that nobody's committed entries differ.
 *
 * Messages are named with their terms (`Append@3`), entries as index/term:body.
 */
import { ok } from "node:assert"
import { type Configuration, membersOf } from "../../src/raft/Configuration.ts"
import type { Entry, EntryBody, ReplicaId, SnapshotPlace, Term } from "../../src/raft/Entry.ts"
import type { Message, MessageBody } from "../../src/raft/Message.ts"
import { isGap, type Slot, slotAt } from "../../src/raft/RaftLog.ts"
import type { RaftCommand, RaftState } from "../../src/raft/RaftState.ts"
import { Cluster, wayOf } from "./Cluster.ts"
import { playScript } from "../playScript.ts"

const configured = ({ learners, outgoing, voters }: Configuration): string =>
  `[${outgoing.length > 0 ? `${outgoing.join(" ")} => ` : ""}${voters.join(" ")}${learners.length > 0 ? ` + ${learners.join(" ")}` : ""}]`

/** Long ones of one letter are told as `x*80`. */
const shortened = (text: string): string => (text.length > 12 ? `${text[0]!}*${text.length}` : text)
const lengthened = (text: string): string => text.replace(/^(.)\*(\d+)$/, (_, letter: string, count: string) => letter.repeat(Number(count)))

const bodied = (body: EntryBody): string =>
  body._tag === "Nothing" ? "-" : body._tag === "Command" ? shortened(Buffer.from(body.bytes).toString()) : configured(body.configuration)

const entered = ({ body, index, term }: Entry): string => `${index}/${term}:${bodied(body)}`
const placed = ({ index, term }: SnapshotPlace): string => `${index}/${term}`
const inRound = (round: number): string => (round > 0 ? ` round ${round}` : "")

const worded = (body: MessageBody): string => {
  switch (body._tag) {
    case "RequestVote": return `${body.pre ? " pre" : ""} last ${body.lastIndex}/${body.lastTerm}${body.transfer ? " by transfer" : ""}`
    case "Vote": return `${body.pre ? " pre" : ""} ${body.granted ? "yes" : "no"}`
    case "Append": return ` after ${body.previousIndex}/${body.previousTerm}${body.entries.length > 0 ? ` ${body.entries.map(entered).join(" ")}` : ""} commit ${body.commit}${inRound(body.round)}`
    case "Appended": return ` to ${body.match}${body.damagedTo === undefined ? "" : `, ${body.received} came, damaged up to ${body.damagedTo}`}${inRound(body.round)}`
    case "Refused": return ` after ${body.previousIndex}, maybe after ${body.hintIndex}/${body.hintTerm}${body.damagedTo === undefined ? "" : `, damaged up to ${body.damagedTo}`}${inRound(body.round)}`
    case "Heard": return inRound(body.round)
    case "Offer": return ` ${placed(body.snapshot)} ${configured(body.snapshot.configuration)}${inRound(body.round)}`
    case "TimeoutNow": return ""
    case "ReadAsked": return ` ${body.read}`
    case "ReadAnswered": return ` ${body.read} ${body.index === undefined ? "refused" : `at ${body.index}`}`
    case "EntriesWanted": return ` ${body.from}..${body.to}`
    case "EntriesFound": return ` from ${body.from} terms ${body.terms.join(" ")}: ${body.entries.map(entered).join(" ")}`
    case "StateFound": return ` ${placed(body.snapshot)}`
  }
}

const sent = ({ body, from, term, to }: Message): string => `${wayOf(from, to)} ${body._tag}@${term}${worded(body)}`

const persisted = ({ entries, hardState, snapshot, truncateFrom }: Extract<RaftCommand, { readonly _tag: "Persist" }>): string => [
  ...(hardState === undefined ? [] : [`term ${hardState.term} vote ${hardState.vote ?? "-"}`]),
  ...(truncateFrom === undefined ? [] : [`cut from ${truncateFrom}`]),
  ...(entries.length === 0 ? [] : [entries.map(entered).join(" ")]),
  ...(snapshot === undefined ? [] : [`snapshot ${placed(snapshot)}`])
].join(", ")

const saidBy = (id: ReplicaId, command: RaftCommand): string => {
  switch (command._tag) {
    case "Persist": return `${id}: persist ${persisted(command)}`
    case "Send": return sent(command.message)
    case "Apply": return `${id}: apply ${[...new Set([command.entries[0]!.index, command.entries.at(-1)!.index])].join("..")}`
    case "Accepted": return `${id}: accept ${command.index}/${command.term}`
    case "RefuseProposal": return `${id}: refuse ${command.reason}${command.leader === undefined ? "" : `, ${command.leader} leads`}`
    case "ReadReady": return `${id}: read ${command.read} at ${command.index}`
    case "RefuseRead": return `${id}: refuse read ${command.read}${command.leader === undefined ? "" : `, ${command.leader} leads`}`
    case "FetchSnapshot": return `${id}: fetch ${placed(command.snapshot)} from ${command.from}`
  }
}

/** What is worth a line where everything moves at once. */
const isLoud = ({ _tag }: RaftCommand): boolean => _tag !== "Persist" && _tag !== "Send" && _tag !== "Accepted"

/** Each has its own, so that time-outs fall into different turns of `run`. */
const jitterOf = (id: ReplicaId): number => ((id.charCodeAt(0) - 97) % 8) * 0.13 + 0.05

export class Script {
  #cluster: Cluster = new Cluster([], jitterOf)
  #lines: Array<string> = []
  #isQuiet = false
  readonly #turns = new Map<ReplicaId, string>()
  readonly #counts = new Map<string, number>()

  run(command: string): string {
    this.#lines = []
    const [verb = "", ...words] = command.split(" ")
    const act = this.#verbs[verb]
    if (act === undefined) throw new Error(`no such command: ${command}`)
    act(...words)
    this.#agree()
    return this.#lines.join("\n")
  }

  readonly #verbs: Readonly<Record<string, (...words: Array<string>) => unknown>> = {
    cluster: (...voters) => this.#begin(voters),
    /** A new, empty disk. */
    add: (id) => this.#cluster.add(id),
    /** Its disk is lost with its name. */
    remove: (id) => this.#cluster.remove(id),
    disk: (id, ...words) => this.#prepare(id, words),
    /** Time passes until its election is due; all others have drawn a longer time-out. */
    stand: (id) => this.#stand(id),
    /** It is elected, and everyone knows what is committed. */
    lead: (id) => this.#quietly(true, () => {
      this.#stand(id)
      this.#cluster.settle()
      this.#cluster.run(200)
    }),
    tick: (...ids) => ids.forEach((id) => this.#cluster.tick(id)),
    /** Nobody is told. */
    pass: (ms) => { this.#cluster.nowMs += Number(ms) },
    written: (id, count = "99") => {
      for (let left = Math.min(Number(count), this.#cluster.of(id).disk.writing.length); left > 0; left -= 1) this.#cluster.written(id)
    },
    deliver: (from, to, nth) => this.#each(from, to, nth, (at) => this.#cluster.deliver(at)),
    drop: (from, to, nth) => this.#each(from, to, nth, (at) => this.#cluster.wire.splice(at, 1)),
    /** A copy of it comes last. */
    twice: (from, to, nth) => this.#each(from, to, nth ?? "1", (at) => this.#cluster.wire.push(this.#cluster.wire[at]!)),
    wire: () => this.#cluster.wire.forEach((message) => this.#say(`under way: ${sent(message)}`)),
    hold: (from, to) => this.#cluster.slow.add(wayOf(from, to)),
    release: () => this.#cluster.slow.clear(),
    cut: (id, ...others) => others.forEach((other) => [wayOf(id, other), wayOf(other, id)].forEach((way) => this.#cut(way))),
    heal: () => this.#cluster.cuts.clear(),
    propose: (id, ...texts) => texts.forEach((text) => this.#cluster.propose(id, lengthened(text))),
    read: (...ids) => ids.forEach((id) => this.#cluster.read(id)),
    change: (id, _voters, voters, _learners, learners) => this.#cluster.change(id, voters.split(","), learners?.split(",") ?? []),
    transfer: (id, to) => this.#cluster.event(id, { _tag: "TransferLeadership", to }),
    checkpoint: (id, index) => this.#cluster.checkpoint(id, index === undefined ? undefined : Number(index)),
    /** Told by itself, whatever state is kept. */
    compact: (id, index) => this.#cluster.event(id, { _tag: "Compact", index: Number(index) }),
    install: (id) => ok(this.#cluster.install(id), `${id} fetches nothing`),
    "fetch-failed": (id) => this.#cluster.event(id, { _tag: "SnapshotFailed" }),
    "disk-fails": (id) => this.#cluster.event(id, { _tag: "PersistFailed", detail: "as the script wants" }),
    /** So many of its writes were done, and not told. */
    crash: (id, written = "0") => this.#cluster.crash(id, Number(written)),
    start: (...ids) => ids.forEach((id) => this.#start(id)),
    rot: (id, index, lost) => this.#rot(id, Number(index), lost === "lost"),
    settle: (aloud) => this.#quietly(aloud !== "aloud", () => this.#cluster.settle()),
    run: (ms, aloud) => this.#quietly(aloud !== "aloud", () => this.#cluster.run(Number(ms))),
    count: (id, tag) => this.#say(`${id} sent ${this.#counts.get(`${id} ${tag}`) ?? 0} ${tag}`),
    peers: (id) => this.#peers(id),
    log: (...ids) => (ids.length > 0 ? ids : [...this.#cluster.replicas.keys()]).forEach((id) => this.#log(id)),
    progress: () => this.#progress()
  }

  #say(line: string): void {
    this.#lines.push(line)
  }

  #begin(voters: ReadonlyArray<ReplicaId>): void {
    this.#cluster = new Cluster(voters, jitterOf)
    this.#cluster.stepped = (id, { role, term }) => {
      const turn = role === "Leader" || role === "Candidate" ? `${id}: ${role} in term ${term}` : `${id}: ${role}`
      const before = this.#turns.get(id) ?? `${id}: Follower`
      this.#turns.set(id, turn)
      if (before !== turn && (!this.#isQuiet || role === "Leader" || before.includes("Leader"))) this.#say(turn)
    }
    this.#cluster.told = (id, command) => {
      if (!this.#isQuiet || isLoud(command)) this.#say(saidBy(id, command))
      if (command._tag !== "Send") return
      const key = `${id} ${command.message.body._tag}`
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    }
  }

  /** `term 7 vote b log 1 1 4 4*80`: terms of its entries, and how many bytes where that matters. */
  #prepare(id: ReplicaId, words: ReadonlyArray<string>): void {
    const { disk } = this.#cluster.of(id)
    this.#cluster.unwatched()
    const wordAfter = (name: string): string | undefined => (words.includes(name) ? words[words.indexOf(name) + 1] : undefined)
    disk.hardState = { term: Number(wordAfter("term")), vote: wordAfter("vote") }
    disk.slots = words.slice(words.indexOf("log") + 1).map((word, at): Slot => {
      const [term, bytes = "0"] = word.split("*")
      return { index: at + 1, term: Number(term), body: { _tag: "Command", bytes: Buffer.from(`${term}`.repeat(Math.max(1, Number(bytes)))) } }
    })
    this.#cluster.start(id)
  }

  #start(id: ReplicaId): void {
    this.#turns.delete(id)
    this.#cluster.start(id)
  }

  #stand(id: ReplicaId): void {
    const { electionDueMs } = this.#cluster.of(id).state
    this.#cluster.nowMs = Math.max(this.#cluster.nowMs, electionDueMs)
    for (const other of this.#cluster.alive) {
      const { state } = this.#cluster.of(other)
      // A leader's clock goes on, and it is not told to act.
      if (state.role === "Leader") state.nowMs = this.#cluster.nowMs
      if (other === id || state.role === "Leader") continue
      if (state.electionDueMs <= this.#cluster.nowMs) state.electionDueMs = this.#cluster.nowMs + state.options.electionMs * (1 + jitterOf(other)) / 2
      this.#cluster.tick(other)
    }
    this.#cluster.tick(id)
  }

  #cut(way: string): void {
    this.#cluster.cuts.add(way)
    this.#cluster.drop(({ from, to }) => wayOf(from, to) === way)
  }

  /** The nth message on that way; all that are there now, where none is named. */
  #each(from: ReplicaId, to: ReplicaId, nth: string | undefined, act: (at: number) => unknown): void {
    const there = this.#cluster.wire.filter((message) => message.from === from && message.to === to)
    const chosen = nth === undefined ? there : there.slice(Number(nth) - 1, Number(nth))
    ok(chosen.length > 0, `nothing is under way on ${wayOf(from, to)}`)
    for (const message of chosen) act(this.#cluster.wire.indexOf(message))
  }

  #rot(id: ReplicaId, index: number, isTermLost: boolean): void {
    const { disk, isOn } = this.#cluster.of(id)
    const slot = disk.slots[index - disk.snapshot.index - 1]
    ok(!isOn && slot !== undefined, `${id} is on, or has no entry ${index}`)
    disk.slots[index - disk.snapshot.index - 1] = { index, term: isTermLost ? undefined : slot.term, body: undefined }
  }

  #quietly(isQuiet: boolean, act: () => void): void {
    this.#isQuiet = isQuiet
    act()
    this.#isQuiet = false
  }

  #peers(id: ReplicaId): void {
    for (const [other, { inFlight, match, mode, next }] of this.#cluster.of(id).state.peers) {
      if (other !== id) this.#say(`${id} of ${other}: ${mode} match ${match} next ${next} in flight ${inFlight.length}`)
    }
  }

  #log(id: ReplicaId): void {
    const { isOn, state: { commit, configuration, log: { slots, snapshot }, role, term, vote } } = this.#cluster.of(id)
    const terms = slots.map((slot) => (isGap(slot) ? `?${slot.term ?? ""}` : String(slot.term))).join(" ")
    this.#say(`${id} ${isOn ? role : "off"} term ${term} vote ${vote ?? "-"} commit ${commit} ${configured(configuration)} log ${snapshot.index > 0 ? `(${placed(snapshot)}) ` : ""}${terms}`)
  }

  /** Log matching (Raft paper, figure 3), and nobody's committed entries differ. */
  #agree(): void {
    const states = [...this.#cluster.replicas].map(([, { state }]) => state)
    states.forEach((one, at) => states.slice(at + 1).forEach((other) => agreed(one, other)))
  }

  /** All links are whole, everyone is on: what is proposed is applied by every member. */
  #progress(): void {
    const cluster = this.#cluster
    cluster.cuts.clear()
    cluster.slow.clear()
    for (const [id, { isOn }] of cluster.replicas) if (!isOn) this.#start(id)
    cluster.told = () => undefined
    cluster.stepped = () => undefined
    cluster.run(6000)
    const leader = cluster.leader
    ok(leader !== undefined, `nobody leads\n${cluster.describe()}`)
    const proposal = cluster.propose(leader, "progress")
    const read = cluster.read(leader)
    cluster.run(2000)
    const { index } = cluster.accepted.get(proposal)!
    ok(cluster.answered.includes(read), "the read is answered")
    const { configuration, term } = cluster.of(leader).state
    for (const id of membersOf(configuration)) {
      const { applied, state } = cluster.of(id)
      ok(applied.length >= index && !state.log.slots.some(isGap), `${id} has not applied ${index}\n${cluster.describe()}`)
    }
    this.#say(`${leader} leads in term ${term}; ${index} is applied by ${membersOf(configuration).join(" ")}`)
  }
}

const termIn = ({ log }: RaftState, index: number): Term | undefined => slotAt(log, index)?.term

const agreed = (one: RaftState, other: RaftState): void => {
  let agrees = false
  for (let index = Math.min(one.log.slots.length + one.log.snapshot.index, other.log.slots.length + other.log.snapshot.index); index > 0; index -= 1) {
    const [mine, theirs] = [termIn(one, index), termIn(other, index)]
    if (mine === undefined || theirs === undefined) continue
    ok(!agrees || mine === theirs, `${one.id} and ${other.id} agree on a later entry, and not on ${index}`)
    ok(index > Math.min(one.commit, other.commit) || mine === theirs, `${one.id} and ${other.id} have both committed ${index}, and it is not the same`)
    agrees ||= mine === theirs
  }
}

export const runScript = (text: string): Promise<string> => {
  const script = new Script()
  return playScript(text, (command) => script.run(command))
}
