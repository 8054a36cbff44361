/**
 * AdminHandler: the admin address: health for anyone, the rest for the root credentials (HTTP Basic). It sits between
 * the listener and the node's own controls.
 */
import { createHash, timingSafeEqual } from "node:crypto"
import { Cause, Effect, References } from "effect"
import { type NamedFinding, worst } from "../../base/HealthBoard.ts"
import { expositionContentType } from "../../base/Exposition.ts"
import { fromBase64, fromUtf8, toUtf8 } from "../../base/bytes.ts"
import { adminBodyBytesMax, listKeysMax } from "../../base/limits.ts"
import type { AsOfRefused, Refused, Unavailable } from "../../namespace/Namespace.ts"
import type { VertexHash } from "../../base/ids.ts"
import type { ChildVersion, VersionPage, VersionQuery } from "../../namespace/Model.ts"
import type { Body } from "../../ports/Body.ts"
import type { GcReport } from "../../gc.ts"
import type { HttpRequest, HttpResponse } from "../../ports/HttpListener.ts"
import type { Exchange, RequestBook } from "../RequestBook.ts"
import { clusterChange, type ClusterControl, clusterRead, clusterStatusPath } from "./ClusterRoutes.ts"
import { historyJson, parseAsOf } from "./HistoryJson.ts"
import { branchTold, diffTold, type LineageControl, lineageTold, rollbackTold, type Told } from "./LineageRoutes.ts"
import { type RunVerify, verifyBody } from "./VerifyStream.ts"
import type { AsOf } from "../../namespace/Model.ts"

/** What the admin address can ask of the node; undefined parts of it are not up yet. */
export interface NodeControl extends LineageControl {
  readonly phase: () => "Starting" | "Ready" | "Stopping"
  readonly accessKey: string
  readonly secretKey: string
  /** Every check of the node's health board. */
  readonly health: () => ReadonlyArray<NamedFinding>
  /** All meters, as Prometheus reads them. */
  readonly metrics: () => string
  /** /metrics is for anyone who reaches the admin address; else for the root credentials. */
  readonly metricsPublic: boolean
  readonly status: Effect.Effect<unknown>
  readonly history: (
    bucket: string, query: VersionQuery, asOf: AsOf | undefined
  ) => Effect.Effect<VersionPage, Refused | AsOfRefused | Unavailable>
  readonly children: (
    bucket: string, vertex: VertexHash, asOf: AsOf | undefined
  ) => Effect.Effect<ReadonlyArray<ChildVersion>, Refused | AsOfRefused | Unavailable>
  readonly exportKey: Effect.Effect<string>
  readonly changePassphrase: (passphrase: string | undefined) => Effect.Effect<void, { readonly message: string }>
  /** Seals what waits in the journal, and writes a checkpoint. */
  readonly settle: Effect.Effect<void, { readonly message: string }>
  readonly checkpoint: Effect.Effect<void, Unavailable>
  /** Lets everything go that can go; `now`: without waiting for the grace time. */
  readonly collect: (now: boolean) => Effect.Effect<GcReport, Unavailable>
  /** Reads and checks everything. */
  readonly verify: RunVerify
  /** Of a node that belongs to a cluster. */
  readonly cluster?: ClusterControl | undefined
}

const json = (status: number, value: unknown, headers: HttpResponse["headers"] = []): HttpResponse => ({
  status,
  headers: [["content-type", "application/json"], ["cache-control", "no-store"], ...headers],
  body: toUtf8(`${JSON.stringify(value, null, 2)}\n`)
})

const digest = (text: string): Uint8Array => createHash("sha256").update(text).digest()

/** Digests are compared, so that neither time nor length tells how much of a guess was right. */
const authorized = (request: HttpRequest, control: NodeControl): boolean => {
  const header = request.headers.find(([name]) => name === "authorization")?.[1] ?? ""
  const match = /^basic ([A-Za-z0-9+/=]+)$/i.exec(header)
  const given = match === null ? undefined : fromUtf8(fromBase64(match[1] ?? ""))
  return given !== undefined && timingSafeEqual(digest(given), digest(`${control.accessKey}:${control.secretKey}`))
}

const health = (path: string, control: NodeControl): HttpResponse | undefined => {
  if (path === "/health/live") return json(200, { status: "live" })
  return path === "/health/ready" ? ready(control) : undefined
}

/**
 * 200 while requests are served: "ready", or "degraded" where an operator should look (a full disk still serves reads).
 * 503 while starting, stopping, or failing.
 */
const ready = (control: NodeControl): HttpResponse => {
  const phase = control.phase()
  const recovery: NamedFinding = phase === "Starting"
    ? { name: "recovery", soundness: "failed", detail: "under way" }
    : { name: "recovery", soundness: "ok", detail: "done" }
  const findings = [recovery, ...control.health()]
  const soundness = worst(findings)
  const status = phase !== "Ready" ? phase.toLowerCase() : soundness === "ok" ? "ready" : soundness === "degraded" ? "degraded" : "failing"
  const checks = findings.map(({ name, soundness: how, detail }) => ({ name, ok: how === "ok", detail }))
  const serves = status === "ready" || status === "degraded"
  return json(serves ? 200 : 503, { status, checks }, serves ? [] : [["retry-after", "1"]])
}

const metricsOf = (control: NodeControl): HttpResponse => ({
  status: 200, headers: [["content-type", expositionContentType], ["cache-control", "no-store"]], body: toUtf8(control.metrics())
})

const readJson = Effect.fnUntraced(function* (body: Body) {
  const parts: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const part = yield* body.next
    if (part === undefined) break
    size += part.length
    if (size > adminBodyBytesMax) return undefined
    parts.push(part)
  }
  return yield* Effect.try({
    try: (): unknown => JSON.parse(fromUtf8(Buffer.concat(parts)) ?? ""),
    catch: () => "not JSON" as const
    // Whoever asked says what he wanted instead.
  }).pipe(Effect.catch(() => Effect.succeed(undefined)))
})

/** The words that S3 has for the same. */
const codeOf = (error: Refused | AsOfRefused | Unavailable): string =>
  error._tag === "Unavailable" ? (error.reason === "NoQuorum" ? "NoQuorum" : "ServiceUnavailable") : error._tag === "Refused" ? error.refusal : error.reason === "Future" ? "AsOfInFuture" : "AsOfBeforeHorizon"

const refusedJson = (error: Refused | AsOfRefused | Unavailable): HttpResponse => json(refusedStatus(error), { code: codeOf(error), error: error.message })

const refusedStatus = (error: Refused | AsOfRefused | Unavailable): number =>
  error._tag === "Unavailable" ? 503 : error._tag === "Refused" ? (error.refusal.startsWith("NoSuch") ? 404 : 409) : 400

const history = (query: URLSearchParams, control: NodeControl): Effect.Effect<HttpResponse> => {
  const asOf = parseAsOf(query.get("as-of"))
  if (asOf === "Malformed") return Effect.succeed(json(400, { error: "as-of is a commit sequence or an ISO 8601 time" }))
  const key = query.get("key")
  const afterVersionId = query.get("after-version")
  const limit = Math.min(Math.max(Number(query.get("limit") ?? listKeysMax) || 1, 1), listKeysMax)
  const versionQuery: VersionQuery = {
    prefix: key ?? query.get("prefix") ?? "",
    delimiter: "",
    after: query.get("after") ?? "",
    limit,
    ...(afterVersionId === null ? {} : { afterVersionId })
  }
  return control.history(query.get("bucket") ?? "", versionQuery, asOf).pipe(
    Effect.map((page) => json(200, historyJson(page, key))),
    Effect.catch((error) => Effect.succeed(refusedJson(error)))
  )
}

/** GET /v1/children?bucket=B&vertex=HASH: the versions that were written over one. */
const children = (query: URLSearchParams, control: NodeControl): Effect.Effect<HttpResponse> => {
  const asOf = parseAsOf(query.get("as-of"))
  const vertex = query.get("vertex") ?? ""
  if (asOf === "Malformed" || !/^[0-9a-f]{64}$/.test(vertex)) {
    return Effect.succeed(json(400, { error: "vertex is 64 hex digits; as-of a commit sequence or an ISO 8601 time" }))
  }
  return control.children(query.get("bucket") ?? "", vertex as VertexHash, asOf).pipe(
    Effect.map((found) => json(200, { children: found })),
    Effect.catch((error) => Effect.succeed(refusedJson(error)))
  )
}

const done = (effect: Effect.Effect<void, { readonly message: string }>): Effect.Effect<HttpResponse> =>
  effect.pipe(
    Effect.map(() => json(200, { done: true })),
    Effect.catch((error) => Effect.succeed(json(503, { error: error.message })))
  )

/** POST /v1/gc[?now=1] */
const collect = (query: URLSearchParams, control: NodeControl): Effect.Effect<HttpResponse> =>
  control.collect(query.get("now") === "1").pipe(
    Effect.map((report) => json(200, report)),
    Effect.catch((error) => Effect.succeed(json(503, { error: error.message })))
  )

const changePassphrase = Effect.fnUntraced(function* (request: HttpRequest, control: NodeControl) {
  const body = yield* readJson(request.body).pipe(Effect.catch((error) => Effect.succeed({ error: error.message })))
  const passphrase = (body as { readonly passphrase?: unknown } | undefined)?.passphrase
  if (passphrase !== null && (typeof passphrase !== "string" || passphrase === "")) {
    return json(400, { error: "the body is {\"passphrase\": \"…\"}; null goes back to the key file" })
  }
  return yield* done(control.changePassphrase(passphrase ?? undefined))
})

const jsonOf = ({ status, value }: Told): HttpResponse => json(status, value)

/** What is done with a body of JSON; one that is none, or that never came, is undefined: what is missing is refused by name. */
const posted = (request: HttpRequest, use: (body: unknown) => Effect.Effect<Told>): Effect.Effect<HttpResponse> =>
  readJson(request.body).pipe(Effect.catch(() => Effect.succeed(undefined)), Effect.flatMap(use), Effect.map(jsonOf))

const route = (request: HttpRequest, path: string, query: URLSearchParams, control: NodeControl): Effect.Effect<HttpResponse> | undefined => {
  switch (`${request.method} ${path}`) {
    case "GET /v1/status":
      return Effect.map(control.status, (status) => json(200, status))
    case "GET /v1/history":
      return history(query, control)
    case "GET /v1/children":
      return children(query, control)
    case "POST /v1/rollback":
      return posted(request, (body) => rollbackTold(body, control))
    case "POST /v1/branch":
      return posted(request, (body) => branchTold(body, control))
    case "GET /v1/lineage":
      return Effect.map(lineageTold(query, control), jsonOf)
    case "GET /v1/diff":
      return Effect.map(diffTold(query, control), jsonOf)
    case "POST /v1/key/export":
      return Effect.map(control.exportKey, (key) => json(200, { key }))
    case "POST /v1/key/passphrase":
      return changePassphrase(request, control)
    case "POST /v1/gc":
      return collect(query, control)
    case "POST /v1/settle":
      return done(control.settle)
    case "POST /v1/verify":
      return verifyBody(control.verify).pipe(
        Effect.map((body): HttpResponse => ({ status: 200, headers: [["content-type", "application/x-ndjson"], ["cache-control", "no-store"]], body })),
        Effect.catch((error) => Effect.succeed(json(409, { error: error.message })))
      )
    case "POST /v1/checkpoint":
      return done(control.checkpoint)
    default:
      return clusterRoute(request, path, control)
  }
}

const clusterRoute = (request: HttpRequest, path: string, { cluster }: NodeControl): Effect.Effect<HttpResponse> | undefined => {
  if (request.method === "GET") {
    const read = clusterRead(path, cluster)
    return read === undefined ? undefined : Effect.map(read, jsonOf)
  }
  const change = request.method === "POST" ? clusterChange(path, cluster) : undefined
  return change === undefined ? undefined : posted(request, change)
}

const noMatch = (request: HttpRequest, path: string): HttpResponse => json(404, { error: `nothing at ${request.method} ${path}` })

const unauthorized = (): HttpResponse =>
  json(401, { error: "the root credentials are needed (HTTP Basic: access key, secret key)" }, [
    ["www-authenticate", "Basic realm=\"ouroboros admin\""]
  ])

const answer = (request: HttpRequest, control: NodeControl, exchange: Exchange): Effect.Effect<HttpResponse> => {
  const mark = request.target.indexOf("?")
  const path = mark < 0 ? request.target : request.target.slice(0, mark)
  const reads = request.method === "GET" || request.method === "HEAD"
  const about = reads ? health(path, control) : undefined
  if (about !== undefined) {
    exchange.named(`GET ${path}`)
    return Effect.succeed(about)
  }
  const isMetrics = reads && path === "/metrics"
  if (isMetrics) exchange.named("GET /metrics")
  if (isMetrics && control.metricsPublic) return Effect.succeed(metricsOf(control))
  if (!authorized(request, control)) return Effect.succeed(unauthorized())
  if (isMetrics) return Effect.succeed(metricsOf(control))
  // A node that waits for the others of its cluster says so.
  const isAnytime = request.method === "GET" && path === clusterStatusPath
  if (control.phase() !== "Ready" && !isAnytime) return Effect.succeed(json(503, { error: "the node is not ready" }, [["retry-after", "1"]]))
  const found = route(request, path, new URLSearchParams(mark < 0 ? "" : request.target.slice(mark + 1)), control)
  if (found === undefined) return Effect.succeed(noMatch(request, path))
  exchange.named(`${request.method} ${path}`)
  if (reads) return found
  // What an operator changes, or takes out, is in the log.
  return Effect.tap(found, ({ status }) => Effect.logInfo(`admin: ${request.method} ${path} from ${request.remote} answered ${status}`))
}

const defect = (request: HttpRequest, exchange: Exchange, cause: Cause.Cause<never>): Effect.Effect<HttpResponse> => {
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
  exchange.category = "defect"
  return Effect.as(
    Effect.logError(`admin: ${request.method} ${exchange.operation} failed by a defect`, cause),
    json(500, { error: `internal error; the log has more under request ${exchange.requestId}` })
  )
}

const categoryOfStatus = (status: number): Exchange["category"] =>
  status < 400 ? undefined : status === 401 ? "denied" : status === 404 ? "missing" : status === 409 ? "conflict" : status >= 500 ? "unavailable" : "client"

/** Every answer carries `x-request-id`, which the log lines of its request have too. Never fails. */
export const makeAdminHandler = (control: NodeControl, book: RequestBook, nextId: () => string) => (request: HttpRequest): Effect.Effect<HttpResponse> =>
  Effect.clockWith((clock) => {
    const exchange = book.open(request, nextId(), clock)
    return Effect.suspend(() => answer(request, control, exchange)).pipe(
      Effect.catchCause((cause) => defect(request, exchange, cause)),
      Effect.map((response): HttpResponse => {
        exchange.category ??= isHealth(exchange) ? undefined : categoryOfStatus(response.status)
        exchange.answered(response.status)
        return { ...response, headers: [...response.headers, ["x-request-id", exchange.requestId]] }
      }),
      Effect.provideService(References.CurrentLogAnnotations, exchange.annotations)
    )
  })

/** "Not ready" is an answer there, not an error. */
const isHealth = ({ operation }: Exchange): boolean => operation.startsWith("GET /health/")
