/**
 * What the golden folders hold: a short history, the same for every format version, and what a later format added behind
 * it; and how to check it from outside.
 */
import {
  AbortMultipartUploadCommand, CreateBucketCommand, CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, ListMultipartUploadsCommand,
  ListObjectsV2Command, PutBucketVersioningCommand, PutObjectCommand, S3Client, UploadPartCommand
} from "@aws-sdk/client-s3"
import type { Server } from "../e2e/server.ts"

export const passphrase = "golden"
export const goldenEnv = { OUROBOROS_ACCESS_KEY: "golden", OUROBOROS_SECRET_KEY: "golden-secret", OUROBOROS_PASSPHRASE: passphrase }
/** Small, so that a little data passes through journal, block and checkpoint. */
export const goldenConfig = { chunkAverageBytes: 16_384, settleBytes: 100_000, settleAgeMs: 500, checkpointRows: 25, retentionDays: 36_500 }

/** Bytes that no compressor and no deduplication shortens, made from a seed. */
export const noise = (seed: number, length: number): Buffer => {
  let state = seed >>> 0 || 1
  return Buffer.from(Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  }))
}

export const clientOf = (server: Server): S3Client => new S3Client({
  endpoint: server.s3, region: "us-east-1", forcePathStyle: true,
  credentials: { accessKeyId: goldenEnv.OUROBOROS_ACCESS_KEY, secretAccessKey: goldenEnv.OUROBOROS_SECRET_KEY }
})

const bucket = "golden"
const branch = "golden-branch"

/** Asks the admin address; fails unless it says 200. */
export const admin = async (server: Server, path: string, body?: unknown): Promise<string> => {
  const answer = await fetch(`${server.admin}${path}`, {
    method: "POST", headers: { authorization: `Basic ${Buffer.from("golden:golden-secret").toString("base64")}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${text}`)
  return text
}

/** Bodies by name: what a key held when. */
export const bodies = {
  small: Buffer.from("first words"),
  smaller: Buffer.from("second thoughts"),
  large: noise(1, 150_000),
  text: Buffer.from("a line that repeats itself\n".repeat(2000)),
  tail: noise(2, 9000)
}

export const write = async (server: Server): Promise<void> => {
  const s3 = clientOf(server)
  const put = (key: string, body: Buffer) => s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body, Metadata: { made: "for gold" } }))
  await s3.send(new CreateBucketCommand({ Bucket: bucket })) // commit 1
  await put("note", bodies.small) // 2
  await put("note", bodies.smaller) // 3
  await put("large", bodies.large) // 4
  await put("text", bodies.text) // 5
  await put("ключ/🐍 ../x", bodies.small) // 6
  await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: "text" })) // 7
  await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: "Enabled" } })) // 8
  await put("note", bodies.large) // 9
  await admin(server, "/v1/settle")
  await admin(server, "/v1/checkpoint")
  await put("tail", bodies.tail)
  s3.destroy()
}

/** Commits of a folder: sealing in the background makes some of its own, so they are noted when it is made. */
export interface Points {
  readonly branched: number
  readonly rolledBack: number
}

const commitOf = (answer: string): number => (JSON.parse(answer) as { readonly commit: number }).commit

/** Format 2: time to live, branch, rollback, uploads under way and aborted, chunks condemned and freed. */
export const writeMore = async (server: Server): Promise<Points> => {
  const s3 = clientOf(server)
  const lasting = new PutObjectCommand({ Bucket: bucket, Key: "lasting", Body: bodies.text })
  lasting.middlewareStack.add((next) => (args) => {
    (args.request as { headers: Record<string, string> }).headers["x-ouroboros-ttl"] = String(50 * 365 * 24 * 3600)
    return next(args)
  }, { step: "build" })
  await s3.send(lasting)
  const branched = commitOf(await admin(server, "/v1/branch", { source: bucket, bucket: branch, asOf: "6" }))
  await s3.send(new PutObjectCommand({ Bucket: branch, Key: "note", Body: bodies.tail }))
  await s3.send(new DeleteObjectCommand({ Bucket: branch, Key: "large" }))
  const head = Number((await fetch(`${server.s3}/`)).headers.get("x-ouroboros-commit"))
  await s3.send(new PutObjectCommand({ Bucket: branch, Key: "mistake", Body: bodies.small }))
  const rolledBack = commitOf(await admin(server, "/v1/rollback", { bucket: branch, to: String(head) }))
  const begin = async (key: string, part: Buffer) => {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: key }))
    await s3.send(new UploadPartCommand({ Bucket: bucket, Key: key, UploadId, PartNumber: 1, Body: part }))
    return () => s3.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId }))
  }
  const abortFreed = await begin("freed", noise(3, 40_000))
  await abortFreed()
  await admin(server, "/v1/gc?now=true")
  await begin("under-way", noise(4, 20_000))
  const abortCondemned = await begin("condemned", noise(5, 20_000))
  await abortCondemned()
  await admin(server, "/v1/settle")
  await admin(server, "/v1/checkpoint")
  await s3.send(new PutObjectCommand({ Bucket: branch, Key: "last", Body: bodies.tail }))
  s3.destroy()
  return { branched, rolledBack }
}

const read = async (s3: S3Client, key: string, asOf?: number, from = bucket): Promise<Buffer> => {
  const command = new GetObjectCommand({ Bucket: from, Key: key })
  if (asOf !== undefined) {
    command.middlewareStack.add((next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers["x-ouroboros-as-of"] = String(asOf)
      return next(args)
    }, { step: "build" })
  }
  const answer = await s3.send(command)
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
}

/** As differences, of what writeMore wrote. */
export const moreDifferences = async (server: Server, { branched, rolledBack }: Points): Promise<ReadonlyArray<string>> => {
  const s3 = clientOf(server)
  const found: Array<string> = []
  const expected: ReadonlyArray<readonly [from: string, key: string, asOf: number | undefined, body: Buffer]> = [
    [bucket, "lasting", undefined, bodies.text], [branch, "note", undefined, bodies.tail], [branch, "note", branched, bodies.smaller], [branch, "large", branched, bodies.large],
    [branch, "text", undefined, bodies.text], [branch, "mistake", rolledBack - 1, bodies.small], [branch, "last", undefined, bodies.tail]
  ]
  for (const [from, key, asOf, body] of expected) {
    const got = await read(s3, key, asOf, from).catch((error: unknown) => String(error))
    if (typeof got === "string" || !got.equals(body)) found.push(`${from}/${key} as of ${asOf ?? "now"}: ${typeof got === "string" ? got : `${got.length} bytes`}`)
  }
  const keys = ((await s3.send(new ListObjectsV2Command({ Bucket: branch }))).Contents ?? []).map(({ Key }) => Key)
  if (keys.join() !== "last,note,text,ключ/🐍 ../x") found.push(`the branch's listing is ${keys.join()}`)
  const uploads = ((await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []).map(({ Key }) => Key)
  if (uploads.join() !== "under-way") found.push(`uploads under way: ${uploads.join()}`)
  s3.destroy()
  return found
}

/** Differences between what is there and what was written; none is what a reader wants. */
export const differences = async (server: Server): Promise<ReadonlyArray<string>> => {
  const s3 = clientOf(server)
  const found: Array<string> = []
  const expected: ReadonlyArray<readonly [key: string, asOf: number | undefined, body: Buffer]> = [
    ["note", undefined, bodies.large], ["note", 2, bodies.small], ["note", 3, bodies.smaller], ["large", undefined, bodies.large],
    ["text", 6, bodies.text], ["ключ/🐍 ../x", undefined, bodies.small], ["tail", undefined, bodies.tail]
  ]
  for (const [key, asOf, body] of expected) {
    const got = await read(s3, key, asOf).catch((error: unknown) => String(error))
    if (typeof got === "string" || !got.equals(body)) found.push(`${key} as of ${asOf ?? "now"}: ${typeof got === "string" ? got : `${got.length} bytes`}`)
  }
  const listed = await s3.send(new ListObjectsV2Command({ Bucket: bucket }))
  const keys = (listed.Contents ?? []).map(({ Key }) => Key)
  if (keys.filter((key) => key !== "lasting").join() !== "large,note,tail,ключ/🐍 ../x") found.push(`the listing is ${keys.join()}`)
  s3.destroy()
  return found
}
