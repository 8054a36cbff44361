/**
 * WeakDisk: one member at a time whose disk errs: as many as a store with m = 1 promises to survive. What a fixed configuration must live with one node alone lives with too
 * (Merciful); whoever can be replaced may lose what others have copies of (Copied). Between a world's operator and the twins of disk and index.
 */
import { FaultPlan } from "../../sim/faults/FaultPlan.ts"
import type { Random } from "../../sim/Random.ts"
import type { Host } from "./Members.ts"

export class WeakDisk {
  readonly counts = new Map<string, number>()
  /** Whose it is. */
  host: Host | undefined
  /** Starts that failed since it is weak. */
  failedStarts = 0
  readonly #random: Random
  readonly #mercy: "Merciful" | "Copied"
  #plan: FaultPlan | undefined
  /** Past ones: what they did may be met by a start that was under way. */
  readonly #once = new Set<Host>()

  constructor(random: Random, isReplaceable: boolean) {
    this.#random = random
    this.#mercy = isReplaceable ? "Copied" : "Merciful"
  }

  /** What lies there can be told from what was written, and may be harmed for good. */
  get isHarmed(): boolean {
    return (this.#plan?.atlas.harms.length ?? 0) > 0
  }

  /** Whether its failing is explained. */
  explains(host: Host): boolean {
    return this.host === host || this.#once.has(host)
  }

  begin(host: Host): void {
    const plan = new FaultPlan(this.#random.fork(), this.#mercy, (fault) => void this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1))
    Object.assign(this, { host, failedStarts: 0 })
    this.#plan = plan
    plan.begin(host.disk)
    plan.arm(host.disk, host.index)
  }

  /** Before a life begins: what rotted meanwhile. */
  starts(host: Host): void {
    const plan = this.#plan
    if (host !== this.host || plan === undefined) return
    host.index = plan.between(host.disk, host.index).index
    plan.arm(host.disk, host.index)
  }

  /** What was lost stays lost. */
  end(): void {
    const { host } = this
    if (host === undefined) return
    this.#plan?.heal(host.disk, host.index)
    host.disk.unspoil()
    this.#once.add(host)
    this.host = undefined
  }
}
