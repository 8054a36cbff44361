/**
 * HttpListener: HTTP/1.1 requests in, responses out; no routing, no meaning.
 * Adapter: adapters/NodeHttp.
 */
import { Context, Data, type Effect, type Scope } from "effect"
import type { Body, BodyError } from "./Body.ts"

/** What the listener sees of one request as it goes on. It writes the numbers; the handler may name a follower. */
export interface Passage {
  /** Of bodies, without heads. */
  receivedBytes: number
  sentBytes: number
  /** Spent waiting for the client's bytes. */
  waitedMs: number
  /** Spent on making the answer's bytes after its head, without waiting for the client to take them. */
  workedMs: number
  /** The answer went out whole. */
  isWhole: boolean
  /** It did not, and the fault is ours: a defect while it was sent. */
  isBroken: boolean
  /** It did not, since its body failed after the head was sent: the connection was cut. */
  failure: BodyError | undefined
  follower: Follower | undefined
}

/** Who follows a request to its end. */
export interface Follower {
  /** Of the log lines that are written while the answer is sent. */
  readonly annotations: Readonly<Record<string, unknown>>
  /** Once: after the last byte was handed over, or the connection was cut. What it returns is run. */
  readonly ended: (passage: Passage) => Effect.Effect<void> | undefined
}

export interface HttpRequest {
  readonly method: string
  /** The request target as sent: path and query, percent-encoding untouched. */
  readonly target: string
  /** Names in lower case, values as sent (latin1), in the order of the wire. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: Body
  readonly secure: boolean
  readonly remote: string
  /** Absent where nobody listens: requests made by hand. */
  readonly passage?: Passage
}

export interface HttpResponse {
  readonly status: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** A Body that fails after the head is sent cuts the connection, so that no client takes half for whole. */
  readonly body: Uint8Array | Body | undefined
}

export class ListenError extends Data.TaggedError("ListenError")<{
  readonly host: string
  readonly port: number
  readonly detail: string
}> {
  override get message(): string {
    const advice = this.detail.includes("EADDRINUSE") ? "; another program has this address: name another with --s3 or --admin" : ""
    return `cannot listen on ${this.host}:${this.port}: ${this.detail}${advice}`
  }
}

/** Bounds of one listener; those of base/limits.ts where nothing else is said. Times measure a lack of progress. */
export interface HttpLimits {
  /** Beyond it a few get 503 for their first request, the others are closed. */
  readonly connectionsMax: number
  /** From the first byte of a head (or from connecting; of a TLS handshake) to its end. */
  readonly headersMsMax: number
  readonly headersCountMax: number
  /** In the middle of a message, with nothing sent by a client that should, or nothing taken. */
  readonly stallMsMax: number
  /** Between requests. */
  readonly idleMsMax: number
  /** Requests that wait on one connection behind the one under way. */
  readonly pipelinedMax: number
  /** For requests in flight when the listener closes. */
  readonly closeMsMax: number
}

export interface ConnectionCounts {
  readonly open: number
  readonly max: number
  /** Since the start. */
  readonly refused: number
}

export interface ListenOptions {
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
  /** PEM texts, read again at every reload. */
  readonly tls?: { readonly certificate: string; readonly key: string }
  readonly limits?: Partial<HttpLimits>
  /** Of what the listener answers by itself, before the handler hears of it: malformed, too large, one too many. */
  readonly refusalHeaders?: () => HttpResponse["headers"]
}

export interface Listener {
  readonly host: string
  readonly port: number
  readonly connections: () => ConnectionCounts
  /** New certificate for new connections. */
  readonly reloadTls: (tls: { readonly certificate: string; readonly key: string }) => Effect.Effect<void, ListenError>
}

export interface HttpListenerService {
  /**
   * Serves until the scope closes: then no new connection, and requests in flight finish within a bound. A handler that
   * answers at once (an Exit) is served without a fiber and has no scope. The handler's scope lasts until its response is sent or its client is gone: what works or holds for a request ends with it.
   */
  readonly listen: (
    options: ListenOptions,
    handler: (request: HttpRequest) => Effect.Effect<HttpResponse, never, Scope.Scope>
  ) => Effect.Effect<Listener, ListenError, Scope.Scope>
}

export class HttpListener extends Context.Service<HttpListener, HttpListenerService>()("ouroborosdb/ports/HttpListener") {}
