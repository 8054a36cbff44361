/** Manifest: the bytes of a manifest's page. It sits between an upload, which stages pages, and get, which resolves them. */
import { manifestPageEntriesMax } from "../base/limits.ts"
import { assert } from "../base/assert.ts"
import { decodeWith, encodeWith, struct, uint } from "./Canonical.ts"
import type { ManifestEntry } from "./Model.ts"
import { manifestEntries, manifestLevel } from "./ModelFormat.ts"

/** A page of level 1 lists chunks, one of level n pages of level n - 1. */
export interface ManifestPage {
  readonly level: number
  readonly entries: ReadonlyArray<ManifestEntry>
}

const pageFormat = 1
const codec = struct<ManifestPage & { readonly format: number }>({ format: uint(pageFormat), level: manifestLevel, entries: manifestEntries })

export const encodePage = ({ level, entries }: ManifestPage): Uint8Array => {
  assert(level > 0, "a page's level is at least 1")
  assert(entries.length > 0 && entries.length <= manifestPageEntriesMax, `a page of ${entries.length} entries`)
  return encodeWith(codec, { format: pageFormat, level, entries })
}

/** Throws FormatError where the bytes are not exactly those of a page: they were verified before, so that is a newer format. */
export const decodePage = (bytes: Uint8Array): ManifestPage => {
  const { level, entries } = decodeWith(codec, bytes, "manifest page")
  return { level, entries }
}
