/**
 * Journals: what the code's journal did, judged twice: by spec/WalMonitor.ts and by tla/wal/TraceWal.tla in TLC, which
 * must agree, on true traces and on false ones. It sits between the worlds of test/store and `npm run tla -- trace`.
 */
import { join } from "node:path"
import { seededRandom } from "../sim/Random.ts"
import { lied, lies } from "../spec/WalFalsehood.ts"
import { judge } from "../spec/WalMonitor.ts"
import type { WalTrace } from "../spec/WalTrace.ts"
import { runSeed } from "../test/store/run.ts"
import type { Plan } from "../test/store/world.ts"
import type { Outcome } from "./Outcome.ts"
import { type Engine, tlc } from "./Tlc.ts"
import { moduleOf } from "./Traces.ts"

/** Worlds whose traces are short enough for TLC: 24 to 93 steps each, of all kinds. */
const seeds = [3, 13, 18]
const seedsOfLies = [13]
const liesOfTlc = 12
const liesOfMonitor = 200
const secondsMax = 900

const planOf = (seed: number): Plan => seed % 8 === 3 ? { style: "Births" } : seed % 8 === 7 ? { style: "Segments" } : {}

interface Judged {
  readonly title: string
  readonly trace: WalTrace
}

/** The same lies at every run: the first of the list are TLC's too. */
const falsehoods = (traces: ReadonlyMap<number, WalTrace>, count: number, of: ReadonlyArray<number>): ReadonlyArray<Judged> => {
  const random = seededRandom(4)
  return Array.from({ length: count }, (_, index) => {
    const seed = of[index % of.length]!
    const { trace, what } = lied(traces.get(seed)!, lies[index % lies.length]!, (bound) => random.below(bound))
    return { title: `seed ${seed}, ${what}`, trace }
  })
}

const runTlc = (engine: Engine, judged: ReadonlyArray<Judged>, workers: number): Promise<Outcome> =>
  tlc(engine, {
    folder: join(import.meta.dirname, "wal"), module: "TraceWal", files: { "Traces.tla": moduleOf(judged.map(({ trace }) => trace)) }, cfg: "TraceWal.cfg",
    workers, secondsMax
  })

/** What TLC accepted, by title; or why it judged nothing. */
const acceptedBy = (outcome: Outcome, judged: ReadonlyArray<Judged>): ReadonlySet<string> | string => {
  if (outcome.verdict !== "passed") return outcome.verdict === "violated" ? `${outcome.name} is violated` : outcome.verdict
  const numbers = outcome.printed.flatMap((line) => /^<<"accepted", (\d+)>>$/.exec(line)?.[1] ?? [])
  return new Set(numbers.map((number) => judged[Number(number) - 1]!.title))
}

export type Report = (title: string, faults: ReadonlyArray<string>, text?: string) => void

/** Real traces, the empty one and false ones, through both judges. */
export const runJournals = async (engine: Engine, workers: number, report: Report): Promise<void> => {
  const traces = new Map(seeds.map((seed) => [seed, runSeed(seed, planOf(seed)).journalTrace]))
  const real = seeds.map((seed) => ({ title: `seed ${seed}`, trace: traces.get(seed)! }))
  const empty: ReadonlyArray<Judged> = [{ title: "the empty trace", trace: [] }, { title: "a trace of nothing", trace: [{ action: "Finish", run: "", lives: 0, steps: 0 }] }]
  const forMonitor = [...empty, ...falsehoods(traces, liesOfMonitor, seeds)]
  const forTlc = [...empty, ...falsehoods(traces, liesOfTlc, seedsOfLies)]
  const taken = forMonitor.filter(({ trace }) => judge(trace)._tag === "Accepted").map(({ title }) => `the monitor accepts ${title}`)
  report(`journals: the monitor refuses ${forMonitor.length} false traces`, taken)

  const all = [...real, ...forTlc]
  const outcome = await runTlc(engine, all, workers)
  const accepted = acceptedBy(outcome, all)
  if (typeof accepted === "string") return report("journals: TLC judges them", [accepted], outcome.text)
  const steps = real.reduce((sum, { trace }) => sum + trace.length, 0)
  const figures = `${outcome.distinct.toLocaleString("en")} distinct states, ${outcome.seconds.toFixed(0)} s`
  const refused = real.filter(({ title }) => !accepted.has(title)).map(({ title }) => `TLC refuses ${title}`)
  report(`journals: TLC accepts ${real.length} traces of ${steps} steps (${figures})`, refused)
  report(`journals: TLC refuses ${forTlc.length} false traces`, forTlc.filter(({ title }) => accepted.has(title)).map(({ title }) => `TLC accepts ${title}`))
  const disagreements = all.filter(({ title, trace }) => (judge(trace)._tag === "Accepted") !== accepted.has(title))
  report(`journals: monitor and TLC agree on ${all.length} traces`, disagreements.map(({ title }) => `they disagree on ${title}`))
}
