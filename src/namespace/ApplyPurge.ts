/**
 * ApplyPurge: history behind the horizon goes (R5): version rows that no readable commit shows, then what is left of
 * commits, names and configurations. It sits between the collector, which proposes candidates, and the rows; every
 * candidate is judged here, from the state alone.
 */
import type { Commit } from "./ApplyCommit.ts"
import type { BucketId, Sequence } from "../base/ids.ts"
import { commitRowsMax } from "../base/limits.ts"
import type { Draft } from "./Draft.ts"
import type { Answer, Change, VersionPlace } from "./Model.ts"
import { oldestReadable } from "./Query.ts"
import { isPurgeable, Readable } from "./QueryPurge.ts"
import {
  afterPrefix, bucketConfigPrefix, bucketNamePrefix, childKey, commitKey, descendingAt, expiryKey, lineageUserKey, lineageUsersPrefix, nullVersionKey, table,
  uploadsPrefix, versionKey, versionsPrefix
} from "./Rows.ts"
import { bucketConfigRow, bucketNameRow, nullVersionRow } from "./RowsValue.ts"
import { decodeVersionRow } from "./RowsVersion.ts"
import { decodeVertex } from "./Vertex.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

/** Rows of one commit that are not the versions' or their chunks': the commit's, the totals. */
const rowsBeside = 8

/** As many of the rows as a commit may change; those that some readable commit shows stay. */
export const purgeVersions = (commit: Commit, { rows: places }: Of<"PurgeVersions">): Answer => {
  const { draft, chunks } = commit
  const readable = new Readable(draft, oldestReadable(draft))
  let rows = rowsBeside
  let items = 0
  let bytes = 0
  for (const place of places) {
    const key = versionKey(place.rows, place.source, place.key, place.sequence, place.ordinal)
    const value = draft.get(key)
    if (value === undefined) continue
    const row = decodeVersionRow(value)
    if (!isPurgeable(readable, place, row)) continue
    const { manifest, parent, sizeBytes } = decodeVertex(row.vertex)
    rows += 4 + (manifest._tag === "Inline" ? 0 : 2 * manifest.entries.length)
    if (rows > commitRowsMax) return { _tag: "Collected", items, bytes, remaining: true }
    chunks.release(manifest)
    draft.remove(key)
    if (parent !== undefined) draft.remove(childKey(place.source, parent, place.sequence, place.ordinal))
    if (row.expiresMs !== undefined) draft.remove(expiryKey(row.expiresMs, place.source, place.sequence, place.ordinal))
    forgetNullVersion(draft, place)
    items += 1
    bytes += sizeBytes
  }
  return { _tag: "Collected", items, bytes, remaining: false }
}

const forgetNullVersion = (draft: Draft, { source, key, sequence, ordinal }: VersionPlace): void => {
  const pointer = nullVersionKey(source, key)
  const bytes = draft.get(pointer)
  if (bytes === undefined) return
  const named = nullVersionRow.decode(bytes)
  if (named.sequence === sequence && named.ordinal === ordinal) draft.remove(pointer)
}

/** Commits before the horizon (its own stays, so that a time before it is known as such), and rows of buckets. */
export const dropHistory = ({ draft }: Commit, { before, limit, buckets }: Of<"DropHistory">): Answer => {
  const horizon = oldestReadable(draft)
  const rowsMax = Math.min(limit, commitRowsMax - rowsBeside)
  let items = 0
  for (const bucket of buckets) {
    for (const key of superseded(draft, bucket, horizon)) {
      if (items >= rowsMax) return { _tag: "Collected", items, bytes: 0, remaining: true }
      draft.remove(key)
      items += 1
    }
  }
  for (const [key] of draft.scan(table.commit, commitKey(Math.min(before, horizon)))) {
    if (items >= rowsMax) return { _tag: "Collected", items, bytes: 0, remaining: true }
    draft.remove(key)
    items += 1
  }
  return { _tag: "Collected", items, bytes: 0, remaining: false }
}

/**
 * Configurations and names that a later one has taken the place of by the horizon, oldest first, so that what is left
 * never says more than before; and all of a bucket that was deleted by then and of which nothing is left.
 */
const superseded = (draft: Draft, bucket: BucketId, horizon: Sequence): ReadonlyArray<string> => {
  const prefix = bucketConfigPrefix(bucket)
  const configs = Array.from(draft.scan(prefix, afterPrefix(prefix)))
  const newest = configs[0]
  if (newest === undefined) return []
  const { tenant, name, lineage } = bucketConfigRow.decode(newest[1])
  const names = bucketNamePrefix(tenant, name)
  const namings = Array.from(draft.scan(names, afterPrefix(names)))
  const old = [...supersededBy(horizon, namings.map(([key]) => key)), ...supersededBy(horizon, configs.map(([key]) => key))]
  const current = namings.find(([key]) => sequenceOf(key) <= horizon)
  // Nothing is older than it any more, so a name without a bucket says nothing.
  const ended = current !== undefined && bucketNameRow.decode(current[1]).bucket === undefined ? [current[0]] : []
  const mapped = namings.some(([key, value]) => bucketNameRow.decode(value).bucket === bucket && !old.includes(key))
  if (mapped || isUsed(draft, bucket)) return [...old, ...ended]
  const users = lineage.map(({ source }) => lineageUserKey(source, bucket)).filter((key) => draft.get(key) !== undefined)
  return [...old, ...ended, ...users, ...configs.map(([key]) => key).filter((key) => !old.includes(key))]
}

/** Keys of rows, newest first, without the newest at or before the horizon and those after it; oldest first. */
const supersededBy = (horizon: Sequence, keys: ReadonlyArray<string>): ReadonlyArray<string> => {
  const current = keys.findIndex((key) => sequenceOf(key) <= horizon)
  return current < 0 ? [] : keys.slice(current + 1).reverse()
}

const sequenceOf = (key: string): Sequence => descendingAt(key, key.length - 8)

/** A row of the bucket's own, or another bucket that reads through it. */
const isUsed = (draft: Draft, bucket: BucketId): boolean => {
  const prefixes = [versionsPrefix("version", bucket), versionsPrefix("hidden", bucket), uploadsPrefix(bucket), lineageUsersPrefix(bucket)]
  return prefixes.some((prefix) => {
    for (const _ of draft.scan(prefix, afterPrefix(prefix))) return true
    return false
  })
}
