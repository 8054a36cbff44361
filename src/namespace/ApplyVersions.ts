/**
 * ApplyVersions: new versions, delete markers and hidden ones. It sits between the changes of objects and the version
 * rows. A row never loses its bytes here: what S3 no longer lists is hidden from a commit on, and history reads it.
 */
import { assert } from "../base/assert.ts"
import { versionHidesMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import { expiryOf } from "../base/timeToLive.ts"
import type { Commit } from "./ApplyCommit.ts"
import { noteChange } from "./ApplyHistory.ts"
import type { Attributes, Content, DeleteOutcome, DeleteTarget, Manifest, ObjectPart, Refusal, WriteCondition } from "./Model.ts"
import { oldestReadable } from "./Query.ts"
import { currentOf, type Found, isReachable, newestOf, nullVersionOf, versionOf, type View } from "./QueryView.ts"
import { childKey, expiryKey, nullVersionKey, versionIdOf, versionKey } from "./Rows.ts"
import { childRow, expiryRow, nullVersionRow } from "./RowsValue.ts"
import { encodeVersionRow, type Hide } from "./RowsVersion.ts"
import { encodeVertex, type Vertex, vertexFormat, vertexHead } from "./Vertex.ts"

/** What a new version says of itself; the rest is known only in apply. */
export interface NewVersion {
  readonly kind: "Object" | "DeleteMarker"
  readonly attributes: Attributes
  readonly content: Pick<Content, "sizeBytes" | "etag" | "etagIsMd5" | "checksum" | "manifest">
  readonly parts?: ReadonlyArray<ObjectPart>
}

/**
 * Judges a condition against the current version, a delete marker counting as absent (and one that expired is none). As S3: If-Match without an
 * object is NoSuchKey, any other failure PreconditionFailed.
 */
export const judge = (condition: WriteCondition | undefined, current: Found | undefined): Refusal | undefined => {
  if (condition === undefined) return undefined
  const etag = current === undefined || current.row.deleteMarker ? undefined : vertexHead(current.row.vertex).etag
  const { ifMatch, ifNoneMatch } = condition
  if (ifMatch !== undefined) {
    if (etag === undefined) return "NoSuchKey"
    if (ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"
  }
  if (ifNoneMatch !== undefined && etag !== undefined && (ifNoneMatch === "*" || ifNoneMatch === etag)) return "PreconditionFailed"
  return undefined
}

/** The id of a version that was added; undefined where versioning never was on. */
export interface Added {
  readonly versionId: string | undefined
}

/** Adds a version as the bucket's versioning says. Refused, it has changed nothing. */
export const addVersion = (commit: Commit, view: View, key: string, made: NewVersion, ordinal: number): Added | Refusal => {
  const { draft } = commit
  const { versioning } = view.config
  const nullVersion = versioning !== "Enabled"
  const parent = newestOf(draft, view, key)
  if (nullVersion) {
    // At most one null version is listed: the new one takes the place of the old.
    const old = versioning === "Unversioned" ? parent : nullVersionOf(draft, view, key)
    const refusal = old === undefined ? undefined : hide(commit, view, key, old)
    if (refusal !== undefined) return refusal
  }
  writeVersion(commit, view, key, made, ordinal, nullVersion, parent)
  if (versioning === "Unversioned") return { versionId: undefined }
  return { versionId: nullVersion ? "null" : versionIdOf(commit.entry.sequence, ordinal) }
}

/** The rows of a new version; what it takes the place of is hidden already. */
export const writeVersion = (
  commit: Commit, view: View, key: string, made: NewVersion, ordinal: number, nullVersion: boolean, parent: Found | undefined
): void => {
  const { draft, entry } = commit
  const { sizeBytes, etag, etagIsMd5, checksum, manifest } = made.content
  const vertex: Vertex = {
    format: vertexFormat, tenant: entry.tenant, vault: entry.vault, bucket: view.bucket, sequence: entry.sequence, ordinal,
    time: entry.time, kind: made.kind, sizeBytes, etag, etagIsMd5, key, attributes: made.attributes, manifest,
    ...(parent === undefined ? {} : { parent: parent.row.hash }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(made.parts === undefined ? {} : { parts: made.parts })
  }
  const bytes = encodeVertex(vertex)
  const deleteMarker = made.kind === "DeleteMarker"
  const expiresMs = expiryOf(made.attributes.headers, millisOf(entry.time))
  draft.put(
    versionKey("version", view.bucket, key, entry.sequence, ordinal),
    encodeVersionRow({ nullVersion, deleteMarker, hash: commit.vertexHash(entry.vault, bytes), hides: [], expiresMs, vertex: bytes })
  )
  if (expiresMs !== undefined) draft.put(expiryKey(expiresMs, view.bucket, entry.sequence, ordinal), expiryRow.encode({ key }))
  if (parent !== undefined) draft.put(childKey(view.bucket, parent.row.hash, entry.sequence, ordinal), childRow.encode({ key }))
  if (nullVersion && view.config.versioning !== "Unversioned") {
    draft.put(nullVersionKey(view.bucket, key), nullVersionRow.encode({ sequence: entry.sequence, ordinal }))
  }
  noteChange(commit, view)
}

/** From this commit on, S3 no longer lists the row in what reads through the bucket. Refused, it has changed nothing. */
export const hide = (commit: Commit, view: View, key: string, found: Found): Refusal | undefined => {
  const { draft, entry } = commit
  const old = found.row.hides.length < versionHidesMax ? found.row.hides : hidesThatMatter(commit, found.row.hides)
  if (old.length >= versionHidesMax) return "TooManyHides"
  const row = encodeVersionRow({ ...copyOf(found), hides: [...old, { bucket: view.bucket, sequence: entry.sequence }] })
  // A row of another bucket of the lineage stays where that bucket lists it.
  const rows = found.source === view.bucket ? "hidden" : found.rows
  if (rows !== found.rows) draft.remove(versionKey(found.rows, found.source, key, found.sequence, found.ordinal))
  draft.put(versionKey(rows, found.source, key, found.sequence, found.ordinal), row)
  if (found.row.nullVersion && draft.get(nullVersionKey(view.bucket, key)) !== undefined) draft.remove(nullVersionKey(view.bucket, key))
  noteChange(commit, view)
  return undefined
}

/** Without those of buckets that no read can reach any more. */
const hidesThatMatter = ({ draft }: Commit, hides: ReadonlyArray<Hide>): ReadonlyArray<Hide> => {
  const horizon = oldestReadable(draft)
  return hides.filter(({ bucket }) => isReachable(draft, bucket, horizon))
}

const copyOf = ({ row }: Found) => ({ nullVersion: row.nullVersion, deleteMarker: row.deleteMarker, hash: row.hash, expiresMs: row.expiresMs, vertex: row.vertex })

const noBytes: Manifest = { _tag: "Inline", bytes: new Uint8Array(0) }
export const marker: NewVersion = {
  kind: "DeleteMarker",
  attributes: { headers: {}, userMetadata: {} },
  content: { sizeBytes: 0, etag: "", etagIsMd5: false, manifest: noBytes }
}

/** One target of DeleteObjects. A refused one changes nothing; the others of its commit go on. */
export const deleteTarget = (commit: Commit, view: View, target: DeleteTarget, ordinal: number): DeleteOutcome => {
  const { key, versionId, condition } = target
  if (versionId !== undefined) return deleteVersion(commit, view, target, versionId)
  const current = condition === undefined && view.config.versioning === "Enabled" ? undefined : currentOf(commit.draft, view, key)
  const refusal = judge(condition, current)
  if (refusal !== undefined) return { key, deleteMarker: false, refusal }
  if (view.config.versioning === "Unversioned") {
    const full = current === undefined ? undefined : hide(commit, view, key, current)
    return { key, deleteMarker: false, ...(full === undefined ? {} : { refusal: full }) }
  }
  const added = addVersion(commit, view, key, marker, ordinal)
  if (typeof added === "string") return { key, deleteMarker: false, refusal: added }
  const { versionId: deleteMarkerVersionId } = added
  assert(deleteMarkerVersionId !== undefined, "a versioned bucket gives its markers ids")
  return { key, deleteMarker: true, deleteMarkerVersionId }
}

/** An id that names nothing is no error: S3 answers 204, so that deleting twice is deleting once. */
const deleteVersion = (commit: Commit, view: View, { key, condition }: DeleteTarget, versionId: string): DeleteOutcome => {
  const found = versionOf(commit.draft, view, key, versionId)
  const refusal = judge(condition, found)
  if (refusal !== undefined) return { key, versionId, deleteMarker: false, refusal }
  if (found === undefined) return { key, versionId, deleteMarker: false }
  const full = hide(commit, view, key, found)
  if (full !== undefined) return { key, versionId, deleteMarker: false, refusal: full }
  return found.row.deleteMarker
    ? { key, versionId, deleteMarker: true, deleteMarkerVersionId: versionId }
    : { key, versionId, deleteMarker: false }
}

