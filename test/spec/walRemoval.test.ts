/** A removal has a beginning and an end, and much may happen between them: what was refused in whole worlds, and was right. */
import { Effect, Exit } from "effect"
import { TestClock } from "effect/testing"
import { describe, expect, test } from "vitest"
import { type DiskOperation, MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { WalRecorder } from "../../sim/WalRecorder.ts"
import { judge } from "../../spec/WalMonitor.ts"
import type { WalTrace } from "../../spec/WalTrace.ts"
import { recordOf, run, segmentPath, startWal } from "../wal/scene.ts"

type Ending = "Crash" | "Kill"

const why = (trace: WalTrace): string => {
  const verdict = judge(trace)
  return verdict._tag === "Refused" ? verdict.why : "accepted"
}

/**
 * Four segments are written, and the first three let go of; while the disk is slow at `slow`, two syncs in a row fail, and the
 * journal with them. The removal that was under way ends, or the life does before.
 */
const failedInRemoval = (slow: DiskOperation, ending: Ending | undefined): Promise<{ readonly trace: WalTrace; readonly wasThere: boolean }> => run(Effect.gen(function*() {
  const recorder = new WalRecorder()
  const eyes = { observe: recorder.observe, observeRecovery: recorder.observeRecovery }
  let disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1, eyes)
  for (let id = 1; id <= 4; id += 1) yield* Effect.flatMap(wal.append([recordOf(id, 31_000, "Chunk")]), ({ durable }) => durable)
  const head = wal.head()
  expect(head.segment).toBe(4)
  yield* wal.release("state", head)
  let delayed = 0
  disk.delayMs = (operation) => operation === slow && delayed++ === 0 ? 1000 : 0
  yield* Effect.forkDetach(Effect.exit(wal.release("ingest", head)), { startImmediately: true })
  yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })
  disk.fault = (operation) => operation === "sync" ? "Io" : undefined
  const lost = yield* Effect.exit(Effect.flatMap(wal.append([recordOf(5, 100)]), ({ durable }) => durable))
  expect(Exit.isFailure(lost)).toBe(true)
  yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })
  expect(wal.status().phase).toBe("Failed")
  const wasThere = disk.sizes().has(segmentPath(1))
  if (ending === undefined) {
    yield* TestClock.adjust("1 second")
    yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })
    expect(recorder.steps.filter(({ action }) => action === "Removed")).toHaveLength(3)
  }
  disk = ending === "Crash" ? disk.crash(seededRandom(1)) : disk.kill()
  recorder.died(ending ?? "Kill")
  disk.delayMs = undefined
  const again = yield* startWal(disk, 2, eyes)
  yield* again.stop
  recorder.died("Kill")
  return { trace: recorder.finish(), wasThere }
}))

describe("a removal that is under way when the journal fails", () => {
  test("ends, and is a step of the model", async () => {
    const { trace } = await failedInRemoval("remove", undefined)
    expect(trace.some((step) => step.action === "Removed" && step.after.phase === "Failed")).toBe(true)
    expect(why(trace)).toBe("accepted")
  })

  test("leaves a segment that a killed process does not find again", async () => {
    const { trace, wasThere } = await failedInRemoval("syncFolder", "Kill")
    expect(wasThere).toBe(false)
    expect(why(trace)).toBe("accepted")
  })

  test("may be undone by a power cut, or not", async () => {
    for (const slow of ["remove", "syncFolder"] as const) expect(why((await failedInRemoval(slow, "Crash")).trace)).toBe("accepted")
  })

  test("is refused all the same of a segment that a consumer needs, or that is not the oldest", async () => {
    const { trace } = await failedInRemoval("remove", undefined)
    const first = trace.findIndex(({ action }) => action === "Removed")
    const withSegment = (segment: number): WalTrace => trace.map((step, index) => index === first && step.action === "Removed" ? { ...step, segment } : step)
    expect(why(withSegment(4))).toMatch(/^Removed: a consumer needs it/)
    expect(why(withSegment(2))).toMatch(/^Removed: segments go oldest first/)
    const lifeOfTwo = trace.findLastIndex(({ action }) => action === "Survey")
    const gone = trace.map((step, index) => index === lifeOfTwo && step.action === "Survey" ? { ...step, segments: step.segments.filter((segment) => segment !== 4), log: step.log.filter(({ segment }) => segment !== 4) } : step)
    expect(why(gone)).toMatch(/^Survey: /)
  })
})
