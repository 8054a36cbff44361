/**
 * QueryGarbage: what nobody needs any more, found in the rows: condemned chunks, wasted bytes of blocks, versions behind
 * the horizon, uploads that nobody goes on with. It sits between the rows and the collector, which proposes that it goes;
 * every scan is bounded, and goes on where it stopped.
 */
import { type ByteString, fromByteString, toHex } from "../base/bytes.ts"
import type { BlockId, BucketId, ChunkId, Sequence, UploadId, VaultId } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import type { VersionPlace } from "./Model.ts"
import { isPurgeable, isShownAgain, type Readable, supersededRows } from "./QueryPurge.ts"
import { foundOf } from "./QueryView.ts"
import {
  afterPrefix, ascendingAt, blockKey, bucketConfigPrefix, chunkKey, commitKey, deadKey, endOfName, gcKey, partsPrefix, regionsPrefix, table, totalsKey,
  unescapeText, versionPrefixLength, versionsPrefix, versionTailLength, type VersionTable
} from "./Rows.ts"
import { blockRow, bucketConfigRow, deadRow, type GarbageTotals, partRow, regionLengthOf, regionRow, totalsRow, type UploadRow, uploadRow } from "./RowsValue.ts"
import type { RowKey, StateReader } from "./State.ts"

const idAt = <Id extends string>(key: RowKey, offset: number, length: number): Id => toHex(fromByteString(key.slice(offset, offset + length))) as Id

/** Whether every chunk has its rows of regions and condemnation; a store of format 1 has not, at first. */
export const isIndexed = (reader: StateReader): boolean => reader.get(gcKey) !== undefined

/** Chunks by id, after `after`. */
export const chunksAfter = (reader: StateReader, vault: VaultId, after: ChunkId | undefined, limit: number): ReadonlyArray<ChunkId> => {
  const all = chunkKey(vault, "" as ChunkId)
  const chunks: Array<ChunkId> = []
  for (const [key] of reader.scan(after === undefined ? all : `${chunkKey(vault, after)}\0`, afterPrefix(all))) {
    if (chunks.length >= limit) break
    chunks.push(idAt(key, 17, 32))
  }
  return chunks
}

export interface Condemned {
  readonly chunk: ChunkId
  readonly condemnedAt: Sequence
}

/** Those condemned at or before a commit, oldest first. */
export const condemnedUntil = (reader: StateReader, vault: VaultId, until: Sequence, limit: number): ReadonlyArray<Condemned> => {
  const condemned: Array<Condemned> = []
  for (const [key] of reader.scan(table.condemned, afterPrefix(table.condemned))) {
    const condemnedAt = ascendingAt(key, 1)
    if (condemned.length >= limit || condemnedAt > until) break
    if (idAt<VaultId>(key, 9, 16) === vault) condemned.push({ chunk: idAt(key, 25, 32), condemnedAt })
  }
  return condemned
}

const noGarbage: GarbageTotals = { condemnedChunks: 0, condemnedBytes: 0, deadBytes: 0 }

export const garbageTotals = (reader: StateReader): GarbageTotals => {
  const value = reader.get(totalsKey)
  return (value === undefined ? undefined : totalsRow.decode(value).garbage) ?? noGarbage
}

/** A block, and how much of it is somebody's. */
export interface BlockUse {
  readonly block: BlockId
  readonly sizeBytes: number
  /** The commit that named it. */
  readonly incarnation: Sequence
  readonly regions: ReadonlyArray<{ readonly chunk: ChunkId; readonly offset: number; readonly lengthBytes: number }>
  readonly liveBytes: number
}

export const blockUse = (reader: StateReader, block: BlockId): BlockUse | undefined => {
  const value = reader.get(blockKey(block))
  if (value === undefined) return undefined
  const prefix = regionsPrefix(block)
  const regions = Array.from(reader.scan(prefix, afterPrefix(prefix)), ([key, bytes]) => {
    const { chunk, lengthBytes } = regionRow.decode(bytes)
    return { chunk, offset: ascendingAt(key, 17), lengthBytes }
  })
  const { incarnation, sizeBytes } = blockRow.decode(value)
  return { block, sizeBytes, incarnation, regions, liveBytes: regions.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) }
}

/** How much of a block is somebody's, and not whose. */
export interface BlockLoad extends Pick<BlockUse, "block" | "sizeBytes" | "incarnation" | "liveBytes"> {
  readonly regionCount: number
}

/** As blockUse, for a fraction of the time: for those that look at every block. */
export const blockLoad = (reader: StateReader, block: BlockId): BlockLoad | undefined => {
  const value = reader.get(blockKey(block))
  if (value === undefined) return undefined
  const { incarnation, sizeBytes } = blockRow.decode(value)
  return { block, sizeBytes, incarnation, ...regionsUnder(reader, regionsPrefix(block)) }
}

const regionsUnder = (reader: StateReader, prefix: RowKey): { readonly regionCount: number; readonly liveBytes: number } => {
  let regionCount = 0
  let liveBytes = 0
  for (const [, bytes] of reader.scan(prefix, afterPrefix(prefix))) {
    regionCount += 1
    liveBytes += regionLengthOf(bytes)
  }
  return { regionCount, liveBytes }
}

/** Of all blocks together: their bytes on the disk, and those that are somebody's. */
export const blocksHeld = (reader: StateReader): { readonly sizeBytes: number; readonly liveBytes: number } => {
  let sizeBytes = 0
  for (const [, value] of reader.scan(table.block, afterPrefix(table.block))) sizeBytes += blockRow.decode(value).sizeBytes
  return { sizeBytes, liveBytes: regionsUnder(reader, table.region).liveBytes }
}

/** Blocks of which waste is noted, after `after`, by id. */
export const deadBlocks = (reader: StateReader, after: BlockId | undefined, limit: number): ReadonlyArray<{ readonly block: BlockId; readonly bytes: number }> => {
  const blocks: Array<{ readonly block: BlockId; readonly bytes: number }> = []
  for (const [key, value] of reader.scan(after === undefined ? table.dead : `${deadKey(after)}\0`, afterPrefix(table.dead))) {
    if (blocks.length >= limit) break
    blocks.push({ block: idAt(key, 1, 16), bytes: deadRow.decode(value).bytes })
  }
  return blocks
}

/** Blocks by id, after `after`. */
export const blocksAfter = (reader: StateReader, after: BlockId | undefined, limit: number): ReadonlyArray<BlockId> => {
  const blocks: Array<BlockId> = []
  for (const [key] of reader.scan(after === undefined ? table.block : `${blockKey(after)}\0`, afterPrefix(table.block))) {
    if (blocks.length >= limit) break
    blocks.push(idAt(key, 1, 16))
  }
  return blocks
}

/** Buckets that have a configuration, after `after`: also those that were deleted, and are read through others or the past. */
export const bucketsAfter = (reader: StateReader, after: BucketId | undefined, limit: number): ReadonlyArray<BucketId> => {
  const buckets: Array<BucketId> = []
  let from: RowKey = after === undefined ? table.bucketConfig : afterPrefix(bucketConfigPrefix(after))
  while (buckets.length < limit) {
    let next: BucketId | undefined
    for (const [key] of reader.scan(from, afterPrefix(table.bucketConfig))) {
      next = idAt(key, 1, 16)
      break
    }
    if (next === undefined) break
    buckets.push(next)
    from = afterPrefix(bucketConfigPrefix(next))
  }
  return buckets
}

/** Of these buckets, those with rows that the horizon took. */
export const withSupersededRows = (reader: StateReader, buckets: ReadonlyArray<BucketId>, horizon: Sequence): ReadonlyArray<BucketId> =>
  buckets.filter((bucket) => supersededRows(reader, bucket, horizon).length > 0)

/** How many rows of commits before `before` there are, up to `limit`. */
export const commitsBefore = (reader: StateReader, before: Sequence, limit: number): number => {
  let count = 0
  for (const _ of reader.scan(table.commit, commitKey(before))) {
    count += 1
    if (count >= limit) break
  }
  return count
}

/** Where a walk over version rows stands: the next key; undefined: at the end. */
export interface PurgeWalk {
  readonly places: ReadonlyArray<VersionPlace>
  /** What expired and was hidden, and is shown again now: a rollback or branch went back to before that. */
  readonly shownAgain: ReadonlyArray<VersionPlace>
  readonly scanned: number
  readonly next: RowKey | undefined
}

/** The hidden rows of all buckets, from a key on, or the listed ones of one bucket. */
export const purgeable = (
  reader: StateReader, readable: Readable, rows: VersionTable, bucket: BucketId | undefined, from: RowKey | undefined, scanMax: number, placesMax: number
): PurgeWalk => {
  const prefix = bucket === undefined ? table[rows] : versionsPrefix(rows, bucket)
  const places: Array<VersionPlace> = []
  const shownAgain: Array<VersionPlace> = []
  let scanned = 0
  for (const [key, value] of reader.scan(from ?? prefix, afterPrefix(prefix))) {
    if (scanned >= scanMax || Math.max(places.length, shownAgain.length) >= placesMax) return { places, shownAgain, scanned, next: key }
    scanned += 1
    const source = idAt<BucketId>(key, 1, 16)
    const { ordinal, row, sequence } = foundOf(source, rows, key, value)
    const place = { source, rows, key: unescapeText(key.slice(versionPrefixLength, key.length - versionTailLength)), sequence, ordinal }
    if (isPurgeable(readable, place, row)) places.push(place)
    else if (isShownAgain(reader, readable, place, row)) shownAgain.push(place)
  }
  return { places, shownAgain, scanned, next: undefined }
}

/**
 * Whether rows that a bucket lists may be shown by no commit any more: of one that is there and has a lineage of one
 * interval, every listed row is shown by the newest.
 */
export const mayListPurgeable = (readable: Readable, bucket: BucketId): boolean => !readable.listsAll(bucket)

export interface StaleUpload {
  readonly bucket: string
  readonly key: string
  readonly upload: UploadId
}

/** Uploads that were begun before a time, and got no part since. */
export const staleUploads = (reader: StateReader, before: HybridTime, limit: number): ReadonlyArray<StaleUpload> => {
  const stale: Array<StaleUpload> = []
  for (const [key, value] of reader.scan(table.upload, afterPrefix(table.upload))) {
    if (stale.length >= limit) break
    const upload = idAt<UploadId>(key, key.length - 16, 16)
    if (!isIdleSince(reader, upload, uploadRow.decode(value), before)) continue
    const config = configName(reader, idAt<BucketId>(key, 1, 16))
    if (config !== undefined) stale.push({ bucket: config, key: unescapeText(nameIn(key)), upload })
  }
  return stale
}

const nameIn = (key: RowKey): ByteString => key.slice(17, key.length - 16 - endOfName.length)

/** Begun before a time, and no part came since. */
export const isIdleSince = (reader: StateReader, upload: UploadId, { started }: UploadRow, before: HybridTime): boolean => {
  if (started >= before) return false
  const prefix = partsPrefix(upload)
  for (const [, value] of reader.scan(prefix, afterPrefix(prefix))) if (partRow.decode(value).modified >= before) return false
  return true
}

/** A bucket with an upload under way is not deleted, so its name means it. */
const configName = (reader: StateReader, bucket: BucketId): string | undefined => {
  const prefix = bucketConfigPrefix(bucket)
  for (const [, value] of reader.scan(prefix, afterPrefix(prefix))) return bucketConfigRow.decode(value).name
  return undefined
}
