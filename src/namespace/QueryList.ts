/**
 * QueryList: listings of a bucket in a view: objects, versions, history. It sits between the gateway's pages and the
 * cursor. Order is that of UTF-8 bytes; what a page skips (older versions, names under a common prefix) is never read.
 */
import type { ByteString } from "../base/bytes.ts"
import type { Sequence, VertexHash } from "../base/ids.ts"
import type { HybridTime } from "../base/time.ts"
import type {
  Attributes, Checksum, ListQuery, Manifest, ObjectPage, ObjectPart, ObjectVersion, VersionPage, VersionQuery
} from "./Model.ts"
import { Cursor } from "./QueryCursor.ts"
import { type Found, hiddenAt, isExpired, newestOf, type View } from "./QueryView.ts"
import type { VersionRow } from "./RowsVersion.ts"
import { afterPrefix, escapeText, pastName, unescapeText, versionIdOf } from "./Rows.ts"
import type { StateReader } from "./State.ts"
import { decodeVertexTrusted, type Vertex, vertexChecksum, vertexHead } from "./Vertex.ts"

/** The version as reads see it. What a listing does not show is decoded when it is asked for, or comes as `decoded`. */
export const objectVersion = (
  key: string, found: Found, isLatest: boolean, hidden: Sequence | undefined, decoded?: Vertex
): ObjectVersion => new RowVersion(key, found, isLatest, hidden, decoded) as ObjectVersion

/** A page has a thousand of them: getters of a class, not closures of each. */
class RowVersion {
  readonly key: string
  readonly sequence: Sequence
  readonly isLatest: boolean
  readonly versionId: string
  readonly time: HybridTime
  readonly deleteMarker: boolean
  readonly sizeBytes: number
  readonly etag: string
  readonly hiddenAt?: Sequence
  readonly expiresMs?: number
  readonly #row: VersionRow
  #whole: Vertex | undefined

  constructor(key: string, { ordinal, row, sequence }: Found, isLatest: boolean, hidden: Sequence | undefined, decoded: Vertex | undefined) {
    const { etag, sizeBytes, time } = decoded ?? vertexHead(row.vertex)
    this.key = key
    this.sequence = sequence
    this.isLatest = isLatest
    this.versionId = row.nullVersion ? "null" : versionIdOf(sequence, ordinal)
    this.time = time
    this.deleteMarker = row.deleteMarker
    this.sizeBytes = sizeBytes
    this.etag = etag
    if (hidden !== undefined) this.hiddenAt = hidden
    if (row.expiresMs !== undefined) this.expiresMs = row.expiresMs
    this.#row = row
    this.#whole = decoded
  }

  get attributes(): Attributes {
    return this.#vertex.attributes
  }

  get checksum(): Checksum | undefined {
    return this.#whole === undefined ? vertexChecksum(this.#row.vertex) : this.#whole.checksum
  }

  get parts(): ReadonlyArray<ObjectPart> | undefined {
    return this.#vertex.parts
  }

  get manifest(): Manifest {
    return this.#vertex.manifest
  }

  get vertex(): VertexHash {
    return this.#row.hash
  }

  get parent(): VertexHash | undefined {
    return this.#vertex.parent
  }

  get #vertex(): Vertex {
    return (this.#whole ??= decodeVertexTrusted(this.#row.vertex))
  }
}

/** Escaped bounds of what a query asks for, and how it groups names. */
export interface Names {
  readonly prefix: ByteString
  readonly delimiter: ByteString
  /** Where to begin, and the end, exclusive. */
  readonly from: ByteString
  readonly end: ByteString
}

/** After "é" and the like no byte is 0xff, so a prefix has an end; the empty one ends with the table. */
const endOf = (prefix: ByteString): ByteString => (prefix === "" ? "\xff" : afterPrefix(prefix))

/** The common prefix that covers `name`; undefined: it stands for itself. */
export const commonPrefixOf = ({ prefix, delimiter }: Names, name: ByteString): ByteString | undefined => {
  if (delimiter === "") return undefined
  const index = name.indexOf(delimiter, prefix.length)
  return index < 0 ? undefined : name.slice(0, index + delimiter.length)
}

/** `after` is passed over, and if it is itself a common prefix, so is all that it covers. */
export const namesOf = (query: ListQuery, inclusive = false): Names => {
  const prefix = escapeText(query.prefix)
  const names = { prefix, delimiter: escapeText(query.delimiter), from: prefix, end: endOf(prefix) }
  const after = escapeText(query.after)
  if (after === "") return names
  const covers = after.startsWith(prefix) && commonPrefixOf(names, after) === after
  const from = covers ? afterPrefix(after) : inclusive ? after : after + pastName
  return { ...names, from: from > prefix ? from : prefix }
}

export const listObjects = (reader: StateReader, view: View, query: ListQuery): ObjectPage => {
  const names = namesOf(query)
  const versions: Array<ObjectVersion> = []
  const commonPrefixes: Array<string> = []
  if (query.limit <= 0 || names.from >= names.end) return { versions, commonPrefixes }
  const cursor = new Cursor(reader, view, names.from, names.end)
  let last = ""
  for (let name = cursor.name; name !== undefined; name = cursor.name) {
    const found = visibleOf(cursor, view, name)
    if (found === undefined || found.row.deleteMarker || isExpired(view, found.row)) {
      cursor.seekPast(name)
      continue
    }
    if (versions.length + commonPrefixes.length >= query.limit) return { versions, commonPrefixes, next: last }
    const common = commonPrefixOf(names, name)
    last = unescapeText(common ?? name)
    if (common === undefined) {
      versions.push(objectVersion(last, found, true, undefined))
      cursor.seekPast(name)
    } else {
      commonPrefixes.push(last)
      cursor.seek(afterPrefix(common))
    }
  }
  return { versions, commonPrefixes }
}

const visibleOf = (cursor: Cursor, view: View, name: ByteString): Found | undefined => {
  for (const found of cursor.rowsOf(name)) if (hiddenAt(view, found.row) === undefined) return found
  return undefined
}

/** Versions and delete markers, newest first by key; with `history`, also those that S3 no longer lists. */
export const listVersions = (reader: StateReader, view: View, query: VersionQuery, history: boolean): VersionPage => {
  const { after, afterVersionId, limit } = query
  const names = namesOf(query, afterVersionId !== undefined)
  const versions: Array<ObjectVersion> = []
  const commonPrefixes: Array<string> = []
  if (limit <= 0 || names.from >= names.end) return { versions, commonPrefixes }
  const cursor = new Cursor(reader, view, names.from, names.end)
  let next: VersionPage["next"]
  // Versions of the key that a page ended in are passed until the one that it ended with.
  let passing = afterVersionId === undefined ? undefined : { name: escapeText(after), versionId: afterVersionId }
  for (let name = cursor.name; name !== undefined; name = cursor.name) {
    const common = commonPrefixOf(names, name)
    const key = unescapeText(name)
    let current: Found | undefined
    if (passing?.name !== name || (passing.versionId === nullVersionId && !history && !hasNull(reader, view, name))) passing = undefined
    else current = newestOf(reader, view, key)
    for (const found of cursor.rowsOf(name)) {
      const hidden = hiddenAt(view, found.row)
      if (hidden !== undefined && !history) continue
      const isNewest: boolean = hidden === undefined && (current === undefined || samePlace(current, found))
      if (isNewest) current = found
      if (passing !== undefined) {
        const place = placeOf(found, passing.versionId, history)
        if (place !== "Before") passing = undefined
        if (place !== "After") continue
      }
      const expired = isExpired(view, found.row)
      if (expired && !history) continue
      if (versions.length + commonPrefixes.length >= limit) return { versions, commonPrefixes, ...(next === undefined ? {} : { next }) }
      if (common !== undefined) {
        const text = unescapeText(common)
        commonPrefixes.push(text)
        next = { key: text }
        break
      }
      const version = objectVersion(key, found, isNewest && !expired, hidden)
      versions.push(version)
      next = { key, versionId: history ? versionIdOf(found.sequence, found.ordinal) : version.versionId }
    }
    passing = undefined
    if (common !== undefined && next?.key === unescapeText(common)) cursor.seek(afterPrefix(common))
    else cursor.seekPast(name)
  }
  return { versions, commonPrefixes }
}

const samePlace = (a: Found, b: Found): boolean => a.sequence === b.sequence && a.ordinal === b.ordinal && a.source === b.source

const nullVersionId = "null"

/** Where the version of that name is gone, nobody knows where it was: its key is shown again, from the newest version on. */
const hasNull = (reader: StateReader, view: View, name: ByteString): boolean => {
  for (const { row } of new Cursor(reader, view, name, afterPrefix(name)).rowsOf(name)) {
    if (row.nullVersion && hiddenAt(view, row) === undefined) return true
  }
  return false
}

/**
 * Where a row lies, newest first, to the one that the previous page ended with. That one may be gone: clients that empty a
 * bucket delete each page before they ask for the next. Ids of versions are digits of fixed length, in the order of commits.
 */
const placeOf = ({ row, sequence, ordinal }: Found, versionId: string, history: boolean): "Before" | "Same" | "After" => {
  if (versionId === nullVersionId && !history) return row.nullVersion ? "Same" : "Before"
  const own = versionIdOf(sequence, ordinal)
  if (own === versionId && (history || !row.nullVersion)) return "Same"
  return own > versionId ? "Before" : "After"
}

