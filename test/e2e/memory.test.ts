/** Large bodies stream: the server's peak memory is bounded while 256 MiB go in and out (2 GiB with the clients). */
import { existsSync } from "node:fs"
import { afterAll, expect, it } from "vitest"
import { memoryOf, type Server, startServer } from "./server.ts"
import { streamIn, streamOut } from "./stream.ts"
import { call } from "./wire.ts"

const MiB = 1024 * 1024
let server: Server | undefined

afterAll(async () => {
  await server?.dispose()
})

it("256 MiB PUT and GET stay within 512 MiB resident", async () => {
  const running = await startServer()
  server = running
  expect((await call(running, { method: "PUT", bucket: "memory" })).status).toBe(200)
  const sent = await streamOut(running, "memory", "large", 256 * MiB)
  expect(sent.status).toBe(200)
  const got = await streamIn(running, "memory", "large")
  expect([got.status, got.sizeBytes, got.sha256]).toEqual([200, 256 * MiB, sent.sha256])
  const peak = memoryOf(running.pid, "VmHWM")
  // Only Linux tells a process's peak.
  expect(peak !== undefined).toBe(existsSync("/proc/self/status"))
  expect(peak ?? 0).toBeLessThanOrEqual(512 * MiB)
  expect(await running.stop()).toEqual({ code: 0, signal: null })
}, 120_000)
