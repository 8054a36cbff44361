/** Clusters of replicas as seeds draw them: what clients are told is true, and everything comes to rest. */
import { expect, it } from "vitest"
import { runWorld } from "./ReplicaWorld.ts"

it("replicas: at any node, through power cuts, splits and absences, keys are linearizable, requests are done once, and all replicas come to the same rows", { timeout: 1_200_000 }, () => {
  const from = Number(process.env["SEEDS_FROM"] ?? 1)
  const count = Number(process.env["SEEDS"] ?? 8)
  const sums = { applied: 0, retried: 0, repeated: 0, terms: 0 }
  for (let seed = from; seed < from + count; seed += 1) {
    const { applied, problems, repeated, retried, terms } = runWorld(seed)
    expect(problems, `seed ${seed}`).toEqual([])
    sums.applied += applied
    sums.retried += retried
    sums.repeated += repeated
    sums.terms += terms
  }
  expect(sums.applied, "worlds in which something happens").toBeGreaterThan(30 * count)
  expect(sums.retried).toBeGreaterThan(count)
  expect(sums.repeated, "names under which something was asked for again").toBeGreaterThan(count)
  expect(sums.terms).toBeGreaterThan(count)
})
