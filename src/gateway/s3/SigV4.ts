/**
 * SigV4: AWS Signature Version 4: canonical requests, keys and signatures, for the server that verifies and the client
 * that signs. Source: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
 */
import { createHmac, hash, timingSafeEqual } from "node:crypto"
import { assert } from "../../base/assert.ts"
import { formatAmzDate } from "./HttpDate.ts"
import { parseQuery, percentDecode, type QueryPairs } from "./S3Request.ts"

export const algorithm = "AWS4-HMAC-SHA256"
export const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
export const unsignedPayload = "UNSIGNED-PAYLOAD"

/** Texts are hashed with one byte a character: header values come that way, all the rest is ASCII. */
export const sha256Hex = (text: string): string => hash("sha256", Buffer.from(text, "latin1"), "hex")

export const hmac = (key: string | Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text, "latin1").digest()

const escapeMore = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`

const plainText = /^[\w.~-]*$/
const plainPath = /^[\w.~/-]*$/

/** UTF-8 percent-encoding of everything but A-Z a-z 0-9 - . _ ~; "/" stays where asked. */
export const uriEncode = (text: string, keepSlash = false): string => {
  if ((keepSlash ? plainPath : plainText).test(text)) return text
  const encoded = encodeURIComponent(text).replace(/[!'()*]/g, escapeMore)
  return keepSlash ? encoded.replaceAll("%2F", "/") : encoded
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Encoded pairs by name, then value; `without` is the signature itself in a presigned URL. */
export const canonicalQuery = (pairs: QueryPairs, without?: string): string => {
  if (pairs.length === 0) return ""
  return pairs
    .filter(([name]) => name !== without)
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join("&")
}

export interface Canonical {
  readonly method: string
  /** Encoded once, never normalised. */
  readonly path: string
  readonly query: string
  readonly headers: ReadonlyMap<string, string>
  /** Lower case, sorted. */
  readonly signedHeaders: ReadonlyArray<string>
  readonly payloadHash: string
}

export const canonicalRequest = (canonical: Canonical): string => {
  let headers = ""
  for (const name of canonical.signedHeaders) {
    const value = (canonical.headers.get(name) ?? "").trim()
    headers += `${name}:${value.includes("  ") ? value.replace(/ {2,}/g, " ") : value}\n`
  }
  return `${canonical.method}\n${canonical.path}\n${canonical.query}\n${headers}\n${canonical.signedHeaders.join(";")}\n${canonical.payloadHash}`
}

/** `scope` is DATE/REGION/SERVICE/aws4_request. */
export const stringToSign = (amzDate: string, scope: string, canonical: string): string =>
  `${algorithm}\n${amzDate}\n${scope}\n${sha256Hex(canonical)}`

export const signingKey = (secret: string, date: string, region: string, service: string): Buffer =>
  hmac(hmac(hmac(hmac(Buffer.from(`AWS4${secret}`, "utf8"), date), region), service), "aws4_request")

export const signature = (key: Uint8Array, text: string): string => hmac(key, text).toString("hex")

const blockBytes = 64

/**
 * `signature` for a key that signs often. HMAC (RFC 2104) by two one-shot hashes: Node's streaming Hmac makes a native
 * object each time, which costs more than the hashing.
 */
export const signerOf = (key: Uint8Array): ((text: string) => string) => {
  assert(key.length <= blockBytes, `a key of at most ${blockBytes} bytes`)
  const inner = Buffer.alloc(blockBytes)
  const outer = Buffer.alloc(blockBytes + 32)
  for (let index = 0; index < blockBytes; index += 1) {
    inner[index] = 0x36 ^ (key[index] ?? 0)
    outer[index] = 0x5c ^ (key[index] ?? 0)
  }
  return (text) => {
    const message = Buffer.allocUnsafe(blockBytes + text.length)
    inner.copy(message)
    message.write(text, blockBytes, "latin1")
    // By way of text: a buffer for each digest costs more than the hash.
    outer.write(hash("sha256", message, "hex"), blockBytes, "hex")
    return hash("sha256", outer, "hex")
  }
}

/** In a time that does not depend on where they differ. */
export const equalSignatures = (a: string, b: string): boolean =>
  a.length === b.length && timingSafeEqual(Buffer.from(a, "latin1"), Buffer.from(b, "latin1"))

/** What a client signs with. */
export interface Signer {
  readonly accessKey: string
  readonly secretKey: string
  readonly region: string
}

export interface Unsigned {
  readonly method: string
  /** Path and query, percent-encoded. */
  readonly target: string
  /** Host[:port] as the Host header will have it. */
  readonly host: string
  /** Names in lower case. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
}

const split = (target: string): { readonly path: string; readonly pairs: QueryPairs } => {
  const mark = target.indexOf("?")
  const rawPath = mark < 0 ? target : target.slice(0, mark)
  return {
    path: uriEncode(percentDecode(rawPath) ?? rawPath, true),
    pairs: (mark < 0 ? undefined : parseQuery(target.slice(mark + 1))) ?? []
  }
}

/** Derived keys are good for a day: who signs often pays for one. */
const derivedKeys = new WeakMap<Signer, { readonly date: string; readonly sign: (text: string) => string }>()

const signOf = (signer: Signer, date: string): ((text: string) => string) => {
  const known = derivedKeys.get(signer)
  if (known?.date === date) return known.sign
  const sign = signerOf(signingKey(signer.secretKey, date, signer.region, "s3"))
  derivedKeys.set(signer, { date, sign })
  return sign
}

/**
 * The headers of a signed request: those given, host, x-amz-date, x-amz-content-sha256 and authorization.
 * `payloadHash` is the hex SHA-256 of the body, or UNSIGNED-PAYLOAD.
 */
export const signRequest = (
  request: Unsigned, signer: Signer, nowMs: number, payloadHash: string
): ReadonlyArray<readonly [name: string, value: string]> => {
  const amzDate = formatAmzDate(nowMs)
  const all = [...request.headers, ["host", request.host], ["x-amz-date", amzDate], ["x-amz-content-sha256", payloadHash]] as const
  const headers = new Map(all)
  const signedHeaders = [...headers.keys()].filter((name) => name !== "authorization").sort(compare)
  const scope = `${amzDate.slice(0, 8)}/${signer.region}/s3/aws4_request`
  const { path, pairs } = split(request.target)
  const canonical = canonicalRequest({
    method: request.method, path, query: canonicalQuery(pairs), headers, signedHeaders, payloadHash
  })
  const value = signOf(signer, amzDate.slice(0, 8))(stringToSign(amzDate, scope, canonical))
  return [...all, ["authorization",
    `${algorithm} Credential=${signer.accessKey}/${scope}, SignedHeaders=${signedHeaders.join(";")}, Signature=${value}`]]
}

/** The target of a presigned URL, good for `expiresSeconds` from `nowMs`; only the host and the given headers are signed. */
export const presignTarget = (request: Unsigned, signer: Signer, nowMs: number, expiresSeconds: number): string => {
  const amzDate = formatAmzDate(nowMs)
  const headers = new Map([...request.headers, ["host", request.host]])
  const signedHeaders = [...headers.keys()].sort(compare)
  const scope = `${amzDate.slice(0, 8)}/${signer.region}/s3/aws4_request`
  const { path, pairs } = split(request.target)
  const query = canonicalQuery([
    ...pairs,
    ["X-Amz-Algorithm", algorithm],
    ["X-Amz-Credential", `${signer.accessKey}/${scope}`],
    ["X-Amz-Date", amzDate],
    ["X-Amz-Expires", String(expiresSeconds)],
    ["X-Amz-SignedHeaders", signedHeaders.join(";")]
  ])
  const canonical = canonicalRequest({ method: request.method, path, query, headers, signedHeaders, payloadHash: unsignedPayload })
  const key = signingKey(signer.secretKey, amzDate.slice(0, 8), signer.region, "s3")
  return `${path}?${query}&X-Amz-Signature=${signature(key, stringToSign(amzDate, scope, canonical))}`
}
