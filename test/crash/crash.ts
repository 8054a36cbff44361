/**
 * `node test/crash/crash.ts --kills N --seed S`: kills the real server with SIGKILL at random instants under a mixed
 * load, starts it again, and checks that every acknowledged write is there, bit for bit. It fails below 200
 * acknowledged writes, or when no kill fell into sealing and none into a checkpoint: then it has proved too little.
 */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { askAdmin, type Server, serveCommand, spawnWatched, startServer, temporaryFolder } from "../e2e/server.ts"
import { call, closeConnections } from "../e2e/wire.ts"
import { checkAll } from "./check.ts"
import { plainBucket, type Tally, versionedBucket, work } from "./load.ts"
import { makeWorker } from "./Model.ts"
import { type Random, randomOf } from "./Random.ts"

const workerCount = 6
const acknowledgedMin = 200

/** Small, so that sealing, checkpoints and collection are always near; in turn with one that leaves much in the journal for long. */
const configs = [
  { settleBytes: 512 * 1024, settleAgeMs: 400, checkpointRows: 40, chunkAverageBytes: 64 * 1024, gcIntervalSeconds: 1, gcGraceSeconds: 0, compactBelow: 0.9 },
  { settleBytes: 6 * 1024 * 1024, settleAgeMs: 4000, checkpointRows: 15, chunkAverageBytes: 64 * 1024 }
] as const

export interface CrashOptions {
  readonly kills: number
  readonly seed: number
  readonly log?: (line: string) => void
}

export interface CrashReport {
  readonly kills: number
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  /** Unknown outcomes that were there after the restart. */
  readonly there: number
  readonly compared: number
  /** Kills that came while the server said so. */
  readonly intoSealing: number
  readonly intoCheckpoint: number
  /** Further kills, of the start after a kill. */
  readonly intoStart: number
  /** Kills that left a block or a checkpoint file which the restart removed. */
  readonly leftBlocks: number
  readonly wrong: ReadonlyArray<string>
  /** Kept where something was wrong. */
  readonly data: string
}

const sealing = ["Reading", "Writing", "Committing", "Releasing"]
type Aim = "Sealing" | "Checkpoint" | "Anything"

const aimOf = (phase: string): Aim => (sealing.includes(phase) ? "Sealing" : phase === "Checkpointing" ? "Checkpoint" : "Anything")

const sleep = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/** Watches the server's phase and kills it at a random instant; two of three kills wait a while for what they aim at. */
const killAtRandom = async (server: Server, aim: Aim, random: Random, markOver: () => void): Promise<Aim> => {
  await sleep(random.between(120, 700))
  const untilMs = performance.now() + 1500
  for (;;) {
    const phase = aimOf(String((await askAdmin(server, "GET", "/v1/status")).body?.settle?.phase))
    if (aim === "Anything" || phase === aim || performance.now() > untilMs) {
      markOver()
      process.kill(server.pid, "SIGKILL")
      return phase
    }
  }
}

/** A start that is killed too: recovery itself is no safe place. */
const killInStart = async (data: string, random: Random): Promise<void> => {
  const [command, ...args] = serveCommand(data, { args: ["--config", `${data}.config.json`] })
  const running = spawnWatched(command ?? "", args)
  await sleep(random.between(150, 900))
  running.child.kill("SIGKILL")
  await running.ended
}

const blocksOf = (data: string): ReadonlyArray<string> =>
  (readdirSync(data, { recursive: true }) as ReadonlyArray<string>).filter((name) => name.endsWith(".block"))

export const runCrash = async ({ kills, log = () => undefined, seed }: CrashOptions): Promise<CrashReport> => {
  const home = temporaryFolder("crash")
  const data = join(home, "data")
  const random = randomOf(seed)
  const workers = Array.from({ length: workerCount }, (_, index) => makeWorker(index))
  const tally: Tally = { acknowledged: 0, refused: 0, unknown: 0, wrong: [] }
  const sums = { there: 0, compared: 0, intoSealing: 0, intoCheckpoint: 0, intoStart: 0, leftBlocks: 0 }
  let server = await startServer({ data, config: configs[0] })
  try {
    for (const bucket of [plainBucket, versionedBucket]) await call(server, { method: "PUT", bucket })
    await call(server, {
      method: "PUT", bucket: versionedBucket, query: [["versioning", ""]],
      body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    })
    for (let kill = 1; kill <= kills && tally.wrong.length === 0; kill++) {
      let isOver = false
      const before = tally.acknowledged
      const load = { target: server, tally, isOver: () => isOver }
      const working = workers.map((worker) => work({ ...load, random: randomOf(random.between(0, 2 ** 31)) }, worker))
      const phase = await killAtRandom(server, (["Sealing", "Checkpoint", "Anything"] as const)[kill % 3]!, random, () => {
        isOver = true
      })
      await Promise.all(working)
      const ended = await server.ended
      if (ended.signal !== "SIGKILL") tally.wrong.push(`the server ended by itself: ${JSON.stringify(ended)}\n${server.output().slice(-2000)}`)
      closeConnections(server)
      const blocks = blocksOf(data)
      if (kill % 4 === 0) {
        await killInStart(data, random)
        sums.intoStart += 1
      }
      const startMs = performance.now()
      server = await startServer({ data, config: configs[kill % 2]! })
      const startedMs = performance.now()
      const left = new Set(blocksOf(data))
      if (blocks.some((name) => !left.has(name))) sums.leftBlocks += 1
      if (phase === "Sealing") sums.intoSealing += 1
      if (phase === "Checkpoint") sums.intoCheckpoint += 1
      const verdict = await checkAll(server, workers)
      tally.wrong.push(...verdict.wrong)
      sums.there += verdict.there
      sums.compared += verdict.compared
      log(`kill ${kill}: in ${phase}, ${tally.acknowledged - before} acknowledged, started in ${Math.round(startedMs - startMs)} ms, ` +
        `${verdict.compared} compared in ${Math.round(performance.now() - startedMs)} ms, ${verdict.there} of unknown outcome there${verdict.wrong.length > 0 ? `, ${verdict.wrong.length} WRONG` : ""}`)
    }
    const ended = await server.stop()
    if (ended.code !== 0) tally.wrong.push(`SIGTERM after the last check ended with ${JSON.stringify(ended)}`)
  } finally {
    await server.kill()
    closeConnections(server)
  }
  if (tally.wrong.length === 0) rmSync(home, { recursive: true, force: true })
  return { kills, ...tally, ...sums, data }
}

/** What a run has to show, besides nothing wrong. */
export const shortcomings = (report: CrashReport): ReadonlyArray<string> => [
  ...report.wrong,
  ...(report.acknowledged < acknowledgedMin ? [`only ${report.acknowledged} acknowledged writes, ${acknowledgedMin} are needed`] : []),
  ...(report.intoSealing === 0 ? ["no kill fell into sealing"] : []),
  ...(report.intoCheckpoint === 0 ? ["no kill fell into a checkpoint"] : [])
]

const flagOf = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  const value = at < 0 ? fallback : Number(process.argv[at + 1])
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`--${name} takes a whole number`)
  return value
}

if (import.meta.main) {
  const kills = flagOf("kills", 30)
  const seed = flagOf("seed", Date.now() % 1_000_000)
  console.log(`crash: ${kills} kills, --seed ${seed}`)
  const report = await runCrash({ kills, seed, log: console.log })
  const short = shortcomings(report)
  for (const line of short) console.log(`WRONG: ${line}`)
  if (report.wrong.length > 0) console.log(`the folder is kept: ${report.data}`)
  console.log(`${report.kills} kills (${report.intoSealing} into sealing, ${report.intoCheckpoint} into a checkpoint, ${report.intoStart} more into the next start, ${report.leftBlocks} left unnamed blocks), ` +
    `${report.acknowledged} acknowledged, ${report.refused} refused, ${report.unknown} unknown (${report.there} there), ${report.compared} compared: ` +
    (short.length === 0 ? "nothing lost" : "FAILED"))
  process.exitCode = short.length === 0 ? 0 : 1
}
