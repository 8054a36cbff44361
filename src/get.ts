/** GET: the rooms backwards: namespace -> journal or block -> sealer -> gateway. */
import { Context, Deferred, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { type Allowance, Allowances, type Overloaded, type Share, shareOf } from "./allowance.ts"
import { assert } from "./base/assert.ts"
import { copyOf, release } from "./base/bytes.ts"
import type { ChunkId } from "./base/ids.ts"
import { chunkSizeBytesMax, joinHeldBytes, manifestPagesRememberedMax, readAheadBatchesMax, readAheadUnaskedBatches, readBatchBytesMax, readFirstBatchShare } from "./base/limits.ts"
import { SegmentedLru } from "./base/SegmentedLru.ts"
import { Fetch, ReadError } from "./fetch.ts"
import type { FetchService } from "./fetch.ts"
import { Intents } from "./intents.ts"
import { decodePage, type ManifestPage } from "./namespace/Manifest.ts"
import type { Manifest, ManifestEntry, ObjectVersion } from "./namespace/Model.ts"
import { type Body, BodyError } from "./ports/Body.ts"

export { ReadError } from "./fetch.ts"

export interface GetService {
  /** Until the scope closes, no chunk goes that a version of now, or of any commit that can be read, names (R12). */
  readonly hold: Effect.Effect<void, never, Scope.Scope>
  /**
   * The bytes [start, end) of a version (all of them by default). The first chunks are read and verified before this
   * succeeds, so that damage there is an answer and not a cut connection; so is a lack of memory (Overloaded). What the
   * body holds and what fetches for it end with the scope.
   */
  readonly open: (version: ObjectVersion, start?: number, end?: number) => Effect.Effect<Body, ReadError | Overloaded, Scope.Scope>
  /** The same of a version whose bytes ride in its row: a view, there at once, nothing to be streamed. Undefined for others. */
  readonly inline: (version: ObjectVersion, start: number, end: number) => Uint8Array | undefined
  /** All chunk entries of a manifest, pages resolved: for joining parts. */
  readonly entries: (manifest: Manifest) => Effect.Effect<ReadonlyArray<ManifestEntry>, ReadError | Overloaded>
}

export interface GetOptions {
  /** What is fetched in one go, about; readBatchBytesMax by default. */
  readonly batchBytes?: number
}

export class Get extends Context.Service<Get, GetService>()("ouroborosdb/Get") {
  static readonly layer = ({ batchBytes = readBatchBytesMax }: GetOptions = {}): Layer.Layer<Get, never, Fetch | Intents | Allowances> => Layer.effect(Get, Effect.gen(function*() {
    const fetch = yield* Fetch
    const { reads } = yield* Allowances
    const intents = yield* Intents
    const pages: Pages = { fetch, batchBytes, decoded: new SegmentedLru(manifestPagesRememberedMax) }
    return {
      hold: intents.open,
      open: Effect.fn("Get.open")((version: ObjectVersion, start = 0, end = version.sizeBytes) => open(pages, reads, version, start, end)),
      inline,
      entries: (manifest) => Effect.scoped(allEntries(pages, reads, manifest))
    }
  }))
}

const inline = (version: ObjectVersion, start: number, end: number): Uint8Array | undefined => {
  assert(0 <= start && start <= end && end <= version.sizeBytes, `a range of the object, not [${start}, ${end}) of ${version.sizeBytes}`)
  return version.manifest._tag === "Inline" ? version.manifest.bytes.subarray(start, end) : undefined
}

const open = Effect.fnUntraced(function*(pages: Pages, reads: Allowance, version: ObjectVersion, start: number, end: number) {
  const bytes = inline(version, start, end)
  // Who pulls a body owns its bytes.
  if (bytes !== undefined) return inlineBody(copyOf(bytes))
  assert(version.manifest._tag !== "Inline", "inline bytes are answered above")
  const source: Source = {
    fetch: pages.fetch, nextBytes: pages.batchBytes, batchBytes: pages.batchBytes, reads, cursor: makeCursor(pages, version.manifest, start, end),
    share: yield* shareOf(reads), scope: yield* Effect.scope
  }
  const ask = askerOf(source)
  if (end - start <= source.batchBytes) return bodyOf(end - start, yield* fetchBatch(source, takePieces(source, false)), source, ask, [])
  // The client has its first bytes early, and the others are on their way before that: nothing else would be done meanwhile.
  source.nextBytes = Math.ceil(source.batchBytes / readFirstBatchShare)
  const first = yield* ask(false)
  // It takes its pieces, and its memory, before another is asked for.
  yield* Effect.yieldNow
  const ahead: Array<Fetching> = []
  while (ahead.length < readAheadUnaskedBatches && !source.cursor.done() && reads.isPlentiful(batchHeldBytesMax)) {
    ahead.push(yield* ask(true))
    yield* Effect.yieldNow
  }
  return bodyOf(end - start, yield* Fiber.join(first), source, ask, ahead)
})

type Fetching = Fiber.Fiber<Array<Ready>, ReadError | Overloaded>
type Ask = (begun: boolean) => Effect.Effect<Fetching>

/** Asks for one batch after another. */
const askerOf = (source: Source): Ask => {
  /** The batch that was asked for last has its pieces: they are taken in this order, whichever fiber runs first. */
  let taken: Deferred.Deferred<void> | undefined
  return (begun) => Effect.suspend(() => {
    const before = taken
    const now = taken = Deferred.makeUnsafe<void>()
    const turn = Effect.ensuring(
      before === undefined ? takePieces(source, begun) : Effect.andThen(Deferred.await(before), takePieces(source, begun)), Deferred.succeed(now, undefined)
    )
    return Effect.forkIn(fetchBatch(source, turn), source.scope)
  })
}

const inlineBody = (bytes: Uint8Array): Body => {
  let left = bytes.length === 0 ? undefined : bytes
  return {
    sizeBytes: bytes.length,
    next: Effect.sync(() => {
      const now = left
      left = undefined
      return now
    })
  }
}

/** What a body is fetched with, and what it holds of the memory for reads. */
interface Source {
  readonly fetch: FetchService
  readonly reads: Allowance
  readonly cursor: Cursor
  readonly share: Share
  readonly scope: Scope.Scope
  readonly batchBytes: number
  /** Of the next batch, about: the first ones are smaller. 0 < nextBytes <= batchBytes */
  nextBytes: number
}

/** Bytes to hand out, and the memory that they keep of what is shared out. */
interface Ready {
  readonly bytes: Uint8Array
  readonly heldBytes: number
}

type Batch = Effect.Effect<Array<Ready>, ReadError | Overloaded>

/**
 * Sends one batch while the next ones are fetched, where memory is plentiful: never more than `readAheadBatchesMax` of them,
 * one of which is read while another is opened. Where it is not, the next one is asked for when this one is gone. So
 * whoever waits for memory holds none of it, or is sending what it holds meanwhile: no two bodies wait for one another. A
 * piece is held until the next one is asked for.
 */
const bodyOf = (sizeBytes: number, first: Array<Ready>, source: Source, ask: Ask, ahead: Array<Fetching>): Body => {
  const { cursor, reads, share } = source
  let ready = first
  let at = 0
  let sentBytes = 0
  /** A client that takes nothing holds the small batches that were asked for first: a whole one more is fetched once it has taken a piece. */
  const early = (): boolean => (at > 0 || ready.length < 2) && ahead.length < readAheadBatchesMax && reads.isPlentiful(batchHeldBytesMax)
  const next = Effect.gen(function*() {
    if (at > 0) share.less(ready[at - 1]!.heldBytes)
    for (;;) {
      while (!cursor.done() && (early() || (ahead.length === 0 && at === ready.length))) {
        ahead.push(yield* ask(true))
        // It takes its pieces, and its memory, before another is asked for.
        yield* Effect.yieldNow
      }
      if (at < ready.length) {
        const { bytes, heldBytes } = ready[at]!
        // What was handed out is not kept.
        ready[at++] = { bytes: noBytes, heldBytes }
        sentBytes += bytes.length
        if (bytes.length > 0) return bytes
        share.less(heldBytes)
        continue
      }
      const oldest = ahead[0]
      if (oldest === undefined) {
        if (sentBytes === sizeBytes) {
          at = 0
          ready = []
          return undefined
        }
        return yield* new BodyError({ reason: "Unverified", detail: `the manifest gave ${sentBytes} of ${sizeBytes} bytes` })
      }
      const exit = yield* Fiber.await(oldest)
      if (Exit.isFailure(exit)) return yield* Effect.mapError(Effect.failCause(exit.cause), cut)
      ahead.shift()
      ready = exit.value
      at = 0
    }
  })
  return { sizeBytes, next }
}

const noBytes = new Uint8Array(0)

/** After the head is sent nothing else can be said: the connection is cut, and the log says why. */
const cut = (error: ReadError | Overloaded): BodyError =>
  new BodyError({ reason: error._tag === "Overloaded" ? "Overloaded" : "Unverified", detail: error.message, cause: error })

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
const makeCursor = (pages: Pages, manifest: Exclude<Manifest, { readonly _tag: "Inline" }>, start: number, end: number): Cursor => {
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
      if (page.level === 0 && pieces.length > 0 && bytes + entry.sizeBytes > bytesMax) break
      page.index += 1
      page.offset += entry.sizeBytes
      if (page.offset <= start) continue
      if (page.level > 0) {
        stack.push({ level: page.level - 1, entries: yield* readPage(pages, entry, page.level), index: 0, offset })
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

/**
 * Pages, and what the last of them say. They are fetched every time, so that damage is seen; decoding one is half of what
 * a small range costs, and its id, the hash of its bytes, tells that it says the same.
 */
interface Pages {
  readonly fetch: FetchService
  readonly batchBytes: number
  readonly decoded: SegmentedLru<ChunkId, ManifestPage>
}

const readPage = Effect.fnUntraced(function*({ decoded, fetch }: Pages, entry: ManifestEntry, level: number) {
  const [bytes] = yield* fetch.chunks([entry.chunk])
  const known = decoded.get(entry.chunk)
  const page = known ?? decodePage(bytes!)
  if (known === undefined) decoded.add(entry.chunk, page, 1)
  const covered = page.entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (page.level !== level || covered !== entry.sizeBytes) {
    const detail = `manifest page ${entry.chunk} covers ${covered} bytes at level ${page.level}, not ${entry.sizeBytes} at ${level}`
    return yield* new ReadError({ reason: "Damaged", detail })
  }
  return page.entries
})

/** What a batch holds while it is fetched, at most: its last chunk may go over. Sealed and opened, it is there twice. */
const batchHeldBytesMax = 2 * (readBatchBytesMax + chunkSizeBytesMax)

/** The next pieces: a batch of them, or only one where memory is short. */
const fetchBatch = ({ fetch, share }: Source, take: ReturnType<typeof takePieces>): Batch => Effect.gen(function*() {
  // One at a time moves the cursor and asks for memory, in the order of the pieces.
  const taken = yield* take
  if (!Array.isArray(taken)) return [taken as Ready]
  const pieces = taken as ReadonlyArray<Piece>
  const bytes = pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0)
  const chunks = yield* fetch.chunks(pieces.map((piece) => piece.chunk))
  share.less(bytes)
  for (const [index, piece] of pieces.entries()) {
    if (chunks[index]!.length === piece.sizeBytes) continue
    const detail = `chunk ${piece.chunk} has ${chunks[index]!.length} bytes, its manifest says ${piece.sizeBytes}`
    return yield* new ReadError({ reason: "Damaged", detail })
  }
  const ready = ownedEach(chunks).map((chunk, index) => partOf(chunk, pieces[index]!))
  share.less(ready.reduce((sum, { heldBytes }) => sum - heldBytes, bytes))
  return ready
})

/** With memory for them, sealed and opened; or what memory has, where that is all. */
const takePieces = Effect.fnUntraced(function*(source: Source, begun: boolean) {
  const { batchBytes, cursor, fetch, nextBytes, reads, share } = source
  source.nextBytes = Math.min(2 * nextBytes, batchBytes)
  const pieces = yield* cursor.take(reads.isPlentiful(batchHeldBytesMax) ? nextBytes : 1)
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined && only.to - only.from < only.sizeBytes) {
    const cached = yield* cachedPart(fetch, share, only, begun)
    if (cached !== undefined) return cached
  }
  // Whose head is sent can be refused no more: it goes before those who are yet to begin.
  yield* share.more(2 * pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0), begun)
  return pieces
})

/** A small range, as readers of columns and indexes ask for: out of memory, without a copy of its whole chunk. */
const cachedPart = Effect.fnUntraced(function*(fetch: FetchService, share: Share, { chunk, from, sizeBytes, to }: Piece, begun: boolean) {
  const heldBytes = to - from
  yield* share.more(heldBytes, begun)
  const bytes = fetch.cachedPart(chunk, sizeBytes, from, to)
  if (bytes === undefined) share.less(heldBytes)
  return bytes === undefined ? undefined : { bytes, heldBytes }
})

/** A part of a chunk gets memory of its own: a view would keep the whole chunk's, which nobody could give back. */
const partOf = (chunk: Uint8Array, { from, to, sizeBytes }: Piece): Ready => {
  if (to - from === sizeBytes) return { bytes: chunk, heldBytes: sizeBytes }
  const bytes = copyOf(chunk.subarray(from, to))
  release(chunk)
  return { bytes, heldBytes: bytes.length }
}

/** Who pulls bytes owns them and may give their memory back: a chunk that comes again gets memory of its own. */
const ownedEach = (views: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  const seen = new Set<ArrayBufferLike>()
  return views.map((bytes) => {
    const isShared = seen.has(bytes.buffer)
    seen.add(bytes.buffer)
    return isShared ? copyOf(bytes) : bytes
  })
}

const allEntries = Effect.fnUntraced(function*(pages: Pages, reads: Allowance, manifest: Manifest) {
  if (manifest._tag === "Inline") return []
  if (manifest._tag === "Pages") yield* (yield* shareOf(reads)).more(joinHeldBytes)
  const entries: Array<ManifestEntry> = []
  const cursor = makeCursor(pages, manifest, 0, Number.MAX_SAFE_INTEGER)
  while (!cursor.done()) {
    for (const { chunk, sizeBytes } of yield* cursor.take(Number.MAX_SAFE_INTEGER)) entries.push({ chunk, sizeBytes })
  }
  return entries
})
