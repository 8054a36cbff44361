/**
 * NodeHttp: the HttpListener port over node:http and node:https, HTTP/1.1. One fiber a request; it is interrupted when
 * its client goes away. No limit on how long a request takes, only on how long nothing moves.
 */
import * as http from "node:http"
import * as https from "node:https"
import type { AddressInfo, Socket } from "node:net"
import { Effect, Layer, type Context, type Scope } from "effect"
import {
  headerBytesMax, httpCloseMsMax, httpConnectionsMax, httpHeadersMsMax, httpIdleMsMax, httpStallMsMax
} from "../base/limits.ts"
import { release } from "../base/bytes.ts"
import type { Body } from "../ports/Body.ts"
import {
  HttpListener, type HttpListenerService, type HttpRequest, type HttpResponse, ListenError, type Listener, type ListenOptions, type Passage
} from "../ports/HttpListener.ts"
import { drain, type RequestBody, requestBody, restIsLarge } from "./HttpBody.ts"

type Handler = (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>

const serverOptions: http.ServerOptions = {
  requestTimeout: 0,
  headersTimeout: httpHeadersMsMax,
  keepAliveTimeout: httpIdleMsMax,
  maxHeaderSize: headerBytesMax,
  highWaterMark: 256 * 1024
}

const listen = (options: ListenOptions, handler: Handler): Effect.Effect<Listener, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context()
    const server = yield* Effect.acquireRelease(start(options), shutDown)
    serve(server, options.tls !== undefined, context, handler)
    const address = server.address() as AddressInfo
    return { host: address.address, port: address.port, reloadTls: (tls) => reload(server, options, tls) }
  })

const service: HttpListenerService = { listen }
export const layer: Layer.Layer<HttpListener> = Layer.succeed(HttpListener, service)

type Server = http.Server | https.Server

const listenError = (options: ListenOptions, error: unknown): ListenError =>
  new ListenError({ host: options.host, port: options.port, detail: error instanceof Error ? error.message : String(error) })

const start = (options: ListenOptions): Effect.Effect<Server, ListenError> =>
  Effect.callback<Server, ListenError>((resume) => {
    try {
      const server = options.tls === undefined
        ? http.createServer(serverOptions)
        : https.createServer({ ...serverOptions, cert: options.tls.certificate, key: options.tls.key })
      // 0: no header is dropped in silence; their total size has a limit.
      server.maxHeadersCount = 0
      server.maxConnections = httpConnectionsMax
      server.once("error", (error) => resume(Effect.fail(listenError(options, error))))
      server.listen(options.port, options.host, () => resume(Effect.succeed(server)))
    } catch (error) {
      // A certificate or key that does not parse, a port out of range.
      resume(Effect.fail(listenError(options, error)))
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
const shutDown = (server: Server): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const timer = setTimeout(() => server.closeAllConnections(), httpCloseMsMax)
    server.close(() => {
      clearTimeout(timer)
      resume(Effect.void)
    })
    server.closeIdleConnections()
  })

const serve = (server: Server, secure: boolean, context: Context.Context<never>, handler: Handler): void => {
  const fork = Effect.runForkWith(context)
  const answer = (request: http.IncomingMessage, response: http.ServerResponse, expectsContinue: boolean): void => {
    const passage: Passage = { receivedBytes: 0, sentBytes: 0, waitedMs: 0, workedMs: 0, isWhole: false, follower: undefined }
    const body = requestBody(request, response, expectsContinue, passage)
    const socket = request.socket
    // Without a listener, an aborted upload would be an uncaught error; `body` reports it to who pulls.
    request.on("error", () => undefined)
    response.on("error", () => undefined)
    const fiber = fork(Effect.scoped(Effect.flatMap(handler(toRequest(request, body, secure, passage)), (reply) =>
      send(server, request, response, body, reply, passage))))
    response.on("close", () => {
      if (!response.writableFinished) fiber.interruptUnsafe()
      if (!server.listening) server.closeIdleConnections()
    })
    fiber.addObserver((exit) => {
      const last = passage.follower?.ended(passage)
      if (last !== undefined) fork(last)
      if (exit._tag === "Success" || response.writableFinished) return
      // A defect: the handler's own edge logs it. What began is cut; what did not begin says that it failed.
      if (response.headersSent || socket.destroyed) socket.destroy()
      else response.writeHead(500, ["content-length", "0", "connection", "close"]).end()
    })
  }
  server.on("request", (request, response) => answer(request, response, false))
  server.on("checkContinue", (request, response) => answer(request, response, true))
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket))
}

const refuse = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === "ECONNRESET" || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy()
    return
  }
  const status = error.code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large"
    : error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout"
    : "400 Bad Request"
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`, () => socket.destroy())
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

const send = (
  server: Server,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  body: RequestBody,
  reply: HttpResponse,
  passage: Passage
): Effect.Effect<void> => {
  const headers = reply.headers.flat()
  const closes = body.unasked() || restIsLarge(body) || !server.listening
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
    response.end(bytes)
    passage.sentBytes = bytes?.length ?? 0
    passage.isWhole = true
    return Effect.void
  }
  const rest = Effect.gen(function* () {
    if (bytes instanceof Uint8Array) {
      response.write(bytes)
      passage.sentBytes = bytes.length
    } else if (bytes === undefined) response.flushHeaders()
    else if (!(yield* stream(response, bytes, passage))) return
    passage.isWhole = true
    // Node ends the connection with the response; a client that still sends would be reset before it has read.
    if (!body.isRead() && !body.unasked()) yield* drain(request)
    if (body.isRead() || body.unasked()) response.end()
    else response.end(() => request.socket.destroy())
  })
  return passage.follower === undefined ? rest : Effect.annotateLogs(rest, passage.follower.annotations)
}

/** Sends a Body as fast as the client takes it; false where it failed and the connection was cut. */
const stream = (response: http.ServerResponse, body: Body, passage: Passage): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    for (;;) {
      const askedMs = performance.now()
      const bytes = yield* body.next
      passage.workedMs += performance.now() - askedMs
      if (bytes === undefined) break
      passage.sentBytes += bytes.length
      // Pulled bytes are ours (Body); once they are sent, their memory is given back.
      const sent = (error: Error | null | undefined): void => error ? undefined : release(bytes)
      if (!response.write(bytes, sent) && !(yield* drained(response))) return false
    }
    const whole = body.sizeBytes === undefined || body.sizeBytes === passage.sentBytes
    if (!whole) response.socket?.destroy()
    return whole
  }).pipe(
    // The head is sent: only a cut connection can still say that the rest is missing.
    Effect.catch((error) =>
      Effect.as(Effect.andThen(Effect.sync(() => response.socket?.destroy()), Effect.logWarning(`an answer was cut: ${error.message}`)), false))
  )

/** Waits until the client has taken what is buffered; cuts one that takes nothing for too long. */
const drained = (response: http.ServerResponse): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    if (response.destroyed) return resume(Effect.succeed(false))
    const done = (ok: boolean): void => {
      release()
      resume(Effect.succeed(ok))
    }
    const onDrain = (): void => done(true)
    const onClose = (): void => done(false)
    const timer = setTimeout(() => {
      response.socket?.destroy()
      done(false)
    }, httpStallMsMax)
    const release = (): void => {
      clearTimeout(timer)
      response.off("drain", onDrain).off("close", onClose)
    }
    response.on("drain", onDrain).on("close", onClose)
    return Effect.sync(release)
  })
