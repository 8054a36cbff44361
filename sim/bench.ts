/**
 * bench: `npm run sim:bench [-- SECONDS [WORKERS]]`: how many worlds an hour this machine makes, of each profile, and how
 * large they are. What the processes make first is not counted: an hour has only one beginning, in which their code is compiled.
 */
import { writeSync } from "node:fs"
import type { ProfileName } from "./Profile.ts"
import { type Job, nodeWorker, type Result, runSwarm } from "./Swarm.ts"

const [seconds = 60, workers = 2] = process.argv.slice(2).map(Number)
const aims: Readonly<Record<ProfileName, { readonly worlds: number; readonly speedUp: number }>> = {
  short: { worlds: 20_000, speedUp: 1000 }, full: { worlds: 2000, speedUp: 100 }
}

const say = (line: string): void => void writeSync(1, `${line}\n`)
const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

const warmUpSeconds = 15

/** In the order of the seeds; the time is that of the workers, from a world's beginning to its end. */
const measure = async (profile: ProfileName): Promise<void> => {
  const results: Array<Result> = []
  let seed = 0
  const startedMs = performance.now()
  const since = (): number => (performance.now() - startedMs) / 1000
  const warm = new Set<number>()
  await runSwarm<Job, Result>({
    workers, worker: nodeWorker, told: (result) => { if (warm.has(result.seed)) results.push(result) },
    next: () => {
      seed += 1
      if (since() > warmUpSeconds) warm.add(seed)
      return since() > warmUpSeconds + seconds ? undefined : { seed, profile, twice: false, keepsTrace: false }
    }
  })
  const realMs = results.reduce((total, { realMs: ms }) => total + ms, 0) / workers
  const of = (read: (result: Result) => number): number => median(results.map(read))
  const sum = (read: (result: Result) => number): number => results.reduce((total, result) => total + read(result), 0)
  const failed = results.filter(({ violation }) => violation !== undefined).length
  say([
    profile, results.length, of(({ operations }) => operations), of(({ crashes }) => crashes), of(({ events }) => events), of(({ realMs: ms }) => Math.round(ms)),
    Math.round((results.length / realMs) * 3_600_000), aims[profile].worlds,
    Math.round(sum(({ simulatedMs }) => simulatedMs) / realMs), aims[profile].speedUp, failed
  ].join("\t"))
}

say(`${seconds} s each in ${workers} processes, after ${warmUpSeconds} s that are not counted; medians of a world; speed-up is simulated time over real time, all processes together`)
say(["profile", "worlds", "operations", "crashes", "events", "ms", "an hour", "(aim)", "speed-up", "(aim)", "failed"].join("\t"))
await measure("short")
await measure("full")
