/**
 * Runs: the lines of `RUNS.tsv`, one for each swarm that was told to `--record`. What is counted are the green worlds of the
 * machines as they stand: a change to a file under `src/` that worlds run begins at nothing. A store of one node runs nothing of a cluster,
 * and takes no notice of changes there. main.ts reads and writes the files.
 */
import { toUtf8 } from "../src/base/bytes.ts"
import { hashOf } from "../src/base/hash.ts"
import type { ProfileName } from "./Profile.ts"

/** Of worlds of whole members (test/cluster) beside those of one node. */
export const runProfiles = ["short", "full", "members-short", "members-full"] as const
export type RunProfile = ProfileName | (typeof runProfiles)[number]

export interface Run {
  /** The commit that ran: twelve hex digits. */
  readonly commit: string
  /** What worlds run of its `src/` (`machinesOf`): twelve hex digits. */
  readonly machines: string
  readonly profile: RunProfile
  readonly faults: "merciful" | "merciless"
  readonly first: number
  readonly last: number
  readonly worlds: number
  /** "ok", or what was wrong with how many, and the first of them. */
  readonly verdict: string
}

const hashDigits = 12
/** Types are not run: who is imported for them alone decides nothing in a world. */
const importsOf = (text: string): ReadonlyArray<string> => Array.from(text.matchAll(/^(?:import|export) (?!type )[^"]*?from "(\.[^"]+)"/gm), ([, path]) => path!)

/**
 * The hash of every file under `src/` that `entry` comes to by what it imports to run. Paths are relative to the project; `read`
 * gives a file's text.
 */
export const machinesOf = (entry: string, read: (path: string) => string): string => {
  const texts = new Map<string, string>()
  const visit = (path: string): void => {
    if (texts.has(path)) return
    const text = read(path)
    texts.set(path, text)
    for (const imported of importsOf(text)) visit(new URL(imported, `file:///${path}`).pathname.slice(1))
  }
  visit(entry)
  const machines = [...texts].filter(([path]) => path.startsWith("src/")).sort(([a], [b]) => (a < b ? -1 : 1))
  return hashOf(toUtf8(machines.map(([path, text]) => `${path} ${hashOf(toUtf8(text))}`).join("\n"))).slice(0, hashDigits)
}

const columns = ["commit", "machines", "profile", "faults", "first", "last", "worlds", "verdict"] as const

export const lineOf = (run: Run): string => columns.map((column) => run[column]).join("\t")

const isProfile = (name: string | undefined): name is RunProfile => runProfiles.some((profile) => profile === name)

/** Every run of the text of RUNS.tsv. Throws, with the line's number, where a line is none. */
export const runsOf = (text: string): ReadonlyArray<Run> =>
  text.split("\n").flatMap((line, index) => {
    if (line === "" || line.startsWith("#") || index === 0) return []
    const cells = line.split("\t")
    const [commit, machines, profile, faults, first, last, worlds, verdict] = cells
    if (cells.length !== columns.length || !isProfile(profile) || (faults !== "merciful" && faults !== "merciless")) {
      throw new Error(`sim/RUNS.tsv, line ${index + 1}: not a run: ${line}`)
    }
    return [{ commit: commit!, machines: machines!, profile, faults, first: Number(first), last: Number(last), worlds: Number(worlds), verdict: verdict! }]
  })

/** Different seeds of green runs: a range that was run twice counts once. */
const worldsIn = (runs: ReadonlyArray<Run>): number => {
  let counted = 0
  let upTo = -1
  for (const { first, last } of [...runs].sort((a, b) => a.first - b.first)) {
    counted += Math.max(0, last - Math.max(first - 1, upTo))
    upTo = Math.max(upTo, last)
  }
  return counted
}

export interface Tally {
  readonly profile: RunProfile
  readonly green: number
  readonly greenAtCommit: number
  readonly red: number
}

/** A commit, and what tells whether an earlier one ran the very same worlds: what came between is told in them, or told of them. */
export interface Here extends Pick<Run, "commit" | "machines"> {
  readonly ranTheSame: (commit: string) => boolean
}

/** What was run of these machines, and of this commit's worlds alone. */
export const tallyOf = (runs: ReadonlyArray<Run>, at: Here, profiles: ReadonlyArray<RunProfile> = ["short", "full"]): ReadonlyArray<Tally> =>
  profiles.map((profile) => {
    const ours = runs.filter((run) => run.machines === at.machines && run.profile === profile)
    const green = ours.filter(({ verdict }) => verdict === "ok")
    const same = new Set([...new Set(green.map(({ commit }) => commit))].filter((commit) => commit === at.commit || at.ranTheSame(commit)))
    return {
      profile, red: ours.length - green.length, greenAtCommit: worldsIn(green.filter(({ commit }) => same.has(commit))),
      green: (["merciful", "merciless"] as const).reduce((sum, faults) => sum + worldsIn(green.filter((run) => run.faults === faults)), 0)
    }
  })

/** The lines of `--tally`. */
export const tallyLines = (text: string, at: Here, profiles?: ReadonlyArray<RunProfile>): ReadonlyArray<string> =>
  tallyOf(runsOf(text), at, profiles).map(({ green, greenAtCommit, profile, red }) =>
    `${profile}: ${green} worlds green of the machines ${at.machines}, ${greenAtCommit} of them of the worlds of ${at.commit}; ${red} runs red`)
