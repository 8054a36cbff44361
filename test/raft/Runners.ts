/**
 * Runners: replicas as nodes would run them, each on a machine of a simulated world: RaftService over RaftJournal over the journal, on
 * twins of disk, clock and network. Their state machine is one register, whose state is on the disk from time to time.
 */
import { ok } from "node:assert"
import { Effect, type Exit, Queue, Scope } from "effect"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { Machine } from "../../sim/Machine.ts"
import type { RaftRecorder } from "../../sim/RaftRecorder.ts"
import type { SimulatedNetwork } from "../../sim/Network.ts"
import type { Random } from "../../sim/Random.ts"
import type { Timeline } from "../../sim/Timeline.ts"
import type { RaftMonitor } from "../../spec/RaftMonitor.ts"
import { fromUtf8 } from "../../src/base/bytes.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Entry, LogIndex, SnapshotPlace } from "../../src/raft/Entry.ts"
import { RaftFormatError } from "../../src/raft/RaftBytes.ts"
import { decodeMessage, encodeMessage } from "../../src/raft/RaftFormat.ts"
import { invariants } from "../../src/raft/RaftInvariants.ts"
import { configurationAt, noSnapshot, termAt } from "../../src/raft/RaftLog.ts"
import type { RaftGroup, RaftJournalInterface } from "../../src/raft/RaftJournalService.ts"
import { type RaftInterface, runRaft, type StateMachine } from "../../src/raft/RaftService.ts"
import { initialState, type RaftCommand, type RaftEvent, type RaftState } from "../../src/raft/RaftState.ts"
import { group, startRaft } from "./journalScene.ts"
import { options } from "./Cluster.ts"

/** What a state is: the register's value after all up to a place. */
interface Saved {
  readonly value: string
  readonly place: SnapshotPlace
}

/** What every replica applied, by index: none applies another entry there. */
export type History = Map<LogIndex, string>

const textOf = ({ body, term }: Entry): string => `${term}:${body._tag === "Command" ? fromUtf8(body.bytes) : body._tag}`

export interface World {
  readonly timeline: Timeline
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly history: History
  readonly replicas: Map<string, Runner>
  readonly leaders: Map<number, string>
  /** Judges every step of every replica. */
  readonly monitor: RaftMonitor
  readonly recorder: RaftRecorder
  /** What a sync takes at most. */
  readonly syncMs: number
  /** Flips bits of datagrams: a carrier would refuse those. */
  readonly checksOf: (bytes: Uint8Array) => Uint8Array
}

const checked = (bytes: Uint8Array, checksOf: World["checksOf"]): Uint8Array => Buffer.concat([checksOf(bytes), bytes])

const unchecked = (bytes: Uint8Array, checksOf: World["checksOf"]): Uint8Array | undefined => {
  const body = bytes.subarray(4)
  return Buffer.compare(checksOf(body), bytes.subarray(0, 4)) === 0 ? body : undefined
}

export class Runner {
  readonly id: string
  disk = new MemoryDisk()
  /** Outlives its power. */
  saved: Saved
  raft: RaftInterface<string> | undefined
  failure: string | undefined
  readonly #world: World
  readonly #machine: Machine
  readonly #first: SnapshotPlace
  #lives = 0
  #value = ""
  #state: RaftState | undefined

  constructor(world: World, id: string, voters: ReadonlyArray<string>) {
    this.id = id
    this.#world = world
    this.#first = { ...noSnapshot, configuration: configurationOf(voters) }
    this.saved = { value: "", place: this.#first }
    const { random, timeline } = world
    const traits = { disorder: 0.1, taskUs: 2, clock: { offsetMs: 0, drift: 0 }, epochMs: Date.UTC(2026, 10, 22) }
    this.#machine = new Machine(timeline, traits, random.fork(), () => undefined, "None")
    this.#machine.powerOff()
  }

  get isOn(): boolean {
    return this.#machine.isOn
  }

  get value(): string {
    return this.#value
  }

  get #stateMachine(): StateMachine<string> {
    return {
      applied: this.saved.place,
      apply: (entries) => Effect.sync(() => entries.map((entry) => this.#apply(entry))),
      install: (from, wanted) => Effect.sync(() => {
        const other = this.#world.replicas.get(from)?.saved
        if (other === undefined || other.place.index < wanted.index || this.#world.random.chance(0.2)) return undefined
        this.saved = other
        this.#value = other.value
        return other.place
      })
    }
  }

  #apply(entry: Entry): string {
    const text = textOf(entry)
    const { history } = this.#world
    const other = history.get(entry.index)
    ok(other === undefined || other === text, `${this.id} applies ${text} at ${entry.index}, another applied ${other}`)
    history.set(entry.index, text)
    if (entry.body._tag === "Command") this.#value = fromUtf8(entry.body.bytes)!
    return this.#value
  }

  start(): void {
    const { network, random } = this.#world
    this.#lives += 1
    this.#machine.powerOn()
    this.#value = this.saved.value
    this.raft = undefined
    const { processor } = this.#machine
    const { life } = processor
    const disk = this.disk
    const syncMs = this.#world.syncMs
    disk.delayMs = (operation) => operation === "sync" ? 1 + random.below(syncMs) : 0
    const started = Effect.gen({ self: this }, function*() {
      const { raft: journal } = yield* startRaft(disk, this.#lives, { forwardSegments: 2, segmentBytes: 65_536 })
      const port = network.port(this.id, life)
      const heard = yield* port.listen(this.id)
      const receive = Effect.flatMap(Queue.take(heard), ({ bytes }) => {
        const whole = unchecked(bytes, this.#world.checksOf)
        const message = whole === undefined ? undefined : decodeMessage(whole)
        ok(!(message instanceof RaftFormatError), "what is whole can be read")
        return message === undefined ? receive : Effect.succeed(message.message)
      }) as Effect.Effect<never>
      return yield* runRaft({
        group, id: this.id, journal: this.#watched(journal), machine: this.#stateMachine, entropy: seededEntropy(random.fork()), begin: this.#first, options,
        network: { receive, send: (message) => Effect.orDie(port.send(message.to, checked(encodeMessage({ group, message }), this.#world.checksOf))) },
        observe: (state, event, commands) => this.#observe(state, event, commands)
      })
    })
    this.#machine.fork(Scope.provide(started, Scope.makeUnsafe())).addObserver((exit) => {
      if (!life.isOn) return
      if (exit._tag === "Success") this.raft = exit.value
      else this.failure = String(exit.cause)
    })

  }

  /** A life begins with what the journal has, and the state. */
  #watched(journal: RaftJournalInterface): RaftJournalInterface {
    const begins = ({ found }: RaftGroup): void => {
      const { hardState, slots, snapshot } = found._tag === "Found" ? found : { hardState: { term: 0, vote: undefined }, slots: [], snapshot: this.#first }
      const start = { hardState, slots, snapshot, applied: this.saved.place }
      this.#world.recorder.started(initialState({ ...start, id: this.id, options, nowMs: 0, jitter: 0 }), start)
    }
    return { ...journal, group: (of) => Effect.tap(journal.group(of), (found) => Effect.sync(() => begins(found))) }
  }

  #observe(state: RaftState, event: RaftEvent, commands: ReadonlyArray<RaftCommand>): void {
    invariants(state)
    this.#world.recorder.stepped(state, event, commands)
    this.#state = state
    if (state.role !== "Leader") return
    const other = this.#world.leaders.get(state.term)
    ok(other === undefined || other === this.id, `${other} and ${this.id} lead in term ${state.term}`)
    this.#world.leaders.set(state.term, this.id)
  }

  /** The state of now is on the disk, and the log before it is not needed. */
  checkpoint(): void {
    const { raft } = this
    const state = this.#state
    if (raft === undefined || state === undefined || !this.isOn) return
    const index = raft.status().applied
    const term = termAt(state.log, index)
    if (term === undefined || index <= this.saved.place.index) return
    this.saved = { value: this.#value, place: { index, term, configuration: configurationAt(state.log, index).configuration } }
    this.#world.recorder.saved(this.id, this.saved.place)
    this.run(raft.compact(index), () => undefined)
  }

  run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const { life } = this.#machine.processor
    this.#machine.fork(effect).addObserver((exit) => {
      if (life.isOn) done(exit)
    })
  }

  powerOff(): void {
    this.#machine.powerOff()
    const { random } = this.#world
    this.disk = random.chance(0.6) ? this.disk.crash(random) : this.disk.kill(random)
    this.raft = undefined
  }
}
