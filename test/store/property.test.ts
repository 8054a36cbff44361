/**
 * The whole store on the twins against the reference model, crashing between any two disk operations.
 * OUROBOROS_SEEDS=n runs n seeds; OUROBOROS_SEED=n (and OUROBOROS_STYLE) one alone.
 */
import { describe, expect, test } from "vitest"
import { runSeed } from "./run.ts"
import { knownSeeds } from "./seeds.ts"
import type { Plan } from "./world.ts"

const seedsDefault = 80
const only = process.env["OUROBOROS_SEED"]
const first = only === undefined ? 1 : Number(only)
const last = only === undefined ? Number(process.env["OUROBOROS_SEEDS"] ?? seedsDefault) : first

/** Most lives of all kinds, and now and then some of a special one. */
const planOf = (seed: number): Plan => {
  const asked = process.env["OUROBOROS_STYLE"]
  if (asked === "Births" || asked === "Segments") return { style: asked }
  if (only !== undefined) return {}
  return seed % 8 === 3 ? { style: "Births" } : seed % 8 === 7 ? { style: "Segments" } : {}
}

const addUp = (sum: Map<string, number>, counts: ReadonlyMap<string, number>): void => {
  for (const [name, count] of counts) sum.set(name, (sum.get(name) ?? 0) + count)
}

/** What a run of the default seeds must have gone through, so that it proves something. */
const mustHappen = [
  "PowerCut", "Killed", "IndexLost", "Crashed", "CrashedInRecovery", "Failed", "WentAway", "BlockSealed", "StagePage", "RaiseHorizon", "CompleteUpload",
  "AbortUpload", "DropParts", "DeleteBucket", "SetVersioning", "Rollback", "Branch", "Refused", "DiedWhileWriting", "DiedWhileCheckpointing", "PurgeVersions", "DropHistory", "FreeChunks", "DropBlock", "DiedWhileCompacting", "ExpireVersions"
]

describe("store", () => {
  test("store: whatever crashes, is killed or fails, what was acknowledged is there, at every commit, to the bit", { timeout: 3_600_000 }, () => {
    const sum = new Map<string, number>()
    const failures: Array<string> = []
    for (let seed = first; seed <= last && failures.length < 3; seed += 1) {
      try {
        const { counts, oracle } = runSeed(seed, planOf(seed))
        addUp(sum, counts)
        addUp(sum, oracle.counts)
      } catch (error) {
        failures.push(String(error))
      }
    }
    expect(failures.join("\n\n")).toBe("")
    if (process.env["OUROBOROS_VERBOSE"] !== undefined) console.log(JSON.stringify(Object.fromEntries(sum)))
    const expected = last - first + 1 >= seedsDefault ? mustHappen : []
    expect(expected.filter((what) => !sum.has(what)), "what never happened").toEqual([])
  })

  test("store: one seed, one run: answers, recoveries and disk operations are the same again (P9)", { timeout: 60_000 }, () => {
    for (const seed of [2, 5, 11]) expect(runSeed(seed).trace).toEqual(runSeed(seed).trace)
  })

  for (const { seed, style, story } of knownSeeds) {
    test(`store: ${story} (seed ${seed}${style === undefined ? "" : `, ${style}`})`, { timeout: 60_000 }, () => {
      runSeed(seed, style === undefined ? {} : { style })
    })
  }
})
