/**
 * ShrinkWorld: a failing world with as few requests, faults and crashes as it still fails with in the same way. It sits
 * between a thread of a Swarm, which runs worlds, and Shrink, which chooses what to leave out.
 */
import type { Strike } from "./faults/Strikes.ts"
import { operationsOf } from "./Profile.ts"
import { shrink } from "./Shrink.ts"
import type { WorldReport } from "./World.ts"

export interface Shrunken {
  readonly operations: number
  readonly kept: ReadonlyArray<Strike>
  readonly runs: number
}

export interface Part {
  readonly operations: number
  /** Absent: all. */
  readonly strikes?: ReadonlyArray<number>
}

const runsMax = 2000

/** `run` runs the world again with a part of what happened; `isLate` ends the search. */
export const shrinkWorld = (failed: WorldReport, run: (part: Part) => WorldReport, isLate: () => boolean): Shrunken => {
  const kind = failed.violation?.kind
  const fails = (report: WorldReport): boolean => report.violation?.kind === kind
  let operations = operationsOf(failed.profile, failed.workloads.length)
  let last = failed
  let runs = 0
  for (let fewer = operations >> 1; fewer > 0 && !isLate(); fewer >>= 1) {
    runs += 1
    const report = run({ operations: fewer })
    if (!fails(report)) break
    operations = fewer
    last = report
  }
  const found = shrink(last.strikes, (kept) => !isLate() && fails(run({ operations, strikes: kept.map(({ number }) => number) })), runsMax)
  return { operations, kept: found.kept, runs: runs + found.runs }
}
