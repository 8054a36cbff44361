/** Hundreds of kills of the real process, in runs with a seed each. */
import { expect, it } from "vitest"
import { runCrash, shortcomings } from "../crash/crash.ts"

const runs = 10
const killsPerRun = 60

for (let run = 0; run < runs; run++) {
  it(`run ${run + 1} of ${runs}: ${killsPerRun} kills, nothing acknowledged is lost`, async () => {
    const seed = (Date.now() + run) % 1_000_000
    const report = await runCrash({ kills: killsPerRun, seed })
    expect(shortcomings(report), `seed ${seed}, folder ${report.data}`).toEqual([])
  }, 30 * 60_000)
}
