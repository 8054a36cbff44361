/**
 * bench: `npm run sim:bench [-- SECONDS [WORKERS]]`: how many worlds an hour this machine makes, of each profile, and how
 * large they are.
 */
import { writeSync } from "node:fs"
import type { ProfileName } from "./Profile.ts"
import { type Result, runSwarm } from "./Swarm.ts"

const [seconds = 60, workers = 2] = process.argv.slice(2).map(Number)
const aims: Readonly<Record<ProfileName, { readonly worlds: number; readonly speedUp: number }>> = {
  short: { worlds: 20_000, speedUp: 1000 }, full: { worlds: 2000, speedUp: 100 }
}

const say = (line: string): void => void writeSync(1, `${line}\n`)
const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

const measure = async (profile: ProfileName): Promise<void> => {
  const results: Array<Result> = []
  let seed = 0
  const startedMs = performance.now()
  const isOver = (): boolean => performance.now() - startedMs > seconds * 1000
  await runSwarm({
    workers, told: (result) => void results.push(result),
    next: () => {
      seed += 1
      return isOver() ? undefined : { seed, profile, twice: false, keepsTrace: false }
    }
  })
  const realMs = performance.now() - startedMs
  const of = (read: (result: Result) => number): number => median(results.map(read))
  const sum = (read: (result: Result) => number): number => results.reduce((total, result) => total + read(result), 0)
  const failed = results.filter(({ violation }) => violation !== undefined).length
  say([
    profile, results.length, of(({ operations }) => operations), of(({ crashes }) => crashes), of(({ events }) => events), of(({ realMs: ms }) => Math.round(ms)),
    Math.round((results.length / realMs) * 3_600_000), aims[profile].worlds,
    Math.round(sum(({ simulatedMs }) => simulatedMs) / realMs), aims[profile].speedUp, failed
  ].join("\t"))
}

say(`${seconds} s each on ${workers} threads; medians of a world; speed-up is simulated time over real time, all threads together`)
say(["profile", "worlds", "operations", "crashes", "events", "ms", "an hour", "(aim)", "speed-up", "(aim)", "failed"].join("\t"))
await measure("short")
await measure("full")
