/**
 * `npm run sim:carrier -- --seeds N --from N [--stories FILE ...]`: worlds of carriers, one a seed, until one breaks; then the stories in those files. Prints how many, how
 * fast, and the seed that broke. Exit 11 for a world that broke, as `npm run sim` has it; 14 for a story.
 */
import { spawnSync } from "node:child_process"
import { parseArgs } from "node:util"
import { runWorld } from "./RandomWorld.ts"

const { values } = parseArgs({ options: { seeds: { type: "string", default: "200" }, from: { type: "string", default: "1" }, stories: { type: "string", multiple: true } } })
const from = Number(values.from)
const count = Number(values.seeds)
const beganMs = performance.now()
let answered = 0
for (let seed = from; seed < from + count; seed += 1) {
  try {
    answered += runWorld(seed).answered
  } catch (error) {
    console.log(error)
    console.log(`again: npm run sim:carrier -- --from ${seed} --seeds 1`)
    console.log(`broke: --seed ${seed}`)
    process.exit(11)
  }
}
if (values.stories !== undefined) {
  const { status, stdout } = spawnSync("node_modules/.bin/vitest", ["run", "--bail", "1", "--testTimeout", "600000", ...values.stories], { encoding: "utf8" })
  if (status !== 0) {
    console.log(/(?:FAIL|Error)[^\n]*/.exec(stdout)?.[0] ?? "a story failed")
    console.log(`broke: a story, after --seed ${from + count - 1}`)
    process.exit(14)
  }
}
console.log(`ok: ${count} worlds of carriers from ${from}: ${answered} asks answered, ${Math.round((performance.now() - beganMs) / 1000)} s`)
