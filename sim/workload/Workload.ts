/**
 * Workload: what clients do in a simulated world and what they then insist on: setup, start, check. Several of them run in
 * one world, each with its own chance and its own share of the operations.
 */
import type { Effect } from "effect"
import type { SimulatedClient } from "../Client.ts"
import type { Random } from "../Random.ts"

export interface WorkloadContext {
  /** A fork of its own. */
  readonly random: Random
  readonly client: SimulatedClient
  readonly profile: "short" | "full"
  /** How many operations this workload may spend. */
  readonly operations: number
  /** Simulated milliseconds: the true time of the world, which no machine's clock shows exactly. */
  readonly nowMs: () => number
  /** How often the node has been started so far. */
  readonly lives: () => number
  /** The node keeps history for milliseconds. */
  readonly isFleeting: boolean
  /** Faults that lose what was synced are planted: then "named, never wrong", else nothing acknowledged may be lost. */
  readonly merciless: boolean
  /** One trace line; everything that is decided goes here, never compressed bytes or fiber ids. */
  readonly note: (line: string) => void
  readonly probe: (name: string) => void
}

/** Fails never: what must not happen is thrown as a Violation. */
export interface Workload {
  readonly name: string
  /** So many of its requests take the simulator as long as one of the dearest workload's; absent: one. */
  readonly perCost?: number
  /** Before faults begin. */
  readonly setup: (context: WorkloadContext) => Effect.Effect<void>
  /** Beside faults; ends by itself (a bounded number of operations). */
  readonly start: (context: WorkloadContext) => Effect.Effect<void>
  /** Once faults have stopped and the node is healed and ready. */
  readonly check: (context: WorkloadContext) => Effect.Effect<void>
}

/** A fresh one for each world: a workload keeps what it knows in itself. */
export type MakeWorkload = () => Workload

/**
 * How many of a world's operations each workload has: in a short one equally many, in a long one what takes equally long. It has enough of the
 * dear ones either way, and a long world costs a quarter less.
 */
export const sharesOf = (operations: number, profile: WorkloadContext["profile"], workloads: ReadonlyArray<Workload>): ReadonlyArray<number> => {
  const weights = workloads.map(({ perCost = 1 }) => (profile === "full" ? perCost : 1))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => Math.ceil((operations * weight) / total))
}

/** Seeds in which one has the node for itself: it goes five times as far, and little comes between two of its requests. */
const aloneSeeds = 0.2

/** Some of them, at least one: what runs together is drawn by the seed. Half of those that are alone are `loners`: one that needs to be. */
export const drawWorkloads = (random: Random, all: ReadonlyArray<MakeWorkload>, loners: ReadonlyArray<MakeWorkload>): ReadonlyArray<MakeWorkload> => {
  if (random.chance(aloneSeeds)) return [random.pick(random.chance(0.5) ? loners : all)]
  const drawn = all.filter(() => random.chance(0.6))
  return drawn.length === 0 ? [random.pick(all)] : drawn
}
