/**
 * Transfer: one object between this machine and the store, either way. Uploads beyond a part go as multipart, each part
 * signed with the hash of its bytes; a failed upload is aborted. A download is written beside its target and renamed.
 */
import { Effect, FileSystem, Option, Pull, type Stdio, Stream } from "effect"
import { cliPartBytes, partNumberMax } from "../base/limits.ts"
import type { Body } from "../ports/Body.ts"
import { CommandFailed } from "./Failure.ts"
import { asOfHeaders, text } from "./Listing.ts"
import type { Progress } from "./Progress.ts"
import type { Headers, S3Client, Xml } from "./S3Client.ts"

export interface Target {
  readonly bucket: string
  readonly key: string
}

const escapeXml = (value: string): string => value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;")

const completion = (etags: ReadonlyArray<string>): Uint8Array =>
  Buffer.from(`<CompleteMultipartUpload>${
    etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`).join("")
  }</CompleteMultipartUpload>`)

const uploadParts = Effect.fnUntraced(function* <E, R>(
  client: S3Client, target: Target, upload: string, first: Uint8Array, pull: (bytes: number) => Effect.Effect<Uint8Array, E, R>,
  partBytes: number, progress: Progress
) {
  const etags: Array<string> = []
  let part = first
  while (part.length > 0) {
    if (etags.length === partNumberMax) return yield* new CommandFailed({ detail: `more than ${partNumberMax} parts of ${partBytes} bytes` })
    const headers = yield* client.head({
      method: "PUT", ...target, body: part,
      query: [["partNumber", String(etags.length + 1)], ["uploadId", upload]]
    })
    etags.push(headers.get("etag") ?? "")
    yield* progress.add(part.length)
    part = part.length < partBytes ? part.subarray(0, 0) : yield* pull(partBytes)
  }
  return etags
})

/**
 * `pull(n)` gives the next n bytes, fewer only at the end. What fits one part is one PUT.
 * `sizeBytes`, where known, lets parts grow so that their number stays in bounds.
 */
export const upload = Effect.fnUntraced(function* <E, R>(
  client: S3Client, target: Target, pull: (bytes: number) => Effect.Effect<Uint8Array, E, R>,
  sizeBytes: number | undefined, headers: Headers, progress: Progress
) {
  const partBytes = Math.max(cliPartBytes, Math.ceil((sizeBytes ?? 0) / partNumberMax))
  const first = yield* pull(partBytes)
  if (first.length < partBytes) {
    yield* client.head({ method: "PUT", ...target, headers, body: first })
    return yield* progress.add(first.length)
  }
  const begun = yield* client.xml({ method: "POST", ...target, query: [["uploads", ""]], headers })
  const id = text((begun["InitiateMultipartUploadResult"] as Xml | undefined)?.["UploadId"])
  const query = [["uploadId", id]] as const
  yield* uploadParts(client, target, id, first, pull, partBytes, progress).pipe(
    Effect.flatMap((etags) => client.xml({ method: "POST", ...target, query, body: completion(etags) })),
    // The parts of an upload that nobody completes would stay: let them go, whatever the reason.
    Effect.onError(() => client.head({ method: "DELETE", ...target, query }).pipe(
      Effect.catch((error) => Effect.logWarning(`could not abort the upload of ${target.key}: ${error.message}`))
    ))
  )
})

/** Pulls exact amounts out of a stream of pieces. */
export const pullFrom = <E, R>(stream: Stream.Stream<Uint8Array, E, R>) =>
  Effect.map(Stream.toPull(stream), (next) => {
    const more = next.pipe(Effect.map(Option.some), Pull.catchDone(() => Effect.succeed(Option.none())))
    let held: Array<Uint8Array> = []
    let size = 0
    let ended = false
    return Effect.fnUntraced(function* (bytes: number) {
      while (size < bytes && !ended) {
        const pieces = yield* more
        if (Option.isNone(pieces)) ended = true
        else {
          for (const piece of pieces.value) {
            held.push(piece)
            size += piece.length
          }
        }
      }
      const all = Buffer.concat(held)
      const taken: Uint8Array = all.subarray(0, bytes)
      held = all.length > bytes ? [all.subarray(bytes)] : []
      size = all.length - taken.length
      return taken
    })
  })

export interface Source extends Target {
  readonly versionId?: string | undefined
  readonly asOf: string | undefined
}

/** The bytes of an object, with its size; they are pulled while the scope is open. */
export const download = Effect.fnUntraced(function* (client: S3Client, source: Source) {
  const response = yield* client.call({
    method: "GET", bucket: source.bucket, key: source.key, headers: asOfHeaders(source.asOf),
    query: source.versionId === undefined ? [] : [["versionId", source.versionId]]
  })
  return { sizeBytes: response.body.sizeBytes, body: response.body }
})

/** A body must have the size that was announced: a cut connection is a failure, not a short file. */
export const drain = Effect.fnUntraced(function* <E, R>(
  body: Body, what: string, progress: Progress, write: (bytes: Uint8Array) => Effect.Effect<void, E, R>
) {
  let received = 0
  for (;;) {
    const bytes = yield* Effect.mapError(body.next, () => new CommandFailed({
      detail: `${what}: the answer broke off after ${received} bytes${body.sizeBytes === undefined ? "" : ` of ${body.sizeBytes}`}; the node's log says why where it was the node`
    }))
    if (bytes === undefined) break
    received += bytes.length
    yield* write(bytes)
    yield* progress.add(bytes.length)
  }
  if (body.sizeBytes !== undefined && received !== body.sizeBytes) {
    return yield* new CommandFailed({ detail: `${what}: ${received} of ${body.sizeBytes} bytes arrived; run it again` })
  }
})

/** Into a file: beside it first, then renamed, so that nobody takes half for whole. */
export const downloadToFile = Effect.fnUntraced(function* (
  client: S3Client, source: Source, path: string, progress: (sizeBytes: number | undefined) => Effect.Effect<Progress, never, Stdio.Stdio>
) {
  const files = yield* FileSystem.FileSystem
  const draft = `${path}.ouroboros-part`
  yield* Effect.scoped(Effect.gen(function* () {
    const { body, sizeBytes } = yield* download(client, source)
    const shown = yield* progress(sizeBytes)
    const file = yield* files.open(draft, { flag: "w" })
    yield* drain(body, `${source.bucket}/${source.key}`, shown, (bytes) => file.writeAll(bytes))
    yield* shown.done
  })).pipe(Effect.onError(() => files.remove(draft, { force: true }).pipe(Effect.orDie)))
  yield* files.rename(draft, path)
})
