/** A swarm tells its results in the order of its jobs, whichever process is first; and one that loses a process says so. */
import { expect, test } from "vitest"
import { runSwarm } from "../../sim/Swarm.ts"

const double = async (numbers: ReadonlyArray<number>): Promise<ReadonlyArray<number>> => {
  const left = [...numbers]
  const results: Array<number> = []
  await runSwarm<number, number>({
    workers: 2, worker: new URL("./swarmFixture.ts", import.meta.url), next: () => left.shift(), told: (result) => void results.push(result)
  })
  return results
}

test("results come in the order of the jobs", async () => {
  expect(await double([1, 2, 3, 4, 5, 6, 1, 8, 9])).toEqual([2, 4, 6, 8, 10, 12, 2, 16, 18])
})

test("a process that ends in the middle of a world is told", async () => {
  await expect(double([1, 2, -1, 3])).rejects.toThrow("swarmFixture.ts ended in the middle of a world: exit 3")
})
