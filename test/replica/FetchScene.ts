/** FetchScene: a replica's slot that is fetched, and a machine that fetches it, on twins: what comes between them a test says, ask by ask. */
import { Effect, type Exit } from "effect"
import { ok } from "node:assert"
import { MemoryDisk } from "../../sim/Disk.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { Machine } from "../../sim/Machine.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { hybridTime } from "../../src/base/time.ts"
import type { StateError, StateService } from "../../src/namespace/State.ts"
import { fetchState, offerOf, pieceOf } from "../../src/replica/FetchService.ts"
import type { PeerError, Peers } from "../../src/replica/Peers.ts"
import { decodeAsk, replyFormat } from "../../src/replica/ReplicaFormat.ts"
import type { Ask, Reply } from "../../src/replica/Request.ts"
import { type OpenSlot, openSlot, type Slot, type SlotOptions } from "../../src/replica/SlotService.ts"
import { twinSealer } from "../namespace/state/sealer.ts"
import { rowsOf } from "../namespace/state/harness.ts"

export const pieceBytes = 512

export const slotsOf = (disk: MemoryDisk, index: MemoryKeyValue): SlotOptions => ({ disk: disk.service, index: index.service, sealer: twinSealer(), rootKey: new Uint8Array(32).fill(9), folder: "state", deltasMax: 3 })

const whole = { reaches: () => true, holdsAll: () => true }

/** Fails where it fails; nothing here waits for a clock. */
const now = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

/** A replica that gives its state: one of its slots is open. */
export class Giver {
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  open: OpenSlot | undefined
  at = 0
  readonly random: Random

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  get state(): StateService {
    return this.open!.state
  }

  get rows(): ReadonlyArray<readonly [string, string]> {
    return rowsOf(this.state)
  }

  /** Of all that it has, in so many checkpoints of so many rows. */
  async write(checkpoints: number, rows = 40): Promise<this> {
    this.open ??= await now(openSlot(slotsOf(this.disk, this.index), 0, whole))
    for (let round = 0; round < checkpoints; round += 1) {
      this.at += 10
      const stamp = { sequence: this.at, time: hybridTime(1000 + this.at, 0), wal: { segment: 1, offset: this.at } }
      this.state.write(Array.from({ length: rows }, () => [`k${this.random.below(1000)}`, this.random.bytes(60)] as const), stamp)
      await now(this.state.checkpoint)
    }
    return this
  }

  async restart(slot: Slot = 0): Promise<void> {
    await now(this.open!.close)
    this.disk = this.disk.crash(this.random)
    this.index = this.index.crash(this.random)
    this.open = await now(openSlot(slotsOf(this.disk, this.index), slot, { ...whole, holdsAll: () => false }))
  }

  answer(ask: Ask): Effect.Effect<Reply> {
    const slots = slotsOf(this.disk, this.index)
    const gone: Reply = { _tag: "Gone" }
    return Effect.orDie(Effect.suspend((): Effect.Effect<Reply, StateError> => {
      if (ask._tag === "Offer") return Effect.map(offerOf(slots, this.open!, ask.index), (offer) => (offer === undefined ? gone : { _tag: "Offered", ...offer }))
      ok(ask._tag === "Piece")
      return Effect.map(pieceOf(slots, this.open!.slot, ask), (bytes) => (bytes === undefined ? gone : { _tag: "Piece", bytes }))
    }))
  }
}

export type Got = Exit.Exit<OpenSlot, PeerError | StateError>

/** A machine that fetches into its slot 1, and what it asked. */
export class Taker {
  disk = new MemoryDisk()
  index = new MemoryKeyValue()
  readonly random: Random
  readonly timeline = new Timeline()
  readonly machine: Machine
  readonly asked: Array<Ask> = []
  /** What becomes of an ask: a giver's answer, another, or none. */
  answer: (ask: Ask, number: number) => Effect.Effect<Reply | Uint8Array, PeerError>

  constructor(giver: Giver, seed = 1) {
    this.random = seededRandom(seed)
    this.machine = new Machine(this.timeline, { disorder: 0.1, taskUs: 2, clock: { offsetMs: 0, drift: 0 }, epochMs: Date.UTC(2026, 10, 22) }, this.random.fork(), () => undefined, "Error")
    this.answer = (ask) => giver.answer(ask)
  }

  get pieces(): ReadonlyArray<string> {
    return this.asked.flatMap((ask) => (ask._tag === "Piece" ? [`${ask.kind} ${ask.generation} ${ask.offset}`] : []))
  }

  /** Files of the slot that it fetches into. */
  get files(): ReadonlyArray<string> {
    return [...this.disk.sizes().keys()].filter((path) => path.startsWith("state/1/")).map((path) => path.slice(8)).sort()
  }

  readonly peers: Peers = {
    ask: (_, bytes) => Effect.suspend(() => {
      const ask = decodeAsk(bytes)
      this.asked.push(ask)
      return Effect.map(this.answer(ask, this.asked.length), (reply) => (reply instanceof Uint8Array ? reply : replyFormat.encode(reply)))
    })
  }

  /** One attempt; undefined: its disk has stopped before it ended. */
  fetch(index: number): Got | undefined {
    const seen: { got?: Got } = {}
    const { service } = this.disk
    // As who has opened the other slot, which comes first.
    const begun = Effect.orDie(Effect.andThen(service.makeFolder("state"), service.syncFolder("")))
    const fetched = fetchState({ options: slotsOf(this.disk, this.index), peers: this.peers, from: "giver", slot: 1, index, pieceBytes })
    this.machine.fork(Effect.andThen(begun, fetched)).addObserver((exit) => { seen.got = exit })
    while (seen.got === undefined && !this.disk.stopped && this.timeline.step());
    return seen.got
  }

  powerCut(): void {
    this.machine.powerOff()
    this.disk = this.disk.crash(this.random)
    this.index = this.index.crash(this.random)
    this.machine.powerOn()
  }
}
