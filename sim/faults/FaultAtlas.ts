/**
 * FaultAtlas: what may be harmed, and what was. It sits under a FaultPlan, which asks it before it harms a file for good.
 *
 * One node has no second copy. What it can do without, and makes again, is: the index; the newest of two generations of
 * checkpoints, as long as the journal reaches back to the one before; a block that is not yet read back; what is not
 * synced; what only the page cache tells. A merciful plan harms nothing else for good: nothing acknowledged may be lost
 * then. A merciless one harms everything in the folders of data: each loss must be named, and no answer may be wrong.
 *
 * Of a member of a cluster all of that may be harmed which others have a copy of, and which tells by itself that it is not what it was ("Copied"): nothing acknowledged may be lost
 * then either. Not writes of its journal that vanish: whoever forgets what it has promised, and does not know, is no fault that a majority survives.
 */
import type { DiskFaultClass } from "./FaultClass.ts"

export type Mercy = "Merciful" | "Merciless" | "Copied"

export interface Harm {
  readonly fault: DiskFaultClass
  readonly path: string
  readonly offset: number
}

const dataFolders = ["journal/", "blocks/", "checkpoints/"]
const checkpoint = /^checkpoints\/([0-9a-f]{16})\.(?:base|delta)(\.damaged)?$/

export class FaultAtlas {
  readonly mercy: Mercy
  /** What was harmed and not mended since, in order. Nothing in it: nothing acknowledged may be lost. */
  readonly harms: Array<Harm> = []
  #isCheckpointHarmed = false

  constructor(mercy: Mercy) {
    this.mercy = mercy
  }

  /** A write to this path may go astray: for the merciful only where it is read back, past the page cache, before it counts. */
  mayGoAstray(path: string, isDirectRefused: boolean): boolean {
    if (this.mercy === "Copied") return isCopied(path)
    return this.mercy === "Merciless" ? isData(path) : path.startsWith("blocks/") && !isDirectRefused
  }

  /** A read of this path may once answer what was there before: for the merciful where a hash tells, and nothing is decided by it. */
  mayBeStale(path: string): boolean {
    return this.mercy === "Merciless" ? isData(path) : path.startsWith("blocks/")
  }

  /**
   * Files that may be harmed where they lie, while the machine is off. For the merciful those of the newest of two or more
   * checkpoints, once in a world, and only together with the index, so that it is met at once and not built upon. Not while one
   * that an error of the disk made unreadable is set aside, and no newer one made since: the journal is kept back to the
   * generation before that one, so that only one is left.
   */
  harmable(paths: Iterable<string>, fault?: DiskFaultClass): ReadonlyArray<string> {
    if (this.mercy === "Merciless") return [...paths].filter(isData)
    if (this.mercy === "Copied") return [...paths].filter(fault === "StaleSector" ? isCopied : isData)
    if (this.#isCheckpointHarmed) return []
    const files = [...paths].flatMap((path) => {
      const [, generation, aside] = checkpoint.exec(path) ?? []
      return generation === undefined ? [] : [{ path, generation, isAside: aside !== undefined }]
    })
    const read = files.filter(({ isAside }) => !isAside)
    const generations = [...new Set(read.map(({ generation }) => generation))].sort()
    const newest = generations.at(-1) ?? ""
    if (generations.length < 2 || files.some(({ generation, isAside }) => isAside && generation > newest)) return []
    return read.filter(({ generation }) => generation === newest).map(({ path }) => path)
  }

  /** Whether these words name a part of the store that was harmed. */
  isNamedBy(words: string): boolean {
    return this.harms.some(({ path }) => words.includes(path.startsWith("checkpoints/") ? "checkpoint" : path.startsWith("blocks/") ? "block" : "journal"))
  }

  harmed(harm: Harm): void {
    if (this.mercy === "Merciful") this.#isCheckpointHarmed = true
    else this.harms.push(harm)
  }
}

const isCopied = (path: string): boolean => path.startsWith("blocks/") || path.startsWith("checkpoints/")
const isData = (path: string): boolean => dataFolders.some((folder) => path.startsWith(folder)) && path !== "journal/reserve"
