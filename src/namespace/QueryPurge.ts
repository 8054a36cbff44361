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
import type { VersionPlace } from "./Model.ts"
import { hiddenAt, inView, type View } from "./QueryView.ts"
import { afterPrefix, bucketConfigPrefix, bucketNamePrefix, descendingAt, lineageUserOf, lineageUsersPrefix } from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, bucketNameRow } from "./RowsValue.ts"
import type { VersionRow } from "./RowsVersion.ts"
import type { StateReader } from "./State.ts"

type Shown = Pick<View, "lineage">

/** The views of every bucket that can be read, each at the first commit at which it can. Remembers them for one state. */
export class Readable {
  readonly horizon: Sequence
  readonly #reader: StateReader
  readonly #views = new Map<BucketId, ReadonlyArray<Shown>>()

  constructor(reader: StateReader, horizon: Sequence) {
    this.#reader = reader
    this.horizon = horizon
  }

  /** Views that may show rows of the bucket: its own, and those of buckets that read through it. */
  viewsOf(source: BucketId): ReadonlyArray<Shown> {
    const known = this.#views.get(source)
    if (known !== undefined) return known
    const users = new Set([source])
    const prefix = lineageUsersPrefix(source)
    for (const [key] of this.#reader.scan(prefix, afterPrefix(prefix))) users.add(lineageUserOf(key))
    const views = [...users].flatMap((user) => this.#viewsThrough(user))
    this.#views.set(source, views)
    return views
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
