/** What the golden folders hold: a short history, the same for every format version, and how to check it from outside. */
import { CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutBucketVersioningCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3"
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
  const admin = (path: string) => fetch(`${server.admin}${path}`, {
    method: "POST", headers: { authorization: `Basic ${Buffer.from("golden:golden-secret").toString("base64")}` }
  }).then((answer) => { if (answer.status !== 200) throw new Error(`${path}: ${answer.status}`) })
  await admin("/v1/settle")
  await admin("/v1/checkpoint")
  await put("tail", bodies.tail)
  s3.destroy()
}

const read = async (s3: S3Client, key: string, asOf?: number): Promise<Buffer> => {
  const command = new GetObjectCommand({ Bucket: bucket, Key: key })
  if (asOf !== undefined) {
    command.middlewareStack.add((next) => (args) => {
      (args.request as { headers: Record<string, string> }).headers["x-ouroboros-as-of"] = String(asOf)
      return next(args)
    }, { step: "build" })
  }
  const answer = await s3.send(command)
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
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
  if (keys.join() !== "large,note,tail,ключ/🐍 ../x") found.push(`the listing is ${keys.join()}`)
  s3.destroy()
  return found
}
