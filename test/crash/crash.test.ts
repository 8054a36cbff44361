/** Tens of kills of the real process; test/nightly has hundreds. */
import { expect, it } from "vitest"
import { runCrash, shortcomings } from "./crash.ts"

it("SIGKILL at random instants under a mixed load: nothing acknowledged is lost, nothing is half there", async () => {
  const seed = Date.now() % 1_000_000
  const report = await runCrash({ kills: 20, seed })
  expect(shortcomings(report), `seed ${seed}, folder ${report.data}`).toEqual([])
}, 240_000)
