/**
 * `npm run test:clients -- FILTER`: unmodified S3 clients against the real server, over plain HTTP and over TLS, and against three members of a cluster.
 * Installs the clients, starts a server a stage, runs every case by name, and ends with "N passed, N failed".
 * FILTER is text in a suite or a case.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeCertificate } from "../e2e/certificate.ts"
import { cleanEnvironment, type Ended, runCommand, startServer, temporaryFolder } from "../e2e/server.ts"
import type { Host } from "../cluster/Trio.ts"
import { awsCases } from "./awsCli.ts"
import type { Case, Result, Stage } from "./Case.ts"
import { endCases, endpointsOf, openCluster, rollingCases } from "./cluster.ts"
import { type Clients, ClientMissing, installClients } from "./install.ts"
import { memoryCases } from "./memory.ts"
import { ouroborosCases } from "./ouroboros.ts"
import { rcloneCases } from "./rclone.ts"
import { resticCases } from "./restic.ts"
import { syncCases } from "./sync.ts"

const caseMsMax = 180_000
const botoMsMax = 8 * 60_000
const botoScript = fileURLToPath(new URL("boto.py", import.meta.url))
const membersScript = fileURLToPath(new URL("members.py", import.meta.url))

const filter = process.argv.slice(2).join(" ")
const isWanted = (suite: string, name: string): boolean => `${suite} ${name}`.includes(filter)

const results: Array<Result> = []

const report = (result: Result): void => {
  results.push(result)
  const seconds = (result.ms / 1000).toFixed(1).padStart(6)
  console.log(`${result.error === undefined ? "passed" : "FAILED"} ${seconds} s  ${result.suite.padEnd(19)} ${result.name}`)
  if (result.error !== undefined) console.log(result.error.split("\n").slice(0, 30).map((line) => `           | ${line}`).join("\n"))
}

const late = async (): Promise<never> => {
  await new Promise((resolve) => void setTimeout(resolve, caseMsMax).unref())
  throw new Error(`not done within ${caseMsMax} ms`)
}

const runCases = async (cases: ReadonlyArray<Case>): Promise<void> => {
  for (const { name, run, suite } of cases.filter((each) => isWanted(each.suite, each.name))) {
    const startMs = performance.now()
    let error: string | undefined
    try {
      await Promise.race([run(), late()])
    } catch (problem) {
      error = problem instanceof Error ? problem.message : String(problem)
    }
    report({ suite, name, ms: performance.now() - startMs, error })
  }
}

/** The Python cases report a JSON line each; a run that ends badly without a failed case is a failure of its own. */
const runBoto = async (stage: Stage, age: "old" | "new", script = botoScript, more: Readonly<Record<string, string>> = {}): Promise<void> => {
  const suite = `boto3 ${age} ${stage.name}`
  const { ca, clients, scratch, server } = stage
  const env = cleanEnvironment({
    ENDPOINT: server.s3, ACCESS_KEY: server.accessKey, SECRET_KEY: server.secretKey, CA: ca ?? "", PREFIX: `boto-${age}`, ...more,
    FILTER: filter, SUITE: suite, PYTHONDONTWRITEBYTECODE: "1", AWS_EC2_METADATA_DISABLED: "true", HOME: scratch
  })
  const startMs = performance.now()
  const { code, late, stderr, stdout } = await runCommand(age === "old" ? clients.botoOld : clients.botoNew, ["-W", "ignore", script], { env, msMax: botoMsMax })
  const lines = stdout.toString("utf8").split("\n").filter((line) => line.startsWith("{"))
  const read = lines.map((line) => JSON.parse(line) as { readonly name: string; readonly error: string | null; readonly ms: number })
  for (const { error, ms, name } of read) report({ suite, name, ms, error: error ?? undefined })
  if (late || (code !== 0 && read.every(({ error }) => error === null))) {
    report({ suite, name: "runs to its end", ms: performance.now() - startMs, error: late ? `not done within ${botoMsMax} ms` : `exit ${code}\n${stderr}` })
  }
}

const endedWell = (ended: Ended): string | undefined => (ended.code === 0 ? undefined : `the server ended with ${JSON.stringify(ended)}`)

const runStage = async (name: "http" | "tls", clients: Clients, scratch: string): Promise<void> => {
  const folder = join(scratch, name)
  mkdirSync(folder, { recursive: true })
  const certificate = makeCertificate()
  const [ca, key] = [join(folder, "certificate.pem"), join(folder, "key.pem")]
  writeFileSync(ca, certificate.cert)
  writeFileSync(key, certificate.key, { mode: 0o600 })
  const server = await startServer(name === "tls" ? { args: ["--tls-cert", ca, "--tls-key", key] } : {})
  const stage: Stage = { name, server, clients, ca: name === "tls" ? ca : undefined, scratch: folder }
  try {
    await runBoto(stage, "new")
    await runBoto(stage, "old")
    await runCases([...awsCases(stage), ...rcloneCases(stage), ...resticCases(stage), ...ouroborosCases(stage)])
  } finally {
    const startMs = performance.now()
    const error = await server.stop().then(endedWell, (problem: Error) => problem.message)
    const end = { suite: `server ${name}`, name: "ends cleanly on SIGTERM" }
    if (error !== undefined || isWanted(end.suite, end.name)) report({ ...end, ms: performance.now() - startMs, error: error === undefined ? undefined : `${error}\n${server.output()}` })
    await server.dispose()
  }
}

/** Of cases that have run against a single node, those whose way is another in a cluster; all of the new boto3 run. */
const clusterOldCases = "^(round trip|copy|versioning|multipart|presigned|checksums|AS OF)"
const clusterCommands = /^(rclone|restic)|^aws-cli \S+ (s3 cp of 20|s3api: multipart)/

/** The members stop and start under load; then each suite at another one, all at once, and their end. */
const runCluster = async (clients: Clients, scratch: string): Promise<void> => {
  const folder = join(scratch, "cluster")
  mkdirSync(folder, { recursive: true })
  const trio = await openCluster()
  const at = ({ server }: Host): Stage => ({ name: "cluster", server: server!, clients, ca: undefined, scratch: folder })
  try {
    // First: a member that starts again applies its log from the last checkpoint on, and these have made none.
    await runCases(rollingCases(trio, clients))
    const [first, second, third] = trio.hosts.map(at) as [Stage, Stage, Stage]
    await runBoto(first, "new")
    await runBoto(second, "old", botoScript, { CASES: clusterOldCases })
    await runBoto(third, "new", membersScript, { ENDPOINTS: endpointsOf(trio), PREFIX: "boto-members" })
    const commands = [...awsCases(third), ...rcloneCases(first, ["Minio"]), ...resticCases(second)].filter(({ name, suite }) => clusterCommands.test(`${suite} ${name}`))
    await runCases([...commands, ...endCases(trio)])
  } finally {
    await trio.dispose()
  }
}

const main = async (): Promise<void> => {
  const startMs = performance.now()
  const scratch = temporaryFolder("clients")
  try {
    const clients = await installClients()
    console.log(clients.versions.join("\n"))
    const installedMs = performance.now()
    await runStage("http", clients, scratch)
    await runStage("tls", clients, scratch)
    await runCluster(clients, scratch)
    await runCases([...syncCases(scratch), ...memoryCases()])
    console.log(`install ${((installedMs - startMs) / 1000).toFixed(0)} s, cases ${((performance.now() - installedMs) / 1000).toFixed(0)} s`)
  } catch (problem) {
    if (!(problem instanceof ClientMissing)) throw problem
    report({ suite: "install", name: problem.client, ms: performance.now() - startMs, error: problem.message })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

await main()
const failed = results.filter(({ error }) => error !== undefined).length
console.log(`${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 || results.length === 0 ? 1 : 0
