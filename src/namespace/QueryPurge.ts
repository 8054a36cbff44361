/**
 * QueryPurge: which version rows no readable commit shows (R5). It sits between the horizon and the collector, which
 * looks for such rows, and apply, which judges each again.
 *
 * Let H be the oldest readable commit. A row of commit s <= H is in the view of a bucket at every commit of [H, head] or
 * at none, as long as the bucket keeps its configuration; and once hidden in it, it stays hidden. So it is shown by no
 * readable commit iff in every bucket that reads through its source, for every configuration that was in force at some
 * commit from H on, it is hidden (or not in view) at the first of these commits. What rollbacks and branches to come
 * will show is a view of the past, so it is among these.
 */
import type { BucketId, Sequence } from "../base/ids.ts"
import { versionHidesMax } from "../base/limits.ts"
import type { VersionPlace } from "./Model.ts"
import { hiddenAt, inView, type View } from "./QueryView.ts"
import {
  afterPrefix, bucketConfigPrefix, bucketNamePrefix, descendingAt, expiryKey, lastChangeKey, lineageUserKey, lineageUserOf, lineageUsersPrefix, uploadsPrefix, versionsPrefix
} from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, bucketNameRow } from "./RowsValue.ts"
import type { VersionRow } from "./RowsVersion.ts"
import type { RowKey, StateReader } from "./State.ts"

type Shown = Pick<View, "lineage">

/** The views of every bucket that can be read, each at the first commit at which it can. Remembers them for one state. */
export class Readable {
  readonly horizon: Sequence
  readonly #reader: StateReader
  readonly #views = new Map<BucketId, ReadonlyArray<Shown>>()
  readonly #newestViews = new Map<BucketId, ReadonlyArray<Shown>>()

  constructor(reader: StateReader, horizon: Sequence) {
    this.#reader = reader
    this.horizon = horizon
  }

  /** Views that may show rows of the bucket: its own, and those of buckets that read through it. */
  viewsOf(source: BucketId): ReadonlyArray<Shown> {
    const known = this.#views.get(source)
    if (known !== undefined) return known
    const views = [...this.#usersOf(source)].flatMap((user) => this.#viewsThrough(user))
    this.#views.set(source, views)
    return views
  }

  #usersOf(source: BucketId): ReadonlySet<BucketId> {
    const users = new Set([source])
    const prefix = lineageUsersPrefix(source)
    for (const [key] of this.#reader.scan(prefix, afterPrefix(prefix))) users.add(lineageUserOf(key))
    return users
  }

  /** The same, each at the newest commit; of those that have a name then. */
  newestViewsOf(source: BucketId): ReadonlyArray<Shown> {
    const known = this.#newestViews.get(source)
    if (known !== undefined) return known
    const views = [...this.#usersOf(source)].flatMap((user) => this.#newestView(user))
    this.#newestViews.set(source, views)
    return views
  }

  #newestView(bucket: BucketId): ReadonlyArray<Shown> {
    const prefix = bucketConfigPrefix(bucket)
    for (const [, value] of this.#reader.scan(prefix, afterPrefix(prefix))) {
      const config = bucketConfigRow.decode(value)
      return this.#mappedUntil(bucket, config) === Number.MAX_SAFE_INTEGER ? [{ lineage: lineageAt(config, Number.MAX_SAFE_INTEGER) }] : []
    }
    return []
  }

  /** Whether the newest commit shows every row that the bucket lists: it is there, and reads its own rows only. */
  listsAll(bucket: BucketId): boolean {
    const prefix = bucketConfigPrefix(bucket)
    for (const [, value] of this.#reader.scan(prefix, afterPrefix(prefix))) {
      const config = bucketConfigRow.decode(value)
      return config.lineage.length === 1 && this.#mappedUntil(bucket, config) === Number.MAX_SAFE_INTEGER
    }
    return false
  }

  #viewsThrough(bucket: BucketId): ReadonlyArray<Shown> {
    const prefix = bucketConfigPrefix(bucket)
    const views: Array<Shown> = []
    let end: Sequence | undefined
    // Newest first: each is in force until the one before it in this order came.
    for (const [key, value] of this.#reader.scan(prefix, afterPrefix(prefix))) {
      const from = descendingAt(key, key.length - 8)
      const config = bucketConfigRow.decode(value)
      end ??= this.#mappedUntil(bucket, config)
      if (end < this.horizon) break
      const at = Math.max(this.horizon, from)
      if (at <= end) views.push({ lineage: lineageAt(config, at) })
      end = from - 1
    }
    return views
  }

  /** The last commit at which a name means the bucket; -1 where none can be read. */
  #mappedUntil(bucket: BucketId, { tenant, name }: BucketConfigRow): Sequence {
    const prefix = bucketNamePrefix(tenant, name)
    let until = Number.MAX_SAFE_INTEGER
    for (const [key, value] of this.#reader.scan(prefix, afterPrefix(prefix))) {
      if (bucketNameRow.decode(value).bucket === bucket) return until
      until = descendingAt(key, key.length - 8) - 1
      if (until < this.horizon) return -1
    }
    return -1
  }
}

const lineageAt = ({ lineage }: BucketConfigRow, at: Sequence): View["lineage"] =>
  lineage.filter(({ from }) => from <= at).map(({ source, from, to }) => ({ source, from, to: Math.min(to ?? at, at) }))

/** Whether no commit that can be read shows the row. */
export const isPurgeable = (readable: Readable, { source, sequence }: Pick<VersionPlace, "source" | "sequence">, row: VersionRow): boolean =>
  sequence <= readable.horizon
  && readable.viewsOf(source).every((view) => !inView(view, source, sequence) || hiddenAt(view, row) !== undefined)

/** Whether the row's turn to expire has been, and the newest commit shows it nevertheless. */
export const isShownAgain = (reader: StateReader, readable: Readable, { source, sequence, ordinal }: Pick<VersionPlace, "source" | "sequence" | "ordinal">, row: VersionRow): boolean =>
  // Of one that was hidden too often nothing more can be said.
  row.expiresMs !== undefined && row.hides.length < versionHidesMax
  && reader.get(expiryKey(row.expiresMs, source, sequence, ordinal)) === undefined
  && readable.newestViewsOf(source).some((view) => inView(view, source, sequence) && hiddenAt(view, row) === undefined)

/**
 * Configurations and names that a later one has taken the place of by the horizon, oldest first, so that what is left
 * never says more than before; and all of a bucket that was deleted by then and of which nothing is left.
 */
export const supersededRows = (reader: StateReader, bucket: BucketId, horizon: Sequence): ReadonlyArray<RowKey> => {
  const prefix = bucketConfigPrefix(bucket)
  const configs = Array.from(reader.scan(prefix, afterPrefix(prefix)))
  const newest = configs[0]
  if (newest === undefined) return []
  const { tenant, name, lineage } = bucketConfigRow.decode(newest[1])
  const names = bucketNamePrefix(tenant, name)
  const namings = Array.from(reader.scan(names, afterPrefix(names)))
  const old = [...supersededBy(horizon, namings.map(([key]) => key)), ...supersededBy(horizon, configs.map(([key]) => key))]
  const current = namings.find(([key]) => sequenceOf(key) <= horizon)
  // Nothing is older than it any more, so a name without a bucket says nothing.
  const ended = current !== undefined && bucketNameRow.decode(current[1]).bucket === undefined ? [current[0]] : []
  const mapped = namings.some(([key, value]) => bucketNameRow.decode(value).bucket === bucket && !old.includes(key))
  if (mapped || isUsed(reader, bucket)) return [...old, ...ended]
  const users = [lastChangeKey(bucket), ...lineage.map(({ source }) => lineageUserKey(source, bucket))].filter((key) => reader.get(key) !== undefined)
  return [...old, ...ended, ...users, ...configs.map(([key]) => key).filter((key) => !old.includes(key))]
}

/** Keys of rows, newest first, without the newest at or before the horizon and those after it; oldest first. */
const supersededBy = (horizon: Sequence, keys: ReadonlyArray<RowKey>): ReadonlyArray<RowKey> => {
  const current = keys.findIndex((key) => sequenceOf(key) <= horizon)
  return current < 0 ? [] : keys.slice(current + 1).reverse()
}

const sequenceOf = (key: RowKey): Sequence => descendingAt(key, key.length - 8)

/** A row of the bucket's own, or another bucket that reads through it. */
const isUsed = (reader: StateReader, bucket: BucketId): boolean => {
  const prefixes = [versionsPrefix("version", bucket), versionsPrefix("hidden", bucket), uploadsPrefix(bucket), lineageUsersPrefix(bucket)]
  return prefixes.some((prefix) => {
    for (const _ of reader.scan(prefix, afterPrefix(prefix))) return true
    return false
  })
}
