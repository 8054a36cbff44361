/**
 * SimulatedFile: one file of sim/Disk below its names: what the disk holds, what the page cache shows, and the writes
 * and truncations between the two that no sync has covered.
 *
 * Three images: durable (what a power cut leaves), landed (what the disk answers: durable with everything pending) and
 * cached (what the page cache shows). Cached is landed, the same object, until a disk that lies parts them.
 */
import { equalBytes } from "../src/base/bytes.ts"
import { DiskImage, pageBytes, pageOf, pagesOf, zeroPage } from "./DiskImage.ts"
import type { Random } from "./Random.ts"

type Pending =
  /** `after`: the pages that it touched, as they were once it had landed. */
  | { readonly _tag: "Write"; readonly offset: number; readonly length: number; readonly after: ReadonlyArray<Uint8Array | undefined> }
  | { readonly _tag: "Truncate"; readonly sizeBytes: number }

/** How a power cut treats what was not synced: each is drawn as often as the others, Mixed twice. */
const fates = ["Lost", "Kept", "Torn", "Mixed", "Mixed"] as const
type Fate = (typeof fates)[number]
export const drawFate = (random: Random): Fate => random.pick(fates)

/** Which of `count` unsynced things a power cut keeps, in order. */
export const drawKept = (random: Random, count: number): ReadonlyArray<boolean> => {
  const fate = drawFate(random)
  const cut = random.below(count + 1)
  return Array.from({ length: count }, (_, index) => {
    switch (fate) {
      case "Lost":
        return false
      case "Kept":
        return true
      case "Torn":
        return index < cut
      case "Mixed":
        return random.chance(0.5)
    }
  })
}

/** What a power cut may do beyond keeping and losing sectors, and whom it tells. */
export interface PowerCut {
  /** That a sector which was not synced holds neither the old bytes nor the new: the head was over it. */
  readonly corruptChance: number
  /** That a sector past the old end, whose bytes are lost, shows what a file that is gone once wrote there. */
  readonly oldContentsChance: number
  /** Pages of files that are gone. */
  readonly oldPages: ReadonlyArray<Uint8Array>
  readonly saw: (what: PowerCutSight) => void
}

export type PowerCutSight = "UnsyncedLost" | "TornWrite" | "InFlightCorrupt" | "OldContents" | "UnsyncedNameLost"

export const plainPowerCut: PowerCut = { corruptChance: 0, oldContentsChance: 0, oldPages: [], saw: () => undefined }

/** What becomes of one read that is not to be as it should. */
export type ReadAs = "Fresh" | "Stale"

/** A sector that the disk cannot read, and that the page cache does not hold either. */
export class Unreadable {
  readonly offset: number
  constructor(offset: number) {
    this.offset = offset
  }
}

export class SimulatedFile {
  #durable: DiskImage
  #landed: DiskImage
  #cached: DiskImage
  #pending: Array<Pending> = []
  /** Pages as they were before the last write to them, where the disk is to remember them. */
  readonly #before: Map<number, Uint8Array | undefined>
  /** Pages that the disk cannot read until they are written whole, and whether the page cache holds them. */
  readonly #latent = new Map<number, { readonly cached: boolean; readonly rewritten: boolean }>()

  constructor(durable: DiskImage = new DiskImage(), latent: Iterable<number> = [], before: ReadonlyMap<number, Uint8Array | undefined> = new Map()) {
    this.#durable = durable
    this.#before = new Map(before)
    this.#landed = durable.clone()
    this.#cached = this.#landed
    for (const page of latent) this.#latent.set(page, { cached: false, rewritten: false })
  }

  get sizeBytes(): number {
    return this.#cached.sizeBytes
  }

  get allocatedBytes(): number {
    return this.#cached.allocatedBytes
  }

  /** All of it, as the page cache shows it. */
  bytes(): Uint8Array {
    return this.#cached.read(0, this.#cached.sizeBytes)
  }

  /** Whether a power cut leaves what the page cache shows here as it is, whatever else it takes. */
  isDurable(offset: number, length: number): boolean {
    if (offset + length > this.#cached.sizeBytes) return false
    return this.#durable.shares(this.#cached, offset, length) || equalBytes(this.#durable.read(offset, length), this.#cached.read(offset, length))
  }

  /** Some of its pages as the disk holds them, for those who come after it. */
  pages(count: number): ReadonlyArray<Uint8Array> {
    const pages: Array<Uint8Array> = []
    for (const index of this.#durable.pages()) {
      if (pages.length >= count) break
      pages.push(this.#durable.page(index)!)
    }
    return pages
  }

  /** What the page cache shows. `as` Stale: what was there before the last write, of pages that the disk remembers. */
  read(offset: number, length: number, as: ReadAs = "Fresh"): Uint8Array | Unreadable {
    return this.#unreadable(offset, length, true) ?? this.#answer(this.#cached, offset, length, as)
  }

  /** What the disk answers, past the page cache: pending changes have reached its own cache, where they are read from. */
  readDirect(offset: number, length: number, as: ReadAs = "Fresh"): Uint8Array | Unreadable {
    return this.#unreadable(offset, length, false) ?? this.#answer(this.#landed, offset, length, as)
  }

  #answer(image: DiskImage, offset: number, length: number, as: ReadAs): Uint8Array {
    if (as === "Fresh" || this.#before.size === 0) return image.read(offset, length)
    const stale = image.clone()
    const [first, end] = pagesOf(offset, length)
    for (let index = first; index < end; index += 1) if (this.#before.has(index)) stale.setPage(index, this.#before.get(index))
    return stale.read(offset, length)
  }

  #unreadable(offset: number, length: number, cache: boolean): Unreadable | undefined {
    if (this.#latent.size === 0 || offset >= this.sizeBytes) return undefined
    const [first, end] = pagesOf(offset, Math.min(length, this.sizeBytes - offset))
    for (let index = first; index < end; index += 1) {
      const sector = this.#latent.get(index)
      if (sector !== undefined && !sector.rewritten && !(cache && sector.cached)) return new Unreadable(index * pageBytes)
    }
    return undefined
  }

  /**
   * Copies the bytes. `landing` is where they go on the disk: not at all where it is "Lost". `remember`: what was there
   * before can be read once more by a stale read. Unreadable where a part of a page is written that cannot be read first.
   */
  write(offset: number, bytes: Uint8Array, landing: number | "Lost" = offset, remember = false): Unreadable | undefined {
    const unreadable = this.#unreadableEnds(offset, bytes.length, true)
    if (unreadable !== undefined) return unreadable
    if (landing !== offset) this.#part()
    if (this.#cached !== this.#landed) this.#cached.write(offset, bytes)
    this.#land(offset, bytes, landing, remember)
    return undefined
  }

  /** As write, but the page cache keeps nothing of it: what is read afterwards is what the disk has. */
  writeDirect(offset: number, bytes: Uint8Array, landing: number | "Lost" = offset, remember = false): Unreadable | undefined {
    const unreadable = this.#unreadableEnds(offset, bytes.length, false)
    if (unreadable !== undefined) return unreadable
    const sizeBytes = Math.max(this.#cached.sizeBytes, offset + bytes.length)
    if (this.#cached !== this.#landed) {
      if (landing !== "Lost") this.#cached.write(landing, bytes)
      this.#cached.truncate(sizeBytes)
    }
    this.#land(offset, bytes, landing, remember, sizeBytes)
    return undefined
  }

  #unreadableEnds(offset: number, length: number, cache: boolean): Unreadable | undefined {
    if (this.#latent.size === 0 || length === 0) return undefined
    const end = offset + length
    const head = offset % pageBytes === 0 && (length >= pageBytes || end >= this.sizeBytes) ? undefined : this.#unreadable(offset, 1, cache)
    return head ?? (end % pageBytes === 0 || end >= this.sizeBytes ? undefined : this.#unreadable(end - 1, 1, cache))
  }

  /** `sizeBytes`: the size that the file system believes in afterwards, where the write went elsewhere. */
  #land(offset: number, bytes: Uint8Array, landing: number | "Lost", remember: boolean, sizeBytes = this.#cached.sizeBytes): void {
    if (landing !== "Lost") this.#landAt(landing, bytes, remember)
    // Sizes are the file system's: it believes that the write came where it was meant to.
    if (landing !== offset) this.#setSize(sizeBytes)
  }

  #landAt(offset: number, bytes: Uint8Array, remember: boolean): void {
    const [first, end] = pagesOf(offset, bytes.length)
    if (remember) for (let index = first; index < end; index += 1) this.#before.set(index, this.#landed.page(index))
    this.#landed.write(offset, bytes)
    const after: Array<Uint8Array | undefined> = []
    for (let index = first; index < end; index += 1) {
      after.push(this.#landed.page(index))
      const sector = this.#latent.get(index)
      // A page that is written whole, or as far as the file goes, is put elsewhere on the disk.
      if (sector !== undefined) this.#latent.set(index, { ...sector, rewritten: true })
    }
    this.#pending.push({ _tag: "Write", offset, length: bytes.length, after })
  }

  #setSize(sizeBytes: number): void {
    this.#landed.truncate(sizeBytes)
    this.#pending.push({ _tag: "Truncate", sizeBytes })
  }

  truncate(sizeBytes: number): void {
    if (this.#cached !== this.#landed) this.#cached.truncate(sizeBytes)
    this.#setSize(sizeBytes)
  }

  sync(): void {
    if (this.#pending.some(({ _tag }) => _tag === "Truncate")) this.#durable = this.#landed.clone()
    else {
      for (const change of this.#pending) {
        if (change._tag === "Truncate") continue
        const [first, end] = pagesOf(change.offset, change.length)
        for (let index = first; index < end; index += 1) this.#durable.setPage(index, this.#landed.page(index))
      }
      this.#durable.extend(this.#landed.sizeBytes)
    }
    this.#pending = []
    for (const [index, { rewritten }] of this.#latent) if (rewritten) this.#latent.delete(index)
  }

  /** A failed sync marks dirty pages clean without having written them: later syncs succeed and save nothing. */
  dropDirty(): void {
    if (this.#pending.length === 0) return
    this.#part()
    this.#pending = []
    this.#landed = this.#durable.clone()
    // The size is the file system's, which knows better than the disk.
    this.#landed.truncate(this.#cached.sizeBytes)
  }

  /** Rot: changes what is on the disk, and what is cached where that is not "Kept", without a write. */
  corrupt(offset: number, change: (byte: number) => number, cache: "Alike" | "Kept"): void {
    if (cache === "Kept") this.#part()
    for (const image of new Set(cache === "Kept" ? [this.#durable, this.#landed] : [this.#durable, this.#landed, this.#cached])) {
      const before = image.read(offset, 1)
      if (before.length === 1) image.write(offset, Uint8Array.of(change(before[0] as number)))
    }
  }

  /** The disk holds other bytes here: a write that was meant for elsewhere. The page cache goes on showing what it has. */
  overwrite(offset: number, bytes: Uint8Array): void {
    this.#part()
    for (const image of [this.#durable, this.#landed]) image.write(offset, bytes.subarray(0, Math.max(0, image.sizeBytes - offset)))
  }

  /** From now on the disk answers what was in this page before its last write; false where it remembers nothing else. */
  revert(offset: number, cache: "Alike" | "Kept"): boolean {
    const index = pageOf(offset)
    if (!this.#before.has(index)) return false
    this.#part()
    for (const image of cache === "Kept" ? [this.#durable, this.#landed] : [this.#durable, this.#landed, this.#cached]) image.setPage(index, this.#before.get(index))
    this.#before.delete(index)
    return true
  }

  /** The page at `offset` cannot be read until it is written again; where `cached`, the page cache has it meanwhile. */
  spoil(offset: number, cached: boolean): void {
    this.#latent.set(pageOf(offset), { cached, rewritten: false })
  }

  /** Repairs what can be read again by itself: nothing is unreadable any more. */
  unspoil(): void {
    this.#latent.clear()
  }

  /** What the page cache shows and what the disk answers go their own ways. */
  #part(): void {
    if (this.#cached === this.#landed) this.#cached = this.#landed.clone()
  }

  /**
   * The file after a power cut. Metadata is journaled in order: the size is one that it had at some moment since the
   * last sync. Data is not: every sector holds any one of the versions that it had since then. Both are independent.
   */
  afterPowerCut(random: Random, cut: PowerCut = plainPowerCut): SimulatedFile {
    const sectorBytes = random.pick([512, 4096])
    const fate = drawFate(random)
    const changes = this.#pending
    const metadataKept = fate === "Lost" ? 0 : fate === "Kept" ? changes.length : random.below(changes.length + 1)
    const sectorsTotal = changes.reduce((sum, change) => sum + sectorsOf(change, sectorBytes), 0)
    const torn = random.below(sectorsTotal + 1)
    const disk = this.#durable.clone()
    const lost = new Set<number>()
    let sizeBytes = disk.sizeBytes
    let rolling = sizeBytes
    let sector = 0
    let kept = 0
    changes.forEach((change, index) => {
      rolling = change._tag === "Truncate" ? change.sizeBytes : Math.max(rolling, change.offset + change.length)
      if (index < metadataKept) {
        sizeBytes = rolling
        if (change._tag === "Truncate") disk.truncate(change.sizeBytes)
      }
      if (change._tag === "Truncate") return
      const first = Math.floor(change.offset / sectorBytes) * sectorBytes
      for (let at = first; at < change.offset + change.length; at += sectorBytes) {
        const keeps = fate === "Kept" || (fate === "Torn" && sector < torn) || (fate === "Mixed" && random.chance(0.5))
        if (keeps) disk.takeSector(change.after[pageOf(at) - pageOf(change.offset)], at, sectorBytes)
        if (keeps) lost.delete(at)
        else lost.add(at)
        kept += keeps ? 1 : 0
        sector += 1
      }
    })
    this.#damage(disk, random, cut, sectorBytes, lost)
    disk.truncate(sizeBytes)
    if (kept < sector) cut.saw(kept === 0 ? "UnsyncedLost" : "TornWrite")
    return new SimulatedFile(disk, this.#latent.keys(), this.#before)
  }

  /** Whether a write left a sector as the disk had it. */
  #keeps(change: Pending & { readonly _tag: "Write" }, at: number, sectorBytes: number): boolean {
    const within = at % pageBytes
    const of = (page: Uint8Array | undefined): Uint8Array => (page ?? zeroPage).subarray(within, within + sectorBytes)
    return at < this.#durable.sizeBytes && equalBytes(of(this.#durable.page(pageOf(at))), of(change.after[pageOf(at) - pageOf(change.offset)]))
  }

  /** What else a power cut does to sectors that were being written. `lost`: those that keep what they had. */
  #damage(disk: DiskImage, random: Random, cut: PowerCut, sectorBytes: number, lost: ReadonlySet<number>): void {
    if (cut.oldContentsChance > 0 && cut.oldPages.length > 0) {
      for (const at of lost) {
        if (at < this.#durable.sizeBytes || !random.chance(cut.oldContentsChance)) continue
        disk.takeSector(random.pick(cut.oldPages), at, sectorBytes)
        cut.saw("OldContents")
      }
    }
    if (cut.corruptChance === 0) return
    for (const change of this.#pending) {
      if (change._tag === "Truncate") continue
      const first = Math.floor(change.offset / sectorBytes) * sectorBytes
      for (let at = first; at < change.offset + change.length; at += sectorBytes) {
        // A sector that is overwritten with its own bytes keeps them: what the journal's recovery relies on, as SQLite does.
        if (!random.chance(cut.corruptChance) || this.#keeps(change, at, sectorBytes)) continue
        const page = new Uint8Array(pageBytes)
        page.set(random.bytes(sectorBytes), at % pageBytes)
        disk.takeSector(page, at, sectorBytes)
        cut.saw("InFlightCorrupt")
      }
    }
  }
}

const sectorsOf = (change: Pending, sectorBytes: number): number =>
  change._tag === "Truncate" || change.length === 0
    ? 0
    : Math.floor((change.offset + change.length - 1) / sectorBytes) - Math.floor(change.offset / sectorBytes) + 1
