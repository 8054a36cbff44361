/**
 * NodeHttp: the HttpListener port over node:http and node:https, HTTP/1.1. One fiber a request, none where its answer is
 * there at once; it is interrupted when its client goes away. No limit on how long a request takes, only on how long nothing moves.
 */
import * as http from "node:http"
import * as https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { Cause, Effect, Exit, Layer, type Context, type Scope } from "effect"
import { httpBufferBytes, httpCloseMsMax, httpConnectionsMax, httpHeadersCheckMs, httpHeadersCountMax, httpHeadersMsMax, httpIdleMsMax, httpJoinedBytesMax, httpPipelinedMax, httpStallMsMax } from "../base/httpLimits.ts"
import { headerBytesMax, retryAfterSeconds } from "../base/limits.ts"
import { release } from "../base/bytes.ts"
import type { Counter } from "../base/Meters.ts"
import type { Body } from "../ports/Body.ts"
import {
  HttpListener, type HttpLimits, type HttpListenerService, type HttpRequest, type HttpResponse, ListenError, type Listener, type ListenOptions, type Passage
} from "../ports/HttpListener.ts"
import { Metrics } from "../ports/Metrics.ts"
import { drain, type RequestBody, requestBody, restIsLarge } from "./HttpBody.ts"
import { HttpConnections } from "./HttpConnections.ts"

type Handler = (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>

const limitsOf = (limits: Partial<HttpLimits> = {}): HttpLimits => ({
  connectionsMax: httpConnectionsMax, headersMsMax: httpHeadersMsMax, headersCountMax: httpHeadersCountMax, stallMsMax: httpStallMsMax,
  idleMsMax: httpIdleMsMax, pipelinedMax: httpPipelinedMax, closeMsMax: httpCloseMsMax, ...limits
})

const serverOptions = (limits: HttpLimits): http.ServerOptions => ({
  requestTimeout: 0,
  headersTimeout: limits.headersMsMax,
  connectionsCheckingInterval: Math.min(limits.headersMsMax, httpHeadersCheckMs),
  keepAliveTimeout: limits.idleMsMax,
  maxHeaderSize: headerBytesMax,
  highWaterMark: httpBufferBytes
})

/** What the parts of a listener share. */
interface Desk {
  readonly server: Server
  readonly limits: HttpLimits
  readonly connections: HttpConnections
  readonly secure: boolean
  readonly handler: Handler
  readonly malformed: Counter
  readonly refusalHeaders: () => HttpResponse["headers"]
}

const listen = (options: ListenOptions, handler: Handler): Effect.Effect<Listener, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context()
    const limits = limitsOf(options.limits)
    const secure = options.tls !== undefined
    const server = makeServer(options, limits)
    if (server instanceof ListenError) return yield* server
    const connections = new HttpConnections(server, secure, limits)
    const malformed = (yield* Metrics).counter("ouroboros_http_malformed_total", "Connections that were closed for what is no request: malformed, too large, too slow.")
    serve({ server, limits, connections, secure, handler, malformed, refusalHeaders: options.refusalHeaders ?? (() => []) }, context)
    yield* Effect.acquireRelease(start(server, options), () => shutDown(server, connections, limits))
    const address = server.address() as AddressInfo
    return {
      host: address.address, port: address.port, connections: () => connections.counts(), reloadTls: (tls) => reload(server, options, tls)
    }
  })

const service: HttpListenerService = { listen }
export const layer: Layer.Layer<HttpListener> = Layer.succeed(HttpListener, service)

type Server = http.Server | https.Server

const listenError = (options: ListenOptions, error: unknown): ListenError =>
  new ListenError({ host: options.host, port: options.port, detail: error instanceof Error ? error.message : String(error) })

const makeServer = (options: ListenOptions, limits: HttpLimits): Server | ListenError => {
  const { tls } = options
  try {
    const server = tls === undefined
      ? http.createServer(serverOptions(limits))
      : https.createServer({ ...serverOptions(limits), handshakeTimeout: limits.headersMsMax, cert: tls.certificate, key: tls.key })
    // 0: no header is dropped in silence; their number and total size have limits.
    server.maxHeadersCount = 0
    return server
  } catch (error) {
    // A certificate or key that does not parse.
    return listenError(options, error)
  }
}

const start = (server: Server, options: ListenOptions): Effect.Effect<void, ListenError> =>
  Effect.callback<void, ListenError>((resume) => {
    const failed = (error: unknown): void => resume(Effect.fail(listenError(options, error)))
    try {
      server.once("error", failed)
      server.listen(options.port, options.host, () => {
        server.off("error", failed)
        resume(Effect.void)
      })
    } catch (error) {
      // A port out of range.
      failed(error)
    }
  })

const reload = (server: Server, options: ListenOptions, tls: { readonly certificate: string; readonly key: string }) =>
  Effect.try({
    try: () => {
      if (!("setSecureContext" in server)) throw new Error("this listener has no TLS")
      server.setSecureContext({ cert: tls.certificate, key: tls.key })
    },
    catch: (error) => listenError(options, error)
  })

/** No new connection, idle ones closed, requests in flight within their bound, then whatever is left is cut. */
const shutDown = (server: Server, connections: HttpConnections, { closeMsMax }: HttpLimits): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => connections.cutAll(), closeMsMax)
    server.close(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    server.closeIdleConnections()
  })

const serve = (desk: Desk, context: Context.Context<never>): void => {
  const { connections, server } = desk
  const fork = Effect.runForkWith(context)
  const answer = (request: http.IncomingMessage, response: http.ServerResponse, expectsContinue: boolean): void => {
    const passage: Passage = { receivedBytes: 0, sentBytes: 0, waitedMs: 0, workedMs: 0, isWhole: false, isBroken: false, failure: undefined, follower: undefined }
    const body = requestBody(request, response, expectsContinue, passage, desk.limits.stallMsMax)
    const socket = request.socket
    const early = tooMuch(desk, request)
    const reply = early === undefined ? desk.handler(toRequest(request, body, desk.secure, passage)) : Effect.succeed(early)
    const transfer: Transfer = { request, response, body, passage, closes: early !== undefined }
    const ended = (exit: Exit.Exit<void>): void => {
      if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) {
        // Handlers turn their own defects into answers: this one came with the answer on its way.
        passage.isBroken = true
        fork(Effect.annotateLogs(Effect.logError("an answer ended by a defect", exit.cause), passage.follower?.annotations ?? {}))
      }
      const last = passage.follower?.ended(passage)
      if (last !== undefined) fork(last)
      if (exit._tag === "Success" || response.writableFinished) return
      // What began is cut; what did not begin says that it failed.
      if (response.headersSent || socket.destroyed) socket.destroy()
      else response.writeHead(500, ["content-length", "0", "connection", "close"]).end()
    }
    // What the request holds is given back before anybody waits for the end of a body that is not wanted.
    const sent = isThere(reply)
      ? sendNow(desk, transfer, reply.value)
      : Effect.scoped(Effect.flatMap(reply, (given) => send(desk, transfer, given)))
    const fiber = sent === isOver ? undefined : fork(Effect.flatMap(sent, (isOver) => isOver ? Effect.void : readOff(desk, transfer)))
    response.on("close", () => {
      if (!response.writableFinished) fiber?.interruptUnsafe()
      if (!server.listening) server.closeIdleConnections()
      connections.done(socket)
    })
    if (fiber === undefined) ended(Exit.void)
    else fiber.addObserver(ended)
  }
  const inTurn = (expectsContinue: boolean) => (request: http.IncomingMessage, response: http.ServerResponse): void => {
    // Without a listener, an aborted upload would be an uncaught error; `body` reports it to who pulls.
    request.on("error", () => undefined)
    response.on("error", () => undefined)
    connections.inTurn(request.socket, () => answer(request, response, expectsContinue))
  }
  server.on("request", inTurn(false))
  server.on("checkContinue", inTurn(true))
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== "ECONNRESET") desk.malformed.add()
    refuse(desk, error, socket)
  })
  // Such as no file descriptor left for a connection: the listener goes on.
  server.on("error", (error) => void fork(Effect.logWarning(`accepting a connection: ${error.message}`)))
}

/** What is refused before anybody reads it. */
const tooMuch = ({ connections, limits, refusalHeaders }: Desk, request: http.IncomingMessage): HttpResponse | undefined => {
  if (connections.isSurplus(request.socket)) {
    return { status: 503, headers: [["retry-after", String(retryAfterSeconds)], ...refusalHeaders()], body: undefined }
  }
  return request.rawHeaders.length > 2 * limits.headersCountMax ? { status: 431, headers: refusalHeaders(), body: undefined } : undefined
}

const refuse = ({ connections, refusalHeaders }: Desk, error: NodeJS.ErrnoException, socket: Socket): void => {
  // Whoever has not finished a handshake cannot read an answer.
  if (!connections.isReady(socket) || error.code === "ECONNRESET" || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large"
    : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout"
    : "400 Bad Request"
  const more = refusalHeaders().map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.end(`HTTP/1.1 ${status}\r\n${more}connection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy())
}

const toRequest = (request: http.IncomingMessage, body: RequestBody, secure: boolean, passage: Passage): HttpRequest => {
  const raw = request.rawHeaders
  const headers: Array<readonly [string, string]> = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    headers.push([(raw[index] as string).toLowerCase(), raw[index + 1] as string])
  }
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    headers,
    body,
    secure,
    remote: `${request.socket.remoteAddress ?? ""}:${request.socket.remotePort ?? ""}`,
    passage
  }
}

/** One request and its answer on their way. */
interface Transfer {
  readonly request: http.IncomingMessage
  readonly response: http.ServerResponse
  readonly body: RequestBody
  readonly passage: Passage
  /** The connection ends with this answer. */
  readonly closes: boolean
}

/** False where all of the answer is sent but its end: the body of the request is not read yet. */
const send = (desk: Desk, transfer: Transfer, reply: HttpResponse): Effect.Effect<boolean> => {
  const { body, passage, request, response } = transfer
  const { stallMsMax } = desk.limits
  const headers: Array<string> = []
  for (const [name, value] of reply.headers) headers.push(name, value)
  const closes = transfer.closes || body.unasked() || restIsLarge(body) || !desk.server.listening
  if (closes) headers.push("connection", "close")
  const content = reply.body
  const sizeBytes = content instanceof Uint8Array ? content.length : content === undefined ? 0 : content.sizeBytes
  const bodiless = request.method === "HEAD" || reply.status === 204 || reply.status === 304
  if (sizeBytes !== undefined && !bodiless && !reply.headers.some(([name]) => name.toLowerCase() === "content-length")) {
    headers.push("content-length", String(sizeBytes))
  }
  response.writeHead(reply.status, headers)
  const bytes = bodiless || content === undefined ? undefined : content
  // The common case, without another Effect: the request is read, the answer is bytes.
  if ((body.isRead() || body.unasked()) && (bytes === undefined || bytes instanceof Uint8Array)) {
    end(response, stallMsMax, bytes)
    passage.sentBytes = bytes?.length ?? 0
    passage.isWhole = true
    return isOver
  }
  const rest = Effect.gen(function* () {
    if (bytes instanceof Uint8Array) {
      response.write(bytes)
      passage.sentBytes = bytes.length
    } else if (bytes === undefined) response.flushHeaders()
    else if (!(yield* stream(response, bytes, passage, stallMsMax))) return true
    passage.isWhole = true
    if (!body.isRead() && !body.unasked()) return false
    end(response, stallMsMax)
    return true
  })
  return passage.follower === undefined ? rest : Effect.annotateLogs(rest, passage.follower.annotations)
}

const isOver = Effect.succeed(true)

const isThere = (reply: ReturnType<Handler>): reply is Exit.Success<HttpResponse> => Exit.isExit(reply) && Exit.isSuccess(reply)

/** An answer that is there already needs no fiber, unless there is more to it than to hand it over. */
const sendNow = (desk: Desk, transfer: Transfer, reply: HttpResponse): Effect.Effect<boolean> => {
  try {
    return send(desk, transfer, reply)
  } catch (defect) {
    return Effect.die(defect)
  }
}

/** Node ends the connection with the response; a client that still sends would be reset before it has read. */
const readOff = (desk: Desk, { body, request, response }: Transfer): Effect.Effect<void> =>
  Effect.andThen(drain(request), Effect.sync(() => {
    if (!body.isRead()) response.once("finish", () => request.socket.destroy())
    end(response, desk.limits.stallMsMax)
  }))

/** What the client has not taken yet has the same time as what is streamed: one that takes nothing of it is cut. */
const end = (response: http.ServerResponse, stallMs: number, bytes?: Uint8Array): void => {
  // As text of one byte a character, Node joins it to the head: one buffer and one write instead of two.
  if (bytes !== undefined && bytes.length <= httpJoinedBytesMax) response.end(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"), "latin1")
  else response.end(bytes)
  const { socket } = response
  // Once all is taken, Node sets the time for an idle connection.
  if (socket !== null && socket.writableLength > 0) socket.setTimeout(stallMs)
}

/** Sends a Body as fast as the client takes it; false where it failed and the connection was cut. */
const stream = (response: http.ServerResponse, body: Body, passage: Passage, stallMs: number): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    for (;;) {
      const askedMs = performance.now()
      const bytes = yield* body.next
      passage.workedMs += performance.now() - askedMs
      if (bytes === undefined) break
      passage.sentBytes += bytes.length
      // Pulled bytes are ours (Body); once they are sent, their memory is given back.
      const sent = (error: Error | null | undefined): void => error ? undefined : release(bytes)
      if (!response.write(bytes, sent) && !(yield* drained(response, stallMs))) return false
    }
    const whole = body.sizeBytes === undefined || body.sizeBytes === passage.sentBytes
    if (!whole) response.socket?.destroy()
    return whole
  }).pipe(
    // The head is sent: only a cut connection can still say that the rest is missing.
    Effect.catch((error) => Effect.suspend(() => {
      passage.failure = error
      response.socket?.destroy()
      const line = `an answer was cut: ${error.message}`
      return Effect.as(error.reason === "Overloaded" ? Effect.logWarning(line) : Effect.logError(line), false)
    }))
  )

/**
 * Waits until the client has taken what is buffered. The socket's own timer starts anew whenever it took some of it,
 * however little; when it took nothing at all for so long, Node cuts the connection.
 */
const drained = (response: http.ServerResponse, stallMs: number): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const { socket } = response
    if (response.destroyed || socket === null) return resume(Effect.succeed(false))
    const done = (ok: boolean): void => {
      release()
      resume(Effect.succeed(ok))
    }
    const onDrain = (): void => done(true)
    const onClose = (): void => done(false)
    const release = (): void => {
      socket.setTimeout(0)
      response.off("drain", onDrain).off("close", onClose)
    }
    socket.setTimeout(stallMs)
    response.on("drain", onDrain).on("close", onClose)
    return Effect.sync(release)
  })
