/**
 * Pages: manifests of large objects as trees of pages, each a sealed chunk, staged by a commit of its own before any
 * version names it (R9). They sit between an upload, whose entries gather, and the namespace.
 */
import { Effect } from "effect"
import { uploadBlocksUnnamedMax } from "./base/limits.ts"
import { append, heal, type IngestRooms, isHit, propose, type Upload } from "./ingest.ts"
import { encodePage } from "./namespace/Manifest.ts"
import type { ChunkArrival, Manifest, ManifestEntry } from "./namespace/Model.ts"

/** Stages the entries that are on the disk, where they fill a page or bring many blocks; others stay. */
export const stageGathered = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  while (upload.placed - upload.base >= rooms.sizes.pageEntriesMax || upload.blocks.length >= uploadBlocksUnnamedMax) {
    yield* stageFirst(rooms, upload, Math.min(upload.placed - upload.base, rooms.sizes.pageEntriesMax))
  }
})

/** The manifest of all that was uploaded; everything must be placed. Stages what does not fit the version's row. */
export const finishManifest = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload) {
  const { inlineEntriesMax, pageEntriesMax } = rooms.sizes
  if (upload.base === 0 && upload.entries.length <= inlineEntriesMax) {
    const chunks: Manifest = { _tag: "Chunks", entries: upload.entries }
    return chunks
  }
  while (upload.entries.length > 0) yield* stageFirst(rooms, upload, Math.min(upload.entries.length, pageEntriesMax))
  let level = 1
  for (; ; level++) {
    const pages = upload.pages[level - 1]!
    if (pages.length <= inlineEntriesMax && upload.pages.length === level) break
    while (pages.length > 0) yield* stageUp(rooms, upload, level)
  }
  const tree: Manifest = { _tag: "Pages", level, entries: upload.pages[level - 1]! }
  return tree
})

/** A page of level 1 from the first `count` entries, with the chunks and blocks that it is the first to name. */
const stageFirst = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, count: number) {
  const end = upload.base + count
  const arrivals = upload.arrivals.filter(({ entry }) => entry < end).map(({ arrival }) => arrival)
  yield* stagePage(rooms, upload, 1, upload.entries.slice(0, count), arrivals)
  upload.entries.splice(0, count)
  upload.base = end
  upload.arrivals = upload.arrivals.filter(({ entry }) => entry >= end)
  const { pageEntriesMax } = rooms.sizes
  for (let level = 1; (upload.pages[level - 1]?.length ?? 0) >= pageEntriesMax; level++) yield* stageUp(rooms, upload, level)
})

/** A page of level + 1 from the pages of a level. */
const stageUp = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, level: number) {
  const entries = upload.pages[level - 1]!.slice(0, rooms.sizes.pageEntriesMax)
  yield* stagePage(rooms, upload, level + 1, entries, [])
  upload.pages[level - 1]!.splice(0, entries.length)
})

const stagePage = Effect.fnUntraced(function*(
  rooms: IngestRooms, upload: Upload, level: number, entries: ReadonlyArray<ManifestEntry>, arrivals: ReadonlyArray<ChunkArrival>
) {
  const bytes = encodePage({ level, entries })
  const page = rooms.vault.nameChunk(bytes)
  const known = isHit(rooms, page, rooms.namespace.chunks([page])[0])
  yield* Effect.scoped(Effect.gen(function*() {
    const added = known ? [] : [yield* journalPage(rooms, upload, page, bytes)]
    // A damaged page would keep its old copy.
    if (rooms.fetch.isDamaged(page)) upload.healed.push(...added)
    yield* heal(rooms, upload)
    const blocks = [...upload.blocks]
    yield* propose(rooms, upload, { _tag: "StagePage", page, level, entries, arrivals: [...arrivals, ...added], blocks })
    upload.blocks = upload.blocks.filter((block) => !blocks.includes(block))
  }))
  const sizeBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0)
  const siblings = upload.pages[level - 1] ??= []
  siblings.push({ chunk: page, sizeBytes })
})

const journalPage = Effect.fnUntraced(function*(rooms: IngestRooms, upload: Upload, page: ChunkArrival["id"], bytes: Uint8Array) {
  const sealed = rooms.vault.sealChunk(page, bytes)
  const [place] = yield* append(rooms, upload, [sealed])
  const arrival: ChunkArrival = { id: page, sizeBytes: sealed.sizeBytes, sealedHash: sealed.hash, place: place! }
  return arrival
})
