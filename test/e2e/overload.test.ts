/** Too much at once, at the real server with tiny limits: SlowDown with Retry-After, the admin address at ease, and full recovery. */
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { createHash, randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { askAdmin, type Server, startServer } from "./server.ts"
import { call, encodePath, head, sign } from "./wire.ts"

const MiB = 1024 * 1024
const requestsMax = 4
const large = randomBytes(32 * MiB)
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

interface Load {
  readonly requests: { readonly used: number; readonly waiting: number; readonly refused: number }
  readonly uploadBytes: { readonly used: number; readonly waiting: number }
  readonly downloadBytes: { readonly used: number; readonly waiting: number; readonly total: number }
}

let server: Server
const load = async (): Promise<Load> => ((await askAdmin(server, "GET", "/v1/status")).body as { readonly load: Load }).load

const until = async (what: string, done: (load: Load) => boolean): Promise<Load> => {
  for (let turn = 0; turn < 200; turn += 1) {
    const now = await load()
    if (done(now)) return now
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${what} never came: ${JSON.stringify(await load())}`)
}

const isIdle = ({ downloadBytes, requests, uploadBytes }: Load): boolean =>
  requests.used + requests.waiting + downloadBytes.used + downloadBytes.waiting + uploadBytes.used + uploadBytes.waiting === 0

/** Sends the head of a request and reads nothing of the answer. */
const begin = (method: string, key: string, headers: Readonly<Record<string, string>> = {}): Socket => {
  const signed = sign(server, { method, path: encodePath("busy", key), headers })
  const socket = connect(server.s3Port, "127.0.0.1").on("error", () => undefined)
  socket.pause().write(head(method, signed.target, signed.headers))
  return socket
}

beforeAll(async () => {
  server = await startServer({
    config: { requestsMax, requestsQueuedMax: 2, requestsWaitMs: 200, readMemoryBytes: 16 * MiB, bodyMemoryBytes: 64 * MiB, stallMs: 3000 }
  })
  for (const what of [{}, { key: "large", body: large }, { key: "small", body: "small" }]) {
    const { status } = await call(server, { method: "PUT", bucket: "busy", ...what })
    if (status !== 200) throw new Error(`the scene was answered ${status}`)
  }
}, 60_000)

afterAll(() => server?.dispose())

describe("overload", () => {
  it("what is too much is told to slow down, an SDK's retry comes through, and afterwards all is as before", async () => {
    const slow = Array.from({ length: requestsMax }, () => begin("GET", "large"))
    await until("every place taken", ({ requests }) => requests.used === requestsMax)
    const answers = await Promise.all(Array.from({ length: 40 }, () => call(server, { method: "GET", bucket: "busy", key: "small" })))
    expect(new Set(answers.map(({ status, code, headers }) => `${status} ${code} ${headers["retry-after"]}`))).toEqual(new Set(["503 SlowDown 2"]))
    expect((await load()).requests.refused).toBeGreaterThanOrEqual(40)
    expect((await askAdmin(server, "GET", "/health/live")).status).toBe(200)
    const s3 = new S3Client({
      endpoint: server.s3, region: "us-east-1", forcePathStyle: true, maxAttempts: 10,
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
    })
    const retried = s3.send(new GetObjectCommand({ Bucket: "busy", Key: "small" }))
    const written = s3.send(new PutObjectCommand({ Bucket: "busy", Key: "written", Body: "under load" }))
    await new Promise((resolve) => setTimeout(resolve, 400))
    for (const socket of slow) socket.destroy()
    const got = await retried
    expect(await got.Body!.transformToString()).toBe("small")
    expect(got.$metadata.attempts).toBeGreaterThan(1)
    expect((await written).$metadata.attempts).toBeGreaterThan(1)
    s3.destroy()
    await until("rest", isIdle)
    for (let turn = 0; turn < 10; turn += 1) {
      const again = await Promise.all(Array.from({ length: requestsMax }, () => call(server, { method: "GET", bucket: "busy", key: "small" })))
      expect(again.map(({ status }) => status)).toEqual(again.map(() => 200))
    }
    expect((await call(server, { method: "GET", bucket: "busy", key: "written" })).body.toString()).toBe("under load")
  }, 60_000)

  it("a large upload waits for the memory of one that stands still, which is cut in time; small ones do not wait", async () => {
    const still = begin("PUT", "still", { "content-length": String(200 * MiB) })
    await until("the memory taken", ({ uploadBytes }) => uploadBytes.used === 64 * MiB)
    const waiting = call(server, { method: "PUT", bucket: "busy", key: "second", body: large.subarray(0, 3 * MiB) })
    await until("the wait", ({ uploadBytes }) => uploadBytes.waiting === 1)
    expect((await call(server, { method: "PUT", bucket: "busy", key: "tiny", body: "tiny" })).status).toBe(200)
    expect((await waiting).status).toBe(200)
    still.destroy()
    await until("rest", isIdle)
  }, 60_000)

  it("clients that go away in the middle leave nothing under way, and what was there is whole", async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      const readers = [begin("GET", "large"), begin("GET", "large")]
      const writer = begin("PUT", "half", { "content-length": String(40 * MiB) })
      writer.write(large.subarray(0, (turn + 1) * 5 * MiB))
      await until("work", ({ downloadBytes, uploadBytes }) => downloadBytes.used > 0 && uploadBytes.used > 0)
      await new Promise((resolve) => setTimeout(resolve, 40 * turn))
      for (const socket of [...readers, writer]) socket.destroy()
      await until("rest", isIdle)
    }
    expect((await call(server, { method: "GET", bucket: "busy", key: "half" })).status).toBe(404)
    const whole = await call(server, { method: "GET", bucket: "busy", key: "large" })
    expect([whole.status, sha256(whole.body)]).toEqual([200, sha256(large)])
  }, 60_000)

  it("copies that need memory for reading and for writing come through, however many at once", async () => {
    const copies = Array.from({ length: requestsMax }, (_, index) => call(server, {
      method: "PUT", bucket: "busy", key: `copy${index}`, headers: { "x-amz-copy-source": "/busy/large", "x-amz-checksum-algorithm": "SHA256" }
    }))
    const most = await until("work", ({ uploadBytes, downloadBytes }) => uploadBytes.waiting > 0 && downloadBytes.used > 0)
    expect(most.uploadBytes.used, "one copy at a time has the memory").toBe(64 * MiB)
    for (const { body, status } of await Promise.all(copies)) {
      expect([status, body.toString()]).toEqual([200, expect.stringContaining(createHash("sha256").update(large).digest("base64"))])
    }
    await until("rest", isIdle)
  }, 60_000)

  it("few file descriptors: fewer connections are taken, which is said, and a flood of them stops nothing", async () => {
    // Above what the store keeps for itself there is room for 68 connections.
    const few = await startServer({ wrapper: ["bash", "-c", "ulimit -n 900 && exec \"$0\" \"$@\""] })
    try {
      // Only Linux tells a process's limits.
      const isTold = existsSync("/proc/self/limits")
      expect(few.output().includes("at most 68 S3 connections are taken instead of 10000")).toBe(isTold)
      const { warnings } = (await askAdmin(few, "GET", "/v1/status")).body as { readonly warnings: ReadonlyArray<string> }
      expect(warnings.join().includes("raise the limit of open files (ulimit -n) to 10832")).toBe(isTold)
      expect((await call(few, { method: "PUT", bucket: "few" })).status).toBe(200)
      const flood = Array.from({ length: 400 }, () => connect(few.s3Port, "127.0.0.1").on("error", () => undefined).resume())
      await new Promise((resolve) => setTimeout(resolve, 300))
      // The connection that was there goes on, with files to open and to write.
      expect((await call(few, { method: "PUT", bucket: "few", key: "k", body: large.subarray(0, 20 * MiB) })).status).toBe(200)
      expect((await call(few, { method: "GET", bucket: "few", key: "k" })).body.equals(large.subarray(0, 20 * MiB))).toBe(true)
      for (const socket of flood) socket.destroy()
      expect(flood.filter((socket) => socket.bytesRead > 0)).toEqual([])
    } finally {
      await few.dispose()
    }
  }, 60_000)
})
