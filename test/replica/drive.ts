/**
 * drive: worlds by seed from the command line (`--seeds N --from N`), one after another, until one breaks: how many, what happened in them all together, and the seed that
 * broke. Exit 11 for a world that broke, as `npm run sim` has it. Between a swarm's script and its worlds.
 */
import { parseArgs } from "node:util"

/** `sums`: which of what a world says is added up. */
export const drive = <Seen extends { readonly problems: ReadonlyArray<string> }>(script: string, what: string, seeds: number, sums: ReadonlyArray<keyof Seen & string>, run: (seed: number) => Seen): void => {
  const { values } = parseArgs({ options: { seeds: { type: "string", default: String(seeds) }, from: { type: "string", default: "1" } } })
  const from = Number(values.from)
  const count = Number(values.seeds)
  const beganMs = performance.now()
  const totals = Object.fromEntries(sums.map((name) => [name, 0]))
  for (let seed = from; seed < from + count; seed += 1) {
    const seen = run(seed)
    for (const name of sums) totals[name] = totals[name]! + Number(seen[name])
    if (seen.problems.length === 0) continue
    console.log(seen.problems.slice(0, 5).join("\n"))
    console.log(`again: npm run ${script} -- --from ${seed} --seeds 1`)
    console.log(`broke: --seed ${seed}`)
    process.exit(11)
  }
  console.log(`ok: ${count} ${what} from ${from}: ${JSON.stringify(totals)}, ${Math.round((performance.now() - beganMs) / 1000)} s`)
}
