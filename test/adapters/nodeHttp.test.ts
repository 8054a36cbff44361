/** NodeHttp against raw sockets: what is on the wire, not what a client library makes of it. */
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { BodyError } from "../../src/ports/Body.ts"
import type { HttpRequest } from "../../src/ports/HttpListener.ts"
import { echo, listen, ok, open, readAll, send, until } from "./rawHttp.ts"

describe("http listener", () => {
  it.effect("http: raw target and headers in wire order, two requests on one connection", () =>
    Effect.scoped(Effect.gen(function* () {
      const seen: Array<HttpRequest> = []
      const { port } = yield* listen((request) => Effect.sync(() => (seen.push(request), ok("one"))))
      const wire = yield* open(port)
      yield* send(wire.socket, "GET /a%2Fb/../c?x=%20 HTTP/1.1\r\nHost: h\r\nX-B: 1\r\nX-A: \xe9\r\nX-B: 2\r\n\r\n")
      yield* until(() => wire.text.endsWith("one"))
      yield* send(wire.socket, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n")
      yield* until(() => seen.length === 2 && wire.text.endsWith("\r\n\r\n"))
      assert.strictEqual(seen[0]?.target, "/a%2Fb/../c?x=%20")
      assert.deepStrictEqual(seen[0]?.headers, [["host", "h"], ["x-b", "1"], ["x-a", "\xe9"], ["x-b", "2"]])
      assert.isFalse(wire.closed)
    })))
  it.effect("http: a body arrives as sent, by length and by chunks", () =>
    Effect.scoped(Effect.gen(function* () {
      const { port } = yield* listen(echo)
      const wire = yield* open(port)
      yield* send(wire.socket, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel")
      yield* send(wire.socket, "lo")
      yield* until(() => wire.text.endsWith("hello"))
      yield* send(wire.socket, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
      yield* until(() => wire.text.endsWith("abc"))
    })))
  it.effect("http: 100 Continue comes with the first pull, and not without one", () =>
    Effect.scoped(Effect.gen(function* () {
      const { port } = yield* listen((request) => (request.target === "/read" ? echo(request) : Effect.succeed(ok("no"))))
      const head = (target: string) => `PUT ${target} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`
      const asked = yield* open(port)
      yield* send(asked.socket, head("/read"))
      yield* until(() => asked.text.includes("100 Continue"))
      yield* send(asked.socket, "hi")
      yield* until(() => asked.text.endsWith("hi"))
      const refused = yield* open(port)
      yield* send(refused.socket, head("/refuse"))
      yield* until(() => refused.closed)
      assert.notInclude(refused.text, "100 Continue")
      assert.include(refused.text.toLowerCase(), "connection: close")
    })))
  it.effect("http: a client that goes away aborts the body and interrupts the handler", () =>
    Effect.scoped(Effect.gen(function* () {
      const aborted = yield* Deferred.make<string>()
      const interrupted = yield* Deferred.make<void>()
      const { port } = yield* listen((request) =>
        request.target === "/body"
          ? Effect.matchEffect(readAll(request.body), {
            onFailure: (error) => Effect.as(Deferred.succeed(aborted, error.reason), ok("")),
            onSuccess: () => Effect.succeed(ok(""))
          }).pipe(Effect.uninterruptible)
          : Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
      for (const target of ["/body", "/wait"]) {
        const wire = yield* open(port)
        yield* send(wire.socket, `PUT ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc`)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 30)))
        wire.socket.destroy()
      }
      assert.strictEqual(yield* Deferred.await(aborted), "Aborted")
      yield* Deferred.await(interrupted)
    })))
  it.effect("http: a response body that fails, or is shorter than it said, cuts the connection", () =>
    Effect.scoped(Effect.gen(function* () {
      const { port } = yield* listen((request) => {
        let pulls = 0
        const next = Effect.suspend((): Effect.Effect<Uint8Array | undefined, BodyError> => {
          pulls += 1
          if (pulls === 1) return Effect.succeed(new TextEncoder().encode("half"))
          return request.target === "/fail" ? Effect.fail(new BodyError({ reason: "Unverified", detail: "rot" })) : Effect.succeed(undefined)
        })
        return Effect.succeed({ status: 200, headers: [], body: { sizeBytes: request.target === "/chunked" ? undefined : 8, next } })
      })
      for (const target of ["/fail", "/short"]) {
        const wire = yield* open(port)
        yield* send(wire.socket, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`)
        yield* until(() => wire.closed)
        assert.notInclude(wire.text, "halfhalf")
      }
      const whole = yield* open(port)
      yield* send(whole.socket, "GET /chunked HTTP/1.1\r\nHost: h\r\n\r\n")
      yield* until(() => whole.text.endsWith("0\r\n\r\n"))
    })))
  it.effect("http: malformed and oversized heads get a clean answer and a close", () =>
    Effect.scoped(Effect.gen(function* () {
      const { port } = yield* listen(echo)
      for (const [text, status] of [["nonsense\r\n\r\n", "400"], [`GET / HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(70_000)}\r\n\r\n`, "431"]] as const) {
        const wire = yield* open(port)
        yield* send(wire.socket, text)
        yield* until(() => wire.closed)
        assert.match(wire.text, new RegExp(`^HTTP/1.1 ${status} `))
      }
    })))
  it.effect("http: a small unread body leaves the connection usable, a large one closes it after the answer", () =>
    Effect.scoped(Effect.gen(function* () {
      const { port } = yield* listen(() => Effect.succeed(ok("no")))
      const small = yield* open(port)
      yield* send(small.socket, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n")
      yield* until(() => small.text.endsWith("no"))
      yield* send(small.socket, "abcGET / HTTP/1.1\r\nHost: h\r\n\r\n")
      yield* until(() => small.text.split("HTTP/1.1 200").length === 3)
      const large = yield* open(port)
      yield* send(large.socket, `PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 90000000\r\n\r\n${"x".repeat(3_000_000)}`)
      yield* until(() => large.closed)
      assert.isTrue(large.text.endsWith("no"))
    })))
  it.effect("http: answers that are there at once and answers that come later say the same; one that cannot be sent is a 500", () =>
    Effect.scoped(Effect.gen(function* () {
      const ended: Array<readonly [isWhole: boolean, isBroken: boolean]> = []
      const { port } = yield* listen((request) => {
        const { passage } = request
        if (passage !== undefined) passage.follower = { annotations: {}, ended: () => void ended.push([passage.isWhole, passage.isBroken]) }
        const answer = request.target.startsWith("/bad") ? { ...ok("no"), headers: [["x-a", "b\nc"]] as const } : ok("yes")
        return request.target.endsWith("later") ? Effect.as(Effect.yieldNow, answer) : Effect.succeed(answer)
      })
      const heads: Array<string> = []
      for (const target of ["/now", "/later", "/bad", "/bad/later"]) {
        const wire = yield* open(port)
        yield* send(wire.socket, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`)
        yield* until(() => wire.text.includes("\r\n\r\n") && (wire.closed || wire.text.endsWith("yes")))
        heads.push(wire.text.replace(/Date: .*\r\n/, ""))
      }
      assert.strictEqual(heads[0], heads[1])
      assert.strictEqual(heads[2], heads[3])
      assert.match(heads[0] ?? "", /^HTTP\/1\.1 200 .*yes$/s)
      assert.match(heads[2] ?? "", /^HTTP\/1\.1 500 /)
      assert.deepStrictEqual(ended, [[true, false], [true, false], [false, true], [false, true]])
    })))
  it.effect("http: closing lets a request in flight finish and takes no new connection", () =>
    Effect.scoped(Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const wire = yield* Effect.scoped(Effect.gen(function* () {
        const { port } = yield* listen(() => Deferred.succeed(begun, undefined).pipe(Effect.andThen(Deferred.await(release)), Effect.as(ok("done"))))
        const wire = { text: "", closed: false }
        const socket = connect(port, "127.0.0.1")
        socket.on("data", (bytes: Buffer) => (wire.text += bytes.toString("latin1"))).on("close", () => (wire.closed = true))
        socket.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        yield* Deferred.await(begun)
        setTimeout(() => Effect.runFork(Deferred.succeed(release, undefined)), 50)
        return wire
      }))
      yield* until(() => wire.closed)
      assert.isTrue(wire.text.endsWith("done"))
    })))
})
