/**
 * Checker: what is looked at inside a node, not through its gateway: every commit as it is applied, and the whole store once
 * it rests. It sits between the world and the rooms of a node.
 */
import type { Context, Effect } from "effect"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer } from "../../src/namespace/Model.ts"
import type { StateReader } from "../../src/namespace/State.ts"
import type { RunningNode } from "../../src/node/Node.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import type { Outcome, Request } from "../Client.ts"
import type { MemoryDisk } from "../Disk.ts"
import type { MemoryKeyValue } from "../KeyValue.ts"
import type { Ending } from "../faults/CrashPlan.ts"
import type { Random } from "../Random.ts"

export type Rooms = RunningNode["rooms"]
export type RoomServices = Rooms extends Context.Context<infer Services> ? Services : never

/** A healed node that serves, with no client at work. */
export interface AtRest {
  readonly rooms: Rooms
  readonly disk: MemoryDisk
  readonly index: MemoryKeyValue
  readonly random: Random
  /** As a workload's. */
  readonly merciless: boolean
  readonly note: (line: string) => void
  readonly probe: (name: string) => void
}

/** What was decided, or asked, before a clock was set is done by then, where the node runs meanwhile. */
export const steadyMsMin = 45_000

/** How a node's clocks stand. */
export interface ClockSeen {
  /** Of true time, how long its wall clock has not jumped, and nobody has set it. */
  readonly steadyMs: number
  /** By how much the wall clock has gone its own way since the process began. */
  readonly movedMs: number
  /** What the wall clock says. */
  readonly wallMs: number
  /** The process is past its start. */
  readonly isServing: boolean
}

/** What a checker may know of its world. */
export interface CheckedWorld {
  readonly merciless: boolean
  readonly settings: { readonly retentionMs: number; readonly graceMs: number; readonly staleMs: number }
  readonly clock: () => ClockSeen
  /** The present life's. */
  readonly disk: () => MemoryDisk
  readonly index: () => MemoryKeyValue
  /** Rows as they stand, also in the middle of what the node does; undefined while it does not serve. */
  readonly reader: () => StateReader | undefined
}

export interface Checker {
  readonly name: string
  /** Before anything else. */
  readonly begin?: (world: CheckedWorld) => void
  /** Every request of every workload when it is sent, and the same one with what became of it. Throw a Violation. */
  readonly sent?: (request: Request) => void
  readonly heard?: (request: Request, outcome: Outcome) => void
  /** Every commit when it is applied, once more in every life that replays it. Runs inside the node: throw a Violation. */
  readonly applied?: (entry: Entry, answer: Answer) => void
  /** What the node's journal tells of itself, in every life. */
  readonly journal?: Partial<NonNullable<StoreOptions["wal"]>>
  /** A life is over: after a clean stop, by SIGKILL (also a start that failed), or by a power cut. */
  readonly died?: (ending: Ending) => void
  /** Once faults have stopped, beside every workload's check; runs on the node's machine. Throws a Violation. */
  readonly atRest?: (rest: AtRest) => Effect.Effect<void, unknown, RoomServices>
  /** Then, in some worlds, in one more life that began without an index. */
  readonly rebuilt?: (rest: AtRest) => Effect.Effect<void, unknown, RoomServices>
  /** In some of the others: in one more life, after a time in which all that was kept for a while has become old. */
  readonly later?: (rest: AtRest) => Effect.Effect<void, unknown, RoomServices>
  /** In some of the others: harm is done to a store that has shown that it is right, to see it named and healed. Nothing is asked of it afterwards. */
  readonly hurt?: (rest: AtRest) => Effect.Effect<void, unknown, RoomServices>
}

/** A fresh one for each world. */
export type MakeChecker = () => Checker
