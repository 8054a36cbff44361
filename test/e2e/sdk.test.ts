/** The AWS SDK for JavaScript v3 against the real server, with the checksums and framings that it sends by itself. */
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateBucketCommand, CreateMultipartUploadCommand,
  DeleteBucketCommand, DeleteObjectCommand, DeleteObjectsCommand, GetBucketLocationCommand, GetObjectAttributesCommand, GetObjectCommand,
  HeadBucketCommand, HeadObjectCommand, ListBucketsCommand, ListMultipartUploadsCommand, ListObjectsCommand, ListObjectsV2Command, ListObjectVersionsCommand,
  ListPartsCommand, PutBucketVersioningCommand, PutObjectCommand, S3Client, S3ServiceException, UploadPartCommand, UploadPartCopyCommand
} from "@aws-sdk/client-s3"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { createHash, randomBytes } from "node:crypto"
import { Readable } from "node:stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Server, startServer } from "./server.ts"

const MiB = 1024 * 1024

let server: Server
let s3: S3Client

const clientOf = (to: Server): S3Client =>
  new S3Client({
    endpoint: to.s3, region: "us-east-1", forcePathStyle: true, maxAttempts: 1,
    credentials: { accessKeyId: to.accessKey, secretAccessKey: to.secretKey }
  })

beforeAll(async () => {
  server = await startServer()
  s3 = clientOf(server)
}, 60_000)

afterAll(async () => {
  s3?.destroy()
  await server?.dispose()
})

let made = 0
const bucket = async (versioning?: "Enabled"): Promise<string> => {
  made += 1
  const Bucket = `sdk-${made}`
  await s3.send(new CreateBucketCommand({ Bucket }))
  if (versioning !== undefined) await s3.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: versioning } }))
  return Bucket
}

const read = async (Bucket: string, Key: string, more: { VersionId?: string; Range?: string } = {}): Promise<Buffer> => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }))
  return Buffer.from(await Body!.transformToByteArray())
}

const text = async (Bucket: string, Key: string): Promise<string> => (await read(Bucket, Key)).toString("utf8")

const refusal = async (sending: Promise<unknown>): Promise<readonly [string, number | undefined]> => {
  try {
    await sending
  } catch (error) {
    if (error instanceof S3ServiceException) return [error.name, error.$metadata.httpStatusCode]
    throw error
  }
  return ["no refusal", undefined]
}

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

describe("the AWS SDK for JavaScript", () => {
  it("empty, 1 B, 4 KiB and around, 1 MiB and 40 MiB come back as they went", async () => {
    const Bucket = await bucket()
    for (const size of [0, 1, 4095, 4096, 4097, MiB, 40 * MiB]) {
      const bytes = randomBytes(size)
      const put = await s3.send(new PutObjectCommand({ Bucket, Key: `k${size}`, Body: bytes }))
      expect(put.ChecksumCRC32, "the SDK's own checksum comes back").toBeDefined()
      const back = await read(Bucket, `k${size}`)
      expect(back.equals(bytes), `${size} bytes`).toBe(true)
      const head = await s3.send(new HeadObjectCommand({ Bucket, Key: `k${size}`, ChecksumMode: "ENABLED" }))
      expect([head.ContentLength, head.ETag, head.ChecksumCRC32]).toEqual([size, put.ETag, put.ChecksumCRC32])
      // A client can tell an MD5 from another ETag up to 16 MiB; beyond, the shape is that of a multipart upload.
      expect(put.ETag).toMatch(size <= 16 * MiB ? `"${md5(bytes)}"` : /^"[0-9a-f]{32}-\d+"$/)
    }
  }, 60_000)

  it("a stream goes in chunks with a checksum trailer, and a wrong trailer is refused", async () => {
    const Bucket = await bucket()
    const bytes = randomBytes(3 * MiB + 7)
    const put = await s3.send(new PutObjectCommand({
      Bucket, Key: "k", Body: Readable.from([bytes.subarray(0, MiB), bytes.subarray(MiB)]), ContentLength: bytes.length, ChecksumAlgorithm: "CRC32C"
    }))
    expect(put.ChecksumCRC32C).toBeDefined()
    expect((await read(Bucket, "k")).equals(bytes)).toBe(true)
    expect(await refusal(s3.send(new PutObjectCommand({ Bucket, Key: "wrong", Body: "abc", ChecksumCRC32: "AAAAAA==" })))).toEqual(["BadDigest", 400])
    expect(await refusal(s3.send(new GetObjectCommand({ Bucket, Key: "wrong" })))).toEqual(["NoSuchKey", 404])
  })

  it("every checksum algorithm is verified, stored and returned", async () => {
    const Bucket = await bucket()
    for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"] as const) {
      const put = await s3.send(new PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body: "123456789", ChecksumAlgorithm }))
      const name = `Checksum${ChecksumAlgorithm}` as const
      expect(put[name]).toBeDefined()
      const got = await s3.send(new GetObjectCommand({ Bucket, Key: ChecksumAlgorithm, ChecksumMode: "ENABLED" }))
      expect(got[name]).toBe(put[name])
      expect(await got.Body!.transformToString()).toBe("123456789")
      const facts = await s3.send(new GetObjectAttributesCommand({ Bucket, Key: ChecksumAlgorithm, ObjectAttributes: ["Checksum", "ObjectSize"] }))
      expect([facts.Checksum?.[name], facts.ObjectSize]).toEqual([put[name], 9])
    }
    const crc64 = await s3.send(new PutObjectCommand({ Bucket, Key: "crc64", Body: "123456789", ChecksumCRC64NVME: "rosUhgp5mIg=" }))
    expect(crc64.ChecksumCRC64NVME).toBe("rosUhgp5mIg=")
  })

  it("keys are data: dots, slashes, unicode, 1,024 bytes; listed in byte order", async () => {
    const Bucket = await bucket()
    const keys = ["..", "../x", "/lead", "a//b", "a/../b", "+ %25&?#", "é", "\uFF5E", "\u{1F600}", "z".repeat(1024), "ü".repeat(512)]
    for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
    for (const Key of keys) expect(await text(Bucket, Key)).toBe(Key)
    const inBytes = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const listed = await s3.send(new ListObjectsV2Command({ Bucket }))
    expect(listed.Contents?.map(({ Key }) => Key)).toEqual(inBytes)
    const url = await s3.send(new ListObjectsCommand({ Bucket, EncodingType: "url" }))
    expect(url.Contents?.map(({ Key }) => decodeURIComponent((Key ?? "").replaceAll("+", " ")))).toEqual(inBytes)
    expect(await refusal(s3.send(new PutObjectCommand({ Bucket, Key: "z".repeat(1025), Body: "" })))).toEqual(["KeyTooLongError", 400])
  })

  it("listings page with delimiter, prefix and tokens; a page sees the commit of its first", async () => {
    const Bucket = await bucket()
    const keys = Array.from({ length: 60 }, (_, index) => `${"abc"[index % 3]}/${String(index).padStart(2, "0")}`)
    await Promise.all(keys.map((Key) => s3.send(new PutObjectCommand({ Bucket, Key, Body: "" }))))
    const seen: Array<string | undefined> = []
    let token: string | undefined
    for (let page = 0; page < 10; page++) {
      const answer: any = await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 7, ContinuationToken: token }))
      seen.push(...(answer.Contents ?? []).map(({ Key }: { Key: string }) => Key))
      if (page === 2) await s3.send(new PutObjectCommand({ Bucket, Key: "zz/later", Body: "" }))
      if (answer.IsTruncated !== true) break
      token = answer.NextContinuationToken
    }
    expect(seen).toEqual(keys.toSorted())
    const folders = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: "/" }))
    expect(folders.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(["a/", "b/", "c/", "zz/"])
  })

  it("buckets: head, location, list, not deleted while full", async () => {
    const Bucket = await bucket()
    await s3.send(new HeadBucketCommand({ Bucket }))
    expect((await s3.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBeUndefined()
    expect((await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toContain(Bucket)
    await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "" }))
    expect(await refusal(s3.send(new DeleteBucketCommand({ Bucket })))).toEqual(["BucketNotEmpty", 409])
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }))
    await s3.send(new DeleteBucketCommand({ Bucket }))
    expect((await refusal(s3.send(new HeadBucketCommand({ Bucket }))))[1]).toBe(404)
  })

  it("versions: overwrite, delete marker, read by id, restore, list", async () => {
    const Bucket = await bucket("Enabled")
    const one = await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "one" }))
    await s3.send(new PutObjectCommand({ Bucket, Key: "k", Body: "two" }))
    const marker = await s3.send(new DeleteObjectCommand({ Bucket, Key: "k" }))
    expect(marker.DeleteMarker).toBe(true)
    expect(await refusal(s3.send(new GetObjectCommand({ Bucket, Key: "k" })))).toEqual(["NoSuchKey", 404])
    expect((await read(Bucket, "k", { VersionId: one.VersionId! })).toString()).toBe("one")
    const versions = await s3.send(new ListObjectVersionsCommand({ Bucket }))
    expect([versions.Versions?.length, versions.DeleteMarkers?.length]).toEqual([2, 1])
    await s3.send(new DeleteObjectCommand({ Bucket, Key: "k", VersionId: marker.VersionId }))
    expect(await text(Bucket, "k")).toBe("two")
  })

  it("multipart: parts, list, part copy, complete, by part number, abort", async () => {
    const Bucket = await bucket()
    const parts = [randomBytes(5 * MiB), randomBytes(6 * MiB), randomBytes(1000)]
    await s3.send(new PutObjectCommand({ Bucket, Key: "source", Body: parts[1]! }))
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "k", Metadata: { m: "1" } }))
    const one = await s3.send(new UploadPartCommand({ Bucket, Key: "k", UploadId, PartNumber: 1, Body: parts[0]! }))
    const two = await s3.send(new UploadPartCopyCommand({ Bucket, Key: "k", UploadId, PartNumber: 2, CopySource: `${Bucket}/source` }))
    const three = await s3.send(new UploadPartCommand({ Bucket, Key: "k", UploadId, PartNumber: 7, Body: parts[2]! }))
    const listed = await s3.send(new ListPartsCommand({ Bucket, Key: "k", UploadId }))
    expect(listed.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([[1, 5 * MiB], [2, 6 * MiB], [7, 1000]])
    expect((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads?.map((upload) => upload.UploadId)).toEqual([UploadId])
    await s3.send(new CompleteMultipartUploadCommand({
      Bucket, Key: "k", UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag: one.ETag }, { PartNumber: 2, ETag: two.CopyPartResult?.ETag }, { PartNumber: 7, ETag: three.ETag }] }
    }))
    expect((await read(Bucket, "k")).equals(Buffer.concat(parts))).toBe(true)
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key: "k", PartNumber: 2 }))
    expect([head.ContentLength, head.PartsCount, head.Metadata]).toEqual([6 * MiB, 3, { m: "1" }])
    const other = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: "gone" }))
    await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: "gone", UploadId: other.UploadId }))
    expect((await refusal(s3.send(new ListPartsCommand({ Bucket, Key: "gone", UploadId: other.UploadId }))))[0]).toBe("NoSuchUpload")
  })

  it("copy, ranges, conditions, multi-object delete", async () => {
    const Bucket = await bucket()
    const bytes = randomBytes(2 * MiB)
    const put = await s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: bytes }))
    await s3.send(new CopyObjectCommand({ Bucket, Key: "b c", CopySource: `${Bucket}/a` }))
    expect((await read(Bucket, "b c", { Range: "bytes=1048570-1048590" })).equals(bytes.subarray(1048570, 1048591))).toBe(true)
    expect(await refusal(s3.send(new GetObjectCommand({ Bucket, Key: "a", Range: "bytes=9999999-" })))).toEqual(["InvalidRange", 416])
    expect((await refusal(s3.send(new GetObjectCommand({ Bucket, Key: "a", IfNoneMatch: put.ETag }))))[1]).toBe(304)
    expect(await refusal(s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "x", IfNoneMatch: "*" })))).toEqual(["PreconditionFailed", 412])
    await s3.send(new PutObjectCommand({ Bucket, Key: "a", Body: "matched", IfMatch: put.ETag }))
    expect(await text(Bucket, "a")).toBe("matched")
    const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: "a" }, { Key: "b c" }, { Key: "absent" }] } }))
    expect(gone.Deleted?.length).toBe(3)
    expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0)
  })

  it("presigned PUT and GET by fetch; a changed URL is refused", async () => {
    const Bucket = await bucket()
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: "a b/ü" }), { expiresIn: 60 })
    expect((await fetch(put, { method: "PUT", body: "by url" })).status).toBe(200)
    const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: "a b/ü" }), { expiresIn: 60 })
    expect(await (await fetch(get)).text()).toBe("by url")
    expect((await fetch(get.replace("X-Amz-Expires=60", "X-Amz-Expires=600"))).status).toBe(403)
    expect((await fetch(get, { method: "DELETE" })).status).toBe(403)
    expect(await text(Bucket, "a b/ü")).toBe("by url")
  })

  it("every answer names its commit, and reads as of it see what was", async () => {
    const Bucket = await bucket()
    const commits: Array<string | undefined> = []
    const watched = clientOf(server)
    let asOf: string | undefined
    watched.middlewareStack.add((next) => async (args: any) => {
      if (asOf !== undefined) args.request.headers["x-ouroboros-as-of"] = asOf
      const answer: any = await next(args)
      commits.push(answer.response.headers["x-ouroboros-commit"])
      return answer
    }, { step: "build" })
    await watched.send(new PutObjectCommand({ Bucket, Key: "k", Body: "then" }))
    await watched.send(new PutObjectCommand({ Bucket, Key: "k", Body: "now" }))
    expect(Number(commits[1])).toBeGreaterThan(Number(commits[0]))
    asOf = commits[0]
    expect(await (await watched.send(new GetObjectCommand({ Bucket, Key: "k" }))).Body!.transformToString()).toBe("then")
    expect((await refusal(watched.send(new PutObjectCommand({ Bucket, Key: "k", Body: "x" }))))[1]).toBe(400)
    asOf = "999999999999"
    expect(await refusal(watched.send(new GetObjectCommand({ Bucket, Key: "k" })))).toEqual(["AsOfInFuture", 400])
    watched.destroy()
  })
})
