/** What an operator sees of a running node: metrics, health, logs, request ids; and that no secret is in any of them. */
import { Buffer } from "node:buffer"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type ParsedFamily, parseExposition } from "../base/expositionParser.ts"
import { askAdmin, type Server, startServer } from "./server.ts"
import { call, closeConnections, head, raw, sign } from "./wire.ts"

const secretKey = "kn0wn/Secret+key%with spaces"
const passphrase = "the first passphrase of this store"
const laterPassphrase = "another \"passphrase\" \\ quoted"

let server: Server

beforeAll(async () => {
  server = await startServer({
    args: ["--log-level", "trace"],
    env: { OUROBOROS_ACCESS_KEY: "knownaccess", OUROBOROS_SECRET_KEY: secretKey, OUROBOROS_PASSPHRASE: passphrase },
    // Every request counts as slow: each of them writes its line, too.
    config: { slowRequestMs: 0 }
  })
  server = { ...server, accessKey: "knownaccess", secretKey }
  await call(server, { method: "PUT", bucket: "seen" })
  await call(server, { method: "PUT", bucket: "seen", key: "a", body: "first" })
})
afterAll(async () => {
  closeConnections(server)
  await server.dispose()
})

const scrape = async (): Promise<{ readonly text: string; readonly families: ReadonlyMap<string, ParsedFamily> }> => {
  const response = await fetch(`${server.admin}/metrics`)
  expect(response.status).toBe(200)
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
  const text = await response.text()
  return { text, families: new Map(parseExposition(text).map((family) => [family.name, family])) }
}

const valueOf = (families: ReadonlyMap<string, ParsedFamily>, name: string, labels: Readonly<Record<string, string>> = {}): number =>
  families.get(name)?.samples.find((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))?.value ?? 0

type Line = Readonly<Record<string, unknown>>
const logLines = (): ReadonlyArray<Line> =>
  server.output().split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Line)

/** The line of the log that a condition describes, once it is there. */
const lineOf = async (what: (line: Line) => boolean): Promise<Line> => {
  for (let times = 0; times < 200; times++) {
    const found = logLines().find(what)
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error("no such line in the log")
}

describe("a node under observation", () => {
  it("counts requests by operation and status, bytes, chunks and errors; everything parses", async () => {
    const before = (await scrape()).families
    const bytes = Buffer.alloc(300_000, "bytes that repeat a little; ")
    for (const key of ["a", "b"]) await call(server, { method: "PUT", bucket: "seen", key, body: bytes })
    expect((await call(server, { method: "GET", bucket: "seen", key: "a" })).status).toBe(200)
    expect((await call(server, { method: "GET", bucket: "seen", key: "none" })).status).toBe(404)
    const { families } = await scrape()
    const grown = (name: string, labels: Readonly<Record<string, string>> = {}) => valueOf(families, name, labels) - valueOf(before, name, labels)
    expect(grown("ouroboros_s3_requests_total", { operation: "PutObject", status: "200" })).toBe(2)
    expect(grown("ouroboros_s3_requests_total", { operation: "GetObject", status: "404" })).toBe(1)
    expect(grown("ouroboros_errors_total", { category: "missing" })).toBe(1)
    expect(grown("ouroboros_s3_received_bytes_total", { operation: "PutObject" })).toBe(2 * bytes.length)
    expect(grown("ouroboros_s3_sent_bytes_total", { operation: "GetObject" })).toBeGreaterThanOrEqual(bytes.length)
    expect(grown("ouroboros_ingest_chunked_bytes_total")).toBe(2 * bytes.length)
    expect(grown("ouroboros_ingest_new_bytes_total")).toBeLessThanOrEqual(bytes.length)
    expect(grown("ouroboros_s3_request_seconds_count", { operation: "GetObject" })).toBe(0)
    const got = families.get("ouroboros_s3_request_seconds")?.samples.filter(({ labels }) => labels["operation"] === "GetObject")
    expect(got?.find(({ name }) => name.endsWith("_count"))?.value).toBeGreaterThanOrEqual(2)
  })

  it("has a meter for each part that an operator asks about, and no label that a client chose", async () => {
    await call(server, { method: "PUT", bucket: "labels-of-clients", key: "a-key-of-a-client" })
    await raw(server.s3Port, [head("BREW", "/labels-of-clients", { host: "x", connection: "close" })])
    await fetch(`${server.admin}/a-path-of-a-client`)
    const { text, families } = await scrape()
    for (const name of [
      "ouroboros_journal_bytes", "ouroboros_settle_lag_seconds", "ouroboros_cache_bytes", "ouroboros_ingest_dedup_ratio",
      "ouroboros_ingest_compression_ratio", "ouroboros_disk_sync_seconds", "ouroboros_disk_free_bytes", "ouroboros_overlay_rows",
      "ouroboros_index_bytes", "ouroboros_commits_total", "ouroboros_log_lines_total", "nodejs_eventloop_lag_p99_seconds",
      "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "ouroboros_admin_requests_total", "ouroboros_allowance_used",
      "ouroboros_gc_condemned_bytes", "ouroboros_scrub_findings"
    ]) expect(families.has(name), name).toBe(true)
    expect(text).not.toMatch(/of-a-client|labels-of-clients|BREW/)
  })

  it("an id is the same in the answer, its XML and its lines of the log", async () => {
    const refused = await call(server, { method: "GET", bucket: "seen", key: "not there" })
    const id = refused.headers["x-amz-request-id"]
    expect(refused.body.toString()).toContain(`<RequestId>${id}</RequestId>`)
    expect(await lineOf(({ request }) => request === id)).toMatchObject({ operation: "GetObject", status: 404, code: "NoSuchKey", level: "warn" })
    const admin = await fetch(`${server.admin}/v1/status`)
    expect(await lineOf(({ request }) => request === admin.headers.get("x-request-id"))).toMatchObject({ operation: "Unknown", status: 401 })
  })

  it("what is no request is answered with an id, too, and counted", async () => {
    const before = valueOf((await scrape()).families, "ouroboros_http_malformed_total")
    const refused = await raw(server.s3Port, ["NO HTTP AT ALL\r\n\r\n"])
    expect(refused.text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nx-amz-request-id: [0-9A-F]{16}\r\n/)
    const large = await raw(server.s3Port, [head("GET", "/", { host: "x", "x-large": "x".repeat(100_000) })])
    expect(large.text).toMatch(/^HTTP\/1\.1 431 [^\r]*\r\nx-amz-request-id: [0-9A-F]{16}\r\n/)
    expect(valueOf((await scrape()).families, "ouroboros_http_malformed_total")).toBe(before + 2)
  })

  it("a client that goes away in the middle is counted as gone", async () => {
    const big = Buffer.alloc(24 * 1024 * 1024)
    for (let at = 0; at < big.length; at += 4) big.writeUInt32LE((at * 2_654_435_761) >>> 0, at)
    await call(server, { method: "PUT", bucket: "seen", key: "big", body: big })
    const gone = async () => valueOf((await scrape()).families, "ouroboros_errors_total", { category: "gone" })
    const before = await gone()
    const signed = sign(server, { method: "GET", path: "/seen/big" })
    await raw(server.s3Port, [head("GET", signed.target, { ...signed.headers })], { destroy: true })
    await lineOf(({ message }) => String(message).endsWith("and the client went away"))
    expect(await gone()).toBe(before + 1)
  })

  it("health says what was looked at", async () => {
    const ready = await askAdmin(server, "GET", "/health/ready", true)
    expect([ready.status, ready.body.status]).toEqual([200, "ready"])
    const names = ready.body.checks.map(({ name }: { readonly name: string }) => name)
    expect(names).toEqual(expect.arrayContaining(["recovery", "folder", "disk space", "journal", "index", "queues", "sealing", "collection", "scrub", "history"]))
    expect(ready.body.checks.every((check: { readonly ok: unknown; readonly detail: unknown }) => check.ok === true && typeof check.detail === "string")).toBe(true)
    expect((await askAdmin(server, "GET", "/health/live", true)).status).toBe(200)
  })

  it("no secret is in logs, metrics, health or status, whatever was asked at trace level", async () => {
    const basic = Buffer.from(`knownaccess:${secretKey}`).toString("base64")
    const signed = sign(server, { method: "GET", path: "/seen/a" })
    await call(server, { method: "GET", bucket: "seen", key: "a" })
    await raw(server.s3Port, [head("GET", signed.target, { ...signed.headers, connection: "close" })])
    const presigned = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`knownaccess/${signed.scope}`)}` +
      `&X-Amz-Date=${signed.amzDate}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=${"5ec2e7".repeat(10)}beef&X-Amz-Security-Token=t0ken-of-somebody`
    await raw(server.s3Port, [head("GET", `/seen/a?${presigned}`, { host: "127.0.0.1", connection: "close" })])
    await raw(server.adminPort, [head("GET", "/v1/status", { host: "x", authorization: `Basic ${Buffer.from("knownaccess:a wrong guess").toString("base64")}`, connection: "close" })])
    const exported = (await askAdmin(server, "POST", "/v1/key/export")).body.key as string
    const changed = await fetch(`${server.admin}/v1/key/passphrase`, {
      method: "POST", headers: { authorization: `Basic ${basic}` }, body: JSON.stringify({ passphrase: laterPassphrase })
    })
    expect(changed.status).toBe(200)
    await lineOf(({ message }) => String(message).includes("/v1/key/passphrase"))
    const { text } = await scrape()
    const seen = [server.output(), text, JSON.stringify((await askAdmin(server, "GET", "/health/ready")).body), JSON.stringify((await askAdmin(server, "GET", "/v1/status")).body)].join("\n")
    const keyWords = exported.split("\n").map((line) => line.trim()).filter((line) => /^[A-Za-z0-9+/=_-]{24,}$/.test(line))
    expect(exported.length).toBeGreaterThan(40)
    for (const secret of [
      secretKey, encodeURIComponent(secretKey), passphrase, laterPassphrase, JSON.stringify(laterPassphrase), exported, ...keyWords, basic,
      signed.signature, "5ec2e7".repeat(10), "t0ken-of-somebody", Buffer.from("knownaccess:a wrong guess").toString("base64"), "a wrong guess"
    ]) expect(seen.includes(secret), secret).toBe(false)
  })
})

it("metrics are for the credentials alone where metricsPublic is false; the form of the log is asked for", async () => {
  const closed = await startServer({ config: { metricsPublic: false }, args: ["--log-format", "pretty"] })
  try {
    expect((await askAdmin(closed, "GET", "/metrics", true)).status).toBe(401)
    const { body, status } = await askAdmin(closed, "GET", "/metrics")
    expect([status, parseExposition(body as string).length > 20]).toEqual([200, true])
    expect(closed.output()).toMatch(/\d\d:\d\d:\d\d\.\d{3} INFO {2}the node is ready/)
    await closed.stop()
    expect(closed.output()).toContain("the node stops")
  } finally {
    await closed.dispose()
  }
})

it("a level or a form that there is not is refused with its name", async () => {
  await expect(startServer({ env: { OUROBOROS_LOG_LEVEL: "loud" } })).rejects.toThrow(/OUROBOROS_LOG_LEVEL.*"loud" is none of/)
  await expect(startServer({ args: ["--log-format", "xml"] })).rejects.toThrow(/--log-format.*"xml" is none of auto, pretty, json/)
})
