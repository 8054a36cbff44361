/** NodeHttp at its limits: connections, heads, what a client does not send and does not take. Times are small ones. */
import { connect } from "node:net"
import { connect as connectTls } from "node:tls"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { httpConnectionsSpare } from "../../src/base/httpLimits.ts"
import type { Body } from "../../src/ports/Body.ts"
import type { HttpResponse } from "../../src/ports/HttpListener.ts"
import { makeCertificate } from "../e2e/certificate.ts"
import { echo, listen, ok, open, readAll, send, until } from "./rawHttp.ts"

const MiB = 1024 * 1024
const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
const pause = (ms: number) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, ms)))

const tls = () => {
  const { cert, key } = makeCertificate()
  return { certificate: cert, key }
}

/** Pieces of zeroes; each pull is told. */
const zeroes = (pieces: number, pieceBytes: number, pulled: () => void = () => undefined): Body => {
  let left = pieces
  return {
    sizeBytes: pieces * pieceBytes,
    next: Effect.sync(() => {
      pulled()
      return left-- > 0 ? new Uint8Array(pieceBytes) : undefined
    })
  }
}

const withBody = (body: Body): HttpResponse => ({ status: 200, headers: [], body })

describe("http: connections", () => {
  it.effect("http: one too many is told 503 and closed, the others go on, and there is room again", () =>
    Effect.scoped(Effect.gen(function*() {
      const { connections, port } = yield* listen(() => Effect.succeed(ok("fine")), { limits: { connectionsMax: 2 } })
      const first = yield* open(port)
      yield* send(first.socket, get)
      const second = yield* open(port)
      yield* send(second.socket, get)
      yield* until(() => first.text.endsWith("fine") && second.text.endsWith("fine"))
      const third = yield* open(port)
      yield* send(third.socket, get)
      yield* until(() => third.closed)
      assert.match(third.text, /^HTTP\/1\.1 503 .*\r\nretry-after: \d+\r\n/i)
      assert.deepStrictEqual(connections(), { open: 2, max: 2, refused: 1 })
      yield* send(first.socket, get)
      yield* until(() => first.text.split("fine").length === 3)
      second.socket.destroy()
      yield* until(() => connections().open === 1)
      const fourth = yield* open(port)
      yield* send(fourth.socket, get)
      yield* until(() => fourth.text.endsWith("fine"))
    })))

  it.effect("http: a flood of connections is closed unheard", () =>
    Effect.scoped(Effect.gen(function*() {
      const { connections, port } = yield* listen(() => Effect.succeed(ok("fine")), { limits: { connectionsMax: 1 } })
      const wires = yield* Effect.all(Array.from({ length: httpConnectionsSpare + 9 }, () => open(port)))
      yield* until(() => wires.filter((wire) => wire.closed).length === 8)
      assert.isTrue(wires.filter((wire) => wire.closed).every((wire) => wire.text === ""))
      assert.strictEqual(connections().open, httpConnectionsSpare + 1)
    })))

  it.effect("http: pipelined requests are served one after another, in order", () =>
    Effect.scoped(Effect.gen(function*() {
      let underWay = 0
      let most = 0
      const { port } = yield* listen((request) => Effect.gen(function*() {
        most = Math.max(most, ++underWay)
        // The first takes longest.
        yield* pause(request.target === "/0" ? 60 : 1)
        underWay -= 1
        return ok(request.target)
      }))
      const wire = yield* open(port)
      yield* send(wire.socket, Array.from({ length: 9 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""))
      yield* until(() => wire.text.endsWith("/8"))
      assert.strictEqual(most, 1)
      assert.deepStrictEqual([...wire.text.matchAll(/\r\n\r\n\/(\d)/g)].map((match) => match[1]), ["0", "1", "2", "3", "4", "5", "6", "7", "8"])
    })))

  it.effect("http: a client that pipelines without end is cut, and what it asked for is stopped", () =>
    Effect.scoped(Effect.gen(function*() {
      let begun = 0
      const stopped = yield* Deferred.make<void>()
      const { port } = yield* listen(() => Effect.onInterrupt(Effect.andThen(Effect.sync(() => (begun += 1)), Effect.never), () => Deferred.succeed(stopped, undefined)))
      const wire = yield* open(port)
      yield* send(wire.socket, get.repeat(200))
      yield* until(() => wire.closed)
      yield* Deferred.await(stopped)
      assert.strictEqual(begun, 1)
    })))

  it.effect("http: who says nothing, or nothing more, is closed", () =>
    Effect.scoped(Effect.gen(function*() {
      const { connections, port } = yield* listen(() => Effect.succeed(ok("fine")), { limits: { headersMsMax: 150, idleMsMax: 100 } })
      const silent = yield* open(port)
      const idle = yield* open(port)
      yield* send(idle.socket, get)
      yield* until(() => idle.text.endsWith("fine"))
      yield* until(() => silent.closed && idle.closed)
      assert.strictEqual(connections().open, 0)
    })))

  it.effect("tls: a handshake that does not go on is cut; one that does is served", () =>
    Effect.scoped(Effect.gen(function*() {
      const { connections, port } = yield* listen(() => Effect.succeed(ok("fine")), { tls: tls(), limits: { headersMsMax: 200, connectionsMax: 2 } })
      const raw = yield* open(port)
      const plain = yield* open(port)
      yield* send(plain.socket, get)
      yield* until(() => raw.closed && plain.closed)
      assert.notInclude(plain.text, "fine")
      assert.strictEqual(connections().open, 0)
      const secure = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })
      let text = ""
      secure.on("data", (bytes: Buffer) => (text += bytes.toString("latin1"))).write(get)
      yield* until(() => text.endsWith("fine"))
      secure.destroy()
    })))

  it.effect("tls: closing does not wait for a handshake that does not go on", () =>
    Effect.gen(function*() {
      const raw = yield* Effect.scoped(Effect.gen(function*() {
        const { connections, port } = yield* listen(() => Effect.succeed(ok("fine")), { tls: tls(), limits: { closeMsMax: 100 } })
        const socket = connect(port, "127.0.0.1").on("error", () => undefined)
        yield* until(() => connections().open === 1)
        return socket
      }))
      yield* until(() => raw.closed)
    }))
})

describe("http: heads", () => {
  it.effect("http: a head that trickles is answered 408, however lively it is", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen(() => Effect.succeed(ok("fine")), { limits: { headersMsMax: 200 } })
      const wire = yield* open(port)
      for (const letter of `${get.slice(0, -2)}X: ${"x".repeat(400)}`) {
        if (wire.closed) break
        yield* send(wire.socket, letter)
        yield* pause(5)
      }
      yield* until(() => wire.closed)
      assert.match(wire.text, /^HTTP\/1\.1 408 /)
    })))

  it.effect("http: too many headers, a target too long, trailers too large: refused, and the connection closed", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen(echo, { limits: { headersCountMax: 10 } })
      const many = "GET / HTTP/1.1\r\nHost: h\r\n" + "A: b\r\n".repeat(10) + "\r\n"
      const long = `GET /${"x".repeat(70_000)} HTTP/1.1\r\nHost: h\r\n\r\n`
      for (const text of [many, long]) {
        const wire = yield* open(port)
        yield* send(wire.socket, text)
        yield* until(() => wire.closed)
        assert.match(wire.text, /^HTTP\/1\.1 431 /)
      }
      const enough = yield* open(port)
      yield* send(enough.socket, many.replace("A: b\r\n", ""))
      yield* until(() => enough.text.includes(" 200 "))
      const trailers = yield* open(port)
      yield* send(trailers.socket, `PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: ${"x".repeat(70_000)}\r\n\r\n`)
      yield* until(() => trailers.closed)
      assert.notInclude(trailers.text, " 200 ")
    })))
})

describe("http: bodies", () => {
  it.effect("http: an upload that stops moving fails; one that is slow but moves lives on", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen((request) => Effect.matchEffect(readAll(request.body), {
        onFailure: (error) => Effect.succeed(ok(error.reason)), onSuccess: (text) => Effect.succeed(ok(text))
      }), { limits: { stallMsMax: 250, headersMsMax: 250, idleMsMax: 250 } })
      const head = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n"
      const stalled = yield* open(port)
      yield* send(stalled.socket, `${head}abc`)
      const slow = yield* open(port)
      yield* send(slow.socket, head)
      for (let index = 0; index < 20; index += 1) {
        yield* pause(50)
        yield* send(slow.socket, "s")
      }
      yield* until(() => slow.text.endsWith("s".repeat(20)) && stalled.text.includes("Stalled"))
    })))

  for (const shape of ["streamed", "streamed over TLS", "at once"] as const) {
    it.effect(`http: a client that takes nothing of an answer (${shape}) is cut, and the work for it ends`, () =>
      Effect.scoped(Effect.gen(function*() {
        const secure = shape === "streamed over TLS"
        const ended = yield* Deferred.make<void>()
        let pulls = 0
        const { connections, port } = yield* listen(() =>
          Effect.as(
            Effect.addFinalizer(() => Deferred.succeed(ended, undefined)),
            shape === "at once" ? { status: 200, headers: [], body: new Uint8Array(64 * MiB) } : withBody(zeroes(64, MiB, () => (pulls += 1)))
          ), { limits: { stallMsMax: 150 }, ...(secure ? { tls: tls() } : {}) })
        const socket = (secure ? connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false }) : connect(port, "127.0.0.1")).on("error", () => undefined)
        socket.pause().write(get)
        yield* Deferred.await(ended)
        yield* until(() => connections().open === 0)
        assert.isBelow(pulls, 64)
        socket.destroy()
      })))
  }

  it.effect("http: a client that takes little, but always some, gets all of it", () =>
    Effect.scoped(Effect.gen(function*() {
      const sizeBytes = 32 * MiB
      const { port } = yield* listen(() => Effect.succeed(withBody(zeroes(1, sizeBytes))), { limits: { stallMsMax: 600 } })
      const socket = connect(port, "127.0.0.1").on("error", () => undefined)
      let got = 0
      socket.on("readable", () => undefined).write(get)
      const startMs = performance.now()
      while (got < sizeBytes && !socket.closed) {
        got += (socket.read() as Buffer | null)?.length ?? 0
        yield* pause(4)
      }
      assert.isAtLeast(got, sizeBytes)
      assert.isAbove(performance.now() - startMs, 1500, "slow enough to say something")
      socket.destroy()
    })))

  it.effect("http: a request that is refused holds nothing while its body, which nobody wants, is waited for", () =>
    Effect.scoped(Effect.gen(function*() {
      let ended = 0
      const { port } = yield* listen(() => Effect.as(Effect.addFinalizer(() => Effect.sync(() => (ended += 1))), ok("no")))
      const wire = yield* open(port)
      yield* send(wire.socket, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
      yield* until(() => wire.text.endsWith("no") && ended === 1)
      // The connection is as good as before once the body has come.
      yield* send(wire.socket, `${"x".repeat(1000)}${get}`)
      yield* until(() => wire.text.split("HTTP/1.1 200").length === 3 && ended === 2)
    })))

  it.effect("http: a client that goes away ends what works for it: before the answer, and in its middle", () =>
    Effect.scoped(Effect.gen(function*() {
      const begun: Array<string> = []
      const ended: Array<string> = []
      const { port } = yield* listen((request) => Effect.gen(function*() {
        yield* Effect.addFinalizer(() => Effect.sync(() => ended.push(request.target)))
        begun.push(request.target)
        if (request.target === "/think") return yield* Effect.never
        return withBody({ sizeBytes: undefined, next: Effect.andThen(pause(5), Effect.succeed(new Uint8Array(10))) })
      }))
      for (const target of ["/think", "/stream"]) {
        const wire = yield* open(port)
        yield* send(wire.socket, `GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`)
        yield* until(() => begun.includes(target) && (target === "/think" || wire.text.length > 200))
        assert.notInclude(ended, target)
        wire.socket.destroy()
        yield* until(() => ended.includes(target))
      }
    })))
})
