/** `npm run sim:members -- --seeds N --from N [--profile short|full] [--workers N] [--record] [--tally]`: stores of several members, one a seed, until one breaks. */
import { parseArgs } from "node:util"
import type { ProfileName } from "../../sim/Profile.ts"
import { committedOf, isCommitted, keepRun, keptRuns, ranTheSame } from "../../sim/Record.ts"
import { tallyLines } from "../../sim/Runs.ts"
import { runSwarm } from "../../sim/Swarm.ts"
import { exitCodes } from "../../sim/Violation.ts"
import type { WorldSeen } from "./ClusterWorld.ts"
import type { Job, Result } from "./worker.ts"

const entry = "test/cluster/ClusterWorld.ts"
const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "50" }, from: { type: "string", default: "1" }, profile: { type: "string", default: "short" }, workers: { type: "string", default: "2" },
    record: { type: "boolean", default: false }, tally: { type: "boolean", default: false }
  }
})
const first = Number(values.from)
const count = Number(values.seeds)
const workers = Number(values.workers)
const { profile } = values
const problemsTold = 5

/** Of worlds in the order of their seeds, up to the first that broke. */
class Account {
  readonly sums = new Map<string, number>()
  readonly probes = new Set<string>()
  worlds = 0
  broken: string | undefined
  exit: number = exitCodes.ok

  add({ crash, profile: name, seed, seen }: Result): void {
    // Another process was at it already.
    if (this.broken !== undefined) return
    this.worlds += 1
    if (seen !== undefined) this.#count(seen)
    const problems = seen?.problems ?? [`the world has ended by: ${crash}`]
    if (problems.length === 0) return
    this.broken = `${problems.slice(0, problemsTold).join("\n")}\nagain: npm run sim:members -- --from ${seed} --seeds 1 --profile ${name}\nbroke: --seed ${seed}`
    this.exit = seen === undefined ? exitCodes.crash : exitCodes.safety
  }

  #count(seen: WorldSeen): void {
    const add = (what: string, by: number): void => void this.sums.set(what, (this.sums.get(what) ?? 0) + by)
    for (const what of ["operations", "acknowledged", "commits", "cuts", "changes"] as const) add(what, seen[what])
    add("seconds simulated", Math.round(seen.simulatedMs / 1000))
    for (const [what, times] of Object.entries(seen.faults)) add(what, times)
    for (const probe of Object.keys(seen.probes)) this.probes.add(probe)
  }
}

const swarm = async (name: ProfileName): Promise<number> => {
  const beganMs = performance.now()
  const account = new Account()
  let seed = first
  const next = (): Job | undefined => {
    if (seed >= first + count || account.broken !== undefined) return undefined
    seed += 1
    return { seed: seed - 1, profile: name }
  }
  await runSwarm<Job, Result>({ workers: Math.min(workers, count), worker: new URL("./worker.ts", import.meta.url), next, told: (result) => account.add(result) })
  const { broken, exit, probes, sums, worlds } = account
  const last = first + worlds - 1
  if (values.record) {
    const verdict = broken === undefined ? "ok" : `safety: 1 failed, the first ${last}`
    keepRun({ ...at!, profile: `members-${name}`, faults: "merciful", first, last, worlds, verdict })
  }
  const seconds = (performance.now() - beganMs) / 1000
  console.log(`${[...sums].map(([what, times]) => `${what} ${times}`).join(", ")}\nprobes hit: ${[...probes].sort().join(", ")}`)
  console.log(`${worlds} worlds (${name}) in ${Math.round(seconds)} s, ${Math.round((worlds / seconds) * 3600)} an hour`)
  console.log(broken ?? `ok: ${worlds} stores from ${first}`)
  return exit
}

const at = values.record || values.tally ? committedOf(entry) : undefined
const refused = (why: string): number => {
  console.log(why)
  return exitCodes.usage
}

if (values.tally) tallyLines(keptRuns(), { ...at!, ranTheSame: ranTheSame(["sim", "spec", "test"]) }, ["members-short", "members-full"]).forEach((line) => console.log(line))
else if (profile !== "short" && profile !== "full") process.exitCode = refused("--profile is short or full")
else if (!(workers >= 1 && workers <= 64)) process.exitCode = refused("--workers is 1 to 64")
else if (values.record && !isCommitted(["src", "sim", "spec", "test"])) process.exitCode = refused("--record: src, sim, spec or test are not as committed: commit first, or leave --record out")
else process.exitCode = await swarm(profile)
