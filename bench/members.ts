/** members: what a commit costs where one, and where three members of a cluster order it; how long nobody leads after the leader was killed; how fast one that was away catches up. */
import { randomBytes } from "node:crypto"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { KiB } from "../src/base/limits.ts"
import type { ClusterStatusJson } from "../src/gateway/admin/ClusterRoutes.ts"
import { type Bench, type BenchContext, costOf, makeBucket, quantile } from "./bench.ts"
import { type BenchServer, keys, startServer } from "./server.ts"
import { openWire, prepare } from "./wire.ts"

const launcher = fileURLToPath(new URL("../src/cli/ouroboros.mjs", import.meta.url))
const readyMsMax = 60_000
const bytes = KiB
const together = 64
/** How many at a time, and how many in all. */
const runs = [[1, 500], [together, 10_000]] as const
/** Commits that one misses that is away. */
const missed = 20_000

interface Host {
  readonly data: string
  readonly listen: number
  server: BenchServer | undefined
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as { readonly port: number }
  server.close()
  await once(server, "close")
  return port
}

const ouroboros = async (args: ReadonlyArray<string>): Promise<string> => {
  const child = spawn(process.execPath, [launcher, "cluster", ...args], { env: { ...process.env, OUROBOROS_ACCESS_KEY: keys.accessKey, OUROBOROS_SECRET_KEY: keys.secretKey }, stdio: ["ignore", "pipe", "pipe"], timeout: readyMsMax })
  let [out, error] = ["", ""]
  child.stdout.on("data", (part: Buffer) => (out += part.toString()))
  child.stderr.on("data", (part: Buffer) => (error += part.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  if (code !== 0) throw new Error(`ouroboros cluster ${args[0]} ended with ${code}: ${error}`)
  return out.trim()
}

const statusOf = async ({ adminPort }: BenchServer): Promise<ClusterStatusJson> => {
  const authorization = `Basic ${Buffer.from(`${keys.accessKey}:${keys.secretKey}`).toString("base64")}`
  return (await (await fetch(`http://127.0.0.1:${adminPort}/v1/cluster`, { headers: { authorization } })).json()) as ClusterStatusJson
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

const until = async (what: string, isSo: () => Promise<boolean>): Promise<void> => {
  for (const began = performance.now(); !(await isSo()); await pause(5)) if (performance.now() - began > readyMsMax) throw new Error(`not within ${readyMsMax} ms: ${what}`)
}

const running = (hosts: ReadonlyArray<Host>): ReadonlyArray<BenchServer> => hosts.flatMap(({ server }) => server ?? [])
const start = async (host: Host): Promise<void> => void (host.server = await startServer({ data: host.data, readyMsMax }))

const grow = async (hosts: Array<Host>, home: string): Promise<void> => {
  const host: Host = { data: join(home, String(hosts.length)), listen: await freePort(), server: undefined }
  const place = ["--data", host.data, "--listen", `127.0.0.1:${host.listen}`]
  const [first] = hosts
  if (first === undefined) await ouroboros(["init", ...place])
  else {
    const token = await ouroboros(["invite", "--auto-approve", "--data", first.data, "--admin", `127.0.0.1:${first.server?.adminPort}`])
    await ouroboros(["join", `127.0.0.1:${first.listen}`, "--token", token, ...place])
  }
  hosts.push(host)
  await start(host)
  await until("all vote", async () => (await statusOf(running(hosts)[0]!)).members.every(({ role }) => role === "leader" || role === "voter"))
}

const leaderOf = async (hosts: ReadonlyArray<Host>): Promise<Host> => {
  let found: Host | undefined
  await until("one leads", async () => {
    for (const host of hosts) {
      if (host.server === undefined) continue
      const { leader, node } = await statusOf(host.server)
      if (leader === node) found = host
    }
    return found !== undefined
  })
  return found!
}

const requests = (server: BenchServer, name: string, count: number) => Array.from({ length: count }, (_, at) => prepare(server, "PUT", `/bench/${name}-${at}`, { body: [randomBytes(bytes)] }))

const commits = async ({ ceilings, report }: BenchContext, who: string, id: string, server: BenchServer): Promise<void> => {
  const { disk } = await ceilings()
  await costOf(server, requests(server, `${id}-warm`, 3000), together, bytes)
  for (const [parallel, count] of runs) {
    const { firstByteMs, perSecond, syncsEach } = await costOf(server, requests(server, `${id}-${parallel}`, count), parallel, bytes)
    report.add({ id: `${id}.x${parallel}`, name: `${who}: commits, ${parallel} at a time`, value: perSecond, unit: "/s", better: "more", of: ["lone syncs", disk.syncsPerSecond] })
    report.add({ id: `${id}.x${parallel}.p50`, name: "  median time of one", value: quantile(firstByteMs, 0.5), unit: "ms", better: "less", of: ["one sync, ms", 1000 / disk.syncsPerSecond] })
    report.add({ id: `${id}.x${parallel}.p99`, name: "  99 of 100 within", value: quantile(firstByteMs, 0.99), unit: "ms", better: "less" })
    report.add({ id: `${id}.x${parallel}.syncs`, name: "  syncs of that member", value: syncsEach, unit: "", better: "less" })
  }
}

/** From SIGKILL of the leader to the first PUT that another member acknowledges. */
const failover = async (hosts: ReadonlyArray<Host>): Promise<{ readonly ms: number; readonly killed: Host }> => {
  const killed = await leaderOf(hosts)
  const other = hosts.find((host) => host !== killed && host.server !== undefined)!.server!
  const wire = await openWire(other.port)
  const put = prepare(other, "PUT", "/bench/after", { body: [randomBytes(bytes)] })
  await wire.send(put)
  const [began, server] = [performance.now(), killed.server!]
  killed.server = undefined
  const gone = server.kill()
  for (;;) {
    const { status } = await wire.send(put)
    if (status === 200) break
  }
  const ms = performance.now() - began
  await gone
  wire.close()
  return { ms, killed }
}

const failovers = 5

const run = async (context: BenchContext): Promise<void> => {
  const { report } = context
  await context.ceilings()
  const home = mkdtempSync(join(tmpdir(), "ouroboros-bench-members-"))
  const hosts: Array<Host> = []
  try {
    const single = await startServer()
    await makeBucket(single)
    await commits(context, "no cluster", "commits.alone", single)
    await single.stop()
    await grow(hosts, home)
    await makeBucket(running(hosts)[0]!)
    await commits(context, "one member", "commits.of1", running(hosts)[0]!)
    for (let more = 0; more < 2; more += 1) await grow(hosts, home)
    const leader = await leaderOf(hosts)
    await commits(context, "three members, at the leader", "commits.of3", leader.server!)
    await commits(context, "three members, at another", "commits.of3.other", hosts.find((host) => host !== leader)!.server!)
    const times: Array<number> = []
    let away: Host | undefined
    for (let turn = 0; turn < failovers; turn += 1) {
      if (away !== undefined) await start(away)
      const { killed, ms } = await failover(hosts)
      times.push(ms)
      away = killed
    }
    report.add({ id: "failover", name: `the leader is killed: until another acknowledges, median of ${failovers}`, value: quantile(times, 0.5), unit: "ms", better: "less" })
    report.add({ id: "failover.most", name: "  the longest", value: Math.max(...times), unit: "ms", better: "less" })
    const [other] = running(hosts)
    await costOf(other!, requests(other!, "missed", missed), together, bytes)
    const { commit } = await statusOf(other!)
    const began = performance.now()
    await start(away!)
    await until("it has all", async () => (await statusOf(away!.server!)).applied >= commit)
    const { disk } = await context.ceilings()
    report.add({
      id: "catchUp", name: `commits that one catches up which was away for ${missed}, its start among them`, value: missed / ((performance.now() - began) / 1000), unit: "/s", better: "more", of: ["lone syncs", disk.syncsPerSecond]
    })
  } finally {
    for (const server of running(hosts)) await server.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

export const members: Bench = { names: ["members"], title: "Members of a cluster", run }
