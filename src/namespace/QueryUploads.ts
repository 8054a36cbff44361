/** QueryUploads: uploads under way and their parts, as they are now. Between the gateway's pages and the rows. */
import type { ByteString } from "../base/bytes.ts"
import { fromByteString, toHex } from "../base/bytes.ts"
import type { UploadId } from "../base/ids.ts"
import { millisOf } from "../base/time.ts"
import type { ListQuery, PartInfo, UploadInfo } from "./Model.ts"
import { commonPrefixOf, namesOf } from "./QueryList.ts"
import type { View } from "./QueryView.ts"
import { afterPrefix, endOfName, partKey, partsPrefix, table, unescapeText, uploadKey, uploadsPrefix } from "./Rows.ts"
import { partRow, uploadRow } from "./RowsValue.ts"
import type { StateReader } from "./State.ts"

export type UploadQuery = ListQuery & { readonly afterUpload?: UploadId }

export interface UploadPage {
  readonly uploads: ReadonlyArray<UploadInfo>
  readonly commonPrefixes: ReadonlyArray<string>
  readonly next?: { readonly key: string; readonly upload?: UploadId }
}

export interface PartPage {
  readonly parts: ReadonlyArray<PartInfo>
  readonly next?: number
}

const idBytes = 16

const uploadInfo = (key: string, upload: UploadId, value: Uint8Array): UploadInfo => {
  const { started, attributes, checksum } = uploadRow.decode(value)
  return { upload, key, startedMs: millisOf(started), attributes, ...(checksum === undefined ? {} : { checksum }) }
}

export const uploadOf = (reader: StateReader, view: View, key: string, upload: UploadId): UploadInfo | undefined => {
  const value = reader.get(uploadKey(view.bucket, key, upload))
  return value === undefined ? undefined : uploadInfo(key, upload, value)
}

/** By key, then by upload id. */
export const listUploads = (reader: StateReader, view: View, query: UploadQuery): UploadPage => {
  const { after, afterUpload, limit } = query
  const names = namesOf(query, afterUpload !== undefined)
  const uploads: Array<UploadInfo> = []
  const commonPrefixes: Array<string> = []
  let next: UploadPage["next"]
  if (limit <= 0 || names.from >= names.end) return { uploads, commonPrefixes }
  const prefix = uploadsPrefix(view.bucket)
  const passed = afterUpload === undefined ? undefined : uploadKey(view.bucket, after, afterUpload)
  let from: ByteString | undefined = prefix + names.from
  while (from !== undefined) {
    let skipTo: ByteString | undefined
    for (const [rowKey, value] of reader.scan(from, prefix + names.end)) {
      if (passed !== undefined && rowKey <= passed) continue
      if (uploads.length + commonPrefixes.length >= limit) return { uploads, commonPrefixes, ...(next === undefined ? {} : { next }) }
      const name = rowKey.slice(prefix.length, rowKey.length - idBytes - endOfName.length)
      const common = commonPrefixOf(names, name)
      if (common === undefined) {
        const key = unescapeText(name)
        const upload = toHex(fromByteString(rowKey.slice(-idBytes))) as UploadId
        uploads.push(uploadInfo(key, upload, value))
        next = { key, upload }
      } else {
        const text = unescapeText(common)
        commonPrefixes.push(text)
        next = { key: text }
        skipTo = prefix + afterPrefix(common)
        break
      }
    }
    from = skipTo
  }
  return { uploads, commonPrefixes }
}

/** Parts with a number above `after`, in order. */
export const listParts = (reader: StateReader, upload: UploadId, after: number, limit: number): PartPage => {
  const parts: Array<PartInfo> = []
  if (limit <= 0) return { parts }
  const prefix = partsPrefix(upload)
  const from = after <= 0 ? prefix : partKey(upload, Math.min(after + 1, 0xffff))
  for (const [rowKey, value] of reader.scan(from, afterPrefix(prefix))) {
    const last = parts.at(-1)
    if (last !== undefined && parts.length >= limit) return { parts, next: last.partNumber }
    const partNumber = rowKey.charCodeAt(rowKey.length - 2) * 256 + rowKey.charCodeAt(rowKey.length - 1)
    const { sizeBytes, etag, etagIsMd5, modified, checksum, manifest } = partRow.decode(value)
    parts.push({
      partNumber, sizeBytes, etag, etagIsMd5, modifiedMs: millisOf(modified), manifest, ...(checksum === undefined ? {} : { checksum })
    })
  }
  return { parts }
}

/** Uploads that ended and have not yet let go of their parts. */
export const endedUploads = (reader: StateReader, limit: number): ReadonlyArray<UploadId> => {
  const uploads: Array<UploadId> = []
  for (const [rowKey] of reader.scan(table.endedUpload, afterPrefix(table.endedUpload))) {
    if (uploads.length >= limit) break
    uploads.push(toHex(fromByteString(rowKey.slice(1))) as UploadId)
  }
  return uploads
}

