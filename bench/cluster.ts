/**
 * npm run cluster: three members of one cluster on this machine, in three processes with a folder each, and their state as it
 * changes. Everything goes through the command that people type. `--data DIR` keeps the folders, and takes them as they are the next time;
 * `--seconds N` ends by itself. Ctrl-C stops all three.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { shortNode, statusLines } from "../src/cli/ClusterView.ts"
import { formatTable } from "../src/cli/Format.ts"
import { fitting } from "../src/cli/Frames.ts"
import type { ClusterStatusJson } from "../src/gateway/admin/ClusterRoutes.ts"

const readyMsMax = 60_000
const commandMsMax = 60_000
const stopMsMax = 20_000
/** Until the last one has noticed that the others are gone, and looks for nobody who might lead. */
const goneMs = 3500
const frameMs = 1000
const askMsMax = 900
const logLinesTold = 20
const launcher = fileURLToPath(new URL("../src/cli/ouroboros.mjs", import.meta.url))

const { values } = parseArgs({ options: { data: { type: "string" }, seconds: { type: "string" } } })
const seconds = values.seconds === undefined ? Number.POSITIVE_INFINITY : Number(values.seconds)
if (!(seconds >= 0)) {
  console.error(`--seconds ${values.seconds}: a number of seconds is meant`)
  process.exit(2)
}

/** Nothing of what may be set for another node; a passphrase is meant for these, too. */
const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("OUROBOROS_") || name === "OUROBOROS_PASSPHRASE"))

interface Member {
  readonly name: string
  readonly folder: string
  readonly log: string
  /** For the other members; of a folder that was there it has its own. */
  readonly listen: number
  readonly s3: number
  readonly admin: number
  child: ChildProcess | undefined
}

/** All are held at once, so that no two are the same. */
const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const held: Array<Server> = []
  for (let at = 0; at < count; at += 1) {
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    held.push(server)
  }
  const ports = held.map((server) => (server.address() as { readonly port: number }).port)
  await Promise.all(held.map((server) => new Promise((done) => server.close(done))))
  return ports
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

const ending = new AbortController()
const isStopping = (): boolean => ending.signal.aborted
const ended = once(ending.signal, "abort")
const stop = (): void => ending.abort()
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, stop)

class Stopped extends Error {}

const ouroboros = async (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Promise<string> => {
  if (isStopping()) throw new Stopped()
  const child = spawn(process.execPath, [launcher, ...args], { env: { ...environment, ...env }, stdio: ["ignore", "pipe", "pipe"], timeout: commandMsMax })
  let [out, error] = ["", ""]
  child.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()))
  child.stderr.on("data", (bytes: Buffer) => (error += bytes.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  if (code === 0) return out
  throw isStopping() ? new Stopped() : new Error(`ouroboros ${args.slice(0, 2).join(" ")} ended with ${code}: ${error}`)
}

const serveArguments = ({ admin, folder, s3 }: Member): ReadonlyArray<string> => ["serve", "--data", folder, "--s3", `127.0.0.1:${s3}`, "--admin", `127.0.0.1:${admin}`]

const start = (member: Member): void => {
  const log = openSync(member.log, "a")
  // A group of its own: Ctrl-C in the terminal is this process's to hear, which stops one after the other.
  member.child = spawn(process.execPath, [launcher, ...serveArguments(member)], { env: environment, stdio: ["ignore", log, log], detached: true })
  closeSync(log)
}

const isOver = (child: ChildProcess | undefined): boolean => child === undefined || child.exitCode !== null || child.signalCode !== null

const endOf = ({ log }: Member): string => readFileSync(log, "utf8").trimEnd().split("\n").slice(-logLinesTold).join("\n")

const untilReady = async (member: Member): Promise<void> => {
  for (const begun = performance.now(); ;) {
    if (isStopping()) throw new Stopped()
    if (isOver(member.child)) throw new Error(`node ${member.name} ended:\n${endOf(member)}`)
    const response = await fetch(`http://127.0.0.1:${member.admin}/health/ready`, { signal: AbortSignal.timeout(askMsMax) }).catch(() => undefined)
    if (response?.status === 200) return
    if (performance.now() - begun > readyMsMax) throw new Error(`node ${member.name} was not ready in ${readyMsMax / 1000} s:\n${endOf(member)}`)
    await pause(100)
  }
}

const credentialsOf = ({ folder }: Member): { readonly accessKey: string; readonly secretKey: string } => {
  const text = readFileSync(join(folder, "credentials"), "utf8")
  const value = (name: string): string => new RegExp(`^${name}=(.+)$`, "m").exec(text)?.[1] ?? ""
  return { accessKey: value("OUROBOROS_ACCESS_KEY"), secretKey: value("OUROBOROS_SECRET_KEY") }
}

const isMember = ({ folder }: Member): boolean => existsSync(join(folder, "ouroboros.json"))

/** Where a member is found: a folder that was there has an address of its own. */
const addressOf = async (member: Member): Promise<string> => {
  const { members, node } = JSON.parse(await ouroboros(["cluster", "status", "--json", ...asking(member)])) as ClusterStatusJson
  return members.find((one) => one.node === node)?.addresses[0] ?? `127.0.0.1:${member.listen}`
}

const asking = ({ admin, folder }: Member): ReadonlyArray<string> => ["--data", folder, "--admin", `127.0.0.1:${admin}`]

/** As an operator would: one is made, the others come one after the other. Those that are there are started. */
const found = async ([first, ...others]: readonly [Member, ...ReadonlyArray<Member>]): Promise<void> => {
  if (!isMember(first)) {
    console.log(`cluster init: ${first.folder}`)
    await ouroboros(["cluster", "init", "--data", first.folder, "--name", first.name, "--listen", `127.0.0.1:${first.listen}`])
  }
  const there = [first, ...others].filter(isMember)
  for (const member of there) start(member)
  await Promise.all(there.map(untilReady))
  for (const member of others.filter((other) => !there.includes(other))) {
    console.log(`cluster invite and join: ${member.folder}`)
    const token = (await ouroboros(["cluster", "invite", "--auto-approve", ...asking(first)])).trim()
    await ouroboros(["cluster", "join", await addressOf(first), "--data", member.folder, "--name", member.name, "--listen", `127.0.0.1:${member.listen}`], { OUROBOROS_JOIN_TOKEN: token })
    start(member)
    await untilReady(member)
  }
}

const askStatus = async (member: Member, authorization: string): Promise<ClusterStatusJson | undefined> => {
  const response = await fetch(`http://127.0.0.1:${member.admin}/v1/cluster`, { headers: { authorization }, signal: AbortSignal.timeout(askMsMax) }).catch(() => undefined)
  return response?.status === 200 ? (await response.json()) as ClusterStatusJson : undefined
}

/** Of one process: what it says of itself, or how it ended. */
const rowOf = (member: Member, status: ClusterStatusJson | undefined): ReadonlyArray<string> => {
  const { child } = member
  const at = [member.name, `S3 http://127.0.0.1:${member.s3}`, `admin 127.0.0.1:${member.admin}`]
  if (status === undefined && isOver(child)) return [...at, `ended (${child?.signalCode ?? child?.exitCode}); again: npx ouroboros ${serveArguments(member).join(" ")}`]
  const who = isOver(child) ? "started anew" : `pid ${child?.pid}`
  if (status === undefined) return [...at, `${who}, does not answer`]
  const leader = status.leader === null ? "no leader" : status.leader === status.node ? "leads" : `follows ${status.members.find(({ node }) => node === status.leader)?.name ?? shortNode(status.leader)}`
  return [...at, `${who}, ${leader}, applied ${status.applied}${status.quorum ? "" : ", no quorum"}`]
}

const frameOf = async (members: ReadonlyArray<Member>, authorization: string): Promise<ReadonlyArray<string>> => {
  const statuses = await Promise.all(members.map((member) => askStatus(member, authorization)))
  const told = statuses.find((status) => status?.quorum) ?? statuses.find((status) => status !== undefined)
  return [
    ...formatTable(members.map((member, at) => rowOf(member, statuses[at]))), "",
    ...(told === undefined ? ["no node answers"] : statusLines(told, Date.now()))
  ]
}

const intro = (first: Member, kept: boolean): ReadonlyArray<string> => {
  const { accessKey, secretKey } = credentialsOf(first)
  return [
    `Three members of one cluster, in ${resolve(first.folder, "..")}${kept ? "" : ", which goes at the end"}. Each serves all of S3, with the same credentials:`, "",
    `  export AWS_ACCESS_KEY_ID=${accessKey} AWS_SECRET_ACCESS_KEY=${secretKey} AWS_DEFAULT_REGION=us-east-1`,
    `  aws --endpoint-url http://127.0.0.1:${first.s3} s3 mb s3://first`, "",
    `In another terminal: kill -9 a pid and see; npx ouroboros cluster status --watch --data ${first.folder} --admin 127.0.0.1:${first.admin}. Ctrl-C here stops them.`, ""
  ]
}

const show = async (members: readonly [Member, ...ReadonlyArray<Member>], lines: ReadonlyArray<string>): Promise<void> => {
  const { accessKey, secretKey } = credentialsOf(members[0])
  const authorization = `Basic ${Buffer.from(`${accessKey}:${secretKey}`).toString("base64")}`
  const { stdout } = process
  if (stdout.isTTY) stdout.write("\u001b[?1049h\u001b[?25l")
  else console.log(lines.join("\n"))
  let frame: ReadonlyArray<string> = []
  try {
    for (const endMs = performance.now() + seconds * 1000; !isStopping() && performance.now() < endMs;) {
      frame = await frameOf(members, authorization)
      if (stdout.isTTY) stdout.write(`\u001b[H${fitting([...lines, ...frame], stdout.columns, stdout.rows)}\u001b[J`)
      else console.log(`${frame.join("\n")}\n`)
      await Promise.race([pause(Math.min(frameMs, Math.max(0, endMs - performance.now()))), ended])
    }
  } finally {
    if (stdout.isTTY) stdout.write(`\u001b[?25h\u001b[?1049l${[...lines, ...frame].join("\n")}\n`)
  }
}

const stopMember = async ({ child, name }: Member): Promise<void> => {
  if (child === undefined || isOver(child)) return
  const exit = once(child, "exit")
  child.kill("SIGTERM")
  const timer = setTimeout(() => {
    console.error(`node ${name} has not stopped in ${stopMsMax / 1000} s: it is killed`)
    child.kill("SIGKILL")
  }, stopMsMax)
  await exit
  clearTimeout(timer)
}

const home = values.data === undefined ? mkdtempSync(join(tmpdir(), "ouroboros-cluster-")) : resolve(values.data)
mkdirSync(home, { recursive: true })
const ports = await freePorts(3 * 3)
const memberOf = (name: string, at: number): Member => ({
  name, folder: join(home, name), log: join(home, `${name}.log`), listen: ports[3 * at] ?? 0, s3: ports[3 * at + 1] ?? 0, admin: ports[3 * at + 2] ?? 0, child: undefined
})
const members = [memberOf("one", 0), memberOf("two", 1), memberOf("three", 2)] as const

try {
  await found(members)
  await show(members, intro(members[0], values.data !== undefined))
} catch (error) {
  if (!(error instanceof Stopped)) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
} finally {
  console.log("stopping all three")
  // Who leads hands over to one that is there: so not all at once.
  const running = members.filter(({ child }) => !isOver(child))
  for (const member of running) {
    if (member === running.at(-1) && running.length > 1) await pause(goneMs)
    await stopMember(member)
  }
  if (values.data === undefined) rmSync(home, { recursive: true, force: true })
  else console.log(`kept: ${home}`)
}
process.exit()
