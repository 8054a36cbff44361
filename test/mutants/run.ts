/**
 * `npm run sim:mutants -- [FILTER ...] [--seeds N] [--from N] [--profile short|full] [--workers N] [--sample N] [--units] [--monitor] [--members]`: the swarm runs on
 * every mutant of sim/mutants until a seed catches it. Prints how many seeds that took, and what would have caught it before.
 * Of the consensus machine's, `--monitor` counts what its monitor alone refuses. `--members`: worlds of whole members judge, of all mutants that they are known to catch or of those that are named.
 * A mutant that survives is a hole in generator or oracle, and the command fails. `none` plants nothing: that copy must pass.
 */
import { spawn } from "node:child_process"
import { parseArgs } from "node:util"
import { mutants } from "../../sim/mutants/catalogue.ts"
import type { Mutant } from "../../sim/mutants/Mutant.ts"
import { planted, treeHash } from "./plant.ts"
import { type UnitVerdict, unitVerdict } from "./units.ts"

const seedsMaxDefault = 2000
/** A world that hangs is stopped with its process: it is caught as a hang. */
const swarmMsMax = 30 * 60 * 1000

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: String(seedsMaxDefault) }, from: { type: "string", default: "1" }, profile: { type: "string", default: "short" },
    workers: { type: "string", default: "2" }, sample: { type: "string" }, units: { type: "boolean", default: false }, monitor: { type: "boolean", default: false }, members: { type: "boolean", default: false }
  }
})
const seedsMax = Number(values.seeds)
const from = Number(values.from)

interface Caught {
  /** Seeds run up to the one that caught it, itself included; undefined: it survived. */
  readonly seeds: number | undefined
  readonly verdict: string
}

const verdictOfExit: Readonly<Record<number, string>> = { 10: "crash", 11: "safety", 12: "liveness", 13: "nondeterminism", 14: "a story" }

/** Worlds of carriers cost as much as thirty of consensus; what they let pass the stories judge. Membership, cluster, fetched states and feature levels have stories alone. */
const carrierSeedsMax = 12
/** By the file that is changed: the first that fits. */
const storiesOf: ReadonlyArray<readonly [file: string, stories: string]> = [
  ["carrier/AsksService", "test/carrier/CarrierService"], ["carrier/CarrierService", "test/carrier/CarrierService"], ["carrier/", "test/carrier/carrier.test"],
  ["membership/Availability", "test/membership/availability"], ["membership/", "test/membership/membership"],
  ["cluster/RaftCarrier", "test/cluster/raftCarrier"],
  ["cluster/BlockCopies", "test/cluster/blockCopies"], ["cluster/BlockLanes", "test/cluster/blockLanes"], ["cluster/StewardService", "test/cluster/stewardService"], ["cluster/Steward", "test/cluster/steward.test"],
  ["cluster/HandOver", "test/cluster/handOver"], ["cluster/Presence", "test/cluster/presence"], ["cluster/Welcome", "test/node/memberFolder"], ["cluster/MembershipReplica", "test/cluster/membershipReplica"], ["replica/FetchService", "test/replica/fetch.test"],
  ["replica/FeatureLevel", "test/replica/featureLevel"], ["replica/LevelService", "test/replica/featureLevel"]
]

const largeNursery = ["--min-semi-space-size=64", "--max-semi-space-size=64"]

const judgesOf = ({ edits, merciless, room }: Mutant): ReadonlyArray<string> => {
  if (values.members) return [...largeNursery, "test/cluster/swarm.ts", "--seeds", String(seedsMax), "--from", String(from), "--profile", values.profile, "--workers", "1"]
  const isToldInStories = room === "replica" && storiesOf.some(([file]) => edits[0]!.file.startsWith(file))
  if (room === "raft" || (room === "replica" && !isToldInStories)) return [`test/${room}/swarm.ts`, "--seeds", String(seedsMax), "--from", String(from), ...(values.monitor && room === "raft" ? ["--monitor"] : [])]
  if (room === "carrier" || room === "membership" || room === "cluster" || isToldInStories) {
    const stories = storiesOf.find(([file]) => edits[0]!.file.startsWith(file))![1]
    const seeds = stories === "test/carrier/carrier.test" ? Math.min(seedsMax, carrierSeedsMax) : 0
    return ["test/carrier/swarm.ts", "--seeds", String(seeds), "--from", String(from), "--stories", stories]
  }
  return [...largeNursery, "sim/main.ts", "--seeds", String(seedsMax), "--from", String(from), "--profile", values.profile, "--workers", "1", "--until-failure", ...(merciless === true ? ["--merciless"] : [])]
}

/** One swarm in the copy, stopped at the first seed that fails. */
const swarm = (folder: string, mutant: Mutant): Promise<Caught> =>
  new Promise((resolve, reject) => {
    const child = spawn("node", judgesOf(mutant), { cwd: folder, timeout: swarmMsMax, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    child.stdout.on("data", (bytes: Buffer) => { output += bytes.toString() })
    child.stderr.on("data", (bytes: Buffer) => { output += bytes.toString() })
    child.on("error", reject)
    child.on("close", (code) => {
      if (code === 0) return resolve({ seeds: undefined, verdict: "survived" })
      const failed = /--seed (\d+)/.exec(output)?.[1]
      // A copy that does not even load says nothing of the swarm.
      if (code !== null && failed === undefined) return reject(new Error(`exit ${code}, and no seed named:\n${output.slice(-3000)}`))
      resolve({ seeds: failed === undefined ? 1 : Number(failed) - from + 1, verdict: verdictOfExit[code ?? -1] ?? "hang" })
    })
  })

interface Row extends Caught {
  readonly mutant: Mutant
  readonly units: UnitVerdict | undefined
}

const judge = async (mutant: Mutant): Promise<Row> => {
  const { folder, remove } = planted(mutant)
  try {
    return { mutant, units: values.units ? unitVerdict(mutant, folder) : undefined, ...await swarm(folder, mutant) }
  } finally {
    remove()
  }
}

/** So many, drawn by the committed tree: every commit tries others. */
const sampled = (all: ReadonlyArray<Mutant>, count: number): ReadonlyArray<Mutant> => {
  const left = [...all]
  let draw = BigInt(`0x${treeHash()}`)
  const drawn: Array<Mutant> = []
  while (drawn.length < count && left.length > 0) {
    drawn.push(...left.splice(Number(draw % BigInt(left.length)), 1))
    draw /= 64n
  }
  return drawn
}

const chosen = (): ReadonlyArray<Mutant> => {
  const none: Mutant = { id: "none", room: "answers", what: "nothing is planted", edits: [] }
  if (positionals.includes("none")) return [none]
  const matching = mutants.filter(({ breaksMembers, id, room }) => positionals.length === 0 ? !values.members || breaksMembers === true : positionals.some((word) => id.includes(word) || room === word))
  // What is known to survive tells nothing new.
  return values.sample === undefined ? matching : sampled(matching.filter(({ open }) => open === undefined), Number(values.sample))
}

const lineOf = ({ mutant: { id, room, what }, seeds, units, verdict }: Row): string =>
  `| ${id} | ${room} | ${what} | ${seeds ?? "survived"} | ${verdict} |${values.units ? ` ${units} |` : ""}`

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

const main = async (): Promise<void> => {
  const wanted = [...chosen()]
  if (wanted.length === 0) throw new Error(`no mutant is called ${positionals.join(" or ")}: see sim/mutants`)
  console.log(`| mutant | room | what it does | seeds to catch | caught as |${values.units ? " types, lint, unit tests |" : ""}`)
  console.log(`|---|---|---|---|---|${values.units ? "---|" : ""}`)
  const rows: Array<Row> = []
  const lane = async (): Promise<void> => {
    for (let mutant = wanted.shift(); mutant !== undefined; mutant = wanted.shift()) {
      const row = await judge(mutant)
      rows.push(row)
      console.log(lineOf(row))
    }
  }
  await Promise.all(Array.from({ length: Number(values.workers) }, lane))
  const caught = rows.filter(({ seeds }) => seeds !== undefined)
  const passing = rows.filter(({ units }) => units === "passes").length
  console.log(`\nmedian seeds to catch ${median(caught.map(({ seeds }) => seeds!))}${values.units ? `; ${passing} pass types, lint and unit tests` : ""}`)
  // The unbroken copy must pass, every other must not.
  const good = positionals.includes("none") ? rows.length - caught.length : caught.length
  console.log(`${good} passed, ${rows.length - good} failed`)
  process.exitCode = good === rows.length ? 0 : 1
}

await main()
