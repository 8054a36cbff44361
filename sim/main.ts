/** main: `npm run sim`: worlds, what they went through, and a verdict. */
import { readdirSync, writeFileSync, writeSync } from "node:fs"
import { probeNames } from "../src/base/probes.ts"
import { workloadNames } from "./Catalogue.ts"
import { type Order, parseOrder, usage } from "./CommandLine.ts"
import { type Job, nodeWorker, type Result, runSwarm } from "./Swarm.ts"
import { committedOf, isCommitted, keepRun, keptRuns, ranTheSame } from "./Record.ts"
import { type Run, tallyLines } from "./Runs.ts"
import type { Shrunken } from "./ShrinkWorld.ts"
import { timelinePage } from "./TimelinePage.ts"
import { hashOfTraces } from "./Trace.ts"
import { exitCodes } from "./Violation.ts"

/** So many failing seeds end a swarm. */
const failuresMax = 10
const linesOfStory = 40
/** What a world runs. */
const entry = "sim/worker.ts"
const seedsMax = 2 ** 32

const say = (line: string): void => void writeSync(1, `${line}\n`)

const addUp = (sum: Map<string, number>, counts: Readonly<Record<string, number>>): void => {
  for (const [name, count] of Object.entries(counts)) sum.set(name, (sum.get(name) ?? 0) + count)
}

const counted = (sum: ReadonlyMap<string, number>): string => [...sum].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `${name} ${count}`).join(", ") || "none"

const replayOf = ({ merciless, only }: Order, { profile, seed }: Place): string =>
  `npm run sim -- --seed ${seed} --profile ${profile}${only === undefined ? "" : ` --workload ${only.join(",")}`}${merciless ? " --merciless" : ""}`

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0

const drawTimeline = (path: string, profile: Order["profile"], { seed, story, violation }: Result): void => {
  writeFileSync(path, timelinePage({ seed, profile, lines: story, verdict: violation === undefined ? "ok" : `${violation.kind}: ${violation.what}` }))
  say(`timeline: ${path}`)
}

class Account {
  readonly results: Array<Omit<Result, "story" | "faults" | "probes">> = []
  readonly failures: Array<Result> = []
  readonly #faults = new Map<string, number>()
  readonly #worldsWith = new Map<string, number>()
  readonly #probes = new Map<string, number>()
  readonly #order: Order

  constructor(order: Order) {
    this.#order = order
  }

  add({ faults, probes, story, ...result }: Result): void {
    this.results.push(result)
    addUp(this.#faults, faults)
    addUp(this.#worldsWith, Object.fromEntries(Object.keys(faults).map((name) => [name, 1])))
    addUp(this.#probes, probes)
    if (this.#order.trace) for (const line of story) say(line)
    if (this.#order.timeline !== undefined) drawTimeline(this.#order.timeline, this.#order.profile, { ...result, faults, probes, story })
    if (result.violation === undefined) return
    this.failures.push({ ...result, faults, probes, story })
    for (const line of story.slice(-linesOfStory)) say(`  ${line}`)
    say(`seed ${result.seed}: ${result.violation.kind}: ${result.violation.what}`)
    say(`again: ${replayOf(this.#order, result)}`)
    if (result.shrunk !== undefined) this.#tellShrunk(result, result.shrunk)
  }

  #tellShrunk(result: Pick<Result, "seed" | "profile">, { kept, operations, runs }: Shrunken): void {
    say(`shrunk in ${runs} runs to ${operations} requests and ${kept.length} faults and crashes: ${kept.map(({ number, what }) => `${number} ${what}`).join(", ") || "none"}`)
    say(`again: ${replayOf(this.#order, result)} --operations ${operations} --strikes ${kept.map(({ number }) => number).join(",") || "\"\""}`)
  }

  record(at: Pick<Run, "commit" | "machines">): void {
    const [first] = this.failures
    const { seed = this.#order.first } = this.results.at(-1) ?? {}
    keepRun({
      ...at, profile: this.#order.profile, faults: this.#order.merciless ? "merciless" : "merciful", first: this.#order.first, last: seed, worlds: this.results.length,
      verdict: first?.violation === undefined ? "ok" : `${first.violation.kind}: ${this.failures.length} failed, the first ${first.seed}`
    })
  }

  report(realMs: number): number {
    const { failures, results } = this
    const one = results.length === 1 ? results[0] : undefined
    const simulatedMs = results.reduce((sum, result) => sum + result.simulatedMs, 0)
    const workMs = results.reduce((sum, result) => sum + result.realMs, 0)
    say(one === undefined
      ? `seeds ${results[0]?.seed ?? "none"} to ${results.at(-1)?.seed ?? "none"}: ${results.length} worlds (${this.#order.profile}) in ${(realMs / 1000).toFixed(1)} s, ${Math.round((results.length / realMs) * 3_600_000)} an hour`
      : `seed ${one.seed} (${this.#order.profile}): ${one.workloads.join(", ")}`)
    say(`simulated ${Math.round(simulatedMs / 1000)} s, ${Math.round(simulatedMs / workMs)} times as fast as real time`)
    say(`operations ${median(results.map(({ operations }) => operations))}, crashes ${median(results.map(({ crashes }) => crashes))}, lives ${median(results.map(({ lives }) => lives))}${one === undefined ? " (medians)" : ""}`)
    say(`faults: ${counted(this.#faults)}`)
    if (one === undefined) say(`share of worlds: ${[...this.#worldsWith].sort(([, a], [, b]) => b - a).map(([name, count]) => `${name} ${Math.round((100 * count) / results.length)}%`).join(", ")}`)
    say(`probes hit: ${counted(this.#probes)}`)
    const never = Object.keys(probeNames).filter((name) => !this.#probes.has(name))
    if (one === undefined) say(`probes never hit: ${never.join(", ") || "none"}`)
    for (const other of failures.slice(1)) say(`also: seed ${other.seed}: ${other.violation?.kind}: again: ${replayOf(this.#order, other)}`)
    say(`trace ${one === undefined ? hashOfTraces(results.map(({ trace }) => trace)) : one.trace}`)
    const [first] = failures
    if (first?.violation === undefined) {
      say(one === undefined ? `ok: ${results.length} worlds` : "ok")
      return exitCodes.ok
    }
    say(`${first.violation.kind}: ${failures.length} of ${results.length} failed; again: ${replayOf(this.#order, first)}`)
    return exitCodes[first.violation.kind]
  }
}

type Place = Pick<Job, "seed" | "profile">

/** The files of sim/seeds: PROFILE-SEED.txt. */
const knownSeeds = (): ReadonlyArray<Place> =>
  readdirSync(new URL("./seeds", import.meta.url)).sort().flatMap((name) => {
    const match = /^(short|full)-(\d+)\.txt$/.exec(name)
    return match === null ? [] : [{ profile: match[1] === "full" ? "full" : "short", seed: Number(match[2]) } as const]
  })

/** Seed after seed, until there are enough of them, or no time is left. */
const seedsOf = (order: Order): (() => Place | undefined) => {
  if (order.known) {
    const known = [...knownSeeds()]
    return () => known.shift()
  }
  const startedMs = performance.now()
  let seed = order.first
  return () => {
    const isOver = seed >= seedsMax || (order.count === undefined ? performance.now() - startedMs > (order.minutes ?? 0) * 60_000 : seed >= order.first + order.count)
    seed += 1
    return isOver ? undefined : { seed: seed - 1, profile: order.profile }
  }
}

const run = async (order: Order): Promise<number> => {
  const startedMs = performance.now()
  const account = new Account(order)
  const seeds = seedsOf(order)
  const next = (): Job | undefined => {
    const place = account.failures.length >= (order.untilFailure ? 1 : failuresMax) ? undefined : seeds()
    if (place === undefined) return undefined
    return { ...place, twice: order.twice, merciless: order.merciless, keepsTrace: order.trace || order.timeline !== undefined, shrinks: order.shrink,
      ...(order.only === undefined ? {} : { only: order.only }), ...(order.strikes === undefined ? {} : { strikes: order.strikes }),
      ...(order.operations === undefined ? {} : { operations: order.operations }) }
  }
  const at = order.record ? committedOf(entry) : undefined
  if (at !== undefined && !isCommitted(["src", "sim", "spec"])) {
    say("--record: src, sim or spec are not as committed: commit first, or leave --record out")
    return exitCodes.usage
  }
  await runSwarm<Job, Result>({ workers: Math.min(order.workers, order.count ?? order.workers), worker: nodeWorker, next, told: (result) => account.add(result) })
  const exit = account.report(performance.now() - startedMs)
  if (at !== undefined) account.record(at)
  return exit
}

const order = parseOrder(process.argv.slice(2), workloadNames)
if (typeof order === "string") {
  say(`${order}\n\n${usage}`)
  process.exitCode = exitCodes.usage
} else if (order.tally) tallyLines(keptRuns(), { ...committedOf(entry), ranTheSame: ranTheSame(["sim", "spec"]) }).forEach(say)
else process.exitCode = await run(order)
