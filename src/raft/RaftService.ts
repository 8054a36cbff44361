/**
 * RaftService: runs the machine of one replica: brings it events, carries out its commands in their order, and answers those who
 * propose and read. Between a state machine and its clients on one side, the journal, the carrier and the clock on the other. One
 * fiber steps; what takes its time (disk, state machine) has fibers of its own and comes back as an event.
 */
import { Clock, Data, Deferred, Effect, Queue, type Scope } from "effect"
import { unreachable } from "../base/assert.ts"
import type { GroupId } from "../base/ids.ts"
import { raftApplyQueuedMax, raftClientsMax, raftElectionMs, raftEventsQueuedMax, raftHeartbeatMs, raftMessageEntryBytesMax, raftMessagesInFlightMax, raftReadsWaitingMax, raftTickMs, raftUncommittedBytesMax } from "../base/raftLimits.ts"
import type { EntropyService } from "../ports/Entropy.ts"
import { watched } from "../ports/Health.ts"
import type { Configuration } from "./Configuration.ts"
import type { Entry, LogIndex, ReplicaId, SnapshotPlace, Term } from "./Entry.ts"
import type { Message } from "./Message.ts"
import { step } from "./Raft.ts"
import type { RaftGroup, RaftJournalError, RaftJournalInterface } from "./RaftJournalService.ts"
import { lastIndexOf } from "./RaftLog.ts"
import { initialState, type RaftCommand, type RaftEvent, type RaftOptions, type RaftState, type RefusalReason, type Role } from "./RaftState.ts"

/**
 * NotLeader, Transferring: ask `leader`, or somebody else. Busy: later. UnderWay: a change of membership is not over. Superseded: it
 * was not committed and never will be. Unknown: it may be committed, or be yet. Unanswered: nobody said at which index to read.
 * Lost: this replica may have forgotten a vote; remove it. Failed: its journal has failed; nothing is promised until a restart.
 */
export type RaftErrorReason = RefusalReason | "Superseded" | "Unknown" | "Unanswered" | "Lost" | "Misused"

export class RaftError extends Data.TaggedError("RaftError")<{
  readonly reason: RaftErrorReason
  readonly leader: ReplicaId | undefined
  readonly detail: string
}> {
  override get message(): string {
    return `raft: ${this.reason}: ${this.detail}${this.leader === undefined ? "" : `; ${this.leader} leads`}`
  }
}

/** The carrier's part: best effort, in any order, maybe twice. */
export interface RaftNetwork {
  readonly send: (message: Message) => Effect.Effect<void>
  readonly receive: Effect.Effect<Message>
}

/** What is replicated. Its calls come one at a time. */
export interface StateMachine<Answer> {
  /** Where the state stands that is on the disk. */
  readonly applied: SnapshotPlace
  /** Committed entries, in order, each once in this life; an answer for each. */
  readonly apply: (entries: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Answer>>
  /** Fetches a state from a replica and makes it this one's, on the disk, or leaves everything as it was; what it then stands for. */
  readonly install: (from: ReplicaId, wanted: SnapshotPlace) => Effect.Effect<SnapshotPlace | undefined>
}

export interface RaftStatus {
  readonly id: ReplicaId
  readonly role: Role
  readonly term: Term
  readonly leader: ReplicaId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly last: LogIndex
  /** The newest of the log; committed once `commit` has come to its index. */
  readonly configuration: Configuration
  readonly configurationIndex: LogIndex
  /** Up to where each member is known to have the log on its disk, this replica included. Only who leads knows: empty elsewhere. */
  readonly matched: ReadonlyMap<ReplicaId, LogIndex>
  readonly failure: string | undefined
}

export interface RaftInterface<Answer> {
  /** The state machine's answer, once it is committed and applied here. */
  readonly propose: (bytes: Uint8Array) => Effect.Effect<Answer, RaftError>
  /** Once it succeeds, a read of the state here sees all that was committed when it was called. */
  readonly read: Effect.Effect<LogIndex, RaftError>
  /** Once it succeeds the first entry of the change is committed; the joint configuration is left by itself. */
  readonly change: (voters: ReadonlyArray<ReplicaId>, learners: ReadonlyArray<ReplicaId>) => Effect.Effect<void, RaftError>
  readonly transfer: (to: ReplicaId) => Effect.Effect<void>
  /** The state up to there is on the disk: the log before it is not needed. */
  readonly compact: (index: LogIndex) => Effect.Effect<void>
  readonly status: () => RaftStatus
}

/** What a life begins with: hard state and log of the journal, and where the state stands. */
export type Recovered = Pick<Parameters<typeof initialState>[0], "hardState" | "slots" | "snapshot" | "applied">

export interface RaftRunOptions<Answer> {
  readonly group: GroupId
  readonly id: ReplicaId
  readonly journal: RaftJournalInterface
  readonly network: RaftNetwork
  readonly machine: StateMachine<Answer>
  readonly entropy: EntropyService
  /** Of a replica that has nothing yet; without it, one that is not in the journal is refused. */
  readonly begin?: SnapshotPlace
  readonly options?: RaftOptions
  readonly tickMs?: number
  /** Told once, before the first step: with what this life begins. */
  readonly began?: (state: RaftState, found: Recovered) => void
  /** Told after every step: invariants in tests, traces in simulation. */
  readonly observe?: (state: RaftState, event: RaftEvent, commands: ReadonlyArray<RaftCommand>) => void
}

export const raftOptions: RaftOptions = {
  electionMs: raftElectionMs, heartbeatMs: raftHeartbeatMs, appendBytesMax: raftMessageEntryBytesMax, appendsInFlightMax: raftMessagesInFlightMax,
  uncommittedBytesMax: raftUncommittedBytesMax, readsWaitingMax: raftReadsWaitingMax
}

/** A proposal that waits: for its index, then for that to be applied. */
interface Proposed<Answer> {
  at: { readonly index: LogIndex; readonly term: Term } | undefined
  readonly done: Deferred.Deferred<Answer, RaftError>
}

/** A read that waits: for its index, then for that to be applied. */
interface Asked {
  index: LogIndex | undefined
  readonly askedMs: number
  readonly done: Deferred.Deferred<LogIndex, RaftError>
}

type Work =
  | { readonly _tag: "Apply"; readonly entries: ReadonlyArray<Entry> }
  | { readonly _tag: "Install"; readonly from: ReplicaId; readonly snapshot: SnapshotPlace }

interface Writing {
  readonly ticket: number
  readonly durable: Effect.Effect<void, RaftJournalError>
}

interface Room<Answer> {
  readonly run: RaftRunOptions<Answer>
  readonly state: RaftState
  readonly journal: RaftGroup
  /** Never waited for: what comes from outside is refused where it is long. */
  readonly inbox: Queue.Queue<RaftEvent>
  readonly writing: Queue.Queue<Writing>
  readonly work: Queue.Queue<Work>
  /** Entries given to the state machine and not applied. */
  behind: number
  applied: LogIndex
  readonly proposals: Map<number, Proposed<Answer>>
  /** Numbers of proposals by the index that they wait for. */
  readonly byIndex: Map<LogIndex, number>
  readonly reads: Map<number, Asked>
  numberNext: number
}

const errorOf = (reason: RaftErrorReason, detail: string, leader?: ReplicaId): RaftError => new RaftError({ reason, leader, detail })

/** Recovers the replica and runs it until the scope closes. */
export const runRaft = Effect.fnUntraced(function*<Answer>(run: RaftRunOptions<Answer>) {
  const journal = yield* Effect.mapError(run.journal.group(run.group), journalFailed)
  const recovered = yield* recover(run, journal)
  const nowMs = yield* monotonicMs
  const state = initialState({ ...recovered, id: run.id, options: run.options ?? raftOptions, nowMs, jitter: jitterOf(run.entropy) })
  run.began?.(state, recovered)
  const room: Room<Answer> = {
    run, state, journal, inbox: yield* queue<RaftEvent>(), writing: yield* queue<Writing>(), work: yield* queue<Work>(), behind: 0, applied: state.handed,
    proposals: new Map(), byIndex: new Map(), reads: new Map(), numberNext: firstNumber(run.entropy)
  }
  const fork = (name: string, loop: Effect.Effect<unknown>) => Effect.forkScoped(watched(`raft ${run.id}: ${name}`, Effect.forever(loop)))
  yield* Effect.addFinalizer(() => Effect.sync(() => abandon(room, "the node stops")))
  yield* fork("steps", Effect.flatMap(Queue.takeAll(room.inbox), (events) => stepAll(room, events)))
  yield* fork("writes", Effect.flatMap(Queue.take(room.writing), (write) => written(room, write)))
  yield* fork("applies", Effect.flatMap(Queue.take(room.work), (work) => carryOn(room, work)))
  yield* fork("hears", Effect.map(run.network.receive, (message) => void offer(room, { _tag: "Received", message })))
  yield* fork("ticks", Effect.andThen(tick(room), Effect.sleep(run.tickMs ?? raftTickMs)))
  return interfaceOf(room)
})

const queue = <A>(): Effect.Effect<Queue.Queue<A>, never, Scope.Scope> => Effect.acquireRelease(Queue.unbounded<A>(), Queue.shutdown)

const journalFailed = (error: RaftJournalError): RaftError => errorOf(error.reason === "Misused" ? "Misused" : "Failed", error.message)

/** Numbers of earlier lives are not met again: their answers may be on their way. */
const firstNumber = (entropy: EntropyService): number => {
  let number = 0
  for (const byte of entropy.bytes(5)) number = number * 256 + byte
  return number * 4096
}

const recover = Effect.fnUntraced(function*<Answer>({ begin, group, id, machine: { applied } }: RaftRunOptions<Answer>, journal: RaftGroup) {
  const { found } = journal
  if (found._tag === "Found" && found.replica === id) {
    const { hardState, slots, snapshot } = found
    return { hardState, slots, snapshot, applied } satisfies Recovered
  }
  // Whose votes are lost is not known where nothing can be read: any name might be its own.
  const mayBegin = found._tag === "Absent" || (found.replica !== undefined && found.replica !== id)
  if (begin === undefined || !mayBegin) {
    const other = found._tag === "Found" ? `the journal has replica ${found.replica}` : "the journal has nothing of it"
    const detail = found._tag === "Lost" ? "its term and vote cannot be read: remove it, and let it come back under another id" : other
    return yield* errorOf(found._tag === "Lost" ? "Lost" : "Misused", `replica ${id} of group ${group}: ${detail}`)
  }
  yield* Effect.mapError(journal.begin(id, begin), journalFailed)
  return { hardState: { term: 0, vote: undefined }, slots: [], snapshot: begin, applied } satisfies Recovered
})

/** No wall clock: one that jumps would make everybody stand. */
const monotonicMs = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** In [0, 1). */
const jitterOf = (entropy: EntropyService): number => {
  const [high, low] = entropy.bytes(2)
  return (high! * 256 + low!) / 65_536
}

const offer = <Answer>({ inbox }: Room<Answer>, event: RaftEvent): boolean => Queue.sizeUnsafe(inbox) < raftEventsQueuedMax && Queue.offerUnsafe(inbox, event)

const tick = <Answer>(room: Room<Answer>): Effect.Effect<void> =>
  Effect.map(monotonicMs, (nowMs) => {
    offer(room, { _tag: "Ticked", nowMs, jitter: jitterOf(room.run.entropy) })
    for (const [number, { askedMs, done, index }] of room.reads) {
      if (index !== undefined || nowMs - askedMs < 2 * room.state.options.electionMs) continue
      room.reads.delete(number)
      Deferred.doneUnsafe(done, Effect.fail(errorOf("Unanswered", "nobody said at which index to read", room.state.leader)))
    }
  })

const stepAll = Effect.fnUntraced(function*<Answer>(room: Room<Answer>, events: ReadonlyArray<RaftEvent>) {
  for (const event of events) {
    const commands = step(room.state, event)
    room.run.observe?.(room.state, event, commands)
    for (const command of commands) yield* carryOut(room, command)
  }
})

const carryOut = <Answer>(room: Room<Answer>, command: RaftCommand): Effect.Effect<unknown> => {
  switch (command._tag) {
    case "Persist":
      return Effect.map(room.journal.persist(command), (durable) => Queue.offerUnsafe(room.writing, { ticket: command.ticket, durable }))
    case "Send":
      return room.run.network.send(command.message)
    case "Apply":
      room.behind += command.entries.length
      return Queue.offer(room.work, command)
    case "FetchSnapshot":
      return Queue.offer(room.work, { _tag: "Install", from: command.from, snapshot: command.snapshot })
    case "Accepted":
      return Effect.sync(() => accepted(room, command))
    case "RefuseProposal":
      return Effect.sync(() => endProposal(room, command.proposal, Effect.fail(errorOf(command.reason, "the proposal was not taken", command.leader))))
    case "ReadReady":
      return Effect.sync(() => readReady(room, command.read, command.index))
    case "RefuseRead":
      return Effect.sync(() => endRead(room, command.read, Effect.fail(errorOf("NotLeader", "the read was not taken", command.leader))))
    default:
      return unreachable(command)
  }
}

const written = <Answer>(room: Room<Answer>, { durable, ticket }: Writing): Effect.Effect<void> =>
  Effect.matchEffect(durable, {
    onSuccess: () => Effect.sync(() => void Queue.offerUnsafe(room.inbox, { _tag: "Persisted", ticket })),
    onFailure: (error) => Effect.andThen(Effect.logError(`raft ${room.run.id}: it promises nothing any more: ${error.message}`), Effect.sync(() => {
      Queue.offerUnsafe(room.inbox, { _tag: "PersistFailed", detail: error.message })
      abandon(room, error.message)
    }))
  })

/** What was accepted may come true or not. */
const abandon = <Answer>(room: Room<Answer>, why: string): void => {
  for (const number of room.proposals.keys()) endProposal(room, number, Effect.fail(errorOf("Unknown", why)))
  for (const number of room.reads.keys()) endRead(room, number, Effect.fail(errorOf("Unanswered", why)))
}

const accepted = <Answer>({ byIndex, proposals }: Room<Answer>, { index, proposal, term }: Extract<RaftCommand, { readonly _tag: "Accepted" }>): void => {
  const waiting = proposals.get(proposal)
  if (waiting === undefined) return
  waiting.at = { index, term }
  const earlier = byIndex.get(index)
  // One that stood there before was cut off: this place is another's now.
  if (earlier !== undefined) endProposal({ byIndex, proposals }, earlier, Effect.fail(errorOf("Superseded", "another leader's entries took its place")))
  byIndex.set(index, proposal)
}

const endProposal = <Answer>({ byIndex, proposals }: Pick<Room<Answer>, "byIndex" | "proposals">, number: number, exit: Effect.Effect<Answer, RaftError>): void => {
  const waiting = proposals.get(number)
  if (waiting === undefined) return
  proposals.delete(number)
  if (waiting.at !== undefined && byIndex.get(waiting.at.index) === number) byIndex.delete(waiting.at.index)
  Deferred.doneUnsafe(waiting.done, exit)
}

const endRead = <Answer>({ reads }: Room<Answer>, number: number, exit: Effect.Effect<LogIndex, RaftError>): void => {
  const waiting = reads.get(number)
  if (waiting === undefined) return
  reads.delete(number)
  Deferred.doneUnsafe(waiting.done, exit)
}

const readReady = <Answer>(room: Room<Answer>, number: number, index: LogIndex): void => {
  const waiting = room.reads.get(number)
  if (waiting === undefined || waiting.index !== undefined) return
  waiting.index = index
  if (index <= room.applied) endRead(room, number, Effect.succeed(index))
}

const carryOn = Effect.fnUntraced(function*<Answer>(room: Room<Answer>, work: Work) {
  if (work._tag === "Install") return yield* install(room, work.from, work.snapshot)
  // A state that was installed meanwhile has them.
  const entries = work.entries.filter(({ index }) => index > room.applied)
  room.behind -= work.entries.length
  if (entries.length === 0) return
  const answers = yield* room.run.machine.apply(entries)
  for (const [at, { index, term }] of entries.entries()) {
    room.applied = index
    const number = room.byIndex.get(index)
    if (number === undefined) continue
    const isOurs = room.proposals.get(number)?.at?.term === term
    endProposal(room, number, isOurs ? Effect.succeed(answers[at]!) : Effect.fail(errorOf("Superseded", "another leader's entry was committed in its place", room.state.leader)))
  }
  answerReads(room)
})

const answerReads = <Answer>(room: Room<Answer>): void => {
  for (const [number, { index }] of room.reads) if (index !== undefined && index <= room.applied) endRead(room, number, Effect.succeed(index))
}

const install = Effect.fnUntraced(function*<Answer>(room: Room<Answer>, from: ReplicaId, wanted: SnapshotPlace) {
  const snapshot = wanted.index <= room.applied ? undefined : yield* room.run.machine.install(from, wanted)
  if (snapshot === undefined) return void Queue.offerUnsafe(room.inbox, { _tag: "SnapshotFailed" })
  room.applied = Math.max(room.applied, snapshot.index)
  for (const [index, number] of room.byIndex) {
    if (index <= room.applied) endProposal(room, number, Effect.fail(errorOf("Unknown", "a state that may have it was fetched from another replica")))
  }
  Queue.offerUnsafe(room.inbox, { _tag: "SnapshotInstalled", snapshot })
  answerReads(room)
})

const interfaceOf = <Answer>(room: Room<Answer>): RaftInterface<Answer> => ({
  propose: (bytes) => proposing(room, (proposal) => ({ _tag: "Propose", proposal, bytes })),
  change: (voters, learners) => Effect.asVoid(proposing(room, (proposal) => ({ _tag: "ChangeMembership", proposal, voters, learners }))),
  read: Effect.flatMap(monotonicMs, (askedMs) => {
    const number = room.numberNext++
    const done = Deferred.makeUnsafe<LogIndex, RaftError>()
    if (room.reads.size >= raftClientsMax || !offer(room, { _tag: "Read", read: number })) return Effect.fail(errorOf("Busy", `${room.reads.size} reads wait`))
    room.reads.set(number, { index: undefined, askedMs, done })
    return Effect.onInterrupt(Deferred.await(done), () => Effect.sync(() => void room.reads.delete(number)))
  }),
  transfer: (to) => Effect.sync(() => void offer(room, { _tag: "TransferLeadership", to })),
  compact: (index) => Effect.sync(() => void Queue.offerUnsafe(room.inbox, { _tag: "Compact", index })),
  status: () => statusOf(room)
})

const proposing = <Answer>(room: Room<Answer>, eventOf: (proposal: number) => RaftEvent): Effect.Effect<Answer, RaftError> =>
  Effect.suspend(() => {
    const { behind, proposals } = room
    const number = room.numberNext++
    const done = Deferred.makeUnsafe<Answer, RaftError>()
    if (proposals.size >= raftClientsMax || behind >= raftApplyQueuedMax || !offer(room, eventOf(number))) {
      return Effect.fail(errorOf("Busy", `${proposals.size} proposals wait, ${behind} entries are not applied`))
    }
    proposals.set(number, { at: undefined, done })
    return Effect.onInterrupt(Deferred.await(done), () => Effect.sync(() => endProposal(room, number, Effect.interrupt)))
  })

const nobodysMatches: ReadonlyMap<ReplicaId, LogIndex> = new Map()

const statusOf = <Answer>({ applied, run: { id }, state }: Room<Answer>): RaftStatus => {
  const { commit, configuration, configurationIndex, failed, leader, log, peers, role, term } = state
  const matched = role === "Leader" ? new Map([...peers].map(([peer, { match }]) => [peer, match])) : nobodysMatches
  return { id, role, term, leader, commit, applied, last: lastIndexOf(log), configuration, configurationIndex, matched, failure: failed }
}
