/** WorldReport: what is told of a world that is over: its verdict, its trace, and what happened in it. */
import type { Strike } from "./faults/Strikes.ts"
import type { ProfileName } from "./Profile.ts"
import type { Violation } from "./Violation.ts"

export interface WorldReport {
  readonly seed: number
  readonly profile: ProfileName
  readonly workloads: ReadonlyArray<string>
  /** 64 hex digits. */
  readonly trace: string
  readonly simulatedMs: number
  readonly operations: number
  readonly crashes: number
  readonly lives: number
  readonly events: number
  readonly faults: ReadonlyMap<string, number>
  readonly probes: ReadonlyMap<string, number>
  readonly violation: Violation | undefined
  readonly strikes: ReadonlyArray<Strike>
  /** The end of the trace. */
  readonly story: ReadonlyArray<string>
}
