/**
 * S3Handler: an HTTP request in, an HTTP response out, whatever happens. It sits between the HttpListener port and the
 * S3 operations: it tells the request apart, authenticates, routes, authorizes, runs, and turns every error, expected or
 * not, into S3's XML. It never fails.
 */
import { Cause, Clock, Effect, LogLevel, Option, References, type Scope } from "effect"
import { Allowances } from "../../allowance.ts"
import { toBase64 } from "../../base/bytes.ts"
import { objectBytesMax, slowRequestMsDefault } from "../../base/limits.ts"
import { Get } from "../../get.ts"
import { Namespace } from "../../namespace/Namespace.ts"
import { Entropy } from "../../ports/Entropy.ts"
import type { HttpRequest, HttpResponse } from "../../ports/HttpListener.ts"
import { Metrics } from "../../ports/Metrics.ts"
import { Put } from "../../put.ts"
import { categoryOf } from "../ErrorCategory.ts"
import { type Exchange, RequestBook } from "../RequestBook.ts"
import { admit } from "./Admission.ts"
import { requestIds } from "../RequestIds.ts"
import { asOfHeader, commitHeader, parseAsOf } from "./AsOfHeader.ts"
import { authenticate, type Credentials, makeAuthenticator } from "./Authentication.ts"
import { type Crc64, makeCrc64 } from "./Checksums.ts"
import { invocationOf } from "./Once.ts"
import { type Call, type Header, ofNow, type Reply, type Rooms } from "./Operation.ts"
import { invalidArgument, messageOf, type OperationError, S3Error, s3Error, statusOf, toS3Error } from "./S3Error.ts"
import { readRequest } from "./S3Request.ts"
import { maxStalenessHeader, parseMaxStaleness } from "./StalenessHeader.ts"
import { type Route, route } from "./S3Router.ts"
import { errorDocument } from "./XmlOut.ts"

/** May this principal do this? `action` is the name of S3's operation; bucket and key are "" where it has none. */
export type Authorize = (principal: string, action: string, bucket: string, key: string) => boolean

export interface S3Options {
  /** What the store calls its region; clients may sign for any. Default us-east-1. */
  readonly region?: string
  /** BUCKET.DOMAIN is virtual-host style. */
  readonly domain: string | ReadonlyArray<string>
  readonly credentials: Credentials
  /** Single PUTs up to this size have their MD5 as ETag; objectBytesMax or more: all, and all parts too. */
  readonly md5EtagBytesMax: number
  /** Seconds that an object lives where its writer says nothing; absent: for ever. */
  readonly ttlDefaultSeconds?: number | undefined
  /** Default: whoever has a credential may do everything. */
  readonly authorize?: Authorize
  /** A request on which the node itself spends this long is named in the log. */
  readonly slowMs?: number
  /** The simulator brings its own, made before its clock starts. */
  readonly crc64?: Crc64
}

/** The scope lasts until the response is sent, or its client gone. */
export type S3Handler = (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>

const server: Header = ["server", "OuroborosDB"]

interface Desk {
  readonly rooms: Rooms
  readonly domains: ReadonlyArray<string>
  readonly authenticator: ReturnType<typeof makeAuthenticator>
  readonly authorize: Authorize
  readonly book: RequestBook
  readonly nextId: () => string
  readonly hostId: string
  readonly clock: Clock.Clock
}

const commonHeaders = (desk: Desk, requestId: string, commit: number): Array<Header> =>
  [["x-amz-request-id", requestId], ["x-amz-id-2", desk.hostId], server, [commitHeader, String(commit)]]

const finish = (desk: Desk, exchange: Exchange, reply: Reply): HttpResponse => {
  exchange.answered(reply.status)
  const headers = commonHeaders(desk, exchange.requestId, reply.commit)
  for (const header of reply.headers) headers.push(header)
  const { body, status } = reply
  const bodiless = status === 204 || status === 304
  if (body === undefined && !bodiless && !reply.headers.some(([name]) => name === "content-length")) headers.push(["content-length", "0"])
  return { status, headers, body }
}

const refuse = (desk: Desk, exchange: Exchange, http: HttpRequest, error: S3Error): HttpResponse => {
  const { requestId } = exchange
  const headers = commonHeaders(desk, requestId, error.commit ?? desk.rooms.namespace.head().sequence)
  if (error.headers !== undefined) headers.push(...error.headers)
  const status = statusOf(error.code)
  exchange.code = error.code
  exchange.answered(status)
  // A HEAD has no body to say why; its status must do, and our own header helps.
  if (http.method === "HEAD") return { status, headers: [...headers, ["x-ouroboros-error", error.code]], body: undefined }
  const mark = http.target.indexOf("?")
  const resource = mark < 0 ? http.target : http.target.slice(0, mark)
  const body = errorDocument(error.code, error.detail ?? messageOf(error.code), resource, requestId, desk.hostId, error.extra ?? [])
  headers.push(["content-type", "application/xml"], ["content-length", String(body.length)])
  return { status, headers, body }
}

/** A request that may be carried out. */
interface Order {
  readonly route: Route
  readonly call: Call
  /** How old what it reads may be. */
  readonly ageMsMax: number
}

/** Told apart, authenticated, routed, authorized; or the error that keeps it from being carried out. */
const orderOf = (desk: Desk, exchange: Exchange, http: HttpRequest, nowMs: number): Order | S3Error => {
  const request = readRequest(http, desk.domains)
  if (request instanceof S3Error) return request
  const identity = authenticate(desk.authenticator, request, nowMs)
  if (identity instanceof S3Error) return identity
  const routed = route(request)
  if (routed instanceof S3Error) return routed
  exchange.named(routed.name)
  const bucket = request.bucket ?? ""
  const key = request.key ?? ""
  if (!desk.authorize(identity.principal, routed.name, bucket, key)) return s3Error("AccessDenied")
  const text = request.headers.get(asOfHeader)
  if (text !== undefined && routed.writes) return invalidArgument(asOfHeader, text, `${routed.name} writes, and the past cannot be written: send it without ${asOfHeader}.`)
  const age = request.headers.get(maxStalenessHeader)
  if (age !== undefined && routed.writes) return invalidArgument(maxStalenessHeader, age, `${routed.name} writes, and what it changes is never old: send it without ${maxStalenessHeader}.`)
  const asOf = text === undefined ? undefined : parseAsOf(text)
  if (asOf instanceof S3Error) return asOf
  const ageMsMax = age === undefined ? 0 : parseMaxStaleness(age)
  if (ageMsMax instanceof S3Error) return ageMsMax
  const invocation = routed.writes ? invocationOf(request.headers) : undefined
  if (invocation instanceof S3Error) return invocation
  const isKept = invocation !== undefined && desk.rooms.namespace.quorum !== undefined
  return { route: routed, call: { request, identity, bucket, key, asOf, ...(isKept ? { invocation } : {}) }, ageMsMax }
}

const explain = (desk: Desk, exchange: Exchange, http: HttpRequest, cause: Cause.Cause<OperationError>): Effect.Effect<HttpResponse> => {
  // The client went away or the server stops: nobody waits for an answer.
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const found = Cause.findErrorOption(cause)
  if (Option.isNone(found)) {
    exchange.category = "defect"
    return Effect.as(Effect.logError(`${http.method} failed by a defect`, cause), refuse(desk, exchange, http, s3Error("InternalError")))
  }
  const error = toS3Error(found.value)
  const response = refuse(desk, exchange, http, error)
  const { status } = response
  if (status >= 400) exchange.category = categoryOf(found.value, status, error.code)
  // Of refusals for lack of room there may be thousands: the allowance has a line for them, in a while.
  return status < 500 || status === 501 || found.value._tag === "Overloaded"
    ? Effect.succeed(response)
    : Effect.as(Effect.logWarning(`${http.method} answered ${status}: ${found.value.message}`), response)
}

const answered = (desk: Desk, exchange: Exchange, http: HttpRequest, work: Effect.Effect<Reply, OperationError, Scope.Scope>): ReturnType<S3Handler> => {
  const answer = Effect.matchCauseEffect(work, {
    onSuccess: (reply) => Effect.succeed(finish(desk, exchange, reply)),
    onFailure: (cause) => explain(desk, exchange, http, cause)
  })
  // Every line that is written while this request is served says which one it is.
  return Effect.provideService(answer, References.CurrentLogAnnotations, exchange.annotations)
}

/**
 * What needs nothing to be waited for is answered at once, as an Exit: a fiber, a scope and what they are given cost a
 * small GET more than the rest of it. It holds its place among the requests under way as long as the call lasts.
 */
const handle = (desk: Desk): S3Handler => (http) => {
  const { clock, rooms } = desk
  const { requests } = rooms.allowances
  const exchange = desk.book.open(http, desk.nextId(), clock)
  let order: Order | S3Error | undefined
  if (requests.tryTake(1)) {
    try {
      const nowMs = clock.currentTimeMillisUnsafe()
      order = orderOf(desk, exchange, http, nowMs)
      const reply = order instanceof S3Error || rooms.namespace.quorum !== undefined ? undefined : order.route.runNow?.(rooms, order.call, nowMs)
      if (reply !== undefined) return Effect.succeed(finish(desk, exchange, reply))
    } catch (defect) {
      return answered(desk, exchange, http, Effect.die(defect))
    } finally {
      requests.giveBack(1)
    }
  }
  return answered(desk, exchange, http, admit(requests, Effect.suspend(() => {
    const given = order ?? orderOf(desk, exchange, http, clock.currentTimeMillisUnsafe())
    if (given instanceof S3Error) return Effect.fail(given)
    const run = ofNow(given.call.asOf, given.route.run(rooms, given.call))
    return rooms.namespace.quorum === undefined ? run : Effect.andThen(rooms.namespace.quorum.fence(given.ageMsMax), run)
  })))
}

/** The handler over the store's services. Making it starts the CRC64 engine, once. */
export const makeS3Handler = (options: S3Options): Effect.Effect<S3Handler, never, Namespace | Put | Get | Entropy | Allowances> =>
  Effect.gen(function*() {
    const entropy = yield* Entropy
    const always = options.md5EtagBytesMax >= objectBytesMax
    const rooms: Rooms = {
      namespace: yield* Namespace,
      put: yield* Put,
      get: yield* Get,
      entropy,
      allowances: yield* Allowances,
      crc64: options.crc64 ?? (yield* makeCrc64),
      region: options.region ?? "us-east-1",
      alwaysMd5: always,
      ttlDefaultSeconds: options.ttlDefaultSeconds,
      wantsMd5: (sizeBytes) => sizeBytes <= options.md5EtagBytesMax
    }
    return handle({
      rooms,
      domains: typeof options.domain === "string" ? [options.domain] : options.domain,
      authenticator: makeAuthenticator(options.credentials),
      authorize: options.authorize ?? (() => true),
      book: new RequestBook({
        meters: yield* Metrics, listener: "s3", slowMs: options.slowMs ?? slowRequestMsDefault,
        logsAll: !LogLevel.isGreaterThan(yield* References.MinimumLogLevel, "Debug")
      }),
      nextId: requestIds(entropy),
      clock: yield* Clock.Clock,
      hostId: toBase64(entropy.bytes(24))
    })
  })
