/** Bodies: hashes, checksums, lengths and framing, over signed requests. Nothing that fails is stored. */
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { Effect } from "effect"
import { beforeEach, describe, expect, it } from "vitest"
import { computeHereBytesMax } from "../../src/base/limits.ts"
import { BodyError } from "../../src/ports/Body.ts"
import { type Answer, codeOf, makeScene, type Scene } from "./scene.ts"
import { type Ask, chunked, sha256, sign } from "./sign.ts"

let scene: Scene
const bucket = "photos"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
})

const hello = Buffer.from("hello")
const digest = (name: string, body: Uint8Array | string): string => createHash(name).update(body).digest("base64")
const crc32Base64 = (body: Uint8Array): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(body))
  return bytes.toString("base64")
}
const put = (ask: Partial<Ask>): Promise<Answer> => scene.ask({ method: "PUT", bucket, key: "k", body: hello, ...ask })
const refused = async (answer: Promise<Answer>, code: string, status = 400): Promise<void> => {
  const got = await answer
  expect([got.status, codeOf(got)]).toEqual([status, code])
  expect((await scene.ask({ bucket, key: "k" })).status, "nothing is stored").toBe(404)
}

describe("payload: digests", () => {
  it("a signed payload hash must be that of the body", () =>
    refused(put({ payloadHash: sha256("other") }), "XAmzContentSHA256Mismatch"))
  it("a payload hash of another kind", () => refused(put({ payloadHash: "MD5" }), "InvalidArgument"))
  it("Content-MD5 is verified, and must be one", async () => {
    await refused(put({ headers: { "content-md5": digest("md5", "other") } }), "BadDigest")
    await refused(put({ headers: { "content-md5": "short" } }), "InvalidDigest")
    expect((await put({ headers: { "content-md5": digest("md5", hello) } })).status).toBe(200)
  })
  it("Content-MD5 of a body that is hashed where it is cut", async () => {
    for (const size of [computeHereBytesMax, computeHereBytesMax + 1, 300_000]) {
      const body = Buffer.alloc(size, "large")
      await refused(put({ body, headers: { "content-md5": digest("md5", "other") } }), "BadDigest")
    }
    const body = Buffer.alloc(300_000, "large")
    const stored = await put({ body, headers: { "content-md5": digest("md5", body), "x-amz-checksum-crc32": crc32Base64(body) } })
    expect([stored.status, stored.headers.get("etag"), stored.headers.get("x-amz-checksum-crc32")])
      .toEqual([200, `"${createHash("md5").update(body).digest("hex")}"`, crc32Base64(body)])
  })
  it.each([
    ["crc32", "NhCmhg=="], ["crc32c", "mnG7TA=="], ["crc64nvme", "M3eFcAZSQlc="], ["sha1", digest("sha1", hello)], ["sha256", digest("sha256", hello)]
  ])("%s is verified, stored and returned", async (name, value) => {
    const header = `x-amz-checksum-${name}`
    const wrong = Buffer.from(value, "base64")
    wrong[0] = (wrong[0] ?? 0) ^ 1
    await refused(put({ headers: { [header]: wrong.toString("base64") } }), "BadDigest")
    await refused(put({ headers: { [header]: "AAA=" } }), "InvalidRequest")
    for (const payloadHash of ["UNSIGNED-PAYLOAD", sha256(hello)]) {
      const stored = await put({ headers: { [header]: value }, payloadHash })
      expect([stored.status, stored.headers.get(header), stored.headers.get("x-amz-checksum-type")]).toEqual([200, value, "FULL_OBJECT"])
    }
    const got = await scene.ask({ bucket, key: "k", headers: { "x-amz-checksum-mode": "ENABLED" } })
    expect([got.headers.get(header), got.headers.get("x-amz-checksum-type")]).toEqual([value, "FULL_OBJECT"])
    expect((await scene.ask({ bucket, key: "k" })).headers.has(header)).toBe(false)
    expect((await scene.ask({ bucket, key: "k", headers: { "x-amz-checksum-mode": "ENABLED", range: "bytes=0-1" } })).headers.has(header)).toBe(false)
  })
  it("two checksums are one too many", () =>
    refused(put({ headers: { "x-amz-checksum-crc32": crc32Base64(hello), "x-amz-checksum-sha1": digest("sha1", hello) } }), "InvalidRequest"))
  it("an algorithm that is only named is computed", async () => {
    expect((await put({ headers: { "x-amz-sdk-checksum-algorithm": "CRC32" } })).headers.get("x-amz-checksum-crc32")).toBe(crc32Base64(hello))
  })
  it("two streams that interleave keep their CRC64s apart", async () => {
    const pieces = Array.from({ length: 20 }, (_, index) => Buffer.from([index]))
    const ask = (key: string, first: number): Promise<Answer> =>
      scene.ask({ method: "PUT", bucket, key, payloadHash: "UNSIGNED-PAYLOAD", pieces: [Buffer.from([first]), ...pieces], sizeBytes: 21, headers: { "x-amz-sdk-checksum-algorithm": "CRC64NVME" } })
    const together = await Promise.all([ask("a", 1), ask("b", 2), ask("c", 1)])
    const [a, b, c] = together.map((answer) => answer.headers.get("x-amz-checksum-crc64nvme"))
    expect(a).toBe(c)
    expect(a).not.toBe(b)
  })
})

describe("payload: lengths", () => {
  it("shorter or longer than announced", async () => {
    await refused(put({ payloadHash: "UNSIGNED-PAYLOAD", sizeBytes: 6 }), "IncompleteBody")
    await refused(put({ payloadHash: "UNSIGNED-PAYLOAD", sizeBytes: 4 }), "IncompleteBody")
  })
  it.each([["Aborted", "IncompleteBody"], ["Stalled", "RequestTimeout"]] as const)("a body that is %s", async (reason, code) => {
    const { request } = sign({ method: "PUT", bucket, key: "k", nowMs: scene.nowMs, payloadHash: "UNSIGNED-PAYLOAD" })
    await refused(scene.send({ ...request, body: { sizeBytes: 5, next: Effect.fail(new BodyError({ reason, detail: "test" })) } }), code)
  })
})

const streaming = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
const unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
const body = Buffer.from("0123456789".repeat(30))

const stream = (payloadHash: string, options: {
  readonly trailers?: ReadonlyArray<readonly [string, string]>
  readonly headers?: Readonly<Record<string, string>>
  readonly spoil?: (bytes: Buffer) => Buffer
}): Promise<Answer> => {
  const headers = { "content-encoding": "aws-chunked", "x-amz-decoded-content-length": String(body.length), ...options.headers }
  const signed = sign({ method: "PUT", bucket, key: "k", nowMs: scene.nowMs, payloadHash, headers })
  const plain = Buffer.from(chunked(body, [100, 150, 50], payloadHash === unsignedTrailer ? undefined : signed, options.trailers))
  const bytes = options.spoil?.(plain) ?? plain
  return scene.send(sign({ method: "PUT", bucket, key: "k", nowMs: scene.nowMs, payloadHash, headers, pieces: [bytes.subarray(0, 77), bytes.subarray(77)], sizeBytes: bytes.length }).request)
}

describe("payload: streaming uploads", () => {
  const crc = ["x-amz-checksum-crc32", crc32Base64(body)] as const
  const declared = { "x-amz-trailer": "x-amz-checksum-crc32" }
  it("signed chunks", async () => {
    expect((await stream(streaming, {})).status).toBe(200)
    const got = await scene.ask({ bucket, key: "k" })
    expect([got.text, got.headers.has("content-encoding")]).toEqual([body.toString(), false])
  })
  it("signed chunks and a signed trailer", async () => {
    const stored = await stream(`${streaming}-TRAILER`, { trailers: [crc], headers: declared })
    expect([stored.status, stored.headers.get("x-amz-checksum-crc32")]).toEqual([200, crc[1]])
  })
  it("unsigned chunks and a trailer", async () => {
    const stored = await stream(unsignedTrailer, { trailers: [crc], headers: declared })
    expect([stored.status, stored.headers.get("x-amz-checksum-crc32")]).toEqual([200, crc[1]])
  })
  it("a changed byte in a signed chunk", () =>
    refused(stream(streaming, { spoil: (bytes) => Buffer.from(bytes.toString("latin1").replace("0123456789", "0123456780"), "latin1") }), "SignatureDoesNotMatch", 403))
  it("a trailing checksum that does not match", () =>
    refused(stream(unsignedTrailer, { trailers: [["x-amz-checksum-crc32", "AAAAAA=="]], headers: declared }), "BadDigest"))
  it("a declared trailer that never comes", () => refused(stream(unsignedTrailer, { trailers: [], headers: declared }), "InvalidRequest"))
  it("cut short", () => refused(stream(streaming, { spoil: (bytes) => bytes.subarray(0, 200) }), "IncompleteBody"))
  it("a decoded length that lies", async () => {
    await refused(stream(streaming, { headers: { "x-amz-decoded-content-length": "299" } }), "IncompleteBody")
    await refused(stream(streaming, { headers: { "x-amz-decoded-content-length": "301" } }), "IncompleteBody")
    await refused(stream(streaming, { headers: { "x-amz-decoded-content-length": "many" } }), "InvalidArgument")
  })
  it("no decoded length at all", async () => {
    await refused(put({ payloadHash: streaming }), "MissingContentLength", 411)
  })
  it("a trailer without a streaming payload", () => refused(put({ headers: declared }), "MalformedTrailerError"))
})
