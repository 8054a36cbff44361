/** PUT until acknowledged: gateway -> chunker -> sealer -> wal -> namespace. */
import { Context, Effect, Fiber, Layer } from "effect"
import { Allowances, type Overloaded } from "./allowance.ts"
import { assert } from "./base/assert.ts"
import type { UploadId } from "./base/ids.ts"
import { unitsSealingMax } from "./base/limits.ts"
import { md5Start } from "./base/md5.ts"
import { millisOf } from "./base/time.ts"
import { Blocks } from "./block/BlockService.ts"
import type { ChunkerOptions } from "./chunker/ChunkerOptions.ts"
import { joinParts } from "./complete.ts"
import { contentOf, inlineContent } from "./content.ts"
import { Fetch } from "./fetch.ts"
import { Get, type GetService, type ReadError } from "./get.ts"
import { beginAhead, collect, filePlaces, finishBlocks, journal } from "./gather.ts"
import {
  beginUpload, committed, cutAndName, type Fresh, heal, ingestMeters, type IngestRooms, type IngestSizes, ingestSizes, lookUp, propose, seal, type Upload
} from "./ingest.ts"
import type { Attributes, Checksum, CompletedPart, Content, ObjectVersion, WriteCondition } from "./namespace/Model.ts"
import { type Committed, Namespace, type Refused, type Unavailable } from "./namespace/Namespace.ts"
import { Intents } from "./intents.ts"
import { finishManifest, stageGathered } from "./pages.ts"
import { Pins } from "./pins.ts"
import { type Body, BodyError } from "./ports/Body.ts"
import { Compute, type ComputeError } from "./ports/Compute.ts"
import { Entropy } from "./ports/Entropy.ts"
import { Metrics } from "./ports/Metrics.ts"
import { vaultOf } from "./sealer/SealKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"
import { type BodyMd5, md5After } from "./unitKernel.ts"
import { unitsOf } from "./units.ts"
import { makeSlots } from "./uploadSlots.ts"
import { Wal } from "./wal/WalService.ts"

/** What is known of a body at its end. */
export interface BodySummary {
  /** Hex; becomes the ETag. Absent: the ETag has S3's multipart shape, from hashes that exist anyway. */
  readonly md5: string | undefined
  readonly checksum: Checksum | undefined
}

/** A body, and what whoever made it learns and checks while it passes. */
export interface PutBody {
  readonly body: Body
  /** Has the MD5 taken where the body is cut, in the lanes. */
  readonly wantsMd5?: boolean
  /**
   * Asked once, after the end of the body and before any commit names it, with the MD5 in hex where that was wanted.
   * BodyError: the body is not what its client claimed.
   */
  readonly summary: (md5: string | undefined) => BodySummary | BodyError
}

export interface PutRequest extends PutBody {
  readonly bucket: string
  readonly key: string
  readonly attributes: Attributes
  readonly condition?: WriteCondition
  /** What makes this request the one that it is (NamespaceService.propose), once its body has an ETag. */
  readonly once?: (etag: string) => Uint8Array
}

export interface PartRequest extends PutBody {
  readonly bucket: string
  readonly key: string
  readonly upload: UploadId
  readonly partNumber: number
}

export interface CopyRequest {
  readonly source: ObjectVersion
  readonly bucket: string
  readonly key: string
  readonly attributes: Attributes
  readonly condition?: WriteCondition
  readonly once?: Uint8Array
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
  readonly once?: Uint8Array
}

export interface Stored {
  readonly sequence: number
  readonly versionId: string | undefined
  readonly etag: string
  readonly checksum?: Checksum
  /** Milliseconds of the commit's time. */
  readonly modifiedMs: number
}

export type PutError = Refused | Unavailable | BodyError | ComputeError | Overloaded

export interface PutService {
  readonly object: (request: PutRequest) => Effect.Effect<Stored, PutError>
  readonly part: (request: PartRequest) => Effect.Effect<Stored, PutError>
  /** A new version over the same chunks: no byte is read or written. */
  readonly copy: (request: CopyRequest) => Effect.Effect<Stored, PutError | ReadError>
  readonly complete: (request: CompleteRequest) => Effect.Effect<Stored, PutError | ReadError>
}

export interface PutOptions {
  readonly keys: VaultKeys
  readonly chunker: ChunkerOptions
  /** Small ones in tests. */
  readonly sizes?: Partial<IngestSizes>
}

export class Put extends Context.Service<Put, PutService>()("ouroborosdb/Put") {
  static readonly layer = (options: PutOptions): Layer.Layer<Put, never, Wal | Namespace | Blocks | Compute | Entropy | Pins | Intents | Fetch | Get | Allowances> =>
    Layer.effect(Put, Effect.gen(function*() {
      const sizes = { ...ingestSizes(options.chunker), ...options.sizes }
      const rooms: IngestRooms = {
        vault: vaultOf(options.keys), compute: yield* Compute,
        entropy: yield* Entropy, wal: yield* Wal, namespace: yield* Namespace, blocks: yield* Blocks, pins: yield* Pins, intents: yield* Intents, fetch: yield* Fetch,
        allowances: yield* Allowances, ...makeSlots(sizes), sizes, meters: ingestMeters(yield* Metrics)
      }
      const get = yield* Get
      return {
        object: Effect.fn("Put.object")((request: PutRequest) => Effect.scoped(putObject(rooms, request))),
        part: Effect.fn("Put.part")((request: PartRequest) => Effect.scoped(putPart(rooms, request))),
        copy: Effect.fn("Put.copy")((request: CopyRequest) => Effect.scoped(copy(rooms, request))),
        complete: Effect.fn("Put.complete")((request: CompleteRequest) => Effect.scoped(complete(rooms, get, request)))
      }
    }))
}

const putObject = Effect.fnUntraced(function*(rooms: IngestRooms, request: PutRequest) {
  const upload = yield* beginUpload(rooms, request.body.sizeBytes)
  const content = yield* ingest(rooms, upload, request)
  const { bucket, key, attributes, condition } = request
  const change = { _tag: "PutObject" as const, bucket, key, attributes, content, ...(condition === undefined ? {} : { condition }) }
  const answer = yield* propose(rooms, upload, change, request.once?.(content.etag))
  committed(rooms, upload)
  return storedOf(answer, content)
})

const putPart = Effect.fnUntraced(function*(rooms: IngestRooms, request: PartRequest) {
  const upload = yield* beginUpload(rooms, request.body.sizeBytes)
  const content = yield* ingest(rooms, upload, request)
  const { bucket, key, partNumber } = request
  const answer = yield* propose(rooms, upload, { _tag: "PutPart", bucket, key, upload: request.upload, partNumber, content })
  committed(rooms, upload)
  return storedOf(answer, content)
})

/**
 * From a body to content that is on the disk, or will be with the commit that names it. Units of the body are sealed
 * while the next ones are read and cut; full blocks are written while the next one gathers.
 */
const ingest = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, request: PutBody) {
  const units = unitsOf(rooms.units, request.body)
  let md5: BodyMd5 | undefined = request.wantsMd5 === true ? md5Start : undefined
  const sealing: Array<Fiber.Fiber<ReadonlyArray<Fresh>, ComputeError>> = []
  let unit = yield* units.next
  if (unit.final && unit.bytes.length <= rooms.sizes.inlineBytesMax) {
    rooms.meters.inlineBytes.add(unit.bytes.length)
    const bytes = units.taken(unit)
    return inlineContent(rooms.vault, bytes, yield* summarize(request, md5 && md5After(md5, bytes, true)))
  }
  for (;;) {
    if (!unit.final) yield* units.readAhead
    const named = yield* cutAndName(rooms, unit, md5)
    md5 = named.md5
    const fresh = lookUp(rooms, upload, named)
    units.carryOver(named.rest)
    if (unit.final && sealing.length === 0) {
      // The whole of a small body, or the end of one that is all known: nothing to overlap with.
      yield* collect(rooms, upload, yield* seal(rooms, named.bytes, fresh, filePlaces(rooms, upload, fresh)))
      break
    }
    const places = filePlaces(rooms, upload, fresh)
    upload.sealing.push(fresh.map(({ length }) => length))
    if (fresh.length > 0) yield* beginAhead(rooms, upload, (request.body.sizeBytes ?? upload.sizeBytes) - upload.sizeBytes)
    sealing.push(yield* Effect.forkChild(seal(rooms, named.bytes, fresh, places)))
    if (sealing.length >= unitsSealingMax || unit.final) yield* collectOldest(rooms, upload, sealing)
    yield* stageGathered(rooms, upload)
    if (unit.final) break
    unit = yield* units.next
  }
  const summary = yield* summarize(request, md5)
  assert(upload.sizeBytes === units.readBytes(), `all of the body is named: ${upload.sizeBytes} of ${units.readBytes()} bytes`)
  while (sealing.length > 0) yield* collectOldest(rooms, upload, sealing)
  yield* finishBlocks(rooms, upload)
  yield* stageGathered(rooms, upload)
  yield* journal(rooms, upload)
  yield* heal(rooms, upload)
  return contentOf(upload, yield* finishManifest(rooms, upload), summary)
})

const summarize = (request: PutBody, md5: BodyMd5 | undefined): Effect.Effect<BodySummary, BodyError> => {
  const summary = request.summary(md5?.digest)
  return summary instanceof BodyError ? Effect.fail(summary) : Effect.succeed(summary)
}

const collectOldest = Effect.fnUntraced(function*(
  rooms: IngestRooms, upload: Upload, sealing: Array<Fiber.Fiber<ReadonlyArray<Fresh>, ComputeError>>
) {
  const sealed = yield* Fiber.join(sealing.shift()!)
  upload.sealing.shift()
  yield* collect(rooms, upload, sealed)
})

/** The same manifest under another name: its chunks are counted once more. */
const copy = Effect.fnUntraced(function*(rooms: IngestRooms, request: CopyRequest) {
  yield* rooms.intents.open
  const { source, bucket, key, attributes, condition } = request
  const content: Content = {
    sizeBytes: source.sizeBytes, etag: source.etag, etagIsMd5: !source.etag.includes("-"), manifest: source.manifest,
    arrivals: [], blocks: [], ...(source.checksum === undefined ? {} : { checksum: source.checksum })
  }
  const change = { _tag: "PutObject" as const, bucket, key, attributes, content, ...(condition === undefined ? {} : { condition }) }
  return storedOf(yield* rooms.namespace.propose(change, undefined, undefined, request.once), content)
})

/** Parts become one object: their manifests are joined, no byte is moved. Settle drops the parts afterwards. */
const complete = Effect.fnUntraced(function*(rooms: IngestRooms, get: GetService, request: CompleteRequest) {
  const upload = yield* beginUpload(rooms, 0)
  const { content, objectParts } = yield* joinParts(rooms, get, upload, request)
  const { bucket, key, parts, condition } = request
  const committed = yield* propose(rooms, upload, {
    _tag: "CompleteUpload", bucket, key, upload: request.upload, content, objectParts,
    parts: parts.map(({ partNumber, etag }) => ({ partNumber, etag })), ...(condition === undefined ? {} : { condition })
  }, request.once)
  return storedOf(committed, content)
})

const storedOf = ({ sequence, time, answer }: Committed, content: Content): Stored => {
  const { versionId, etag, checksum } = answer._tag === "Stored" ? answer : { versionId: undefined, ...content }
  return { sequence, versionId, etag, modifiedMs: millisOf(time), ...(checksum === undefined ? {} : { checksum }) }
}
