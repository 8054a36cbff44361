/** rawHttp: a listener of NodeHttp and raw sockets to it. It sits under the tests of what is on the wire. */
import { connect, type Socket } from "node:net"
import { Context, Effect, Layer, type Scope } from "effect"
import * as NodeHttp from "../../src/adapters/NodeHttp.ts"
import type { Body } from "../../src/ports/Body.ts"
import { HttpListener, type HttpRequest, type HttpResponse, type ListenOptions } from "../../src/ports/HttpListener.ts"

export const ok = (body: string): HttpResponse => ({ status: 200, headers: [], body: new TextEncoder().encode(body) })

export const readAll = (body: Body) =>
  Effect.gen(function* () {
    const parts: Array<Uint8Array> = []
    for (let part = yield* body.next; part !== undefined; part = yield* body.next) parts.push(part)
    return Buffer.concat(parts).toString("latin1")
  })

export const listen = (handler: (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>, options: Partial<ListenOptions> = {}) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(NodeHttp.layer)
    return yield* Context.get(context, HttpListener).listen({ host: "127.0.0.1", port: 0, ...options }, handler)
  })

export const open = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(port, "127.0.0.1")
      const wire = { socket, text: "", closed: false }
      socket.on("data", (bytes: Buffer) => (wire.text += bytes.toString("latin1")))
      socket.on("close", () => (wire.closed = true)).on("error", () => undefined)
      return wire
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export const until = (done: () => boolean) =>
  Effect.promise(async () => {
    for (let turn = 0; turn < 500 && !done(); turn += 1) await new Promise((resolve) => setTimeout(resolve, 5))
    if (!done()) throw new Error("it never came")
  })

export const send = (socket: Socket, text: string) => Effect.sync(() => void socket.write(text, "latin1"))
export const echo = (request: HttpRequest) => readAll(request.body).pipe(Effect.map(ok), Effect.orDie)
