/** The steward's rules, one by one, and that they lead from any configuration to the one that the members' table wants, whoever catches up when. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { stewardLagMax } from "../../src/base/clusterLimits.ts"
import { type GroupView, nextStep, type Step, type Wanted } from "../../src/cluster/Steward.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import { type Configuration, configurationOf } from "../../src/raft/Configuration.ts"

type Leaving = "stays" | "leaves" | "forced"
const recordOf = (rows: Readonly<Record<string, Leaving>>): Wanted => ({
  members: new Map(Object.entries(rows).map(([id, how]) => [id as NodeId, { leaving: how === "stays" ? undefined : { isForced: how === "forced" } }]))
})
const commit = 1000
const viewOf = (configuration: Configuration, { at = {}, down = [], ...rest }: Partial<GroupView> & { readonly at?: Readonly<Record<string, number>>; readonly down?: ReadonlyArray<string> } = {}): GroupView => ({
  self: "a", configuration, configurationIndex: 10, commit, isUp: (id) => !down.includes(id),
  matched: new Map([...configuration.voters, ...configuration.learners].map((id) => [id, at[id] ?? commit])), ...rest
})
const all = (): boolean => true
const none = (): boolean => false
const change = (voters: ReadonlyArray<string>, learners: ReadonlyArray<string> = []): Step => ({ _tag: "Change", voters, learners })
const said = (step: Step): string => (step._tag === "Nothing" ? step.waits.join("; ") : step._tag)

describe("steward", () => {
  it("steward: members that are in nothing come in as learners, all of them at once", () => {
    expect(nextStep(recordOf({ a: "stays", b: "stays", c: "stays" }), viewOf(configurationOf(["a"])), all)).toEqual(change(["a"], ["b", "c"]))
    expect(nextStep(recordOf({ a: "stays" }), viewOf(configurationOf(["a"])), all)).toEqual({ _tag: "Nothing", waits: [] })
  })

  it("steward: learners vote once they are there and so near to the commit; until then they learn", () => {
    const record = recordOf({ a: "stays", b: "stays", c: "stays" })
    const near = commit - stewardLagMax
    expect(nextStep(record, viewOf(configurationOf(["a"], ["b", "c"]), { at: { b: near, c: near } }), all)).toEqual(change(["a", "b", "c"]))
    expect(nextStep(record, viewOf(configurationOf(["a"], ["b", "c"]), { at: { b: near, c: near - 1 } }), all)).toEqual(change(["a", "b"], ["c"]))
    expect(said(nextStep(record, viewOf(configurationOf(["a"], ["b", "c"]), { at: { b: 0 }, down: ["c"] }), all))).toContain("node c does not vote yet")
    // Of those about whom nothing is known: not yet.
    expect(said(nextStep(record, viewOf(configurationOf(["a", "b"], ["c"]), { matched: new Map([["a", commit], ["b", commit]]) }), all))).toContain("node c does not vote yet")
  })

  it("steward: whoever has been let in and runs no replica yet does not vote, however short the log is: the others would need him for a majority", () => {
    const record = recordOf({ a: "stays", b: "stays" })
    const short = { commit: 8, configurationIndex: 8 }
    expect(said(nextStep(record, viewOf(configurationOf(["a"], ["b"]), { ...short, at: { b: 0 } }), all))).toContain("node b does not vote yet")
    expect(nextStep(record, viewOf(configurationOf(["a"], ["b"]), { ...short, at: { b: 1 } }), all)).toEqual(change(["a", "b"]))
  })

  it("steward: a change that is under way is let end first: joint, or not committed", () => {
    const record = recordOf({ a: "stays", b: "stays", c: "leaves" })
    const joint: Configuration = { voters: ["a", "b"], outgoing: ["a"], learners: [] }
    expect(said(nextStep(record, viewOf(joint), all))).toContain("under way")
    expect(said(nextStep(record, viewOf(configurationOf(["a"]), { configurationIndex: commit + 1 }), all))).toContain("under way")
    expect(nextStep(record, viewOf(configurationOf(["a"]), { configurationIndex: commit }), all)._tag).toBe("Gone")
  })

  it("steward: whoever is no member goes at once; who leaves once the others have every block, or when it is forced", () => {
    const three = configurationOf(["a", "b", "c"])
    expect(nextStep(recordOf({ a: "stays", b: "stays" }), viewOf(three), none)).toEqual(change(["a", "b"]))
    expect(nextStep(recordOf({ a: "stays", b: "stays", c: "forced" }), viewOf(three, { down: ["c"] }), none)).toEqual(change(["a", "b"]))
    expect(said(nextStep(recordOf({ a: "stays", b: "stays", c: "leaves" }), viewOf(three), none))).toContain("node c stays until every member that does has all blocks (not known of a, b)")
    expect(said(nextStep(recordOf({ a: "stays", b: "stays", c: "leaves" }), viewOf(three), (node) => node === "a"))).toContain("not known of b")
    expect(nextStep(recordOf({ a: "stays", b: "stays", c: "leaves" }), viewOf(three), (node) => node !== "c")).toEqual(change(["a", "b"]))
    // One that has not come in yet, and leaves: no learner is made of it.
    expect(nextStep(recordOf({ a: "stays", b: "leaves" }), viewOf(configurationOf(["a"], ["b"])), none)._tag).toBe("Nothing")
    expect(nextStep(recordOf({ a: "stays", b: "leaves" }), viewOf(configurationOf(["a"], ["b"])), all)).toEqual(change(["a"]))
  })

  it("steward: nobody goes where no majority would be left; who is not there is let go, and others come in", () => {
    const record = recordOf({ a: "stays", b: "leaves", c: "stays" })
    expect(said(nextStep(record, viewOf(configurationOf(["a", "b", "c"]), { down: ["c"] }), all))).toContain("node b stays until a majority")
    expect(said(nextStep(record, viewOf(configurationOf(["a", "b", "c"]), { at: { c: 0 } }), all))).toContain("node b stays until a majority")
    const more = recordOf({ a: "stays", b: "leaves", c: "forced", d: "stays" })
    expect(nextStep(more, viewOf(configurationOf(["a", "b", "c"]), { down: ["c"] }), all)).toEqual(change(["a"], ["d"]))
    expect(nextStep(recordOf({ a: "stays", b: "leaves", c: "forced", d: "stays" }), viewOf(configurationOf(["a", "b", "c", "d"]), { down: ["c", "d"] }), all)).toEqual(change(["a", "b", "d"]))
  })

  it("steward: a leader that is to go hands over to whoever has most of the log, and the last voter never goes", () => {
    const record = recordOf({ a: "leaves", b: "stays", c: "stays" })
    const three = configurationOf(["a", "b", "c"])
    expect(nextStep(record, viewOf(three, { at: { b: commit - 3, c: commit - 1 } }), all)).toEqual({ _tag: "HandOver", to: "c" })
    expect(nextStep(record, viewOf(three), all)).toEqual({ _tag: "HandOver", to: "b" })
    expect(said(nextStep(record, viewOf(three, { down: ["b"] }), all))).toContain("node a leads, and stays until a majority")
    expect(nextStep(record, viewOf(three, { self: "b" }), all)).toEqual(change(["b", "c"]))
    expect(nextStep(recordOf({ a: "forced", b: "stays" }), viewOf(configurationOf(["a"])), all)).toEqual(change(["a"], ["b"]))
    expect(said(nextStep(recordOf({ a: "forced", b: "stays" }), viewOf(configurationOf(["a"], ["b"]), { at: { b: 0 } }), all))).toContain("node b does not vote yet")
    expect(nextStep(recordOf({ b: "stays" }), viewOf(configurationOf(["a", "b"])), all)).toEqual({ _tag: "HandOver", to: "b" })
    // Not to one that is to go as well, and cannot yet.
    const many = recordOf({ a: "leaves", b: "leaves", c: "leaves", d: "leaves", e: "leaves", f: "stays", g: "stays", h: "stays", i: "stays" })
    expect(nextStep(many, viewOf(configurationOf(Object.keys(Object.fromEntries(many.members))), { down: ["g", "h", "i"] }), all)).toEqual({ _tag: "HandOver", to: "f" })
  })

  it("steward: a leaving member that no configuration has is gone; nobody else is", () => {
    expect(nextStep(recordOf({ a: "stays", b: "leaves" }), viewOf(configurationOf(["a"])), none)).toEqual({ _tag: "Gone", node: "b" })
    expect(nextStep(recordOf({ a: "stays", b: "stays" }), viewOf(configurationOf(["a"])), none)).toEqual(change(["a"], ["b"]))
  })
})

const names = ["a", "b", "c", "d", "e", "f", "g"]

interface Group {
  record: Map<NodeId, { readonly leaving: undefined | { readonly isForced: boolean } }>
  configuration: Configuration
  self: string
}

const isMost = (ids: ReadonlyArray<string>, isSo: (id: string) => boolean): boolean => ids.filter(isSo).length > ids.length >> 1

/** Does it as consensus would, and says what is wrong with it. */
const doStep = (group: Group, step: Step, view: GroupView): ReadonlyArray<string> => {
  const wrong: Array<string> = []
  const { configuration, record } = group
  const claim = (isSo: boolean, what: string): void => void (isSo || wrong.push(`${what}: ${JSON.stringify(step)}`))
  const isReady = (id: string): boolean => id === group.self || (view.isUp(id) && (view.matched.get(id) ?? 0) + stewardLagMax >= view.commit)
  if (step._tag === "Change") {
    const before = [...configuration.voters, ...configuration.learners]
    const after = [...step.voters, ...step.learners]
    claim(step.voters.length > 0 && step.voters.includes(group.self), "whoever leads stays")
    claim(after.every((id) => before.includes(id) || record.get(id as NodeId)?.leaving === undefined && record.has(id as NodeId)), "comes in unwanted")
    claim(before.every((id) => after.includes(id) || !record.has(id as NodeId) || record.get(id as NodeId)!.leaving !== undefined), "goes unwanted")
    claim(step.voters.every((id) => configuration.voters.includes(id) || (configuration.learners.includes(id) && isReady(id))), "votes before it has caught up")
    claim(step.voters.join() === configuration.voters.join() || isMost(step.voters, isReady), "leaves no majority")
    group.configuration = configurationOf(step.voters, step.learners)
  } else if (step._tag === "HandOver") {
    claim(configuration.voters.includes(step.to) && isReady(step.to), "hands over to one who cannot lead")
    group.self = step.to
  } else if (step._tag === "Gone") {
    claim(record.get(step.node)?.leaving !== undefined && !configuration.voters.includes(step.node) && !configuration.learners.includes(step.node), "gone too early")
    record.delete(step.node)
  }
  return wrong
}

describe("steward, any", () => {
  const how = fc.constantFrom<Leaving | "none">("stays", "stays", "leaves", "forced", "none")
  const role = fc.constantFrom("voter", "voter", "learner", "none")
  const weather = fc.array(fc.record({ down: fc.subarray(names), behind: fc.subarray(names), lacking: fc.subarray(names), isUnderWay: fc.boolean() }), { maxLength: 12 })

  it("steward: any record, any configuration, any order of catching up: each step is one that the record wants, and in the end it has what it wants", () => {
    fc.assert(fc.property(fc.tuple(...names.map(() => fc.tuple(how, role))), weather, fc.subarray(names), (drawn, turns, dead) => {
      const rows = Object.fromEntries(drawn.flatMap(([leaving], at) => (leaving === "none" ? [] : [[names[at]!, leaving]]))) as Record<string, Leaving>
      const roles = (wanted: string): Array<string> => names.filter((_, at) => drawn[at]![1] === wanted)
      fc.pre(roles("voter").length > 0 && Object.values(rows).includes("stays"))
      const group: Group = { record: new Map(recordOf(rows).members), configuration: configurationOf(roles("voter"), roles("learner")), self: roles("voter")[0]! }
      const wrong: Array<string> = []
      const turn = (down: ReadonlyArray<string>, behind: ReadonlyArray<string>, lacking: ReadonlyArray<string>, isUnderWay = false): Step => {
        const { configuration, self } = group
        const isUp = (id: string): boolean => id === self || !down.includes(id)
        const members = [...configuration.voters, ...configuration.learners]
        const view: GroupView = { self, configuration, configurationIndex: isUnderWay ? commit + 1 : 1, commit, isUp, matched: new Map(members.map((id) => [id, behind.includes(id) && id !== self ? 0 : commit])) }
        const step = nextStep({ members: group.record }, view, (node) => !lacking.includes(node))
        if (isUnderWay && step._tag !== "Nothing") wrong.push(`${step._tag} while a change is under way`)
        wrong.push(...doStep(group, step, view))
        return step
      }
      // Nobody leads whom no majority answers.
      for (const { behind, down, isUnderWay, lacking } of turns) if (isMost(group.configuration.voters, (id) => id === group.self || !down.includes(id) && !behind.includes(id))) turn(down, behind, lacking, isUnderWay)
      const gone = dead.filter((id) => rows[id] === "forced" && id !== group.self)
      const down = isMost(group.configuration.voters, (id) => !gone.includes(id)) ? gone : []
      let last: Step | undefined
      for (let left = 30; left > 0 && (last?._tag !== "Nothing"); left -= 1) last = turn(down, [], [])
      expect(wrong).toEqual([])
      expect(last).toEqual({ _tag: "Nothing", waits: [] })
      expect([...group.record.values()].every(({ leaving }) => leaving === undefined)).toBe(true)
      expect(group.configuration).toEqual(configurationOf(group.record.keys()))
    }), { numRuns: 3000 })
  })
})
