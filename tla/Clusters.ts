/**
 * Clusters: what the replicas of one group did, judged twice: by spec/RaftMonitor.ts and by tla/raft/TraceRaft.tla in TLC, which must
 * agree, on true traces and on false ones. It sits between the clusters of test/raft and `npm run tla -- trace`.
 */
import { join } from "node:path"
import { seededRandom } from "../sim/Random.ts"
import { raftLied, raftLies } from "../spec/RaftFalsehood.ts"
import { judgeRaft } from "../spec/RaftMonitor.ts"
import type { RaftTrace } from "../spec/RaftTrace.ts"
import { traceOfWorld } from "../test/raft/RandomWorld.ts"
import type { Report, Sample } from "./Journals.ts"
import { type Engine, tlc } from "./Tlc.ts"
import { moduleOf } from "./Traces.ts"

/** Seeds whose clusters meet what is rare: a gap that others fill, a state that is fetched, a change of membership, a leader that steps down. */
const seedsOfTlc = [1, 2, 19, 24]
const turnsOfTlc = 400
const stepsOfTlcMax = 250
/** `Never`, the place of no gap, lies behind every log. */
const entriesOfTlcMax = 90
const sampledOfTlc = 2
const liesOfTlc = 28
const turnsOfMonitor = 1500
const liesOfMonitor = 210
const secondsMax = 300

interface Judged {
  readonly title: string
  readonly trace: RaftTrace
}

const worldOf = (seed: number, turns: number): Judged => ({ title: `cluster ${seed} of ${turns} turns`, trace: traceOfWorld(seed, turns) })

const falsehoods = (worlds: ReadonlyArray<Judged>, count: number): ReadonlyArray<Judged> => {
  const random = seededRandom(5)
  const found: Array<Judged> = []
  for (let index = 0; found.length < count && index < 20 * count; index += 1) {
    const { title, trace } = worlds[index % worlds.length]!
    const lie = raftLied(trace, raftLies[Math.floor(index / worlds.length) % raftLies.length]!, (bound) => random.below(bound))
    if (lie !== undefined) found.push({ title: `${title}, ${lie.what}`, trace: lie.trace })
  }
  return found
}

const emptyTraces: ReadonlyArray<Judged> = [{ title: "the empty trace", trace: [] }, { title: "a trace of nothing", trace: [{ action: "Finish", at: "", steps: 0 }] }]

const isConf = (value: object): boolean => "voters" in value

/** As Raft.tla has it: ids of a configuration are a set, and what a command says is not known. */
const modelled = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(modelled)
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== "what").map(([name, field]) => [name, isConf(value) ? new Set(field as ReadonlyArray<string>) : modelled(field)]))
}

const isForTlc = ({ trace }: Judged): boolean => trace.length <= stepsOfTlcMax && trace.every((step) => !("after" in step) || step.after.last < entriesOfTlcMax)

const isAccepted = ({ trace }: Judged): boolean => judgeRaft(trace)._tag === "Accepted"

const stepsIn = (judged: ReadonlyArray<Judged>): number => judged.reduce((sum, { trace }) => sum + trace.length, 0)

const runMonitor = ({ from, worlds }: Sample, report: Report, say: (line: string) => void): void => {
  const whole = Array.from({ length: worlds }, (_, index) => worldOf(from + index, turnsOfMonitor))
  const refused = whole.flatMap(({ title, trace }) => {
    const verdict = judgeRaft(trace)
    return verdict._tag === "Accepted" ? [] : [`${title}, step ${verdict.index}: ${verdict.why}`]
  })
  report(`clusters: the monitor accepts ${whole.length} of ${stepsIn(whole)} steps, from seed ${from} on`, refused)
  const counts = new Map<string, number>()
  for (const { trace } of whole) for (const { action } of trace) counts.set(action, (counts.get(action) ?? 0) + 1)
  say(`        taken: ${[...counts].sort(([, a], [, b]) => b - a).map(([action, count]) => `${action} ${count}`).join(", ")}`)
  const falseOnes = [...emptyTraces, ...falsehoods(whole, liesOfMonitor)]
  report(`clusters: the monitor refuses ${falseOnes.length} false traces`, falseOnes.filter(isAccepted).map(({ title }) => `the monitor accepts ${title}`))
}

/** Real traces, the empty one and false ones, through both judges. */
export const runClusters = async (engine: Engine, workers: number, sample: Sample, report: Report, say: (line: string) => void): Promise<void> => {
  runMonitor(sample, report, say)
  const drawn = Array.from({ length: 40 }, (_, index) => sample.from + index).map((seed) => worldOf(seed, turnsOfTlc)).filter(isForTlc).slice(0, sampledOfTlc)
  const real = [...seedsOfTlc.map((seed) => worldOf(seed, turnsOfTlc)).filter(isForTlc), ...drawn]
  const falseOnes = [...emptyTraces, ...falsehoods(real.toSorted((a, b) => a.trace.length - b.trace.length).slice(0, 4), liesOfTlc)]
  const all = [...real, ...falseOnes]
  const outcome = await tlc(engine, {
    folder: join(import.meta.dirname, "raft"), module: "TraceRaft", files: { "Traces.tla": moduleOf(all.map(({ trace }) => trace.map(modelled))) }, cfg: "TraceRaft.cfg",
    workers, secondsMax, short: true
  })
  if (outcome.verdict !== "passed") return report("clusters: TLC judges them", [outcome.verdict === "violated" ? `${outcome.name} is violated` : outcome.verdict], outcome.text)
  const accepted = new Set(outcome.printed.flatMap((line) => /^<<"accepted", (\d+)>>$/.exec(line)?.[1] ?? []).map((number) => all[Number(number) - 1]!.title))
  const figures = `${outcome.distinct.toLocaleString("en")} distinct states, ${outcome.seconds.toFixed(0)} s`
  report(`clusters: TLC accepts ${real.length} traces of ${stepsIn(real)} steps (${figures})`, real.filter(({ title }) => !accepted.has(title)).map(({ title }) => `TLC refuses ${title}`))
  report(`clusters: TLC refuses ${falseOnes.length} false traces`, falseOnes.filter(({ title }) => accepted.has(title)).map(({ title }) => `TLC accepts ${title}`))
  report(`clusters: monitor and TLC agree on ${all.length} traces`, all.filter((one) => isAccepted(one) !== accepted.has(one.title)).map(({ title }) => `they disagree on ${title}`))
}
