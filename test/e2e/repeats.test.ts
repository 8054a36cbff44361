/** An object that holds the same chunk many times: one reading of it serves several places of one answer. */
import { afterAll, expect, it } from "vitest"
import { type Server, startServer } from "./server.ts"
import { call, closeConnections } from "./wire.ts"

const MiB = 1024 * 1024
let server: Server | undefined

afterAll(async () => {
  if (server !== undefined) closeConnections(server)
  await server?.dispose()
})

it("an object whose chunks are all the same comes back whole, again and again", async () => {
  const running = await startServer({ config: { chunkAverageBytes: 64 * 1024 } })
  server = running
  await call(running, { method: "PUT", bucket: "repeats" })
  for (const bytes of [Buffer.alloc(20 * MiB + 5, 7), Buffer.alloc(20 * MiB, "a text that comes again; ")]) {
    expect((await call(running, { method: "PUT", bucket: "repeats", key: "k", body: bytes })).status).toBe(200)
    for (let times = 0; times < 3; times++) {
      const got = await call(running, { method: "GET", bucket: "repeats", key: "k" })
      expect([got.status, got.body.equals(bytes)]).toEqual([200, true])
    }
  }
}, 60_000)
