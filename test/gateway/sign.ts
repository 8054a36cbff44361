/**
 * sign: a SigV4 client for tests, written from AWS's documentation and sharing no line with the gateway, so that one
 * mistake cannot hide in both. It sits between a test's request and the HttpRequest that the handler takes.
 */
import { createHash, createHmac } from "node:crypto"
import { Effect } from "effect"
import type { HttpRequest } from "../../src/ports/HttpListener.ts"

export const accessKey = "AKIAIOSFODNN7EXAMPLE"
export const secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
export const host = "s3.test:9000"

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex")
const mac = (key: string | Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text, "latin1").digest()

export const keyFor = (day: string, region = "us-east-1", secret = secretKey): Buffer =>
  mac(mac(mac(mac(`AWS4${secret}`, day), region), "s3"), "aws4_request")

export const encode = (text: string): string =>
  [...Buffer.from(text, "utf8")].map((byte) => {
    const character = String.fromCharCode(byte)
    return /[A-Za-z0-9\-._~]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  }).join("")

export const amzDate = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "")

export interface Ask {
  readonly method?: string
  readonly bucket?: string
  readonly key?: string
  /** Names and raw values; a value undefined has no "=". */
  readonly query?: ReadonlyArray<readonly [string, string | undefined]>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  /** Overrides for tests of what goes wrong. */
  readonly payloadHash?: string
  readonly nowMs?: number
  readonly signMs?: number
  readonly secret?: string
  readonly access?: string
  readonly region?: string
  readonly pieces?: ReadonlyArray<Uint8Array>
  readonly sizeBytes?: number | undefined
  readonly unsignedHeaders?: Readonly<Record<string, string>>
  readonly host?: string
  readonly presign?: number
  readonly anonymous?: boolean
}

export const pathOf = ({ bucket, key }: Ask): string =>
  `/${bucket ?? ""}${key === undefined ? "" : `/${key.split("/").map(encode).join("/")}`}`

const canonicalOf = (method: string, path: string, query: string, headers: ReadonlyArray<readonly [string, string]>, payload: string): string => {
  const sorted = headers.map(([name, value]) => [name.toLowerCase(), value.trim().replace(/\s+/g, " ")] as const).sort((a, b) => a[0] < b[0] ? -1 : 1)
  return [method, path, query, ...sorted.map(([name, value]) => `${name}:${value}`), "", sorted.map(([name]) => name).join(";"), payload].join("\n")
}

const sortedQuery = (pairs: ReadonlyArray<readonly [string, string | undefined]>): string =>
  pairs.map(([name, value]) => [encode(name), encode(value ?? "")] as const)
    .sort(([a, x], [b, y]) => Buffer.compare(Buffer.from(`${a}\0${x}`), Buffer.from(`${b}\0${y}`)))
    .map((pair) => pair.join("=")).join("&")

export interface SignedAsk {
  readonly request: HttpRequest
  readonly seed: string
  readonly scope: string
  readonly date: string
}

/** A body of these pieces, announcing `sizeBytes`; others may run between them. */
export const bodyOf = (pieces: ReadonlyArray<Uint8Array>, sizeBytes: number | undefined): HttpRequest["body"] => {
  const queue = pieces.filter((piece) => piece.length > 0)
  return { sizeBytes, next: Effect.andThen(Effect.yieldNow, Effect.sync(() => queue.shift()?.slice())) }
}

export const sign = (ask: Ask, path = pathOf(ask)): SignedAsk => {
  const method = ask.method ?? "GET"
  const date = amzDate(ask.signMs ?? ask.nowMs ?? 0)
  const scope = `${date.slice(0, 8)}/${ask.region ?? "us-east-1"}/s3/aws4_request`
  const bytes = typeof ask.body === "string" ? Buffer.from(ask.body) : ask.body ?? new Uint8Array(0)
  const payload = ask.payloadHash ?? (ask.presign === undefined ? sha256(bytes) : "UNSIGNED-PAYLOAD")
  const pairs = ask.query ?? []
  const key = keyFor(date.slice(0, 8), ask.region, ask.secret)
  const given = Object.entries(ask.headers ?? {})
  const plain = pairs.map(([name, value]) => value === undefined ? encode(name) : `${encode(name)}=${encode(value)}`).join("&")
  const body = bodyOf(ask.pieces ?? [bytes], "sizeBytes" in ask ? ask.sizeBytes : bytes.length)
  const make = (target: string, headers: ReadonlyArray<readonly [string, string]>): HttpRequest => ({
    method, target, secure: false, remote: "test", body,
    headers: [...headers, ...(body.sizeBytes === undefined ? [] : [["content-length", String(body.sizeBytes)] as const]), ...Object.entries(ask.unsignedHeaders ?? {})].map(([name, value]) => [name.toLowerCase(), value] as const)
  })
  const finishWith = (canonical: string): string => mac(key, ["AWS4-HMAC-SHA256", date, scope, sha256(Buffer.from(canonical, "latin1"))].join("\n")).toString("hex")
  if (ask.anonymous === true) return { request: make(path + (plain === "" ? "" : `?${plain}`), [["host", ask.host ?? host], ...given]), seed: "", scope, date }
  if (ask.presign !== undefined) {
    const headers = [["host", ask.host ?? host] as const, ...given]
    const all = [...pairs, ["X-Amz-Algorithm", "AWS4-HMAC-SHA256"], ["X-Amz-Credential", `${ask.access ?? accessKey}/${scope}`], ["X-Amz-Date", date],
      ["X-Amz-Expires", String(ask.presign)], ["X-Amz-SignedHeaders", headers.map(([name]) => name.toLowerCase()).sort().join(";")]] as const
    const seed = finishWith(canonicalOf(method, path, sortedQuery(all), headers, payload))
    return { request: make(`${path}?${sortedQuery(all)}&X-Amz-Signature=${seed}`, headers), seed, scope, date }
  }
  const headers = [["host", ask.host ?? host] as const, ["x-amz-date", date] as const, ["x-amz-content-sha256", payload] as const, ...given]
  const seed = finishWith(canonicalOf(method, path, sortedQuery(pairs), headers, payload))
  const names = headers.map(([name]) => name.toLowerCase()).sort().join(";")
  const authorization = `AWS4-HMAC-SHA256 Credential=${ask.access ?? accessKey}/${scope}, SignedHeaders=${names}, Signature=${seed}`
  return { request: make(path + (plain === "" ? "" : `?${plain}`), [...headers, ["authorization", authorization]]), seed, scope, date }
}

const emptyHash = sha256("")

/** The aws-chunked form of `data`, signed from `seed` or (seed undefined) unsigned. */
export const chunked = (
  data: Uint8Array, sizes: ReadonlyArray<number>, signing: { readonly seed: string; readonly scope: string; readonly date: string } | undefined,
  trailers?: ReadonlyArray<readonly [string, string]>
): Uint8Array => {
  const parts: Array<Uint8Array> = []
  let previous = signing?.seed ?? ""
  const key = signing === undefined ? undefined : keyFor(signing.date.slice(0, 8))
  const header = (bytes: Uint8Array): string => {
    if (signing === undefined || key === undefined) return `${bytes.length.toString(16)}\r\n`
    previous = mac(key, ["AWS4-HMAC-SHA256-PAYLOAD", signing.date, signing.scope, previous, emptyHash, sha256(bytes)].join("\n")).toString("hex")
    return `${bytes.length.toString(16)};chunk-signature=${previous}\r\n`
  }
  let at = 0
  for (const size of sizes) {
    const piece = data.subarray(at, at + size)
    at += size
    parts.push(Buffer.from(header(piece)), piece, Buffer.from("\r\n"))
  }
  parts.push(Buffer.from(header(new Uint8Array(0))))
  for (const [name, value] of trailers ?? []) parts.push(Buffer.from(`${name}:${value}\r\n`))
  if (signing !== undefined && key !== undefined && trailers !== undefined) {
    const text = trailers.map(([name, value]) => `${name}:${value}\n`).join("")
    const signature = mac(key, ["AWS4-HMAC-SHA256-TRAILER", signing.date, signing.scope, previous, sha256(text)].join("\n")).toString("hex")
    parts.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`))
  }
  parts.push(Buffer.from("\r\n"))
  return Buffer.concat(parts)
}
