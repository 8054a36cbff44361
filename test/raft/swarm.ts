/**
 * `npm run sim:raft -- --seeds N --from N`: clusters of consensus machines, one a seed, until one breaks. Prints how many, how
 * fast, and the seed that broke. `--monitor`: only what spec/RaftMonitor.ts refuses counts. Exit 11 for a world that broke, as `npm run sim` has it.
 */
import { parseArgs } from "node:util"
import { Broken } from "../../spec/RaftReplica.ts"
import { world } from "./RandomWorld.ts"

const { values } = parseArgs({ options: { seeds: { type: "string", default: "300" }, from: { type: "string", default: "1" }, monitor: { type: "boolean", default: false } } })
const from = Number(values.from)
const count = Number(values.seeds)
const beganMs = performance.now()
let committed = 0
let terms = 0
for (let seed = from; seed < from + count; seed += 1) {
  try {
    const seen = world(seed, values.monitor)
    committed += seen.committed
    terms += seen.terms
  } catch (error) {
    if (values.monitor && !(error instanceof Error && error.cause instanceof Broken)) continue
    console.log(error instanceof Error ? `${error.message}\n${String(error.cause)}` : error)
    console.log(`again: npm run sim:raft -- --from ${seed} --seeds 1`)
    console.log(`broke: --seed ${seed}`)
    process.exit(11)
  }
}
console.log(`ok: ${count} clusters from ${from}: ${committed} commits in ${terms} terms, ${Math.round((performance.now() - beganMs) / 1000)} s`)
