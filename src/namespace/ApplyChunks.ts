/**
 * ApplyChunks: chunk rows within one commit: arrivals, references, moves, and their end. It sits between the steps of
 * apply, which say what is named, and the rows; each row is decoded once a commit and written once, by `flush`, which
 * derives from its old and its new value all that follows: condemnation, regions, the journal's rows, totals.
 *
 * References are exact: a version, a part and a staged page each count once for every distinct chunk that they name.
 * A chunk without references is condemned, since the commit that left or brought it so, and only those are (R1).
 */
import { assert } from "../base/assert.ts"
import type { BlockId, ChunkId } from "../base/ids.ts"
import type { Draft } from "./Draft.ts"
import type { Entry } from "./Entry.ts"
import type { BlockArrival, ChunkArrival, Copy, CopyPlace, Manifest, ManifestEntry } from "./Model.ts"
import { blockKey, chunkKey, condemnedKey, deadKey, journaledKey, regionKey, stagedPageKey, totalsKey } from "./Rows.ts"
import {
  blockRow, chunkRow, type ChunkValue, condemnedRow, deadRow, type GarbageTotals, journaledRow, regionRow, stagedPageRow, totalsRow
} from "./RowsValue.ts"

export const samePlace = (a: CopyPlace, b: CopyPlace): boolean => {
  if (a._tag === "Journal") return b._tag === "Journal" && a.segment === b.segment && a.offset === b.offset && a.lengthBytes === b.lengthBytes
  return b._tag === "Block" && a.block === b.block && a.offset === b.offset && a.lengthBytes === b.lengthBytes
}

/** A chunk's row as the commit found it and as it will leave it; undefined: there is none. */
interface Touched {
  readonly before: ChunkValue | undefined
  after: ChunkValue | undefined
}

const noGarbage: GarbageTotals = { condemnedChunks: 0, condemnedBytes: 0, deadBytes: 0 }

export class Chunks {
  readonly #draft: Draft
  readonly #entry: Entry
  readonly #touched = new Map<ChunkId, Touched>()
  /** Chunks whose rows of regions are written whether or not they change. */
  readonly #reindexed = new Set<ChunkId>()
  /** Bytes that this commit saw to be nobody's, by block. */
  readonly #dead = new Map<BlockId, number>()
  readonly #known = new Set<BlockId>()
  #journaledBytes = 0
  #condemnedChunks = 0
  #condemnedBytes = 0
  #deadBytes = 0

  constructor(draft: Draft, entry: Entry) {
    this.#draft = draft
    this.#entry = entry
  }

  /**
   * Chunks and blocks whose bytes are on disk. A chunk that has a copy keeps it: the new bytes are nobody's; nothing
   * named it, so it is condemned anew, that whoever brought it has time to name it. False where a block has no row.
   */
  arrive(arrivals: ReadonlyArray<ChunkArrival>, blocks: ReadonlyArray<BlockArrival>): boolean {
    for (const block of blocks) this.arriveBlock(block)
    for (const { id, sizeBytes, sealedHash, place } of arrivals) {
      if (place._tag === "Block" && !this.#isBlock(place.block)) return false
      const old = this.#row(id)
      if (old !== undefined && old.copies.length > 0) {
        // An upload names what it healed once more, at the same place.
        if (!old.copies.some((copy) => samePlace(copy.place, place))) this.#waste(place)
        this.renew(id)
        continue
      }
      // Without a copy, only the count of the old row still holds: the bytes come anew, sealed anew.
      const copies: ReadonlyArray<Copy> = [{ place, incarnation: this.#entry.sequence }]
      this.#set(id, { sizeBytes, sealedHash, references: old?.references ?? 0, copies })
    }
    return true
  }

  /** The copies that a chunk has are damaged: the new one takes their place. A chunk that is unknown stays so. */
  heal(arrivals: ReadonlyArray<ChunkArrival>, blocks: ReadonlyArray<BlockArrival>): boolean {
    const known: Array<ChunkArrival> = []
    for (const arrival of arrivals) {
      const old = this.#row(arrival.id)
      if (old === undefined) {
        this.#waste(arrival.place)
        continue
      }
      if (!old.copies.some(({ place }) => samePlace(place, arrival.place))) this.#set(arrival.id, { ...old, copies: [] })
      known.push(arrival)
    }
    return this.arrive(known, blocks)
  }

  arriveBlock(block: BlockArrival): void {
    if (this.#isBlock(block.block)) return
    const { sizeBytes, hash, regions } = block
    const { tenant, vault, sequence: incarnation } = this.#entry
    this.#draft.put(blockKey(block.block), blockRow.encode({ tenant, vault, sizeBytes, hash, regions, incarnation }))
    this.#known.add(block.block)
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
      this.#set(id, { ...row, references: row.references + 1 })
    }
    return true
  }

  /** Takes back what reference counted. */
  release(manifest: Manifest): void {
    if (manifest._tag !== "Inline") this.#releaseEntries(manifest.entries)
  }

  /**
   * By compare-and-set; a copy that is no longer where it was is left alone (R10), and its bytes at the new place are
   * nobody's.
   */
  move(id: ChunkId, from: CopyPlace, to: CopyPlace): void {
    const row = this.#row(id)
    const index = row?.copies.findIndex((copy) => samePlace(copy.place, from)) ?? -1
    if (row === undefined || index < 0) return this.#waste(to)
    this.#set(id, { ...row, copies: row.copies.with(index, { place: to, incarnation: this.#entry.sequence }) })
  }

  /** Someone counts on a chunk that nothing names yet: its time to be named begins again. */
  renew(id: ChunkId): void {
    const row = this.#row(id)
    if (row?.condemnedAt === undefined) return
    const { condemnedAt: _, ...rest } = row
    this.#set(id, rest)
  }

  /**
   * The chunk is gone, and a page that it was lets go of what it lists; undefined, and nothing, unless it is condemned
   * since just that commit (R1). The bytes of its copies.
   */
  free(id: ChunkId, condemnedAt: number): number | undefined {
    const row = this.#row(id)
    if (row === undefined || row.references > 0 || row.condemnedAt !== condemnedAt) return undefined
    this.#set(id, undefined)
    const page = stagedPageKey(this.#entry.vault, id)
    const bytes = this.#draft.get(page)
    if (bytes !== undefined) {
      this.#draft.remove(page)
      this.#releaseEntries(stagedPageRow.decode(bytes).entries)
    }
    return bytesOf(row)
  }

  /** Rows that freeing a chunk changes, at most. */
  rowsToFree(id: ChunkId): number {
    const page = this.#draft.get(stagedPageKey(this.#entry.vault, id))
    const copies = this.#row(id)?.copies.length ?? 0
    return 2 + 2 * copies + (page === undefined ? 0 : 1 + 2 * stagedPageRow.decode(page).entries.length)
  }

  /** Writes what a store before regions and condemnation did not. */
  reindex(id: ChunkId): void {
    const row = this.#row(id)
    if (row === undefined) return
    this.#set(id, row)
    this.#reindexed.add(id)
  }

  has(id: ChunkId): boolean {
    return (this.#row(id)?.copies.length ?? 0) > 0
  }

  /** A block is gone with what was noted of it. */
  dropBlock(block: BlockId): void {
    const key = deadKey(block)
    const bytes = this.#draft.get(key)
    if (bytes !== undefined) {
      this.#draft.remove(key)
      this.#deadBytes -= deadRow.decode(bytes).bytes
    }
    this.#draft.remove(blockKey(block))
  }

  flush(): void {
    for (const [id, { before, after }] of this.#touched) {
      const row = after === undefined ? undefined : this.#judged(after)
      if (row !== before || this.#reindexed.has(id)) this.#write(id, before, row)
    }
    for (const [block, bytes] of this.#dead) {
      const old = this.#draft.get(deadKey(block))
      this.#draft.put(deadKey(block), deadRow.encode({ bytes: (old === undefined ? 0 : deadRow.decode(old).bytes) + bytes }))
      this.#deadBytes += bytes
    }
    this.#flushTotals()
  }

  /** Condemned iff without references; since this commit where it was not before. */
  #judged(row: ChunkValue): ChunkValue {
    if (row.references === 0) return row.condemnedAt === undefined ? { ...row, condemnedAt: this.#entry.sequence } : row
    if (row.condemnedAt === undefined) return row
    const { condemnedAt: _, ...rest } = row
    return rest
  }

  /** The row, and every row that follows from it. */
  #write(id: ChunkId, before: ChunkValue | undefined, after: ChunkValue | undefined): void {
    const { vault } = this.#entry
    const key = chunkKey(vault, id)
    if (after === undefined) this.#draft.remove(key)
    else this.#draft.put(key, chunkRow.encode(after))
    for (const { place } of before?.copies ?? []) {
      if (!(after?.copies.some((copy) => samePlace(copy.place, place)) ?? false)) this.#leave(place)
    }
    for (const { place } of after?.copies ?? []) {
      const isNew = !(before?.copies.some((copy) => samePlace(copy.place, place)) ?? false)
      if (isNew || this.#reindexed.has(id)) this.#take(id, place, isNew)
    }
    this.#count(before, -1)
    this.#count(after, 1)
    if (before?.condemnedAt === after?.condemnedAt) return
    if (before?.condemnedAt !== undefined) this.#draft.remove(condemnedKey(before.condemnedAt, vault, id))
    if (after?.condemnedAt !== undefined) this.#draft.put(condemnedKey(after.condemnedAt, vault, id), condemnedRow.encode({}))
  }

  #count(row: ChunkValue | undefined, sign: 1 | -1): void {
    if (row?.condemnedAt === undefined) return
    this.#condemnedChunks += sign
    this.#condemnedBytes += sign * bytesOf(row)
  }

  /** No chunk is at the place any more. A store before regions may have no row of it. */
  #leave(place: CopyPlace): void {
    if (place._tag === "Journal") {
      this.#draft.remove(journaledKey(place.segment, place.offset))
      this.#journaledBytes -= place.lengthBytes
      return
    }
    const key = regionKey(place.block, place.offset)
    if (this.#draft.get(key) !== undefined) this.#draft.remove(key)
    this.#waste(place)
  }

  #take(chunk: ChunkId, place: CopyPlace, isNew: boolean): void {
    const { vault } = this.#entry
    if (place._tag === "Block") {
      this.#draft.put(regionKey(place.block, place.offset), regionRow.encode({ vault, chunk, lengthBytes: place.lengthBytes }))
    } else if (isNew) {
      this.#draft.put(journaledKey(place.segment, place.offset), journaledRow.encode({ vault, chunk }))
      this.#journaledBytes += place.lengthBytes
    }
  }

  /** Bytes that lie in a block and that no chunk has. The journal lets go of such by itself. */
  #waste(place: CopyPlace): void {
    if (place._tag === "Block") this.#dead.set(place.block, (this.#dead.get(place.block) ?? 0) + place.lengthBytes)
  }

  #flushTotals(): void {
    if (this.#journaledBytes === 0 && this.#condemnedChunks === 0 && this.#condemnedBytes === 0 && this.#deadBytes === 0) return
    const bytes = this.#draft.get(totalsKey)
    const old = bytes === undefined ? { journaledBytes: 0 } : totalsRow.decode(bytes)
    const was = old.garbage ?? noGarbage
    const garbage: GarbageTotals = {
      condemnedChunks: was.condemnedChunks + this.#condemnedChunks,
      condemnedBytes: was.condemnedBytes + this.#condemnedBytes,
      deadBytes: was.deadBytes + this.#deadBytes
    }
    const none = garbage.condemnedChunks === 0 && garbage.deadBytes === 0
    this.#draft.put(totalsKey, totalsRow.encode({ journaledBytes: old.journaledBytes + this.#journaledBytes, ...(none ? {} : { garbage }) }))
  }

  #releaseEntries(entries: ReadonlyArray<ManifestEntry>): void {
    for (const id of distinct(entries)) {
      const row = this.#row(id)
      assert(row !== undefined && row.references > 0, `chunk ${id} is named and not counted`)
      this.#set(id, { ...row, references: row.references - 1 })
    }
  }

  #row(id: ChunkId): ChunkValue | undefined {
    const known = this.#touched.get(id)
    if (known !== undefined) return known.after
    const bytes = this.#draft.get(chunkKey(this.#entry.vault, id))
    if (bytes === undefined) return undefined
    const row = chunkRow.decode(bytes)
    this.#touched.set(id, { before: row, after: row })
    return row
  }

  #set(id: ChunkId, row: ChunkValue | undefined): void {
    const known = this.#touched.get(id)
    if (known === undefined) this.#touched.set(id, { before: undefined, after: row })
    else known.after = row
  }

  #isBlock(block: BlockId): boolean {
    if (this.#known.has(block)) return true
    if (this.#draft.get(blockKey(block)) === undefined) return false
    this.#known.add(block)
    return true
  }

  #staged(page: ChunkId, level: number): boolean {
    const bytes = this.#draft.get(stagedPageKey(this.#entry.vault, page))
    return bytes !== undefined && stagedPageRow.decode(bytes).level === level
  }
}

/** Of its sealed copies. */
const bytesOf = ({ copies }: ChunkValue): number => copies.reduce((sum, { place }) => sum + place.lengthBytes, 0)

const distinct = (entries: ReadonlyArray<ManifestEntry>): ReadonlySet<ChunkId> => new Set(entries.map(({ chunk }) => chunk))
