/** worker: a process of a Swarm: a seed in, what became of its world out. */
import { Effect } from "effect"
import { makeCrc64 } from "../src/gateway/s3/Checksums.ts"
import { underTraps } from "./Ambient.ts"
import { checkers, lonersOf, namedWorkloads, nameOf, workloads } from "./Catalogue.ts"
import { seededRandom } from "./Random.ts"
import { shrinkWorld } from "./ShrinkWorld.ts"
import { answering, type Job, type Result } from "./Swarm.ts"
import { Violation } from "./Violation.ts"
import { runWorld, type WorldReport } from "./World.ts"
import { drawWorkloads } from "./workload/Workload.ts"

const crc64 = await Effect.runPromise(makeCrc64)

const runOnce = ({ keepsTrace, merciless = false, only, operations, profile, seed, strikes }: Job): WorldReport => {
  const chosen = only === undefined
    ? drawWorkloads(seededRandom(seed).fork(), workloads, lonersOf(profile))
    : namedWorkloads.filter((make) => only.includes(nameOf(make)))
  return underTraps(() => runWorld({ seed, profile, workloads: chosen, checkers, crc64, keepsTrace, merciless, 
    ...(strikes === undefined ? {} : { strikes: new Set(strikes) }), ...(operations === undefined ? {} : { operations }) }))
}

const firstDifference = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): string => {
  const at = a.findIndex((line, index) => line !== b[index])
  return at < 0 ? `one has ${a.length} lines, the other ${b.length}` : `line ${at}: "${a[at]}" and "${b[at]}"`
}

/** A person waits for it. */
const shrinkMsMax = 5 * 60_000

const judge = (job: Job): Result => {
  const startedMs = performance.now()
  const report = runOnce(job)
  const realMs = performance.now() - startedMs
  let { violation } = report
  if (job.twice) {
    const again = runOnce(job)
    if (again.trace !== report.trace) violation = new Violation("nondeterminism", `two runs differ: ${firstDifference(report.story, again.story)}`)
  }
  const shrunk = job.shrinks === true && violation !== undefined
    ? shrinkWorld(report, (part) => runOnce({ ...job, keepsTrace: false, ...part }), () => performance.now() - startedMs > shrinkMsMax) : undefined
  return {
    ...report, shrunk, realMs, faults: Object.fromEntries(report.faults), probes: Object.fromEntries(report.probes),
    violation: violation === undefined ? undefined : { kind: violation.kind, what: violation.message }
  }
}

answering(judge)
