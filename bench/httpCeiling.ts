/** httpCeiling: what node:http and the client of these measurements cost at best: a server in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { fileURLToPath } from "node:url"
import { MiB } from "../src/base/limits.ts"
import { keys } from "./server.ts"
import { prepare, type Prepared, runAll } from "./wire.ts"

export interface HttpCeiling {
  /** Answers of 1 KiB a second, 64 at a time. */
  readonly perSecond: number
  /** Processor time of server and client for one of them: the client shares the machine with the node. */
  readonly serverMicros: number
  readonly clientMicros: number
  /** The same for each byte of bodies of 64 MiB, in nanoseconds, up and down. */
  readonly up: { readonly server: number; readonly client: number }
  readonly down: { readonly server: number; readonly client: number }
}

const answers = 30_000
const parallel = 64
const largeBytes = 64 * MiB
const largeCount = 6

const told = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`the server of the HTTP ceiling ended with ${code}`))
    child.once("message", (value) => {
      child.off("exit", ended)
      resolve(value as number)
    })
    child.once("exit", ended)
  })

const serverCpu = (child: ChildProcess): Promise<number> => {
  const answer = told(child)
  child.send("cpu")
  return answer
}

/** Microseconds of processor time, of the server and here. */
const cpuOf = async (child: ChildProcess, port: number, requests: ReadonlyArray<Prepared>, lanes: number) => {
  const [before, here] = [await serverCpu(child), process.cpuUsage()]
  const { seconds } = await runAll(port, requests, lanes)
  const { system, user } = process.cpuUsage(here)
  return { seconds, server: (await serverCpu(child)) - before, client: system + user }
}

export const measureHttp = async (): Promise<HttpCeiling> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("httpCeilingServer.ts", import.meta.url))], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  try {
    const port = await told(child)
    const times = (count: number, request: Prepared): ReadonlyArray<Prepared> => Array.from({ length: count }, () => request)
    const server = { port, ...keys }
    const small = times(answers, prepare(server, "GET", "/object"))
    await runAll(port, small, parallel)
    const one = await cpuOf(child, port, small, parallel)
    const nanos = async (request: Prepared) => {
      await runAll(port, [request], 1)
      const cost = await cpuOf(child, port, times(largeCount, request), 1)
      return { server: (cost.server * 1000) / largeCount / largeBytes, client: (cost.client * 1000) / largeCount / largeBytes }
    }
    return {
      perSecond: answers / one.seconds, serverMicros: one.server / answers, clientMicros: one.client / answers,
      up: await nanos(prepare(server, "PUT", "/large", { body: [randomBytes(largeBytes)] })),
      down: await nanos(prepare(server, "GET", "/large"))
    }
  } finally {
    child.removeAllListeners("exit").kill("SIGKILL")
  }
}
