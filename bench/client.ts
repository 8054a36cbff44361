/** A lean S3 client for measurements: keep-alive sockets, signed headers, unsigned payloads. */
import { Agent, request } from "node:http"
import { unsignedPayload, signRequest } from "../src/gateway/s3/SigV4.ts"
import type { BenchServer } from "./server.ts"

export interface BenchClient {
  readonly put: (path: string, body: Buffer) => Promise<void>
  /** Bytes received. */
  readonly get: (path: string) => Promise<number>
  readonly close: () => void
}

export const makeBenchClient = (server: BenchServer, sockets: number): BenchClient => {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets })
  const call = (method: string, target: string, body: Buffer | undefined): Promise<number> =>
    new Promise((resolve, reject) => {
      const host = `127.0.0.1:${server.port}`
      const headers = signRequest(
        { method, target, host, headers: [] }, { ...server, region: "us-east-1" }, Date.now(), unsignedPayload
      )
      const outgoing = request({
        agent, host: "127.0.0.1", port: server.port, method, path: target,
        headers: { ...Object.fromEntries(headers), "content-length": String(body?.length ?? 0) }
      }, (incoming) => {
        let size = 0
        incoming.on("data", (bytes: Buffer) => { size += bytes.length })
        incoming.on("end", () => (incoming.statusCode === 200 ? resolve(size) : reject(new Error(`${method} ${target}: ${incoming.statusCode}`))))
        incoming.on("error", reject)
      })
      outgoing.on("error", reject)
      outgoing.end(body)
    })
  return {
    put: async (path, body) => void (await call("PUT", path, body)),
    get: (path) => call("GET", path, undefined),
    close: () => agent.destroy()
  }
}

/** Runs `count` jobs, `parallel` at a time; seconds for all. */
export const timed = async (count: number, parallel: number, job: (index: number) => Promise<unknown>): Promise<number> => {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next
      next += 1
      await job(index)
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: parallel }, lane))
  return (performance.now() - start) / 1000
}
