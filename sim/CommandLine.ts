/** CommandLine: what `npm run sim` was asked for. Pure: words in, an order or what is wrong with them out. */
import type { ProfileName } from "./Profile.ts"

export interface Order {
  readonly first: number
  /** Undefined: until the minutes have passed. */
  readonly count: number | undefined
  readonly minutes: number | undefined
  readonly profile: ProfileName
  readonly workers: number
  readonly twice: boolean
  /** All lines of the trace are printed. */
  readonly trace: boolean
  /** The first seed that fails ends the swarm. */
  readonly untilFailure: boolean
  /** A file for the page of the one seed. */
  readonly timeline: string | undefined
  readonly only: ReadonlyArray<string> | undefined
  /** Of one seed that fails, the few things that it takes. */
  readonly shrink: boolean
  /** Faults and crashes that may happen, by number. */
  readonly strikes: ReadonlyArray<number> | undefined
  readonly operations: number | undefined
  /** The seeds of sim/seeds, and no others. */
  readonly known: boolean
  readonly merciless: boolean
  /** The verdict becomes a line of sim/RUNS.tsv. */
  readonly record: boolean
  /** Nothing runs: what sim/RUNS.tsv says of the code as it stands. */
  readonly tally: boolean
}

export const usage = `npm run sim -- [--seed N | --seeds K [--from N] | --minutes M [--from N]] [--profile short|full] [--workers W] [--twice]
              [--workload NAME,...] [--trace] [--timeline FILE] [--until-failure] [--known] [--merciless]
              [--shrink] [--operations N] [--strikes N,...] [--record] | --tally
  --seed N      one world;  --seeds K --from N: K worlds from seed N on;  --minutes M: as many as there is time for
  --profile     short (default): 200 operations and 3 crashes at least; full: 3,000 and 20
  --workers W   processes (default 1)
  --twice       every seed twice: both runs must be the same
  --workload    only these; "canary" always fails
  --trace       every line of the trace
  --timeline F  writes what happened to one seed into F, as a page for a browser
  --until-failure  stops at the first seed that fails
  --shrink      of what goes wrong in the one seed, the few things that its failure takes: minutes
  --operations, --strikes  so many requests at most, and only these faults and crashes: what --shrink has found
  --known       the seeds of sim/seeds, which found something once
  --merciless   faults may harm what one node cannot make again: it is named then, and no answer is wrong
  --record      the verdict becomes a line of sim/RUNS.tsv; what runs must be committed
  --tally       how many worlds sim/RUNS.tsv counts of the code as it stands
exit codes: 0 ok, 2 usage, 10 crash, 11 safety, 12 liveness, 13 nondeterminism`

const wholes: Readonly<Record<string, readonly [least: number, most: number]>> = {
  "--seed": [0, 2 ** 32 - 1], "--from": [0, 2 ** 32 - 1], "--seeds": [1, 10_000_000], "--minutes": [1, 100_000], "--workers": [1, 64], "--operations": [1, 1_000_000]
}

/** A word is why nothing is run. */
export const parseOrder = (words: ReadonlyArray<string>, workloads: ReadonlyArray<string>): Order | string => {
  const numbers = new Map<string, number>()
  let profile: ProfileName = "short"
  let only: ReadonlyArray<string> | undefined
  let timeline: string | undefined
  let strikes: ReadonlyArray<number> | undefined
  const flags = new Set<string>()
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!
    if (["--twice", "--trace", "--until-failure", "--known", "--merciless", "--shrink", "--record", "--tally"].includes(word)) {
      flags.add(word)
      continue
    }
    at += 1
    const value = words[at]
    if (value === undefined) return `${word} needs a value, or is unknown`
    const bounds = wholes[word]
    if (bounds !== undefined) {
      const number = Number(value)
      if (!/^\d+$/.test(value) || number < bounds[0] || number > bounds[1]) return `${word} is ${bounds[0]} to ${bounds[1]}, not "${value}"`
      numbers.set(word, number)
    } else if (word === "--profile") {
      if (value !== "short" && value !== "full") return `--profile is short or full, not "${value}"`
      profile = value
    } else if (word === "--workload") only = value.split(",")
    else if (word === "--timeline") timeline = value
    else if (word === "--strikes") {
      if (!/^(\d+(,\d+)*)?$/.test(value)) return `--strikes are numbers with commas between them, not "${value}"`
      strikes = value === "" ? [] : value.split(",").map(Number)
    }
    else return `${word} is unknown`
  }
  const asked = ["--seed", "--seeds", "--minutes"].filter((name) => numbers.has(name))
  const stranger = only?.find((name) => !workloads.includes(name))
  if (stranger !== undefined) return `there is no workload "${stranger}", only ${workloads.join(", ")}`
  if (asked.length > 1) return `${asked.join(" and ")} together say different things`
  if (flags.has("--known") && asked.length > 0) return `--known and ${asked[0]} together say different things`
  if (numbers.has("--seed") && numbers.has("--from")) return "--seed and --from together say different things"
  if (timeline !== undefined && !numbers.has("--seed")) return "--timeline draws one world: name it with --seed"
  if ((flags.has("--shrink") || strikes !== undefined) && !numbers.has("--seed")) return "--shrink and --strikes are about one world: name it with --seed"
  if (flags.has("--record") && (flags.has("--known") || only !== undefined || strikes !== undefined || numbers.has("--operations"))) return "--record is of whole worlds, seed after seed"
  const minutes = numbers.get("--minutes")
  return {
    first: numbers.get("--seed") ?? numbers.get("--from") ?? 1,
    count: minutes === undefined ? numbers.get("--seeds") ?? 1 : undefined, minutes, profile, workers: numbers.get("--workers") ?? 1,
    twice: flags.has("--twice"), trace: flags.has("--trace"), untilFailure: flags.has("--until-failure"), timeline, only, known: flags.has("--known"), merciless: flags.has("--merciless"),
    record: flags.has("--record"), tally: flags.has("--tally"), shrink: flags.has("--shrink"), strikes, operations: numbers.get("--operations")
  }
}
