/**
 * WorldFaults: everything that goes wrong in one world besides crashes: disk and index, clocks, processor, kernels, wires;
 * each with a probability that the seed draws, often zero. It sits between a World and the twins, and counts what it does.
 */
import { steadyMsMin } from "../checker/Checker.ts"
import { clockDriftMsMax } from "../../src/base/limits.ts"
import type { NodeMachine, Place } from "../NodeMachine.ts"
import type { Random } from "../Random.ts"
import type { Pace } from "../Scheduler.ts"
import type { Timeline } from "../Timeline.ts"
import { FaultPlan } from "./FaultPlan.ts"
import type { Strikes } from "./Strikes.ts"

/** Seeds in which some fibers halt. */
const haltingSeeds = 0.35

/** Where fibers linger: of those who have put chunks into the journal that no commit names yet, and of requests where they alone do. */
const oftenLingers = 0.5
/** Nobody waits at such a place for longer. */
export const lingersUsMost = 3_000_000
/** Between two syncs that fail because somebody counts on them. */
const temptedUs = 1_000_000

/** Mostly none: a world with a few kinds of faults reaches further than one with all of them. */
const drawChance = (random: Random, values: ReadonlyArray<number>): number => (random.chance(0.6) ? 0 : random.pick(values))

export class WorldFaults {
  /** What was synced may be lost, and must be named then; else nothing of it is. */
  readonly merciless: boolean
  readonly counts = new Map<string, number>()
  /** Told of every fault that strikes. */
  struck: ((what: string) => void) | undefined
  readonly #random: Random
  readonly #timeline: Timeline
  readonly #strikes: Strikes
  /** Disk and index. */
  readonly #plan: FaultPlan
  readonly #jumps: number
  readonly #pauses: number
  readonly #kernels: number
  readonly #cuts: number
  readonly #slowWire: number
  /** Tasks between two fibers that are kept waiting; 0: none is. */
  readonly #stragglersApart: number
  #untilStraggler: number
  /** How often a fiber waits where the code has named a place. */
  readonly #lingers: number
  /** Requests alone do, one at a time: all that may come between its two steps goes on around it, housework above all. */
  readonly #lingersAlone: boolean
  #lingersUntilUs = 0
  /** Until then somebody lingers whose chunks no sync may have covered; and until then nobody else's are in danger for it: what is done again after that may succeed. */
  #openUntilUs = 0
  #temptedUntilUs = 0
  /** How a fiber goes that the node begins; undefined where all go as they can. */
  readonly paceOf: (() => Pace | undefined) | undefined
  #isOn = false
  /** When the node's wall clock was last set, or as much later as the node has stood still since: what it had decided before is done after that. */
  clockSetAtUs = 0
  /** Starts may fail for what a fault left behind, for a while after it. */
  #isTainted = false

  /** `isFleeting`: the node keeps nothing for long; there it matters most what comes between two steps. */
  constructor(random: Random, timeline: Timeline, strikes: Strikes, { isFleeting, merciless }: { readonly merciless: boolean; readonly isFleeting: boolean }) {
    this.merciless = merciless
    this.#random = random
    this.#timeline = timeline
    this.#strikes = strikes
    this.#plan = new FaultPlan(random.fork(), this.merciless ? "Merciless" : "Merciful", (fault) => this.saw(fault), strikes)
    this.#jumps = drawChance(random, [0.05, 0.3])
    this.#pauses = drawChance(random, [0.05, 0.3])
    this.#kernels = drawChance(random, [0.001, 0.02])
    this.#cuts = drawChance(random, [0.01, 0.1])
    this.#slowWire = drawChance(random, [0.01, 0.2])
    // Beside a part that fails or takes long: what stands between the two halves of an operation when that happens.
    this.#stragglersApart = this.#plan.hasWeakPart ? random.pick([0, 40, 300]) : drawChance(random, [300, 3000])
    this.#untilStraggler = this.#stragglersApart
    const halting = random.chance(haltingSeeds) ? random.pick([0.05, 0.2, 0.4]) : 0
    this.paceOf = halting === 0 ? undefined : () => this.#paceOf(halting)
    this.#lingers = random.chance(isFleeting ? 0.8 : this.#plan.hasWeakPart ? 0.6 : 0.3) ? random.pick([0.05, 0.3, 0.3]) : 0
    this.#lingersAlone = random.chance(isFleeting ? 0.7 : 0.5)
  }

  get explainFailures(): boolean {
    return this.#isTainted || this.hasHarmed
  }

  /** Something was harmed for good that one node cannot make again. */
  get hasHarmed(): boolean {
    return this.#plan.atlas.harms.length > 0
  }

  /** Whether a start that refuses with these words says what was harmed for good. */
  isNamedBy(words: string): boolean {
    return this.#plan.atlas.isNamedBy(words)
  }

  /** A fault has struck. */
  saw(what: string): void {
    this.count(what)
    this.struck?.(what)
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1)
  }

  begin(node: NodeMachine): void {
    this.#isOn = true
    this.#plan.begin(node.disk)
    this.#isTainted = this.#plan.explainsFailures || this.#kernels > 0
    this.#weather(node)
  }

  /** From here on nothing fails; clocks are set right. */
  heal(node: NodeMachine): void {
    this.#isOn = false
    this.#plan.heal(node.disk, node.index)
    if (node.traits.machine.clock.offsetMs !== 0) this.#clockWasSet(node)
    node.traits.machine.clock.offsetMs = 0
  }

  /** A process begins on these twins. */
  arm(node: NodeMachine, diskOperation: (operation: string, path: string) => void): void {
    // A start that was under way when faults stopped may fail of them still; no later one.
    if (!this.#isOn) this.#isTainted = false
    const random = this.#random.fork()
    const [leastUs, moreUs] = node.traits.diskUs
    this.#plan.arm(node.disk, node.index, { asked: diskOperation, usualMs: () => (leastUs + random.below(moreUs)) / 1000, isTempting: () => this.#tempts() })
  }

  #tempts(): boolean {
    const { nowUs } = this.#timeline
    const isOpen = nowUs < this.#openUntilUs && nowUs >= this.#temptedUntilUs
    if (isOpen) this.#temptedUntilUs = nowUs + temptedUs
    return isOpen
  }

  /** While the machine is off. */
  between(node: NodeMachine, note: (line: string) => void): void {
    const { index, indexDamage } = this.#plan.between(node.disk, node.index)
    if (index !== node.index) note(`the index is another one${indexDamage === undefined ? "" : ", and says so"}`)
    node.index = index
    if (indexDamage !== undefined) node.indexDamage = indexDamage
  }

  computeFault(): string | undefined {
    if (!this.#isOn || this.#kernels === 0 || !this.#random.chance(this.#kernels) || !this.#strikes.allows("LaneDied")) return undefined
    this.saw("LaneDied")
    return "the lane died"
  }

  /** How long one of the node's fibers is kept waiting that could go on: a race that takes a moment of nanoseconds may last seconds. */
  lateUs(): number {
    if (!this.#isOn || this.#stragglersApart === 0) return 0
    this.#untilStraggler -= 1
    if (this.#untilStraggler > 0) return 0
    this.#untilStraggler = 1 + this.#random.below(2 * this.#stragglersApart)
    if (!this.#strikes.allows("Straggler")) return 0
    this.saw("Straggler")
    return 1 + this.#random.below(this.#random.pick([5000, 200_000, 5_000_000, 15_000_000]))
  }

  /** A fiber that halts every few steps, or once for long, at a step that nobody chose: whatever may come between two of them does. */
  #paceOf(chance: number): Pace | undefined {
    const random = this.#random
    if (!this.#isOn || !random.chance(chance) || !this.#strikes.allows("Crawler")) return undefined
    this.saw("Crawler")
    const isOnce = random.chance(0.6)
    const ops = random.pick(isOnce ? [60, 400, 1500] : [4, 40])
    const most = random.pick(isOnce ? [20_000, 500_000, 5_000_000] : [300, 10_000, 100_000])
    let left = 1 + random.below(2 * ops)
    return () => {
      left -= 1
      if (left > 0 || (isOnce && left < 0)) return 0
      if (!isOnce) left = 1 + random.below(2 * ops)
      return this.#isOn ? 1 + random.below(most) : 0
    }
  }

  /** How long whoever is at a place with a name waits there: between a look-up and its commit, a block and its naming. */
  lingerUs(place: Place): number {
    const { nowUs } = this.#timeline
    const isOpen = place === "Journal"
    if (!this.#isOn || this.#lingers === 0 || (this.#lingersAlone && (place === "Housework" || (!isOpen && nowUs < this.#lingersUntilUs)))) return 0
    const chance = isOpen || this.#lingersAlone ? oftenLingers : this.#lingers
    if (!this.#random.chance(chance) || !this.#strikes.allows("Lingers")) return 0
    this.saw("Lingers")
    const us = 1 + this.#random.below(this.#random.pick(this.#lingersAlone ? [200_000, lingersUsMost] : [5000, 200_000, lingersUsMost]))
    this.#lingersUntilUs = nowUs + us
    if (isOpen) this.#openUntilUs = nowUs + us
    return us
  }

  /** Microseconds that a message takes. */
  wireUs(): number {
    if (this.#isOn && this.#slowWire > 0 && this.#random.chance(this.#slowWire) && this.#strikes.allows("SlowWire")) {
      this.saw("SlowWire")
      return this.#random.below(3_000_000)
    }
    return 50 + this.#random.below(450)
  }

  cuts(): boolean {
    if (!this.#isOn || this.#cuts === 0 || !this.#random.chance(this.#cuts) || !this.#strikes.allows("ConnectionCut")) return false
    this.saw("ConnectionCut")
    return true
  }

  #drawOffsetMs(): number {
    const random = this.#random
    // What the store takes for a jump, and signatures for a clock that is right.
    if (random.chance(0.3)) return (random.chance(0.6) ? 1 : -1) * (clockDriftMsMax + 10_000 + random.below(250_000))
    // Further off than what signatures allow (15 minutes) only now and then: until the next jump every request is refused.
    const ms = random.chance(0.03) ? random.pick([3_600_000, 86_400_000]) : random.pick([10, 1000, 60_000, clockDriftMsMax])
    return random.below(2 * ms) - ms
  }

  /** Every few seconds clocks may jump and machines stand still. */
  #weather(node: NodeMachine): void {
    if (!this.#isOn) return
    if (this.#random.chance(this.#jumps) && this.#strikes.allows("ClockJump")) {
      const offsetMs = this.#drawOffsetMs()
      this.saw(offsetMs < node.traits.machine.clock.offsetMs ? "ClockJumpsBack" : "ClockJumpsForward")
      node.traits.machine.clock.offsetMs = offsetMs
      this.#clockWasSet(node)
    }
    if (node.isOn && this.#random.chance(this.#pauses) && this.#strikes.allows("Pause")) {
      const us = this.#random.below(this.#random.pick([100_000, 3_000_000, 30_000_000]))
      node.machine.processor.pause(us)
      // Once it has run for long enough nothing is left of what it decided before.
      if (this.#timeline.nowUs - this.clockSetAtUs < 1000 * steadyMsMin) this.clockSetAtUs += us
      this.saw("Pause")
    }
    this.#timeline.after(1_000_000 * (1 + this.#random.below(9)), () => this.#weather(node))
  }

  #clockWasSet(node: NodeMachine): void {
    this.clockSetAtUs = Math.max(this.#timeline.nowUs, node.isOn ? node.machine.processor.busyUntilUs : 0)
  }
}
