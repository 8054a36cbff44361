/** x-ouroboros-ttl over signed requests: what is given so long to live reads, lists and copies as gone afterwards. */
import { beforeEach, describe, expect, it } from "vitest"
import { codeOf, makeScene, type Scene, textsOf } from "./scene.ts"

let scene: Scene
const bucket = "photos"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
})

const put = (key: string, body: string, headers: Readonly<Record<string, string>> = {}) => scene.ask({ method: "PUT", bucket, key, body, headers })
const get = (key: string, headers: Readonly<Record<string, string>> = {}) => scene.ask({ bucket, key, headers })
const list = async (query: ReadonlyArray<readonly [string, string]>) => scene.ask({ bucket, query })
const keysOf = async () => textsOf(await list([["list-type", "2"]]), "Key")

describe("time to live", () => {
  it("is told at PUT, GET and HEAD, and over on the second", async () => {
    const stored = await put("a", "hello", { "x-ouroboros-ttl": "60" })
    const expires = new Map(stored.headers).get("x-ouroboros-expires") ?? ""
    expect(expires).toBe("2026-11-20T12:01:00.002Z")
    const got = await get("a")
    expect([got.status, got.headers.get("x-ouroboros-expires"), got.headers.get("x-ouroboros-ttl")]).toEqual([200, expires, "60"])
    expect(got.headers.get("x-amz-expiration")).toBe("expiry-date=\"Fri, 20 Nov 2026 12:01:00 GMT\", rule-id=\"x-ouroboros-ttl\"")
    expect(await keysOf()).toEqual(["a"])
    scene.nowMs += 60_000
    expect(codeOf(await get("a"))).toBe("NoSuchKey")
    expect((await scene.ask({ method: "HEAD", bucket, key: "a" })).status).toBe(404)
    expect(await keysOf()).toEqual([])
    expect(textsOf(await list([["versions", ""]]), "Key")).toEqual([])
    expect((await get("a", { "x-ouroboros-as-of": "2026-11-20T12:00:59Z" })).text).toBe("hello")
    expect(codeOf(await get("a", { "x-ouroboros-as-of": "2026-11-20T12:01:00.002Z" }))).toBe("NoSuchKey")
    expect((await get("a", { "x-ouroboros-as-of": "2" })).text).toBe("hello")
  })

  it("gone counts as absent: a conditional write makes it anew, a conditional overwrite finds nothing", async () => {
    await put("a", "old", { "x-ouroboros-ttl": "1" })
    expect((await put("a", "new", { "if-none-match": "*" })).status).toBe(412)
    scene.nowMs += 1000
    expect(codeOf(await put("a", "new", { "if-match": "*" }))).toBe("NoSuchKey")
    expect((await put("a", "new", { "if-none-match": "*" })).status).toBe(200)
    expect((await get("a")).text).toBe("new")
  })

  it("a multipart upload lives from its completion on", async () => {
    const created = await scene.ask({ method: "POST", bucket, key: "m", query: [["uploads", undefined]], headers: { "x-ouroboros-ttl": "60" } })
    const uploadId = textsOf(created, "UploadId")[0] ?? ""
    const part = await scene.ask({ method: "PUT", bucket, key: "m", query: [["partNumber", "1"], ["uploadId", uploadId]], body: "part" })
    scene.nowMs += 3_600_000
    const etag = part.headers.get("etag") ?? ""
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`
    expect((await scene.ask({ method: "POST", bucket, key: "m", query: [["uploadId", uploadId]], body })).status).toBe(200)
    expect((await get("m")).status).toBe(200)
    scene.nowMs += 60_000
    expect((await get("m")).status).toBe(404)
  })

  it("is not copied with an object, unless asked for", async () => {
    await put("a", "hello", { "x-ouroboros-ttl": "60", "content-type": "text/plain" })
    const copy = (key: string, headers: Readonly<Record<string, string>> = {}) =>
      scene.ask({ method: "PUT", bucket, key, headers: { "x-amz-copy-source": `/${bucket}/a`, ...headers } })
    expect((await copy("kept")).headers.has("x-ouroboros-expires")).toBe(false)
    expect((await copy("short", { "x-ouroboros-ttl": "120" })).headers.get("x-ouroboros-expires")).toContain("2026-11-20T12:02:00")
    scene.nowMs += 60_000
    expect(await keysOf()).toEqual(["kept", "short"])
    expect((await get("kept")).headers.get("content-type")).toBe("text/plain")
    expect(codeOf(await copy("again"))).toBe("NoSuchKey")
  })

  it("in versions: the expired one and what is older are not current, and the older stays listed", async () => {
    await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>" })
    const first = (await put("a", "1")).headers.get("x-amz-version-id") ?? ""
    const second = (await put("a", "2", { "x-ouroboros-ttl": "60" })).headers.get("x-amz-version-id") ?? ""
    scene.nowMs += 60_000
    expect(codeOf(await get("a"))).toBe("NoSuchKey")
    const versions = await list([["versions", ""]])
    expect([textsOf(versions, "VersionId"), textsOf(versions, "IsLatest")]).toEqual([[first], ["false"]])
    expect((await scene.ask({ bucket, key: "a", query: [["versionId", first]] })).text).toBe("1")
    expect(codeOf(await scene.ask({ bucket, key: "a", query: [["versionId", second]] }))).toBe("NoSuchVersion")
  })

  it("pages of one listing see one point of time", async () => {
    for (const key of ["a", "b", "c"]) await put(key, key, { "x-ouroboros-ttl": "60" })
    const first = await list([["list-type", "2"], ["max-keys", "1"]])
    const token = textsOf(first, "NextContinuationToken")[0] ?? ""
    scene.nowMs += 60_000
    await put("d", "d")
    expect(textsOf(await list([["list-type", "2"], ["continuation-token", token]]), "Key")).toEqual(["b", "c"])
    expect(await keysOf()).toEqual(["d"])
  })

  it("is a whole number of seconds in bounds, or none", async () => {
    for (const bad of ["0", "-1", "1.5", "1h", "", "99999999999", "3162240001"]) expect(codeOf(await put("a", "x", { "x-ouroboros-ttl": bad })), bad).toBe("InvalidArgument")
    for (const good of ["1", "3162240000", "none"]) expect((await put("a", "x", { "x-ouroboros-ttl": good })).status, good).toBe(200)
  })

  it("where the node has a default, writes that say nothing get it, and none keeps for ever", async () => {
    scene = await makeScene({ ttlDefaultSeconds: 60 })
    await scene.ask({ method: "PUT", bucket })
    await put("default", "x")
    await put("longer", "x", { "x-ouroboros-ttl": "120" })
    await put("kept", "x", { "x-ouroboros-ttl": "none" })
    scene.nowMs += 60_000
    expect(await keysOf()).toEqual(["kept", "longer"])
    scene.nowMs += 3_600_000
    expect(await keysOf()).toEqual(["kept"])
  })
})
