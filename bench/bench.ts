/** Bench: one group of measurements, and what it is given. Each group is a file that exports one. */
import type { Ceilings } from "./ceilings.ts"
import type { Report } from "./figures.ts"
import { prepare, type Prepared, runAll } from "./wire.ts"
import type { BenchServer } from "./server.ts"

export interface BenchContext {
  readonly report: Report
  /** Of this machine, measured once a run, before the first group that asks. */
  readonly ceilings: () => Promise<Ceilings>
  /** Whether the figure group of this name was asked for. */
  readonly wants: (name: string) => boolean
  readonly options: {
    /** MiB of the single stream of `memory`. */
    readonly mib: number
    /** Peak above which `memory` fails. */
    readonly maxMib: number
    /** Operations of `gc`. */
    readonly operations: number
    /** Keys of `list`, `asof` and `start`. */
    readonly keys: number
    /** A data folder with those keys that stays: loaded where it is missing, used again where it is there. */
    readonly store: string | undefined
  }
}

export interface Bench {
  /** Words by which it is asked for on the command line; any of them starts it. */
  readonly names: ReadonlyArray<string>
  readonly title: string
  readonly run: (context: BenchContext) => Promise<void>
}

/** Where all objects of a bench lie. */
export const makeBucket = async (server: BenchServer): Promise<void> =>
  void (await runAll(server.port, [prepare(server, "PUT", "/bench")], 1))

export interface Cost {
  readonly seconds: number
  readonly perSecond: number
  readonly bytesPerSecond: number
  /** Of the node's processor time, all threads, for one request. */
  readonly microsEach: number
  readonly syncsEach: number
  /** Allocated on the node's main thread for one request. */
  readonly allocatedEach: number
  readonly firstByteMs: ReadonlyArray<number>
}

/** Runs requests against a node and says what each cost. `bytes` is what one of them carries. */
export const costOf = async (server: BenchServer, requests: ReadonlyArray<Prepared>, parallel: number, bytes: number): Promise<Cost> => {
  const count = requests.length
  const [cpu, before] = [server.cpuMicros(), await server.counters()]
  const { firstByteMs, seconds } = await runAll(server.port, requests, parallel)
  const [cpuAfter, after] = [server.cpuMicros(), await server.counters()]
  return {
    seconds, perSecond: count / seconds, bytesPerSecond: (count * bytes) / seconds,
    microsEach: (cpuAfter - cpu) / count,
    syncsEach: (after.syncs - before.syncs) / count,
    allocatedEach: (after.allocatedBytes - before.allocatedBytes) / count,
    firstByteMs
  }
}

/** `share` in [0, 1] of the values are at or below it. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}
