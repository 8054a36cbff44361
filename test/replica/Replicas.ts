/**
 * Replicas: the namespace on Raft as nodes would run it, each on a machine of a simulated world: ReplicaService over RaftJournal over the
 * journal, on twins of disk, index, clock and network. What they say to each other, notes of Raft and asks alike, goes over the one network.
 */
import { ok } from "node:assert"
import { Deferred, Effect, type Exit, Queue, Scope } from "effect"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { Machine } from "../../sim/Machine.ts"
import type { SimulatedNetwork } from "../../sim/Network.ts"
import type { Random } from "../../sim/Random.ts"
import type { Timeline } from "../../sim/Timeline.ts"
import { equalBytes, putU64, toHex } from "../../src/base/bytes.ts"
import { hashBytes } from "../../src/base/hash.ts"
import type { MembershipRecord } from "../../src/membership/Membership.ts"
import type { WalSizes } from "../../src/wal/Wal.ts"
import { Disk, type DiskService } from "../../src/ports/Disk.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { KeyValue } from "../../src/ports/KeyValue.ts"
import type { Entry } from "../../src/raft/Entry.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { Message } from "../../src/raft/Message.ts"
import { noSnapshot } from "../../src/raft/RaftLog.ts"
import { decodeMessage, encodeMessage } from "../../src/raft/RaftFormat.ts"
import { RaftFormatError } from "../../src/raft/RaftBytes.ts"
import { PeerError, type Peers } from "../../src/replica/Peers.ts"
import { commandFormat, decodeAsk } from "../../src/replica/ReplicaFormat.ts"
import type { AppliedEntry } from "../../src/replica/ReplicaApply.ts"
import type { SessionRules } from "../../src/replica/ReplicaRows.ts"
import type { Ask, Reply } from "../../src/replica/Request.ts"
import { type Replica, runReplica } from "../../src/replica/ReplicaService.ts"
import { context, tenant, vault } from "../namespace/store.ts"
import { twinSealer } from "../namespace/state/sealer.ts"
import { options as raftOptions } from "../raft/Cluster.ts"
import { group, startRaft } from "../raft/journalScene.ts"
import type { RaftWatch } from "../raft/RaftWatch.ts"

export interface World {
  readonly timeline: Timeline
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly nodes: Map<string, Node>
  readonly watch: RaftWatch
  /** What every replica made of the entry at an index: none makes anything else of it. */
  readonly history: Map<number, string>
  /** Of each term, the first commit that was stamped in it; and terms in which one was refused after it was stamped. */
  readonly firsts: Map<number, number>
  readonly refusedIn: Set<number>
  /** What came to nothing by its sequence: how often, all together. */
  stale: number
  readonly syncMs: number
  /** Disks lose nothing that was synced, and nobody takes their files away. */
  readonly isMerciful: boolean
  /** The power of a node may go while it syncs this file. */
  strikes: (node: Node, path: string) => void
  /** Asks end now and then as sessions of the carrier do. */
  endsAsks: boolean
  readonly sessions: SessionRules
  readonly uncommittedBytesMax: number
  readonly logBytesMax: number
  /** Of the journal: no record is longer than a batch. */
  readonly sizes: WalSizes
  /** Clocks are off by at most this. */
  readonly skewMs: number
  /** What a machine's disk does otherwise. */
  disk?: (disk: DiskService) => DiskService
  /** Told of every ask that leaves. */
  asked?: (from: string, to: string, ask: Ask) => void
}

const notes = 0
const asks = 1
const answers = 2
const hashSize = 8

const framed = (kind: number, number: number, bytes: Uint8Array): Uint8Array => {
  const head = new Uint8Array(9)
  head[0] = kind
  putU64(head, 1, number)
  const body = Buffer.concat([head, bytes])
  return Buffer.concat([hashBytes(body).subarray(0, hashSize), body])
}

/** Undefined: bits were flipped, which a carrier would not let pass. */
const unframed = (bytes: Uint8Array): { readonly kind: number; readonly number: number; readonly bytes: Uint8Array } | undefined => {
  const body = Buffer.from(bytes.subarray(hashSize))
  if (!equalBytes(hashBytes(body).subarray(0, hashSize), bytes.subarray(0, hashSize))) return undefined
  return { kind: body[0]!, number: Number(body.readBigUInt64BE(1)), bytes: body.subarray(9) }
}

const traits = { disorder: 0.1, taskUs: 2 }
const epochMs = Date.UTC(2026, 10, 22)

export class Node {
  readonly id: string
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  replica: Replica | undefined
  failure: string | undefined
  /** The record of members as this life was told of it, each time. */
  told: ReadonlyArray<MembershipRecord> = []
  readonly #world: World
  readonly #machine: Machine
  readonly #voters: ReadonlyArray<string>
  #lives = 0

  constructor(world: World, id: string, voters: ReadonlyArray<string>) {
    this.id = id
    this.#world = world
    this.#voters = voters
    const { random, skewMs, timeline } = world
    this.#machine = new Machine(timeline, { ...traits, clock: { offsetMs: random.below(2 * skewMs + 1) - skewMs, drift: 0 }, epochMs }, random.fork(), (event) => this.#log(event), "Warn")
    this.#machine.powerOff()
  }

  get isOn(): boolean {
    return this.#machine.isOn
  }

  #log({ message }: { readonly message: unknown }): void {
    const text = String(Array.isArray(message) ? message.join(" ") : message)
    if (process.env["REPLICA_LOG"] !== undefined) console.log(Math.round(this.#world.timeline.nowUs / 1000), this.id, text)
    // No disk is harmed in these worlds: what a checkpoint or the log lacks then was let go too early.
    if (this.#world.isMerciful && /is fetched from the others/.test(text)) this.failure ??= text
    if (/ended by a defect/.test(text)) this.failure ??= `${text} ${String(Array.isArray(message) ? message.at(-1) : "")}`
  }

  start(): void {
    const { network, random, sessions, logBytesMax, syncMs } = this.#world
    this.#lives += 1
    this.#machine.powerOn()
    this.replica = undefined
    this.told = []
    const { processor } = this.#machine
    const { life } = processor
    const { disk, index } = this
    disk.delayMs = (operation, path) => {
      if (operation !== "sync") return 0
      this.#world.strikes(this, path)
      return 1 + random.below(syncMs)
    }
    const started = Effect.gen({ self: this }, function*() {
      const { raft: journal } = yield* startRaft(disk, this.#lives, { forwardSegments: 2, segmentBytes: this.#world.sizes.segmentBytes, sizes: this.#world.sizes })
      const port = network.port(this.id, life)
      const heard = yield* port.listen(this.id)
      const inbox = yield* Queue.unbounded<Message>()
      const waiting = new Map<number, Deferred.Deferred<Uint8Array>>()
      let asked = this.#lives * 1_000_000
      const post = (to: string, kind: number, number: number, bytes: Uint8Array) => Effect.orDie(port.send(to, framed(kind, number, bytes)))
      const peers: Peers = {
        ask: (to, bytes) => Effect.suspend(() => {
          if (this.#world.endsAsks && random.chance(0.02)) return Effect.fail(new PeerError({ peer: to, detail: "the network's twin has no session" }))
          this.#world.asked?.(this.id, to, decodeAsk(bytes))
          const number = asked++
          const done = Deferred.makeUnsafe<Uint8Array>()
          waiting.set(number, done)
          return Effect.ensuring(Effect.andThen(post(to, asks, number, bytes), Deferred.await(done)), Effect.sync(() => waiting.delete(number)))
        })
      }
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(Queue.take(heard), ({ bytes, from }) => {
        const whole = unframed(bytes)
        if (whole?.kind === notes) {
          const message = decodeMessage(whole.bytes)
          ok(!(message instanceof RaftFormatError), "what is whole can be read")
          return Queue.offer(inbox, message.message)
        }
        if (whole?.kind === answers) return Effect.sync(() => { const done = waiting.get(whole.number); if (done !== undefined) Deferred.doneUnsafe(done, Effect.succeed(whole.bytes)) })
        if (whole?.kind !== asks || this.replica === undefined) return Effect.void
        return Effect.forkScoped(Effect.flatMap(this.replica.answer(whole.bytes), (reply) => post(from, answers, whole.number, reply)))
      })))
      return yield* runReplica({
        group, id: this.id, journal, peers, tenant, vault, ...context, author: "node", sealer: twinSealer(), begin: { ...noSnapshot, configuration: configurationOf(this.#voters) }, sessions,
        membersChanged: (record) => { if (life.isOn) this.told = [...this.told, record] },
        state: { rootKey: new Uint8Array(32).fill(9), folder: "state", deltasMax: 3 },
        network: { receive: Queue.take(inbox), send: (message) => post(message.to, notes, 0, encodeMessage({ group, message })) },
        raft: { options: { ...raftOptions, uncommittedBytesMax: this.#world.uncommittedBytesMax }, began: this.#world.watch.began, observe: (state, event, commands) => {
          this.#world.watch.observe(state, event, commands)
          if (commands.some(({ _tag }) => _tag === "RefuseProposal")) this.#world.refusedIn.add(state.term)
        } },
        machine: { observe: (entry, applied) => this.#observe(entry, applied), logBytesMax, pieceBytes: 2048 }
      })
    }).pipe(Effect.provideService(Disk, this.#world.disk?.(disk.service) ?? disk.service), Effect.provideService(KeyValue, index.service), Effect.provideService(Entropy, seededEntropy(random.fork())))
    this.#machine.fork(Scope.provide(started, Scope.makeUnsafe())).addObserver((exit) => {
      if (!life.isOn) return
      if (exit._tag === "Success") this.replica = exit.value
      else this.failure ??= String(exit.cause)
    })
  }

  /** The same rows, stamp and reply at the same index, everywhere. */
  #observe(entry: Entry, { commit, reply, rows, stamp }: AppliedEntry): void {
    const { history } = this.#world
    const last = Number(history.get(entry.index - 1)?.split(":")[3] ?? 0)
    const next = commit === undefined ? last : last + 1
    if (stamp.sequence !== next || (commit !== undefined && commit.entry.sequence !== next)) this.failure ??= `${this.id}: entry ${entry.index} leads from commit ${last} to ${stamp.sequence}`
    const hash = hashBytes(Buffer.from(JSON.stringify([entry.term, entry.body._tag, stamp.sequence, String(stamp.time), stamp.wal, reply, rows.map(([key, value]) => [Buffer.from(key, "latin1").toString("hex"), value === undefined ? null : toHex(value)])],
      (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))))
    const text = `${entry.term}:${entry.body._tag}:${reply._tag}:${stamp.sequence}:${toHex(hash.subarray(0, 8))}`
    const other = history.get(entry.index)
    if (other === undefined && reply._tag === "Again") this.#world.stale += 1
    this.#lookAtFirst(entry, reply)
    if (other !== undefined && other !== text) this.failure ??= `${this.id} makes ${text} of entry ${entry.index}, another made ${other}`
    if (other === undefined) history.set(entry.index, text)
  }

  /** Behind the barrier a leader knows the state: the first that it stamps counts. */
  #lookAtFirst({ body, index, term }: Entry, reply: Reply): void {
    if (body._tag !== "Command") return
    const command = commandFormat.decode(body.bytes)
    const { firsts, refusedIn } = this.#world
    if (command._tag !== "Commit" || command.term !== term || firsts.has(term)) return
    firsts.set(term, index)
    if (reply._tag === "Again" && !refusedIn.has(term)) this.failure ??= `the first commit of term ${term}, at ${index}, has not the state's next sequence`
  }

  /** Every row of it. */
  rows(): ReadonlyArray<readonly [string, string]> {
    return [...this.replica!.state.reader.scan("", "\u0100")].map(([key, value]) => [Buffer.from(key, "latin1").toString("hex"), toHex(value)])
  }

  run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const { life } = this.#machine.processor
    this.#machine.fork(effect).addObserver((exit) => {
      if (life.isOn) done(exit)
    })
  }

  /** The power goes: what was not synced is lost. */
  cutPower(): void {
    this.powerOff(true)
  }

  powerOff(isCut?: boolean): void {
    this.#machine.powerOff()
    const { random } = this.#world
    const cut = isCut ?? random.chance(0.6)
    this.disk = cut ? this.disk.crash(random) : this.disk.kill(random)
    this.index = cut ? this.index.crash(random) : this.index.kill()
    this.replica = undefined
  }
}
