/**
 * Payload: the body of a request, decoded, measured and verified while it is pulled. It sits between the listener's
 * raw bytes and `put`: the end of the body is only reached where length, signatures and digests all hold.
 */
import { Effect } from "effect"
import { concatBytes, fromHex, toBase64, toHex } from "../../base/bytes.ts"
import { computeHereBytesMax, xmlBodyBytesMax } from "../../base/limits.ts"
import { type Body, BodyError } from "../../ports/Body.ts"
import type { BodySummary, PutBody } from "../../put.ts"
import type { Payload as PayloadKind } from "./Authentication.ts"
import { ChunkedDecoder, type Fault } from "./AwsChunked.ts"
import { checkValue, type ChecksumClaim, claimOf, contentMd5Of, type Crc64, type Hasher, headerOf, makeHasher, nodeHasher } from "./Checksums.ts"
import { S3Error, s3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"
import type { ChecksumAlgorithm } from "../../namespace/Model.ts"

export interface Payload extends Required<PutBody> {
  /** Decoded bytes that the client announced. */
  readonly sizeBytes: number
}

export interface PayloadOptions {
  readonly crc64: Crc64
  /** Whether the ETag of a body of this size is its MD5, where the client did not ask for it. */
  readonly wantsMd5: (sizeBytes: number) => boolean
  /** Who reads the body takes the MD5 of one that is not small, and hands it to `summary`. */
  readonly md5Later: boolean
  /** Computed and kept where the client claims none. */
  readonly algorithm?: ChecksumAlgorithm
}

/** All that must hold at the end, checked once. */
interface Checks {
  readonly kind: PayloadKind
  readonly sizeBytes: number
  readonly contentMd5: string | undefined
  readonly claim: ChecksumClaim | undefined
  readonly md5: Hasher | undefined
  /** Whoever reads the body takes it. */
  readonly md5Later: boolean
  readonly sha256: Hasher | undefined
  readonly checksum: Hasher | undefined
  readonly decoder: ChunkedDecoder | undefined
}

const fault = (reason: Fault["reason"], detail: string): Fault => ({ reason, detail })

/** x-amz-decoded-content-length or Content-Length, whichever counts the bytes of the object. */
const announced = (request: S3Request, kind: PayloadKind): number | S3Error => {
  const header = request.headers.get("x-amz-decoded-content-length")
  if (kind._tag !== "Chunked") return request.body.sizeBytes ?? s3Error("MissingContentLength")
  if (header === undefined) return s3Error("MissingContentLength", "You must provide the x-amz-decoded-content-length header.")
  const size = /^\d{1,16}$/.test(header) ? Number(header) : Number.NaN
  return Number.isSafeInteger(size) ? size : s3Error("InvalidArgument", "x-amz-decoded-content-length is not a number of bytes.")
}

const wrongMd5 = ({ contentMd5 }: Checks, md5: string | undefined): Fault | undefined => {
  const computed = md5 === undefined ? undefined : toBase64(fromHex(md5))
  return contentMd5 === undefined || computed === undefined || computed === contentMd5
    ? undefined
    : fault("BadDigest", `The Content-MD5 you specified did not match what we received: claimed ${contentMd5}, computed ${computed}.`)
}

/** Finds the first thing that does not hold, and fills the summary. */
const conclude = (checks: Checks, received: number, set: (summary: BodySummary) => void): Fault | undefined => {
  const unended = checks.decoder?.end()
  if (unended !== undefined) return unended
  if (received < checks.sizeBytes) return fault("TooShort", `${received} of ${checks.sizeBytes} bytes arrived`)
  const sha256 = checks.sha256?.digest()
  if (checks.kind._tag === "Hashed" && sha256 !== undefined && toHex(sha256) !== checks.kind.sha256) {
    return fault("ContentHashMismatch", `claimed ${checks.kind.sha256}, computed ${toHex(sha256)}`)
  }
  const md5 = checks.md5 === undefined ? undefined : toHex(checks.md5.digest())
  const wrong = wrongMd5(checks, md5)
  if (wrong !== undefined) return wrong
  const { claim } = checks
  if (claim === undefined) {
    set({ md5, checksum: undefined })
    return undefined
  }
  const shared = claim.algorithm === "SHA256" ? sha256 : undefined
  const computed = toBase64(shared ?? checks.checksum?.digest() ?? new Uint8Array(0))
  const value = claim.trailer ? checks.decoder?.trailers.get(headerOf(claim.algorithm)) : claim.value
  if (claim.trailer && (value === undefined || checkValue(claim.algorithm, value) !== undefined)) {
    return fault("Malformed", `the trailer ${headerOf(claim.algorithm)} is missing or invalid`)
  }
  if (value !== undefined && value !== computed) {
    return fault("BadChecksum", `The ${claim.algorithm} you specified did not match the calculated checksum: claimed ${value}, computed ${computed}.`)
  }
  set({ md5, checksum: { algorithm: claim.algorithm, value: computed, type: "FULL_OBJECT" } })
  return undefined
}

const wrapBody = (source: Body, checks: Checks): Required<PutBody> => {
  let received = 0
  let ended = false
  let failed: BodyError | undefined
  let result: BodySummary | undefined
  let queue: ReadonlyArray<Uint8Array> = []
  let queueAt = 0

  const fail = (found: Fault): Effect.Effect<never, BodyError> => {
    failed = new BodyError(found)
    return Effect.fail(failed)
  }
  const handOut = (bytes: Uint8Array): Effect.Effect<Uint8Array, BodyError> => {
    received += bytes.length
    if (received > checks.sizeBytes) return fail(fault("TooLong", `more than the announced ${checks.sizeBytes} bytes arrived`))
    checks.md5?.update(bytes)
    checks.sha256?.update(bytes)
    checks.checksum?.update(bytes)
    return Effect.succeed(bytes)
  }
  const onBytes = (bytes: Uint8Array | undefined): Effect.Effect<Uint8Array | undefined, BodyError> => {
    if (bytes === undefined) {
      ended = true
      const found = conclude(checks, received, (summary) => {
        result = summary
      })
      return found === undefined ? Effect.succeed(undefined) : fail(found)
    }
    if (checks.decoder === undefined) return handOut(bytes)
    const slices = checks.decoder.feed(bytes)
    if (!Array.isArray(slices)) return fail(slices as Fault)
    queue = slices
    queueAt = 0
    return next
  }
  const pull = (from: Body["next"]): Body["next"] => Effect.suspend(() => {
    if (failed !== undefined) return Effect.fail(failed)
    const queued = queue[queueAt]
    if (queued !== undefined) {
      queueAt += 1
      return handOut(queued)
    }
    return ended ? Effect.succeed(undefined) : Effect.flatMap(from, onBytes)
  })
  const next = pull(source.next)
  const { nextInto } = source
  // What is decoded moves anyway.
  const straight = nextInto === undefined || checks.decoder !== undefined ? {}
    : { nextInto: (memory: Uint8Array): Body["next"] => pull(nextInto(memory)) }
  const summary = (md5: string | undefined): BodySummary | BodyError => {
    const known = result ?? { md5: undefined, checksum: undefined }
    if (!checks.md5Later) return known
    const wrong = wrongMd5(checks, md5)
    return wrong === undefined ? { ...known, md5 } : new BodyError(wrong)
  }
  return { body: { sizeBytes: checks.sizeBytes, next, ...straight }, wantsMd5: checks.md5Later, summary }
}

/** The verified body of a request. S3Error: what its headers say of it is contradictory, malformed or missing. */
export const openPayload = (request: S3Request, kind: PayloadKind, options: PayloadOptions): Payload | S3Error => {
  const sizeBytes = announced(request, kind)
  if (sizeBytes instanceof S3Error) return sizeBytes
  const contentMd5 = contentMd5Of(request.headers)
  if (contentMd5 instanceof S3Error) return contentMd5
  const claimed = claimOf(request.headers)
  if (claimed instanceof S3Error) return claimed
  const claim = claimed ?? (options.algorithm === undefined ? undefined : { algorithm: options.algorithm, value: undefined, trailer: false })
  if (claim?.trailer === true && (kind._tag !== "Chunked" || !kind.trailer)) {
    return s3Error("MalformedTrailerError", "x-amz-trailer needs a streaming payload with trailers.")
  }
  const hashed = kind._tag === "Hashed"
  const wantsMd5 = contentMd5 !== undefined || options.wantsMd5(sizeBytes)
  const md5Later = wantsMd5 && options.md5Later && sizeBytes > computeHereBytesMax
  const checks: Checks = {
    kind,
    sizeBytes,
    contentMd5,
    claim,
    md5: wantsMd5 && !md5Later ? nodeHasher("md5") : undefined,
    md5Later,
    sha256: hashed ? nodeHasher("sha256") : undefined,
    checksum: claim === undefined || (hashed && claim.algorithm === "SHA256") ? undefined : makeHasher(claim.algorithm, options.crc64),
    decoder: kind._tag === "Chunked" ? new ChunkedDecoder(kind.signing, kind.trailer) : undefined
  }
  return { ...wrapBody(request.body, checks), sizeBytes }
}

/** A whole small body (XML), verified; the S3Error MalformedXML where it is larger than any of S3's documents. */
export const readWhole = (payload: Payload): Effect.Effect<Uint8Array, S3Error | BodyError> =>
  Effect.suspend((): Effect.Effect<Uint8Array, S3Error | BodyError> => {
    if (payload.sizeBytes > xmlBodyBytesMax) return Effect.fail(s3Error("MalformedXML", `The document is larger than ${xmlBodyBytesMax} bytes.`))
    const parts: Array<Uint8Array> = []
    const pull: Effect.Effect<Uint8Array, BodyError> = Effect.flatMap(payload.body.next, (bytes) => {
      if (bytes === undefined) return Effect.succeed(parts.length === 1 && parts[0] !== undefined ? parts[0] : concatBytes(parts))
      parts.push(bytes)
      return pull
    })
    return pull
  })
