/**
 * MemoryDisk: the twin of adapters/NodeDisk: a disk with the durability of a real one and no more, that can be cut off,
 * killed, filled, rotted and made to fail. Sits between the Disk port and the tests and the simulator.
 *
 * A disk that was crashed, killed or stopped never completes anything again: what ran on it hangs, as if powered off.
 */
import { Effect, Layer, type Scope } from "effect"
import { concatBytes } from "../src/base/bytes.ts"
import { memoryPageBytes } from "../src/base/wasm.ts"
import { folderOf, isDiskPath } from "../src/base/paths.ts"
import { Disk, DiskError, type DiskErrorCode, type DiskFile, type DiskService, type OpenMode } from "../src/ports/Disk.ts"
import { SimulatedFile } from "./DiskFile.ts"
import { DiskNames } from "./DiskNames.ts"
import type { Random } from "./Random.ts"

export type DiskOperation = DiskError["operation"]

/**
 * How one operation fails. A write that fails has written its first half (whole sectors). DroppedSync: the sync fails
 * with Io and the dirty pages count as clean: later syncs succeed and save nothing of them, reads still show them.
 */
export type DiskFault = DiskErrorCode | "DroppedSync"

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
   * sees it where it was meant to go; a direct read sees the truth. Asked with the path and the offset of the whole write.
   */
  landing: ((path: string, offset: number) => number | "Lost") | undefined
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
    return this.#names.files().reduce((sum, [, file]) => sum + file.allocatedBytes, 0)
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
    for (const finish of this.#inFlight.splice(0)) if (random.chance(0.5)) finish()
    const after = new Map<SimulatedFile, SimulatedFile>()
    const names = this.#names.afterPowerCut(random)
    for (const [path, entry] of names) {
      if (entry === "folder") continue
      const file = after.get(entry) ?? entry.afterPowerCut(random)
      after.set(entry, file)
      names.set(path, file)
    }
    return this.#successor(new DiskNames(names))
  }

  /** The disk as after SIGKILL: the page cache survives, what was in flight may have happened. This one is dead. */
  kill(random?: Random): MemoryDisk {
    this.stop()
    for (const finish of this.#inFlight.splice(0)) if (random?.chance(0.5) === true) finish()
    return this.#successor(this.#names)
  }

  /**
   * Rot: one byte on the disk becomes something else (by default its lowest bit flips); what the page cache has of it
   * too, or is "Kept" as it was.
   */
  corrupt(path: string, offset: number, change: (byte: number) => number = (byte) => byte ^ 1, cache: "Alike" | "Kept" = "Alike"): void {
    const entry = this.#names.get(path)
    if (!(entry instanceof SimulatedFile) || offset >= entry.sizeBytes) throw new Error(`no byte ${offset} in ${path}`)
    entry.corrupt(offset, change, cache)
  }

  /** Every file as it reads now. */
  contents(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.#names.files().map(([path, file]) => [path, file.read(0, file.sizeBytes)]))
  }

  /** Runs one operation: counts, stops, faults, then does it in one go, one turn of the scheduler after it was asked. */
  perform<A>(operation: DiskOperation, path: string, act: () => A, partly?: () => void): Effect.Effect<A, DiskError> {
    return Effect.suspend(() => {
      this.operations += 1
      const number = this.operations
      if (number > this.#stopAfter) this.#stopped = true
      if (this.#stopped) {
        if (number === this.#stopAfter + 1) this.#inFlight.push(() => void attempt(act))
        return Effect.interruptible(Effect.never)
      }
      const fault = this.fault?.(operation, path, number)
      const done = Effect.suspend(() => {
        if (this.#stopped) {
          this.#inFlight.push(() => void attempt(act))
          return Effect.interruptible(Effect.never)
        }
        this.counts.set(operation, (this.counts.get(operation) ?? 0) + 1)
        if (fault !== undefined) {
          partly?.()
          return Effect.fail(this.#faulty(operation, path, fault))
        }
        const result = attempt(act)
        return result instanceof Refusal
          ? Effect.fail(new DiskError({ operation, path, code: result.code, detail: result.detail }))
          : Effect.succeed(result)
      })
      return Effect.uninterruptible(Effect.andThen(Effect.yieldNow, done))
    })
  }

  #faulty(operation: DiskOperation, path: string, fault: DiskFault): DiskError {
    if (fault === "DroppedSync") {
      const entry = this.#names.get(path)
      if (operation === "sync" && entry instanceof SimulatedFile) entry.dropDirty()
    }
    return new DiskError({ operation, path, code: fault === "DroppedSync" ? "Io" : fault, detail: "injected" })
  }

  #successor(names: DiskNames): MemoryDisk {
    const disk = new MemoryDisk(names)
    disk.capacityBytes = this.capacityBytes
    disk.loseWrite = this.loseWrite
    disk.landing = this.landing
    return disk
  }
}

/** Why an operation cannot be done. */
class Refusal {
  readonly code: DiskErrorCode
  readonly detail: string
  constructor(code: DiskErrorCode, detail: string) {
    this.code = code
    this.detail = detail
  }
}

const attempt = <A>(act: () => A): A | Refusal => {
  try {
    return act()
  } catch (error) {
    // What `refuse` throws is an answer; anything else is a bug of the twin or its caller.
    if (error instanceof Refusal) return error
    throw error
  }
}

const refuse = (code: DiskErrorCode, detail: string): never => {
  throw new Refusal(code, detail)
}

const checkPath = (path: string): void => {
  if (!isDiskPath(path)) refuse("Invalid", "not a path of this disk")
}

const checkRange = (...values: ReadonlyArray<number>): void => {
  if (!values.every((value) => Number.isSafeInteger(value) && value >= 0)) refuse("Invalid", "not an offset or size")
}

const checkFolder = (names: DiskNames, path: string): void => {
  const entry = names.get(path)
  if (entry === undefined) refuse("NotFound", "no such folder")
  if (entry !== "folder") refuse("Invalid", "not a folder")
}

const fileAt = (names: DiskNames, path: string): SimulatedFile => {
  checkPath(path)
  checkFolder(names, folderOf(path))
  const entry = names.get(path) ?? refuse("NotFound", "no such file")
  return entry === "folder" ? refuse("Invalid", "a folder") : entry
}

const serviceOf = (disk: MemoryDisk): DiskService => ({
  open: (path, mode, options = {}) => open(disk, path, mode, options.direct === true),
  list: (folder) =>
    disk.perform("list", folder, () => {
      if (folder !== "") checkPath(folder)
      checkFolder(disk.names, folder)
      return disk.names.list(folder)
    }),
  makeFolder: (path) => disk.perform("makeFolder", path, () => makeFolder(disk.names, path)),
  rename: (from, to) =>
    disk.perform("rename", from, () => {
      const file = fileAt(disk.names, from)
      checkPath(to)
      checkFolder(disk.names, folderOf(to))
      if (disk.names.get(to) === "folder") refuse("Invalid", "a folder is in the way")
      if (from !== to) disk.names.rename(from, to, file)
    }),
  remove: (path) => disk.perform("remove", path, () => disk.names.remove(path, fileAt(disk.names, path))),
  syncFolder: (path) =>
    disk.perform("syncFolder", path, () => {
      if (path !== "") checkPath(path)
      checkFolder(disk.names, path)
      disk.names.syncFolder(path)
    }),
  freeBytes: disk.perform("free", "", () => Math.max(0, disk.capacityBytes - disk.usedBytes)),
  warnings: () => []
})

const makeFolder = (names: DiskNames, path: string): void => {
  checkPath(path)
  const parts = path.split("/")
  for (let count = 1; count <= parts.length; count += 1) {
    const folder = parts.slice(0, count).join("/")
    const entry = names.get(folder)
    if (entry === undefined) names.add(folder, "folder")
    else if (entry !== "folder") refuse(count === parts.length ? "Exists" : "Invalid", `${folder} is a file`)
  }
}

const open = (
  disk: MemoryDisk,
  path: string,
  mode: OpenMode,
  direct: boolean
): Effect.Effect<DiskFile, DiskError, Scope.Scope> =>
  disk.perform("open", path, () => {
    if (mode !== "create") return fileHandle(disk, path, fileAt(disk.names, path), mode, direct)
    checkPath(path)
    checkFolder(disk.names, folderOf(path))
    if (disk.names.get(path) !== undefined) refuse("Exists", "already there")
    const file = new SimulatedFile()
    disk.names.add(path, file)
    return fileHandle(disk, path, file, mode, direct)
  }).pipe(
    Effect.flatMap((handle) => Effect.as(Effect.addFinalizer(() => Effect.sync(handle.close)), handle.file))
  )

/** Fails with NoSpace before a write or an extension that would not fit; holes are free until they are written. */
const checkSpace = (disk: MemoryDisk, bytes: number): void => {
  if (disk.capacityBytes !== Number.MAX_SAFE_INTEGER && disk.usedBytes + bytes > disk.capacityBytes) {
    refuse("NoSpace", "the disk is full")
  }
}

/** The bytes in the caller's memory, where a disk of whole pages would put them; their own where they do not fit. */
const placed = (bytes: Uint8Array, memory: Uint8Array, at: number): Uint8Array => {
  if (at + bytes.length > memory.length) return bytes
  memory.set(bytes, at)
  return memory.subarray(at, at + bytes.length)
}

const fileHandle = (
  disk: MemoryDisk,
  path: string,
  file: SimulatedFile,
  mode: OpenMode,
  direct: boolean
): { readonly file: DiskFile; readonly close: () => void } => {
  let opened = true
  const check = (writes: boolean): void => {
    if (!opened) refuse("Invalid", "the file is closed")
    if (writes && mode === "read") refuse("Invalid", "the file is open for reading only")
  }
  const write = (offset: number, parts: ReadonlyArray<Uint8Array>, share: number): void => {
    check(true)
    checkRange(offset)
    const bytes = concatBytes(parts)
    checkSpace(disk, bytes.length)
    const count = share === 1 ? bytes.length : Math.floor((bytes.length * share) / 512) * 512
    if (count === 0 || disk.loseWrite?.(path, offset) === true) return
    const landing = disk.landing?.(path, offset) ?? offset
    if (direct) file.writeDirect(offset, bytes.subarray(0, count), landing)
    else file.write(offset, bytes.subarray(0, count), landing)
  }
  const handle: DiskFile = {
    path,
    read: (offset, length, memory) =>
      disk.perform("read", path, () => {
        check(false)
        checkRange(offset, length)
        const bytes = direct ? file.readDirect(offset, length) : file.read(offset, length)
        return memory === undefined ? bytes : placed(bytes, memory, direct ? offset % memoryPageBytes : 0)
      }),
    write: (offset, parts) =>
      disk.perform("write", path, () => write(offset, parts, 1), () => void attempt(() => write(offset, parts, 0.5))),
    sync: disk.perform("sync", path, () => {
      check(false)
      file.sync()
    }),
    size: disk.perform("size", path, () => {
      check(false)
      return file.sizeBytes
    }),
    truncate: (sizeBytes) =>
      disk.perform("truncate", path, () => {
        check(true)
        checkRange(sizeBytes)
        file.truncate(sizeBytes)
      })
  }
  return { file: handle, close: () => void (opened = false) }
}
