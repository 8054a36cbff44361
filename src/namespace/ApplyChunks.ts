/**
 * ApplyChunks: chunk rows within one commit: arrivals, references, moves. It sits between the steps of apply, which say
 * what is named, and the rows; each row is decoded once a commit and written once, by `flush`.
 *
 * References are exact: a version, a part and a staged page each count once for every distinct chunk that they name.
 */
import { assert } from "../base/assert.ts"
import type { ChunkId } from "../base/ids.ts"
import type { Draft } from "./Draft.ts"
import type { Entry } from "./Entry.ts"
import type { BlockArrival, ChunkArrival, Copy, CopyPlace, Manifest, ManifestEntry } from "./Model.ts"
import { blockKey, chunkKey, journaledKey, stagedPageKey, totalsKey } from "./Rows.ts"
import { blockRow, chunkRow, type ChunkValue, journaledRow, stagedPageRow, totalsRow } from "./RowsValue.ts"

export const samePlace = (a: CopyPlace, b: CopyPlace): boolean => {
  if (a._tag === "Journal") return b._tag === "Journal" && a.segment === b.segment && a.offset === b.offset && a.lengthBytes === b.lengthBytes
  return b._tag === "Block" && a.block === b.block && a.offset === b.offset && a.lengthBytes === b.lengthBytes
}

export class Chunks {
  readonly #draft: Draft
  readonly #entry: Entry
  readonly #rows = new Map<ChunkId, ChunkValue>()
  #journaledBytes = 0

  constructor(draft: Draft, entry: Entry) {
    this.#draft = draft
    this.#entry = entry
  }

  /** Chunks and blocks whose bytes are on disk. A chunk that has a copy keeps it: the new bytes are nobody's. */
  arrive(arrivals: ReadonlyArray<ChunkArrival>, blocks: ReadonlyArray<BlockArrival>): void {
    for (const block of blocks) this.arriveBlock(block)
    for (const { id, sizeBytes, sealedHash, place } of arrivals) {
      const old = this.#row(id)
      if (old !== undefined && old.copies.length > 0) continue
      // Without a copy, only the count of the old row still holds: the bytes come anew, sealed anew.
      const copies: ReadonlyArray<Copy> = [{ place, incarnation: this.#entry.sequence }]
      this.#rows.set(id, { sizeBytes, sealedHash, references: old?.references ?? 0, copies })
      if (place._tag === "Journal") this.#journal(id, place.segment, place.offset, place.lengthBytes)
    }
  }

  /** The copies that a chunk has are damaged: the new one takes their place. A chunk that is unknown stays so. */
  heal(arrivals: ReadonlyArray<ChunkArrival>, blocks: ReadonlyArray<BlockArrival>): void {
    for (const arrival of arrivals) {
      const old = this.#row(arrival.id)
      if (old === undefined) continue
      for (const { place } of old.copies) {
        if (place._tag !== "Journal") continue
        this.#draft.remove(journaledKey(place.segment, place.offset))
        this.#journaledBytes -= place.lengthBytes
      }
      this.#rows.set(arrival.id, { ...old, copies: [] })
    }
    const known = arrivals.filter(({ id }) => this.#rows.has(id))
    this.arrive(known, blocks)
  }

  arriveBlock(block: BlockArrival): void {
    const key = blockKey(block.block)
    if (this.#draft.get(key) !== undefined) return
    const { sizeBytes, hash, regions } = block
    const { tenant, vault, sequence: incarnation } = this.#entry
    this.#draft.put(key, blockRow.encode({ tenant, vault, sizeBytes, hash, regions, incarnation }))
  }

  /** Counts the chunks that a manifest names; false where one is unknown, or a page of it was never staged. */
  reference(manifest: Manifest): boolean {
    if (manifest._tag === "Inline") return true
    return this.referenceEntries(manifest.entries, manifest._tag === "Pages" ? manifest.level : 0)
  }

  /** As reference; `level` is that of the pages that the entries name, 0 where they name chunks. */
  referenceEntries(entries: ReadonlyArray<ManifestEntry>, level: number): boolean {
    for (const id of distinct(entries)) {
      const row = this.#row(id)
      if (row === undefined || row.copies.length === 0) return false
      if (level > 0 && !this.#staged(id, level)) return false
      this.#rows.set(id, { ...row, references: row.references + 1 })
    }
    return true
  }

  /** Takes back what reference counted. The row stays: condemning and freeing are commits of their own (R1). */
  release(manifest: Manifest): void {
    if (manifest._tag === "Inline") return
    for (const id of distinct(manifest.entries)) {
      const row = this.#row(id)
      assert(row !== undefined && row.references > 0, `chunk ${id} is named and not counted`)
      this.#rows.set(id, { ...row, references: row.references - 1 })
    }
  }

  /** Journal to block by compare-and-set; a copy that is no longer where it was is left alone (R10). */
  move(id: ChunkId, from: CopyPlace, to: CopyPlace): void {
    const row = this.#row(id)
    const index = row?.copies.findIndex((copy) => samePlace(copy.place, from)) ?? -1
    if (row === undefined || index < 0) return
    this.#rows.set(id, { ...row, copies: row.copies.with(index, { place: to, incarnation: this.#entry.sequence }) })
    if (from._tag !== "Journal") return
    this.#draft.remove(journaledKey(from.segment, from.offset))
    this.#journaledBytes -= from.lengthBytes
  }

  has(id: ChunkId): boolean {
    return (this.#row(id)?.copies.length ?? 0) > 0
  }

  /** Rows that flush will write. */
  get size(): number {
    return this.#rows.size
  }

  flush(): void {
    const { vault } = this.#entry
    for (const [id, row] of this.#rows) this.#draft.put(chunkKey(vault, id), chunkRow.encode(row))
    if (this.#journaledBytes === 0) return
    const old = this.#draft.get(totalsKey)
    const journaledBytes = (old === undefined ? 0 : totalsRow.decode(old).journaledBytes) + this.#journaledBytes
    this.#draft.put(totalsKey, totalsRow.encode({ journaledBytes }))
  }

  #row(id: ChunkId): ChunkValue | undefined {
    const known = this.#rows.get(id)
    if (known !== undefined) return known
    const bytes = this.#draft.get(chunkKey(this.#entry.vault, id))
    if (bytes === undefined) return undefined
    const row = chunkRow.decode(bytes)
    this.#rows.set(id, row)
    return row
  }

  #staged(page: ChunkId, level: number): boolean {
    const bytes = this.#draft.get(stagedPageKey(this.#entry.vault, page))
    return bytes !== undefined && stagedPageRow.decode(bytes).level === level
  }

  #journal(id: ChunkId, segment: number, offset: number, lengthBytes: number): void {
    const { vault } = this.#entry
    this.#draft.put(journaledKey(segment, offset), journaledRow.encode({ vault, chunk: id }))
    this.#journaledBytes += lengthBytes
  }
}

const distinct = (entries: ReadonlyArray<ManifestEntry>): ReadonlySet<ChunkId> => new Set(entries.map(({ chunk }) => chunk))
