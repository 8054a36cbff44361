/** The whole store on the twins against the reference model, crashing between any two disk operations. */
import { describe, expect, test } from "vitest"
import { runSeed } from "./run.ts"

const only = process.env["OUROBOROS_SEED"]
const seedCount = Number(process.env["OUROBOROS_SEEDS"] ?? 80)
const firstSeed = only === undefined ? 1 : Number(only)
const seeds = only === undefined ? seedCount : 1

const sums = (worlds: ReadonlyArray<ReadonlyMap<string, number>>): Record<string, number> => {
  const sum: Record<string, number> = {}
  for (const world of worlds) for (const [name, count] of world) sum[name] = (sum[name] ?? 0) + count
  return sum
}

describe("store", () => {
  test("store: whatever crashes, is killed or fails, what was acknowledged is there, at every commit, to the bit", { timeout: 3_600_000 }, () => {
    const counted: Array<ReadonlyMap<string, number>> = []
    const failures: Array<string> = []
    for (let seed = firstSeed; seed < firstSeed + seeds && failures.length < 3; seed += 1) {
      try {
        const { operations, oracle, phases } = runSeed(seed)
        counted.push(new Map(Object.entries(operations)), oracle.counts, phases)
      } catch (error) {
        failures.push(String(error))
      }
    }
    expect(failures.join("\n\n")).toBe("")
    const sum = sums(counted)
    console.log(`store: ${seeds} seeds: ${JSON.stringify(sum)}`)
  })
})
