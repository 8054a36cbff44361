/**
 * Lulls: times in which no client begins anything, and after which all go on at once: a store at rest seals, collects and
 * scrubs, and is then met by a crowd. Sits between a World and the wires of its clients.
 */
import type { ProfileName } from "./Profile.ts"
import type { Random } from "./Random.ts"
import type { Timeline } from "./Timeline.ts"

/** A lull begins with one of so many requests. A store that rests costs the simulator little: it is most of a small world's time. */
const requestsBetween: Readonly<Record<ProfileName, number>> = { short: 6, full: 60 }

export class Lulls {
  readonly #timeline: Timeline
  readonly #random: Random
  readonly #mostUs: number
  readonly #between: number
  #endUs = 0

  constructor(timeline: Timeline, random: Random, profile: ProfileName) {
    this.#timeline = timeline
    this.#random = random
    this.#between = requestsBetween[profile]
    this.#mostUs = 1_000_000 * random.pick([0, 5, 10, 20, 60])
  }

  /** How long a request waits that a client wants to begin now. */
  holdUs(): number {
    const { nowUs } = this.#timeline
    if (this.#mostUs === 0) return 0
    if (this.#endUs <= nowUs && this.#random.below(this.#between) === 0) this.#endUs = nowUs + this.#random.below(this.#mostUs)
    return Math.max(0, this.#endUs - nowUs)
  }
}
