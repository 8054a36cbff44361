/**
 * Query: buckets, chunks, commits and points of time, read from the rows. It sits between the service, which adds
 * errors and the horizon, and the rows.
 */
import type { BlockId, ChunkId, Sequence, TenantId, VaultId, VertexHash } from "../base/ids.ts"
import { type HybridTime, millisOf } from "../base/time.ts"
import type { BlockArrival, BucketInfo, ChildVersion, ChunkRow } from "./Model.ts"
import { bucketConfigAt, bucketIdAt, type View } from "./QueryView.ts"
import {
  afterPrefix, ascending, ascendingAt, blockKey, bucketNamesPrefix, childrenPrefix, chunkKey, commitKey, endOfName, expiryPlaceOf, horizonKey, pastName, table, totalsKey, unescapeText
} from "./Rows.ts"
import { blockRow, childRow, chunkRow, commitRow, horizonRow, journaledRow, totalsRow } from "./RowsValue.ts"
import type { StateReader } from "./State.ts"

export const bucketInfo = ({ bucket: id, config }: Pick<View, "bucket" | "config">): BucketInfo => ({
  id, name: config.name, createdMs: millisOf(config.created), versioning: config.versioning, owner: config.owner
})

/** Every bucket of the tenant at a commit, by name. */
export const bucketsAt = (reader: StateReader, tenant: TenantId, at: Sequence): ReadonlyArray<BucketInfo> => {
  const buckets: Array<BucketInfo> = []
  const prefix = bucketNamesPrefix(tenant)
  const end = afterPrefix(prefix)
  let from = prefix
  while (true) {
    let name: string | undefined
    for (const [key] of reader.scan(from, end)) {
      name = key.slice(prefix.length, key.length - 8 - endOfName.length)
      break
    }
    if (name === undefined) return buckets
    const bucket = bucketIdAt(reader, tenant, unescapeText(name), at)
    if (bucket !== undefined) buckets.push(bucketInfo({ bucket, config: bucketConfigAt(reader, bucket, at) }))
    from = prefix + name + pastName
  }
}

export const chunksOf = (reader: StateReader, vault: VaultId, ids: ReadonlyArray<ChunkId>): ReadonlyArray<ChunkRow | undefined> =>
  reader.getMany(ids.map((id) => chunkKey(vault, id))).map((bytes, index) => {
    if (bytes === undefined) return undefined
    const row = chunkRow.decode(bytes)
    return row.copies.length === 0 ? undefined : { id: ids[index] as ChunkId, ...row }
  })

/** The oldest chunks whose only copy is in the journal, in journal order. */
export const journaledChunks = (reader: StateReader, vault: VaultId, limit: number): ReadonlyArray<ChunkRow> => {
  const ids: Array<ChunkId> = []
  for (const [, value] of reader.scan(table.journaled, afterPrefix(table.journaled))) {
    if (ids.length >= limit) break
    const row = journaledRow.decode(value)
    if (row.vault === vault) ids.push(row.chunk)
  }
  return chunksOf(reader, vault, ids).filter((row) => row !== undefined)
}

/** Through the lineage: a version inherited from a source bucket may have children there and here. */
export const childrenOf = (reader: StateReader, view: View, parent: VertexHash): ReadonlyArray<ChildVersion> =>
  view.lineage.flatMap(({ source, from, to }) => {
    const prefix = childrenPrefix(source, parent)
    return Array.from(reader.scan(prefix + ascending(from), prefix + ascending(to + 1)), ([rowKey, value]): ChildVersion => ({
      key: childRow.decode(value).key, sequence: ascendingAt(rowKey, prefix.length), ordinal: ascendingAt(rowKey, prefix.length + 8)
    }))
  }).sort((a, b) => a.sequence - b.sequence)

export const blockOf = (reader: StateReader, block: BlockId): BlockArrival | undefined => {
  const bytes = reader.get(blockKey(block))
  if (bytes === undefined) return undefined
  const { sizeBytes, hash, regions } = blockRow.decode(bytes)
  return { block, sizeBytes, hash, regions }
}

export const oldestReadable = (reader: StateReader): Sequence => {
  const bytes = reader.get(horizonKey)
  return bytes === undefined ? 0 : horizonRow.decode(bytes).oldestReadable
}

export const journaledBytes = (reader: StateReader): number => {
  const bytes = reader.get(totalsKey)
  return bytes === undefined ? 0 : totalsRow.decode(bytes).journaledBytes
}

/** When the version that expires first does, or did; undefined: none does. */
export const expiringSince = (reader: StateReader): number | undefined => {
  const first = reader.first(table.expiry, afterPrefix(table.expiry))
  return first === undefined ? undefined : expiryPlaceOf(first[0]).expiresMs
}

export const commitTime = (reader: StateReader, sequence: Sequence): HybridTime | undefined => {
  const bytes = reader.get(commitKey(sequence))
  return bytes === undefined ? undefined : commitRow.decode(bytes).time
}

/**
 * Newest commit up to `head` whose time is at or before `ms`; 0 where none. Times strictly increase: binary search, upwards
 * from `from`, of which that is known already, in steps that double.
 */
export const sequenceAt = (reader: StateReader, head: Sequence, ms: number, from: Sequence = 0): Sequence => {
  // A commit row that purging dropped is older than the horizon: older than what was asked, or refused anyway.
  const isBy = (sequence: Sequence): boolean => {
    const time = commitTime(reader, sequence)
    return time === undefined || millisOf(time) <= ms
  }
  let low = from
  let high = head
  // Of the whole history nothing is known: halves at once.
  for (let step = from === 0 ? head : 1; low + step < high; step *= 2) {
    if (isBy(low + step)) low += step
    else high = low + step - 1
  }
  while (low < high) {
    const middle = low + Math.ceil((high - low) / 2)
    if (isBy(middle)) low = middle
    else high = middle - 1
  }
  return low
}

