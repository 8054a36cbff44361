/** Deletion that frees space, on the real server: ouroboros gc shrinks the folder, a killed collection is gone on with, a folder of format 1 is brought along. */
import {
  CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client
} from "@aws-sdk/client-s3"
import { randomBytes } from "node:crypto"
import { cpSync, lstatSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import type { GcReport } from "../../src/gc.ts"
import { differences, goldenConfig, goldenEnv } from "../golden/script.ts"
import { cleanEnvironment, commandPath, projectRoot, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"

const own = temporaryFolder("gc")
const config = { retentionDays: 0, settleAgeMs: 500 }
const objectBytes = 2_000_000

afterAll(() => rmSync(own, { recursive: true, force: true }))

const clientOf = (server: Server): S3Client => new S3Client({
  endpoint: server.s3, region: "us-east-1", forcePathStyle: true, maxAttempts: 1,
  credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
})

const gc = async (data: string, server: Server | undefined, ...args: ReadonlyArray<string>) => {
  const admin = server === undefined ? "127.0.0.1:1" : `127.0.0.1:${server.adminPort}`
  return await runCommand(process.execPath, [commandPath, "gc", ...args], { env: cleanEnvironment({ OUROBOROS_DATA: data, OUROBOROS_ADMIN: admin }), msMax: 60_000 })
}

const reportOf = (stdout: Buffer): GcReport => JSON.parse(stdout.toString("utf8")) as GcReport

const bytesIn = (folder: string): number =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .reduce((sum, entry) => sum + (entry.isFile() ? lstatSync(join(entry.parentPath, entry.name)).size : 0), 0)

const put = (s3: S3Client, Key: string, Body: Uint8Array) => s3.send(new PutObjectCommand({ Bucket: "bkt", Key, Body }))
const get = async (s3: S3Client, Key: string): Promise<Uint8Array> => (await s3.send(new GetObjectCommand({ Bucket: "bkt", Key }))).Body!.transformToByteArray()

describe("gc on the real server", () => {
  it("what is deleted leaves the folder by ouroboros gc --now, what is left reads as it was, also on a stopped folder", { timeout: 90_000 }, async () => {
    const data = join(own, "shrinks")
    const server = await startServer({ data, config })
    const s3 = clientOf(server)
    await s3.send(new CreateBucketCommand({ Bucket: "bkt" }))
    const kept = randomBytes(objectBytes)
    for (let number = 0; number < 12; number += 1) await put(s3, `k${number}`, randomBytes(objectBytes))
    await put(s3, "kept", kept)
    const waited = reportOf((await gc(data, server, "--json")).stdout)
    expect(waited.freed.chunks).toBe(0)
    const full = bytesIn(join(data, "blocks"))
    expect(full).toBeGreaterThan(12 * objectBytes)
    for (let number = 0; number < 12; number += 1) await s3.send(new DeleteObjectCommand({ Bucket: "bkt", Key: `k${number}` }))
    const grace = await gc(data, server)
    expect(grace.stdout.toString("utf8")).toContain("grace time")
    const told = await gc(data, server, "--now")
    expect(told.stderr).toBe("")
    expect(told.stdout.toString("utf8")).toMatch(/chunks freed +\d\d/)
    expect(bytesIn(join(data, "blocks"))).toBeLessThan(1.5 * objectBytes)
    expect(Buffer.compare(await get(s3, "kept"), kept)).toBe(0)
    await s3.send(new DeleteObjectCommand({ Bucket: "bkt", Key: "kept" }))
    await server.stop()
    s3.destroy()
    // A stopped folder's history is not known to be unwanted, so it stays.
    const stopped = await gc(data, undefined, "--now", "--json")
    expect(stopped.stderr).toBe("")
    expect(reportOf(stopped.stdout).remaining.liveBytes).toBeGreaterThanOrEqual(objectBytes)
  })

  it("killed in the middle of a collection, again and again, it loses nothing, and the next one ends it", { timeout: 120_000 }, async () => {
    const data = join(own, "killed")
    let server = await startServer({ data, config })
    let s3 = clientOf(server)
    await s3.send(new CreateBucketCommand({ Bucket: "bkt" }))
    const expected = new Map<string, Uint8Array>()
    for (let life = 0; life < 3; life += 1) {
      for (let number = 0; number < 8; number += 1) {
        const key = `k${life}-${number}`
        const bytes = randomBytes(objectBytes / 4)
        await put(s3, key, bytes)
        if (number % 4 === 0) expected.set(key, bytes)
        else await s3.send(new DeleteObjectCommand({ Bucket: "bkt", Key: key }))
      }
      const collecting = gc(data, server, "--now")
      await new Promise((resolve) => { setTimeout(resolve, 250 + 70 * life) })
      await server.kill()
      await collecting
      s3.destroy()
      server = await startServer({ data, config })
      s3 = clientOf(server)
      for (const [key, bytes] of expected) expect(Buffer.compare(await get(s3, key), bytes), key).toBe(0)
    }
    const report = reportOf((await gc(data, server, "--now", "--json")).stdout)
    expect(report.remaining).toMatchObject({ condemnedChunks: 0, condemnedBytes: 0 })
    expect(report.remaining.blockBytes).toBeLessThan(1.5 * expected.size * objectBytes / 4)
    expect((await s3.send(new ListObjectsV2Command({ Bucket: "bkt" }))).KeyCount).toBe(expected.size)
    for (const [key, bytes] of expected) expect(Buffer.compare(await get(s3, key), bytes), key).toBe(0)
    s3.destroy()
    await server.stop()
  })

  it("a folder of format 1 is marked anew, recorded, and collected", { timeout: 60_000 }, async () => {
    const data = join(own, "old")
    cpSync(join(projectRoot, "test/golden/folder-1"), data, { recursive: true })
    const format = (): unknown => (JSON.parse(readFileSync(join(data, "ouroboros.json"), "utf8")) as { readonly format: unknown }).format
    expect(format()).toBe(1)
    const server = await startServer({ data, config: goldenConfig, env: goldenEnv })
    expect(format()).toBeGreaterThan(1)
    const collected = await runCommand(process.execPath, [commandPath, "gc", "--now", "--json"], {
      env: cleanEnvironment({ ...goldenEnv, OUROBOROS_DATA: data, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }), msMax: 60_000
    })
    expect(collected.stderr).toBe("")
    expect(reportOf(collected.stdout).remaining.waiting.join()).not.toContain("format 1")
    expect(await differences(server)).toEqual([])
    await server.stop()
  })
})
