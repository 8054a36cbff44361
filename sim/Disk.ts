/**
 * MemoryDisk: the twin of adapters/NodeDisk: a disk with the durability of a real one and no more, that can be cut off,
 * killed, filled, rotted and made to fail. Sits between the Disk port and the tests and the simulator.
 *
 * A disk that was crashed, killed or stopped never completes anything again: what ran on it hangs, as if powered off.
 */
import { Effect, Layer } from "effect"
import { Disk, DiskError, type DiskErrorCode, type DiskService } from "../src/ports/Disk.ts"
import { plainPowerCut, type PowerCut, type ReadAs, SimulatedFile } from "./DiskFile.ts"
import { DiskNames } from "./DiskNames.ts"
import { attempt, Refusal, serviceOf } from "./DiskService.ts"
import type { DiskFaultClass } from "./faults/FaultClass.ts"
import type { Random } from "./Random.ts"

export type DiskOperation = DiskError["operation"]

/**
 * How one operation fails. A write that fails has written its first half (whole sectors). DroppedSync: the sync fails
 * with Io and the dirty pages count as clean: later syncs succeed and save nothing of them, reads still show them.
 * UnknownSync: the sync fails with Io, and what it was to save is durable all the same. Stale: the read succeeds, with what
 * was there before the last write, as far as the disk `remembers`.
 */
export type DiskFault = DiskErrorCode | "DroppedSync" | "UnknownSync" | "Stale"

/** Where a write goes on the disk: an offset of its own file, a place of another file, or nowhere. */
export type Landing = number | "Lost" | { readonly path: string; readonly offset: number }

/** What a power cut does beyond keeping and losing. */
export type CutChances = Pick<PowerCut, "corruptChance" | "oldContentsChance">

/** `number` counts the operations of this disk from 1. */
export type FaultHook = (operation: DiskOperation, path: string, number: number) => DiskFault | undefined

/** What tests hold: the service and the hands of fate. */
export class MemoryDisk {
  readonly service: DiskService
  readonly layer: Layer.Layer<Disk>
  /** Asked before each operation. */
  fault: FaultHook | undefined
  /** A disk that loses writes: where it says so a write succeeds and nothing is written. */
  loseWrite: ((path: string, offset: number) => boolean) | undefined
  /**
   * A disk that lies: where on it a write goes that succeeds, elsewhere or nowhere. Whoever reads through the page cache
   * sees it where it was meant to go; a direct read sees the truth. Asked with path, offset and length of the whole write.
   */
  landing: ((path: string, offset: number, length: number) => Landing) | undefined
  /** How long an operation takes, in milliseconds of its node's clock; 0 is one turn of the scheduler. */
  delayMs: ((operation: DiskOperation, path: string) => number) | undefined
  /** Writes keep what was there before them, for stale reads. */
  remembers = false
  /** The file system refuses direct I/O: who asks for it gets the page cache, and `warnings` says so. */
  directRefused = false
  powerCut: CutChances = plainPowerCut
  /** Told of each fault when it has had its effect. */
  witness: ((fault: DiskFaultClass) => void) | undefined
  /** Writes past it fail with NoSpace. */
  capacityBytes = Number.MAX_SAFE_INTEGER
  /** Completed and failed operations by kind. */
  readonly counts = new Map<DiskOperation, number>()
  /** Operations begun so far. */
  operations = 0

  readonly #names: DiskNames
  #stopAfter = Number.MAX_SAFE_INTEGER
  #stopped = false
  #inFlight: Array<() => void> = []
  /** What takes its time. */
  readonly #slow = new Set<() => void>()
  #warned = false

  constructor(names: DiskNames = new DiskNames()) {
    this.#names = names
    this.service = serviceOf(this)
    this.layer = Layer.succeed(Disk, this.service)
  }

  get names(): DiskNames {
    return this.#names
  }

  get stopped(): boolean {
    return this.#stopped
  }

  get usedBytes(): number {
    return this.#names.allocatedBytes
  }

  /** After the n-th operation from the disk's beginning nothing completes any more; the next ones stay in flight. */
  stopAfter(n: number): void {
    this.#stopAfter = n
  }

  /** Nothing completes any more, from now on. */
  stop(): void {
    this.#stopped = true
  }

  /** The disk as after a power cut: unsynced data and names lost, kept or torn. This one is dead. */
  crash(random: Random): MemoryDisk {
    this.stop()
    this.#land(random)
    const after = new Map<SimulatedFile, SimulatedFile>()
    const cut: PowerCut = { ...this.powerCut, oldPages: this.#names.oldPages, saw: (what) => this.saw(what) }
    const names = this.#names.afterPowerCut(random, cut)
    for (const [path, entry] of names) {
      if (entry === "folder") continue
      const file = after.get(entry) ?? entry.afterPowerCut(random, cut)
      after.set(entry, file)
      names.set(path, file)
    }
    return this.#successor(new DiskNames(names, this.#names.oldPages))
  }

  /** The disk as after SIGKILL: the page cache survives, what was in flight may have happened. This one is dead. */
  kill(random?: Random): MemoryDisk {
    this.stop()
    if (random === undefined) this.#inFlight = []
    else this.#land(random)
    this.saw("ProcessKilled")
    return this.#successor(this.#names)
  }

  /** What was under way may have happened. */
  #land(random: Random): void {
    for (const finish of [...this.#inFlight, ...this.#slow]) if (random.chance(0.5)) finish()
    this.#inFlight = []
    this.#slow.clear()
  }

  /**
   * Rot: one byte on the disk becomes something else (by default its lowest bit flips); what the page cache has of it
   * too, or is "Kept" as it was.
   */
  corrupt(path: string, offset: number, change: (byte: number) => number = (byte) => byte ^ 1, cache: "Alike" | "Kept" = "Alike"): void {
    this.#fileOf(path, offset).corrupt(offset, change, cache)
  }

  /** The sector here cannot be read until it is written again, where `cached` past the page cache only. */
  spoil(path: string, offset: number, cached = false): void {
    this.#fileOf(path, offset).spoil(offset, cached)
  }

  /** Sectors that could not be read can be again, all of them. */
  unspoil(): void {
    for (const [, file] of this.#names.files()) file.unspoil()
  }

  /**
   * The page here answers what was there before its last write, until the next; false where the disk knows nothing else.
   * What the page cache has of it too ("Alike"), or is as it was.
   */
  revert(path: string, offset: number, cache: "Alike" | "Kept" = "Kept"): boolean {
    return this.#fileOf(path, offset).revert(offset, cache)
  }

  /** Somebody else's write lands here, under the page cache. */
  overwrite(path: string, offset: number, bytes: Uint8Array): void {
    this.#fileOf(path, offset).overwrite(offset, bytes)
  }

  #fileOf(path: string, offset: number): SimulatedFile {
    const entry = this.#names.get(path)
    if (!(entry instanceof SimulatedFile) || offset >= entry.sizeBytes) throw new Error(`no byte ${offset} in ${path}`)
    return entry
  }

  /** Every file, whatever its sectors say. */
  contents(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#names.files().map(([path, file]) => [path, file.bytes()]))
  }

  /** Whether a power cut leaves these bytes of the file as they are; false where they are not there. */
  isDurable(path: string, offset: number, length: number): boolean {
    const entry = this.#names.get(path)
    return entry instanceof SimulatedFile && entry.isDurable(offset, length)
  }

  /** Every file and its size in bytes. */
  sizes(): ReadonlyMap<string, number> {
    return new Map(this.#names.files().map(([path, file]) => [path, file.sizeBytes]))
  }

  saw(fault: DiskFaultClass): void {
    this.witness?.(fault)
  }

  /** Asked where direct I/O is wanted. */
  refusesDirect(): boolean {
    if (this.directRefused && !this.#warned) this.saw("DirectRefused")
    this.#warned ||= this.directRefused
    return this.directRefused
  }

  warnings(): ReadonlyArray<string> {
    return this.#warned ? ["the simulated file system refuses direct I/O: the page cache serves instead"] : []
  }

  /**
   * Runs one operation: counts, stops, faults, waits, then does it in one go: one turn of the scheduler after it was
   * asked, or when its time has passed. What it is given is looked at only then, so that a change in flight shows.
   */
  perform<A>(operation: DiskOperation, path: string, act: (as: ReadAs) => A, partly?: () => void): Effect.Effect<A, DiskError> {
    return Effect.suspend(() => {
      this.operations += 1
      const number = this.operations
      if (number > this.#stopAfter) this.#stopped = true
      const later = (): void => void attempt(() => act("Fresh"))
      if (this.#stopped) {
        if (number === this.#stopAfter + 1) this.#inFlight.push(later)
        return Effect.interruptible(Effect.never)
      }
      const fault = this.fault?.(operation, path, number)
      const delayMs = this.delayMs?.(operation, path) ?? 0
      const done = Effect.suspend(() => {
        this.#slow.delete(later)
        if (this.#stopped) {
          this.#inFlight.push(later)
          return Effect.interruptible(Effect.never)
        }
        return this.#complete(operation, path, fault, act, partly)
      })
      if (delayMs <= 0) return Effect.uninterruptible(Effect.andThen(Effect.yieldNow, done))
      this.#slow.add(later)
      return Effect.uninterruptible(Effect.andThen(Effect.sleep(delayMs), done))
    })
  }

  #complete<A>(
    operation: DiskOperation, path: string, fault: DiskFault | undefined, act: (as: ReadAs) => A, partly: (() => void) | undefined
  ): Effect.Effect<A, DiskError> {
    this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1)
    const isStale = fault === "Stale" && operation === "read"
    if (fault !== undefined && !isStale) {
      if (fault === "UnknownSync") attempt(() => act("Fresh"))
      partly?.()
      return Effect.fail(this.#faulty(operation, path, fault))
    }
    const result = attempt(() => act(isStale ? "Stale" : "Fresh"))
    return result instanceof Refusal
      ? Effect.fail(new DiskError({ operation, path, code: result.code, detail: result.detail }))
      : Effect.succeed(result)
  }

  #faulty(operation: DiskOperation, path: string, fault: DiskFault): DiskError {
    if (fault === "DroppedSync") {
      const entry = this.#names.get(path)
      if (operation === "sync" && entry instanceof SimulatedFile) entry.dropDirty()
    }
    const code = fault === "DroppedSync" || fault === "UnknownSync" || fault === "Stale" ? "Io" : fault
    return new DiskError({ operation, path, code, detail: "injected" })
  }

  #successor(names: DiskNames): MemoryDisk {
    const disk = new MemoryDisk(names)
    disk.capacityBytes = this.capacityBytes
    disk.loseWrite = this.loseWrite
    disk.landing = this.landing
    disk.delayMs = this.delayMs
    disk.remembers = this.remembers
    disk.directRefused = this.directRefused
    disk.powerCut = this.powerCut
    disk.witness = this.witness
    return disk
  }
}
