/** BodySocket: long bodies that come straight from the socket, and what follows them on the same connection. */
import { randomBytes } from "node:crypto"
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { KiB, MiB } from "../../src/base/limits.ts"
import { hashOf } from "../../src/base/hash.ts"
import { makePageMemory } from "../../src/base/wasm.ts"
import type { Body } from "../../src/ports/Body.ts"
import { listen, ok, open, send, until } from "./rawHttp.ts"

interface Read {
  readonly text: string
  /** Bytes that came where they were asked for. */
  readonly placedBytes: number
}

/** Pulls a body into pieces of memory, as ingest does: what comes elsewhere is copied. */
const readInto = (body: Body, memoryBytes: number, stopAt = Number.POSITIVE_INFINITY) => Effect.gen(function*() {
  const parts: Array<Uint8Array> = []
  let placedBytes = 0
  let memory = makePageMemory(memoryBytes)
  let at = 0
  let readBytes = 0
  while (readBytes < stopAt) {
    const bytes = yield* body.nextInto!(memory.subarray(at))
    if (bytes === undefined) break
    if (bytes.buffer === memory.buffer) {
      assert.strictEqual(bytes.byteOffset, at)
      placedBytes += bytes.length
      at += bytes.length
    }
    readBytes += bytes.length
    parts.push(bytes)
    if (at < memory.length) continue
    memory = makePageMemory(memoryBytes)
    at = 0
  }
  return { text: hashOf(Buffer.concat(parts)), placedBytes } satisfies Read
})

const putHead = (bytes: number, target = "/"): string => `PUT ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: ${bytes}\r\n\r\n`

const write = (socket: Socket, ...parts: ReadonlyArray<Uint8Array | string>) =>
  Effect.sync(() => {
    for (const part of parts) socket.write(part, "latin1")
  })

describe("http: long bodies straight from the socket", () => {
  it.effect("http: bodies one after another on one connection arrive as sent, most of them where they were asked for", () =>
    Effect.scoped(Effect.gen(function*() {
      const reads: Array<Read> = []
      const { port } = yield* listen((request) => Effect.orDie(Effect.map(readInto(request.body, 3 * MiB / 2), (read) => {
        reads.push(read)
        return ok(read.text)
      })), { limits: { idleMsMax: 1000 } })
      const wire = yield* open(port)
      const sizes = [9 * MiB + 1, 2 * MiB, 1, 5 * MiB + 4095, 64 * KiB]
      for (const [index, size] of sizes.entries()) {
        const bytes = randomBytes(size)
        yield* write(wire.socket, putHead(size), bytes)
        yield* until(() => reads.length === index + 1 && wire.text.endsWith(hashOf(bytes)))
      }
      assert.isAbove(reads[0]!.placedBytes, 4 * MiB)
      assert.isAbove(reads[3]!.placedBytes, 2 * MiB)
      assert.isFalse(wire.closed)
    })))

  it.effect("http: a request in one piece with the end of a long body before it is answered after it", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen((request) => Effect.orDie(Effect.map(readInto(request.body, MiB), ({ text }) => ok(`${request.method} ${text}.`))))
      const wire = yield* open(port)
      const [first, second] = [randomBytes(4 * MiB), randomBytes(3 * MiB)]
      yield* write(wire.socket, putHead(first.length), Buffer.concat([first, Buffer.from(putHead(second.length)), second, Buffer.from("GET / HTTP/1.1\r\nHost: h\r\n\r\n")]))
      yield* until(() => wire.text.endsWith(`GET ${hashOf(new Uint8Array(0))}.`))
      assert.isBelow(wire.text.indexOf(hashOf(first)), wire.text.indexOf(hashOf(second)))
      assert.include(wire.text, hashOf(second))
    })))

  it.effect("http: a long body that trickles lives on, one that stops moving fails, and the connection after a slow one is as good as before", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen((request) => Effect.matchEffect(readInto(request.body, MiB), {
        onFailure: (error) => Effect.succeed(ok(error.reason)), onSuccess: ({ text }) => Effect.succeed(ok(text))
      }), { limits: { stallMsMax: 250, headersMsMax: 250, idleMsMax: 250 } })
      const bytes = randomBytes(2 * MiB)
      const slow = yield* open(port)
      const stalled = yield* open(port)
      yield* write(stalled.socket, putHead(bytes.length), bytes.subarray(0, 1_500_000))
      yield* write(slow.socket, putHead(bytes.length))
      for (let at = 0; at < bytes.length; at += 128 * KiB) {
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 40)))
        yield* write(slow.socket, bytes.subarray(at, at + 128 * KiB))
      }
      yield* until(() => slow.text.endsWith(hashOf(bytes)) && stalled.text.includes("Stalled"))
      yield* write(slow.socket, putHead(bytes.length), bytes)
      yield* until(() => slow.text.split(hashOf(bytes)).length === 3)
    })))

  it.effect("http: a client that goes away in the middle of a long body aborts it", () =>
    Effect.scoped(Effect.gen(function*() {
      const aborted = yield* Deferred.make<string>()
      let pulled = 0
      const { port } = yield* listen((request) => {
        const body: Body = { ...request.body, nextInto: (memory) => Effect.tap(request.body.nextInto!(memory), (bytes) => Effect.sync(() => (pulled += bytes?.length ?? 0))) }
        return Effect.matchEffect(Effect.uninterruptible(readInto(body, MiB)), {
          onFailure: (error) => Effect.as(Deferred.succeed(aborted, error.reason), ok("")), onSuccess: () => Effect.succeed(ok(""))
        }).pipe(Effect.uninterruptible)
      })
      const wire = yield* open(port)
      yield* write(wire.socket, putHead(8 * MiB), randomBytes(3 * MiB))
      yield* until(() => pulled === 3 * MiB)
      yield* Effect.sync(() => wire.socket.destroy())
      assert.strictEqual(yield* Deferred.await(aborted), "Aborted")
    })))

  it.effect("http: an answer before the end of a long body is read by a client that still sends", () =>
    Effect.scoped(Effect.gen(function*() {
      const { port } = yield* listen((request) => Effect.orDie(Effect.as(readInto(request.body, MiB, 2 * MiB), ok("enough"))))
      const wire = yield* open(port)
      yield* write(wire.socket, putHead(64 * MiB), randomBytes(5 * MiB / 2))
      yield* until(() => wire.text.endsWith("enough"))
      // What nobody pulls is read off, up to a bound.
      yield* write(wire.socket, randomBytes(MiB))
      yield* until(() => wire.closed)
      // Parsers are used again, on other connections.
      const next = yield* open(port)
      yield* send(next.socket, `${putHead(5)}hello`)
      yield* until(() => next.text.endsWith("enough"))
    })))
})
