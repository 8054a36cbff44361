/** Rollback, branch and diff by the command, on the real server, seen through the AWS SDK; and on the folder of a stopped one. */
import {
  CompleteMultipartUploadCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteBucketCommand, DeleteObjectCommand, GetObjectCommand,
  ListObjectsV2Command, PutObjectCommand, S3Client, UploadPartCommand
} from "@aws-sdk/client-s3"
import { randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer, temporaryFolder } from "./server.ts"

const data = `${temporaryFolder("rollback")}/data`
let server: Server
let s3: S3Client
let beforeLater = 0
let addresses: Record<string, string> = {}

const ouroboros = async (...args: ReadonlyArray<string>) => {
  const done = await runCommand(process.execPath, [commandPath, ...args], { env: cleanEnvironment({ OUROBOROS_DATA: data, ...addresses }), msMax: 30_000 })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

const put = (Bucket: string, Key: string, Body: string | Uint8Array) => s3.send(new PutObjectCommand({ Bucket, Key, Body }))
const remove = (Bucket: string, Key: string) => s3.send(new DeleteObjectCommand({ Bucket, Key }))
const text = async (Bucket: string, Key: string): Promise<string> => (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString()

/** Every key with its text, in order. */
const content = async (Bucket: string): Promise<Record<string, string>> => {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }))
  return Object.fromEntries(await Promise.all(Contents.map(async ({ Key }) => [Key, await text(Bucket, Key!)] as const)))
}

const head = async (): Promise<number> => (JSON.parse((await ouroboros("status", "--json")).out) as { head: { commit: number } }).head.commit

beforeAll(async () => {
  server = await startServer({ data })
  addresses = { OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }
  s3 = new S3Client({
    endpoint: server.s3, region: "us-east-1", forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
  })
}, 120_000)

afterAll(async () => {
  s3?.destroy()
  await server?.dispose()
  rmSync(dirname(data), { recursive: true, force: true })
})

describe("rollback, branch, diff", () => {
  it("puts a bucket back, says how to undo it, and is undone by that", async () => {
    await s3.send(new CreateBucketCommand({ Bucket: "photos" }))
    await put("photos", "changed", "1")
    await put("photos", "gone", "1")
    await put("photos", "kept", "1")
    const then = await head()
    await put("photos", "changed", "2")
    await remove("photos", "gone")
    await put("photos", "new", "2")
    const dry = await ouroboros("rollback", "photos", "--to", String(then), "--dry-run")
    expect([dry.code, dry.out]).toEqual([0, expect.stringContaining("1 key added, 1 removed, 1 changed. Nothing was changed.")])
    const late = { changed: "2", kept: "1", new: "2" }
    expect(await content("photos")).toEqual(late)
    const done = await ouroboros("rollback", "photos", "--to", String(then))
    expect(done.code, done.error).toBe(0)
    expect(await content("photos")).toEqual({ changed: "1", gone: "1", kept: "1" })
    const undo = /to undo it: ouroboros (rollback photos --to \d+)/.exec(done.out)?.[1]
    expect((await ouroboros(...undo!.split(" "))).code).toBe(0)
    expect(await content("photos")).toEqual(late)
    expect((await ouroboros("cat", "s3://photos/gone", "--as-of", String(then))).out).toBe("1")
    const log = (await ouroboros("log", "s3://photos")).out.split("\n")
    expect(log.slice(0, 2)).toEqual([expect.stringMatching(/ rollback +to what commit \d+ shows$/), expect.stringMatching(/ rollback +to what/)])
    const refused = await ouroboros("rollback", "photos", "--to", "0")
    expect([refused.code, refused.error]).toEqual([6, expect.stringContaining("was made after that commit")])
    expect((await ouroboros("rollback", "photos", "--to", "99999")).error).toContain("AsOfInFuture")
    expect((await ouroboros("rollback", "photos", "--to", "soon")).error).toContain("--to \"soon\"")
  }, 120_000)

  it("branches a bucket: each goes its own way, large objects too, and a diff tells them apart", async () => {
    const large = randomBytes(6 * 1024 * 1024)
    const upload = { Bucket: "photos", Key: "large" }
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(upload))
    const parts = [large.subarray(0, 5 * 1024 * 1024), large.subarray(5 * 1024 * 1024)]
    const Parts = await Promise.all(parts.map(async (Body, index) =>
      ({ PartNumber: index + 1, ETag: (await s3.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: index + 1, Body }))).ETag })))
    await s3.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }))
    expect((await ouroboros("branch", "photos", "trial")).out).toContain("trial is a branch of photos")
    await put("trial", "changed", "3")
    await remove("trial", "kept")
    beforeLater = await head()
    await put("photos", "later", "4")
    await remove("photos", "large")
    const bytes = await (await s3.send(new GetObjectCommand({ Bucket: "trial", Key: "large" }))).Body!.transformToByteArray()
    expect(Buffer.compare(bytes, large)).toBe(0)
    expect(await content("photos")).toEqual({ changed: "2", kept: "1", later: "4", new: "2" })
    const diff = await ouroboros("diff", "photos", "--with", "trial")
    expect(diff.out.split("\n").slice(0, 4).map((line) => line.replace(/ {2}.*/, ""))).toEqual(["~ changed", "- kept", "+ large", "- later"])
    expect(diff.out).toContain("1 key added, 2 removed, 1 changed")
    const asked = ["diff", "s3://photos/la", "--with", "trial", "--json"]
    const entries = (await ouroboros(...asked)).out.trim().split("\n").map((line) => JSON.parse(line) as { change: string; key: string })
    expect(entries.map(({ change, key }) => [change, key])).toEqual([["added", "large"], ["removed", "later"]])
    expect((await ouroboros(...asked, "--exit-code")).code).toBe(1)
    expect((await ouroboros("diff", "photos", "--from", String(await head()), "--exit-code")).code).toBe(0)
    expect((await ouroboros("diff", "photos")).code).toBe(2)
    const slip = await ouroboros("diff", "photos", "--with", "trail")
    expect([slip.code, slip.error]).toEqual([3, expect.stringContaining("there is no bucket trail")])
    expect((await ouroboros("branch", "photos", "trial")).code).toBe(6)
    expect((await ouroboros("branch", "photos", "Not_A_Name")).error).toContain("InvalidBucketName")
    expect((await ouroboros("branch", "nowhere", "somewhere")).code).toBe(3)
  }, 120_000)

  it("brings back a bucket that was deleted, and works on the folder of a stopped node", async () => {
    const then = await head()
    for (const Key of Object.keys(await content("trial"))) await remove("trial", Key)
    await s3.send(new DeleteBucketCommand({ Bucket: "trial" }))
    expect((await ouroboros("branch", "trial", "back", "--as-of", String(then))).code).toBe(0)
    expect((await content("back"))["changed"]).toBe("3")
    await server.stop()
    const stopped = await ouroboros("rollback", "back", "--to", "0", "--json")
    expect([stopped.code, stopped.error]).toEqual([6, expect.stringContaining("BucketBornLater")])
    expect((await ouroboros("branch", "photos", "offline")).code).toBe(0)
    const commit = await head()
    expect((await ouroboros("rollback", "photos", "--to", String(beforeLater))).code).toBe(0)
    const diff = await ouroboros("diff", "photos", "--from", String(commit))
    expect([diff.code, diff.out]).toEqual([0, expect.stringMatching(/^\+ large .*\n- later .*\nphotos at commit/)])
  }, 120_000)
})
