/**
 * Every route of a real server under seeded harm: values changed before they are signed, and bytes changed, lost, doubled and cut
 * after. An error or an answer in time, never a hang, a defect, a dead process or a wild allocation; and it serves well afterwards.
 */
import { readFileSync } from "node:fs"
import { connect } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { projectRoot, type Server, startServer } from "../e2e/server.ts"
import { call, closeConnections, encodeName, encodePath, head, raw, sign } from "../e2e/wire.ts"
import { cutUp, mutateBytes, mutateText, nastyTexts } from "./Mutation.ts"
import { adminSamples, type Sample, s3SamplesOf } from "./Routes.ts"

const seed = Number(process.env["OUROBOROS_SEED"] ?? 20_261_121)
/** Requests a route; OUROBOROS_FUZZ raises it. */
const rounds = Number(process.env["OUROBOROS_FUZZ"] ?? 12)
const answerMsMax = 8_000

let server: Server
let s3Samples: ReadonlyArray<Sample> = []

beforeAll(async () => {
  server = await startServer()
  await call(server, { method: "PUT", bucket: "fuzz" })
  await call(server, { method: "PUT", bucket: "fuzz", key: "dir/key", body: "hello" })
  const begun = await call(server, { method: "POST", bucket: "fuzz", key: "dir/key", query: [["uploads", ""]] })
  s3Samples = s3SamplesOf(/<UploadId>([^<]+)</.exec(begun.body.toString())?.[1] ?? "")
}, 60_000)

afterAll(async () => {
  if (server === undefined) return
  closeConnections(server)
  await server.dispose()
})

const isWell = async (): Promise<boolean> => {
  await call(server, { method: "PUT", bucket: "fuzz", key: "well", body: "well" })
  return (await call(server, { method: "GET", bucket: "fuzz", key: "well" })).body.toString() === "well"
}

const residentBytes = (): number => {
  const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, "latin1"))
  return 1024 * Number(match?.[1] ?? 0)
}

/** Latin-1 without line ends: what can be in a header at all. */
const asHeader = (text: string): string => text.replace(/[\r\n\0]/g, "")

/** The sample with one to three of its parts harmed, or parts of other samples added: still well signed. */
const harmed = (random: Random, sample: Sample, samples: ReadonlyArray<Sample>): Sample => {
  let { body, key, query = [], headers = {} } = sample
  for (let count = 1 + random.below(3); count > 0; count -= 1) {
    switch (random.below(7)) {
      case 0: query = query.map(([name, value]) => [name, random.chance(0.4) ? mutateText(random, value) : value] as const); break
      case 1: headers = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, random.chance(0.4) ? asHeader(mutateText(random, value)) : value])); break
      case 2: query = [...query, ...(random.pick(samples).query ?? [])]; break
      case 3: headers = { ...headers, ...random.pick(samples).headers }; break
      case 4: body = body === undefined ? random.pick(nastyTexts) : mutateText(random, body); break
      case 5: key = key === undefined ? undefined : mutateText(random, key); break
      default: query = query.filter(() => random.chance(0.5))
    }
  }
  return { ...sample, query, headers, ...(body === undefined ? {} : { body }), ...(key === undefined ? {} : { key }) }
}

const s3Bytes = ({ body, bucket, headers, key, method, query }: Sample): Buffer => {
  const payload = Buffer.from(body ?? "", "latin1")
  const path = bucket === undefined ? "/" : encodePath(bucket, key)
  const signed = sign(server, { method, path, ...(query === undefined ? {} : { query }), ...(headers === undefined ? {} : { headers }) })
  return Buffer.concat([Buffer.from(head(method, signed.target, { ...signed.headers, "content-length": String(payload.length), connection: "close" }), "latin1"), payload])
}

const adminBytes = ({ body, headers, query = [], route, method }: Sample): Buffer => {
  const payload = Buffer.from(body ?? "", "latin1")
  const text = query.map(([name, value]) => `${encodeName(name)}=${encodeName(value)}`).join("&")
  const target = `${route.split(" ")[1]}${text === "" ? "" : `?${text}`}`
  const authorization = `Basic ${Buffer.from(`${server.accessKey}:${server.secretKey}`).toString("base64")}`
  return Buffer.concat([
    Buffer.from(head(method, target, { host: "127.0.0.1", authorization, ...headers, "content-length": String(payload.length), connection: "close" }), "latin1"), payload
  ])
}

const show = (bytes: Uint8Array): string => JSON.stringify(Buffer.from(bytes).toString("latin1").slice(0, 700))

const inTurn = async <A>(items: ReadonlyArray<A>, lanes: number, each: (item: A) => Promise<void>): Promise<void> => {
  const left = [...items]
  await Promise.all(Array.from({ length: lanes }, async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await each(item)
  }))
}

interface Shot {
  readonly port: number
  readonly bytes: Buffer
  readonly story: string
}

const shoot = async ({ bytes, port, story }: Shot): Promise<void> => {
  const answer = await raw(port, [bytes], { msMax: answerMsMax })
  expect(answer.closed, `${story}: no end in ${answerMsMax} ms: ${show(bytes)}`).toBe(true)
  // A cut connection is an answer only to what is no HTTP; these are.
  expect(answer.status, `${story}: ${show(bytes)}\n${answer.text.slice(0, 500)}`).toBeGreaterThanOrEqual(200)
  expect([500, 503], `${story}: ${show(bytes)}\n${answer.text.slice(0, 500)}`).not.toContain(answer.status)
}

describe("fuzz: routes", () => {
  it("fuzz: the table has a good request for every route", () => {
    const router = readFileSync(`${projectRoot}/src/gateway/s3/S3Router.ts`, "utf8")
    const operations = [...router.matchAll(/(?:read|write)\("(\w+)"/g)].map(([, name]) => name)
    expect(operations.length).toBeGreaterThan(25)
    expect(new Set(s3Samples.map(({ route }) => route))).toEqual(new Set(operations))
    const admin = readFileSync(`${projectRoot}/src/gateway/admin/AdminHandler.ts`, "utf8")
    const targets = [...admin.matchAll(/case "((?:GET|POST) \/[^"]+)"/g)].map(([, name]) => name)
    for (const target of targets) expect(adminSamples.map(({ route }) => route), "each admin route has a sample").toContain(target)
  })

  it("fuzz: well-signed requests with harmed values: every route answers, none with a defect", async () => {
    const random = seededRandom(seed)
    const before = residentBytes()
    const shots: Array<Shot> = []
    for (const sample of s3Samples) {
      for (let round = 0; round < rounds; round += 1) {
        shots.push({ port: server.s3Port, story: `seed ${seed}, ${sample.route}, round ${round}`, bytes: s3Bytes(round === 0 ? sample : harmed(random, sample, s3Samples)) })
      }
    }
    for (const sample of adminSamples) {
      for (let round = 0; round < rounds; round += 1) {
        shots.push({ port: server.adminPort, story: `seed ${seed}, ${sample.route}, round ${round}`, bytes: adminBytes(round === 0 ? sample : harmed(random, sample, adminSamples)) })
      }
    }
    await inTurn(shots, 8, shoot)
    expect(await isWell()).toBe(true)
    expect(residentBytes() - before, "resident memory grew").toBeLessThan(256 * 1024 * 1024)
  }, 180_000)

  it("fuzz: bytes changed, lost, doubled or cut on the wire, in pieces: the connection ends, and the next client is served", async () => {
    const random = seededRandom(seed + 1)
    const shots: Array<Shot & { readonly pieces: ReadonlyArray<Uint8Array> }> = []
    const add = (port: number, sample: Sample, bytes: Buffer): void => {
      for (let round = 0; round < rounds; round += 1) {
        const harm = Buffer.from(mutateBytes(random, bytes))
        shots.push({ port, bytes: harm, pieces: cutUp(random, harm), story: `seed ${seed}, ${sample.route}, round ${round}` })
      }
    }
    for (const sample of s3Samples) add(server.s3Port, sample, s3Bytes(sample))
    for (const sample of adminSamples) add(server.adminPort, sample, adminBytes(sample))
    await inTurn(shots, 16, async ({ bytes, pieces, port, story }) => {
      const answer = await raw(port, pieces, { msMax: answerMsMax, end: true })
      expect(answer.closed, `${story}: no end in ${answerMsMax} ms: ${show(bytes)}`).toBe(true)
      expect([500, 503], `${story}: ${show(bytes)}\n${answer.text.slice(0, 500)}`).not.toContain(answer.status)
    })
    expect(await isWell()).toBe(true)
  }, 180_000)

  it("fuzz: chunk framing and chunk signatures harmed: refused or stored whole, never in part", async () => {
    const random = seededRandom(seed + 2)
    const data = "0123456789abcdef".repeat(64)
    const framed = Buffer.from(`${(512).toString(16)}\r\n${data.slice(0, 512)}\r\n${(512).toString(16)}\r\n${data.slice(512)}\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n`, "latin1")
    const shots = Array.from({ length: 20 * rounds }, (_, round) => ({ round, body: round === 0 ? framed : Buffer.from(mutateBytes(random, framed)) }))
    await inTurn(shots, 8, async ({ body, round }) => {
      const key = `chunked-${round}`
      const kinds = ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"]
      const payloadHash = kinds[round % kinds.length] ?? ""
      const signed = sign(server, {
        method: "PUT", path: encodePath("fuzz", key), payloadHash,
        headers: { "content-encoding": "aws-chunked", "x-amz-decoded-content-length": String(data.length), "x-amz-trailer": "x-amz-checksum-crc32" }
      })
      const answer = await raw(server.s3Port, [head("PUT", signed.target, { ...signed.headers, "content-length": String(body.length), connection: "close" }), ...cutUp(random, body)], { msMax: answerMsMax })
      expect(answer.closed, `seed ${seed}, chunked ${round}: ${show(body)}`).toBe(true)
      expect([200, 400, 403, 411, 501], `seed ${seed}, chunked ${round}: ${show(body)}\n${answer.text}`).toContain(answer.status)
      const stored = await call(server, { method: "GET", bucket: "fuzz", key })
      expect(stored.code === "NoSuchKey" ? data.length : stored.body.length, `seed ${seed}, chunked ${round}`).toBe(data.length)
    })
    expect(await isWell()).toBe(true)
  }, 180_000)

  it("fuzz: noise, silence and half requests on hundreds of connections at once cost nobody else their turn", async () => {
    const random = seededRandom(seed + 3)
    const good = s3Bytes(s3Samples[0]!)
    const sockets = Array.from({ length: 300 }, (_, index) => {
      const socket = connect(index % 3 === 0 ? server.adminPort : server.s3Port, "127.0.0.1")
      socket.on("error", () => undefined)
      socket.write(index % 2 === 0 ? random.bytes(1 + random.below(2000)) : good.subarray(0, random.below(good.length)))
      return socket
    })
    const began = Date.now()
    expect(await isWell()).toBe(true)
    expect(Date.now() - began, "a good client waits for no bad one").toBeLessThan(answerMsMax)
    for (const socket of sockets) socket.destroy()
    expect(await isWell()).toBe(true)
  }, 60_000)

  it("fuzz: no request was answered by a defect", () => {
    expect(server.output()).not.toMatch(/defect|AssertionError|TypeError|RangeError|internal error/i)
  })
})
