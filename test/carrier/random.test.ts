/** A few of the worlds that seeds drive (RandomWorld). CARRIER_SEEDS, CARRIER_FROM. */
import { ok } from "node:assert/strict"
import { describe, it } from "vitest"
import { runWorld } from "./RandomWorld.ts"

const from = Number(process.env["CARRIER_FROM"] ?? 1)
const count = Number(process.env["CARRIER_SEEDS"] ?? 12)

describe("carrier", () => {
  it("random: whatever the network does, what is heard was said, once; every ask ends; once it is calm all is answered and nothing is left", { timeout: 60_000 + 10_000 * count }, () => {
    const sum = { delivered: 0, answered: 0, failed: 0, notes: 0, restarts: 0 }
    for (let seed = from; seed < from + count; seed += 1) {
      try {
        const counts = runWorld(seed)
        for (const key of Object.keys(sum) as Array<keyof typeof sum>) sum[key] += counts[key]
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
    ok(sum.answered > 20 * count && sum.delivered > 40 * count && sum.failed > count, `worlds in which something happens: ${JSON.stringify(sum)}`)
  })
})
