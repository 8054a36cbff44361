/**
 * DiskService: the Disk port as sim/Disk serves it: what each operation does to names and files once its turn has come.
 * Sits between sim/Disk, which says when and whether, and DiskNames and DiskFile, which hold what there is.
 */
import { Effect, type Scope } from "effect"
import { concatBytes } from "../src/base/bytes.ts"
import { memoryPageBytes } from "../src/base/wasm.ts"
import { folderOf, isDiskPath } from "../src/base/paths.ts"
import type { DiskError, DiskErrorCode, DiskFile, DiskService, OpenMode } from "../src/ports/Disk.ts"
import type { MemoryDisk } from "./Disk.ts"
import { SimulatedFile, Unreadable } from "./DiskFile.ts"
import type { DiskNames } from "./DiskNames.ts"

/** Why an operation cannot be done. */
export class Refusal {
  readonly code: DiskErrorCode
  readonly detail: string
  constructor(code: DiskErrorCode, detail: string) {
    this.code = code
    this.detail = detail
  }
}

export const attempt = <A>(act: () => A): A | Refusal => {
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

export const serviceOf = (disk: MemoryDisk): DiskService => ({
  open: (path, mode, options = {}) => open(disk, path, mode, options.direct === true && !disk.refusesDirect()),
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
  freeBytes: disk.perform("free", "", () => (disk.capacityBytes === Number.MAX_SAFE_INTEGER ? disk.capacityBytes : Math.max(0, disk.capacityBytes - disk.usedBytes))),
  warnings: () => disk.warnings()
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

/** Refuses as the kernel does where the disk cannot read a sector. */
const readable = <A>(disk: MemoryDisk, answer: A | Unreadable): A => {
  if (!(answer instanceof Unreadable)) return answer
  disk.saw("LatentSector")
  return refuse("Io", `the disk cannot read the sector at ${answer.offset}`)
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
    const whole = parts.length === 1 ? parts[0]! : concatBytes(parts)
    checkSpace(disk, whole.length)
    const count = share === 1 ? whole.length : Math.floor((whole.length * share) / 512) * 512
    if (count === 0 || disk.loseWrite?.(path, offset) === true) return
    const bytes = whole.subarray(0, count)
    const landing = disk.landing?.(path, offset, count) ?? offset
    if (typeof landing === "object") disk.overwrite(landing.path, landing.offset, bytes)
    const at = typeof landing === "object" ? "Lost" : landing
    readable(disk, direct ? file.writeDirect(offset, bytes, at, disk.remembers) : file.write(offset, bytes, at, disk.remembers))
  }
  const handle: DiskFile = {
    path,
    read: (offset, length, memory) =>
      disk.perform("read", path, (as) => {
        check(false)
        checkRange(offset, length)
        const bytes = readable(disk, direct ? file.readDirect(offset, length, as) : file.read(offset, length, as))
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
