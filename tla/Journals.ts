/**
 * Journals: what the code's journal did, judged twice: by spec/WalMonitor.ts and by tla/wal/TraceWal.tla in TLC, which
 * must agree, on true traces and on false ones. It sits between the worlds of test/store and of the simulator, and
 * `npm run tla -- trace`.
 */
import { join } from "node:path"
import { seededRandom } from "../sim/Random.ts"
import { lied, lies } from "../spec/WalFalsehood.ts"
import { judge } from "../spec/WalMonitor.ts"
import type { WalTrace } from "../spec/WalTrace.ts"
import { runSeed } from "../test/store/run.ts"
import type { Plan } from "../test/store/world.ts"
import type { Outcome } from "./Outcome.ts"
import { coverageOf } from "./Taken.ts"
import { type Engine, tlc } from "./Tlc.ts"
import { moduleOf } from "./Traces.ts"
import { traceOfWorld } from "./Worlds.ts"

/** Seeds of test/store whose traces are short enough for TLC: 24 to 93 steps each, of all kinds. */
const storeSeeds = [3, 13, 18]
const storeSeedsOfLies = [13]
/** Worlds of the simulator with so few requests have few enough steps, and as many crashes as any. */
const operationsOfTlc = 20
const operationsOfMonitor = 60
const stepsOfTlcMax = 250
const worldsOfTlc = 5
const worldsTriedMax = 40
const liesOfTlc = 12
const liesOfWorlds = 10
const liesOfMonitor = 200
const secondsMax = 300

const planOf = (seed: number): Plan => seed % 8 === 3 ? { style: "Births" } : seed % 8 === 7 ? { style: "Segments" } : {}

interface Judged {
  readonly title: string
  readonly trace: WalTrace
}

/** The same lies at every run of these traces. */
const falsehoods = (traces: ReadonlyArray<Judged>, count: number): ReadonlyArray<Judged> => {
  const random = seededRandom(4)
  return Array.from({ length: count }, (_, index) => {
    const { title, trace } = traces[index % traces.length]!
    const lie = lied(trace, lies[Math.floor(index / traces.length) % lies.length]!, (bound) => random.below(bound))
    return { title: `${title}, ${lie.what}`, trace: lie.trace }
  })
}

const runTlc = (engine: Engine, judged: ReadonlyArray<Judged>, workers: number): Promise<Outcome> =>
  tlc(engine, {
    folder: join(import.meta.dirname, "wal"), module: "TraceWal", files: { "Traces.tla": moduleOf(judged.map(({ trace }) => trace)) }, cfg: "TraceWal.cfg",
    workers, secondsMax, short: true
  })

/** What TLC accepted, by title; or why it judged nothing. */
const acceptedBy = (outcome: Outcome, judged: ReadonlyArray<Judged>): ReadonlySet<string> | string => {
  if (outcome.verdict !== "passed") return outcome.verdict === "violated" ? `${outcome.name} is violated` : outcome.verdict
  const numbers = outcome.printed.flatMap((line) => /^<<"accepted", (\d+)>>$/.exec(line)?.[1] ?? [])
  return new Set(numbers.map((number) => judged[Number(number) - 1]!.title))
}

export type Report = (title: string, faults: ReadonlyArray<string>, text?: string) => void

/** Which worlds are looked at: so many, from this seed on. */
export interface Sample {
  readonly from: number
  readonly worlds: number
}

/** Of the worlds from this seed on the first few whose traces are short. */
const worldsForTlc = (from: number): ReadonlyArray<Judged> => {
  const found: Array<Judged> = []
  for (let seed = from; found.length < worldsOfTlc && seed < from + worldsTriedMax; seed += 1) {
    const trace = traceOfWorld(seed, operationsOfTlc)
    if (trace.length <= stepsOfTlcMax) found.push({ title: `world ${seed} of ${operationsOfTlc} requests`, trace })
  }
  return found
}

const emptyTraces: ReadonlyArray<Judged> = [
  { title: "the empty trace", trace: [] }, { title: "a trace of nothing", trace: [{ action: "Finish", run: "", lives: 0, steps: 0 }] }
]

const stepsIn = (judged: ReadonlyArray<Judged>): number => judged.reduce((sum, { trace }) => sum + trace.length, 0)

/** More worlds than TLC has time for, and every kind of step that they take. */
const runMonitor = ({ from, worlds }: Sample, short: ReadonlyArray<Judged>, report: Report, say: (line: string) => void): void => {
  const whole = Array.from({ length: worlds }, (_, index) => ({ title: `world ${from + index} of ${operationsOfMonitor} requests`, trace: traceOfWorld(from + index, operationsOfMonitor) }))
  const refused = [...short, ...whole].flatMap(({ title, trace }) => {
    const verdict = judge(trace)
    return verdict._tag === "Accepted" ? [] : [`${title}, step ${verdict.index}: ${verdict.why}`]
  })
  report(`journals: the monitor accepts ${whole.length} worlds of ${stepsIn(whole)} steps, from seed ${from} on`, refused)
  for (const line of coverageOf(whole.map(({ trace }) => trace))) say(line)
  const falseOnes = [...emptyTraces, ...falsehoods([...short, ...whole], liesOfMonitor)]
  const taken = falseOnes.filter(({ trace }) => judge(trace)._tag === "Accepted").map(({ title }) => `the monitor accepts ${title}`)
  report(`journals: the monitor refuses ${falseOnes.length} false traces`, taken)
}

/** Real traces, the empty one and false ones, through both judges. */
export const runJournals = async (engine: Engine, workers: number, sample: Sample, report: Report, say: (line: string) => void): Promise<void> => {
  const ofStore = (seeds: ReadonlyArray<number>): ReadonlyArray<Judged> =>
    seeds.map((seed) => ({ title: `seed ${seed} of test/store`, trace: runSeed(seed, planOf(seed)).journalTrace }))
  const worlds = worldsForTlc(sample.from)
  if (worlds.length < worldsOfTlc) report(`journals: ${worlds.length} of ${worldsTriedMax} worlds from seed ${sample.from} on have at most ${stepsOfTlcMax} steps`, ["too few for TLC"])
  const real = [...ofStore(storeSeeds), ...worlds]
  runMonitor(sample, real, report, say)

  const forTlc = [...emptyTraces, ...falsehoods(ofStore(storeSeedsOfLies), liesOfTlc), ...falsehoods(worlds, liesOfWorlds)]
  const all = [...real, ...forTlc]
  const outcome = await runTlc(engine, all, workers)
  const accepted = acceptedBy(outcome, all)
  if (typeof accepted === "string") return report("journals: TLC judges them", [accepted], outcome.text)
  const figures = `${outcome.distinct.toLocaleString("en")} distinct states, ${outcome.seconds.toFixed(0)} s`
  const refused = real.filter(({ title }) => !accepted.has(title)).map(({ title }) => `TLC refuses ${title}`)
  report(`journals: TLC accepts ${real.length} traces of ${stepsIn(real)} steps, ${worlds.map(({ title }) => title).join(" and ")} among them (${figures})`, refused)
  report(`journals: TLC refuses ${forTlc.length} false traces`, forTlc.filter(({ title }) => accepted.has(title)).map(({ title }) => `TLC accepts ${title}`))
  const disagreements = all.filter(({ title, trace }) => (judge(trace)._tag === "Accepted") !== accepted.has(title))
  report(`journals: monitor and TLC agree on ${all.length} traces`, disagreements.map(({ title }) => `they disagree on ${title}`))
}
