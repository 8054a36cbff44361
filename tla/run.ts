/**
 * npm run tla: every bounded model exhausted, every broken variant rejected by the name that it must break, every action
 * taken somewhere; and first of all, that the alarm rings. Words after `--` choose models by their folders; README.md.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Bounded, boundedOf, cfgExpecting, edited, faultsOf, folders, type Model, readModel, type Variant } from "./Model.ts"
import { runClusters } from "./Clusters.ts"
import { runJournals } from "./Journals.ts"
import { faultOfVariant, neverTaken, neverWitnessed, type Outcome } from "./Outcome.ts"
import { type Engine, findEngine, tlc } from "./Tlc.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    nightly: { type: "boolean", default: false }, workers: { type: "string", default: "2" }, variant: { type: "string" },
    "no-variants": { type: "boolean", default: false }, "no-models": { type: "boolean", default: false }, actions: { type: "boolean", default: false },
    from: { type: "string" }, worlds: { type: "string", default: "8" }
  }
})
const workers = Number(values.workers)
const modelSecondsMax = values.nightly ? 6 * 3600 : 600
const variantSecondsMax = 240

interface Tally {
  passed: number
  failed: number
}

const say = (line: string): void => console.log(line)

const verdict = (tally: Tally, title: string, faults: ReadonlyArray<string>, text = ""): void => {
  if (faults.length === 0) {
    tally.passed += 1
    return say(`  ok    ${title}`)
  }
  tally.failed += 1
  say(`  FAIL  ${title}`)
  for (const fault of faults) say(`        ${fault}`)
  if (text !== "") say(text.split("\n").slice(0, 400).map((line) => `        | ${line}`).join("\n"))
}

const count = (value: number): string => value.toLocaleString("en")

const figures = ({ depth, distinct, generated, seconds }: Outcome): string =>
  `${count(generated)} states, ${count(distinct)} distinct, depth ${depth}, ${seconds.toFixed(0)} s`

const runBounded = async (engine: Engine, model: Model, bounded: Bounded, tally: Tally): Promise<Outcome> => {
  const only = bounded.properties.length === 1 ? { property: bounded.properties[0]! } : {}
  const outcome = await tlc(engine, {
    folder: model.path, module: bounded.module, files: {}, cfg: `${bounded.name}.cfg`, workers, secondsMax: modelSecondsMax, isCounted: model.isCounted, ...only
  })
  const fault = outcome.verdict === "passed" ? [] : [outcome.verdict === "violated" ? `${outcome.name} is violated` : outcome.verdict]
  verdict(tally, `${model.folder} ${bounded.name}: ${figures(outcome)}`, fault, outcome.text)
  if (values.actions) for (const { distinct, generated, name } of outcome.actions) say(`          ${name}: ${count(generated)} steps, ${count(distinct)} to new states`)
  return outcome
}

const runVariant = async (engine: Engine, model: Model, variant: Variant): Promise<{ readonly faults: ReadonlyArray<string>; readonly outcome?: Outcome }> => {
  const bounded = boundedOf(model, variant)
  const result = edited(readFileSync(join(model.path, model.spec), "utf8"), variant.edits)
  if (bounded === undefined || "fault" in result) return { faults: ["fault" in result ? result.fault : "its model is not there"] }
  const cfg = cfgExpecting(readFileSync(join(model.path, `${bounded.name}.cfg`), "utf8"), variant.expect)
  const isProperty = bounded.properties.includes(variant.expect)
  const outcome = await tlc(engine, {
    folder: model.path, module: bounded.module, files: { [model.spec]: result.text, "Variant.cfg": cfg }, cfg: "Variant.cfg", workers: 1,
    secondsMax: variantSecondsMax, short: true, ...(isProperty ? { property: variant.expect } : {})
  })
  const fault = faultOfVariant(outcome, variant.expect)
  return { faults: fault === undefined ? [] : [fault], outcome }
}

/** So many at a time as there are workers. */
const runVariants = async (engine: Engine, model: Model, tally: Tally): Promise<void> => {
  const waiting = model.variants.filter(({ name }) => values.variant === undefined || name.includes(values.variant))
  const lane = async (): Promise<void> => {
    for (let variant = waiting.shift(); variant !== undefined; variant = waiting.shift()) {
      const { faults, outcome } = await runVariant(engine, model, variant)
      const title = `${model.folder} without: ${variant.name} breaks ${variant.expect}${outcome === undefined ? "" : ` (${figures(outcome)})`}`
      verdict(tally, title, faults, faults.length === 0 ? "" : outcome?.text)
      if (values.variant !== undefined && faults.length === 0) say(outcome?.text ?? "")
    }
  }
  await Promise.all(Array.from({ length: workers }, lane))
}

/** The runner's own model has one of each fault that the runner exists to see; each must be seen. */
const alarm = async (engine: Engine, tally: Tally): Promise<void> => {
  const model = await readModel(import.meta.dirname, "alarm")
  const heard = async (name: string): Promise<string> => {
    const { faults } = await runVariant(engine, model, model.variants.find((variant) => variant.name === name)!)
    return faults.join()
  }
  const rings = (title: string, said: string, expected: RegExp): void =>
    verdict(tally, `the alarm: ${title}`, expected.test(said) ? [] : [`expected ${expected}, heard ${said === "" ? "nothing" : said}`])
  rings("a variant that breaks nothing is a failure", await heard("the unbroken protocol"), /TLC accepts it/)
  rings("a variant that breaks something else is a failure", await heard("another name"), /^Bounded is violated, not Exact$/)
  rings("a variant whose text is not there is a failure", await heard("a text that is not there"), /0 times, not once/)
  rings("an invariant that breaks is named", `${await heard("an invariant")}.`, /^\.$/)
  rings("a property that breaks is named", `${await heard("a property")}.`, /^\.$/)
  const outcome = await tlc(engine, {
    folder: model.path, module: "MCAlarm", files: {}, cfg: "MCAlarm.cfg", workers: 1, secondsMax: 120, property: "Ends"
  })
  rings("the unbroken protocol passes", `${outcome.verdict} ${outcome.distinct} ${outcome.depth}`, /^passed 7 7$/)
  rings("an action that is never taken is a failure", neverTaken([outcome]).join(), /^action Never is never taken$/)
  rings("an action that no world says it takes is a failure", neverWitnessed([outcome], ["Silent"]).join(), /^action Silent is never taken$/)
}

const runModel = async (engine: Engine, model: Model, tally: Tally): Promise<void> => {
  say(`\n${model.folder}`)
  const faults = faultsOf(model)
  verdict(tally, `${model.folder}: files and variants agree`, faults)
  if (!values["no-models"]) {
    const outcomes: Array<Outcome> = []
    for (const bounded of model.bounded.filter(({ nightly }) => nightly === values.nightly)) outcomes.push(await runBounded(engine, model, bounded, tally))
    const never = model.isCounted ? neverTaken(outcomes) : values.nightly ? [] : neverWitnessed(outcomes, model.actions)
    if (outcomes.length > 0) verdict(tally, `${model.folder}: every action is taken somewhere`, never, "")
  }
  if (!values["no-variants"] && !values.nightly) await runVariants(engine, model, tally)
}

/** As the swarm of CI: the hash of the committed tree; 1 where there is no repository. */
const treeSeed = (): number => {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD^{tree}"], { cwd: import.meta.dirname, encoding: "utf8" })
  return status === 0 ? Number.parseInt(stdout.slice(0, 7), 16) : 1
}

const known = folders(import.meta.dirname)
/** Not a folder: real traces of the code, through TLC and the monitor. */
const trace = "trace"
const unknown = positionals.filter((word) => word !== trace && !known.includes(word))
if (unknown.length > 0 || !Number.isInteger(workers) || workers < 1) {
  console.error(unknown.length > 0 ? `no model ${unknown.join(", ")}; there are ${[...known, trace].join(", ")}` : "--workers takes a number from 1 on")
  process.exit(2)
}
// A run that is ended takes its children along: see Tlc.ts.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
const started = performance.now()
const tally: Tally = { passed: 0, failed: 0 }
const engine = findEngine(say)
say(`TLC: ${engine.title}`)
await alarm(engine, tally)
for (const folder of known) {
  if (positionals.length === 0 || positionals.includes(folder)) await runModel(engine, await readModel(import.meta.dirname, folder), tally)
}
if (!values.nightly && (positionals.length === 0 || positionals.includes(trace))) {
  say(`\n${trace}`)
  const from = Number(values.from ?? treeSeed())
  const sample = { from, worlds: Number(values.worlds) }
  const report = (title: string, faults: ReadonlyArray<string>, text?: string): void => verdict(tally, title, faults, text)
  if (!positionals.includes("raft")) await runJournals(engine, workers, sample, report, say)
  await runClusters(engine, workers, sample, report, say)
}
say(`\n${Math.round((performance.now() - started) / 1000)} s`)
say(`${tally.passed} passed, ${tally.failed} failed`)
process.exitCode = tally.failed === 0 ? 0 : 1
