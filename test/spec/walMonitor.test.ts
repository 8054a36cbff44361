/** The journal's monitor: what the code does is accepted, and every lie about it is refused, by the rule that it breaks. */
import { describe, expect, test } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { lied, lies } from "../../spec/WalFalsehood.ts"
import { judge } from "../../spec/WalMonitor.ts"
import type { WalStep, WalTrace } from "../../spec/WalTrace.ts"
import { runSeed } from "../store/run.ts"

const births = runSeed(3, { style: "Births" }).journalTrace
const lives = runSeed(18).journalTrace
const segments = runSeed(7, { style: "Segments" }).journalTrace
const traces: ReadonlyArray<WalTrace> = [births, lives, segments]

const why = (trace: WalTrace): string => {
  const verdict = judge(trace)
  return verdict._tag === "Refused" ? verdict.why : "accepted"
}

type Of<Action extends WalStep["action"]> = WalStep & { readonly action: Action }

/** The trace with the first step of this action, of which the test wants one, made something else. */
const withFirst = <Action extends WalStep["action"]>(trace: WalTrace, action: Action, change: (step: Of<Action>, index: number) => ReadonlyArray<WalStep>): WalTrace => {
  const at = trace.findIndex((step) => step.action === action)
  expect(at, `a ${action} in the trace`).toBeGreaterThanOrEqual(0)
  return [...trace.slice(0, at), ...change(trace[at] as Of<Action>, at), ...trace.slice(at + 1)]
}

describe("the journal's monitor", () => {
  test("what the code did is accepted, life after life", () => {
    for (const trace of traces) {
      expect(why(trace)).toBe("accepted")
      expect(trace.length).toBeGreaterThan(50)
    }
    const actions = new Set(traces.flatMap((trace) => trace.map(({ action }) => action)))
    for (const action of ["Survey", "Accept", "End", "Rewrite", "Resynced", "OpenSegment", "SegmentOpened", "Replay", "Append", "WriteBatch", "Written", "Synced", "Release", "Crash", "Kill", "Finish"]) {
      expect(actions, action).toContain(action)
    }
  })

  test("an empty trace, one without its end and one that goes on behind it are refused", () => {
    expect(why([])).toBe("the trace is empty")
    expect(why([{ action: "Finish", run: "", lives: 0, steps: 0 }])).toBe("the trace is empty")
    expect(why(births.slice(0, -1))).toBe("the trace has no end")
    expect(why([...births, births.at(-1)!])).toMatch(/the trace had ended/)
  })

  test("200 lies, dropped, swapped, repeated and changed steps, are refused, every one", () => {
    const random = seededRandom(11)
    const accepted: Array<string> = []
    for (let index = 0; index < 200; index++) {
      const { trace, what } = lied(traces[index % traces.length]!, lies[index % lies.length]!, (bound) => random.below(bound))
      if (judge(trace)._tag === "Accepted") accepted.push(what)
    }
    expect(accepted).toEqual([])
  })

  test("acknowledged before it was written is refused by name", () => {
    expect(why(withFirst(lives, "Written", () => []))).toMatch(/^Synced: no batch is being synced/)
  })

  test("batch n+1 written before n is synced is refused by name", () => {
    const twice = withFirst(lives, "WriteBatch", (step) => [step, { ...step, offset: step.end, end: step.end + step.length, batch: step.batch + 1 }])
    expect(why(twice)).toMatch(/^WriteBatch: batch n\+1 is written only after n is synced/)
  })

  test("a durable batch that recovery does not accept is refused by name", () => {
    const last = lives.findLast(({ action }) => action === "Accept") as Of<"Accept">
    const end = lives.findLast(({ action }) => action === "End" || action === "TornTail") as Of<"End">
    const before = lives.findLast((step) => step.action === "Accept" && step !== last) as Of<"Accept">
    expect(before.batch).toBe(last.batch - 1)
    const cut = lives.filter((step) => step !== last).map((step) => step === end ? { ...end, offset: last.offset, batch: before.batch, hash: before.hash } : step)
    expect(why(cut)).toMatch(/^(End|TornTail): batch \d+ was durable, and is not accepted/)
  })

  test("two runs of one restart id are refused by name", () => {
    const [first] = births.filter(({ action }) => action === "Survey")
    const second = births.findLastIndex(({ action }) => action === "Survey")
    const same = births.map((step, index) => index === second ? { ...step, run: first!.run } : step)
    expect(why(same)).toMatch(/a restart id belongs to one run/)
  })

  test("a segment that a consumer needs is not removed", () => {
    const early = withFirst(segments, "Synced", (step) => [step, { action: "Removed", segment: 1, run: step.run, after: { ...step.after, kept: step.after.kept - 1 } }])
    expect(why(early)).toMatch(/^Removed: a consumer needs it, or it is written to/)
  })
})
