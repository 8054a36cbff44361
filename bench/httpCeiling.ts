/** httpCeiling: what node:http and the client of these measurements can do at best: a server in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Ceilings } from "./ceilings.ts"
import { keys } from "./server.ts"
import { prepare, runAll } from "./wire.ts"

const answers = 30_000
const parallel = 64

const portOf = (child: ChildProcess): Promise<number> =>
  new Promise((resolve, reject) => {
    child.once("message", (port) => resolve(port as number))
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`the server of the HTTP ceiling ended with ${code}`)))
  })

export const measureHttp = async (): Promise<Pick<Ceilings, "httpPerSecond" | "clientMicros">> => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("httpCeilingServer.ts", import.meta.url))], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  try {
    const port = await portOf(child)
    const request = prepare({ port, ...keys }, "GET", "/bench/object")
    const requests = Array.from({ length: answers }, () => request)
    await runAll(port, requests, parallel)
    const before = process.cpuUsage()
    const { seconds } = await runAll(port, requests, parallel)
    const { system, user } = process.cpuUsage(before)
    return { httpPerSecond: answers / seconds, clientMicros: (system + user) / answers }
  } finally {
    child.removeAllListeners("exit").kill("SIGKILL")
  }
}
