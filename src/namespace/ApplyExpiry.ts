/**
 * ApplyExpiry: versions whose time is over become hidden ones, so that retention and collection treat them like any
 * other. It sits between housework, which proposes, and the version rows. No reader waits for it: what has expired is not
 * shown from that moment on (QueryView.ts), hidden or not.
 */
import { commitRowsMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import type { BucketId } from "../base/ids.ts"
import type { Commit } from "./ApplyCommit.ts"
import { hide, marker, writeVersion } from "./ApplyVersions.ts"
import type { Draft } from "./Draft.ts"
import type { Answer, Change } from "./Model.ts"
import { configAt, type Found, foundOf, inView, hiddenAt, isExpired, newestOf, type View, viewAt } from "./QueryView.ts"
import {
  afterPrefix, ascending, expiryKey, type ExpiryPlace, expiryPlaceOf, lineageUserOf, lineageUsersPrefix, table, versionKey, type VersionTable
} from "./Rows.ts"
import { expiryRow } from "./RowsValue.ts"
import { decodeVersionRow } from "./RowsVersion.ts"

export const expireVersions = (commit: Commit, { limit }: Extract<Change, { readonly _tag: "ExpireVersions" }>): Answer => {
  const { draft, entry } = commit
  const nowMs = millisOf(entry.time)
  let hidden = 0
  let markers = 0
  for (const [rowKey, value] of draft.scan(table.expiry, table.expiry + ascending(nowMs + 1))) {
    if (hidden >= limit || draft.size > commitRowsMax / 2) return { _tag: "Dropped", remaining: true }
    const place = expiryPlaceOf(rowKey)
    const { key } = expiryRow.decode(value)
    draft.remove(rowKey)
    // Every bucket that may see the row, each by its own lineage.
    const outcomes = [place.bucket, ...usersOf(draft, place.bucket)].map((bucket) => expireIn(commit, bucket, place, key, markers))
    if (outcomes.some((outcome) => outcome !== "Gone")) hidden += 1
    if (outcomes.includes("Replaced")) markers += 1
  }
  return { _tag: "Dropped", remaining: false }
}

/** Of rows that are there; a row of commits to come is looked at when its turn has come. */
export const expireAgain = ({ draft }: Commit, { rows }: Extract<Change, { readonly _tag: "ExpireAgain" }>): Answer => {
  for (const { source, rows: where, key, sequence, ordinal } of rows) {
    const value = draft.get(versionKey(where, source, key, sequence, ordinal))
    const expiresMs = value === undefined ? undefined : decodeVersionRow(value).expiresMs
    if (expiresMs !== undefined) draft.put(expiryKey(expiresMs, source, sequence, ordinal), expiryRow.encode({ key }))
  }
  return { _tag: "Done" }
}

const usersOf = (draft: Draft, source: BucketId): ReadonlyArray<BucketId> => {
  const prefix = lineageUsersPrefix(source)
  return Array.from(draft.scan(prefix, afterPrefix(prefix)), ([rowKey]) => lineageUserOf(rowKey))
}

/** Gone: it is to be seen no more. Replaced: a delete marker has its place. */
type Outcome = "Gone" | "Hidden" | "Replaced"

/** Hides the version in one bucket that sees it, where it is still to be seen. */
const expireIn = (commit: Commit, bucket: BucketId, place: ExpiryPlace, key: string, ordinal: number): Outcome => {
  const { draft } = commit
  const view = viewOf(commit, bucket)
  const found = view === undefined ? undefined : foundAt(commit, view, place, key)
  if (view === undefined || found === undefined) return "Gone"
  const newest = newestOf(draft, view, key)
  // Hidden too often: it stays, and stays unseen.
  if (hide(commit, view, key, found) !== undefined) return "Gone"
  if (newest === undefined || newest.sequence !== found.sequence || newest.ordinal !== found.ordinal || newest.source !== found.source) return "Hidden"
  const older = newestOf(draft, view, key)
  // Where an older version would come back, a delete marker takes the place of the one that is gone, under an id of its kind.
  if (older === undefined || older.row.deleteMarker || isExpired(view, older.row)) return "Hidden"
  writeVersion(commit, view, key, marker, ordinal, found.row.nullVersion, found)
  return "Replaced"
}

/** The bucket as it is now; undefined where no name leads to it any more, or all of it was dropped. */
const viewOf = ({ draft, entry: { sequence, time } }: Commit, bucket: BucketId): View | undefined => {
  const config = configAt(draft, bucket, sequence)
  if (config === undefined) return undefined
  const { tenant, name } = config
  const view = viewAt(draft, tenant, name, sequence, sequence, millisOf(time))
  return view?.bucket === bucket ? view : undefined
}

const tables: ReadonlyArray<VersionTable> = ["version", "hidden"]

const foundAt = ({ draft }: Commit, view: View, { bucket, sequence, ordinal }: ExpiryPlace, key: string): Found | undefined => {
  for (const rows of tables) {
    const rowKey = versionKey(rows, bucket, key, sequence, ordinal)
    const value = draft.get(rowKey)
    if (value === undefined) continue
    const found = foundOf(bucket, rows, rowKey, value)
    return inView(view, bucket, sequence) && hiddenAt(view, found.row) === undefined ? found : undefined
  }
  return undefined
}
