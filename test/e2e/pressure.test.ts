/** A node that may hold less memory than it does: its caches give way, and everything is served. */
import { afterAll, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer } from "./server.ts"
import { call, closeConnections } from "./wire.ts"

const MiB = 1024 * 1024
let server: Server | undefined

afterAll(async () => {
  if (server !== undefined) closeConnections(server)
  await server?.dispose()
})

interface Caches {
  readonly share: number
  readonly chunks: { readonly bytes: number; readonly bytesMax: number; readonly hits: number }
}

const cachesOf = async (running: Server): Promise<Caches> => {
  const done = await runCommand(process.execPath, [commandPath, "status", "--json"], {
    env: cleanEnvironment({ OUROBOROS_DATA: running.data, OUROBOROS_ADMIN: `127.0.0.1:${running.adminPort}` }), msMax: 30_000
  })
  return (JSON.parse(done.stdout.toString("utf8")) as { readonly caches: Caches }).caches
}

const bodies = async (running: Server): Promise<void> => {
  const body = Buffer.alloc(3 * MiB, "what is read again and again; ")
  expect((await call(running, { method: "PUT", bucket: "caches" })).status).toBe(200)
  expect((await call(running, { method: "PUT", bucket: "caches", key: "k", body })).status).toBe(200)
  for (let times = 0; times < 4; times += 1) {
    const got = await call(running, { method: "GET", bucket: "caches", key: "k" })
    expect([got.status, got.body.equals(body)]).toEqual([200, true])
  }
}

it("with memory to spare, what is read again comes from the cache; without, there is none, and all is served", async () => {
  const spare = await startServer()
  server = spare
  await bodies(spare)
  const { chunks, share } = await cachesOf(spare)
  expect([share, chunks.hits > 0, chunks.bytes > 0 && chunks.bytes <= chunks.bytesMax]).toEqual([1, true, true])
  closeConnections(spare)
  await spare.dispose()
  const short = await startServer({ config: { memoryBytesMax: 64 * MiB } })
  server = short
  for (let turn = 0; turn < 40 && (await cachesOf(short)).share > 0; turn += 1) await new Promise((resolve) => { setTimeout(resolve, 100) })
  await bodies(short)
  const without = await cachesOf(short)
  expect([without.share, without.chunks.bytes, without.chunks.bytesMax, without.chunks.hits]).toEqual([0, 0, 0, 0])
}, 60_000)
