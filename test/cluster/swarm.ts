/**
 * `npm run sim:members -- --seeds N --from N`: stores of several members, one a seed, until one breaks. Prints how many, what happened in them, and the seed that broke. Exit 11
 * for a world that broke, as `npm run sim` has it.
 */
import { parseArgs } from "node:util"
import { runMembers } from "./MemberWorld.ts"

const { values } = parseArgs({ options: { seeds: { type: "string", default: "50" }, from: { type: "string", default: "1" } } })
const from = Number(values.from)
const count = Number(values.seeds)
const beganMs = performance.now()
const sums = { operations: 0, acknowledged: 0, cuts: 0 }
for (let seed = from; seed < from + count; seed += 1) {
  const seen = runMembers(seed)
  for (const name of Object.keys(sums) as Array<keyof typeof sums>) sums[name] += seen[name]
  if (seen.problems.length === 0) continue
  console.log(seen.problems.slice(0, 5).join("\n"))
  console.log(`again: npm run sim:members -- --from ${seed} --seeds 1`)
  console.log(`broke: --seed ${seed}`)
  process.exit(11)
}
console.log(`ok: ${count} stores from ${from}: ${JSON.stringify(sums)}, ${Math.round((performance.now() - beganMs) / 1000)} s`)
