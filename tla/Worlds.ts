/**
 * Worlds: what the journal does in whole simulated worlds, as traces. It sits between the simulator's swarm and those who
 * judge traces (Journals.ts).
 */
import { Effect } from "effect"
import { lonersOf, workloads } from "../sim/Catalogue.ts"
import type { Checker } from "../sim/checker/Checker.ts"
import { seededRandom } from "../sim/Random.ts"
import { WalRecorder } from "../sim/WalRecorder.ts"
import { runWorld } from "../sim/World.ts"
import { drawWorkloads } from "../sim/workload/Workload.ts"
import type { WalTrace } from "../spec/WalTrace.ts"
import { makeCrc64 } from "../src/gateway/s3/Checksums.ts"

const crc64 = await Effect.runPromise(makeCrc64)

/** What the journal did in the short world of this seed; so many requests of it at most. */
export const traceOfWorld = (seed: number, operations: number): WalTrace => {
  const recorder = new WalRecorder()
  const checker: Checker = {
    name: "journal's trace", journal: { observe: recorder.observe, observeRecovery: recorder.observeRecovery },
    died: (ending) => recorder.died(ending === "PowerCut" ? "Crash" : "Kill")
  }
  runWorld({ seed, profile: "short", workloads: drawWorkloads(seededRandom(seed).fork(), workloads, lonersOf("short")), checkers: [() => checker], crc64, operations })
  return recorder.finish()
}
