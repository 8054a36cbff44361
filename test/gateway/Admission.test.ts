/** Admission: a bounded number of requests under way; the others wait a little, or are told to slow down. */
import { Effect, Exit, Scope } from "effect"
import { describe, expect, it } from "vitest"
import type { S3Handler } from "../../src/gateway/s3/S3Handler.ts"
import type { HttpRequest } from "../../src/ports/HttpListener.ts"
import { codeOf, makeScene, startMs } from "./scene.ts"
import { sign } from "./sign.ts"

/** A request that stays under way until its scope closes, as one does whose answer is being sent. */
const begin = async (handler: S3Handler, request: HttpRequest) => {
  const scope = Scope.makeUnsafe()
  const response = await Effect.runPromise(handler(request).pipe(Scope.provide(scope)))
  return { status: response.status, end: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

const listBuckets = () => sign({ nowMs: startMs }).request

describe("admission", () => {
  it("admission: one too many is told SlowDown and when to come back, unread and unauthenticated, and is served afterwards", async () => {
    const scene = await makeScene({}, { requestsMax: 2, requestsQueuedMax: 0 })
    const under = [await begin(scene.handler, listBuckets()), await begin(scene.handler, listBuckets())]
    let pulls = 0
    const body = { sizeBytes: 5, next: Effect.sync(() => (pulls += 1, undefined)) }
    const refused = await scene.send({ method: "PUT", target: "/b/k", headers: [["authorization", "nonsense"]], body, secure: false, remote: "" })
    expect([refused.status, codeOf(refused), refused.headers.get("retry-after")]).toEqual([503, "SlowDown", "2"])
    expect(refused.headers.get("x-amz-request-id")).toMatch(/^[0-9A-F]{16}$/)
    expect(pulls).toBe(0)
    await under[0]!.end()
    expect((await scene.ask({})).status).toBe(200)
    // The one that was sent has left, the other is still under way.
    const third = await begin(scene.handler, listBuckets())
    expect((await scene.ask({})).status).toBe(503)
    await Promise.all([under[1]!.end(), third.end()])
    expect((await scene.ask({})).status).toBe(200)
  })

  it("admission: a request that waits for a place is served when one is free, and refused when none comes in time", async () => {
    const scene = await makeScene({}, { requestsMax: 1, requestsQueuedMax: 1, requestsWaitMs: 60 })
    const first = await begin(scene.handler, listBuckets())
    const waiting = begin(scene.handler, listBuckets())
    // The queue is full: no waiting for this one.
    expect((await begin(scene.handler, listBuckets())).status).toBe(503)
    await first.end()
    const second = await waiting
    expect(second.status).toBe(200)
    expect((await begin(scene.handler, listBuckets())).status, "after its time").toBe(503)
    await second.end()
    expect((await scene.ask({})).status).toBe(200)
  })

  it("admission: a small read is answered at once and leaves its place; where there is none it is told to slow down as any other", async () => {
    const scene = await makeScene({}, { requestsMax: 1, requestsQueuedMax: 0 })
    await scene.ask({ method: "PUT", bucket: "photos" })
    await scene.ask({ method: "PUT", bucket: "photos", key: "a", body: "hello" })
    const read = () => sign({ nowMs: startMs, bucket: "photos", key: "a" }).request
    const whole = await scene.ask({ bucket: "photos", key: "a" })
    for (let turn = 0; turn < 3; turn += 1) {
      const answer = scene.handler(read())
      expect(Exit.isExit(answer) && Exit.isSuccess(answer)).toBe(true)
      expect((await scene.send(read())).text).toBe("hello")
    }
    expect(whole.headers.get("x-ouroboros-commit")).toBe("2")
    // The longer way, of a read that names a point of time or a version, says the same.
    for (const ask of [{ headers: { "x-ouroboros-as-of": "2" } }, { query: [["versionId", "null"]] as const }]) {
      const answer = scene.handler(sign({ nowMs: startMs, bucket: "photos", key: "a", ...ask }).request)
      expect(Exit.isExit(answer)).toBe(false)
      const long = await scene.ask({ bucket: "photos", key: "a", ...ask })
      expect([long.status, long.text]).toEqual([200, "hello"])
      expect([...long.headers.keys()]).toEqual([...whole.headers.keys()])
    }
    const under = await begin(scene.handler, listBuckets())
    expect(codeOf(await scene.send(read()))).toBe("SlowDown")
    await under.end()
    expect((await scene.send(read())).text).toBe("hello")
  })

  it("admission: a defect before anything is waited for is a 500, and leaves its place", async () => {
    const scene = await makeScene({ credentials: () => { throw new Error("planted") } }, { requestsMax: 1, requestsQueuedMax: 0 })
    for (let turn = 0; turn < 2; turn += 1) {
      const answer = await scene.ask({ bucket: "photos", key: "a" })
      expect([answer.status, codeOf(answer)]).toEqual([500, "InternalError"])
    }
  })

  it("admission: a request that fails leaves its place", async () => {
    const scene = await makeScene({}, { requestsMax: 1, requestsQueuedMax: 0 })
    for (let turn = 0; turn < 3; turn += 1) expect((await scene.ask({ bucket: "none", key: "k" })).status).toBe(404)
  })
})
