/**
 * DiskNames: the names of a simulated disk: what is durable, what is visible, and the creations, renames and removals
 * between the two that no folder sync has covered. Holds SimulatedFiles; used by sim/Disk.
 */
import { folderOf } from "../src/base/paths.ts"
import { drawKept, plainPowerCut, type PowerCut, type SimulatedFile } from "./DiskFile.ts"
import type { Random } from "./Random.ts"

/** A file, or "folder". */
export type Entry = SimulatedFile | "folder"

type Change =
  | { readonly _tag: "Add"; readonly path: string; readonly entry: Entry }
  | { readonly _tag: "Rename"; readonly from: string; readonly path: string; readonly entry: Entry }
  | { readonly _tag: "Remove"; readonly path: string; readonly entry: Entry }

/** Pages that the disk still holds of files that are gone: some of each, the latest only. */
const oldPagesOfFile = 4
const oldPagesMax = 64

export class DiskNames {
  readonly #durable: Map<string, Entry>
  readonly #visible: Map<string, Entry>
  readonly #listed = new Map<string, ReadonlyArray<string>>()
  #pending: Array<Change> = []
  #oldPages: ReadonlyArray<Uint8Array>

  constructor(entries: ReadonlyMap<string, Entry> = new Map(), oldPages: ReadonlyArray<Uint8Array> = []) {
    this.#durable = new Map(entries)
    this.#visible = new Map(entries)
    this.#oldPages = oldPages
  }

  /** What free space holds: pages of files that are gone. */
  get oldPages(): ReadonlyArray<Uint8Array> {
    return this.#oldPages
  }

  get allocatedBytes(): number {
    let sum = 0
    for (const entry of this.#visible.values()) if (entry !== "folder") sum += entry.allocatedBytes
    return sum
  }

  get(path: string): Entry | undefined {
    return path === "" ? "folder" : this.#visible.get(path)
  }

  /** Names in a folder, in byte order. Kept until they change: a node asks again and again, and a long world has many files. */
  list(folder: string): ReadonlyArray<string> {
    const known = this.#listed.get(folder)
    if (known !== undefined) return known
    const names = this.#namesIn(folder)
    this.#listed.set(folder, names)
    return names
  }

  #namesIn(folder: string): ReadonlyArray<string> {
    const prefix = folder === "" ? "" : `${folder}/`
    const names: Array<string> = []
    for (const path of this.#visible.keys()) {
      if (path.startsWith(prefix) && !path.includes("/", prefix.length)) names.push(path.slice(prefix.length))
    }
    // Paths are ASCII: the order of UTF-16 units is that of bytes.
    return names.sort()
  }

  files(): ReadonlyArray<readonly [path: string, file: SimulatedFile]> {
    return [...this.#visible].flatMap(([path, entry]) => (entry === "folder" ? [] : [[path, entry] as const]))
  }

  add(path: string, entry: Entry): void {
    this.#change({ _tag: "Add", path, entry })
  }

  rename(from: string, path: string, entry: Entry): void {
    this.#bury(this.#visible.get(path))
    this.#change({ _tag: "Rename", from, path, entry })
  }

  remove(path: string, entry: Entry): void {
    this.#bury(entry)
    this.#change({ _tag: "Remove", path, entry })
  }

  /** Names in this folder become durable. A rename into another folder waits for that folder's sync. */
  syncFolder(folder: string): void {
    const covered = (change: Change): boolean => folderOf(change.path) === folder
    for (const change of this.#pending) if (covered(change)) apply(this.#durable, change)
    this.#pending = this.#pending.filter((change) => !covered(change))
  }

  /** The names after a power cut: each unsynced change lost or kept; what lost its folder is lost too. */
  afterPowerCut(random: Random, cut: PowerCut = plainPowerCut): Map<string, Entry> {
    const names = new Map(this.#durable)
    const kept = drawKept(random, this.#pending.length)
    this.#pending.forEach((change, index) => {
      if (kept[index] === true) apply(names, change)
    })
    if (kept.includes(false)) cut.saw("UnsyncedNameLost")
    const reachable = (path: string): boolean => {
      const folder = folderOf(path)
      return folder === "" || (names.get(folder) === "folder" && reachable(folder))
    }
    return new Map([...names].filter(([path]) => reachable(path)))
  }

  #bury(entry: Entry | undefined): void {
    if (entry === undefined || entry === "folder") return
    this.#oldPages = [...entry.pages(oldPagesOfFile), ...this.#oldPages].slice(0, oldPagesMax)
  }

  #change(change: Change): void {
    apply(this.#visible, change)
    this.#listed.delete(folderOf(change.path))
    if (change._tag === "Rename") this.#listed.delete(folderOf(change.from))
    this.#pending.push(change)
  }
}

/** A change that comes late (its folder was synced after another's) never takes away a name that is now another's. */
const apply = (names: Map<string, Entry>, change: Change): void => {
  switch (change._tag) {
    case "Add":
      names.set(change.path, change.entry)
      return
    case "Rename":
      if (names.get(change.from) === change.entry) names.delete(change.from)
      names.set(change.path, change.entry)
      return
    case "Remove":
      if (names.get(change.path) === change.entry) names.delete(change.path)
  }
}
