/**
 * Stations: carriers as nodes would run them, each on a machine of a simulated world: CarrierService on twins of clock and network. Between stories and the
 * timeline, which a story turns: nothing happens while it looks.
 */
import { Cause, Effect, Exit, Scope } from "effect"
import { seededEntropy } from "../../sim/Entropy.ts"
import { calmPlan, type NetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { Machine } from "../../sim/Machine.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom, type Random } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { invariants } from "../../src/carrier/CarrierInvariants.ts"
import { type CarrierInterface, runCarrier } from "../../src/carrier/CarrierService.ts"
import type { Instant, Members } from "../../src/carrier/CarrierState.ts"
import type { Identity, NodeId } from "../../src/membership/Identity.ts"
import { sceneOf, type Scene } from "../membership/fixtures.ts"

export const msUs = 1000

export class Station {
  readonly identity: Identity
  carrier: CarrierInterface | undefined
  scope: Scope.Closeable | undefined
  /** Whom it has heard, and when. */
  readonly heard: Array<readonly [from: NodeId, nowMs: number]> = []
  /** Told too. */
  hears: (from: NodeId, at: Instant) => void = () => undefined
  readonly log: Array<string> = []
  readonly machine: Machine
  readonly #country: Country

  constructor(country: Country, identity: Identity, random: Random) {
    this.#country = country
    this.identity = identity
    const traits = { disorder: 0.1, taskUs: 1, clock: { offsetMs: 0, drift: 0 }, epochMs: Date.UTC(2026, 10, 22) }
    this.machine = new Machine(country.timeline, traits, random, ({ message }) => { this.log.push(String(message)) }, "Info")
    this.machine.powerOff()
  }

  get id(): NodeId {
    return this.identity.id
  }

  get life() {
    return this.machine.processor.life
  }

  /** `more` runs in the scope of the carrier, once it does. */
  start(more: (station: Station, carrier: CarrierInterface) => Effect.Effect<void, never, Scope.Scope> = () => Effect.void): void {
    const { network, random, scene } = this.#country
    this.machine.powerOn()
    const scope = Scope.makeUnsafe()
    Object.assign(this, { scope, carrier: undefined })
    const started = Effect.gen({ self: this }, function*() {
      const carrier = yield* runCarrier({
        cluster: scene.cluster, self: this.identity, members: this.#country.known(), network: network.port(this.id, this.life), pairs: scene.pairs, entropy: seededEntropy(random.fork()),
        heard: (from, at) => {
          this.heard.push([from, at.nowMs])
          this.hears(from, at)
        },
        observe: invariants
      })
      yield* more(this, carrier)
      this.carrier = carrier
    })
    this.machine.fork(Effect.orDie(Scope.provide(started, scope)))
  }

  /** No word to anybody. */
  powerOff(): void {
    this.machine.powerOff()
    this.carrier = undefined
  }

  /** Its exit, once there is one. */
  run<A, E>(effect: Effect.Effect<A, E>): Running<A, E> {
    const running: { exit: Exit.Exit<A, E> | undefined; stop: () => void } = { exit: undefined, stop: () => undefined }
    const { life } = this
    const fiber = this.machine.fork(effect)
    running.stop = () => fiber.interruptUnsafe()
    fiber.addObserver((exit) => { if (life.isOn) running.exit = exit })
    return running
  }
}

export interface Running<A, E> {
  readonly exit: Exit.Exit<A, E> | undefined
  readonly stop: () => void
}

/** The value, or the error's reason. */
export const valueOf = <A, E>({ exit }: Running<A, E>): A => {
  if (exit === undefined) throw new Error("it has not ended")
  if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
  return exit.value
}

export const reasonOf = <A, E>({ exit }: Running<A, E>): string => {
  if (exit === undefined) return "not ended"
  if (Exit.isSuccess(exit)) return "success"
  return (Cause.squash(exit.cause) as { readonly reason?: string }).reason ?? Cause.pretty(exit.cause)
}

export class Country {
  readonly scene: Scene = sceneOf(1)
  readonly timeline = new Timeline()
  readonly random: Random
  readonly network: SimulatedNetwork
  readonly stations: ReadonlyArray<Station>

  constructor(count: number, seed = 1, plan: NetworkPlan = calmPlan) {
    this.random = seededRandom(seed)
    this.network = new SimulatedNetwork(this.timeline, this.random.fork(), plan)
    const identities = Array.from({ length: count }, (_, index) => this.scene.node(10 + index)).sort((a, b) => (a.id < b.id ? -1 : 1))
    this.stations = identities.map((identity) => new Station(this, identity, this.random.fork()))
  }

  get nowMs(): number {
    return this.timeline.nowUs / msUs
  }

  known(without: ReadonlyArray<NodeId> = [], epoch = 1): Members {
    return { epoch, epochLeast: 0, identities: new Map(this.stations.filter(({ id }) => !without.includes(id)).map(({ id, identity }) => [id, identity.shown])) }
  }

  pass(ms: number): void {
    const untilUs = this.timeline.nowUs + ms * msUs
    while ((this.timeline.nextUs ?? Number.POSITIVE_INFINITY) <= untilUs) this.timeline.step()
    if (this.timeline.nowUs < untilUs) {
      this.timeline.at(untilUs, () => undefined)
      this.timeline.step()
    }
  }

  /** Until it is so, or for too long. */
  passUntil(isSo: () => boolean, msMax = 120_000): void {
    const untilMs = this.nowMs + msMax
    while (!isSo()) {
      if (this.nowMs > untilMs) throw new Error(`it is not so after ${msMax} ms`)
      if (!this.timeline.step()) throw new Error("nothing is under way any more")
    }
  }
}
