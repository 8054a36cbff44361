/**
 * FaultPlan: what the seed has in store for a node's disk and index: for every class of fault a chance, often zero, the
 * same for all lives of a world. It sits between a world and the twins of Disk and KeyValue: armed at the beginning of
 * each life, asked between lives, ended by `heal`. Every fault is counted when it has had its effect.
 */
import { folderOf } from "../../src/base/paths.ts"
import type { DiskFault, DiskOperation, Landing, MemoryDisk } from "../Disk.ts"
import { plainPowerCut } from "../DiskFile.ts"
import { MemoryKeyValue, type Tables } from "../KeyValue.ts"
import type { Random } from "../Random.ts"
import { FaultAtlas, type Mercy } from "./FaultAtlas.ts"
import { type DiskFaultClass, diskFaultClasses } from "./FaultClass.ts"
import { Strikes } from "./Strikes.ts"

/**
 * How often a fault strikes where the seed has it at all: an operation of its kind, a sector in flight, or a night between
 * two lives. One of them is drawn for each seed.
 */
const chances: Readonly<Record<DiskFaultClass, ReadonlyArray<number>>> = {
  // These come with every power cut and every kill: crashes are not this plan's to draw.
  UnsyncedLost: [1],
  TornWrite: [1],
  UnsyncedNameLost: [1],
  ProcessKilled: [1],
  IndexCut: [1],
  InFlightCorrupt: [0.1, 0.5, 0.9],
  OldContents: [0.2, 0.8],
  SyncFailed: [0.005, 0.03],
  SyncDropped: [0.005, 0.03],
  ReadFailed: [0.002, 0.01, 0.05],
  ReadFailsForLong: [0.0005, 0.005],
  WriteFailed: [0.002, 0.01, 0.05],
  WriteFailsForLong: [0.0005, 0.005],
  DiskFull: [0.001, 0.01],
  LatentSector: [0.3, 0.8],
  BitRot: [0.3, 0.8],
  StaleSector: [0.3, 0.8],
  MisdirectedWrite: [0.005, 0.05],
  LostWrite: [0.005, 0.05],
  StaleRead: [0.002, 0.02],
  SlowDisk: [0.01, 0.1, 0.5],
  DirectRefused: [1],
  IndexLost: [0.1, 0.4],
  IndexGarbage: [0.1, 0.4],
  IndexStale: [0.2, 0.6],
  IndexFailed: [0.002, 0.02],
  IndexUnreadable: [0.1, 0.4]
}

const always: ReadonlySet<DiskFaultClass> = new Set(["UnsyncedLost", "TornWrite", "UnsyncedNameLost", "ProcessKilled", "IndexCut"])
/** Of every class that is not always there, the share of seeds that have it. */
const activeChance = 0.35
/** A disk that errs at every turn lets nothing happen: some seeds have one kind of fault alone, or few. */
const calmSeeds = 0.15

/**
 * One part of a disk that is much worse than the rest of it: what it takes for two rare things to meet in one place. Some
 * seeds have one of them.
 */
const weaknesses = [
  /** Syncs of the journal fail, or drop what they were to save. */
  { folder: "journal/", operation: "sync", chance: 0.15, how: "Fails", faults: ["SyncFailed", "SyncDropped"] },
  { folder: "journal/", operation: "sync", chance: 0.05, how: "Fails", faults: ["SyncFailed", "SyncDropped"] },
  /** Blocks that are read answer EIO: also to those who write them anew. */
  { folder: "blocks/", operation: "read", chance: 0.15, how: "Fails", faults: ["ReadFailed"] },
  { folder: "blocks/", operation: undefined, chance: 0.5, how: "Slow", faults: ["SlowDisk"] },
  { folder: "journal/", operation: "sync", chance: 0.5, how: "Slow", faults: ["SlowDisk"] }
] as const
type Weakness = (typeof weaknesses)[number]
const weakSeeds = 0.4
const weakMsMax = 400
const elsewhere = 0.001

const valueRotChance = 0.2
/** Of the lives of a seed where files answer EIO for long. */
const blockFailsChance = 0.5
const valueStaleChances = [0.3, 0.9]
/** A page has a few rows, and a single page is enough. */
const rowSpoiledChances = [0.02, 0.3]
/** Of the nights behind one in which the index was lost: what lay there before lies where the rebuilt one is. */
const staleOnceLost = 0.7
/** A weak part fails under whoever counts on it just then. */
const temptingChance = 0.7
/** Nights whose index is remembered. */
const nightsMax = 4
const changes: ReadonlySet<DiskOperation> = new Set(["write", "truncate", "open", "rename", "remove", "makeFolder", "syncFolder"])

export interface Watch {
  /** Told of each operation of the disk, before anything becomes of it. */
  readonly asked?: (operation: DiskOperation, path: string) => void
  /** How long an operation takes that is not slow. */
  readonly usualMs?: () => number
  /** Somebody waits who counts on what no sync has covered yet; not said again for a while. */
  readonly isTempting?: () => boolean
}

export interface Night {
  readonly index: MemoryKeyValue
  /** What the opening of the index says of its file; undefined where it opens. */
  readonly indexDamage: string | undefined
}

export class FaultPlan {
  readonly atlas: FaultAtlas
  /** Of each class, what the seed drew; 0 where it has none of it. */
  readonly chances: ReadonlyMap<DiskFaultClass, number>
  readonly counts = new Map<DiskFaultClass, number>()
  readonly #told: ((fault: DiskFaultClass) => void) | undefined
  readonly #strikesOfWorld: Strikes
  readonly #random: Random
  readonly #slowMsMax: number
  readonly #weakness: Weakness | undefined
  #isOn = false
  /** As it was in the last nights, oldest first. */
  readonly #indexes: Array<Tables> = []
  /** The newest of them was lost, and nothing has come back since. */
  #isLost = false
  #isTempting: () => boolean = () => false
  /** Files and folders that answer EIO, and up to which operation of the disk. */
  readonly #failing = new Map<string, number>()
  /** The operation at which a full disk has room again. */
  #fullUntil = 0

  /** `told` of every fault that has had its effect. */
  constructor(random: Random, mercy: Mercy, told?: (fault: DiskFaultClass) => void, strikes = new Strikes()) {
    this.#strikesOfWorld = strikes
    this.#random = random
    this.#told = told
    this.atlas = new FaultAtlas(mercy)
    const chances = drawChances(random)
    this.#slowMsMax = random.pick([2, 20, 200, 2000])
    this.#weakness = random.chance(weakSeeds) ? random.pick(weaknesses) : undefined
    // What its weak part does a seed has, if only a little of it elsewhere.
    for (const fault of this.#weakness?.faults ?? []) chances.set(fault, Math.max(chances.get(fault)!, elsewhere))
    this.chances = chances
  }

  get isOn(): boolean {
    return this.#isOn
  }

  get hasWeakPart(): boolean {
    return this.#weakness !== undefined
  }

  /** Whether a start, or a request, may fail because of what this plan does or has done. */
  get explainsFailures(): boolean {
    return this.#isOn && [...this.chances].some(([fault, chance]) => chance > 0 && !always.has(fault)) || this.atlas.harms.length > 0
  }

  /** From now on. */
  begin(disk: MemoryDisk): void {
    this.#isOn = true
    this.#setWeather(disk)
  }

  /** A process begins on these twins. */
  arm(disk: MemoryDisk, index: MemoryKeyValue, { asked, isTempting = () => false, usualMs }: Watch = {}): void {
    const random = this.#random.fork()
    this.#isTempting = isTempting
    this.#failing.clear()
    if (this.#chance("ReadFailsForLong") > 0 && random.chance(blockFailsChance)) this.#failBlocks(disk, random)
    this.#fullUntil = 0
    disk.capacityBytes = Number.MAX_SAFE_INTEGER
    disk.witness = (fault) => this.saw(fault)
    index.witness = (fault) => this.saw(fault)
    disk.fault = (operation, path, number) => {
      asked?.(operation, path)
      return this.#isOn ? this.#faultOf(disk, random, operation, path, number) : undefined
    }
    disk.landing = (path, offset, length) => (this.#isOn ? this.#landingOf(disk, random, path, offset, length) : offset)
    disk.delayMs = (operation, path) => {
      const ms = usualMs?.() ?? 0
      if (this.#isWeak(random, "Slow", operation, path, "SlowDisk")) return this.#seen("SlowDisk", ms + random.below(weakMsMax))
      return this.#strikes(random, "SlowDisk") ? this.#seen("SlowDisk", ms + 1 + random.below(this.#slowMsMax)) : ms
    }
    index.fault = () => this.#strikes(random, "IndexFailed")
    this.#setWeather(disk)
  }

  /** Blocks that cannot be read for a while are met by reads, scrub and compaction alike. */
  #failBlocks(disk: MemoryDisk, random: Random): void {
    const share = random.pick([0.1, 0.5])
    for (const path of disk.sizes().keys()) {
      if (path.startsWith("blocks/") && random.chance(share)) this.#failing.set(path, disk.operations + random.below(random.pick([200, 5000])))
    }
  }

  /** While the machine is off, before the twins are armed again: what rots, and what becomes of the index. */
  between(disk: MemoryDisk, index: MemoryKeyValue): Night {
    if (!this.#isOn) return { index, indexDamage: undefined }
    disk.witness = (fault) => this.saw(fault)
    const random = this.#random.fork()
    const isHarmed = this.#harmAtRest(disk, random)
    const isMerciful = this.atlas.mercy === "Merciful"
    if (isHarmed && isMerciful || this.#strikes(random, "IndexLost")) {
      this.saw("IndexLost")
      // An index from before would have nobody meet the harm, and build upon it.
      if (isHarmed) this.#indexes.length = 0
      else this.#remember(index)
      this.#isLost = !isHarmed
      return { index: new MemoryKeyValue(), indexDamage: random.chance(0.5) ? "simulated damage" : undefined }
    }
    if (this.#strikes(random, "IndexUnreadable")) this.#spoilIndex(random, index)
    if (this.#strikes(random, "IndexGarbage") && index.rot(random, valueRotChance) > 0) this.saw("IndexGarbage")
    return { index: this.#staleIndex(random, index), indexDamage: undefined }
  }

  #spoilIndex(random: Random, index: MemoryKeyValue): void {
    const chance = random.pick(rowSpoiledChances)
    if (index.spoil(() => random.chance(chance)) > 0) this.saw("IndexUnreadable")
  }

  /** Somebody puts an old copy of the index back, or pages of it were never written since. */
  #staleIndex(random: Random, index: MemoryKeyValue): MemoryKeyValue {
    if (this.#chance("IndexStale") === 0) return index
    const nights = this.#indexes
    // Mostly that of last night: what was lost then is rebuilt, and has lain where it lies for one short life.
    const isRebuilt = this.#isLost && random.chance(staleOnceLost) && this.#strikesOfWorld.allows("IndexStale")
    this.#isLost = false
    const earlier = nights.length > 0 && (isRebuilt || this.#strikes(random, "IndexStale")) ? (isRebuilt || random.chance(0.5) ? nights.at(-1)! : random.pick(nights)) : undefined
    this.#remember(index)
    if (earlier === undefined) return index
    if (!isRebuilt && random.chance(0.5)) {
      this.saw("IndexStale")
      return new MemoryKeyValue(earlier)
    }
    if (index.revert(random, random.pick(valueStaleChances), earlier) > 0) this.saw("IndexStale")
    return index
  }

  /** The first night stays among them, which lies many checkpoints back; one that was lost does too: what is rebuilt lies where its nodes lay. */
  #remember(index: MemoryKeyValue): void {
    if (this.#chance("IndexStale") === 0) return
    const nights = this.#indexes
    nights.push(index.snapshot())
    if (nights.length > nightsMax) nights.splice(1, 1)
  }

  /** Faults stop. What was lost for good stays lost; what was full, slow or unreachable is not any more. */
  heal(disk: MemoryDisk, index: MemoryKeyValue): void {
    this.#isOn = false
    this.#failing.clear()
    disk.capacityBytes = Number.MAX_SAFE_INTEGER
    index.fault = undefined
    index.mend()
    this.#setWeather(disk)
  }

  saw(fault: DiskFaultClass): void {
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1)
    this.#told?.(fault)
  }

  #chance(fault: DiskFaultClass): number {
    return this.#isOn ? this.chances.get(fault) ?? 0 : 0
  }

  #strikes(random: Random, fault: DiskFaultClass): boolean {
    const chance = this.#chance(fault)
    return chance > 0 && random.chance(chance) && this.#strikesOfWorld.allows(fault)
  }

  #isWeak(random: Random, how: Weakness["how"], operation: DiskOperation, path: string, fault: DiskFaultClass): boolean {
    const weak = this.#weakness
    if (weak === undefined || !this.#isOn || weak.how !== how || !path.startsWith(weak.folder) || (weak.operation ?? operation) !== operation) return false
    return random.chance(operation === "sync" && how === "Fails" && this.#isTempting() ? temptingChance : weak.chance) && this.#strikesOfWorld.allows(fault)
  }

  #setWeather(disk: MemoryDisk): void {
    disk.remembers = this.#chance("StaleRead") > 0 || this.#chance("StaleSector") > 0
    disk.directRefused = this.#chance("DirectRefused") > 0
    disk.powerCut = this.#isOn ? { corruptChance: this.#chance("InFlightCorrupt"), oldContentsChance: this.#chance("OldContents") } : plainPowerCut
  }

  #faultOf(disk: MemoryDisk, random: Random, operation: DiskOperation, path: string, number: number): DiskFault | undefined {
    if (this.#fullUntil > 0 && number >= this.#fullUntil) {
      this.#fullUntil = 0
      disk.capacityBytes = Number.MAX_SAFE_INTEGER
    }
    if (operation === "sync") return this.#syncFault(random, path)
    if (operation === "read") return this.#readFault(random, path, number)
    return changes.has(operation) ? this.#changeFault(disk, random, operation, path, number) : undefined
  }

  #syncFault(random: Random, path: string): DiskFault | undefined {
    const weak = random.pick(["SyncFailed", "SyncDropped"] as const)
    if (this.#isWeak(random, "Fails", "sync", path, weak)) return this.#seen(weak, weak === "SyncDropped" ? "DroppedSync" : "Io")
    if (this.#strikes(random, "SyncDropped")) return this.#seen("SyncDropped", "DroppedSync")
    return this.#strikes(random, "SyncFailed") ? this.#seen("SyncFailed", random.pick(["UnknownSync", "Io"] as const)) : undefined
  }

  #readFault(random: Random, path: string, number: number): DiskFault | undefined {
    if (number < (this.#failing.get(path) ?? 0)) return this.#seen("ReadFailsForLong", "Io")
    if (this.#strikes(random, "ReadFailsForLong")) this.#failing.set(path, number + random.below(random.pick([20, 200, 2000])))
    if (this.#isWeak(random, "Fails", "read", path, "ReadFailed") || this.#strikes(random, "ReadFailed")) return this.#seen("ReadFailed", "Io")
    return this.#strikes(random, "StaleRead") && this.atlas.mayBeStale(path) ? this.#seen("StaleRead", "Stale") : undefined
  }

  #changeFault(disk: MemoryDisk, random: Random, operation: DiskOperation, path: string, number: number): DiskFault | undefined {
    const folder = `${operation === "syncFolder" || operation === "makeFolder" ? path : folderOf(path)}/`
    if (number < (this.#failing.get(folder) ?? 0)) return this.#seen("WriteFailsForLong", "Io")
    if (this.#strikes(random, "WriteFailsForLong")) this.#failing.set(folder, number + random.below(random.pick([20, 200])))
    if (this.#strikes(random, "WriteFailed")) return this.#seen("WriteFailed", "Io")
    if (operation !== "write") return undefined
    if (this.#strikes(random, "DiskFull")) {
      disk.capacityBytes = disk.usedBytes + random.below(random.pick([1, 10_000, 1_000_000]))
      this.#fullUntil = number + 1 + random.below(random.pick([5, 50, 500]))
      this.saw("DiskFull")
    }
    return undefined
  }

  #landingOf(disk: MemoryDisk, random: Random, path: string, offset: number, length: number): Landing {
    const isLost = this.#strikes(random, "LostWrite")
    const isAstray = this.#strikes(random, "MisdirectedWrite")
    if (!isLost && !isAstray || !this.atlas.mayGoAstray(path, disk.directRefused)) return offset
    const landing = isLost ? "Lost" : this.#elsewhere(disk, random, path, length)
    this.#harm(isLost ? "LostWrite" : "MisdirectedWrite", path, offset)
    return landing
  }

  /** In its own file, or for the merciless as well over another one. */
  #elsewhere(disk: MemoryDisk, random: Random, path: string, length: number): Landing {
    const sizes = disk.sizes()
    const others = this.atlas.mercy !== "Merciless" ? [] : this.atlas.harmable(sizes.keys()).filter((other) => sizes.get(other)! > length)
    if (others.length > 0 && random.chance(0.5)) {
      const other = random.pick(others)
      const at = sectorBelow(random, sizes.get(other)! - length)
      this.#harm("MisdirectedWrite", other, at)
      return { path: other, offset: at }
    }
    return sectorBelow(random, sizes.get(path) ?? 0)
  }

  /** True where something was harmed. */
  #harmAtRest(disk: MemoryDisk, random: Random): boolean {
    let isHarmed = false
    for (const fault of ["BitRot", "LatentSector", "StaleSector"] as const) {
      if (!this.#strikes(random, fault)) continue
      const sizes = disk.sizes()
      const paths = this.atlas.harmable(sizes.keys(), fault).filter((path) => sizes.get(path)! > 0)
      if (paths.length === 0) continue
      const path = random.pick(paths)
      const offset = random.below(sizes.get(path)!)
      if (fault === "BitRot") disk.corrupt(path, offset, (byte) => byte ^ (1 << random.below(8)))
      else if (fault === "LatentSector") disk.spoil(path, offset)
      // Under a page that stays cached it would not be met at once, and be built upon: two faults in one.
      else if (!disk.revert(path, offset, this.atlas.mercy === "Merciful" ? "Alike" : "Kept")) continue
      this.#harm(fault, path, offset)
      // A latent sector has had its effect when it is read.
      if (fault !== "LatentSector") this.saw(fault)
      isHarmed = true
    }
    return isHarmed
  }

  /** Writes of the merciful go astray where they are found out: no harm that stays. */
  #harm(fault: DiskFaultClass, path: string, offset: number): void {
    const isWrite = fault === "LostWrite" || fault === "MisdirectedWrite"
    if (isWrite) this.saw(fault)
    if (!isWrite || this.atlas.mercy !== "Merciful") this.atlas.harmed({ fault, path, offset })
  }

  #seen<A>(fault: DiskFaultClass, answer: A): A {
    this.saw(fault)
    return answer
  }
}

const sectorBelow = (random: Random, bytes: number): number => random.below(Math.floor(Math.max(0, bytes) / 512) + 1) * 512

const drawChances = (random: Random): Map<DiskFaultClass, number> => {
  const isCalm = random.chance(calmSeeds)
  const drawn = new Map(diskFaultClasses.map((fault): [DiskFaultClass, number] => {
    const chance = random.pick(chances[fault])
    const isActive = random.chance(isCalm ? activeChance / 8 : activeChance)
    return [fault, always.has(fault) || isActive ? chance : 0]
  }))
  // Lost one night and put back another: nodes of the tree that was rebuilt lie where others lay.
  if (random.chance(0.12)) for (const fault of ["IndexLost", "IndexStale"] as const) drawn.set(fault, 0.5)
  return drawn
}
