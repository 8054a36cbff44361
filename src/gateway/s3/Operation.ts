/**
 * Operation: what an S3 operation is given (Rooms, Call) and what it answers (Reply). It sits between the handler,
 * which authenticates and routes, and the files that carry operations out.
 */
import { Effect, type Scope } from "effect"
import { type AllowancesService, shareOf } from "../../allowance.ts"
import { readsOfNowMax, xmlBodyBytesMax } from "../../base/limits.ts"
import type { Get } from "../../get.ts"
import type { AsOf, BucketInfo, ChecksumAlgorithm } from "../../namespace/Model.ts"
import { AsOfRefused, type Moment, type NamespaceService, type Refused, type Unavailable } from "../../namespace/Namespace.ts"
import type { Body } from "../../ports/Body.ts"
import type { EntropyService } from "../../ports/Entropy.ts"
import type { Put } from "../../put.ts"
import type { Identity } from "./Authentication.ts"
import type { Crc64 } from "./Checksums.ts"
import { openPayload, type Payload, readWhole } from "./Payload.ts"
import { invalidArgument, type OperationError, S3Error, s3Error } from "./S3Error.ts"
import type { S3Request } from "./S3Request.ts"
import { parseXml, type XmlNode } from "./XmlIn.ts"

export type Header = readonly [name: string, value: string]

export interface Rooms {
  readonly namespace: NamespaceService
  readonly put: typeof Put.Service
  readonly get: typeof Get.Service
  readonly entropy: EntropyService
  readonly allowances: AllowancesService
  readonly crc64: Crc64
  readonly region: string
  readonly wantsMd5: (sizeBytes: number) => boolean
  readonly alwaysMd5: boolean
  /** What a write that says nothing of it gets to live; undefined: for ever. */
  readonly ttlDefaultSeconds: number | undefined
}

export interface Call {
  readonly request: S3Request
  readonly identity: Identity
  /** "" where the operation has none. */
  readonly bucket: string
  readonly key: string
  readonly asOf: AsOf | undefined
  /** What its client calls a write, the same with every attempt; where the store has other members, which keep what came of it. */
  readonly invocation?: string
}

export interface Reply {
  readonly status: number
  readonly headers: ReadonlyArray<Header>
  readonly body: Uint8Array | Body | undefined
  /** The sequence read at, or written. */
  readonly commit: number
}

/** The scope is the request's: it ends when the response is sent, or the client gone. */
export type Operation = (rooms: Rooms, call: Call) => Effect.Effect<Reply, OperationError, Scope.Scope>

/** What an operation answers where it has nothing to wait for: no fiber, no scope. Undefined: ask the operation. */
export type OperationNow = (rooms: Rooms, call: Call, nowMs: number) => Reply | undefined

export const reply = (status: number, commit: number, headers: ReadonlyArray<Header> = []): Reply => ({ status, headers, body: undefined, commit })

export const xmlReply = (commit: number, body: Uint8Array, headers: ReadonlyArray<Header> = []): Reply => ({
  status: 200,
  headers: [["content-type", "application/xml"], ["content-length", String(body.length)], ...headers],
  body,
  commit
})

/** A value, or the S3 error found in its place. */
export const orFail = <A>(value: A | S3Error): Effect.Effect<A, S3Error> =>
  value instanceof S3Error ? Effect.fail(value) : Effect.succeed(value)

/** The commit that a read sees: that of the AS OF header, or the newest. */
export const pointOf = (rooms: Rooms, call: Call): Effect.Effect<number, AsOfRefused | Unavailable> =>
  call.asOf === undefined ? Effect.succeed(rooms.namespace.head().sequence) : rooms.namespace.resolve(call.asOf)

/** The same with the point of time, at which a version must not have expired. */
export const momentOf = (rooms: Rooms, call: Call): Effect.Effect<Moment, AsOfRefused | Unavailable> => rooms.namespace.momentOf(call.asOf)

/**
 * What asks for no commit reads the newest one there is when it begins; where that was let go while it waited, as under load and with no history
 * kept, it begins anew. Nothing was changed yet by who fails so.
 */
export const ofNow = <A, E, R>(asOf: Call["asOf"], run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  asOf === undefined ? Effect.retry(run, { times: readsOfNowMax, while: (error) => error instanceof AsOfRefused && error.reason === "BeforeHorizon" }) : run

export const bucketAt = (rooms: Rooms, call: Call, at: number): Effect.Effect<BucketInfo, Refused | AsOfRefused> =>
  rooms.namespace.bucket(call.bucket, at)

/** The body of an object or a part. */
export const payloadOf = (rooms: Rooms, call: Call, options: { readonly part: boolean; readonly algorithm?: ChecksumAlgorithm }): Payload | S3Error => {
  const { identity, request } = call
  // A request without either length has no body, says HTTP; S3 wants that said.
  if (identity.payload._tag !== "Chunked" && !request.headers.has("content-length")) return s3Error("MissingContentLength")
  return openPayload(request, identity.payload, {
    crc64: rooms.crc64,
    wantsMd5: options.part ? () => rooms.alwaysMd5 : rooms.wantsMd5,
    md5Later: true,
    ...(options.algorithm === undefined ? {} : { algorithm: options.algorithm })
  })
}

/** The verified bytes of a small body, in memory that the request holds to its end; empty where the client sent none. */
export const bytesOf = Effect.fnUntraced(function*(rooms: Rooms, call: Call): Effect.fn.Return<Uint8Array, OperationError, Scope.Scope> {
  const payload = yield* orFail(openPayload(call.request, call.identity.payload, { crc64: rooms.crc64, wantsMd5: () => false, md5Later: false }))
  if (payload.sizeBytes > 0 && payload.sizeBytes <= xmlBodyBytesMax) {
    yield* (yield* shareOf(rooms.allowances.smallBodies)).more(payload.sizeBytes)
  }
  return yield* readWhole(payload)
})

/** The verified XML body with one of the given roots. */
export const xmlOf = (rooms: Rooms, call: Call, ...roots: ReadonlyArray<string>): Effect.Effect<XmlNode, OperationError, Scope.Scope> =>
  Effect.flatMap(bytesOf(rooms, call), (bytes) => orFail(parseXml(bytes, ...roots)))

/** A whole number of the query in [min, max]; above max it is max, as S3 has it. InvalidArgument for anything else. */
export const numberOf = (call: Call, name: string, min: number, max: number, absent: number): number | S3Error => {
  const text = call.request.query.get(name)
  if (text === undefined || text === "") return absent
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  return Number.isInteger(value) && value >= min && value <= 2_147_483_647
    ? Math.min(value, max)
    : invalidArgument(name, text, `Provided ${name} not an integer or within integer range`)
}

const VERSION_ID = /^(null|[0-9a-f]{20})$/

/** The version that a request names; undefined: the current one. */
export const versionIdOf = (text: string | undefined): string | undefined | S3Error => {
  if (text === undefined || VERSION_ID.test(text)) return text
  return invalidArgument("versionId", text, text === "" ? "Version id cannot be the empty string" : "Invalid version id specified")
}
