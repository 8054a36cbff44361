/**
 * QueryCensus: all rows of a kind, whoever's they are, for verification and scrub: blocks, chunks, and everything that
 * names chunks. It sits between these and the rows; everything is read lazily and survives writes in between.
 */
import type { BlockId, BucketId, ChunkId, Sequence, TenantId, UploadId, VaultId } from "../base/ids.ts"
import { toHex, fromByteString, type ByteString } from "../base/bytes.ts"
import type { BlockArrival, ChunkRow, Manifest, ManifestEntry } from "./Model.ts"
import { bucketConfigAt, bucketIdAt, foundOf, isVisible, viewAt } from "./QueryView.ts"
import {
  afterPrefix, ascendingAt, blockKey, chunkKey, journaledKey, partKey, stagedPageKey, table, totalsKey, unescapeText, versionIdOf, versionKey, versionPrefixLength, versionTailLength, type VersionTable
} from "./Rows.ts"
import { blockRow, chunkRow, journaledRow, partRow, stagedPageRow, totalsRow } from "./RowsValue.ts"
import { decodeVersionRow } from "./RowsVersion.ts"
import type { RowKey, StateReader } from "./State.ts"
import { decodeVertex, decodeVertexTrusted } from "./Vertex.ts"

const idAt = <Id extends string>(key: RowKey, offset: number, length: number): Id => toHex(fromByteString(key.slice(offset, offset + length))) as Id

/** Blocks that rows name, by id, after `after`. */
export function* blocksNamed(reader: StateReader, after?: BlockId): Generator<BlockArrival> {
  const from = after === undefined ? table.block : `${blockKey(after)}\0`
  for (const [key, value] of reader.scan(from, afterPrefix(table.block))) {
    const { hash, regions, sizeBytes } = blockRow.decode(value)
    yield { block: idAt<BlockId>(key, 1, 16), sizeBytes, hash, regions }
  }
}

/** Chunks of the vault by id, from `from` on. */
export function* chunksKnown(reader: StateReader, vault: VaultId, from?: ChunkId): Generator<ChunkRow> {
  const all = chunkKey(vault, "" as ChunkId)
  for (const [key, value] of reader.scan(from === undefined ? all : chunkKey(vault, from), afterPrefix(all))) {
    yield { id: idAt<ChunkId>(key, 17, 32), ...chunkRow.decode(value) }
  }
}

/** The row of one chunk, also where it has no copy. */
export const chunkKnown = (reader: StateReader, vault: VaultId, id: ChunkId): ChunkRow | undefined => {
  const value = reader.get(chunkKey(vault, id))
  return value === undefined ? undefined : { id, ...chunkRow.decode(value) }
}

/** The chunk that the journal's table has at a place. */
export const journaledAt = (reader: StateReader, segment: number, offset: number): ChunkId | undefined => {
  const value = reader.get(journaledKey(segment, offset))
  return value === undefined ? undefined : journaledRow.decode(value).chunk
}

export function* journaledPlaces(reader: StateReader): Generator<{ readonly segment: number; readonly offset: number; readonly chunk: ChunkId }> {
  for (const [key, value] of reader.scan(table.journaled, afterPrefix(table.journaled))) {
    yield { segment: ascendingAt(key, 1), offset: ascendingAt(key, 9), chunk: journaledRow.decode(value).chunk }
  }
}

export const journaledTotal = (reader: StateReader): number => {
  const value = reader.get(totalsKey)
  return value === undefined ? 0 : totalsRow.decode(value).journaledBytes
}

/** Who names chunks: a version, a part of an upload, or a page of a manifest. */
export type Holder =
  | { readonly _tag: "Version"; readonly source: BucketId; readonly rows: VersionTable; readonly name: ByteString
      readonly sequence: Sequence; readonly ordinal: number; readonly nullVersion: boolean }
  | { readonly _tag: "Part"; readonly upload: UploadId; readonly partNumber: number }
  | { readonly _tag: "Page"; readonly page: ChunkId; readonly level: number }

/** `level`: of the pages that the entries name; 0 where they name chunks. `value` is the row's. */
export interface Naming {
  readonly holder: Holder
  readonly level: number
  readonly entries: ReadonlyArray<ManifestEntry>
  readonly value: Uint8Array
}

const noEntries: ReadonlyArray<ManifestEntry> = []
const entriesOf = (manifest: Manifest): Pick<Naming, "level" | "entries"> =>
  manifest._tag === "Inline" ? { level: 0, entries: noEntries }
    : { level: manifest._tag === "Pages" ? manifest.level : 0, entries: manifest.entries }

const namingTables = [table.version, table.hidden, table.part, table.stagedPage] as const

/** What one row names; undefined for rows of other tables. */
export const namingOf = (key: RowKey, value: Uint8Array): Naming | undefined => {
  switch (key[0]) {
    case table.version: case table.hidden: {
      const rows: VersionTable = key[0] === table.version ? "version" : "hidden"
      const { ordinal, row, sequence } = foundOf(idAt<BucketId>(key, 1, 16), rows, key, value)
      const name = key.slice(versionPrefixLength, key.length - versionTailLength)
      const holder: Holder = { _tag: "Version", source: idAt<BucketId>(key, 1, 16), rows, name, sequence, ordinal, nullVersion: row.nullVersion }
      return { holder, ...entriesOf(row.deleteMarker ? { _tag: "Inline", bytes: value } : decodeVertexTrusted(row.vertex).manifest), value }
    }
    case table.part: {
      const holder: Holder = { _tag: "Part", upload: idAt<UploadId>(key, 1, 16), partNumber: key.charCodeAt(17) * 256 + key.charCodeAt(18) }
      return { holder, ...entriesOf(partRow.decode(value).manifest), value }
    }
    case table.stagedPage: {
      const { entries, level } = stagedPageRow.decode(value)
      return { holder: { _tag: "Page", page: idAt<ChunkId>(key, 17, 32), level }, level: level - 1, entries, value }
    }
    default:
      return undefined
  }
}

/** Everything that names chunks. */
export function* namings(reader: StateReader): Generator<Naming> {
  for (const prefix of namingTables) {
    for (const [key, value] of reader.scan(prefix, afterPrefix(prefix))) {
      const naming = namingOf(key, value)
      if (naming !== undefined) yield naming
    }
  }
}

/** Whether a holder's row is still there: in the same table. */
export const isHeld = (reader: StateReader, vault: VaultId, holder: Holder): boolean => {
  switch (holder._tag) {
    case "Version":
      return reader.get(versionRowKey(holder)) !== undefined
    case "Part":
      return reader.get(partKey(holder.upload, holder.partNumber)) !== undefined
    case "Page":
      return reader.get(stagedPageKey(vault, holder.page)) !== undefined
  }
}

const versionRowKey = ({ name, ordinal, rows, sequence, source }: Extract<Holder, { readonly _tag: "Version" }>): RowKey =>
  versionKey(rows, source, unescapeText(name), sequence, ordinal)

/** An object's version as people name it. */
export interface VersionNamed {
  readonly bucket: string
  readonly key: string
  readonly versionId: string
  readonly sequence: Sequence
  /** S3 no longer lists it: only history reads it. */
  readonly isHistory: boolean
}

export const versionNamed = (
  reader: StateReader, tenant: TenantId, head: Sequence, { name, nullVersion, ordinal, rows, sequence, source }: Extract<Holder, { readonly _tag: "Version" }>
): VersionNamed => {
  const { name: bucket } = bucketConfigAt(reader, source, head)
  const key = unescapeText(name)
  const value = reader.get(versionKey(rows, source, key, sequence, ordinal))
  const view = bucketIdAt(reader, tenant, bucket, head) === source ? viewAt(reader, tenant, bucket, head, head, 0) : undefined
  // Whether it is hidden does not hang on the time, and what has expired is not history yet.
  const isHistory = view === undefined || value === undefined ||
    !isVisible(view, { source, rows, sequence, ordinal, row: decodeVersionRow(value) })
  return { bucket, key, versionId: nullVersion ? "null" : versionIdOf(sequence, ordinal), sequence, isHistory }
}

/** What is wrong with a version's row in itself: its name, its place, its sizes. */
export const versionFault = (
  vertexHash: (bytes: Uint8Array) => string, { holder, value }: Naming
): string | undefined => {
  if (holder._tag !== "Version") return undefined
  const row = decodeVersionRow(value)
  if (vertexHash(row.vertex) !== row.hash) return "its vertex is not what its hash says"
  const vertex = decodeVertex(row.vertex)
  if (vertex.key !== unescapeText(holder.name) || vertex.sequence !== holder.sequence || vertex.bucket !== holder.source) return "its vertex is another version's"
  const { manifest, sizeBytes } = vertex
  const sum = manifest._tag === "Inline" ? manifest.bytes.length : manifest.entries.reduce((total, entry) => total + entry.sizeBytes, 0)
  return sum === sizeBytes || row.deleteMarker ? undefined : `its manifest covers ${sum} bytes of ${sizeBytes}`
}
