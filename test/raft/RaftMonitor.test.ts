/** The monitor of consensus is told what replicas did, and lies: what it takes for true, and what not. */
import { expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { raftLied, raftLies } from "../../spec/RaftFalsehood.ts"
import { judgeRaft } from "../../spec/RaftMonitor.ts"
import type { RaftTrace, Said } from "../../spec/RaftTrace.ts"
import { traceOfWorld } from "./RandomWorld.ts"

/** A gap, a state that is fetched, members that change, leaders that step down: what is rare is in the second half. */
const seeds = [1, 2, 3, 5, 6, 7, 12, 19, 25, 42, 43, 46]
const traces = seeds.map((seed) => traceOfWorld(seed, 1500))

it("the monitor accepts what replicas did, and all kinds of steps are among it", () => {
  for (const [at, trace] of traces.entries()) expect(judgeRaft(trace), `seed ${seeds[at]}`).toEqual({ _tag: "Accepted", steps: trace.length - 1 })
  const taken = new Set(traces.flatMap((trace) => trace.map(({ action }) => action)))
  for (const action of ["Crash", "Voted", "AppendAsked", "Persisted", "ChangeMembership", "SnapshotInstalled", "Compact", "ReadAnswered", "EntriesFound", "RefusedBy"]) expect(taken, action).toContain(action)
})

it("the monitor refuses the empty trace, one of nothing, and one that does not end", () => {
  expect(judgeRaft([])._tag).toBe("Refused")
  expect(judgeRaft([{ action: "Finish", at: "", steps: 0 }])._tag).toBe("Refused")
  expect(judgeRaft(traces[0]!.slice(0, -1))._tag).toBe("Refused")
})

it("the monitor refuses every lie of some hundreds", () => {
  const random = seededRandom(7)
  const told = new Map<string, number>()
  const believed: Array<string> = []
  for (const [at, trace] of traces.entries()) for (let count = 0; count < 49; count += 1) {
    const lie = raftLies[count % raftLies.length]!
    const one = raftLied(trace, lie, (bound) => random.below(bound))
    if (one === undefined) continue
    const verdict = judgeRaft(one.trace)
    if (verdict._tag === "Accepted") believed.push(`seed ${seeds[at]}: ${one.what}`)
    else told.set(verdict.invariant, (told.get(verdict.invariant) ?? 0) + 1)
  }
  expect(believed).toEqual([])
  expect([...told.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(450)
  if (process.env["RAFT_LIES"] !== undefined) console.log(told)
  for (const invariant of ["Steps", "PromisesAreDurable", "CorruptIsNotAbsent", "StateMachineSafety", "SnapshotIsWhole"]) expect(told.get(invariant) ?? 0, invariant).toBeGreaterThan(0)
})

type Step = RaftTrace[number]
const saying = (step: Step, change: (said: Said) => Said): Step => ("said" in step ? { ...step, said: step.said.map(change) } : step)

/** Each was believed once. */
const believedOnce: Readonly<Record<string, (step: Step) => Step>> = {
  "a candidate gives up before so many refuse it": (step) => (step.action === "Denied" && step.after.role !== "Follower" ? { ...step, after: { ...step.after, role: "Follower" } } : step),
  "a leader says of more that it is committed than it carries, or of less": (step) =>
    saying(step, (said) => (said.m === "Append" && said.commit > 0 && step.action === "AppendedBy" ? { ...said, commit: said.commit - 1 } : said)),
  "a read is answered in another's name": (step) => saying(step, (said) => (said.m === "ReadAnswered" ? { ...said, from: said.from === "a" ? "b" : "a" } : said)),
  "a trace ends at a replica": (step) => (step.action === "Finish" ? { ...step, at: "a" } as unknown as Step : step)
}

for (const [lie, change] of Object.entries(believedOnce)) {
  it(`the monitor refuses it where ${lie}`, () => {
    let told = 0
    for (const trace of traces) {
      const at = trace.findIndex((step) => JSON.stringify(change(step)) !== JSON.stringify(step))
      if (at < 0) continue
      told += 1
      expect(judgeRaft(trace.map((step, index) => (index === at ? change(step) : step)))).toMatchObject({ _tag: "Refused", index: at })
    }
    expect(told).toBeGreaterThan(2)
  })
}
