/**
 * Links: which of a world's machines hear each other, and when: partitions, clogs, pauses, slow machines. It sits between
 * the Network twin, which says what becomes of a datagram, and the Timeline, on which it arrives.
 *
 * A datagram is judged when it would arrive: one that was sent before a partition began is lost in it as well. One that
 * cannot arrive yet (a clog, a pause) waits at its link, behind those that wait there already.
 */
import type { NetworkFaultClass, NetworkPlan } from "./faults/NetworkPlan.ts"
import type { Random } from "./Random.ts"
import type { Timeline } from "./Timeline.ts"

interface Link {
  readonly from: string
  readonly to: string
  /** When the last datagram that keeps its place arrives. */
  lastUs: number
  /** Sends on it, and the newest of those that arrived. */
  sent: number
  newest: number
  clogs: number
  readonly waiting: Array<() => void>
}

interface Partition {
  readonly blocks: (from: string, to: string) => boolean
}

export class Links {
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #saw: (what: NetworkFaultClass) => void
  readonly #addresses: Array<string> = []
  readonly #links = new Map<string, Link>()
  readonly #paused = new Set<string>()
  /** By how much everything of a machine takes longer. */
  readonly #slow = new Map<string, number>()
  #partition: Partition | undefined
  /** What was begun before the last heal ends without effect. */
  #era = 0

  constructor(timeline: Timeline, random: Random, saw: (what: NetworkFaultClass) => void) {
    this.#timeline = timeline
    this.#random = random
    this.#saw = saw
  }

  know(address: string): void {
    if (!this.#addresses.includes(address)) this.#addresses.push(address)
  }

  /** `arrive` runs after the delay, later, or never. */
  carry(from: string, to: string, delayUs: number, mayOvertake: boolean, arrive: () => void): void {
    const link = this.#linkOf(from, to)
    link.sent += 1
    const number = link.sent
    const slowUs = delayUs * (this.#slow.get(from) ?? 1) * (this.#slow.get(to) ?? 1)
    const atUs = this.#timeline.nowUs + slowUs
    // Events of one moment run in the order in which they were asked for.
    const dueUs = mayOvertake ? atUs : Math.max(atUs, link.lastUs)
    if (!mayOvertake) link.lastUs = dueUs
    this.#timeline.at(dueUs, () => this.#due(link, () => {
      if (number < link.newest) this.#saw("Reorder")
      link.newest = Math.max(link.newest, number)
      arrive()
    }))
  }

  weather(plan: NetworkPlan): void {
    const random = this.#random
    if (this.#addresses.length < 2) return
    if (this.#partition === undefined) {
      if (random.chance(plan.partition)) this.#partition = this.#cut()
    } else if (random.chance(plan.partitionEnd)) this.#partition = undefined
    if (random.chance(plan.clog)) this.#clog(this.#anyLink(), plan)
    if (random.chance(plan.swizzle)) this.#swizzle(plan)
    if (random.chance(plan.pause)) this.#pause(random.pick(this.#addresses), plan)
    if (random.chance(plan.slow)) this.#slowDown(random.pick(this.#addresses), plan)
  }

  heal(): void {
    this.#era += 1
    this.#partition = undefined
    this.#paused.clear()
    this.#slow.clear()
    for (const link of this.#links.values()) {
      link.clogs = 0
      // Nothing waits behind what the faults delayed.
      link.lastUs = 0
      this.#release(link)
    }
  }

  #due(link: Link, arrive: () => void): void {
    if (this.#partition?.blocks(link.from, link.to) === true) return
    if (this.#isHeld(link) || link.waiting.length > 0) link.waiting.push(arrive)
    else arrive()
  }

  #isHeld({ clogs, from, to }: Link): boolean {
    return clogs > 0 || this.#paused.has(from) || this.#paused.has(to)
  }

  #release(link: Link): void {
    if (this.#isHeld(link)) return
    for (const arrive of link.waiting.splice(0)) arrive()
  }

  #linkOf(from: string, to: string): Link {
    const name = `${from}\n${to}`
    const known = this.#links.get(name)
    if (known !== undefined) return known
    const link: Link = { from, to, lastUs: 0, sent: 0, newest: 0, clogs: 0, waiting: [] }
    this.#links.set(name, link)
    return link
  }

  #anyLink(): Link {
    const from = this.#random.pick(this.#addresses)
    return this.#linkOf(from, this.#random.pick(this.#addresses.filter((address) => address !== from)))
  }

  /** One machine alone, or two groups; both ways, or one. */
  #cut(): Partition {
    const random = this.#random
    const isAlone = random.chance(0.4)
    const group = isAlone ? new Set([random.pick(this.#addresses)]) : new Set(this.#addresses.filter(() => random.chance(0.5)))
    const isOneWay = random.chance(0.3)
    this.#saw(isOneWay ? "OneWayPartition" : isAlone ? "Isolation" : "Partition")
    return { blocks: (from, to) => group.has(from) !== group.has(to) && (!isOneWay || group.has(from)) }
  }

  #clog(link: Link, plan: NetworkPlan): void {
    this.#saw("Clog")
    this.#hold(link, 0, this.#random.below(plan.forUsMax))
  }

  /** FoundationDB's: some machines' links clog at different moments, and unclog in another order. */
  #swizzle(plan: NetworkPlan): void {
    this.#saw("Swizzle")
    for (const from of this.#addresses.filter(() => this.#random.chance(0.5))) {
      for (const to of this.#addresses) {
        if (to === from) continue
        const fromUs = this.#random.below(plan.forUsMax)
        this.#hold(this.#linkOf(from, to), fromUs, fromUs + this.#random.below(plan.forUsMax))
      }
    }
  }

  #hold(link: Link, fromUs: number, untilUs: number): void {
    this.#later(fromUs, () => { link.clogs += 1 })
    this.#later(Math.max(untilUs, fromUs + 1), () => {
      link.clogs -= 1
      this.#release(link)
    })
  }

  #pause(address: string, plan: NetworkPlan): void {
    if (this.#paused.has(address)) return
    this.#saw("Pause")
    this.#paused.add(address)
    this.#later(this.#random.below(plan.forUsMax), () => {
      this.#paused.delete(address)
      for (const link of this.#links.values()) if (link.from === address || link.to === address) this.#release(link)
    })
  }

  #slowDown(address: string, plan: NetworkPlan): void {
    this.#saw("SlowNode")
    this.#slow.set(address, 2 + this.#random.below(50))
    this.#later(this.#random.below(plan.forUsMax), () => { this.#slow.delete(address) })
  }

  #later(delayUs: number, run: () => void): void {
    const era = this.#era
    this.#timeline.after(delayUs, () => { if (era === this.#era) run() })
  }
}
