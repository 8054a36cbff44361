/**
 * RandomWorld: carriers of two to four nodes over the network's twin with all its faults, restarts and clocks that jump: nothing is heard that was not said, nothing
 * twice, every ask ends, and once all is calm everything is answered. A seed drives each; random.test.ts runs a few, swarm.ts as many as one likes.
 */
import { ok } from "node:assert/strict"
import { drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom, type Random } from "../../sim/Random.ts"
import { Life, Timeline } from "../../sim/Timeline.ts"
import { toHex } from "../../src/base/bytes.ts"
import { hashBytes } from "../../src/base/hash.ts"
import type { Priority } from "../../src/carrier/CarrierFormat.ts"
import type { CarrierCommand } from "../../src/carrier/CarrierState.ts"
import { answersTo, areAnswers, bodyOf, Fleet } from "./Fleet.ts"

const msUs = 1000
const faultsForMs = 20_000
const calmForMs = 60_000

interface Asked {
  readonly by: number
  readonly restarts: number
  readonly request: Uint8Array
  readonly isTold: boolean
  readonly answers: Array<Uint8Array>
  readonly dueMs: number
  end: string | undefined
}

class World {
  readonly fleet: Fleet
  readonly timeline = new Timeline()
  readonly network: SimulatedNetwork
  readonly random: Random
  readonly asked = new Map<number, Asked>()
  readonly said = new Set<string>()
  readonly heard = new Set<string>()
  /** By node and life: ids start anew. */
  readonly counts = { delivered: 0, answered: 0, failed: 0, notes: 0, restarts: 0 }
  #next = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.network = new SimulatedNetwork(this.timeline, this.random.fork(), drawNetworkPlan(this.random))
    this.fleet = new Fleet(this.random.pick([2, 3, 4]))
    this.fleet.carryOut = (by, command) => this.#carryOut(by, command)
    this.fleet.members.forEach((_, index) => {
      this.network.attach(this.fleet.idOf(index), new Life(), ({ bytes, from }) => {
        this.#at()
        this.fleet.do(index, { _tag: "Received", from: from as never, bytes })
        return true
      })
      const tick = (): void => {
        this.#at()
        this.fleet.tick(index)
        this.timeline.after(50 * msUs, tick)
      }
      tick()
    })
  }

  #at(): void {
    this.fleet.nowMs = 1000 + this.timeline.nowUs / msUs
  }

  #restarts(by: number): number {
    return this.fleet.members[by]!.restarts
  }

  /** In the life in which it was decided. */
  #later(by: number, delayMs: number, then: () => void): void {
    const restarts = this.#restarts(by)
    this.timeline.after(delayMs * msUs, () => {
      if (this.#restarts(by) !== restarts) return
      this.#at()
      then()
    })
  }

  #carryOut(by: number, command: CarrierCommand): void {
    const { fleet } = this
    switch (command._tag) {
      case "Transmit":
        this.network.send(fleet.idOf(by), command.to, command.bytes)
        return this.#later(by, this.random.below(5), () => void fleet.do(by, { _tag: "Sent", to: command.to, bytes: command.bytes.length }))
      case "Deliver":
        return this.#delivered(by, command)
      case "Answered":
        return this.#answered(by, command)
      case "Failed": {
        const asked = this.asked.get(command.ask)!
        ok(asked.end === undefined, "an ask ends once")
        ok(this.fleet.nowMs <= asked.dueMs + 200, "an ask ends by its deadline")
        asked.end = command.reason
        this.counts.failed += 1
        return
      }
      default:
        return
    }
  }

  #delivered(by: number, { bytes, from, request }: Extract<CarrierCommand, { readonly _tag: "Deliver" }>): void {
    const name = `${from} ${this.fleet.idOf(by)} ${toHex(hashBytes(bytes))}`
    ok(this.said.has(name), "what is heard was said, by that node, for this one")
    ok(!this.heard.has(name), "nothing is heard twice")
    this.heard.add(name)
    this.counts.delivered += 1
    this.#later(by, this.random.below(200), () => void this.fleet.do(by, { _tag: "Taken", from, bytes: bytes.length }))
    if (request === undefined) return
    answersTo(bytes).forEach((answer, index, all) => this.#later(by, 100 * index + this.random.below(90), () =>
      void this.fleet.do(by, { _tag: "Answer", to: from, request, bytes: answer, isLast: index === all.length - 1 })))
  }

  #answered(by: number, { ask, bytes, from, isLast }: Extract<CarrierCommand, { readonly _tag: "Answered" }>): void {
    const asked = this.asked.get(ask)!
    ok(asked.end === undefined && asked.by === by && asked.restarts === this.#restarts(by), "whoever asks is answered, until the end")
    this.#later(by, this.random.below(200), () => void this.fleet.do(by, { _tag: "Taken", from, bytes: bytes.length, ask }))
    asked.answers.push(bytes)
    if (!isLast) return
    ok(asked.isTold || areAnswers(asked.request, asked.answers), "answers are what the request decides, all and in order")
    if (asked.isTold) ok(this.heard.has(`${this.fleet.idOf(by)} ${from} ${toHex(hashBytes(asked.request))}`), "what is told and acknowledged was heard")
    asked.end = "Answered"
    this.counts.answered += 1
  }

  act(): void {
    const { fleet, random } = this
    this.#at()
    const by = random.below(fleet.members.length)
    const to = (by + 1 + random.below(fleet.members.length - 1)) % fleet.members.length
    this.#next += 1
    const name = `${this.#next}`
    const priority = random.below(4) as Priority
    if (random.chance(0.4)) {
      const bytes = bodyOf(random, name).subarray(0, 60_000)
      this.said.add(`${fleet.idOf(by)} ${fleet.idOf(to)} ${toHex(hashBytes(bytes))}`)
      this.counts.notes += 1
      fleet.note(by, to, bytes, priority)
      return
    }
    const request = bodyOf(random, name)
    const isTold = random.chance(0.3)
    const deadlineMs = random.pick([300, 3000, 30_000])
    this.said.add(`${fleet.idOf(by)} ${fleet.idOf(to)} ${toHex(hashBytes(request))}`)
    const ask = this.#next
    this.asked.set(ask, { by, restarts: this.#restarts(by), request, isTold, answers: [], dueMs: fleet.nowMs + deadlineMs, end: undefined })
    fleet.ask(by, to, ask, request, { priority, isTold, deadlineMs })
    if (random.chance(0.05)) {
      this.#later(by, random.below(500), () => {
        const asked = this.asked.get(ask)!
        if (asked.end !== undefined) return
        asked.end = "Cancelled"
        fleet.do(by, { _tag: "CancelAsk", ask })
      })
    }
  }

  restart(): void {
    const by = this.random.below(this.fleet.members.length)
    for (const asked of this.asked.values()) if (asked.by === by) asked.end ??= "Restarted"
    this.counts.restarts += 1
    this.fleet.restart(by)
    this.#at()
    this.fleet.tick(by)
  }

  runUntil(ms: number): void {
    while ((this.timeline.nextUs ?? Number.POSITIVE_INFINITY) <= ms * msUs) this.timeline.step()
  }
}

export const runWorld = (seed: number): World["counts"] => {
  const world = new World(seed)
  const { random } = world
  const [restarts, jumps] = [random.chance(0.5) ? 0.02 : 0, random.chance(0.3) ? 0.02 : 0]
  world.network.begin()
  for (let ms = 0; ms < faultsForMs; ms += 100) {
    world.runUntil(ms)
    if (random.chance(0.7)) world.act()
    if (random.chance(restarts)) world.restart()
    if (random.chance(jumps)) world.fleet.members[random.below(world.fleet.members.length)]!.skewMs = random.below(7_200_000) - 3_600_000
  }
  world.network.heal()
  world.runUntil(faultsForMs + calmForMs)
  for (const [ask, { end }] of world.asked) ok(end !== undefined, `ask ${ask} has not ended`)
  const before = world.counts.answered
  for (let count = 0; count < 10; count += 1) world.act()
  const asked = [...world.asked.values()].filter(({ end }) => end === undefined).length
  world.runUntil(faultsForMs + 2 * calmForMs)
  const cancelled = [...world.asked.values()].filter(({ end, dueMs }) => end !== "Answered" && dueMs > faultsForMs + calmForMs + 1000)
  ok(world.counts.answered - before >= asked - cancelled.filter(({ end }) => end === "Cancelled").length - failedSince(world), "once all is calm, what is asked is answered")
  for (const { state } of world.fleet.members) for (const peer of state.peers.values()) {
    const left = [peer.queuedBytes, peer.heldBytes, peer.inFlightBytes, peer.outgoing.size, peer.asks.size, peer.requests.size]
    ok(left.every((count) => count === 0), `nothing is left, but bytes queued, held, in flight, streams out, asks, requests: ${left.join(" ")}`)
  }
  return world.counts
}

/** Deadlines of 300 ms are short for a first handshake: those may fail. */
const failedSince = (world: World): number =>
  [...world.asked.values()].filter(({ dueMs, end }) => dueMs > faultsForMs + calmForMs + 1000 && (end === "Deadline" || end === "Unreachable") && dueMs < faultsForMs + calmForMs + 1500).length
