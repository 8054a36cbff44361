/**
 * npm run bench: the store's speeds beside this machine's ceilings, measured in one run. These machines are noisy: read
 * the ratios and the processor times. Words after `--` choose groups; README.md lists them.
 */
import { parseArgs } from "node:util"
import type { Bench, BenchContext } from "./bench.ts"
import { budget } from "./budget.ts"
import { code } from "./code.ts"
import { type Ceilings, measureCeilings, reportCeilings } from "./ceilings.ts"
import { makeReport, saveFigures } from "./figures.ts"
import { dedup } from "./dedup.ts"
import { gc } from "./gc.ts"
import { keys } from "./keys.ts"
import { large } from "./large.ts"
import { members } from "./members.ts"
import { memory } from "./memory.ts"
import { range } from "./range.ts"
import { small } from "./small.ts"

const benches: ReadonlyArray<Bench> = [budget, large, small, range, keys, dedup, memory, code, gc, members]

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "string" }, compare: { type: "string" }, keys: { type: "string", default: "1000000" }, store: { type: "string" },
    mib: { type: "string", default: "2048" }, operations: { type: "string", default: "10000" }, "max-mib": { type: "string" }
  }
})

const known = benches.flatMap(({ names }) => names)
const unknown = positionals.filter((word) => !known.includes(word))
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(", ")}; the groups are ${known.join(", ")}`)
  process.exit(2)
}

const report = makeReport(values.compare)
let ceilings: Ceilings | undefined
const context: BenchContext = {
  report,
  ceilings: async () => {
    if (ceilings === undefined) {
      ceilings = await measureCeilings()
      reportCeilings(report, ceilings)
    }
    return ceilings
  },
  wants: (name) => positionals.length === 0 || positionals.includes(name),
  options: {
    keys: Number(values.keys), store: values.store, mib: Number(values.mib), operations: Number(values.operations),
    maxMib: Number(values["max-mib"] ?? Number.POSITIVE_INFINITY)
  }
}

for (const { names, title, run } of benches) {
  if (!names.some(context.wants)) continue
  report.heading(title)
  await run(context)
}
if (values.json !== undefined) saveFigures(values.json, report.figures)
