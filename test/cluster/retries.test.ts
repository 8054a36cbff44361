/** What clients of S3 send again, at any member of a store: done once, and answered as it was. */
import { Effect } from "effect"
import { beforeAll, expect, it } from "vitest"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { type Crc64, makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import { makeS3Handler, type S3Handler } from "../../src/gateway/s3/S3Handler.ts"
import type { Body } from "../../src/ports/Body.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { type Running, valueOf } from "../carrier/Stations.ts"
import { accessKey, type Ask, secretKey, sign } from "../gateway/sign.ts"
import { type Host, Members } from "./Members.ts"

const bucket = "things"
let crc64: Crc64
beforeAll(async () => { crc64 = await Effect.runPromise(makeCrc64) })

interface Answer {
  readonly status: number
  readonly version: string | undefined
  readonly etag: string | undefined
  readonly text: string
}

const textOf = Effect.fnUntraced(function*(body: Body) {
  const parts: Array<Uint8Array> = []
  for (let bytes = yield* body.next; bytes !== undefined; bytes = yield* body.next) parts.push(bytes)
  return Buffer.concat(parts).toString()
})

class Gateways {
  readonly members = new Members(3, 11)
  readonly #handlers: ReadonlyArray<S3Handler>

  constructor() {
    const made = makeS3Handler({
      domain: "s3.test", md5EtagBytesMax: 1024, crc64, credentials: (key) => (key === accessKey ? { secretKey, principal: "root" } : undefined)
    })
    this.#handlers = this.members.hosts.map((host, at) => this.members.do(host, Effect.provideService(made, Entropy, seededEntropy(seededRandom(at)))))
  }

  /** Under way: what came of it is there once time has passed. */
  send(at: number, ask: Ask, id?: string): Running<Answer, unknown> {
    const nowMs = Date.UTC(2026, 10, 22) + this.members.country.nowMs
    const { request } = sign({ ...ask, nowMs, headers: { ...ask.headers, ...(id === undefined ? {} : { "amz-sdk-invocation-id": id, "amz-sdk-request": `attempt=${at + 1}; max=3` }) } })
    return this.#host(at).run(Effect.scoped(Effect.gen({ self: this }, function*() {
      const { body, headers, status } = yield* this.#handlers[at]!(request)
      const of = (name: string): string | undefined => headers.find(([header]) => header === name)?.[1]
      const text = body === undefined ? "" : body instanceof Uint8Array ? Buffer.from(body).toString() : yield* textOf(body)
      return { status, version: of("x-amz-version-id"), etag: of("etag"), text }
    })))
  }

  ask(at: number, ask: Ask, id?: string): Answer {
    const running = this.send(at, ask, id)
    this.members.country.passUntil(() => running.exit !== undefined)
    return valueOf(running)
  }

  /** How often this stands in the list of versions. */
  count(what: string): number {
    return this.ask(0, { bucket, query: [["versions", ""]] }).text.split(`<${what}>`).length - 1
  }

  #host(at: number): Host {
    return this.members.hosts[at]!
  }
}

const versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

const begun = (): Gateways => {
  const gateways = new Gateways()
  expect(gateways.ask(0, { method: "PUT", bucket }, "make").status).toBe(200)
  expect(gateways.ask(1, { method: "PUT", bucket, query: [["versioning", ""]], body: versioned }).status).toBe(200)
  return gateways
}

it("retries: a bucket, an object, a deletion that is sent again under the same id, at another member, is done once and answered as it was", { timeout: 120_000 }, () => {
  const gateways = begun()
  expect(gateways.ask(2, { method: "PUT", bucket }, "make").status).toBe(200)
  expect(gateways.ask(2, { method: "PUT", bucket }).status).toBe(409)
  const put: Ask = { method: "PUT", bucket, key: "k", body: "first", headers: { "if-none-match": "*" } }
  const first = gateways.ask(0, put, "one")
  expect(first).toMatchObject({ status: 200, version: expect.any(String) })
  for (const at of [1, 2, 0]) expect(gateways.ask(at, put, "one")).toEqual(first)
  expect(gateways.ask(1, put).status).toBe(412)
  expect(gateways.count("Version")).toBe(1)
  // A body that does not lie in its row.
  const large: Ask = { method: "PUT", bucket, key: "k", body: seededRandom(5).bytes(30_000) }
  const stored = gateways.ask(0, large, "two")
  expect(gateways.ask(2, large, "two")).toEqual(stored)
  const gone = gateways.ask(1, { method: "DELETE", bucket, key: "k" }, "three")
  expect(gone).toMatchObject({ status: 204, version: expect.any(String) })
  expect(gateways.ask(2, { method: "DELETE", bucket, key: "k" }, "three")).toEqual(gone)
  const copy: Ask = { method: "PUT", bucket, key: "copy", headers: { "x-amz-copy-source": `/things/k?versionId=${stored.version}` } }
  expect(gateways.ask(2, copy, "four")).toEqual(gateways.ask(0, copy, "four"))
  expect([gateways.count("Version"), gateways.count("DeleteMarker")]).toEqual([3, 1])
})

it("retries: attempts that are under way at all members at once are one; without an id each is one of its own, and so is another body under the same id", { timeout: 120_000 }, () => {
  const gateways = begun()
  const put: Ask = { method: "PUT", bucket, key: "k", body: "at once" }
  const all = (id?: string): ReadonlyArray<Answer> => {
    const running = [0, 1, 2, 0].map((at) => gateways.send(at, put, id))
    gateways.members.country.passUntil(() => running.every(({ exit }) => exit !== undefined))
    return running.map(valueOf)
  }
  expect(new Set(all("one").map(({ version }) => version)).size).toBe(1)
  expect(gateways.count("Version")).toBe(1)
  expect(new Set(all().map(({ version }) => version)).size).toBe(4)
  expect(gateways.ask(1, { ...put, body: "at onCe" }, "one").status).toBe(200)
  expect(gateways.ask(1, { ...put, headers: { "x-amz-meta-of": "another" } }, "one").status).toBe(200)
  expect(gateways.count("Version")).toBe(7)
  const own = (id: string): Answer => gateways.ask(0, { ...put, headers: { "x-ouroboros-request-id": id } })
  expect(own("mine")).toEqual(own("mine"))
  for (const id of ["with space", "ü", "x".repeat(129)]) expect(own(id).status).toBe(400)
  expect(gateways.count("Version")).toBe(8)
})

it("retries: an upload is completed once, and whoever asks again at another member hears the same; one that was aborted is gone for both", { timeout: 120_000 }, () => {
  const gateways = begun()
  const begin = (): string => /<UploadId>([0-9a-f]+)</.exec(gateways.ask(0, { method: "POST", bucket, key: "k", query: [["uploads", ""]] }, "begin").text)![1]!
  const upload = begin()
  const query = [["partNumber", "1"], ["uploadId", upload]] as const
  const part = gateways.ask(1, { method: "PUT", bucket, key: "k", query, body: "a part" }, "part")
  const complete: Ask = {
    method: "POST", bucket, key: "k", query: [["uploadId", upload]], body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.etag}</ETag></Part></CompleteMultipartUpload>`
  }
  const first = gateways.ask(1, complete, "complete")
  expect(first.text).toContain("<CompleteMultipartUploadResult")
  gateways.members.country.pass(120_000)
  expect(gateways.ask(2, complete, "complete")).toEqual(first)
  expect(gateways.ask(2, complete).status).toBe(404)
  expect(gateways.count("Version")).toBe(1)
  const abort: Ask = { method: "DELETE", bucket, key: "k", query: [["uploadId", begin()]] }
  for (const at of [0, 1]) expect(gateways.ask(at, abort, "abort").status).toBe(204)
  expect(gateways.ask(2, abort, "another").status).toBe(404)
})
