/** PUT until acknowledged: gateway -> chunker -> sealer -> wal -> namespace. */
import { Context, type Effect } from "effect"
import type { BodyError, Body } from "./ports/Body.ts"
import type { ComputeError } from "./ports/Compute.ts"
import type { UploadId } from "./base/ids.ts"
import type { Refused, Unavailable } from "./namespace/Namespace.ts"
import type { Attributes, Checksum, CompletedPart, ObjectVersion, WriteCondition } from "./namespace/Model.ts"
import type { ReadError } from "./get.ts"

/** What the gateway learned while the body passed; asked once, after its end. */
export interface BodySummary {
  /** Hex; becomes the ETag. Absent: the ETag has S3's multipart shape, from hashes that exist anyway. */
  readonly md5: string | undefined
  readonly checksum: Checksum | undefined
}

export interface PutRequest {
  readonly bucket: string
  readonly key: string
  readonly attributes: Attributes
  readonly body: Body
  readonly summary: () => BodySummary
  readonly condition?: WriteCondition
}

export interface PartRequest {
  readonly bucket: string
  readonly key: string
  readonly upload: UploadId
  readonly partNumber: number
  readonly body: Body
  readonly summary: () => BodySummary
}

export interface CopyRequest {
  readonly source: ObjectVersion
  readonly bucket: string
  readonly key: string
  readonly attributes: Attributes
  readonly condition?: WriteCondition
}

export interface CompleteRequest {
  readonly bucket: string
  readonly key: string
  readonly upload: UploadId
  /** Ascending part numbers. */
  readonly parts: ReadonlyArray<CompletedPart & { readonly checksum?: string }>
  /** Whole-object checksum that the client claims; the composite or combined one is computed and compared. */
  readonly checksum?: Checksum
  readonly condition?: WriteCondition
}

export interface Stored {
  readonly sequence: number
  readonly versionId: string | undefined
  readonly etag: string
  readonly checksum?: Checksum
  /** Milliseconds of the commit's time. */
  readonly modifiedMs: number
}

export type PutError = Refused | Unavailable | BodyError | ComputeError

export class Put extends Context.Service<Put, {
  readonly object: (request: PutRequest) => Effect.Effect<Stored, PutError>
  readonly part: (request: PartRequest) => Effect.Effect<Stored, PutError>
  /** A new version over the same chunks: no byte is read or written. */
  readonly copy: (request: CopyRequest) => Effect.Effect<Stored, PutError | ReadError>
  readonly complete: (request: CompleteRequest) => Effect.Effect<Stored, PutError | ReadError>
}>()("ouroborosdb/Put") {}
