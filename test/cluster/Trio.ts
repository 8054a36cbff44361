/** Trio: a cluster of processes on this machine: init, invite, join and serve as an operator does them; every link between two members can be cut. Between the tests of processes and the command line. */
import { createServer } from "node:net"
import { join } from "node:path"
import { rmSync } from "node:fs"
import { askAdmin, commandPath, killChildren, runCommand, type Server, startServer, temporaryFolder } from "../e2e/server.ts"
import { LinkProxy } from "./LinkProxy.ts"

export interface Host {
  readonly name: string
  readonly data: string
  readonly listen: number
  readonly proxy: LinkProxy
  /** Which program it is: this checkout's ouroboros, or another's. */
  command: string
  /** Where S3 was, and will be. */
  s3: string | undefined
  admin: string | undefined
  server: Server | undefined
}

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const address = listener.address()
      listener.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

/** What a command prints, or what it says against it. */
export const ouroboros = async (args: ReadonlyArray<string>, msMax = 60_000, command = commandPath): Promise<string> => {
  const { code, late, stderr, stdout } = await runCommand(process.execPath, [command, ...args], { msMax })
  if (code !== 0) throw new Error(`ouroboros ${args.join(" ")}: ${late ? `not done in ${msMax} ms` : `exit ${code}`}\n${stdout.toString("utf8")}${stderr}`)
  return stdout.toString("utf8")
}

export interface ClusterStatus {
  readonly node: string
  readonly epoch: number
  readonly leader: string | null
  readonly commit: number
  readonly applied: number
  readonly quorum: boolean
  readonly changing: boolean
  readonly members: ReadonlyArray<{ readonly node: string; readonly name: string; readonly role: string; readonly standing: string; readonly addresses: ReadonlyArray<string> }>
}

export class Trio {
  readonly home = temporaryFolder("cluster")
  readonly hosts: Array<Host> = []
  /** "a-b": what a dials of b goes nowhere. */
  readonly cuts = new Set<string>()
  /** What each process has said, of all its lives. */
  readonly said: Array<string> = []

  readonly #command: string

  /** `command`: the program that its members are at first. */
  constructor(command = commandPath) {
    this.#command = command
  }

  static async open(names: ReadonlyArray<string> = ["ada", "bob", "cyd"], command?: string): Promise<Trio> {
    const trio = new Trio(command)
    for (const name of names) await trio.add(name)
    return trio
  }

  /** The first founds the cluster, others come in by way of it. */
  async add(name: string): Promise<Host> {
    const listen = await freePort()
    const proxy = await LinkProxy.open(() => listen, (from) => this.#isCut(from, name))
    const host: Host = { name, data: join(this.home, name), listen, proxy, command: this.#command, s3: undefined, admin: undefined, server: undefined }
    const place = ["--data", host.data, "--name", name, "--listen", `127.0.0.1:${listen}`, "--address", `127.0.0.1:${proxy.port}`]
    const [first] = this.hosts
    if (first === undefined) await ouroboros(["cluster", "init", ...place], undefined, host.command)
    else {
      const token = (await ouroboros(["cluster", "invite", "--auto-approve", ...this.at(first)])).trim()
      await ouroboros(["cluster", "join", `127.0.0.1:${first.proxy.port}`, "--token", token, ...place], undefined, host.command)
    }
    this.hosts.push(host)
    await this.start(host)
    return host
  }

  at(host: Host): ReadonlyArray<string> {
    return ["--admin", host.admin ?? "", "--data", host.data]
  }

  /** Ready once it knows what the others have committed. */
  async start(host: Host): Promise<Server> {
    const server = await startServer({ data: host.data, command: host.command, ...(host.s3 === undefined ? {} : { s3: host.s3.replace("http://", "") }), ...(host.admin === undefined ? {} : { admin: host.admin.replace("http://", "") }) })
    Object.assign(host, { server, s3: server.s3, admin: server.admin })
    return server
  }

  async stop(host: Host, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const { server } = host
    if (server === undefined) return
    host.server = undefined
    await (signal === "SIGKILL" ? server.kill() : server.stop(signal))
    this.said.push(`--- ${host.name}, ended by ${signal}\n${server.output()}`)
  }

  async status(host: Host): Promise<ClusterStatus> {
    const { server } = host
    if (server === undefined) throw new Error(`${host.name} does not run`)
    return (await askAdmin(server, "GET", "/v1/cluster")).body as ClusterStatus
  }

  /** Looks at every running member until all of them are as wanted. */
  async until(what: string, wanted: (status: ClusterStatus) => boolean, msMax = 30_000): Promise<void> {
    const beganMs = performance.now()
    for (;;) {
      const all = await Promise.all(this.hosts.filter(({ server }) => server !== undefined).map((host) => this.status(host)))
      if (all.length > 0 && all.every(wanted)) return
      if (performance.now() - beganMs > msMax) throw new Error(`not within ${msMax} ms: ${what}\n${JSON.stringify(all, null, 1)}\n${this.logs()}`)
      await new Promise((resolve) => void setTimeout(resolve, 100))
    }
  }

  /** So many, and that is decided: before that whoever voted earlier is still needed. */
  async vote(count: number): Promise<void> {
    const votes = ({ role }: ClusterStatus["members"][number]): boolean => role === "voter" || role === "leader"
    await this.until(`${count} vote`, ({ changing, members }) => !changing && members.length === count && members.every(votes), 60_000)
  }

  async leader(): Promise<Host> {
    await this.until("one leads, and all know it", ({ leader }) => leader !== null)
    const { leader, members } = await this.status(this.hosts.find(({ server }) => server !== undefined)!)
    const name = members.find(({ node }) => node === leader)?.name
    return this.hosts.find((host) => host.name === name)!
  }

  /** As an operator does who sees that an election came between, or that it was refused for now: he asks again, by way of `by`. */
  async lead(to: Host, by: Host, msMax = 30_000): Promise<void> {
    const refusals: Array<string> = []
    for (const beganMs = performance.now(); performance.now() - beganMs < msMax;) {
      const asked = await ouroboros(["cluster", "transfer-leader", to.name, ...this.at(by)]).catch(String)
      if ((await this.leader()) === to) return
      refusals.push(asked)
    }
    throw new Error(`${to.name} does not lead after ${msMax} ms: ${refusals.join("; ")}\n${this.logs()}`)
  }

  /** Both ways. */
  isolate(host: Host): void {
    for (const other of this.hosts) {
      if (other === host) continue
      this.cuts.add(`${host.name}-${other.name}`).add(`${other.name}-${host.name}`)
    }
    for (const { proxy } of this.hosts) proxy.judge()
  }

  heal(): void {
    const cut = [...this.cuts]
    this.cuts.clear()
    if (cut.length > 0) for (const { proxy } of this.hosts) proxy.heal()
  }

  logs(): string {
    return [...this.said, ...this.hosts.map(({ name, server }) => `--- ${name}\n${server?.output() ?? "does not run"}`)].join("\n").slice(-60_000)
  }

  async dispose(): Promise<void> {
    for (const host of this.hosts) {
      await host.server?.kill()
      host.proxy.close()
    }
    // What a failed test no longer knew of.
    killChildren()
    rmSync(this.home, { recursive: true, force: true })
  }

  #isCut(from: number | undefined, to: string): boolean {
    const dialler = this.hosts.find(({ server }) => server?.pid === from)
    return dialler !== undefined && this.cuts.has(`${dialler.name}-${to}`)
  }
}
