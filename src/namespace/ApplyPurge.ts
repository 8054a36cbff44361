/**
 * ApplyPurge: history behind the horizon goes (R5): version rows that no readable commit shows, then what is left of
 * commits, names and configurations. It sits between the collector, which proposes candidates, and the rows; every
 * candidate is judged here, from the state alone.
 */
import type { Commit } from "./ApplyCommit.ts"
import { commitRowsMax } from "../base/limits.ts"
import type { Draft } from "./Draft.ts"
import type { Answer, Change, VersionPlace } from "./Model.ts"
import { oldestReadable } from "./Query.ts"
import { isPurgeable, Readable, supersededRows } from "./QueryPurge.ts"
import { childKey, commitKey, expiryKey, nullVersionKey, table, versionKey } from "./Rows.ts"
import { nullVersionRow } from "./RowsValue.ts"
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
    for (const key of supersededRows(draft, bucket, horizon)) {
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
