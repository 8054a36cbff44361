/** What no client should send, by raw sockets: the error that S3 has for it, nothing half-stored, the server still well. */
import { createHmac, createHash } from "node:crypto"
import { existsSync, readdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { MiB } from "../../src/base/limits.ts"
import { type Server, startServer } from "./server.ts"
import { call, closeConnections, encodePath, head, raw, sign, type Signing } from "./wire.ts"

let server: Server

beforeAll(async () => {
  server = await startServer()
  await call(server, { method: "PUT", bucket: "bad" })
}, 60_000)

afterAll(async () => {
  if (server === undefined) return
  closeConnections(server)
  await server.dispose()
})

const get = (key: string) => call(server, { method: "GET", bucket: "bad", key })
const isAbsent = async (key: string): Promise<boolean> => (await get(key)).code === "NoSuchKey"
const isWell = async (): Promise<boolean> => {
  const put = await call(server, { method: "PUT", bucket: "bad", key: "well", body: "well" })
  return put.status === 200 && (await get("well")).body.toString() === "well"
}
/** A signed request as bytes, its head changed by `more` after signing. */
const bytesOf = (what: Signing, more: Readonly<Record<string, string>> = {}): string => {
  const signed = sign(server, what)
  return head(what.method, signed.target, { ...signed.headers, connection: "close", ...more })
}
const put = (key: string, headers: Readonly<Record<string, string>> = {}): Signing => ({ method: "PUT", path: encodePath("bad", key), headers })

describe("bad input", () => {
  it("malformed request lines are answered 400 or cut, and the next client is served", async () => {
    for (const line of ["\r\n\r\n", "GET\r\n\r\n", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u0000\u0001\u0002\r\n\r\n", "PUT /bad/k HTTP/1.1\r\nno colon here\r\n\r\n", "x".repeat(70_000)]) {
      const answer = await raw(server.s3Port, [line], { msMax: 3000, end: true })
      expect([0, 400, 403, 431, 505], JSON.stringify(line.slice(0, 40))).toContain(answer.status)
      expect(answer.closed, `left open after ${JSON.stringify(line.slice(0, 40))}`).toBe(true)
    }
    expect(await isWell()).toBe(true)
  }, 40_000)

  it("headers over the limit are refused", async () => {
    const answer = await raw(server.s3Port, [bytesOf(put("headers"), { "content-length": "0", "x-large": "h".repeat(200_000) })])
    expect([400, 431]).toContain(answer.status)
    expect(await isAbsent("headers")).toBe(true)
  })

  it("a path with broken percent-encoding or broken UTF-8 is InvalidURI", async () => {
    for (const path of ["/bad/%zz", "/bad/%ff%fe", "/bad/%", "/bad/%c3%28"]) {
      const answer = await raw(server.s3Port, [bytesOf({ method: "GET", path })])
      expect([answer.status, answer.code], path).toEqual([400, "InvalidURI"])
    }
  })

  it("a body shorter than its Content-Length stores nothing", async () => {
    for (const [key, sent] of [["short-small", 10], ["short-large", 3_000_000]] as const) {
      const answer = await raw(server.s3Port, [bytesOf(put(key), { "content-length": String(sent * 2) }), Buffer.alloc(sent, 1)], { end: true })
      expect([0, 400]).toContain(answer.status)
      expect(["IncompleteBody", ""]).toContain(answer.code)
      expect(await isAbsent(key)).toBe(true)
    }
  })

  it("a connection cut in the middle of an overwrite leaves the old object", async () => {
    await call(server, { method: "PUT", bucket: "bad", key: "kept", body: "old" })
    await raw(server.s3Port, [bytesOf(put("kept"), { "content-length": "8000000" }), Buffer.alloc(2_000_000, 2)], { destroy: true })
    expect((await get("kept")).body.toString()).toBe("old")
  })

  it("a body longer than its Content-Length is not part of the object", async () => {
    await raw(server.s3Port, [bytesOf(put("long"), { "content-length": "3" }), "abcdef"])
    expect(["abc", ""]).toContain((await get("long")).code === "" ? (await get("long")).body.toString() : "")
    expect(await isWell()).toBe(true)
  })

  it("wrong lengths: none, negative, two, letters", async () => {
    const none = await raw(server.s3Port, [bytesOf(put("nolength"))])
    expect([none.status, none.code]).toEqual([411, "MissingContentLength"])
    for (const value of ["-1", "abc", "1, 2", "99999999999999999999999"]) {
      const answer = await raw(server.s3Port, [bytesOf(put("length"), { "content-length": value }), "x"])
      expect([400, 411, 413, 431], value).toContain(answer.status)
    }
    const smuggled = await raw(server.s3Port, [bytesOf(put("length"), { "content-length": "1", "transfer-encoding": "chunked" }), "x"])
    expect([0, 400]).toContain(smuggled.status)
    expect(await isAbsent("length")).toBe(true)
    const large = await raw(server.s3Port, [bytesOf(put("length"), { "content-length": String(6 * 2 ** 40) })])
    expect([large.status, large.code]).toEqual([400, "EntityTooLarge"])
  })

  it("signatures: wrong, malformed, of another key, none; clocks that are off", async () => {
    const hours = (n: number): Date => new Date(Date.now() + n * 3_600_000)
    const at = (more: Partial<Signing>) => raw(server.s3Port, [bytesOf({ ...put("signed"), ...more }, { "content-length": "0" })])
    expect((await at({ secretKey: "not the secret" })).code).toBe("SignatureDoesNotMatch")
    expect((await at({ accessKey: "NOBODY" })).code).toBe("InvalidAccessKeyId")
    expect((await at({ date: hours(-1) })).code).toBe("RequestTimeTooSkewed")
    expect((await at({ date: hours(1) })).code).toBe("RequestTimeTooSkewed")
    const unsigned = await raw(server.s3Port, [head("PUT", "/bad/signed", { host: "127.0.0.1", "content-length": "0", connection: "close" })])
    expect([unsigned.status, unsigned.code]).toEqual([403, "AccessDenied"])
    for (const authorization of ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c", "Basic abc", "AWS a:b", "\u00ff"]) {
      const answer = await raw(server.s3Port, [bytesOf(put("signed"), { "content-length": "0", authorization })])
      expect([400, 403], authorization).toContain(answer.status)
    }
    const added = await raw(server.s3Port, [bytesOf(put("signed"), { "content-length": "0", "x-amz-acl": "public-read" })])
    expect([added.status, added.code]).toEqual([403, "AccessDenied"])
    expect(await isAbsent("signed")).toBe(true)
  })

  it("a body that is not what was signed stores nothing", async () => {
    const wrong = await call(server, { method: "PUT", bucket: "bad", key: "hash", body: "b", payloadHash: createHash("sha256").update("a").digest("hex") })
    expect([wrong.status, wrong.code]).toEqual([400, "XAmzContentSHA256Mismatch"])
    const md5 = createHash("md5").update("other").digest("base64")
    expect((await call(server, { method: "PUT", bucket: "bad", key: "hash", body: "b", headers: { "content-md5": md5 } })).code).toBe("BadDigest")
    expect((await call(server, { method: "PUT", bucket: "bad", key: "hash", body: "b", headers: { "content-md5": "?" } })).code).toBe("InvalidDigest")
    expect((await call(server, { method: "PUT", bucket: "bad", key: "hash", body: "b", headers: { "x-amz-checksum-crc32": "AAAAAA==" } })).code).toBe("BadDigest")
    for (const size of [200_000, 9 * MiB]) {
      const body = Buffer.alloc(size, "body")
      expect((await call(server, { method: "PUT", bucket: "bad", key: "hash", body, headers: { "content-md5": md5 } })).code, `${size} bytes`).toBe("BadDigest")
    }
    expect(await isAbsent("hash")).toBe(true)
    const body = Buffer.alloc(9 * MiB, "body")
    const claimed = createHash("md5").update(body)
    const right = await call(server, { method: "PUT", bucket: "bad", key: "right", body, headers: { "content-md5": claimed.copy().digest("base64") } })
    expect([right.status, right.headers["etag"]]).toEqual([200, `"${claimed.digest("hex")}"`])
  })

  /** A signed streaming upload (STREAMING-AWS4-HMAC-SHA256-PAYLOAD) with chunks of the test's choice. */
  const streaming = (key: string, chunks: ReadonlyArray<Buffer>, spoil: (text: string, index: number) => string): ReadonlyArray<string | Uint8Array> => {
    const sizeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const what = put(key, { "x-amz-decoded-content-length": String(sizeBytes), "content-encoding": "aws-chunked" })
    const signed = sign(server, { ...what, payloadHash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" })
    const empty = createHash("sha256").update("").digest("hex")
    let previous = signed.signature
    const parts = [...chunks, Buffer.alloc(0)].flatMap((chunk, index) => {
      const hash = createHash("sha256").update(chunk).digest("hex")
      previous = createHmac("sha256", signed.key).update(`AWS4-HMAC-SHA256-PAYLOAD\n${signed.amzDate}\n${signed.scope}\n${previous}\n${empty}\n${hash}`).digest("hex")
      return [Buffer.from(spoil(`${chunk.length.toString(16)};chunk-signature=${previous}\r\n`, index)), chunk, Buffer.from("\r\n")]
    })
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    return [head("PUT", signed.target, { ...signed.headers, connection: "close", "content-length": String(length) }), ...parts]
  }

  it("signed chunks are verified one by one: good ones stored, a bad one refused, framing broken refused", async () => {
    const chunks = [Buffer.alloc(65_536, 1), Buffer.alloc(65_536, 2), Buffer.alloc(100, 3)]
    const good = await raw(server.s3Port, streaming("chunks", chunks, (text) => text))
    expect(good.status).toBe(200)
    expect((await get("chunks")).body.equals(Buffer.concat(chunks))).toBe(true)
    for (const index of [0, 1, 3]) {
      const bad = await raw(server.s3Port, streaming("badchunk", chunks, (text, at) => (at === index ? text.replace(/=(.)/, (_, digit: string) => `=${digit === "0" ? "1" : "0"}`) : text)))
      expect([bad.status, bad.code], `chunk ${index}`).toEqual([403, "SignatureDoesNotMatch"])
    }
    const broken = await raw(server.s3Port, streaming("badchunk", chunks, (text, at) => (at === 1 ? text.replace(/^[0-9a-f]+/, "zzzzz") : text)))
    expect(broken.status).toBe(400)
    expect(await isAbsent("badchunk")).toBe(true)
  })

  it("XML garbage is MalformedXML and changes nothing", async () => {
    const bomb = `<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`
    const outside = `<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>`
    for (const body of ["", "garbage", "<Delete>", "<Other/>", "<Delete><Object></Object></Delete>", "\u0000", bomb, outside, "<a>".repeat(20_000)]) {
      const md5 = createHash("md5").update(body).digest("base64")
      const answer = await call(server, { method: "POST", bucket: "bad", query: [["delete", ""]], body, headers: { "content-md5": md5 } })
      expect([answer.status, answer.code], body.slice(0, 60)).toEqual([400, "MalformedXML"])
      expect(answer.body.toString()).not.toContain("root:")
    }
    for (const body of ["garbage", "<VersioningConfiguration><Status>Maybe</Status></VersioningConfiguration>"]) {
      expect((await call(server, { method: "PUT", bucket: "bad", query: [["versioning", ""]], body })).status).toBe(400)
    }
    const huge = `<Delete>${" ".repeat(5_000_000)}</Delete>`
    // Refused, or cut while it is still being sent.
    const status = await call(server, { method: "POST", bucket: "bad", query: [["delete", ""]], body: huge }).then((answer) => answer.status, () => 400)
    expect(status).toBe(400)
    expect(await isWell()).toBe(true)
  })

  it("numbers out of range: part numbers, max-keys, unknown uploads", async () => {
    const created = await call(server, { method: "POST", bucket: "bad", key: "parts", query: [["uploads", ""]] })
    const uploadId = /<UploadId>([^<]+)</.exec(created.body.toString())?.[1] ?? ""
    expect(uploadId).not.toBe("")
    for (const number of ["0", "-1", "10001", "abc", "1.5", "99999999999999999999"]) {
      const answer = await call(server, { method: "PUT", bucket: "bad", key: "parts", query: [["partNumber", number], ["uploadId", uploadId]], body: "x" })
      expect([answer.status, answer.code], number).toEqual([400, "InvalidArgument"])
    }
    for (const id of ["", "x", "../..", "0".repeat(5000)]) {
      const answer = await call(server, { method: "PUT", bucket: "bad", key: "parts", query: [["partNumber", "1"], ["uploadId", id]], body: "x" })
      expect([400, 404], id).toContain(answer.status)
    }
    for (const value of ["-1", "abc", "1e3"]) {
      const answer = await call(server, { method: "GET", bucket: "bad", query: [["list-type", "2"], ["max-keys", value]] })
      expect([answer.status, answer.code], value).toEqual([400, "InvalidArgument"])
    }
    expect((await call(server, { method: "GET", bucket: "bad", query: [["list-type", "2"], ["continuation-token", "forged"]] })).status).toBe(400)
    expect((await call(server, { method: "GET", bucket: "bad", key: "well", query: [["versionId", "forged"]] })).status).toBeGreaterThanOrEqual(400)
  })

  it("sub-resources that are not built answer 501, unknown query parameters are ignored", async () => {
    for (const [method, name] of [["GET", "replication"], ["GET", "website"], ["PUT", "lifecycle"], ["PUT", "policy"], ["GET", "notification"], ["PUT", "encryption"]] as const) {
      const answer = await call(server, { method, bucket: "bad", query: [[name, ""]], body: method === "PUT" ? "<x/>" : "" })
      expect([answer.status, answer.code], `${method} ?${name}`).toEqual([501, "NotImplemented"])
    }
    const stored = await call(server, { method: "PUT", bucket: "bad", key: "ignored", query: [["x-id", "PutObject"], ["whatever", "1"]], body: "stored" })
    expect(stored.status).toBe(200)
    expect((await call(server, { method: "GET", bucket: "bad", key: "ignored", query: [["x-id", "GetObject"]] })).body.toString()).toBe("stored")
    const method = await call(server, { method: "PATCH", bucket: "bad", key: "ignored" })
    expect([405, 501]).toContain(method.status)
  })

  it("bucket names that are paths or not names are refused", async () => {
    for (const name of ["..", ".", "a", "UPPER", "a_b", "x".repeat(64), "-start", "end-", "a..b", "192.168.0.1", "%2e%2e"]) {
      const answer = await raw(server.s3Port, [bytesOf({ method: "PUT", path: `/${name}` }, { "content-length": "0" })])
      expect(answer.status, name).toBeGreaterThanOrEqual(400)
    }
  })

  it("keys with .. do not leave the data folder", async () => {
    const home = dirname(server.data)
    const before = readdirSync(home)
    for (const key of ["../escaped", "../../escaped", "a/../../../escaped", "/escaped", "..\\escaped"]) {
      expect((await call(server, { method: "PUT", bucket: "bad", key, body: key })).status).toBe(200)
      expect((await get(key)).body.toString()).toBe(key)
    }
    // As sent by a client that does not encode, and encoded whole.
    for (const path of ["/bad/../escaped", "/bad/%2e%2e%2fescaped", "/bad/..%2F..%2Fescaped"]) {
      await raw(server.s3Port, [bytesOf({ method: "PUT", path }, { "content-length": "1" }), "x"])
    }
    expect(readdirSync(home)).toEqual(before)
    expect(existsSync(join(home, "escaped"))).toBe(false)
    const names = readdirSync(server.data, { recursive: true }) as ReadonlyArray<string>
    expect(names.filter((name) => name.includes("escaped"))).toEqual([])
  })

  it("a connection stays usable after a refusal, also with a body that was not wanted", async () => {
    const refused = sign(server, { method: "PUT", path: "/absent-bucket/k" })
    const good = sign(server, { method: "GET", path: encodePath("bad", "well") })
    await isWell()
    const answer = await raw(server.s3Port, [
      head("PUT", refused.target, { ...refused.headers, "content-length": "5" }), "12345",
      head("GET", good.target, { ...good.headers, connection: "close" })
    ])
    expect(answer.text).toContain("NoSuchBucket")
    // Closed cleanly is as good; a second answer must be the right one.
    const second = answer.text.slice(answer.text.indexOf("</Error>"))
    expect(second.includes("HTTP/1.1") ? second : `200 well ${answer.closed}`).toMatch(/200[\s\S]*well/)
    expect(answer.closed).toBe(true)
  })
})
