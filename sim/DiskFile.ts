/**
 * SimulatedFile: one file of sim/Disk below its names: what the disk holds, what the page cache shows, and the writes
 * and truncations between the two that no sync has covered.
 */
import { DiskImage } from "./DiskImage.ts"
import type { Random } from "./Random.ts"

type Pending =
  | { readonly _tag: "Write"; readonly offset: number; readonly bytes: Uint8Array }
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

export class SimulatedFile {
  readonly #durable: DiskImage
  readonly #cached: DiskImage
  #pending: Array<Pending> = []
  /** What the disk answers: durable with everything pending; undefined where it is to be made again. */
  #answered: DiskImage | undefined

  constructor(durable: DiskImage = new DiskImage()) {
    this.#durable = durable
    this.#cached = durable.clone()
  }

  get sizeBytes(): number {
    return this.#cached.sizeBytes
  }

  get allocatedBytes(): number {
    return this.#cached.allocatedBytes
  }

  read(offset: number, length: number): Uint8Array {
    return this.#cached.read(offset, length)
  }

  /** What the disk answers, past the page cache: pending changes have reached its own cache, where they are read from. */
  readDirect(offset: number, length: number): Uint8Array {
    const answered = this.#answered ?? this.#durable.clone()
    if (this.#answered === undefined) {
      for (const change of this.#pending) apply(answered, change)
      // The size is the file system's, which knows better than the disk.
      answered.truncate(this.#cached.sizeBytes)
      this.#answered = answered
    }
    return answered.read(offset, length)
  }

  /** Owns `bytes` from here on. `landing` is where they go on the disk: not at all where it is "Lost". */
  write(offset: number, bytes: Uint8Array, landing: number | "Lost" = offset): void {
    this.#cached.write(offset, bytes)
    this.#land(offset, bytes, landing)
  }

  /** As write, but the page cache keeps nothing of it: what is read afterwards is what the disk has. */
  writeDirect(offset: number, bytes: Uint8Array, landing: number | "Lost" = offset): void {
    const sizeBytes = Math.max(this.#cached.sizeBytes, offset + bytes.length)
    if (landing !== "Lost") this.#cached.write(landing, bytes)
    this.#cached.truncate(sizeBytes)
    this.#land(offset, bytes, landing)
  }

  #land(offset: number, bytes: Uint8Array, landing: number | "Lost"): void {
    if (landing !== "Lost") this.#pending.push({ _tag: "Write", offset: landing, bytes })
    // Sizes are the file system's: it believes that the write came where it was meant to.
    if (landing !== offset) this.#pending.push({ _tag: "Truncate", sizeBytes: this.#cached.sizeBytes })
    this.#answered = undefined
  }

  truncate(sizeBytes: number): void {
    this.#cached.truncate(sizeBytes)
    this.#pending.push({ _tag: "Truncate", sizeBytes })
    this.#answered = undefined
  }

  sync(): void {
    for (const change of this.#pending) apply(this.#durable, change)
    this.#pending = []
  }

  /** A failed sync marks dirty pages clean without having written them: later syncs succeed and save nothing. */
  dropDirty(): void {
    this.#pending = []
    this.#answered = undefined
  }

  /** Rot: changes what is on the disk, and what is cached where that is not "Kept", without a write. */
  corrupt(offset: number, change: (byte: number) => number, cache: "Alike" | "Kept"): void {
    this.#answered = undefined
    for (const image of cache === "Kept" ? [this.#durable] : [this.#durable, this.#cached]) {
      const before = image.read(offset, 1)
      if (before.length === 1) image.write(offset, Uint8Array.of(change(before[0] as number)))
    }
  }

  /**
   * The file after a power cut. Metadata is journaled in order: the size is one that it had at some moment since the
   * last sync. Data is not: every sector holds any one of the versions that it had since then. Both are independent.
   */
  afterPowerCut(random: Random): SimulatedFile {
    const sectorBytes = random.pick([512, 4096])
    const fate = drawFate(random)
    const changes = this.#pending
    const metadataKept = fate === "Lost" ? 0 : fate === "Kept" ? changes.length : random.below(changes.length + 1)
    const sectorsTotal = changes.reduce((sum, change) => sum + sectorsOf(change, sectorBytes), 0)
    const torn = random.below(sectorsTotal + 1)
    const disk = this.#durable.clone()
    const rolling = this.#durable.clone()
    let sizeBytes = rolling.sizeBytes
    let sector = 0
    changes.forEach((change, index) => {
      apply(rolling, change)
      if (index < metadataKept) {
        sizeBytes = rolling.sizeBytes
        if (change._tag === "Truncate") disk.truncate(change.sizeBytes)
      }
      if (change._tag !== "Write") return
      const first = Math.floor(change.offset / sectorBytes) * sectorBytes
      for (let at = first; at < change.offset + change.bytes.length; at += sectorBytes) {
        const kept = fate === "Kept" || (fate === "Torn" && sector < torn) || (fate === "Mixed" && random.chance(0.5))
        if (kept) disk.takeSector(rolling, at, sectorBytes)
        sector += 1
      }
    })
    disk.truncate(sizeBytes)
    return new SimulatedFile(disk)
  }
}

const sectorsOf = (change: Pending, sectorBytes: number): number =>
  change._tag === "Truncate" || change.bytes.length === 0
    ? 0
    : Math.floor((change.offset + change.bytes.length - 1) / sectorBytes) - Math.floor(change.offset / sectorBytes) + 1

const apply = (image: DiskImage, change: Pending): void =>
  change._tag === "Write" ? image.write(change.offset, change.bytes) : image.truncate(change.sizeBytes)
