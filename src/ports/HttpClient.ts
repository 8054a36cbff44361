/**
 * HttpClient: one HTTP/1.1 request, with the target sent exactly as given (URL libraries fold "/../", and keys are data).
 * Adapter: adapters/NodeHttpClient.
 */
import { Context, Data, type Effect, type Scope } from "effect"
import type { Body, BodyError } from "./Body.ts"

export class HttpClientError extends Data.TaggedError("HttpClientError")<{
  /** Unreachable: no connection. Broken: the connection ended or the peer spoke no HTTP. */
  readonly reason: "Unreachable" | "Broken"
  readonly endpoint: string
  readonly detail: string
}> {
  override get message(): string {
    return this.reason === "Unreachable"
      ? `no server answers at ${this.endpoint} (${this.detail}); start one with: ouroboros serve`
      : `the connection to ${this.endpoint} broke (${this.detail})`
  }
}

export interface Endpoint {
  readonly secure: boolean
  readonly host: string
  readonly port: number
}

export interface ClientRequest {
  readonly endpoint: Endpoint
  readonly method: string
  readonly target: string
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  /** A Body with unknown size is sent chunked. */
  readonly body: Uint8Array | Body | undefined
}

export interface ClientResponse {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Body
}

export interface HttpClientService {
  /** The connection is given back when the response's body ends, and cut when the scope closes before that. */
  readonly request: (request: ClientRequest) => Effect.Effect<ClientResponse, HttpClientError | BodyError, Scope.Scope>
}

export class HttpClient extends Context.Service<HttpClient, HttpClientService>()("ouroborosdb/ports/HttpClient") {}
