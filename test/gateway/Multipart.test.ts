/** Uploads in parts, over signed requests. */
import { createHash } from "node:crypto"
import { beforeEach, describe, expect, it } from "vitest"
import { type Answer, codeOf, makeScene, type Scene, textsOf } from "./scene.ts"

let scene: Scene
const bucket = "photos"
const key = "big file"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
})

type Headers = Readonly<Record<string, string>>
const five = 5 * 1024 * 1024
const create = async (headers: Headers = {}): Promise<string> =>
  textsOf(await scene.ask({ method: "POST", bucket, key, query: [["uploads", undefined]], headers }), "UploadId")[0] ?? ""
const part = (upload: string, partNumber: number | string, body: Uint8Array | string, headers: Headers = {}) =>
  scene.ask({ method: "PUT", bucket, key, query: [["partNumber", String(partNumber)], ["uploadId", upload]], body, headers })
const complete = (upload: string, parts: ReadonlyArray<readonly [number | string, string]>, headers: Headers = {}) =>
  scene.ask({
    method: "POST", bucket, key, query: [["uploadId", upload]], headers,
    body: `<CompleteMultipartUpload>${parts.map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`).join("")}</CompleteMultipartUpload>`
  })
const etagOf = (answer: Answer): string => answer.headers.get("etag") ?? ""
const digest = (name: string, body: Uint8Array | string): string => createHash(name).update(body).digest("base64")

describe("multipart: from create to complete", () => {
  it("parts in any order, read back whole and by number", async () => {
    const upload = await create({ "content-type": "text/plain", "x-amz-meta-a": "1" })
    expect(upload).toMatch(/^[0-9a-f]{32}$/)
    const two = await part(upload, 2, "tail")
    const one = await part(upload, 1, Buffer.alloc(five, "a"))
    expect(etagOf(one)).toMatch(/^"[0-9a-f]{32}-1"$/)
    const done = await complete(upload, [[1, etagOf(one)], [2, etagOf(two).replaceAll("\"", "&quot;")]])
    expect([done.status, textsOf(done, "ETag")[0]]).toEqual([200, expect.stringMatching(/^&quot;[0-9a-f]{32}-2&quot;$/)])
    expect(textsOf(done, "Location")[0]).toContain("/photos/big%20file")
    const head = await scene.ask({ method: "HEAD", bucket, key })
    expect([head.headers.get("content-length"), head.headers.get("content-type"), head.headers.get("x-amz-meta-a")]).toEqual([String(five + 4), "text/plain", "1"])
    const second = await scene.ask({ bucket, key, query: [["partNumber", "2"]] })
    expect([second.status, second.text, second.headers.get("x-amz-mp-parts-count"), second.headers.get("content-range")]).toEqual([206, "tail", "2", `bytes ${five}-${five + 3}/${five + 4}`])
    const facts = await scene.ask({ bucket, key, query: [["attributes", undefined]], headers: { "x-amz-object-attributes": "ObjectParts,ObjectSize", "x-amz-max-parts": "1" } })
    expect([textsOf(facts, "PartsCount"), textsOf(facts, "PartNumber"), textsOf(facts, "IsTruncated"), textsOf(facts, "ObjectSize")]).toEqual([["2"], ["1"], ["true"], [String(five + 4)]])
    expect(codeOf(await scene.ask({ bucket, key, query: [["attributes", undefined]] }))).toBe("InvalidArgument")
    const third = await scene.ask({ bucket, key, query: [["partNumber", "3"]] })
    expect([third.status, codeOf(third)]).toEqual([416, "InvalidPartNumber"])
    expect(codeOf(await complete(upload, [[1, etagOf(one)]]))).toBe("NoSuchUpload")
  })
  it("a part with Content-MD5 has its MD5 as ETag", async () => {
    const upload = await create()
    expect(etagOf(await part(upload, 1, "x", { "content-md5": digest("md5", "x") }))).toBe(`"${createHash("md5").update("x").digest("hex")}"`)
  })
  it("by configuration every part has", async () => {
    scene = await makeScene({ md5EtagBytesMax: Number.MAX_SAFE_INTEGER })
    await scene.ask({ method: "PUT", bucket })
    expect(etagOf(await part(await create(), 1, "x"))).toBe(`"${createHash("md5").update("x").digest("hex")}"`)
  })
  it("lists parts and uploads, in pages", async () => {
    const upload = await create()
    for (const number of [1, 2, 3]) await part(upload, number, `part ${number}`)
    const query = [["uploadId", upload], ["max-parts", "2"]] as const
    const first = await scene.ask({ bucket, key, query })
    expect([textsOf(first, "PartNumber"), textsOf(first, "IsTruncated"), textsOf(first, "NextPartNumberMarker")]).toEqual([["1", "2"], ["true"], ["2"]])
    const second = await scene.ask({ bucket, key, query: [...query, ["part-number-marker", "2"]] })
    expect([textsOf(second, "PartNumber"), textsOf(second, "IsTruncated")]).toEqual([["3"], ["false"]])
    const other = await create()
    const uploads = await scene.ask({ bucket, query: [["uploads", undefined]] })
    expect(textsOf(uploads, "UploadId").toSorted()).toEqual([upload, other].toSorted())
    const page = await scene.ask({ bucket, query: [["uploads", undefined], ["max-uploads", "1"]] })
    const rest = await scene.ask({ bucket, query: [["uploads", undefined], ["key-marker", textsOf(page, "NextKeyMarker")[0] ?? ""], ["upload-id-marker", textsOf(page, "NextUploadIdMarker")[0] ?? ""]] })
    expect([...textsOf(page, "UploadId"), ...textsOf(rest, "UploadId")].toSorted()).toEqual([upload, other].toSorted())
  })
  it("abort", async () => {
    const upload = await create()
    await part(upload, 1, "x")
    const abort = () => scene.ask({ method: "DELETE", bucket, key, query: [["uploadId", upload]] })
    expect((await abort()).status).toBe(204)
    expect(codeOf(await abort())).toBe("NoSuchUpload")
    expect(codeOf(await part(upload, 2, "x"))).toBe("NoSuchUpload")
    expect(codeOf(await scene.ask({ bucket, key, query: [["uploadId", upload]] }))).toBe("NoSuchUpload")
  })
  it("part copy, whole and by range", async () => {
    await scene.ask({ method: "PUT", bucket, key: "source", body: "0123456789" })
    const upload = await create()
    const copy = (headers: Headers) => part(upload, 1, "", { "x-amz-copy-source": `/${bucket}/source`, ...headers })
    expect((await copy({})).status).toBe(200)
    const ranged = await copy({ "x-amz-copy-source-range": "bytes=2-4" })
    const done = await complete(upload, [[1, textsOf(ranged, "ETag")[0] ?? ""]])
    expect(done.status).toBe(200)
    expect((await scene.ask({ bucket, key })).text).toBe("234")
    const again = await create()
    for (const range of ["bytes=0-10", "bytes=5-", "bytes=4-2", "0-1"]) {
      expect(codeOf(await part(again, 1, "", { "x-amz-copy-source": `${bucket}/source`, "x-amz-copy-source-range": range })), range).toBe("InvalidArgument")
    }
  })
})

describe("multipart: what is refused", () => {
  it("a part copy whose source turns out damaged is the store's fault, not the client's", async () => {
    await scene.ask({ method: "PUT", bucket, key: "source", body: "0123456789", headers: { "x-amz-meta-damaged": "later" } })
    const answer = await part(await create(), 1, "", { "x-amz-copy-source": `/${bucket}/source` })
    expect([answer.status, codeOf(answer)]).toEqual([500, "InternalError"])
  })
  it("part numbers out of range, uploads that are none", async () => {
    const upload = await create()
    for (const number of [0, 10_001, -1, "x", ""]) expect(codeOf(await part(upload, number, "x")), String(number)).toBe("InvalidArgument")
    expect(codeOf(await part("nonsense", 1, "x"))).toBe("NoSuchUpload")
    expect(codeOf(await part("0".repeat(32), 1, "x"))).toBe("NoSuchUpload")
  })
  it("lists of parts that are wrong", async () => {
    const upload = await create()
    const one = etagOf(await part(upload, 1, "small"))
    const two = etagOf(await part(upload, 2, "tail"))
    expect(codeOf(await complete(upload, []))).toBe("MalformedXML")
    expect(codeOf(await complete(upload, [["x", one]]))).toBe("MalformedXML")
    expect(codeOf(await complete(upload, [[10_001, one]]))).toBe("InvalidArgument")
    expect(codeOf(await complete(upload, [[2, two], [1, one]]))).toBe("InvalidPartOrder")
    expect(codeOf(await complete(upload, [[1, one], [1, one]]))).toBe("InvalidPartOrder")
    expect(codeOf(await complete(upload, [[1, "\"other\""]]))).toBe("InvalidPart")
    expect(codeOf(await complete(upload, [[3, one]]))).toBe("InvalidPart")
    expect(codeOf(await complete(upload, [[1, one], [2, two]]))).toBe("EntityTooSmall")
    expect(codeOf(await complete(upload, [[1, one]], { "x-amz-mp-object-size": "6" }))).toBe("InvalidRequest")
    expect((await complete(upload, [[1, one]], { "x-amz-mp-object-size": "5" })).status).toBe(200)
  })
  it("conditions on complete", async () => {
    await scene.ask({ method: "PUT", bucket, key, body: "there" })
    const upload = await create()
    const one = etagOf(await part(upload, 1, "x"))
    expect(codeOf(await complete(upload, [[1, one]], { "if-none-match": "*" }))).toBe("PreconditionFailed")
  })
  it("checksums of another kind than the upload's", async () => {
    const upload = await create({ "x-amz-checksum-algorithm": "SHA256" })
    const sha = digest("sha256", "x")
    expect(codeOf(await part(upload, 1, "x", { "x-amz-checksum-sha1": digest("sha1", "x") }))).toBe("InvalidRequest")
    expect((await part(upload, 1, "x", { "x-amz-checksum-sha256": sha })).headers.get("x-amz-checksum-sha256")).toBe(sha)
    expect((await part(upload, 2, "x")).headers.get("x-amz-checksum-sha256"), "computed where the client sends none").toBe(sha)
    for (const [algorithm, type] of [["SHA256", "FULL_OBJECT"], ["CRC64NVME", "COMPOSITE"], ["MD4", "COMPOSITE"], ["", "COMPOSITE"]] as const) {
      const answer = await scene.ask({
        method: "POST", bucket, key, query: [["uploads", undefined]],
        headers: { "x-amz-checksum-type": type, ...(algorithm === "" ? {} : { "x-amz-checksum-algorithm": algorithm }) }
      })
      expect(codeOf(answer), `${algorithm} ${type}`).toBe("InvalidRequest")
    }
  })
})
