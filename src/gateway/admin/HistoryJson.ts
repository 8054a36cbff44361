/** HistoryJson: what `ouroboros log` shows of versions, as JSON; and the form in which a point of history is asked. */
import { DateTime } from "effect"
import { millisOf } from "../../base/time.ts"
import type { AsOf, ObjectVersion, VersionPage } from "../../namespace/Model.ts"

export interface VersionJson {
  readonly key: string
  readonly versionId: string
  readonly sequence: number
  readonly time: string
  readonly sizeBytes: number
  readonly etag: string
  readonly vertex: string
  /** The vertex it was written over. */
  readonly parent?: string
  /** "current": what a GET reads; "version": listed by S3; "hidden": read only AS OF. */
  readonly state: "current" | "version" | "hidden"
  readonly deleteMarker: boolean
  readonly hiddenAt?: number
  readonly expires?: string
}

const iso = (ms: number): string => DateTime.formatIso(DateTime.makeUnsafe(ms))

const versionJson = (version: ObjectVersion): VersionJson => ({
  key: version.key,
  versionId: version.versionId,
  sequence: version.sequence,
  time: iso(millisOf(version.time)),
  sizeBytes: version.sizeBytes,
  etag: version.etag,
  vertex: version.vertex,
  ...(version.parent === undefined ? {} : { parent: version.parent }),
  state: version.hiddenAt !== undefined ? "hidden" : version.isLatest ? "current" : "version",
  deleteMarker: version.deleteMarker,
  ...(version.hiddenAt === undefined ? {} : { hiddenAt: version.hiddenAt }),
  ...(version.expiresMs === undefined ? {} : { expires: iso(version.expiresMs) })
})

export interface HistoryPageJson {
  readonly versions: ReadonlyArray<VersionJson>
  readonly next?: { readonly key: string; readonly versionId?: string }
}

/** With `key`, only that key's versions: the query's prefix also finds longer keys. */
export const historyJson = (page: VersionPage, key: string | null): HistoryPageJson => {
  const versions = page.versions.filter((version) => key === null || version.key === key).map(versionJson)
  const more = page.next !== undefined && (key === null || page.next.key === key)
  return { versions, ...(more && page.next !== undefined ? { next: page.next } : {}) }
}

/** A commit sequence in digits or an ISO 8601 time; undefined where nothing is asked. */
export const parseAsOf = (text: string | null): AsOf | undefined | "Malformed" => {
  if (text === null) return undefined
  if (/^\d{1,15}$/.test(text)) return { _tag: "Sequence", sequence: Number(text) }
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? "Malformed" : { _tag: "Time", ms }
}
