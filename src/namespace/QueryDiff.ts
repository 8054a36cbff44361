/**
 * QueryDiff: which keys two views show differently: a bucket at two commits, or a branch beside its source. It sits
 * between the service and the cursor, which walks the rows of both views once, however many of them the two share.
 */
import { equalBytes } from "../base/bytes.ts"
import { diffNamesMax } from "../base/limits.ts"
import type { DiffEntry, DiffPage, DiffQuery, Manifest, ObjectVersion } from "./Model.ts"
import { Cursor } from "./QueryCursor.ts"
import { namesOf, objectVersion } from "./QueryList.ts"
import { type Found, isExpired, isVisible, type View } from "./QueryView.ts"
import { unescapeText } from "./Rows.ts"
import type { StateReader } from "./State.ts"

/** A bucket that is not there: it shows nothing. */
export const nothingOf = (view: View): View => ({ ...view, lineage: [], sources: [] })

/** By key. Reads at most diffNamesMax names, so a page may be empty and have a next one. */
export const diffOf = (reader: StateReader, from: View, to: View, query: DiffQuery): DiffPage => {
  const names = namesOf({ ...query, delimiter: "" })
  const entries: Array<DiffEntry> = []
  if (query.limit <= 0 || names.from >= names.end) return { entries }
  const cursor = new Cursor(reader, unionOf(from, to), names.from, names.end)
  let read = 0
  let last = ""
  for (let name = cursor.name; name !== undefined; name = cursor.name) {
    if (read >= diffNamesMax || entries.length >= query.limit) return { entries, next: unescapeText(last) }
    const entry = entryOf(cursor, from, to, name)
    if (entry !== undefined) entries.push(entry)
    read += 1
    last = name
    cursor.seekPast(name)
  }
  return { entries }
}

/** Every row that either view may show. */
const unionOf = (a: View, b: View): View => {
  const sources = [...a.sources]
  for (const source of b.sources) {
    if (!sources.some(({ bucket, rows }) => bucket === source.bucket && rows === source.rows)) sources.push(source)
  }
  return { ...b, at: Math.max(a.at, b.at), lineage: [...a.lineage, ...b.lineage], sources }
}

const entryOf = (cursor: Cursor, from: View, to: View, name: string): DiffEntry | undefined => {
  let before: Found | undefined
  let after: Found | undefined
  for (const found of cursor.rowsOf(name)) {
    if (before === undefined && isVisible(from, found)) before = found
    if (after === undefined && isVisible(to, found)) after = found
    if (before !== undefined && after !== undefined) break
  }
  if (before === after && (before === undefined || isExpired(from, before.row) === isExpired(to, before.row))) return undefined
  const key = unescapeText(name)
  const old = shownOf(from, key, before)
  const now = shownOf(to, key, after)
  if (old === undefined) return now === undefined ? undefined : { _tag: "Added", key, to: now }
  if (now === undefined) return { _tag: "Removed", key, from: old }
  return { _tag: "Changed", key, from: old, to: now, sameBytes: haveSameBytes(old, now) }
}

/** A delete marker shows nothing, nor does what has expired. */
const shownOf = (view: View, key: string, found: Found | undefined): ObjectVersion | undefined =>
  found === undefined || found.row.deleteMarker || isExpired(view, found.row) ? undefined : objectVersion(key, found, true, undefined)

/** Only where it is certain: the same bytes uploaded in other parts are cut into other chunks. */
const haveSameBytes = (a: ObjectVersion, b: ObjectVersion): boolean => a.sizeBytes === b.sizeBytes && sameManifest(a.manifest, b.manifest)

const sameManifest = (a: Manifest, b: Manifest): boolean => {
  if (a._tag === "Inline") return b._tag === "Inline" && equalBytes(a.bytes, b.bytes)
  return b._tag === a._tag && a.entries.length === b.entries.length && a.entries.every(({ chunk }, index) => chunk === b.entries[index]?.chunk)
}
