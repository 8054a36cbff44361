/**
 * Usurpers: now and then whoever leads is cut off from all others, or stands still, for as long as it takes the others to choose another, and answers whoever asks it meanwhile.
 * Between a world's seed and its members.
 */
import type { Random } from "../../sim/Random.ts"
import type { Members } from "./Members.ts"
import { statusOf } from "./Operator.ts"

const everyUsMax = 12_000_000
/** Nobody is unseated sooner than in a second. */
const leastUs = 1_200_000
const moreUs = 3_000_000

export class Usurpers {
  readonly counts = new Map<string, number>()
  readonly #members: Members
  readonly #random: Random
  readonly #untilUs: number

  constructor(members: Members, random: Random, untilUs: number) {
    this.#members = members
    this.#random = random
    this.#untilUs = untilUs
    this.#later()
  }

  #later(): void {
    this.#members.country.timeline.after(this.#random.below(everyUsMax), () => this.#strike())
  }

  #strike(): void {
    const random = this.#random
    const { country: { network, timeline }, hosts } = this.#members
    if (timeline.nowUs > this.#untilUs) return
    const leader = hosts.find((host) => host.station.life.isOn && statusOf(host)?.role === "Leader")
    if (leader === undefined) return this.#later()
    const { id, machine } = leader.station
    const us = leastUs + random.below(moreUs)
    if (random.chance(0.5)) {
      this.#count("leader paused")
      machine.processor.pause(us)
    } else {
      this.#count("leader cut off")
      network.isolate(id)
      timeline.after(us, () => network.rejoin(id))
    }
    timeline.after(us, () => this.#later())
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }
}
