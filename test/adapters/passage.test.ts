/** What the listener tells whoever follows a request: bytes, time that was the client's, time that was ours, and how it ended. */
import { assert, it } from "@effect/vitest"
import { Effect, Logger, References } from "effect"
import { BodyError } from "../../src/ports/Body.ts"
import type { HttpRequest, HttpResponse, Passage } from "../../src/ports/HttpListener.ts"
import { listen, ok, open, readAll, send, until } from "./rawHttp.ts"

const pauseMs = 120
const pause = Effect.promise(() => new Promise<void>((resolve) => { setTimeout(resolve, pauseMs) }))

/** A listener that answers so, and the passages of the requests that have ended. */
const following = (answer: (request: HttpRequest) => Effect.Effect<HttpResponse>) =>
  Effect.gen(function* () {
    const begun: Array<Passage> = []
    const ended: Array<Passage> = []
    const { port } = yield* listen((request) => Effect.suspend(() => {
      begun.push(request.passage!)
      request.passage!.follower = { annotations: { request: "ID1" }, ended: (passage) => void ended.push({ ...passage }) }
      return answer(request)
    }))
    return { port, begun, ended }
  })

it.effect("waiting for a client that sends slowly is the client's time", () =>
  Effect.scoped(Effect.gen(function* () {
    const { port, begun, ended } = yield* following((request) => Effect.as(Effect.orDie(readAll(request.body)), ok("done")))
    const wire = yield* open(port)
    yield* send(wire.socket, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
    yield* until(() => begun[0]?.receivedBytes === 3)
    yield* pause
    yield* send(wire.socket, "def")
    yield* until(() => ended.length === 1)
    const [passage] = ended
    assert.deepInclude(passage!, { receivedBytes: 6, sentBytes: 4, isWhole: true, isBroken: false, workedMs: 0 })
    // A timer may fire a little early by another clock.
    assert.isAtLeast(passage!.waitedMs, pauseMs - 5)
  })))

it.effect("making the answer's bytes is our time", () =>
  Effect.scoped(Effect.gen(function* () {
    const parts = [Buffer.from("one"), Buffer.from("two")]
    const { port, ended } = yield* following(() =>
      Effect.succeed({ status: 200, headers: [], body: { sizeBytes: 6, next: Effect.andThen(pause, Effect.sync(() => parts.shift())) } }))
    const wire = yield* open(port)
    yield* send(wire.socket, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    yield* until(() => wire.text.endsWith("onetwo") && ended.length === 1)
    assert.deepInclude(ended[0]!, { sentBytes: 6, isWhole: true, waitedMs: 0 })
    assert.isAtLeast(ended[0]!.workedMs, 2 * (pauseMs - 5))
  })))

it.effect("a defect on the way of an answer cuts it, and is told as ours", () =>
  Effect.scoped(Effect.gen(function* () {
    let pulls = 0
    const next = Effect.suspend(() => (++pulls === 1 ? Effect.succeed(Buffer.from("half")) : Effect.die(new Error("a bug of ours"))))
    const { port, ended } = yield* following(() => Effect.succeed({ status: 200, headers: [], body: { sizeBytes: 8, next } }))
    const wire = yield* open(port)
    yield* send(wire.socket, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    yield* until(() => wire.closed && ended.length === 1)
    assert.deepInclude(ended[0]!, { sentBytes: 4, isWhole: false, isBroken: true })
  })))

it.effect("a line that is written while an answer is sent says whose it is", () => {
  const lines: Array<readonly [string, unknown]> = []
  const logger = Logger.make<unknown, void>(({ fiber, message }) => void lines.push([String(message), fiber.getRef(References.CurrentLogAnnotations)["request"]]))
  return Effect.scoped(Effect.gen(function* () {
    let pulls = 0
    const next = Effect.suspend(() => (++pulls === 1
      ? Effect.succeed(Buffer.from("half"))
      : Effect.andThen(Effect.logInfo("looking at the other copy"), Effect.fail(new BodyError({ reason: "Unverified", detail: "rotten" })))))
    const { port, ended } = yield* following(() => Effect.succeed({ status: 200, headers: [], body: { sizeBytes: 8, next } }))
    const wire = yield* open(port)
    yield* send(wire.socket, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    yield* until(() => wire.closed && ended.length === 1)
    assert.strictEqual(ended[0]!.failure?.reason, "Unverified")
    assert.deepStrictEqual(lines, [["looking at the other copy", "ID1"], ["an answer was cut: body: Unverified: rotten", "ID1"]])
  })).pipe(Effect.provide(Logger.layer([logger])))
})
