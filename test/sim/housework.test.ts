/** Housework: each commit that the store makes of itself before it is due is heard, and none that is due. */
import { describe, expect, test } from "vitest"
import { hybridTime } from "../../src/base/time.ts"
import type { Entry } from "../../src/namespace/Entry.ts"
import type { Answer, Change } from "../../src/namespace/Model.ts"
import type { CheckedWorld, ClockSeen } from "../../sim/checker/Checker.ts"
import type { Request } from "../../sim/Client.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { houseworkChecker } from "../../sim/checker/Housework.ts"

const minuteMs = 60_000
const done: Answer = { _tag: "Done" }

interface Step {
  readonly atMs: number
  readonly change: unknown
  readonly answer?: Answer
  readonly clock?: Partial<ClockSeen>
}

const said = (steps: ReadonlyArray<Step>, settings: Partial<CheckedWorld["settings"]> = {}, merciless = false, requests: ReadonlyArray<Request> = []): string | undefined => {
  const checker = houseworkChecker()
  let clock: ClockSeen = { steadyMs: minuteMs, movedMs: 0, wallMs: 0, isServing: true }
  checker.begin?.({ merciless, settings: { retentionMs: minuteMs, graceMs: 3000, staleMs: minuteMs, ...settings }, clock: () => clock, disk: () => new MemoryDisk(), index: () => new MemoryKeyValue(), reader: () => undefined })
  for (const request of requests) checker.sent?.(request)
  try {
    for (const [index, { answer = done, atMs, change, clock: now }] of steps.entries()) {
      clock = { ...clock, ...now }
      checker.applied?.({ sequence: index + 1, time: hybridTime(atMs, 0), change: change as Change } as Entry, answer)
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return undefined
}

const upload = "u"
const begins: Step = { atMs: 1000, change: { _tag: "CreateUpload", upload } }
const part = (atMs: number): Step => ({ atMs, change: { _tag: "PutPart", upload } })
const aborts = (atMs: number, items = 1): Step => ({ atMs, change: { _tag: "AbortStaleUpload", upload }, answer: { _tag: "Collected", items, bytes: 0, remaining: false } })
const other = (atMs: number): Step => ({ atMs, change: { _tag: "DropParts" } })
const raises = (atMs: number, oldestReadable: number, clock?: Partial<ClockSeen>): Step => ({ atMs, change: { _tag: "RaiseHorizon", oldestReadable }, ...(clock === undefined ? {} : { clock }) })
const frees = (atMs: number, condemnedAt: number): Step => ({ atMs, change: { _tag: "FreeChunks", chunks: [{ chunk: "c", condemnedAt }] } })

describe("housework", () => {
  test("an upload that is aborted while somebody goes on with it is heard; one that is stale, is left alone, or that its owner aborts, is not", () => {
    expect(said([begins, aborts(30_000)])).toMatch(/aborts an upload that was gone on with 29000 ms ago/)
    expect(said([begins, part(50_000), aborts(100_000)])).toMatch(/gone on with 50000 ms ago/)
    expect(said([begins, aborts(61_000)], { staleMs: 0 })).toMatch(/aborts an upload/)
    expect(said([begins, aborts(61_000)])).toBeUndefined()
    // However long ago the store had looked.
    expect(said([begins, part(99_000), aborts(100_000)])).toMatch(/gone on with 1000 ms ago/)
    expect(said([begins, part(95_000), aborts(100_000, 0)])).toBeUndefined()
    expect(said([begins, { atMs: 30_000, change: { _tag: "AbortUpload", upload } }])).toBeUndefined()
  })

  test("a horizon that is raised too far is heard, and one that a clock raised which went its own way", () => {
    expect(said([other(1000), other(50_000), raises(100_000, 2)])).toMatch(/raised to commit 2, 50000 ms old, and 60000 ms are to be kept/)
    expect(said([other(1000), other(50_000), raises(100_000, 1)])).toBeUndefined()
    expect(said([other(1000), raises(4_000_000, 1, { movedMs: 700_000 })])).toMatch(/by a clock that has moved by 700000 ms/)
    const hides = { atMs: 4_000_000, change: { _tag: "ExpireVersions", limit: 1 } }
    expect(said([other(1000), { ...hides, clock: { movedMs: 700_000 } }])).toMatch(/is hidden by a clock that has moved by 700000 ms/)
    expect(said([other(1000), { ...hides, clock: { movedMs: 500_000 } }])).toBeUndefined()
    // A clock that was just set says nothing, and what a replay brings was decided by another one.
    expect(said([other(1000), other(50_000), raises(100_000, 2, { steadyMs: 1 })])).toBeUndefined()
    expect(said([other(1000), other(50_000), raises(100_000, 2, { isServing: false })])).toBeUndefined()
    expect(said([other(1000), other(50_000), raises(100_000, 2)], {}, true)).toBeUndefined()
  })

  test("a chunk that is freed before its grace is over is heard, unless somebody asked for just that", () => {
    expect(said([other(1000), other(5000), frees(6000, 2)])).toMatch(/condemned 1000 ms ago, at commit 2, and the grace is 3000 ms/)
    expect(said([other(1000), other(5000), frees(6000, 1)])).toBeUndefined()
    const checker = houseworkChecker()
    checker.begin?.({ merciless: false, settings: { retentionMs: 0, graceMs: 3000, staleMs: 0 }, clock: () => ({ steadyMs: minuteMs, movedMs: 0, wallMs: 0, isServing: true }), disk: () => new MemoryDisk(), index: () => new MemoryKeyValue(), reader: () => undefined })
    const now = { method: "POST", path: "/v1/gc", to: "admin", query: { now: "1" } } as const
    const free = (sequence: number) => () => checker.applied?.({ sequence, time: hybridTime(2000, sequence), change: frees(0, 1).change } as Entry, done)
    checker.applied?.({ sequence: 1, time: hybridTime(1000, 0), change: { _tag: "DropParts" } } as unknown as Entry, done)
    checker.sent?.(now)
    expect(free(2)).not.toThrow()
    // Where nobody knows what became of it, it may go on until the process dies.
    checker.heard?.(now, { _tag: "Unknown", why: "" })
    expect(free(3)).not.toThrow()
    checker.died?.("Kill")
    expect(free(4)).toThrow(/the grace is 3000 ms/)
    // One that was on the wire when the process died reaches the next one (short 1010473).
    const late = { ...now }
    checker.sent?.(late)
    checker.died?.("PowerCut")
    expect(free(5)).not.toThrow()
    checker.heard?.(late, { _tag: "Answered", status: 200, headers: new Map(), body: new Uint8Array(0) })
    expect(free(6)).toThrow(/the grace is 3000 ms/)
  })
})
