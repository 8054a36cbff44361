/** Who may in: signatures by header and query, their clocks, and everything a forger would try. */
import { beforeEach, describe, expect, it } from "vitest"
import { signRequest, presignTarget } from "../../src/gateway/s3/SigV4.ts"
import { codeOf, makeScene, type Scene, startMs } from "./scene.ts"
import { accessKey, type Ask, bodyOf, host, secretKey, sign } from "./sign.ts"

let scene: Scene
const bucket = "photos"
beforeEach(async () => {
  scene = await makeScene()
  await scene.ask({ method: "PUT", bucket })
  await scene.ask({ method: "PUT", bucket, key: "a", body: "hello" })
})

const minute = 60_000

describe("authentication: by header", () => {
  it("nobody in particular is refused", async () => {
    const answer = await scene.ask({ bucket, key: "a", anonymous: true })
    expect([answer.status, codeOf(answer)]).toEqual([403, "AccessDenied"])
    expect(answer.headers.get("x-ouroboros-commit")).toBe("2")
  })
  it("a wrong secret, a wrong key, a changed request", async () => {
    expect(codeOf(await scene.ask({ bucket, key: "a", secret: "other" }))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.ask({ bucket, key: "a", access: "AKIDOTHER" }))).toBe("InvalidAccessKeyId")
    const { request } = sign({ bucket, key: "a", nowMs: scene.nowMs })
    expect(codeOf(await scene.send({ ...request, method: "DELETE" }))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.send({ ...request, target: `/${bucket}/b` }))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.send({ ...request, target: `/${bucket}/a?acl` }))).toBe("SignatureDoesNotMatch")
    expect((await scene.send(request)).status).toBe(200)
  })
  it("any region that the client believes in", async () => {
    expect((await scene.ask({ bucket, key: "a", region: "eu-central-1" })).status).toBe(200)
  })
  it("clocks differ by at most fifteen minutes", async () => {
    expect((await scene.ask({ bucket, key: "a", signMs: startMs - 14 * minute })).status).toBe(200)
    expect((await scene.ask({ bucket, key: "a", signMs: startMs + 14 * minute })).status).toBe(200)
    const late = await scene.ask({ bucket, key: "a", signMs: startMs - 16 * minute })
    expect([late.status, codeOf(late)]).toEqual([403, "RequestTimeTooSkewed"])
    expect(codeOf(await scene.ask({ bucket, key: "a", signMs: startMs + 16 * minute }))).toBe("RequestTimeTooSkewed")
  })
  it("what changes the meaning of a request must be signed", async () => {
    for (const name of ["x-amz-copy-source", "x-amz-acl", "x-ouroboros-as-of", "x-amz-meta-a"]) {
      const answer = await scene.ask({ bucket, key: "a", unsignedHeaders: { [name]: "1" } })
      expect([answer.status, codeOf(answer)], name).toEqual([403, "AccessDenied"])
      expect(answer.text).toContain(`<HeadersNotSigned>${name}</HeadersNotSigned>`)
    }
    expect((await scene.ask({ bucket, key: "a", unsignedHeaders: { "user-agent": "x" } })).status).toBe(200)
  })
  it("older schemes and malformed headers say what is wrong", async () => {
    const send = (authorization: string) => scene.send({
      method: "GET", target: `/${bucket}/a`, secure: false, remote: "", body: bodyOf([], 0),
      headers: [["host", host], ["x-amz-date", "20261120T120000Z"], ["x-amz-content-sha256", "UNSIGNED-PAYLOAD"], ["authorization", authorization]]
    })
    expect((await send(`AWS ${accessKey}:c2ln`)).text).toContain("Please use AWS4-HMAC-SHA256")
    expect(codeOf(await send("AWS4-HMAC-SHA256 nonsense"))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await send(`AWS4-HMAC-SHA256 Credential=${accessKey}/20261120/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=${"0".repeat(64)}`))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await send(`AWS4-HMAC-SHA256 Credential=${accessKey}/20261119/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${"0".repeat(64)}`))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await send(`AWS4-HMAC-SHA256 Credential=${accessKey}/20261120/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${"0".repeat(63)}`))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await scene.send({ method: "GET", target: `/${bucket}/a?AWSAccessKeyId=x&Signature=y&Expires=1`, secure: false, remote: "", body: bodyOf([], 0), headers: [["host", host]] }))).toBe("InvalidRequest")
  })
  it("paths, queries and headers of every kind verify", async () => {
    const asks: ReadonlyArray<Ask> = [
      { bucket, key: "a//b/../c/./é 😀+%2F" }, { bucket, query: [["prefix", "a b+c&d=é/*'()!~"], ["delimiter", "/"], ["x-id", undefined]] },
      { bucket, query: [["a-b", "1"], ["a", "2"], ["a", ""], ["A", "x"]] }, { bucket, key: "a", headers: { "x-amz-meta-a": "  two   spaces  " } }
    ]
    for (const ask of asks) expect(codeOf(await scene.ask(ask)), JSON.stringify(ask)).not.toBe("SignatureDoesNotMatch")
  })
  it("a plus in a query is a space, in a path a plus", async () => {
    await scene.ask({ method: "PUT", bucket, key: "one two" })
    const { request } = sign({ bucket, query: [["prefix", "one two"]], nowMs: scene.nowMs })
    expect((await scene.send({ ...request, target: request.target.replace("%20", "+") })).text).toContain("<Key>one two</Key>")
    await scene.ask({ method: "PUT", bucket, key: "1+1", body: "sum" })
    expect((await scene.send(sign({ nowMs: scene.nowMs }, `/${bucket}/1+1`).request)).text).toBe("sum")
  })
  it("what a client was known by before counts for nothing without its signature", async () => {
    const { request } = sign({ bucket, key: "a", nowMs: scene.nowMs })
    expect((await scene.send(request)).status).toBe(200)
    const withSignature = (change: (authorization: string) => string) =>
      ({ ...request, headers: request.headers.map(([name, value]) => [name, name === "authorization" ? change(value) : value] as const) })
    const last = (digit: string) => (digit === "0" ? "1" : "0")
    expect(codeOf(await scene.send(withSignature((text) => text.slice(0, -1) + last(text.slice(-1)))))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.send(withSignature((text) => text.slice(0, -1))))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await scene.send(withSignature((text) => `${text.slice(0, -1)}g`)))).toBe("AuthorizationHeaderMalformed")
    expect(codeOf(await scene.send(withSignature((text) => text.toUpperCase().replace("SIGNATURE", "Signature"))))).not.toBe("")
    expect(codeOf(await scene.send({ ...request, headers: request.headers.filter(([name]) => name !== "host") }))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.ask({ bucket, key: "a", secret: "other" }))).toBe("SignatureDoesNotMatch")
    scene.nowMs += 16 * minute
    expect(codeOf(await scene.send(request))).toBe("RequestTimeTooSkewed")
  })
  it("a path signed as sent, with encoded slashes, verifies too", async () => {
    const { request } = sign({ nowMs: scene.nowMs }, `/${bucket}/x%2Fy`)
    expect(codeOf(await scene.send(request))).toBe("NoSuchKey")
  })
  it("virtual-host style: the bucket is in the host, case and port aside", async () => {
    const answer = await scene.send(sign({ nowMs: scene.nowMs, host: `${bucket}.S3.test:9000` }, "/a").request)
    expect([answer.status, answer.text]).toEqual([200, "hello"])
    expect((await scene.send(sign({ nowMs: scene.nowMs, host: `${bucket}.s3.test` }, "/").request)).text).toContain("<Key>a</Key>")
    expect((await scene.send(sign({ nowMs: scene.nowMs, host: "127.0.0.1:9000" }, `/${bucket}/a`).request)).text).toBe("hello")
  })
})

describe("authentication: presigned", () => {
  const seconds = 1000
  it("good until it expires, and not before its time", async () => {
    const { request } = sign({ bucket, key: "a", presign: 60, nowMs: scene.nowMs })
    const fresh = () => sign({ bucket, key: "a", presign: 60, nowMs: startMs }).request
    expect((await scene.send(request)).text).toBe("hello")
    scene.nowMs = startMs + 59 * seconds
    expect((await scene.send(fresh())).status).toBe(200)
    scene.nowMs = startMs + 61 * seconds
    const expired = await scene.send(fresh())
    expect([expired.status, codeOf(expired)]).toEqual([403, "AccessDenied"])
    expect(expired.text).toContain("Request has expired")
    scene.nowMs = startMs - 16 * minute
    expect((await scene.send(fresh())).text).toContain("not yet valid")
  })
  it("its holder cannot add to it", async () => {
    const { request } = sign({ bucket, key: "a", presign: 60, nowMs: scene.nowMs })
    expect(codeOf(await scene.send({ ...request, target: `${request.target}&versionId=null` }))).toBe("SignatureDoesNotMatch")
    expect(codeOf(await scene.send({ ...request, headers: [...request.headers, ["x-ouroboros-as-of", "1"]] }))).toBe("AccessDenied")
    expect(codeOf(await scene.send({ ...request, method: "PUT" }))).toBe("SignatureDoesNotMatch")
  })
  it("bounds and forms", async () => {
    expect(codeOf(await scene.ask({ bucket, key: "a", presign: 604_801 }))).toBe("AuthorizationQueryParametersError")
    expect((await scene.ask({ bucket, key: "a", presign: 604_800 })).status).toBe(200)
    const { request } = sign({ bucket, key: "a", presign: 60, nowMs: scene.nowMs })
    for (const [from, to] of [["X-Amz-Date=2", "X-Amz-Date=x"], ["AWS4-HMAC-SHA256", "AWS4"], ["X-Amz-Expires=60", "X-Amz-Expires=-1"], ["X-Amz-SignedHeaders=host&", ""], ["aws4_request", "x"]] as const) {
      expect(codeOf(await scene.send({ ...request, target: request.target.replace(from, to) })), to).toBe("AuthorizationQueryParametersError")
    }
    expect(codeOf(await scene.send({ ...request, headers: [...request.headers, ["authorization", "AWS4-HMAC-SHA256 x"]] }))).toBe("InvalidArgument")
  })
  it("a presigned upload takes any body, whole or as it says", async () => {
    expect((await scene.ask({ method: "PUT", bucket, key: "up", presign: 60, body: "data" })).status).toBe(200)
    expect((await scene.ask({ bucket, key: "up" })).text).toBe("data")
  })
})

describe("authentication: our own signer", () => {
  const signer = { accessKey, secretKey, region: "us-east-1" }
  it("signs what our own server accepts", async () => {
    for (const target of [`/${bucket}/a`, `/${bucket}/a?x-id=GetObject&b=%20%2B`, `/${bucket}?list-type=2&prefix=%F0%9F%98%80&delimiter=%2F`]) {
      const headers = signRequest({ method: "GET", target, host, headers: [["x-amz-checksum-mode", "ENABLED"]] }, signer, scene.nowMs, "UNSIGNED-PAYLOAD")
      expect((await scene.send({ method: "GET", target, headers, secure: false, remote: "", body: bodyOf([], 0) })).status, target).toBe(200)
    }
  })
  it("presigns what our own server accepts", async () => {
    const target = presignTarget({ method: "GET", target: `/${bucket}/a?response-content-type=text%2Fplain`, host, headers: [] }, signer, scene.nowMs, 60)
    const answer = await scene.send({ method: "GET", target, headers: [["host", host]], secure: false, remote: "", body: bodyOf([], 0) })
    expect([answer.text, answer.headers.get("content-type")]).toEqual(["hello", "text/plain"])
  })
})

describe("authorization", () => {
  it("the seam decides by principal, action, bucket and key", async () => {
    const asked: Array<ReadonlyArray<string>> = []
    scene = await makeScene({ authorize: (...what) => asked.push(what) < 2 })
    expect((await scene.ask({ method: "PUT", bucket })).status).toBe(200)
    expect(codeOf(await scene.ask({ method: "PUT", bucket, key: "k" }))).toBe("AccessDenied")
    expect(asked).toEqual([["root", "CreateBucket", bucket, ""], ["root", "PutObject", bucket, "k"]])
  })
})
