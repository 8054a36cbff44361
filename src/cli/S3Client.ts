/**
 * S3Client: signed requests to an S3 endpoint, ours or another, over the HttpClient port. It sits between the commands
 * and the wire: targets are built from raw keys, answers are XML or bytes, refusals become ServerRefused.
 */
import { createHash } from "node:crypto"
import { XMLParser } from "fast-xml-parser"
import { Clock, Effect, type Scope } from "effect"
import { fromUtf8, toUtf8 } from "../base/bytes.ts"
import { xmlBodyBytesMax } from "../base/limits.ts"
import { signRequest } from "../gateway/s3/SigV4.ts"
import type { Body, BodyError } from "../ports/Body.ts"
import { HttpClient, type ClientResponse, type Endpoint, type HttpClientError, type HttpClientService } from "../ports/HttpClient.ts"
import type { Connection, Keys } from "./Connection.ts"
import { ServerRefused } from "./Failure.ts"
import { formatRemote } from "./Location.ts"

export type Query = ReadonlyArray<readonly [string, string]>
export type Headers = ReadonlyArray<readonly [string, string]>
export type ClientFailure = HttpClientError | BodyError | ServerRefused

export interface Call {
  readonly method: string
  readonly bucket: string
  readonly key?: string
  readonly query?: Query
  readonly headers?: Headers
  readonly body?: Uint8Array
}

/** RFC 3986 unreserved stay; everything else, "/" included, is escaped, as SigV4 wants query values. */
export const percentEncode = (text: string): string => {
  let out = ""
  for (const byte of toUtf8(text)) {
    const char = String.fromCharCode(byte)
    out += /[A-Za-z0-9._~-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  }
  return out
}

const targetOf = (call: Call): string => {
  const path = call.bucket === "" ? "/" : `/${percentEncode(call.bucket)}`
  const key = call.key === undefined ? "" : `/${call.key.split("/").map(percentEncode).join("/")}`
  const query = (call.query ?? []).map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`).join("&")
  return `${path}${key}${query === "" ? "" : `?${query}`}`
}

/** Entities stay off: names come escaped by number or by the five of XML, which the parser knows. */
const parser = new XMLParser({
  ignoreAttributes: true, parseTagValue: false, trimValues: false, processEntities: true,
  isArray: (name) => ["Contents", "CommonPrefixes", "Bucket", "Version", "DeleteMarker", "Error", "Deleted"].includes(name)
})

export type Xml = { readonly [name: string]: unknown }

const parseXml = (bytes: Uint8Array): Xml => parser.parse(fromUtf8(bytes) ?? "") as Xml

const readAll = Effect.fnUntraced(function* (body: Body, bytesMax: number) {
  const parts: Array<Uint8Array> = []
  let size = 0
  for (;;) {
    const part = yield* body.next
    if (part === undefined || size > bytesMax) return Buffer.concat(parts)
    size += part.length
    parts.push(part)
  }
})

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

const refusal = Effect.fnUntraced(function* (call: Call, response: ClientResponse) {
  const bytes = yield* readAll(response.body, xmlBodyBytesMax)
  const parsed = response.headers.get("content-type")?.includes("xml") ? parseXml(bytes) : {}
  const error = (Array.isArray(parsed["Error"]) ? parsed["Error"][0] : parsed["Error"]) as Xml | undefined
  const byStatus: Readonly<Record<number, string>> = { 404: "NotFound", 403: "AccessDenied", 412: "PreconditionFailed" }
  return new ServerRefused({
    status: response.status,
    code: textOf(error?.["Code"]) ?? byStatus[response.status] ?? `HTTP ${response.status}`,
    detail: textOf(error?.["Message"]) ?? "",
    what: call.bucket === "" ? "the server" : call.key === undefined ? `s3://${call.bucket}` : formatRemote(call.bucket, call.key)
  })
})

const authority = (endpoint: Endpoint): string => {
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host
  return `${host}:${endpoint.port}`
}

export interface S3Client {
  /** The response with its body unread; refusals are errors. */
  readonly call: (call: Call) => Effect.Effect<ClientResponse, ClientFailure, Scope.Scope>
  /** The whole answer as parsed XML (the root element's content under its name). */
  readonly xml: (call: Call) => Effect.Effect<Xml, ClientFailure>
  /** The answer's headers; its body is read and dropped. */
  readonly head: (call: Call) => Effect.Effect<ReadonlyMap<string, string>, ClientFailure>
}

const makeCall = (http: HttpClientService, endpoint: Endpoint, keys: Keys, standing: Headers) =>
  Effect.fnUntraced(function* (call: Call) {
    const target = targetOf(call)
    const payload = call.body ?? new Uint8Array(0)
    const headers = signRequest(
      { method: call.method, target, host: authority(endpoint), headers: [...standing, ...call.headers ?? []] },
      { ...keys, region: "us-east-1" },
      yield* Clock.currentTimeMillis,
      createHash("sha256").update(payload).digest("hex")
    )
    const response = yield* http.request({
      endpoint, method: call.method, target,
      headers: [...headers, ["content-length", String(payload.length)]],
      body: call.body
    })
    if (response.status >= 300) return yield* yield* refusal(call, response)
    return response
  })

/** `standing`: headers of every request. */
export const makeClient = Effect.fnUntraced(function* (connection: Connection, standing: Headers = []) {
  const http = yield* HttpClient
  const call = makeCall(http, connection.s3, connection.keys, standing)
  const client: S3Client = {
    call,
    xml: (request) => Effect.scoped(Effect.flatMap(call(request), (response) =>
      Effect.flatMap(readAll(response.body, 64 * xmlBodyBytesMax), (bytes) => {
        const parsed = parseXml(bytes)
        // A long operation answers 200 first and may fail after: the body then is an Error.
        return parsed["Error"] === undefined ? Effect.succeed(parsed) : Effect.fail(new ServerRefused({
          status: 200, code: "InternalError", detail: "the server failed after it had begun to answer", what: request.bucket
        }))
      }))),
    head: (request) => Effect.scoped(Effect.flatMap(call(request), (response) =>
      Effect.as(readAll(response.body, xmlBodyBytesMax), response.headers)))
  }
  return client
})
