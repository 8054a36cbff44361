/**
 * Network: the twin of ports/Network: datagrams between the machines of one world, and every harm that a network does to
 * them, by a NetworkPlan. It sits between the Timeline, on which every arrival is an event, and whoever listens: where the
 * listener's life is over by then, it is lost.
 *
 * 1. What arrives was sent by somebody to that address, but for bits that were flipped. Nothing is promised besides.
 * 2. Without faults, what is sent on a link arrives once, in the order in which it was sent.
 * 3. After `heal` every datagram that is sent arrives; what was held back arrives too.
 * 4. Bytes are copied when they are sent and for every arrival: nobody sees what another does to his own.
 */
import { Effect, Queue } from "effect"
import { type Datagram, NetworkError, type NetworkService } from "../src/ports/Network.ts"
import { calmPlan, type NetworkFaultClass, networkFaultClasses, type NetworkPlan, networkTickUs } from "./faults/NetworkPlan.ts"
import { Links } from "./NetworkLinks.ts"
import type { Random } from "./Random.ts"
import type { Life, Timeline } from "./Timeline.ts"

/** Datagrams that wait for one listener; more are dropped. */
const queuedMax = 256
/** Datagrams of long ago that may come again. */
const rememberedMax = 64
const datagramBytesMax = 1024 * 1024

interface Listener {
  readonly life: Life
  /** False: there was no room. */
  readonly receive: (datagram: Datagram) => boolean
}

interface Sent {
  readonly from: string
  readonly to: string
  readonly bytes: Uint8Array
}

export class SimulatedNetwork {
  readonly counts = new Map<NetworkFaultClass, number>(networkFaultClasses.map((name) => [name, 0]))
  sent = 0
  arrived = 0
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #links: Links
  readonly #listeners = new Map<string, Listener>()
  readonly #remembered: Array<Sent> = []
  readonly #isolated = new Set<string>()
  #plan: NetworkPlan
  #isOn = false

  constructor(timeline: Timeline, random: Random, plan: NetworkPlan) {
    this.#timeline = timeline
    this.#random = random
    this.#plan = plan
    this.#links = new Links(timeline, random.fork(), (what) => this.#saw(what))
  }

  /** From here on faults begin, until `heal`. */
  begin(): void {
    this.#isOn = true
    this.#weather()
  }

  /** Nothing comes to it or from it any more, until `rejoin` or `heal`. For scenes; a plan has partitions of its own. */
  isolate(address: string): void {
    this.#isolated.add(address)
  }

  rejoin(address: string): void {
    this.#isolated.delete(address)
  }

  /** Nothing goes wrong any more, whatever the plan says; who was cut off, clogged, paused or slow is so no longer. */
  heal(): void {
    this.#isOn = false
    this.#plan = calmPlan
    this.#links.heal()
    this.#isolated.clear()
    this.#remembered.length = 0
  }

  /** Every datagram for the address, until its machine's life is over or another listens. */
  attach(address: string, life: Life, receive: (datagram: Datagram) => boolean): void {
    this.#links.know(address)
    this.#listeners.set(address, { life, receive })
  }

  detach(address: string, life: Life): void {
    if (this.#listeners.get(address)?.life === life) this.#listeners.delete(address)
  }

  send(from: string, to: string, bytes: Uint8Array): void {
    this.sent += 1
    this.#links.know(from)
    this.#links.know(to)
    const plan = this.#isOn ? this.#plan : calmPlan
    const sent: Sent = { from, to, bytes: Uint8Array.from(bytes) }
    if (this.#fate("Drop", plan.drop)) return this.#replay(plan)
    this.#transmit(sent, plan)
    if (this.#fate("Duplicate", plan.duplicate)) this.#transmit(sent, plan)
    this.#replay(plan)
    if (this.#isOn && plan.replay > 0) {
      if (this.#remembered.length < rememberedMax) this.#remembered.push(sent)
      else this.#remembered[this.#random.below(rememberedMax)] = sent
    }
  }

  /** The port of one machine, under its address. */
  port(address: string, life: Life): NetworkService {
    return {
      listen: (at) => Effect.gen({ self: this }, function*() {
        if (at !== address) return yield* new NetworkError({ operation: "listen", address: at, detail: `this machine is ${address}` })
        const queue = yield* Effect.acquireRelease(Queue.dropping<Datagram>(queuedMax), Queue.shutdown)
        yield* Effect.acquireRelease(
          Effect.sync(() => this.attach(address, life, (datagram) => Queue.offerUnsafe(queue, datagram))),
          () => Effect.sync(() => this.detach(address, life))
        )
        return queue
      }),
      send: (to, bytes) => Effect.suspend(() => {
        if (bytes.length > datagramBytesMax) {
          return Effect.fail(new NetworkError({ operation: "send", address: to, detail: `${bytes.length} bytes, at most ${datagramBytesMax}` }))
        }
        this.send(address, to, bytes)
        return Effect.void
      })
    }
  }

  #fate(what: NetworkFaultClass, probability: number): boolean {
    if (probability === 0 || !this.#random.chance(probability)) return false
    this.#saw(what)
    return true
  }

  #saw(what: NetworkFaultClass): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  /** Something old comes again, to whom it was sent. */
  #replay(plan: NetworkPlan): void {
    if (this.#remembered.length > 0 && this.#fate("Replay", plan.replay)) this.#transmit(this.#random.pick(this.#remembered), plan)
  }

  #transmit(sent: Sent, plan: NetworkPlan): void {
    const { from, to } = sent
    let delayUs = plan.delayLeastUs + this.#random.below(2 * plan.delayMeanUs)
    if (this.#fate("Delay", plan.delay)) delayUs *= 10 + this.#random.below(90)
    const mayOvertake = plan.reorder > 0 && this.#random.chance(plan.reorder)
    const bytes = Uint8Array.from(sent.bytes)
    if (bytes.length > 0 && this.#fate("BitFlip", plan.bitFlip)) flip(this.#random, bytes)
    this.#links.carry(from, to, delayUs, mayOvertake, () => this.#arrive(from, to, bytes))
  }

  #arrive(from: string, to: string, bytes: Uint8Array): void {
    const listener = this.#listeners.get(to)
    // Nobody is there: as lost as any other.
    if (listener === undefined || !listener.life.isOn || this.#isolated.has(from) || this.#isolated.has(to)) return
    if (listener.receive({ from, bytes })) this.arrived += 1
    else this.#saw("QueueFull")
  }

  /** Every tick something may begin, and something may end. */
  #weather(): void {
    if (!this.#isOn) return
    this.#links.weather(this.#plan)
    this.#timeline.after(networkTickUs, () => this.#weather())
  }
}

/** One bit, or a few, or a run of bytes. */
const flip = (random: Random, bytes: Uint8Array): void => {
  const at = random.below(bytes.length)
  if (random.chance(0.2)) {
    bytes.set(random.bytes(Math.min(4, bytes.length - at)), at)
    bytes[at] = (bytes[at] as number) ^ 0x55
    return
  }
  for (let left = 1 + random.below(3), place = at; left > 0; left -= 1, place = random.below(bytes.length)) {
    bytes[place] = (bytes[place] as number) ^ (1 << random.below(8))
  }
}
