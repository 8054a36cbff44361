/** `npm run sim:members -- --seeds N --from N [--profile short|full] [--record] [--tally]`: stores of several members, one a seed, until one breaks. */
import { parseArgs } from "node:util"
import { committedOf, isCommitted, keepRun, keptRuns } from "../../sim/Record.ts"
import { tallyLines } from "../../sim/Runs.ts"
import { exitCodes } from "../../sim/Violation.ts"
import { runCluster, sizes } from "./ClusterWorld.ts"

const entry = "test/cluster/ClusterWorld.ts"
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "50" }, from: { type: "string", default: "1" }, profile: { type: "string", default: "short" },
    record: { type: "boolean", default: false }, tally: { type: "boolean", default: false }
  }
})
const first = Number(values.from)
const count = Number(values.seeds)
const { profile } = values

const swarm = (name: "short" | "full"): number => {
  const beganMs = performance.now()
  const sums = new Map<string, number>()
  const probes = new Set<string>()
  const add = (what: string, by: number): void => void sums.set(what, (sums.get(what) ?? 0) + by)
  let worlds = 0
  let broken: string | undefined
  while (worlds < count && broken === undefined) {
    const seed = first + worlds
    const seen = runCluster(seed, sizes[name])
    worlds += 1
    for (const what of ["operations", "acknowledged", "commits", "cuts", "changes"] as const) add(what, seen[what])
    add("seconds simulated", Math.round(seen.simulatedMs / 1000))
    for (const [what, times] of Object.entries(seen.faults)) add(what, times)
    for (const probe of Object.keys(seen.probes)) probes.add(probe)
    if (seen.problems.length > 0) broken = `${seen.problems.slice(0, 5).join("\n")}\nagain: npm run sim:members -- --from ${seed} --seeds 1 --profile ${name}`
  }
  const last = first + worlds - 1
  if (values.record) {
    const verdict = broken === undefined ? "ok" : `safety: 1 failed, the first ${last}`
    keepRun({ ...at!, profile: `members-${name}`, faults: "merciful", first, last, worlds, verdict })
  }
  const seconds = (performance.now() - beganMs) / 1000
  console.log(`${[...sums].map(([what, times]) => `${what} ${times}`).join(", ")}\nprobes hit: ${[...probes].sort().join(", ")}`)
  console.log(`${worlds} worlds (${name}) in ${Math.round(seconds)} s, ${Math.round((worlds / seconds) * 3600)} an hour`)
  console.log(broken ?? `ok: ${worlds} stores from ${first}`)
  return broken === undefined ? exitCodes.ok : exitCodes.safety
}

const at = values.record || values.tally ? committedOf(entry) : undefined
if (values.tally) tallyLines(keptRuns(), at!, ["members-short", "members-full"]).forEach((line) => console.log(line))
else if (profile !== "short" && profile !== "full") {
  console.log("--profile is short or full")
  process.exitCode = exitCodes.usage
} else if (values.record && !isCommitted(["src", "sim", "spec", "test"])) {
  console.log("--record: src, sim, spec or test are not as committed: commit first, or leave --record out")
  process.exitCode = exitCodes.usage
} else process.exitCode = swarm(profile)
