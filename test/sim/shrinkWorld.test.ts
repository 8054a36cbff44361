/** A failing world is shrunk to what its failure takes, and the parts of a world that are left out do not happen. */
import { Effect } from "effect"
import { beforeAll, expect, it } from "vitest"
import { type Crc64, makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import { shrinkWorld } from "../../sim/ShrinkWorld.ts"
import { runWorld } from "../../sim/World.ts"
import type { WorldOptions, WorldReport } from "../../sim/WorldReport.ts"
import { Violation } from "../../sim/Violation.ts"
import { makeFewKeysWorkload } from "../../sim/workload/FewKeysWorkload.ts"

let crc64: Crc64
beforeAll(async () => {
  crc64 = await Effect.runPromise(makeCrc64)
})

const world = (seed: number, more: Partial<WorldOptions> = {}): WorldReport =>
  runWorld({ seed, profile: "short", workloads: [makeFewKeysWorkload], checkers: [], crc64, ...more })

it("with every strike allowed a world is the same, with none nothing goes wrong", () => {
  const all = world(2)
  expect(all.strikes.length).toBeGreaterThan(3)
  expect(world(2, { strikes: new Set(all.strikes.map(({ number }) => number)) }).trace).toBe(all.trace)
  const calm = world(2, { strikes: new Set() })
  expect(calm.strikes).toEqual([])
  expect(calm.lives).toBeLessThan(all.lives)
})

it("what a failure takes is found among all that happened", () => {
  const failing: WorldReport = { ...world(2), violation: new Violation("safety", "as if") }
  const needed = failing.strikes[1]!.number
  const { kept, operations } = shrinkWorld(failing, (part) => {
    const fails = part.operations >= 30 && (part.strikes === undefined || part.strikes.includes(needed))
    return { ...failing, violation: fails ? failing.violation : undefined }
  }, () => false)
  expect(kept.map(({ number }) => number)).toEqual([needed])
  expect(operations).toBeLessThan(60)
})
