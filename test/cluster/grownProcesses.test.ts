/** Processes: a node that has served alone for a while becomes the first of three members, and goes; whatever it had is at the two others, with its past. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import {
  CompleteMultipartUploadCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, ListObjectVersionsCommand, ListPartsCommand,
  PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand
} from "@aws-sdk/client-s3"
import { afterAll, expect, it } from "vitest"
import { seededRandom } from "../../sim/Random.ts"
import { hashOf } from "../../src/base/hash.ts"
import { type Server, startServer } from "../e2e/server.ts"
import { type Host, ouroboros, Trio } from "./Trio.ts"

const trio = await Trio.open([])
afterAll(() => trio.dispose())

const partBytes = 5 * 1024 * 1024
const noise = (seed: number, bytes: number): Uint8Array => seededRandom(seed).bytes(bytes)

/** What a client says with each request: as of which commit. */
const moment: { at: number | undefined } = { at: undefined }

const clientOf = ({ accessKey, s3, secretKey }: Server): S3Client => {
  const client = new S3Client({ endpoint: s3, region: "us-east-1", forcePathStyle: true, credentials: { accessKeyId: accessKey, secretAccessKey: secretKey } })
  client.middlewareStack.add((next) => (args) => {
    if (moment.at !== undefined) (args.request as { headers: Record<string, string> }).headers["x-ouroboros-as-of"] = String(moment.at)
    return next(args)
  }, { step: "build" })
  return client
}

const read = async (s3: S3Client, Bucket: string, Key: string, VersionId?: string): Promise<string> => {
  try {
    const { Body, ETag } = await s3.send(new GetObjectCommand({ Bucket, Key, ...(VersionId === undefined ? {} : { VersionId }) }))
    return `${ETag} ${hashOf(await Body!.transformToByteArray())}`
  } catch (error) {
    return (error as Error).name
  }
}

/** Everything that a client can ask about what was there: now, by version, and as of each commit. */
const seen = async (s3: S3Client, last: number, upload: string): Promise<ReadonlyArray<string>> => {
  const lines: Array<string> = []
  const { DeleteMarkers = [], Versions = [] } = await s3.send(new ListObjectVersionsCommand({ Bucket: "kept" }))
  for (const { ETag, IsLatest, Key, LastModified, VersionId } of Versions) {
    lines.push(`${Key} ${VersionId} ${ETag} ${IsLatest} ${LastModified?.toISOString()} ${await read(s3, "kept", Key!, VersionId)}`)
  }
  lines.push(...DeleteMarkers.map(({ Key, VersionId }) => `${Key} ${VersionId} deleted`))
  for (const key of ["note", "gone", "large", "text"]) lines.push(`plain/${key} ${await read(s3, "plain", key)}`)
  for (let at = 1; at <= last; at += 1) {
    moment.at = at
    for (const Bucket of ["plain", "kept"]) {
      const names = await s3.send(new ListObjectsV2Command({ Bucket })).then(({ Contents = [] }) => Contents.map(({ Key, Size }) => `${Key} ${Size}`).join(), (error: unknown) => (error as Error).name)
      lines.push(`${Bucket}@${at}: ${names}`)
    }
    for (const key of ["note", "gone", "text"]) lines.push(`plain/${key}@${at} ${await read(s3, "plain", key)}`)
  }
  moment.at = undefined
  const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket: "kept", Key: "under-way", UploadId: upload }))
  return [...lines, ...Parts.map(({ ETag, PartNumber, Size }) => `part ${PartNumber} ${ETag} ${Size}`)]
}

/** Versions, history, uploads, deletions; the last of it lies in the journal when the node stops. */
const live = async (s3: S3Client): Promise<string> => {
  const put = (Bucket: string, Key: string, Body: Uint8Array) => s3.send(new PutObjectCommand({ Bucket, Key, Body }))
  await s3.send(new CreateBucketCommand({ Bucket: "plain" }))
  await s3.send(new CreateBucketCommand({ Bucket: "kept" }))
  await s3.send(new PutBucketVersioningCommand({ Bucket: "kept", VersioningConfiguration: { Status: "Enabled" } }))
  for (const seed of [1, 2, 3]) {
    await put("plain", "note", noise(seed, 40))
    await put("plain", "text", noise(10 + seed, 70_000))
    await put("kept", "note", noise(20 + seed, 30_000 * seed))
  }
  await put("plain", "gone", noise(4, 50_000))
  await s3.send(new DeleteObjectCommand({ Bucket: "plain", Key: "gone" }))
  await s3.send(new DeleteObjectCommand({ Bucket: "kept", Key: "note" }))
  const begin = async (Bucket: string, Key: string) => (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!
  const part = async (Bucket: string, Key: string, UploadId: string, PartNumber: number, bytes: number) =>
    ({ PartNumber, ETag: (await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: noise(30 + PartNumber, bytes) }))).ETag })
  const large = await begin("plain", "large")
  const Parts = [await part("plain", "large", large, 1, partBytes), await part("plain", "large", large, 2, 100_000)]
  await s3.send(new CompleteMultipartUploadCommand({ Bucket: "plain", Key: "large", UploadId: large, MultipartUpload: { Parts } }))
  const upload = await begin("kept", "under-way")
  await part("kept", "under-way", upload, 1, partBytes)
  await put("kept", "note", noise(5, 20_000))
  return upload
}

const blocksOf = ({ data }: Host): ReadonlyArray<string> => readdirSync(join(data, "blocks"), { recursive: true }).map(String).filter((name) => name.endsWith(".block"))

const until = async (what: string, holds: () => boolean, msMax = 60_000): Promise<void> => {
  for (const beganMs = performance.now(); !holds();) {
    if (performance.now() - beganMs > msMax) throw new Error(`not within ${msMax} ms: ${what}\n${trio.logs()}`)
    await new Promise((resolve) => void setTimeout(resolve, 100))
  }
}

it("processes: a node that served alone becomes the first of three and is killed; what it had, the two others have, as of every commit, and go on", async () => {
  const data = join(trio.home, "ada")
  const alone = await startServer({ data })
  const first = clientOf(alone)
  const upload = await live(first)
  const last = Number((await fetch(`${alone.s3}/`)).headers.get("x-ouroboros-commit"))
  const before = await seen(first, last, upload)
  expect(before.filter((line) => line.includes("@") && !line.includes("NoSuch")).length).toBeGreaterThan(last)
  await expect(ouroboros(["cluster", "init", "--data", data])).rejects.toThrow(/in use/)
  await alone.stop()
  first.destroy()
  const ada = await trio.add("ada")
  expect(ada.server?.accessKey).toBe(alone.accessKey)
  const bob = await trio.add("bob")
  const cyd = await trio.add("cyd")
  await trio.vote(3)
  await until("the others have its blocks", () => [bob, cyd].every((host) => blocksOf(ada).every((block) => blocksOf(host).includes(block))))
  await trio.stop(ada, "SIGKILL")
  await trio.until("another leads", ({ leader, quorum }) => leader !== null && quorum)
  for (const host of [bob, cyd]) {
    const client = clientOf(host.server!)
    expect(await seen(client, last, upload), host.name).toEqual(before)
    client.destroy()
  }
  const s3 = clientOf(cyd.server!)
  const { Parts = [] } = await s3.send(new ListPartsCommand({ Bucket: "kept", Key: "under-way", UploadId: upload }))
  await s3.send(new CompleteMultipartUploadCommand({
    Bucket: "kept", Key: "under-way", UploadId: upload, MultipartUpload: { Parts: Parts.map(({ ETag, PartNumber }) => ({ ETag, PartNumber })) }
  }))
  await trio.start(ada)
  const back = clientOf(ada.server!)
  expect(await read(back, "kept", "under-way")).toContain(hashOf(noise(31, partBytes)))
  expect(await ouroboros(["verify", ...trio.at(ada)])).toContain("everything is as it was written")
  s3.destroy()
  back.destroy()
}, 240_000)
