/** What requests leave behind: meters by operation and status, the node's own time apart from the client's, lines that name them. */
import { type Clock, Effect, Logger, References } from "effect"
import { describe, expect, it } from "vitest"
import { expose } from "../../src/base/Exposition.ts"
import { Meters } from "../../src/base/Meters.ts"
import { ReadError } from "../../src/fetch.ts"
import { redactTarget, redactText } from "../../src/gateway/Redact.ts"
import { RequestBook } from "../../src/gateway/RequestBook.ts"
import { BodyError } from "../../src/ports/Body.ts"
import type { HttpRequest, Passage } from "../../src/ports/HttpListener.ts"
import { parseExposition } from "../base/expositionParser.ts"

const passageOf = (given: Partial<Passage> = {}): Passage =>
  ({ receivedBytes: 0, sentBytes: 0, waitedMs: 0, workedMs: 0, isWhole: true, isBroken: false, failure: undefined, follower: undefined, ...given })

const requestOf = (passage: Passage): HttpRequest => ({
  method: "GET", target: "/b/k?X-Amz-Signature=abcd", headers: [], secure: false, remote: "10.0.0.1:1", passage,
  body: { sizeBytes: 0, next: Effect.succeed(undefined) }
})

interface Line {
  readonly level: string
  readonly message: string
  readonly about: Readonly<Record<string, unknown>>
}

/** A request that is answered after `answerMs`, and ends as its passage says. */
const exchangeOf = async (options: { readonly slowMs: number; readonly logsAll: boolean }, passage: Passage, answerMs: number | undefined) => {
  const meters = new Meters()
  let nowMs = 0
  const clock = { monotonicTimeNanosUnsafe: () => BigInt(nowMs) * 1_000_000n } as unknown as Clock.Clock
  const exchange = new RequestBook({ meters, listener: "s3", ...options }).open(requestOf(passage), "0123456789ABCDEF", clock)
  exchange.named("GetObject")
  nowMs = answerMs ?? 5
  if (answerMs !== undefined) exchange.answered(200)
  const lines: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    lines.push({ level: logLevel, message: String(message), about: fiber.getRef(References.CurrentLogAnnotations) })
  })
  await Effect.runPromise((exchange.ended(passage) ?? Effect.void).pipe(
    Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "All")
  ))
  const values = new Map(parseExposition(expose(meters)).flatMap(({ samples }) =>
    samples.map(({ name, labels, value }) => [`${name} ${Object.values(labels).join()}`.trim(), value] as const)))
  return { lines, values, follower: passage.follower }
}

describe("a request's end", () => {
  it("is counted by operation and status, with its bytes", async () => {
    const { lines, values } = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ receivedBytes: 3, sentBytes: 7 }), 4)
    expect(values.get("ouroboros_s3_requests_total GetObject,200")).toBe(1)
    expect(values.get("ouroboros_s3_received_bytes_total GetObject")).toBe(3)
    expect(values.get("ouroboros_s3_sent_bytes_total GetObject")).toBe(7)
    expect(values.get("ouroboros_s3_request_seconds_sum GetObject")).toBe(0.004)
    expect(lines).toEqual([])
  })

  it("a client that takes its time makes no request slow; a node that does is named, with the request's id and no key", async () => {
    const patient = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ waitedMs: 59_500 }), 60_000)
    expect([patient.lines, patient.values.get("ouroboros_s3_slow_requests_total")]).toEqual([[], 0])
    expect(patient.values.get("ouroboros_s3_request_seconds_sum GetObject")).toBe(0.5)
    const slow = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ waitedMs: 100, workedMs: 300 }), 900)
    expect(slow.values.get("ouroboros_s3_slow_requests_total")).toBe(1)
    expect(slow.lines.map(({ level, message }) => [level, message])).toEqual([["Warn", "slow: GetObject took the node 1100 ms (900 ms in all)"]])
    expect(slow.lines[0]?.about).toMatchObject({ request: "0123456789ABCDEF", operation: "GetObject", status: 200, remote: "10.0.0.1:1" })
    expect(slow.lines[0]?.about).not.toHaveProperty("target")
  })

  it("who reads debug lines has one a request, its target without signatures", async () => {
    const { lines } = await exchangeOf({ slowMs: 1000, logsAll: true }, passageOf(), 4)
    expect(lines.map(({ level, about }) => [level, about["target"]])).toEqual([["Debug", "/b/k?X-Amz-Signature=REDACTED"]])
  })

  it("a client that went away before the answer is a 499, one that went away in the middle keeps the status; both are errors of that kind", async () => {
    const before = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ isWhole: false }), undefined)
    expect(before.values.get("ouroboros_s3_requests_total GetObject,499")).toBe(1)
    const amid = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ isWhole: false, sentBytes: 5 }), 4)
    expect(amid.values.get("ouroboros_s3_requests_total GetObject,200")).toBe(1)
    for (const { values } of [before, amid]) expect(values.get("ouroboros_errors_total gone")).toBe(1)
  })
})

it("an answer that our own defect broke off is no client's fault", async () => {
  const { values } = await exchangeOf({ slowMs: 1000, logsAll: false }, passageOf({ isWhole: false, isBroken: true }), 4)
  expect([values.get("ouroboros_errors_total defect"), values.get("ouroboros_errors_total gone")]).toEqual([1, undefined])
})

it("an answer that was cut because its body failed is counted as what failed, not as a client that went away", async () => {
  const damage = new BodyError({ reason: "Unverified", detail: "rotten", cause: new ReadError({ reason: "Damaged", detail: "rotten" }) })
  const crowd = new BodyError({ reason: "Overloaded", detail: "no memory" })
  for (const [failure, category] of [[damage, "damage"], [crowd, "overload"]] as const) {
    const { values, lines } = await exchangeOf({ slowMs: 1000, logsAll: true }, passageOf({ isWhole: false, failure }), 4)
    expect([values.get(`ouroboros_errors_total ${category}`), values.get("ouroboros_errors_total gone")]).toEqual([1, undefined])
    expect(lines.map(({ message }) => message)).toEqual(["GetObject answered 200, and broke off"])
  }
})

describe("redaction", () => {
  it.each([
    ["/b/k?X-Amz-Signature=0011&partNumber=1", "/b/k?X-Amz-Signature=REDACTED&partNumber=1"],
    ["/b/k?x-amz-security-token=abc", "/b/k?x-amz-security-token=REDACTED"],
    ["/b/k?X-Amz-%53ignature=0011", "/b/k?X-Amz-%53ignature=REDACTED"],
    ["/b/k?prefix=Signature", "/b/k?prefix=Signature"],
    ["/b/Signature=5?uploads", "/b/Signature=5?uploads"]
  ])("%s", (target, clean) => {
    expect(redactTarget(target)).toBe(clean)
  })

  it("texts lose authorization values", () => {
    expect(redactText("authorization: Basic YWNjZXNzOnNlY3JldA== and more")).toBe("authorization: Basic REDACTED and more")
    expect(redactText("AWS4-HMAC-SHA256 Credential=a/b, Signature=00112233445566778899")).toContain("Signature=REDACTED")
    expect(redactText("GET http://h/b?X-Amz-Signature=12&x=1")).toBe("GET http://h/b?X-Amz-Signature=REDACTED&x=1")
  })
})
