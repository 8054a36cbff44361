/** Objects with an end, against the real server: by the command, by the AWS SDK, by the node's default. */
import { CreateBucketCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
import { afterAll, expect, it } from "vitest"
import { cleanEnvironment, commandPath, runCommand, type Server, startServer } from "./server.ts"

let server: Server
let s3: S3Client
afterAll(async () => {
  s3?.destroy()
  await server?.dispose()
})

const ouroboros = async (args: ReadonlyArray<string>, input = "") => {
  const done = await runCommand(process.execPath, [commandPath, ...args], {
    env: cleanEnvironment({ OUROBOROS_DATA: server.data, OUROBOROS_S3: `127.0.0.1:${server.s3Port}`, OUROBOROS_ADMIN: `127.0.0.1:${server.adminPort}` }),
    msMax: 30_000, input
  })
  return { code: done.code, out: done.stdout.toString("utf8"), error: done.stderr }
}

const keys = async (): Promise<ReadonlyArray<string | undefined>> =>
  ((await s3.send(new ListObjectsV2Command({ Bucket: "ends" }))).Contents ?? []).map(({ Key }) => Key)

it("what was given seconds is gone after them, from reads, listings and soon from the store; the rest stays", async () => {
  server = await startServer({ config: { ttlDefaultSeconds: 3 } })
  s3 = new S3Client({
    endpoint: server.s3, region: "us-east-1", forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey }
  })
  await s3.send(new CreateBucketCommand({ Bucket: "ends" }))
  expect((await ouroboros(["cp", "-", "s3://ends/week", "--ttl", "7d"], "week")).code).toBe(0)
  expect((await ouroboros(["cp", "-", "s3://ends/kept", "--ttl", "none"], "kept")).code).toBe(0)
  const wrong = await ouroboros(["cp", "-", "s3://ends/wrong", "--ttl", "soon"], "x")
  expect([wrong.code, wrong.error]).toEqual([2, expect.stringContaining("--ttl soon")])
  const stored = await s3.send(new PutObjectCommand({ Bucket: "ends", Key: "short", Body: "short" }))
  const head = await s3.send(new HeadObjectCommand({ Bucket: "ends", Key: "short" }))
  expect(head.Expiration).toBe(stored.Expiration)
  expect(head.Expiration).toMatch(/^expiry-date="[A-Z][a-z]{2}, .* GMT", rule-id="x-ouroboros-ttl"$/)
  const week = await s3.send(new HeadObjectCommand({ Bucket: "ends", Key: "week" }))
  const days = (Date.parse(/expiry-date="([^"]*)"/.exec(week.Expiration ?? "")?.[1] ?? "") - Number(week.LastModified)) / 86_400_000
  expect(days).toBeCloseTo(7, 3)
  for (let turn = 0; turn < 60 && (await keys()).includes("short"); turn += 1) await new Promise((resolve) => { setTimeout(resolve, 100) })
  expect(await keys()).toEqual(["kept", "week"])
  await expect(s3.send(new GetObjectCommand({ Bucket: "ends", Key: "short" }))).rejects.toThrow("The specified key does not exist.")
  const state = async (): Promise<string | undefined> =>
    (JSON.parse((await ouroboros(["log", "s3://ends/short", "--json"])).out.trim().split("\n")[0] ?? "{}") as { state?: string }).state
  for (let turn = 0; turn < 20 && (await state()) !== "hidden"; turn += 1) await new Promise((resolve) => { setTimeout(resolve, 200) })
  expect(await state()).toBe("hidden")
}, 60_000)
