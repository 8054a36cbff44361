/**
 * Free: chunks that nothing names go, once nobody at work may count on them (R1, R12), and uploads that nobody goes on
 * with end. It sits between the condemned rows and the log: the commit is the record of the deletion; the space comes
 * back when the journal is let go, and blocks are dropped or compacted.
 */
import { Clock, Effect } from "effect"
import type { ChunkId, Sequence, VaultId } from "./base/ids.ts"
import { chunksPerFreeMax, chunksPerReindexMax, dropPartsPerCommitMax, gcUploadsPerRoundMax } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import { hybridTime } from "./base/time.ts"
import type { IntentsService } from "./intents.ts"
import { chunksAfter, condemnedUntil, isIndexed, staleUploads } from "./namespace/QueryGarbage.ts"
import { collectAll, type PurgeRooms } from "./purge.ts"
import { dropPartsOf } from "./settle.ts"

export interface FreeRooms extends PurgeRooms {
  readonly intents: IntentsService
  readonly vault: VaultId
}

export interface Freeing {
  /** The last chunk of a store of format 1 that was indexed. */
  indexedTo: ChunkId | undefined
  /** Since the start. */
  chunks: number
  bytes: number
  uploads: number
}

export const noFreeing = (): Freeing => ({ indexedTo: undefined, chunks: 0, bytes: 0, uploads: 0 })

/** Records what a store of format 1 did not: so many chunks at most. True once all are recorded. */
export const index = Effect.fnUntraced(function*({ namespace, reader, vault }: FreeRooms, freeing: Freeing, chunksMax: number) {
  let left = chunksMax
  while (!isIndexed(reader)) {
    if (left <= 0) return false
    const chunks = chunksAfter(reader, vault, freeing.indexedTo, chunksPerReindexMax)
    // What comes meanwhile is recorded as it comes.
    yield* namespace.propose({ _tag: "ReindexChunks", chunks, done: chunks.length < chunksPerReindexMax }).pipe(Effect.catchTag("Refused", Effect.die))
    freeing.indexedTo = chunks.at(-1)
    left -= chunksPerReindexMax
  }
  return true
})

/** The last commit such that nobody at work counts on what was condemned by then, and that lies `graceMs` back. */
export const freeableUntil = Effect.fnUntraced(function*({ intents, namespace }: FreeRooms, graceMs: number) {
  const head = namespace.head().sequence
  const old = graceMs === 0 ? head : namespace.sequenceAt((yield* Clock.currentTimeMillis) - graceMs)
  return Math.min(old, intents.oldest() ?? head)
})

/** Frees what may go, so many chunks at most; pages that go release what they list, which may go next. */
export const free = Effect.fnUntraced(function*(rooms: FreeRooms, freeing: Freeing, graceMs: number, chunksMax: number) {
  let left = chunksMax
  while (left > 0) {
    const until: Sequence = yield* freeableUntil(rooms, graceMs)
    const chunks = condemnedUntil(rooms.reader, rooms.vault, until, Math.min(left, chunksPerFreeMax))
    if (chunks.length === 0) {
      if (rooms.intents.count() > 0 && until < rooms.namespace.head().sequence) probe("gc.waitsForIntent")
      return
    }
    probe("gc.chunksFreed")
    const freed = yield* collectAll(rooms.namespace, { _tag: "FreeChunks", chunks })
    freeing.chunks += freed.items
    freeing.bytes += freed.bytes
    left -= chunks.length
  }
})

/** Ends uploads that nobody went on with for so long; their parts are dropped as those of any ended upload. */
export const abortStale = Effect.fnUntraced(function*({ namespace, reader }: Pick<FreeRooms, "namespace" | "reader">, freeing: Freeing, staleMs: number) {
  const before = hybridTime(Math.max(0, (yield* Clock.currentTimeMillis) - staleMs), 0)
  for (const { bucket, key, upload } of staleUploads(reader, before, gcUploadsPerRoundMax)) {
    // Its bucket may be gone, and it may have been ended or gone on with: the better.
    const aborted = yield* namespace.propose({ _tag: "AbortStaleUpload", bucket, key, upload, before }).pipe(
      Effect.map(({ answer }) => answer._tag === "Collected" && answer.items > 0),
      Effect.catchTag("Refused", () => Effect.succeed(false))
    )
    if (!aborted) {
      probe("gc.staleUploadGoneOnWith")
      continue
    }
    freeing.uploads += 1
    probe("gc.staleUploadAborted")
    yield* Effect.logInfo(`an upload to ${bucket} that nobody went on with was aborted: ${upload}`)
  }
})

/** Parts of ended uploads, at once; settle would come to them as well. */
export const dropEndedParts = Effect.fnUntraced(function*({ namespace }: FreeRooms) {
  for (let uploads = namespace.endedUploads(dropPartsPerCommitMax); uploads.length > 0; uploads = namespace.endedUploads(dropPartsPerCommitMax)) {
    for (const upload of uploads) yield* dropPartsOf(namespace, upload)
  }
})
