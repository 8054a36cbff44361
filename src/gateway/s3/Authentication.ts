/**
 * Authentication: who signed a request, and what they said of its body. It sits between the request and every
 * operation; it answers an identity or the S3 error that says why there is none.
 */
import { clockSkewMsMax, presignedSecondsMax, signingKeysMax } from "../../base/limits.ts"
import { probe } from "../../base/probes.ts"
import { formatIso, parseAmzDate, parseHttpDate, formatAmzDate } from "./HttpDate.ts"
import { S3Error, s3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"
import { algorithm, canonicalQuery, canonicalRequest, equalSignatures, signerOf, signingKey, stringToSign, unsignedPayload, uriEncode } from "./SigV4.ts"

/** What the signatures of a streaming upload's chunks are chained from. */
export interface ChunkSigning {
  readonly key: Uint8Array
  readonly amzDate: string
  readonly scope: string
  readonly seed: string
}

/** What x-amz-content-sha256 says of the body. */
export type Payload =
  | { readonly _tag: "Unsigned" }
  | { readonly _tag: "Hashed"; readonly sha256: string }
  | { readonly _tag: "Chunked"; readonly signing: ChunkSigning | undefined; readonly trailer: boolean }

export interface Identity {
  readonly accessKey: string
  readonly principal: string
  readonly presigned: boolean
  readonly payload: Payload
}

export type Credentials = (accessKey: string) => { readonly secretKey: string; readonly principal: string } | undefined

interface DerivedKey {
  readonly secret: string
  readonly key: Uint8Array
  /** Hex signature of a text under the key. */
  readonly sign: (text: string) => string
}

/** Derived keys by access key, date and region: deriving one costs four HMACs. */
export interface Authenticator {
  readonly credentials: Credentials
  readonly keys: Map<string, DerivedKey>
  /** What Authorization headers said before their signatures, of requests that were authentic: a client says it again and again. */
  readonly scopes: Map<string, SignedScope>
}

type SignedScope = Pick<Claim, "accessKey" | "date" | "region" | "scope" | "signedHeaders">

export const makeAuthenticator = (credentials: Credentials): Authenticator => ({ credentials, keys: new Map(), scopes: new Map() })

interface Claim {
  readonly accessKey: string
  readonly date: string
  readonly region: string
  readonly scope: string
  readonly signedHeaders: ReadonlyArray<string>
  readonly signature: string
  readonly amzDate: string
  readonly signedMs: number
  readonly payloadHash: string
  readonly presigned: boolean
}

const SIGNATURE = /^[0-9a-f]{64}$/
const unsupported = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."

/** `KEY/DATE/REGION/s3/aws4_request`; access keys may hold slashes. */
const readScope = (credential: string): Pick<Claim, "accessKey" | "date" | "region" | "scope"> | undefined => {
  const parts = credential.split("/")
  const [date, region, service, end] = parts.slice(-4)
  const accessKey = parts.slice(0, -4).join("/")
  if (accessKey === "" || date === undefined || !/^\d{8}$/.test(date) || region === undefined || service !== "s3" || end !== "aws4_request") {
    return undefined
  }
  return { accessKey, date, region, scope: `${date}/${region}/s3/aws4_request` }
}

const signatureDigits = 64

/** All of an Authorization header but the digits of a signature at its end. */
const beforeSignature = (authorization: string): string => authorization.slice(0, -signatureDigits)

/** Authentic requests only: nobody else may fill the memory. */
const rememberScope = ({ scopes }: Authenticator, authorization: string, claim: Claim): void => {
  const before = beforeSignature(authorization)
  if (!before.endsWith("Signature=") || before.length + claim.signature.length !== authorization.length || scopes.has(before)) return
  if (scopes.size >= signingKeysMax) scopes.clear()
  const { accessKey, date, region, scope, signedHeaders } = claim
  scopes.set(before, { accessKey, date, region, scope, signedHeaders })
}

const readAuthorization = (authorization: string): SignedScope & { readonly signature: string } | S3Error => {
  if (!authorization.startsWith(`${algorithm} `)) return s3Error("InvalidRequest", unsupported)
  const fields = new Map<string, string>()
  for (const part of authorization.slice(algorithm.length + 1).split(",")) {
    const at = part.indexOf("=")
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim())
  }
  const scope = readScope(fields.get("Credential") ?? "")
  const signed = fields.get("SignedHeaders")
  const value = fields.get("Signature")
  if (scope === undefined) {
    return s3Error("AuthorizationHeaderMalformed",
      "The authorization header is malformed; the Credential must be \"<access key>/YYYYMMDD/<region>/s3/aws4_request\".")
  }
  if (signed === undefined || value === undefined || !SIGNATURE.test(value)) {
    return s3Error("AuthorizationHeaderMalformed", "The authorization header is malformed; it must have Credential, SignedHeaders and Signature.")
  }
  return { ...scope, signedHeaders: signed.split(";"), signature: value }
}

const claimOfHeader = (authenticator: Authenticator, request: S3Request, authorization: string): Claim | S3Error => {
  const signature = authorization.slice(-signatureDigits)
  const known = SIGNATURE.test(signature) ? authenticator.scopes.get(beforeSignature(authorization)) : undefined
  const said = known === undefined ? readAuthorization(authorization) : { ...known, signature }
  if (said instanceof S3Error) return said
  const dateHeader = request.headers.get("x-amz-date")
  const amzMs = dateHeader === undefined ? undefined : parseAmzDate(dateHeader)
  const signedMs = amzMs ?? parseHttpDate(dateHeader ?? request.headers.get("date") ?? "")
  if (signedMs === undefined) return s3Error("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header")
  const payloadHash = request.headers.get("x-amz-content-sha256")
  if (payloadHash === undefined) return s3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
  return {
    ...said, signedMs,
    amzDate: amzMs === undefined || dateHeader === undefined ? formatAmzDate(signedMs) : dateHeader, payloadHash, presigned: false
  }
}

const queryError = (detail: string): S3Error => s3Error("AuthorizationQueryParametersError", detail)

const claimOfQuery = (request: S3Request, nowMs: number): Claim | S3Error => {
  const query = request.query
  if (query.get("X-Amz-Algorithm") !== algorithm) return queryError("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\".")
  const scope = readScope(query.get("X-Amz-Credential") ?? "")
  if (scope === undefined) {
    return queryError("Error parsing the X-Amz-Credential parameter; it must be \"<access key>/YYYYMMDD/<region>/s3/aws4_request\".")
  }
  const amzDate = query.get("X-Amz-Date") ?? ""
  const signedMs = parseAmzDate(amzDate)
  if (signedMs === undefined) return queryError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\".")
  const expires = query.get("X-Amz-Expires") ?? ""
  if (!/^\d{1,10}$/.test(expires)) return queryError("X-Amz-Expires should be a number.")
  if (Number(expires) > presignedSecondsMax) return queryError("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be at most 604800 seconds.")
  const signed = query.get("X-Amz-SignedHeaders")
  const value = query.get("X-Amz-Signature") ?? ""
  if (signed === undefined || !SIGNATURE.test(value)) {
    return queryError("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
  }
  const expiresMs = signedMs + Number(expires) * 1000
  if (nowMs > expiresMs) {
    return new S3Error({
      code: "AccessDenied", detail: "Request has expired",
      extra: [["X-Amz-Expires", expires], ["Expires", formatIso(expiresMs)], ["ServerTime", formatIso(nowMs)]]
    })
  }
  if (signedMs > nowMs + clockSkewMsMax) return s3Error("AccessDenied", "Request is not yet valid")
  const payloadHash = query.get("X-Amz-Content-Sha256") ?? request.headers.get("x-amz-content-sha256") ?? unsignedPayload
  return { ...scope, signedHeaders: signed.split(";"), signature: value, amzDate, signedMs, payloadHash, presigned: true }
}

/** Bound otherwise: the date is in the string to sign, the hash in the canonical request. */
const BOUND_OTHERWISE = new Set(["x-amz-date", "x-amz-content-sha256"])

/** What changes the meaning of a request must be signed, or the holder of a presigned URL could add to it. */
const unsignedHeaders = (request: S3Request, signed: ReadonlyArray<string>): ReadonlyArray<string> => {
  const missing: Array<string> = signed.includes("host") ? [] : ["host"]
  for (const name of request.headers.keys()) {
    const matters = name.startsWith("x-amz-") || name.startsWith("x-ouroboros-")
    if (matters && !BOUND_OTHERWISE.has(name) && !signed.includes(name)) missing.push(name)
  }
  return missing
}

const derivedKey = (authenticator: Authenticator, claim: Claim, secret: string): DerivedKey => {
  const name = `${claim.accessKey}/${claim.scope}`
  const known = authenticator.keys.get(name)
  if (known !== undefined && known.secret === secret) return known
  const key = signingKey(secret, claim.date, claim.region, "s3")
  if (authenticator.keys.size >= signingKeysMax) authenticator.keys.clear()
  const derived = { secret, key, sign: signerOf(key) }
  authenticator.keys.set(name, derived)
  return derived
}

const mismatch = (claim: Claim, text: string, canonical: string): S3Error =>
  new S3Error({
    code: "SignatureDoesNotMatch",
    extra: [["AWSAccessKeyId", claim.accessKey], ["StringToSign", text], ["SignatureProvided", claim.signature], ["CanonicalRequest", canonical]]
  })

/** Undefined where the signature holds. A path signed exactly as sent is accepted beside the canonical encoding of it. */
const verify = (request: S3Request, claim: Claim, { sign }: DerivedKey): S3Error | undefined => {
  const query = canonicalQuery(request.pairs, claim.presigned ? "X-Amz-Signature" : undefined)
  const at = (path: string): string =>
    canonicalRequest({ method: request.method, path, query, headers: request.headers, signedHeaders: claim.signedHeaders, payloadHash: claim.payloadHash })
  const path = uriEncode(request.path, true)
  const canonical = at(path)
  const text = stringToSign(claim.amzDate, claim.scope, canonical)
  if (equalSignatures(sign(text), claim.signature)) return undefined
  if (request.rawPath !== path && equalSignatures(sign(stringToSign(claim.amzDate, claim.scope, at(request.rawPath))), claim.signature)) {
    return undefined
  }
  return mismatch(claim, text, canonical)
}

const payloadOf = (claim: Claim, key: Uint8Array): Payload | S3Error => {
  const signing = { key, amzDate: claim.amzDate, scope: claim.scope, seed: claim.signature }
  switch (claim.payloadHash) {
    case unsignedPayload:
      return { _tag: "Unsigned" }
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD":
      return { _tag: "Chunked", signing, trailer: false }
    case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
      return { _tag: "Chunked", signing, trailer: true }
    case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
      return { _tag: "Chunked", signing: undefined, trailer: true }
    default:
      if (SIGNATURE.test(claim.payloadHash.toLowerCase())) return { _tag: "Hashed", sha256: claim.payloadHash.toLowerCase() }
      return s3Error("InvalidArgument",
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
  }
}

const readClaim = (authenticator: Authenticator, request: S3Request, nowMs: number): Claim | S3Error => {
  const authorization = request.headers.get("authorization")
  const presigned = request.query.has("X-Amz-Signature") || request.query.has("X-Amz-Algorithm")
  if (authorization !== undefined && presigned) {
    return s3Error("InvalidArgument", "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter or the Authorization header should be specified")
  }
  if (authorization !== undefined) return claimOfHeader(authenticator, request, authorization)
  if (presigned) return claimOfQuery(request, nowMs)
  if (request.query.has("AWSAccessKeyId") && request.query.has("Signature")) return s3Error("InvalidRequest", unsupported)
  return s3Error("AccessDenied", "Anonymous access is not allowed: sign the request with AWS4-HMAC-SHA256.")
}

/** The identity behind a request whose signature holds at `nowMs`, or the error that a client gets. */
export const authenticate = (authenticator: Authenticator, request: S3Request, nowMs: number): Identity | S3Error => {
  const claim = readClaim(authenticator, request, nowMs)
  if (claim instanceof S3Error) return claim
  if (!claim.presigned && Math.abs(nowMs - claim.signedMs) > clockSkewMsMax) {
    probe("gateway.clockTooFarOff")
    return new S3Error({
      code: "RequestTimeTooSkewed",
      extra: [["RequestTime", claim.amzDate], ["ServerTime", formatIso(nowMs)], ["MaxAllowedSkewMilliseconds", String(clockSkewMsMax)]]
    })
  }
  if (claim.date !== claim.amzDate.slice(0, 8)) {
    const detail = `Invalid credential date ${claim.date}: it must be the day of the request, ${claim.amzDate.slice(0, 8)}.`
    return claim.presigned ? queryError(detail) : s3Error("AuthorizationHeaderMalformed", detail)
  }
  const missing = unsignedHeaders(request, claim.signedHeaders)
  if (missing.length > 0) {
    return new S3Error({ code: "AccessDenied", detail: "There were headers present in the request which were not signed", extra: [["HeadersNotSigned", missing.join(", ")]] })
  }
  const credential = authenticator.credentials(claim.accessKey)
  if (credential === undefined) return new S3Error({ code: "InvalidAccessKeyId", extra: [["AWSAccessKeyId", claim.accessKey]] })
  const derived = derivedKey(authenticator, claim, credential.secretKey)
  const failed = verify(request, claim, derived)
  if (failed !== undefined) return failed
  const payload = payloadOf(claim, derived.key)
  if (payload instanceof S3Error) return payload
  const authorization = request.headers.get("authorization")
  if (authorization !== undefined) rememberScope(authenticator, authorization, claim)
  return { accessKey: claim.accessKey, principal: credential.principal, presigned: claim.presigned, payload }
}
