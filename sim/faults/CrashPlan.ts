/**
 * CrashPlan: how each life of a node ends: when, and by what. Drawn from the seed; lives in a row may be short, so that
 * recovery itself is cut off, again and again. Sits beside the FaultPlan of disk and index under a World.
 */
import type { DiskOperation } from "../Disk.ts"
import type { Random } from "../Random.ts"

export const endings = ["PowerCut", "Kill", "Stop"] as const
export type Ending = (typeof endings)[number]

/** What a life waits for before it ends. */
export type Trigger =
  /** So many more requests were sent. */
  | { readonly _tag: "Requests"; readonly count: number }
  /** So many of its disk operations were begun. */
  | { readonly _tag: "DiskOperations"; readonly count: number }
  /** So many of one kind, where names and bytes change hands; in one folder alone where it says so. */
  | { readonly _tag: "Turn"; readonly operation: DiskOperation; readonly count: number; readonly folder?: string }
  /** One of these faults has struck, and so many disk operations were begun after it; or that many without any. */
  | { readonly _tag: "Fault"; readonly faults: ReadonlySet<string>; readonly count: number; readonly without: number }
  | { readonly _tag: "After"; readonly ms: number }

export interface LifePlan {
  readonly ending: Ending
  readonly trigger: Trigger
  /** From the trigger to the end. */
  readonly graceUs: number
  /** How long nobody starts it again. */
  readonly downMs: number
}

/** Most crashes come between a write and the end of its sync. */
const turns: ReadonlyArray<DiskOperation> = ["sync", "sync", "sync", "write", "syncFolder", "rename", "remove", "open", "makeFolder"]

/** What both folders of data see often: a crash while a block is written, or a segment begun. */
const turnsOfFolders: ReadonlyArray<DiskOperation> = ["sync", "sync", "write", "open", "syncFolder"]
const folders = ["blocks", "blocks", "journal"] as const

/** A failed change leaves something behind that nobody knows: a crash in the middle of what is done about it tells the most. */
const faultsOfChanges: ReadonlySet<string> = new Set(["SyncFailed", "SyncDropped", "WriteFailed", "WriteFailsForLong", "DiskFull"])
const faultsOfSyncs: ReadonlySet<string> = new Set(["SyncFailed", "SyncDropped"])
const withoutFaults = 1500

const endingsOfFaults: ReadonlyArray<Ending> = ["Kill", "Kill", "PowerCut"]
const endingsOfLoops: ReadonlyArray<Ending> = ["PowerCut", "PowerCut", "Kill"]
const endingsOfOthers: ReadonlyArray<Ending> = ["PowerCut", "PowerCut", "PowerCut", "Kill", "Kill", "Stop"]

const requestsOfShortLife = 35

export class CrashPlan {
  readonly #random: Random
  readonly #requestsPerLife: number
  /** Lives that disk operations end are mostly so many times longer where there is much to be done between two crashes. */
  readonly #longer: number
  #loop = 0

  /** `crashes`: how many there are to be while `operations` requests are sent. */
  constructor(random: Random, operations: number, crashes: number) {
    this.#random = random
    this.#requestsPerLife = Math.max(4, Math.floor(operations / (crashes + 1)))
    this.#longer = Math.max(1, Math.round(this.#requestsPerLife / requestsOfShortLife))
  }

  next(): LifePlan {
    const random = this.#random
    if (this.#loop === 0 && random.chance(0.07)) this.#loop = 1 + random.below(4)
    const isLoop = this.#loop > 0
    if (isLoop) this.#loop -= 1
    const trigger = isLoop ? this.#soon() : this.#sometime()
    // The page cache shows what the disk does not have; and what recovery makes of it is lost, or not, by the next crash.
    if (trigger._tag === "Fault" && random.chance(0.5)) this.#loop = 1 + random.below(2)
    return {
      ending: random.pick(trigger._tag === "Fault" ? endingsOfFaults : isLoop ? endingsOfLoops : endingsOfOthers),
      trigger,
      graceUs: random.chance(0.5) ? 0 : random.below(random.pick([100, 5000, 50_000])),
      downMs: random.below(random.pick([10, 1000, 8000]))
    }
  }

  /** In recovery, or just after it. */
  #soon(): Trigger {
    const random = this.#random
    return random.chance(0.7) ? { _tag: "DiskOperations", count: 1 + random.below(60) } : { _tag: "After", ms: random.below(300) }
  }

  #sometime(): Trigger {
    const random = this.#random
    const draw = random.below(14)
    if (draw >= 12) return { _tag: "Turn", operation: random.pick(turnsOfFolders), folder: random.pick(folders), count: 1 + random.below(random.pick([3, 15 * this.#longer])) }
    if (draw >= 10) return { _tag: "Fault", faults: random.chance(0.5) ? faultsOfSyncs : faultsOfChanges, count: 1 + random.below(random.pick([2, 6])), without: withoutFaults * this.#longer }
    if (draw < 5) return { _tag: "Requests", count: 1 + random.below(2 * this.#requestsPerLife) }
    if (draw < 8) return { _tag: "Turn", operation: random.pick(turns), count: 1 + random.below(random.pick([10, 80 * this.#longer, 300 * this.#longer])) }
    return { _tag: "DiskOperations", count: 1 + random.below(random.pick([100, 1500 * this.#longer])) }
  }
}
