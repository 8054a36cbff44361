/** NodeHttpClient: the HttpClient port over node:http and node:https, keep-alive, one socket pool for the process. */
import * as http from "node:http"
import * as https from "node:https"
import { Effect, Layer } from "effect"
import { type Body, BodyError } from "../ports/Body.ts"
import { type ClientRequest, type ClientResponse, HttpClient, HttpClientError } from "../ports/HttpClient.ts"

const unreachable = new Set(["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EAI_AGAIN"])

const failure = (request: ClientRequest, error: Error & { readonly code?: string }): HttpClientError =>
  new HttpClientError({
    reason: unreachable.has(error.code ?? "") ? "Unreachable" : "Broken",
    endpoint: `${request.endpoint.secure ? "https" : "http"}://${request.endpoint.host}:${request.endpoint.port}`,
    detail: error.message
  })

/** Pulls a response's stream; a connection that ends early is an Aborted body. */
const bodyOf = (incoming: http.IncomingMessage): Body => {
  const iterator = incoming[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
  const size = incoming.headers["content-length"]
  return {
    sizeBytes: size === undefined ? undefined : Number(size),
    next: Effect.callback((resume) => {
      iterator.next().then(
        (step) => resume(Effect.succeed(step.done === true ? undefined : step.value)),
        (error: unknown) => resume(Effect.fail(new BodyError({ reason: "Aborted", detail: String(error) })))
      )
    })
  }
}

const toResponse = (incoming: http.IncomingMessage): ClientResponse => {
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value)
  }
  return { status: incoming.statusCode ?? 0, headers, body: bodyOf(incoming) }
}

/** Writes a pulled body, waiting while the socket is full. */
const send = Effect.fnUntraced(function* (outgoing: http.ClientRequest, body: Body) {
  for (;;) {
    const bytes = yield* body.next
    if (bytes === undefined) break
    if (!outgoing.write(bytes)) {
      yield* Effect.callback<void>((resume) => {
        const go = (): void => resume(Effect.void)
        outgoing.once("drain", go)
        outgoing.once("close", go)
      })
    }
  }
  outgoing.end()
})

const open = (request: ClientRequest): http.ClientRequest => {
  const { host, port, secure } = request.endpoint
  const options: http.RequestOptions = {
    host, port, method: request.method, path: request.target,
    headers: request.headers.flatMap(([name, value]) => [name, value]),
    setDefaultHeaders: false
  }
  return secure ? https.request(options) : http.request(options)
}

const request = (wanted: ClientRequest) =>
  Effect.gen(function* () {
    let response: http.IncomingMessage | undefined
    const complete = (): boolean => response?.complete === true
    const outgoing = yield* Effect.acquireRelease(
      Effect.sync(() => open(wanted)),
      (opened) => Effect.sync(() => void (complete() || opened.destroy()))
    )
    const answered = Effect.callback<ClientResponse, HttpClientError>((resume) => {
      outgoing.once("response", (incoming) => {
        response = incoming
        resume(Effect.succeed(toResponse(incoming)))
      })
      outgoing.on("error", (error) => resume(Effect.fail(failure(wanted, error))))
    })
    if (wanted.body === undefined || wanted.body instanceof Uint8Array) {
      outgoing.end(wanted.body)
      return yield* answered
    }
    // The server may answer before it has read everything: whoever is first ends the race.
    const sending = Effect.andThen(send(outgoing, wanted.body), Effect.never)
    return yield* Effect.raceFirst(answered, sending)
  })

export const layer: Layer.Layer<HttpClient> = Layer.succeed(HttpClient, { request })
