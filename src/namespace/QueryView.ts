/**
 * QueryView: a bucket as it is seen at one commit, through its lineage (R5). It sits between the rows, which are never
 * moved by rollback or branch, and everything that asks what is visible: listings, reads, and the conditions of apply.
 *
 * A row (source, s) is in a view at S iff some interval of the lineage has that source and from <= s <= min(to, S). It
 * is visible iff it is in the view and none of its hides (source, h) is: the same rule for hides as for rows.
 */
import { assert } from "../base/assert.ts"
import type { BucketId, Sequence, TenantId } from "../base/ids.ts"
import { expiredScannedMax } from "../base/limits.ts"
import type { RowKey, StateReader } from "./State.ts"
import {
  afterPrefix, bucketConfigKey, bucketConfigPrefix, bucketNameKey, bucketNamePrefix, descendingAt, endOfName, escapeText,
  lineageUsersPrefix, nullVersionKey, parseVersionId, pastName, versionKey, versionPrefixLength, versionsPrefix, versionTail, type VersionTable
} from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, bucketNameRow, type LineageInterval, nullVersionRow } from "./RowsValue.ts"
import { decodeVersionRow, type VersionRow } from "./RowsVersion.ts"
import { ordinalMax } from "./Vertex.ts"

export interface View {
  readonly bucket: BucketId
  readonly config: BucketConfigRow
  readonly at: Sequence
  /** The point of time: what has expired by then is not shown. */
  readonly atMs: number
  /** Clipped at `at`; oldest first. */
  readonly lineage: ReadonlyArray<{ readonly source: BucketId; readonly from: Sequence; readonly to: Sequence }>
  /** What the view reads: a source and one of its two tables. */
  readonly sources: ReadonlyArray<{ readonly bucket: BucketId; readonly rows: VersionTable }>
}

/** A version row with its place. */
export interface Found {
  readonly source: BucketId
  readonly rows: VersionTable
  readonly sequence: Sequence
  readonly ordinal: number
  readonly row: VersionRow
}

const first = (rows: Iterable<readonly [RowKey, Uint8Array]>): readonly [RowKey, Uint8Array] | undefined => {
  for (const row of rows) return row
  return undefined
}

/** The bucket that `name` meant at commit `at`. */
export const bucketIdAt = (reader: StateReader, tenant: TenantId, name: string, at: Sequence): BucketId | undefined => {
  const row = reader.first(bucketNameKey(tenant, name, at), afterPrefix(bucketNamePrefix(tenant, name)))
  return row === undefined ? undefined : bucketNameRow.decode(row[1]).bucket
}

export const bucketConfigAt = (reader: StateReader, bucket: BucketId, at: Sequence): BucketConfigRow => {
  const config = configAt(reader, bucket, at)
  assert(config !== undefined, `bucket ${bucket} has a name and no configuration at commit ${at}`)
  return config
}

/** Undefined where the bucket was not there yet, or everything of it was dropped. */
export const configAt = (reader: StateReader, bucket: BucketId, at: Sequence): BucketConfigRow | undefined => {
  const row = reader.first(bucketConfigKey(bucket, at), afterPrefix(bucketConfigPrefix(bucket)))
  return row === undefined ? undefined : bucketConfigRow.decode(row[1])
}

/** Whether any commit from `horizon` on can be read through the bucket: by its name, or by the lineage of another. */
export const isReachable = (reader: StateReader, bucket: BucketId, horizon: Sequence): boolean => {
  const users = lineageUsersPrefix(bucket)
  if (first(reader.scan(users, afterPrefix(users))) !== undefined) return true
  const prefix = bucketConfigPrefix(bucket)
  const newest = first(reader.scan(prefix, afterPrefix(prefix)))
  // A bucket that has left no configuration was dropped for good.
  if (newest === undefined) return false
  const { tenant, name } = bucketConfigRow.decode(newest[1])
  const names = bucketNamePrefix(tenant, name)
  for (const [key, value] of reader.scan(names, afterPrefix(names))) {
    if (bucketNameRow.decode(value).bucket === bucket) return true
    // What the name meant before this commit cannot be read.
    if (descendingAt(key, key.length - 8) <= horizon) return false
  }
  return false
}

/**
 * The bucket as commit `at` left it; undefined where there was none. `head` is the newest commit: a view of it through
 * a single interval needs no hidden rows, so what S3 no longer lists costs a listing nothing.
 */
export const viewAt = (
  reader: StateReader, tenant: TenantId, name: string, at: Sequence, head: Sequence, atMs: number, history = false
): View | undefined => {
  const bucket = bucketIdAt(reader, tenant, name, at)
  if (bucket === undefined) return undefined
  const config = bucketConfigAt(reader, bucket, at)
  const lineage = config.lineage.filter(({ from }) => from <= at).map(({ source, from, to }) => ({ source, from, to: Math.min(to ?? at, at) }))
  const buckets = [...new Set(lineage.map(({ source }) => source))]
  const listedOnly = !history && at >= head && config.lineage.length === 1
  const tables: ReadonlyArray<VersionTable> = listedOnly ? ["version"] : ["version", "hidden"]
  return { bucket, config, at, atMs, lineage, sources: buckets.flatMap((source) => tables.map((rows) => ({ bucket: source, rows }))) }
}

/** Whether what happened to `source` at `sequence` is part of the view. */
export const inView = (view: Pick<View, "lineage">, source: BucketId, sequence: Sequence): boolean => {
  for (const interval of view.lineage) {
    if (interval.source === source && interval.from <= sequence && sequence <= interval.to) return true
  }
  return false
}

/** Since when the row is hidden in the view; undefined: it is not. */
export const hiddenAt = (view: Pick<View, "lineage">, row: VersionRow): Sequence | undefined => {
  for (const hide of row.hides) if (inView(view, hide.bucket, hide.sequence)) return hide.sequence
  return undefined
}

export const isVisible = (view: View, found: Found): boolean =>
  inView(view, found.source, found.sequence) && hiddenAt(view, found.row) === undefined

/** Whether the row has expired in the view. It then counts as a delete marker that no listing shows. */
export const isExpired = (view: View, row: VersionRow): boolean => row.expiresMs !== undefined && row.expiresMs <= view.atMs

/** Of a version row, from the end of its key, or of what is left of that. */
export const sequenceOf = (key: RowKey): Sequence => descendingAt(key, key.length - 10)

/** Reads the place of a version row from the end of its key. */
export const foundOf = (source: BucketId, rows: VersionTable, key: RowKey, value: Uint8Array): Found => {
  const end = key.length
  return {
    source, rows,
    sequence: sequenceOf(key),
    ordinal: ordinalMax - (key.charCodeAt(end - 2) * 256 + key.charCodeAt(end - 1)),
    row: decodeVersionRow(value)
  }
}

const newer = (a: Found, b: Found): boolean => a.sequence > b.sequence || (a.sequence === b.sequence && a.ordinal > b.ordinal)

/** Versions of one key in the view, newest first, hidden ones too; read lazily. */
export function* versionsOf(reader: StateReader, view: View, key: string): Generator<Found> {
  const escaped = escapeText(key)
  const cursors = view.sources.map(({ bucket, rows }) => {
    const prefix = versionsPrefix(rows, bucket) + escaped
    const iterator = reader.scan(prefix + versionTail(view.at, ordinalMax), prefix + pastName)[Symbol.iterator]()
    const advance = (): Found | undefined => {
      const step = iterator.next()
      return step.done === true ? undefined : foundOf(bucket, rows, step.value[0], step.value[1])
    }
    return { advance, found: advance() }
  })
  while (true) {
    let best: (typeof cursors)[number] | undefined
    for (const cursor of cursors) {
      if (cursor.found === undefined) continue
      if (best?.found === undefined || newer(cursor.found, best.found)) best = cursor
    }
    if (best?.found === undefined) return
    const found = best.found
    best.found = best.advance()
    if (inView(view, found.source, found.sequence)) yield found
  }
}

/** What S3 calls current: the newest visible version of a key, unless that has expired; an older one does not come back. */
export const currentOf = (reader: StateReader, view: View, key: string): Found | undefined => {
  const found = newestOf(reader, view, key)
  return found === undefined || isExpired(view, found.row) ? undefined : found
}

/** The newest visible version of a key, expired or not: what a new one is written over. */
export const newestOf = (reader: StateReader, view: View, key: string): Found | undefined => {
  // The common case at the cost of a point read a table: the newest row of all is the one.
  const newest = newestRowOf(reader, view, key)
  if (newest === undefined || isVisible(view, newest)) return newest
  for (const found of versionsOf(reader, view, key)) if (hiddenAt(view, found.row) === undefined) return found
  return undefined
}

/** The newest row of a key up to the view's commit, in the view or not. */
const newestRowOf = (reader: StateReader, view: View, key: string): Found | undefined => {
  const escaped = escapeText(key)
  const tail = versionTail(view.at, ordinalMax)
  let newest: Found | undefined
  for (const { bucket, rows } of view.sources) {
    const prefix = versionsPrefix(rows, bucket) + escaped
    const row = reader.first(prefix + tail, prefix + pastName)
    const found = row === undefined ? undefined : foundOf(bucket, rows, row[0], row[1])
    if (found !== undefined && (newest === undefined || newer(found, newest))) newest = found
  }
  return newest
}

/** The visible version that an id ("null" or 20 hex digits) names; one that has expired answers to none. */
export const versionOf = (reader: StateReader, view: View, key: string, versionId: string): Found | undefined => {
  const found = namedOf(reader, view, key, versionId)
  return found === undefined || isExpired(view, found.row) ? undefined : found
}

const namedOf = (reader: StateReader, view: View, key: string, versionId: string): Found | undefined => {
  if (versionId === "null") return nullVersionOf(reader, view, key)
  const place = parseVersionId(versionId)
  if (place === undefined || place.sequence > view.at) return undefined
  for (const { bucket, rows } of view.sources) {
    const rowKey = versionKey(rows, bucket, key, place.sequence, place.ordinal)
    const value = reader.get(rowKey)
    if (value === undefined) continue
    const found = foundOf(bucket, rows, rowKey, value)
    // A null version answers to "null" only.
    return !found.row.nullVersion && isVisible(view, found) ? found : undefined
  }
  return undefined
}

/**
 * The visible null version, expired or not. Of the newest commit: the row that the pointer names, else the oldest listed row, where
 * versions from before versioning lie; so a key with many versions costs two reads. Of the past: a walk.
 */
export const nullVersionOf = (reader: StateReader, view: View, key: string): Found | undefined => {
  const only = view.sources[0]
  if (view.sources.length !== 1 || only === undefined) {
    for (const found of versionsOf(reader, view, key)) {
      if (found.row.nullVersion && hiddenAt(view, found.row) === undefined) return found
    }
    return undefined
  }
  const prefix = versionsPrefix("version", only.bucket) + escapeText(key)
  const pointer = reader.get(nullVersionKey(only.bucket, key))
  const place = pointer === undefined ? undefined : nullVersionRow.decode(pointer)
  const row = place === undefined
    ? first(reader.scan(prefix + endOfName, prefix + pastName, true))
    : first(reader.scan(prefix + versionTail(place.sequence, place.ordinal), prefix + pastName))
  if (row === undefined) return undefined
  const found = foundOf(only.bucket, "version", row[0], row[1])
  return found.row.nullVersion && isVisible(view, found) ? found : undefined
}

/**
 * Whether S3 lists no version in the view. Bounded: views of the newest commit read one row, and those that expired and
 * wait to be hidden; where many wait, the bucket counts as used until they are. Not so of a bucket of several intervals: it passes
 * every row that its sources have and it does not show, about half a microsecond each (`node bench/history.ts`, its last line).
 */
export const isEmpty = (reader: StateReader, view: View): boolean => {
  let expired = 0
  for (const { bucket, rows } of view.sources) {
    const prefix = versionsPrefix(rows, bucket)
    for (const [key, value] of reader.scan(prefix, afterPrefix(prefix))) {
      assert(key.length > versionPrefixLength, "a version row has a name")
      // Its key alone says that it is not in the view: after a rollback that may be so of most rows.
      if (!inView(view, bucket, sequenceOf(key))) continue
      const found = foundOf(bucket, rows, key, value)
      if (hiddenAt(view, found.row) !== undefined) continue
      expired += 1
      if (expired > expiredScannedMax || !isExpired(view, found.row)) return false
    }
  }
  return true
}

export type { LineageInterval }
