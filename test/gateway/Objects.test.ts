/** Objects over signed requests: put, get, head, ranges, conditions, metadata, copy, delete. */
import { createHash } from "node:crypto"
import { beforeEach, describe, expect, it } from "vitest"
import { codeOf, makeScene, type Scene, textsOf } from "./scene.ts"
import { sha256, sign } from "./sign.ts"

let scene: Scene
const bucket = "photos"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
})

const md5 = (text: string): string => createHash("md5").update(text).digest("hex")
const put = (key: string, body: string, headers: Readonly<Record<string, string>> = {}) => scene.ask({ method: "PUT", bucket, key, body, headers })
const get = (key: string, headers: Readonly<Record<string, string>> = {}, query: ReadonlyArray<readonly [string, string]> = []) => scene.ask({ bucket, key, headers, query })
const versioned = () => scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>" })

describe("objects: what is put is what is got", () => {
  it("with its ETag, type, time, and the commit", async () => {
    const stored = await put("a.txt", "hello", { "content-type": "text/plain" })
    expect(stored.status).toBe(200)
    expect(stored.headers.get("etag")).toBe(`"${md5("hello")}"`)
    expect(stored.headers.get("x-ouroboros-commit")).toBe("2")
    expect(stored.headers.has("x-amz-version-id")).toBe(false)
    const got = await get("a.txt")
    expect([got.status, got.text]).toEqual([200, "hello"])
    expect(got.headers.has("x-amz-version-id")).toBe(false)
    expect(got.headers.get("content-type")).toBe("text/plain")
    expect(got.headers.get("content-length")).toBe("5")
    expect(got.headers.get("accept-ranges")).toBe("bytes")
    expect(got.headers.get("etag")).toBe(`"${md5("hello")}"`)
    expect(got.headers.get("last-modified")).toBe("Fri, 20 Nov 2026 12:00:00 GMT")
    expect(got.headers.get("x-amz-request-id")).toMatch(/^[0-9A-F]{16}$/)
    expect(got.headers.get("server")).toBe("OuroborosDB")
    const head = await scene.ask({ method: "HEAD", bucket, key: "a.txt" })
    expect([head.status, head.text, head.headers.get("content-length")]).toEqual([200, "", "5"])
  })
  it("keys are data: dots, slashes, spaces, plus, percent, emoji, 1,024 bytes", async () => {
    const keys = ["../../etc/passwd", "/leading", "a//b", ".", "..", "a/./b", "a b", "a+b", "a%2Fb", "100%", "😀/é", "?x=1", "#", "a\u0001b", "&<>\"'", "é".repeat(512), "trailing/"]
    for (const [index, key] of keys.entries()) expect((await put(key, `body ${index}`)).status, key).toBe(200)
    for (const [index, key] of keys.entries()) expect((await get(key)).text, key).toBe(`body ${index}`)
    const listed = await scene.ask({ bucket, query: [["list-type", "2"], ["encoding-type", "url"]] })
    expect(textsOf(listed, "Key").map((key) => decodeURIComponent(key)).toSorted()).toEqual(keys.toSorted())
  })
  it("a key of 1,025 bytes is too long", async () => {
    expect(codeOf(await put("k".repeat(1025), ""))).toBe("KeyTooLongError")
  })
  it("large puts have ETags of the multipart shape, unless Content-MD5 says otherwise", async () => {
    const body = "x".repeat(2000)
    expect((await put("big", body)).headers.get("etag")).toMatch(/^"[0-9a-f]{32}-1"$/)
    const md5Base64 = createHash("md5").update(body).digest("base64")
    expect((await put("big", body, { "content-md5": md5Base64 })).headers.get("etag")).toBe(`"${md5(body)}"`)
  })
  it("standard headers and metadata come back; aws-chunked does not", async () => {
    const headers = {
      "cache-control": "no-cache", "content-disposition": "attachment; filename=\"a\"", "content-encoding": "aws-chunked, gzip",
      "content-language": "de", "expires": "Thu, 01 Jan 2030 00:00:00 GMT", "x-amz-meta-color": "blue", "x-amz-meta-__proto__": "data",
      "x-amz-website-redirect-location": "/other"
    }
    await put("m", "", headers)
    const got = await get("m")
    for (const [name, value] of Object.entries(headers)) expect(got.headers.get(name), name).toBe(name === "content-encoding" ? "gzip" : value)
    expect(got.headers.get("content-type")).toBe("binary/octet-stream")
  })
  it("metadata beyond ASCII comes back as RFC 2047", async () => {
    await put("m", "", { "x-amz-meta-raw": Buffer.from("Zürich", "utf8").toString("latin1"), "x-amz-meta-word": "=?UTF-8?Q?Z=C3=BCrich_x?=" })
    const got = await get("m")
    expect(got.headers.get("x-amz-meta-raw")).toBe(`=?UTF-8?B?${Buffer.from("Zürich").toString("base64")}?=`)
    expect(got.headers.get("x-amz-meta-word")).toBe(`=?UTF-8?B?${Buffer.from("Zürich x").toString("base64")}?=`)
  })
  it("metadata is at most 2 KiB", async () => {
    expect((await put("m", "", { "x-amz-meta-a": "v".repeat(2047) })).status).toBe(200)
    expect(codeOf(await put("m", "", { "x-amz-meta-a": "v".repeat(2048) }))).toBe("MetadataTooLarge")
  })
  it("overrides of response headers cannot forge headers", async () => {
    await put("a", "x")
    expect((await get("a", {}, [["response-content-type", "text/html"], ["response-content-disposition", "inline"]])).headers.get("content-type")).toBe("text/html")
    expect(codeOf(await get("a", {}, [["response-content-type", "a\r\nset-cookie: b"]]))).toBe("InvalidArgument")
  })
  it("what asks for parts of S3 that are not built is refused, not ignored", async () => {
    expect((await put("a", "", { "x-amz-tagging": "a=b" })).status).toBe(501)
    expect((await put("a", "", { "x-amz-server-side-encryption": "aws:kms" })).status).toBe(501)
    expect(codeOf(await put("a", "", { "x-amz-acl": "public-read" }))).toBe("AccessControlListNotSupported")
    expect(codeOf(await put("a", "", { "x-amz-storage-class": "CHEAP" }))).toBe("InvalidStorageClass")
    expect((await put("a", "", { "x-amz-acl": "private", "x-amz-storage-class": "STANDARD_IA", "x-amz-server-side-encryption": "AES256" })).status).toBe(200)
  })
  it("a body without a length is refused", async () => {
    expect((await scene.ask({ method: "PUT", bucket, key: "a", body: "x", sizeBytes: undefined })).status).toBe(411)
    const { request } = sign({ method: "PUT", bucket, key: "a", nowMs: scene.nowMs })
    expect((await scene.send({ ...request, headers: request.headers.filter(([name]) => name !== "content-length") })).status).toBe(411)
    expect(codeOf(await scene.ask({ method: "PUT", bucket, key: "a", payloadHash: "UNSIGNED-PAYLOAD", sizeBytes: 5 * 2 ** 30 + 1 }))).toBe("EntityTooLarge")
  })
  it("missing keys and buckets", async () => {
    expect(codeOf(await get("none"))).toBe("NoSuchKey")
    expect(codeOf(await scene.ask({ bucket: "nobucket", key: "a" }))).toBe("NoSuchBucket")
    expect(codeOf(await scene.ask({ method: "PUT", bucket: "nobucket", key: "a" }))).toBe("NoSuchBucket")
    const head = await scene.ask({ method: "HEAD", bucket, key: "none" })
    expect([head.status, head.text]).toEqual([404, ""])
  })
  it("damage is an error that names it, never wrong bytes", async () => {
    await put("broken", "x", { "x-amz-meta-damaged": "yes" })
    const got = await get("broken")
    expect([got.status, codeOf(got)]).toEqual([500, "InternalError"])
    expect(got.text).toContain("a chunk fails its hash")
  })
})

describe("objects: ranges", () => {
  it.each([
    ["bytes=0-0", 206, "0", "bytes 0-0/10"], ["bytes=2-4", 206, "234", "bytes 2-4/10"], ["bytes=7-", 206, "789", "bytes 7-9/10"],
    ["bytes=-3", 206, "789", "bytes 7-9/10"], ["bytes=-99", 206, "0123456789", "bytes 0-9/10"], ["bytes=5-99", 206, "56789", "bytes 5-9/10"],
    ["bytes=0-1,3-4", 200, "0123456789", undefined], ["bytes=4-2", 200, "0123456789", undefined], ["lines=1-2", 200, "0123456789", undefined]
  ])("%s", async (range, status, text, contentRange) => {
    await put("r", "0123456789")
    const got = await get("r", { range })
    expect([got.status, got.text, got.headers.get("content-range")]).toEqual([status, text, contentRange])
    expect(got.headers.get("content-length")).toBe(String(text.length))
  })
  it.each(["bytes=10-", "bytes=10-20", "bytes=-0"])("%s cannot be satisfied", async (range) => {
    await put("r", "0123456789")
    const got = await get("r", { range })
    expect([got.status, codeOf(got), got.headers.get("content-range")]).toEqual([416, "InvalidRange", "bytes */10"])
  })
  it("If-Range: only while it is the same object", async () => {
    await put("r", "0123456789")
    expect((await get("r", { range: "bytes=0-1", "if-range": `"${md5("0123456789")}"` })).status).toBe(206)
    expect((await get("r", { range: "bytes=0-1", "if-range": "\"other\"" })).status).toBe(200)
  })
  it("part number 1 of an object of one piece is all of it", async () => {
    await put("r", "0123456789")
    const got = await get("r", {}, [["partNumber", "1"]])
    expect([got.status, got.text, got.headers.has("x-amz-mp-parts-count")]).toEqual([206, "0123456789", false])
    expect((await get("r", {}, [["partNumber", "2"]])).status).toBe(416)
    expect(codeOf(await get("r", {}, [["partNumber", "0"]]))).toBe("InvalidArgument")
    expect(codeOf(await get("r", { range: "bytes=0-1" }, [["partNumber", "1"]]))).toBe("InvalidRequest")
  })
})

describe("objects: conditions", () => {
  const etag = `"${md5("v")}"`
  const past = "Wed, 01 Jan 2020 00:00:00 GMT"
  const same = "Fri, 20 Nov 2026 12:00:00 GMT"
  it.each<[Readonly<Record<string, string>>, number]>([
    [{ "if-match": etag }, 200], [{ "if-match": "*" }, 200], [{ "if-match": `"x", ${etag}` }, 200], [{ "if-match": "\"x\"" }, 412],
    [{ "if-none-match": etag }, 304], [{ "if-none-match": "*" }, 304], [{ "if-none-match": "\"x\"" }, 200],
    [{ "if-modified-since": past }, 200], [{ "if-modified-since": same }, 304], [{ "if-modified-since": "garbage" }, 200],
    [{ "if-unmodified-since": past }, 412], [{ "if-unmodified-since": same }, 200],
    [{ "if-match": etag, "if-unmodified-since": past }, 200], [{ "if-none-match": etag, "if-modified-since": past }, 304],
    [{ "if-none-match": "\"x\"", "if-modified-since": same }, 200]
  ])("read %j is %i", async (headers, status) => {
    await put("c", "v")
    const got = await get("c", headers)
    expect([got.status, got.headers.get("etag")]).toEqual([status, status === 412 ? undefined : etag])
    expect(got.text === "v").toBe(status === 200)
  })
  it("writes: create only, replace only what is known, delete only what is known", async () => {
    expect((await put("c", "v", { "if-none-match": "*" })).status).toBe(200)
    expect((await put("c", "w", { "if-none-match": "*" })).status).toBe(412)
    expect((await put("c", "w", { "if-match": "\"x\"" })).status).toBe(412)
    expect((await put("c", "w", { "if-match": etag })).status).toBe(200)
    expect((await get("c")).text).toBe("w")
    expect((await scene.ask({ method: "DELETE", bucket, key: "c", headers: { "if-match": etag } })).status).toBe(412)
    expect((await scene.ask({ method: "DELETE", bucket, key: "c", headers: { "if-match": `"${md5("w")}"` } })).status).toBe(204)
  })
})

describe("objects: copy", () => {
  const copy = (source: string, key: string, headers: Readonly<Record<string, string>> = {}) =>
    scene.ask({ method: "PUT", bucket, key, headers: { "x-amz-copy-source": source, ...headers } })
  it("brings metadata along, or replaces it", async () => {
    await put("from é", "body", { "x-amz-meta-a": "1", "content-type": "text/a", "x-amz-website-redirect-location": "/x" })
    const answer = await copy(`/${bucket}/from%20%C3%A9`, "to")
    expect([answer.status, textsOf(answer, "ETag")]).toEqual([200, [`&quot;${md5("body")}&quot;`]])
    const to = await get("to")
    expect([to.text, to.headers.get("x-amz-meta-a"), to.headers.get("content-type"), to.headers.has("x-amz-website-redirect-location")]).toEqual(["body", "1", "text/a", false])
    await copy(`${bucket}/from%20%C3%A9`, "to", { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-b": "2" })
    const replaced = await get("to")
    expect([replaced.headers.has("x-amz-meta-a"), replaced.headers.get("x-amz-meta-b")]).toEqual([false, "2"])
  })
  it("to itself needs a change", async () => {
    await put("k", "body")
    expect(codeOf(await copy(`${bucket}/k`, "k"))).toBe("InvalidRequest")
    expect((await copy(`${bucket}/k`, "k", { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-a": "1" })).status).toBe(200)
  })
  it("conditions on the source are all 412", async () => {
    await put("k", "body")
    const etag = `"${md5("body")}"`
    expect((await copy(`${bucket}/k`, "l", { "x-amz-copy-source-if-match": "\"x\"" })).status).toBe(412)
    expect((await copy(`${bucket}/k`, "l", { "x-amz-copy-source-if-none-match": etag })).status).toBe(412)
    expect((await copy(`${bucket}/k`, "l", { "x-amz-copy-source-if-match": etag })).status).toBe(200)
  })
  it("an old version by its id; a source that is none", async () => {
    await versioned()
    const first = (await put("k", "one")).headers.get("x-amz-version-id")
    await put("k", "two")
    const answer = await copy(`${bucket}/k?versionId=${first}`, "l")
    expect([answer.status, answer.headers.get("x-amz-copy-source-version-id")]).toEqual([200, first])
    expect((await get("l")).text).toBe("one")
    expect(codeOf(await copy("nokey", "l"))).toBe("InvalidArgument")
    expect(codeOf(await copy(`${bucket}/%zz`, "l"))).toBe("InvalidArgument")
    expect(codeOf(await copy(`${bucket}/none`, "l"))).toBe("NoSuchKey")
  })
  it("with a checksum that the source does not have", async () => {
    await put("k", "hello")
    const answer = await copy(`${bucket}/k`, "l", { "x-amz-checksum-algorithm": "SHA256" })
    expect(textsOf(answer, "ChecksumSHA256")).toEqual([Buffer.from(sha256("hello"), "hex").toString("base64")])
  })
})

describe("objects: delete and versions", () => {
  it("deleting what is not there succeeds", async () => {
    expect((await scene.ask({ method: "DELETE", bucket, key: "none" })).status).toBe(204)
  })
  it("delete markers hide, say what they are, and can be removed", async () => {
    await versioned()
    const id = (await put("k", "one")).headers.get("x-amz-version-id") ?? ""
    expect(id).toMatch(/^[0-9a-f]{20}$/)
    const deleted = await scene.ask({ method: "DELETE", bucket, key: "k" })
    const marker = deleted.headers.get("x-amz-version-id") ?? ""
    expect([deleted.status, deleted.headers.get("x-amz-delete-marker")]).toEqual([204, "true"])
    const hidden = await get("k")
    expect([hidden.status, codeOf(hidden), hidden.headers.get("x-amz-delete-marker"), hidden.headers.get("x-amz-version-id")]).toEqual([404, "NoSuchKey", "true", marker])
    const named = await get("k", {}, [["versionId", marker]])
    expect([named.status, codeOf(named), named.headers.get("x-amz-delete-marker")]).toEqual([405, "MethodNotAllowed", "true"])
    expect((await get("k", {}, [["versionId", id]])).text).toBe("one")
    const undeleted = await scene.ask({ method: "DELETE", bucket, key: "k", query: [["versionId", marker]] })
    expect([undeleted.status, undeleted.headers.get("x-amz-delete-marker"), undeleted.headers.get("x-amz-version-id")]).toEqual([204, "true", marker])
    expect((await get("k")).text).toBe("one")
  })
  it("version ids that cannot be, and those that are not", async () => {
    await put("k", "one")
    expect(codeOf(await get("k", {}, [["versionId", "what"]]))).toBe("InvalidArgument")
    expect(codeOf(await get("k", {}, [["versionId", "0".repeat(20)]]))).toBe("NoSuchVersion")
    expect((await scene.ask({ method: "DELETE", bucket, key: "k", query: [["versionId", "0".repeat(20)]] })).status).toBe(204)
    expect((await get("k")).text).toBe("one")
  })
  it("suspended versioning writes null versions", async () => {
    await versioned()
    await put("k", "one")
    await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>" })
    await put("k", "two")
    expect((await get("k")).headers.get("x-amz-version-id")).toBe("null")
    expect((await get("k", {}, [["versionId", "null"]])).text).toBe("two")
  })
  it("many at once: quiet, escaped, with errors of their own", async () => {
    await put("a&b", "1")
    await put(" spaces ", "2")
    const body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a&amp;b</Key></Object><Object><Key> spaces </Key></Object><Object><Key>none</Key></Object><Object><Key>v</Key><VersionId>bad id</VersionId></Object></Delete>"
    const answer = await scene.ask({ method: "POST", bucket, query: [["delete", undefined]], body })
    expect(textsOf(answer, "Key").toSorted()).toEqual([" spaces ", "a&amp;b", "none", "v"])
    expect(textsOf(answer, "Code")).toEqual(["NoSuchVersion"])
    expect((await get("a&b")).status).toBe(404)
    const quiet = await scene.ask({ method: "POST", bucket, query: [["delete", undefined]], body: "<Delete><Quiet>true</Quiet><Object><Key>x</Key></Object></Delete>" })
    expect(textsOf(quiet, "Key")).toEqual([])
  })
  it("many at once: bounds", async () => {
    const many = (count: number) => `<Delete>${"<Object><Key>k</Key></Object>".repeat(count)}</Delete>`
    const send = (body: string) => scene.ask({ method: "POST", bucket, query: [["delete", undefined]], body })
    expect((await send(many(1000))).status).toBe(200)
    expect(codeOf(await send(many(1001)))).toBe("MalformedXML")
    expect(codeOf(await send(many(0)))).toBe("MalformedXML")
    expect(codeOf(await send("<Delete><Object><Key>k</Key></Object>"))).toBe("MalformedXML")
    expect(codeOf(await send("<!DOCTYPE x [<!ENTITY a \"b\">]><Delete><Object><Key>&a;</Key></Object></Delete>"))).toBe("MalformedXML")
    expect(codeOf(await send(`<Delete>${" ".repeat(2 ** 21)}</Delete>`))).toBe("MalformedXML")
  })
})
