/**
 * RaftFalsehood: traces that are not what replicas did: a true one with one lie in it, drawn by a function. They sit between true
 * traces and the judges, each of which must refuse every one.
 */
import type { RaftStep, RaftTrace } from "./RaftTrace.ts"

/**
 * Drop, Repeat, Swap (of one replica's two), Change (of one value); Early: a promise is said with the step that came to it, not once it is
 * written; Forgotten: a replica begins again without its term and vote; Absent: its log ends before an entry that was written.
 */
export const raftLies = ["Drop", "Repeat", "Swap", "Change", "Early", "Forgotten", "Absent"] as const
export type RaftLie = (typeof raftLies)[number]

type Draw = (bound: number) => number
type Path = ReadonlyArray<string | number>
type Taken = Extract<RaftStep, { readonly said: unknown }>

/**
 * Values that may as well be others, or that the rest makes good again: what commands say; what a crash or rot may make of an entry; where
 * a log that is written anew ends; whose read it is; what a leader believes another one to have.
 */
const loose = new Set(["action", "what", "ok", "cut", "round", "read", "by", "heard", "target", "prev"])

const leavesOf = (value: unknown, path: Path = []): ReadonlyArray<Path> => {
  if (typeof value !== "object" || value === null) return [path]
  const entries: ReadonlyArray<readonly [string | number, unknown]> = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  return entries.flatMap(([name, field]) => (loose.has(String(name)) ? [] : leavesOf(field, [...path, name])))
}

const another = (value: unknown): unknown => {
  if (typeof value === "number") return value + 1
  if (typeof value === "boolean") return !value
  if (value === "Follower") return "Leader"
  if (value === "Leader" || value === "Candidate" || value === "PreCandidate") return "Follower"
  return value === "a" ? "b" : "a"
}

const changed = (value: unknown, [name, ...rest]: Path): unknown => {
  if (name === undefined) return another(value)
  if (Array.isArray(value)) return value.map((item: unknown, index) => (index === name ? changed(item, rest) : item))
  const fields = value as Readonly<Record<string, unknown>>
  return { ...fields, [name]: changed(fields[name], rest) }
}

const isTaken = (step: RaftTrace[number] | undefined): step is Taken => step !== undefined && "said" in step

/** The next step of the same replica. */
const nextOf = (trace: RaftTrace, at: number): number => trace.findIndex((step, index) => index > at && step.at === trace[at]!.at)

const afterBefore = (trace: RaftTrace, at: number): unknown => {
  const before = trace.findLast((step, index) => index < at && step.at === trace[at]!.at)
  return before !== undefined && "after" in before ? before.after : undefined
}

/** The step whose Persist this one answers. */
const cameTo = (trace: RaftTrace, at: number): number => {
  const step = trace[at]!
  if (step.action !== "Persisted") return -1
  return trace.findLastIndex((one, index) => index < at && one.at === step.at && isTaken(one) && one.written.some(({ ticket }) => ticket === step.ticket))
}

/** Which of what a step says was on no disk before: what its Persist brought there; -1: none of it. */
const promisedIn = (trace: RaftTrace, at: number): number => {
  const from = trace[at]
  const to = trace[cameTo(trace, at)]
  if (!isTaken(from) || !isTaken(to)) return -1
  const [{ entries, hard }] = to.written as [Taken["written"][number]]
  return from.said.findIndex((said) => {
    if (said.m === "Appended") return entries.some(({ i }) => i === said.match)
    return (said.m === "Vote" || said.m === "RequestVote") && !said.pre && hard.some(({ term, vote }) => term === said.term && vote === (said.m === "Vote" ? said.to : said.from))
  })
}

/** So changed the step is no lie: whose disks are the same may crash in each other's place, what was promised once may be said again, who asked to read is not told, and how far a state stands only the next start tells. */
const isTrueToo = (trace: RaftTrace, at: number, path: Path, now: RaftTrace[number]): boolean => {
  const step = trace[at]!
  if (step.action === "Crash") return path[0] === "at"
  if (step.action === "Saved") {
    const next = trace.find((one, index) => index > at && one.at === step.at && ["Crash", "Saved", "SnapshotInstalled"].includes(one.action))
    return path[0] === "place" && path[1] === "i" && next?.action !== "Crash"
  }
  const told = path[0] === "said" && isTaken(now) ? now.said[Number(path[1])] : undefined
  if (told?.m === "ReadAnswered") return path[2] === "to"
  if (told?.m !== "Appended") return false
  const said = JSON.stringify(told)
  return trace.some((one, index) => index < at && one.at === step.at && isTaken(one) && one.said.some((other) => JSON.stringify(other) === said))
}

const places: Readonly<Record<RaftLie, (trace: RaftTrace, at: number) => boolean>> = {
  Drop: () => true,
  Repeat: () => true,
  Swap: (trace, at) => {
    const next = nextOf(trace, at)
    const [one, other] = [trace[at], trace[next]]
    // What never falls would fall. Others may as well have come the other way round.
    return isTaken(one) && isTaken(other) && (["term", "commit", "handed", "first"] as const).some((name) => other.after[name] > one.after[name])
  },
  Change: () => true,
  Early: (trace, at) => promisedIn(trace, at) >= 0,
  Forgotten: (trace, at) => {
    const step = trace[at]!
    const before = afterBefore(trace, at)
    return step.action === "Crash" && step.found.vote !== "" && (before as Taken["after"]).pending === 0
  },
  Absent: (trace, at) => {
    const step = trace[at]!
    const before = afterBefore(trace, at)
    return step.action === "Crash" && step.found.slots.length > 0 && step.after.last === step.found.place.i + step.found.slots.length && step.after.last > step.found.saved.i
      && step.after.gap !== step.after.last && (before as Taken["after"]).pending === 0
  }
}

const edited = (trace: RaftTrace, edits: ReadonlyMap<number, RaftTrace[number]>): RaftTrace => trace.map((step, at) => edits.get(at) ?? step)

interface Told {
  readonly trace: RaftTrace
  readonly what: string
}

const told = (trace: RaftTrace, lie: RaftLie, at: number, draw: Draw): Told | undefined => {
  const step = trace[at]!
  const what = `${lie} ${at} ${step.action} at ${step.at}`
  switch (lie) {
    case "Drop": return { trace: trace.filter((_, index) => index !== at), what }
    case "Repeat": return { trace: trace.flatMap((one, index) => (index === at ? [one, one] : [one])), what }
    case "Swap": {
      const next = nextOf(trace, at)
      return { trace: edited(trace, new Map([[at, trace[next]!], [next, step]])), what: `${what}, ${trace[next]!.action}` }
    }
    case "Change": {
      const leaves = leavesOf(step).filter(([name]) => name !== "steps" || step.action === "Finish")
      const path = leaves[draw(leaves.length)]!
      const now = changed(step, path) as RaftTrace[number]
      return isTrueToo(trace, at, path, now) ? undefined : { trace: edited(trace, new Map([[at, now]])), what: `${what} ${path.join(".")}` }
    }
    case "Early": {
      const from = step as Taken
      const first = promisedIn(trace, at)
      const to = cameTo(trace, at)
      const early = trace[to] as Taken
      return { trace: edited(trace, new Map([[at, { ...from, said: from.said.filter((_, index) => index !== first) }], [to, { ...early, said: [...early.said, from.said[first]!] }]])), what }
    }
    case "Forgotten": {
      const crash = step as Extract<RaftStep, { readonly action: "Crash" }>
      return { trace: edited(trace, new Map([[at, { ...crash, found: { ...crash.found, vote: "" }, after: { ...crash.after, vote: "" } }]])), what }
    }
    case "Absent": {
      const crash = step as Extract<RaftStep, { readonly action: "Crash" }>
      return { trace: edited(trace, new Map([[at, { ...crash, found: { ...crash.found, slots: crash.found.slots.slice(0, -1) }, after: { ...crash.after, last: crash.after.last - 1 } }]])), what }
    }
  }
}

/** The trace with one lie of this kind in it, and where; undefined: it has no place for one, or what was drawn is true as well. */
export const raftLied = (trace: RaftTrace, lie: RaftLie, draw: Draw): Told | undefined => {
  const found = [...trace.keys()].filter((at) => places[lie](trace, at))
  return found.length === 0 ? undefined : told(trace, lie, found[draw(found.length)]!, draw)
}
