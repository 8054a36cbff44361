/** Listings of objects, versions and buckets, and of time travel in all of them. */
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { decodeToken, encodeToken } from "../../src/gateway/s3/ListingToken.ts"
import { type Answer, codeOf, makeScene, type Scene, startMs, textsOf } from "./scene.ts"

let scene: Scene
const bucket = "photos"
const enable = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
})

type Query = ReadonlyArray<readonly [string, string | undefined]>
const put = (key: string, body = "x") => scene.ask({ method: "PUT", bucket, key, body })
const list = (query: Query, headers: Readonly<Record<string, string>> = {}) => scene.ask({ bucket, query, headers })
const fill = async (...keys: ReadonlyArray<string>) => {
  for (const key of keys) await put(key)
}
const truncated = (answer: Answer) => textsOf(answer, "IsTruncated")[0] === "true"

describe("listing: version 2", () => {
  it("order is that of UTF-8 bytes, not of UTF-16", async () => {
    await fill("\u{1F600}", "\uFFFD", "a", "B")
    expect(textsOf(await list([["list-type", "2"]]), "Key")).toEqual(["B", "a", "\uFFFD", "\u{1F600}"])
  })
  it("delimiters fold, pages go on behind what they folded", async () => {
    await fill("a/1", "a/2", "b", "c/1", "c/2/3", "d")
    const seen: Array<string> = []
    let token: string | undefined
    for (let page = 0; page < 10; page++) {
      const answer = await list([["list-type", "2"], ["delimiter", "/"], ["max-keys", "1"], ...(token === undefined ? [] : [["continuation-token", token] as const])])
      seen.push(...textsOf(answer, "Key"), ...textsOf(answer, "Prefix").filter((prefix) => prefix !== ""))
      token = textsOf(answer, "NextContinuationToken")[0]
      expect(textsOf(answer, "KeyCount")).toEqual(["1"])
      expect(truncated(answer)).toBe(token !== undefined)
      if (token === undefined) break
    }
    expect(seen).toEqual(["a/", "b", "c/", "d"])
    const inner = await list([["list-type", "2"], ["delimiter", "/"], ["prefix", "c/"]])
    expect([textsOf(inner, "Key"), textsOf(inner, "Prefix")]).toEqual([["c/1"], ["c/", "c/2/"]])
  })
  it("all pages see the commit of the first", async () => {
    await fill("a", "b", "c")
    const first = await list([["list-type", "2"], ["max-keys", "1"]])
    await scene.ask({ method: "DELETE", bucket, key: "b" })
    await put("bb")
    const second = await list([["list-type", "2"], ["continuation-token", textsOf(first, "NextContinuationToken")[0] ?? ""]])
    expect(textsOf(second, "Key")).toEqual(["b", "c"])
    expect(second.headers.get("x-ouroboros-commit")).toBe(first.headers.get("x-ouroboros-commit"))
    expect(textsOf(await list([["list-type", "2"]]), "Key")).toEqual(["a", "bb", "c"])
  })
  it("tokens of anyone else are refused", async () => {
    await fill("a", "b")
    const token = textsOf(await list([["list-type", "2"], ["max-keys", "1"]]), "NextContinuationToken")[0] ?? ""
    for (const bad of ["", "x", `${token}x`, token.slice(2), "AAAA", encodeToken({ sequence: 1, ms: 1, position: "a" }, "other")]) {
      expect(codeOf(await list([["list-type", "2"], ["continuation-token", bad]])), bad).toBe("InvalidArgument")
    }
  })
  it("start-after, fetch-owner, bounds of max-keys", async () => {
    await fill("a", "b", "c")
    const answer = await list([["list-type", "2"], ["start-after", "a"], ["fetch-owner", "true"]])
    expect([textsOf(answer, "Key"), textsOf(answer, "DisplayName").length, textsOf(answer, "StartAfter")]).toEqual([["b", "c"], 2, ["a"]])
    expect(textsOf(await list([["list-type", "2"], ["max-keys", "0"]]), "IsTruncated")).toEqual(["false"])
    expect(textsOf(await list([["list-type", "2"], ["max-keys", "5000"]]), "MaxKeys")).toEqual(["1000"])
    for (const bad of ["-1", "x", "99999999999", "1.5"]) expect(codeOf(await list([["list-type", "2"], ["max-keys", bad]])), bad).toBe("InvalidArgument")
    expect(codeOf(await list([["list-type", "2"], ["encoding-type", "html"]]))).toBe("InvalidArgument")
  })
  it("names that XML cannot hold come as references, or encoded where asked", async () => {
    await fill("a\u0001<&\r\n", "pre fix+/x")
    expect((await list([["list-type", "2"]])).text).toContain("<Key>a&#x1;&lt;&amp;&#xd;&#xa;</Key>")
    const answer = await list([["list-type", "2"], ["encoding-type", "url"], ["delimiter", "/"], ["prefix", "p"]])
    expect(textsOf(answer, "Prefix")).toEqual(["p", "pre%20fix%2B/"])
  })
})

describe("listing: version 1 and versions", () => {
  it("markers", async () => {
    await fill("a", "b", "c")
    const first = await list([["max-keys", "2"]])
    expect([textsOf(first, "Key"), textsOf(first, "NextMarker"), truncated(first)]).toEqual([["a", "b"], ["b"], true])
    const second = await list([["marker", "b"]])
    expect([textsOf(second, "Key"), truncated(second)]).toEqual([["c"], false])
  })
  it("versions and delete markers, newest first, page by page", async () => {
    await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: enable })
    await put("k", "1")
    await put("k", "2")
    await scene.ask({ method: "DELETE", bucket, key: "k" })
    await put("l", "3")
    const all = await list([["versions", undefined]])
    expect(textsOf(all, "Key")).toEqual(["k", "k", "k", "l"])
    expect(textsOf(all, "IsLatest")).toEqual(["true", "false", "false", "true"])
    expect([...all.text.matchAll(/<(Version|DeleteMarker)>/g)].map(([, name]) => name)).toEqual(["DeleteMarker", "Version", "Version", "Version"])
    const ids: Array<string> = []
    let query: Query = []
    for (let page = 0; page < 10; page++) {
      const answer = await list([["versions", undefined], ["max-keys", "1"], ...query])
      ids.push(...textsOf(answer, "VersionId"))
      if (!truncated(answer)) break
      query = [["key-marker", textsOf(answer, "NextKeyMarker")[0] ?? ""], ["version-id-marker", textsOf(answer, "NextVersionIdMarker")[0] ?? ""]]
    }
    expect(ids).toEqual(textsOf(all, "VersionId"))
    expect(codeOf(await list([["versions", undefined], ["version-id-marker", "null"]]))).toBe("InvalidArgument")
  })
})

describe("versions that go between pages", () => {
  const emptied = async (next: ReadonlyArray<readonly [status: "Enabled" | "Suspended", key: string]>) => {
    for (const [status, key] of next) {
      await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: enable.replace("Enabled", status) })
      await put(key, "x")
    }
    let query: Query = []
    for (let page = 0; page < 20; page += 1) {
      const answer = await list([["versions", undefined], ["max-keys", "2"], ...query])
      const ids = textsOf(answer, "VersionId")
      for (const [index, key] of textsOf(answer, "Key").entries()) {
        await scene.ask({ method: "DELETE", bucket, key, query: [["versionId", ids[index] ?? ""]] })
      }
      if (!truncated(answer)) break
      query = [["key-marker", textsOf(answer, "NextKeyMarker")[0] ?? ""], ["version-id-marker", textsOf(answer, "NextVersionIdMarker")[0] ?? ""]]
    }
    return textsOf(await list([["versions", undefined]]), "VersionId")
  }
  it("a bucket is emptied by deleting each page before the next is asked for", async () => {
    expect(await emptied([["Enabled", "k"], ["Enabled", "k"], ["Enabled", "k"], ["Enabled", "k"], ["Enabled", "k"], ["Enabled", "l"]])).toEqual([])
  })
  it("the same where a page ends with the version named null", async () => {
    expect(await emptied([["Enabled", "k"], ["Enabled", "k"], ["Suspended", "k"], ["Enabled", "k"], ["Suspended", "l"]])).toEqual([])
  })
})

describe("buckets", () => {
  it("create, list, head, locate, delete", async () => {
    await scene.ask({ method: "PUT", bucket: "second", body: "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>" })
    expect(textsOf(await scene.ask({}), "Name")).toEqual(["photos", "second"])
    expect(textsOf(await scene.ask({ query: [["max-buckets", "1"]] }), "ContinuationToken")).toEqual(["photos"])
    expect((await scene.ask({ method: "HEAD", bucket })).status).toBe(200)
    expect((await scene.ask({ method: "HEAD", bucket: "third" })).status).toBe(404)
    expect((await scene.ask({ bucket, query: [["location", undefined]] })).text).toContain("<LocationConstraint xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></LocationConstraint>")
    expect(codeOf(await scene.ask({ method: "PUT", bucket }))).toBe("BucketAlreadyOwnedByYou")
    await put("a")
    expect(codeOf(await scene.ask({ method: "DELETE", bucket }))).toBe("BucketNotEmpty")
    expect((await scene.ask({ method: "DELETE", bucket: "second" })).status).toBe(204)
    expect(codeOf(await scene.ask({ method: "DELETE", bucket: "second" }))).toBe("NoSuchBucket")
  })
  it.each(["ab", "Upper", "a..b", "1.2.3.4", "-a", "a_b", "a".repeat(64), ".."])("%s is no bucket's name", async (name) => {
    expect(codeOf(await scene.ask({ method: "PUT", bucket: name }))).toBe("InvalidBucketName")
  })
  it("an empty first segment is no bucket", async () => {
    expect(codeOf(await scene.ask({ bucket: "", key: "x" }))).toBe("InvalidBucketName")
  })
  it("versioning: off, enabled, suspended, nonsense", async () => {
    const state = async () => textsOf(await scene.ask({ bucket, query: [["versioning", undefined]] }), "Status")
    expect(await state()).toEqual([])
    await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: enable })
    expect(await state()).toEqual(["Enabled"])
    expect(codeOf(await scene.ask({ method: "PUT", bucket, query: [["versioning", undefined]], body: enable.replace("Enabled", "Perhaps") }))).toBe("IllegalVersioningConfigurationException")
  })
  it("ACLs: the owner's full control", async () => {
    await put("a")
    expect(textsOf(await scene.ask({ bucket, query: [["acl", undefined]] }), "Permission")).toEqual(["FULL_CONTROL"])
    expect(textsOf(await scene.ask({ bucket, key: "a", query: [["acl", undefined]] }), "Permission")).toEqual(["FULL_CONTROL"])
    expect((await scene.ask({ method: "PUT", bucket, key: "a", query: [["acl", undefined]], headers: { "x-amz-acl": "private" } })).status).toBe(200)
  })
  it("parts of S3 that are not built are 501; unknown parameters mean nothing", async () => {
    await put("a")
    for (const name of ["policy", "tagging", "lifecycle", "cors", "website", "encryption", "logging", "notification", "replication", "object-lock", "accelerate", "requestPayment", "publicAccessBlock", "ownershipControls", "policyStatus"]) {
      const answer = await scene.ask({ bucket, query: [[name, undefined]] })
      expect([answer.status, codeOf(answer)], name).toEqual([501, "NotImplemented"])
    }
    for (const name of ["retention", "legal-hold", "torrent"]) expect((await scene.ask({ bucket, key: "a", query: [[name, undefined]] })).status, name).toBe(501)
    expect((await scene.ask({ method: "PUT", bucket, key: "a", query: [["tagging", undefined]] })).status).toBe(501)
    expect((await scene.ask({ bucket, key: "a", query: [["tagging", undefined]] })).text).toContain("<TagSet></TagSet>")
    expect((await scene.ask({ bucket, key: "a", query: [["x-id", "GetObject"], ["what", "ever"]] })).text).toBe("x")
    expect((await scene.ask({ method: "POST", bucket })).status).toBe(501)
    expect(codeOf(await scene.ask({ method: "PATCH", bucket, key: "a" }))).toBe("MethodNotAllowed")
  })
})

describe("time travel", () => {
  const asOf = (value: string | number) => ({ "x-ouroboros-as-of": String(value) })
  it("reads and listings see the commit asked for", async () => {
    const one = (await put("k", "one")).headers.get("x-ouroboros-commit") ?? ""
    const two = (await put("k", "two")).headers.get("x-ouroboros-commit") ?? ""
    await scene.ask({ method: "DELETE", bucket, key: "k" })
    expect((await scene.ask({ bucket, key: "k" })).status).toBe(404)
    const got = await scene.ask({ bucket, key: "k", headers: asOf(one) })
    expect([got.text, got.headers.get("x-ouroboros-commit")]).toEqual(["one", one])
    expect((await scene.ask({ bucket, key: "k", headers: asOf(two) })).text).toBe("two")
    expect(textsOf(await list([], asOf(two)), "Key")).toEqual(["k"])
    expect(textsOf(await list([["list-type", "2"]], asOf(two)), "Key")).toEqual(["k"])
    expect(textsOf(await list([["versions", undefined]], asOf(one)), "Key")).toEqual(["k"])
    expect(textsOf(await list([["list-type", "2"]]), "Key")).toEqual([])
  })
  it("by time, in any offset", async () => {
    await put("k", "one")
    const then = new Date(scene.nowMs).toISOString()
    scene.nowMs += 60_000
    await put("k", "two")
    expect((await scene.ask({ bucket, key: "k", headers: asOf(then) })).text).toBe("one")
    expect((await scene.ask({ bucket, key: "k", headers: asOf(then.replace("T12", "T14").replace("Z", "+02:00")) })).text).toBe("one")
  })
  it("the future and what is before the first commit say so, and never NoSuchKey", async () => {
    await put("k", "one")
    const future = await scene.ask({ bucket, key: "k", headers: asOf(1000) })
    expect([future.status, codeOf(future)]).toEqual([400, "AsOfInFuture"])
    expect(codeOf(await scene.ask({ bucket, key: "k", headers: asOf(new Date(startMs + 10 ** 9).toISOString()) }))).toBe("AsOfInFuture")
    expect(codeOf(await scene.ask({ bucket, key: "k", headers: asOf("1999-01-01") }))).toBe("AsOfBeforeHorizon")
    for (const bad of ["", "yesterday", "-1", "1e3", "2026-13-01", "2026-02-30T00:00:00Z"]) {
      expect(codeOf(await scene.ask({ bucket, key: "k", headers: asOf(bad) })), bad).toBe("InvalidArgument")
    }
  })
  it("the past cannot be written", async () => {
    for (const method of ["PUT", "DELETE"]) {
      const answer = await scene.ask({ method, bucket, key: "k", headers: asOf(1) })
      expect([answer.status, codeOf(answer)], method).toEqual([400, "InvalidArgument"])
    }
    expect((await scene.ask({ method: "POST", bucket, query: [["delete", undefined]], headers: asOf(1) })).status).toBe(400)
    expect((await scene.ask({ method: "PUT", bucket: "other", headers: asOf(1) })).status).toBe(400)
  })
})

describe("continuation tokens", () => {
  it("come back as they went", () => {
    fc.assert(fc.property(fc.nat(), fc.nat(), fc.string({ unit: "grapheme" }), (sequence, ms, position) => {
      expect(decodeToken(encodeToken({ sequence, ms, position }, bucket), bucket)).toEqual({ sequence, ms, position })
    }))
  })
  it("anything else is refused or harmless", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.base64String(), fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64url"))), (text) => {
      const token = decodeToken(text, bucket)
      expect(token === undefined || Number.isSafeInteger(token.sequence)).toBe(true)
    }))
  })
})
