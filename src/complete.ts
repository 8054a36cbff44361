/**
 * Complete: the parts of a multipart upload as the content of one object. It sits between put.ts and the namespace's
 * rows of parts; no byte of a part is read, except those that lie in its row.
 */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { concatBytes, fromBase64, fromHex, toBase64, toHex } from "./base/bytes.ts"
import { combineCrcs, smallCrc } from "./base/crcCombine.ts"
import { listKeysMax, partBytesMin } from "./base/limits.ts"
import { contentOf, hashedEtag } from "./content.ts"
import type { GetService } from "./get.ts"
import { journal } from "./gather.ts"
import { heal, type IngestRooms, isHit, type Upload } from "./ingest.ts"
import type { Checksum, ChecksumAlgorithm, ObjectPart, PartInfo, Refusal } from "./namespace/Model.ts"
import { Refused } from "./namespace/Namespace.ts"
import { finishManifest, stageGathered } from "./pages.ts"
import { BodyError } from "./ports/Body.ts"
import type { CompleteRequest } from "./put.ts"

/** Content and parts of the object; everything it names is on the disk, or will be with the commit. */
export const joinParts = Effect.fnUntraced(function*(rooms: IngestRooms, get: GetService, upload: Upload, request: CompleteRequest) {
  const chosen = yield* partsOf(rooms, request)
  const checksum = yield* checksumOf(rooms, request, chosen)
  for (const part of chosen) yield* join(rooms, get, upload, part)
  yield* journal(rooms, upload)
  yield* heal(rooms, upload)
  const whole = contentOf(upload, yield* finishManifest(rooms, upload), { md5: undefined, checksum })
  const objectParts = chosen.map(({ partNumber, sizeBytes, checksum: sum }): ObjectPart =>
    ({ partNumber, sizeBytes, ...(sum === undefined ? {} : { checksum: sum }) }))
  return { content: { ...whole, etag: etagOf(chosen) }, objectParts }
})

/** The parts asked for, in order, as far as the upload has them as asked; `apply` judges once more (R9). */
const partsOf = Effect.fnUntraced(function*(rooms: IngestRooms, request: CompleteRequest) {
  const { bucket, key, parts } = request
  const refuse = (refusal: Refusal): Refused => new Refused({ refusal, bucket, key, sequence: rooms.namespace.head().sequence })
  const stored = new Map<number, PartInfo>()
  let after: number | undefined = 0
  while (after !== undefined) {
    const page: { readonly parts: ReadonlyArray<PartInfo>; readonly next?: number } | undefined = yield* listParts(rooms, request, after)
    // An upload that is gone may have been completed before: `apply` remembers, and gives the same answer.
    if (page === undefined) return []
    for (const part of page.parts) stored.set(part.partNumber, part)
    after = page.next
  }
  const chosen: Array<PartInfo> = []
  if (parts.length === 0) return yield* refuse("InvalidPart")
  for (const [index, asked] of parts.entries()) {
    const part = stored.get(asked.partNumber)
    if (index > 0 && asked.partNumber <= parts[index - 1]!.partNumber) return yield* refuse("InvalidPartOrder")
    if (part === undefined || part.etag !== asked.etag) return yield* refuse("InvalidPart")
    if (asked.checksum !== undefined && asked.checksum !== part.checksum?.value) return yield* refuse("InvalidPart")
    chosen.push(part)
  }
  if (chosen.slice(0, -1).some((part) => part.sizeBytes < partBytesMin)) return yield* refuse("EntityTooSmall")
  return chosen
})

const listParts = (rooms: IngestRooms, { bucket, key, upload }: CompleteRequest, after: number) =>
  rooms.namespace.listParts(bucket, key, upload, after, listKeysMax).pipe(
    Effect.catchTag("AsOfRefused", (error) => Effect.die(error)),
    Effect.catch((error) => error.refusal === "NoSuchUpload" ? Effect.succeed(undefined) : Effect.fail(error))
  )

/** Appends a part's chunks. The bytes of a part so small that they lie in its row become a chunk. */
const join = Effect.fnUntraced(function*(rooms: IngestRooms, get: GetService, upload: Upload, part: PartInfo) {
  if (part.manifest._tag !== "Inline") {
    for (const entry of yield* get.entries(part.manifest)) upload.entries.push(entry)
  } else if (part.manifest.bytes.length > 0) {
    const { bytes } = part.manifest
    const chunk = rooms.vault.nameChunk(bytes)
    const known = isHit(rooms, chunk, rooms.namespace.chunks([chunk])[0])
    const entry = upload.base + upload.entries.length
    if (!known) upload.rest.push({ entry, chunk: rooms.vault.sealChunk(chunk, bytes) })
    upload.entries.push({ chunk, sizeBytes: bytes.length })
    // Only the last part may be so small: what follows here is nothing.
    yield* journal(rooms, upload)
  }
  upload.sizeBytes += part.sizeBytes
  upload.placed = upload.base + upload.entries.length
  yield* stageGathered(rooms, upload)
})

/** md5(md5s)-N where all parts have MD5s, else a hash of the parts' ETags in the same shape. */
const etagOf = (parts: ReadonlyArray<PartInfo>): string => {
  if (!parts.every((part) => part.etagIsMd5)) return hashedEtag(parts.map((part) => part.etag))
  const md5 = createHash("md5")
  for (const part of parts) md5.update(fromHex(part.etag))
  return `${toHex(md5.digest())}-${Math.max(1, parts.length)}`
}

/** The object's checksum from its parts', compared with what the client claims; undefined where nobody asked for one. */
const checksumOf = Effect.fnUntraced(function*(rooms: IngestRooms, request: CompleteRequest, parts: ReadonlyArray<PartInfo>) {
  const { bucket, key, upload, checksum: claimed } = request
  const info = parts.length === 0 ? undefined : yield* Effect.catchTag(rooms.namespace.upload(bucket, key, upload), "AsOfRefused", Effect.die)
  const algorithm = info?.checksum?.algorithm ?? claimed?.algorithm ?? parts[0]?.checksum?.algorithm
  if (algorithm === undefined || parts.length === 0) return undefined
  const type = info?.checksum?.type ?? claimed?.type ?? (algorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE")
  const whole = combine(algorithm, type, parts)
  if (claimed === undefined || whole === undefined && claimed.algorithm !== algorithm) return whole
  const plain = whole?.value.replace(/-\d+$/, "")
  if (whole !== undefined && claimed.algorithm === algorithm && (claimed.value === whole.value || claimed.value === plain)) return whole
  const detail = whole === undefined
    ? `${algorithm} ${claimed.value} is claimed for the object, but not every part has that checksum`
    : `${algorithm} of the parts is ${whole.value}, ${claimed.algorithm} ${claimed.value} is claimed`
  return yield* new BodyError({ reason: "BadChecksum", detail })
})

const combine = (algorithm: ChecksumAlgorithm, type: Checksum["type"], parts: ReadonlyArray<PartInfo>): Checksum | undefined => {
  if (!parts.every((part) => part.checksum?.algorithm === algorithm)) return undefined
  const raws = parts.map((part) => fromBase64(part.checksum!.value))
  if (type === "COMPOSITE") {
    return { algorithm, type, value: `${toBase64(hashWith(algorithm, concatBytes(raws)))}-${parts.length}` }
  }
  if (algorithm === "SHA1" || algorithm === "SHA256") return undefined
  return { algorithm, type, value: toBase64(combineCrcs(algorithm, raws.map((crc, index) => ({ crc, lengthBytes: parts[index]!.sizeBytes })))) }
}

/** Checksum of the parts' checksums. */
const hashWith = (algorithm: ChecksumAlgorithm, bytes: Uint8Array): Uint8Array =>
  algorithm === "SHA1" || algorithm === "SHA256"
    ? createHash(algorithm.toLowerCase()).update(bytes).digest()
    : smallCrc(algorithm, bytes)
