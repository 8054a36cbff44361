/** GET: the rooms backwards: namespace -> journal or block -> sealer -> gateway. */
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { assert } from "./base/assert.ts"
import { copyOf } from "./base/bytes.ts"
import { readBatchBytesMax } from "./base/limits.ts"
import { Fetch, ReadError } from "./fetch.ts"
import type { FetchService } from "./fetch.ts"
import { decodePage } from "./namespace/Manifest.ts"
import type { Manifest, ManifestEntry, ObjectVersion } from "./namespace/Model.ts"
import { type Body, BodyError } from "./ports/Body.ts"

export { ReadError } from "./fetch.ts"

export interface GetService {
  /**
   * The bytes [start, end) of a version (all of them by default). The first chunks are read and verified before this
   * succeeds, so that damage there is an answer and not a cut connection.
   */
  readonly open: (version: ObjectVersion, start?: number, end?: number) => Effect.Effect<Body, ReadError>
  /** All chunk entries of a manifest, pages resolved: for joining parts. */
  readonly entries: (manifest: Manifest) => Effect.Effect<ReadonlyArray<ManifestEntry>, ReadError>
}

export class Get extends Context.Service<Get, GetService>()("ouroborosdb/Get") {
  static readonly layer: Layer.Layer<Get, never, Fetch> = Layer.effect(Get, Effect.gen(function*() {
    const fetch = yield* Fetch
    return {
      open: Effect.fn("Get.open")((version: ObjectVersion, start = 0, end = version.sizeBytes) => open(fetch, version, start, end)),
      entries: (manifest) => allEntries(fetch, manifest)
    }
  }))
}

const open = Effect.fnUntraced(function*(fetch: FetchService, version: ObjectVersion, start: number, end: number) {
  assert(0 <= start && start <= end && end <= version.sizeBytes, `a range of the object, not [${start}, ${end}) of ${version.sizeBytes}`)
  if (version.manifest._tag === "Inline") return bodyOf(end - start, [copyOf(version.manifest.bytes.subarray(start, end))], () => undefined)
  const cursor = makeCursor(fetch, version.manifest, start, end)
  const first = yield* fetchBatch(fetch, cursor)
  return bodyOf(end - start, first, () => cursor.done() ? undefined : fetchBatch(fetch, cursor))
})

type Batch = Effect.Effect<ReadonlyArray<Uint8Array>, ReadError>

/** Sends one batch while the next one is fetched; never more than these two are in memory. */
const bodyOf = (sizeBytes: number, first: ReadonlyArray<Uint8Array>, nextBatch: () => Batch | undefined): Body => {
  let ready = first.filter((bytes) => bytes.length > 0)
  let at = 0
  let sentBytes = 0
  let ahead: Fiber.Fiber<ReadonlyArray<Uint8Array>, ReadError> | undefined
  /** One fetch at a time: it moves the cursor. It ends by itself, also when nobody pulls any more. */
  const fetchAhead = Effect.suspend(() => {
    const batch = ahead === undefined ? nextBatch() : undefined
    return batch === undefined ? Effect.void : Effect.map(Effect.forkDetach(batch), (fiber) => { ahead = fiber })
  })
  const next = Effect.gen(function*() {
    for (;;) {
      // A client that takes nothing holds one batch, not two: the next one is fetched once it has taken a piece.
      if (at > 0 || ready.length < 2) yield* fetchAhead
      if (at < ready.length) {
        const bytes = ready[at]!
        // What was handed out is not kept.
        ready[at++] = noBytes
        sentBytes += bytes.length
        return bytes
      }
      if (ahead === undefined) {
        if (sentBytes === sizeBytes) return undefined
        return yield* new BodyError({ reason: "Unverified", detail: `the manifest gave ${sentBytes} of ${sizeBytes} bytes` })
      }
      const exit = yield* Fiber.await(ahead)
      if (Exit.isFailure(exit)) return yield* Effect.mapError(Effect.failCause(exit.cause), cut)
      ahead = undefined
      ready = [...exit.value]
      at = 0
    }
  })
  return { sizeBytes, next }
}

const noBytes = new Uint8Array(0)

/** After the head is sent nothing else can be said: the connection is cut, and the log says why. */
const cut = (error: ReadError): BodyError => new BodyError({ reason: "Unverified", detail: error.message })

/** A chunk's part of the range: bytes [from, to) of its plaintext. */
interface Piece extends ManifestEntry {
  readonly from: number
  readonly to: number
}

interface Cursor {
  /** The next pieces of the range, of about so many bytes; resolves pages as it comes to them. */
  readonly take: (bytesMax: number) => Effect.Effect<ReadonlyArray<Piece>, ReadError>
  readonly done: () => boolean
}

/** Walks a manifest from the root down, only into pages that the range touches. */
const makeCursor = (fetch: FetchService, manifest: Exclude<Manifest, { readonly _tag: "Inline" }>, start: number, end: number): Cursor => {
  const level = manifest._tag === "Pages" ? manifest.level : 0
  /** Pages from the root down to where the walk stands. `offset` is where the entry at `index` begins in the object. */
  const stack: Array<{ readonly level: number; readonly entries: ReadonlyArray<ManifestEntry>; index: number; offset: number }> =
    [{ level, entries: manifest.entries, index: 0, offset: 0 }]
  const take = Effect.fnUntraced(function*(bytesMax: number) {
    const pieces: Array<Piece> = []
    let bytes = 0
    for (let page = stack.at(-1); page !== undefined && bytes < bytesMax; page = stack.at(-1)) {
      const entry = page.entries[page.index]
      if (entry === undefined) {
        stack.pop()
        continue
      }
      const offset = page.offset
      if (offset >= end) break
      page.index += 1
      page.offset += entry.sizeBytes
      if (page.offset <= start) continue
      if (page.level > 0) {
        stack.push({ level: page.level - 1, entries: yield* readPage(fetch, entry, page.level), index: 0, offset })
        continue
      }
      const piece = { ...entry, from: Math.max(0, start - offset), to: Math.min(entry.sizeBytes, end - offset) }
      pieces.push(piece)
      bytes += entry.sizeBytes
    }
    while (stack.length > 0 && (stack.at(-1)!.index >= stack.at(-1)!.entries.length || stack.at(-1)!.offset >= end)) stack.pop()
    return pieces
  })
  return { take, done: () => stack.length === 0 }
}

const readPage = Effect.fnUntraced(function*(fetch: FetchService, entry: ManifestEntry, level: number) {
  const [bytes] = yield* fetch.chunks([entry.chunk])
  const page = decodePage(bytes!)
  const covered = page.entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (page.level !== level || covered !== entry.sizeBytes) {
    const detail = `manifest page ${entry.chunk} covers ${covered} bytes at level ${page.level}, not ${entry.sizeBytes} at ${level}`
    return yield* new ReadError({ reason: "Damaged", detail })
  }
  return page.entries
})

const fetchBatch = Effect.fnUntraced(function*(fetch: FetchService, cursor: Cursor) {
  const pieces = yield* cursor.take(readBatchBytesMax)
  const chunks = yield* fetch.chunks(pieces.map((piece) => piece.chunk))
  for (const [index, piece] of pieces.entries()) {
    if (chunks[index]!.length === piece.sizeBytes) continue
    const detail = `chunk ${piece.chunk} has ${chunks[index]!.length} bytes, its manifest says ${piece.sizeBytes}`
    return yield* new ReadError({ reason: "Damaged", detail })
  }
  return ownedEach(pieces.map((piece, index) => chunks[index]!.subarray(piece.from, piece.to)))
})

/** Who pulls bytes owns them and may give their memory back: a chunk that comes again gets memory of its own. */
const ownedEach = (views: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const seen = new Set<ArrayBufferLike>()
  return views.map((bytes) => {
    const isShared = seen.has(bytes.buffer)
    seen.add(bytes.buffer)
    return isShared ? copyOf(bytes) : bytes
  })
}

const allEntries = Effect.fnUntraced(function*(fetch: FetchService, manifest: Manifest) {
  if (manifest._tag === "Inline") return []
  const entries: Array<ManifestEntry> = []
  const cursor = makeCursor(fetch, manifest, 0, Number.MAX_SAFE_INTEGER)
  while (!cursor.done()) {
    for (const { chunk, sizeBytes } of yield* cursor.take(Number.MAX_SAFE_INTEGER)) entries.push({ chunk, sizeBytes })
  }
  return entries
})
