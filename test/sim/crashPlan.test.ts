/** CrashPlan: lives end in every way that there is; what a failed change leaves is met by kills, and by another crash soon. */
import { describe, expect, test } from "vitest"
import { CrashPlan, type LifePlan } from "../../sim/faults/CrashPlan.ts"
import { seededRandom } from "../../sim/Random.ts"

const lives = (seed: number): ReadonlyArray<LifePlan> => {
  const plan = new CrashPlan(seededRandom(seed), 200, 3)
  return Array.from({ length: 2000 }, () => plan.next())
}

describe("crash plan", () => {
  test("every trigger and every ending comes, and the same for a seed", () => {
    const drawn = lives(1)
    expect(new Set(drawn.map(({ trigger }) => trigger._tag))).toEqual(new Set(["Requests", "DiskOperations", "Turn", "Fault", "After"]))
    expect(new Set(drawn.map(({ ending }) => ending))).toEqual(new Set(["PowerCut", "Kill", "Stop"]))
    expect(lives(1)).toEqual(drawn)
    expect(lives(2)).not.toEqual(drawn)
  })

  test("after a failed change the process is killed more often than not, never stopped; half of the time it crashes again soon", () => {
    const drawn = lives(3)
    const failed = drawn.flatMap((life, index) => (life.trigger._tag === "Fault" ? [{ life, next: drawn[index + 1] }] : []))
    const share = (count: number): number => count / failed.length
    expect(failed.length).toBeGreaterThan(100)
    expect(failed.some(({ life }) => life.ending === "Stop")).toBe(false)
    expect(share(failed.filter(({ life }) => life.ending === "Kill").length)).toBeGreaterThan(0.5)
    expect(share(failed.filter(({ next }) => next?.trigger._tag === "After" || (next?.trigger._tag === "DiskOperations" && next.trigger.count <= 60)).length)).toBeGreaterThan(0.4)
  })
})
