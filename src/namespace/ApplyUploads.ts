/**
 * ApplyUploads: multipart uploads: created, filled part by part, completed or aborted, and their parts dropped. It sits
 * between their changes and the rows of uploads and parts. Ending an upload is one row; its parts go by bounded
 * commits afterwards (R9).
 */
import { refused, type Commit } from "./ApplyCommit.ts"
import { addVersion, judge } from "./ApplyVersions.ts"
import type { UploadId } from "../base/ids.ts"
import { commitRowsMax, partBytesMin } from "../base/limits.ts"
import type { Answer, Change, CompletedPart, Refusal } from "./Model.ts"
import { isIdleSince } from "./QueryGarbage.ts"
import { currentOf, type View } from "./QueryView.ts"
import { afterPrefix, endedUploadKey, partKey, partsPrefix, uploadKey } from "./Rows.ts"
import { type EndedUploadRow, endedUploadRow, partRow, uploadRow } from "./RowsValue.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

export const createUpload = ({ draft, entry }: Commit, view: View, change: Of<"CreateUpload">): Answer => {
  const { key, upload, attributes, checksum } = change
  const { tenant, vault, time: started, author: owner } = entry
  draft.put(
    uploadKey(view.bucket, key, upload),
    uploadRow.encode({ tenant, vault, started, owner, attributes, ...(checksum === undefined ? {} : { checksum }) })
  )
  return { _tag: "Done" }
}

/** A part uploaded again takes the place of the earlier one. */
export const putPart = ({ draft, entry, chunks }: Commit, view: View, change: Of<"PutPart">): Answer => {
  const { key, upload, partNumber, content } = change
  if (draft.get(uploadKey(view.bucket, key, upload)) === undefined) return refused("NoSuchUpload")
  if (!chunks.arrive(content.arrivals, content.blocks) || !chunks.reference(content.manifest)) return refused("ChunkMissing")
  const rowKey = partKey(upload, partNumber)
  const old = draft.get(rowKey)
  if (old !== undefined) chunks.release(partRow.decode(old).manifest)
  const { tenant, vault, time: modified } = entry
  const { sizeBytes, etag, etagIsMd5, checksum, manifest } = content
  draft.put(rowKey, partRow.encode({
    tenant, vault, sizeBytes, etag, etagIsMd5, modified, manifest, ...(checksum === undefined ? {} : { checksum })
  }))
  return { _tag: "Stored", versionId: undefined, etag, ...(checksum === undefined ? {} : { checksum }) }
}

export const completeUpload = (commit: Commit, view: View, change: Of<"CompleteUpload">): Answer => {
  const { draft, entry, chunks } = commit
  const { key, upload, parts, content, objectParts } = change
  const rowKey = uploadKey(view.bucket, key, upload)
  const row = draft.get(rowKey)
  if (row === undefined) return completedBefore(commit, view, change)
  const refusal = judgeParts(commit, change) ?? judge(change.condition, currentOf(draft, view, key))
  if (refusal !== undefined) return refused(refusal)
  if (!chunks.arrive(content.arrivals, content.blocks) || !chunks.reference(content.manifest)) return refused("ChunkMissing")
  const { attributes } = uploadRow.decode(row)
  const added = addVersion(commit, view, key, { kind: "Object", attributes, content, parts: objectParts }, 0)
  if (typeof added === "string") return refused(added)
  const { versionId } = added
  const { etag, checksum } = content
  const ended: EndedUploadRow = {
    tenant: entry.tenant, vault: entry.vault, bucket: view.bucket, key,
    completed: {
      parts: parts.map(({ partNumber }) => partNumber), etag,
      ...(versionId === undefined ? {} : { versionId }), ...(checksum === undefined ? {} : { checksum })
    }
  }
  draft.remove(rowKey)
  draft.put(endedUploadKey(upload), endedUploadRow.encode(ended))
  return { _tag: "Stored", versionId, etag, ...(checksum === undefined ? {} : { checksum }) }
}

const judgeParts = ({ draft }: Commit, { upload, parts, content }: Of<"CompleteUpload">): Refusal | undefined => {
  if (parts.length === 0) return "InvalidPart"
  if (!parts.every(({ partNumber }, index) => index === 0 || partNumber > (parts[index - 1] as CompletedPart).partNumber)) {
    return "InvalidPartOrder"
  }
  const rows = draft.getMany(parts.map(({ partNumber }) => partKey(upload, partNumber)))
  let sizeBytes = 0
  for (const [index, { etag }] of parts.entries()) {
    const bytes = rows[index]
    const part = bytes === undefined ? undefined : partRow.decode(bytes)
    if (part === undefined || part.etag !== etag) return "InvalidPart"
    if (index < parts.length - 1 && part.sizeBytes < partBytesMin) return "EntityTooSmall"
    sizeBytes += part.sizeBytes
  }
  // A part was replaced after its bytes were joined.
  return sizeBytes === content.sizeBytes ? undefined : "InvalidPart"
}

/** S3 answers a completion that is sent again as it did the first time, for as long as the upload is remembered. */
const completedBefore = ({ draft }: Commit, view: View, { key, upload, parts }: Of<"CompleteUpload">): Answer => {
  const bytes = draft.get(endedUploadKey(upload))
  const ended = bytes === undefined ? undefined : endedUploadRow.decode(bytes)
  if (ended?.completed === undefined || ended.bucket !== view.bucket || ended.key !== key) return refused("NoSuchUpload")
  const { completed } = ended
  const same = completed.parts.length === parts.length && completed.parts.every((number, index) => number === parts[index]?.partNumber)
  if (!same) return refused("NoSuchUpload")
  const { versionId, etag, checksum } = completed
  return { _tag: "Stored", versionId, etag, ...(checksum === undefined ? {} : { checksum }) }
}

export const abortUpload = (commit: Commit, view: View, { key, upload }: Of<"AbortUpload">): Answer => {
  if (commit.draft.get(uploadKey(view.bucket, key, upload)) === undefined) return refused("NoSuchUpload")
  abort(commit, view, key, upload)
  return { _tag: "Done" }
}

/** What was ended or gone on with meanwhile is left alone. */
export const abortStaleUpload = (commit: Commit, view: View, { key, upload, before }: Of<"AbortStaleUpload">): Answer => {
  const row = commit.draft.get(uploadKey(view.bucket, key, upload))
  const isStale = row !== undefined && isIdleSince(commit.draft, upload, uploadRow.decode(row), before)
  if (isStale) abort(commit, view, key, upload)
  return { _tag: "Collected", items: isStale ? 1 : 0, bytes: 0, remaining: false }
}

const abort = ({ draft, entry: { tenant, vault } }: Commit, view: View, key: string, upload: UploadId): void => {
  draft.remove(uploadKey(view.bucket, key, upload))
  draft.put(endedUploadKey(upload), endedUploadRow.encode({ tenant, vault, bucket: view.bucket, key }))
}

/** Rows of one commit that are not the parts' or their chunks': the commit's, the totals, the ended upload's. */
const rowsBeside = 8

/** Drops parts of an ended upload, as many as the limit and the bounds of a commit allow. */
export const dropParts = ({ draft, chunks }: Commit, { upload, limit }: Of<"DropParts">): Answer => {
  const endedKey = endedUploadKey(upload)
  if (draft.get(endedKey) === undefined) return { _tag: "Dropped", remaining: false }
  const prefix = partsPrefix(upload)
  let dropped = 0
  let rows = rowsBeside
  for (const [key, value] of draft.scan(prefix, afterPrefix(prefix))) {
    const { manifest } = partRow.decode(value)
    // A chunk that it was the last to name is condemned: two rows.
    rows += 1 + (manifest._tag === "Inline" ? 0 : 2 * manifest.entries.length)
    if (dropped >= limit || rows > commitRowsMax) return { _tag: "Dropped", remaining: true }
    chunks.release(manifest)
    draft.remove(key)
    dropped += 1
  }
  draft.remove(endedKey)
  return { _tag: "Dropped", remaining: false }
}
