/** WorldReport: what a world is told to be, and what is told of one that is over: its verdict, its trace, and what happened in it. */
import type { Crc64 } from "../src/gateway/s3/Checksums.ts"
import type { MakeChecker } from "./checker/Checker.ts"
import type { Strike } from "./faults/Strikes.ts"
import type { ProfileName } from "./Profile.ts"
import type { Violation } from "./Violation.ts"
import type { MakeWorkload } from "./workload/Workload.ts"

export interface WorldOptions {
  readonly seed: number
  readonly profile: ProfileName
  readonly workloads: ReadonlyArray<MakeWorkload>
  readonly checkers: ReadonlyArray<MakeChecker>
  readonly crc64: Crc64
  /** Keeps the whole trace, not only its end. */
  readonly keepsTrace?: boolean
  /** Faults may harm what one node cannot make again: then it must name what is lost, or refuse to start and say why. */
  readonly merciless?: boolean
  /** Faults and crashes that may happen, by number (faults/Strikes); absent: all. */
  readonly strikes?: ReadonlySet<number>
  /** Fewer requests than the profile's. */
  readonly operations?: number
}

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
