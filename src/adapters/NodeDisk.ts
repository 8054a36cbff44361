/**
 * NodeDisk: the Disk port over node:fs, for one data folder that it locks for itself. Positional reads and gathered
 * writes, fdatasync, fsync of folders; nothing outside the folder can be named. Twin: sim/Disk.
 *
 * Reads, writes and syncs cannot be interrupted: the kernel uses the buffers until it answers.
 */
import * as fs from "node:fs"
import { join } from "node:path"
import { Effect, Layer, type Scope } from "effect"
import { diskGatherPartsMax, diskOpenFilesMax } from "../base/limits.ts"
import { isDiskPath, lockFileName } from "../base/paths.ts"
import { Disk, DiskError, type DiskErrorCode, type DiskFile, type DiskService } from "../ports/Disk.ts"
import { acquire, type FolderLocked, type FolderUnusable } from "./FolderLock.ts"

type Operation = DiskError["operation"]

const codes: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: "NotFound",
  EEXIST: "Exists",
  ENOSPC: "NoSpace",
  EDQUOT: "NoSpace",
  EFBIG: "NoSpace",
  EACCES: "Permission",
  EPERM: "Permission",
  EROFS: "Permission",
  EINVAL: "Invalid",
  ENOTDIR: "Invalid",
  EISDIR: "Invalid",
  ELOOP: "Invalid",
  EBADF: "Invalid"
}

const toDiskError = (operation: Operation, path: string, error: NodeJS.ErrnoException): DiskError =>
  new DiskError({ operation, path, code: codes[error.code ?? ""] ?? "Io", detail: error.code ?? error.message })

const invalid = (operation: Operation, path: string, detail: string): Effect.Effect<never, DiskError> =>
  Effect.fail(new DiskError({ operation, path, code: "Invalid", detail }))

type Callback<A> = (error: NodeJS.ErrnoException | null, value: A) => void

/** One call of node:fs as an effect that answers once, and only after the kernel is done. */
const call = <A>(
  operation: Operation,
  path: string,
  run: (callback: Callback<A>) => void
): Effect.Effect<A, DiskError> =>
  Effect.uninterruptible(
    Effect.callback<A, DiskError>((resume) => {
      run((error, value) => resume(error ? Effect.fail(toDiskError(operation, path, error)) : Effect.succeed(value)))
    })
  )

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Opens a data folder: makes it where it is missing, locks it, and serves it until the scope closes. */
export const layer = (root: string): Layer.Layer<Disk, FolderLocked | FolderUnusable> =>
  Layer.effect(Disk, Effect.map(acquire(root), () => unlocked(root)))

/** The service without the lock: for folders that another lock covers, and for tests. */
export const unlocked = (root: string): DiskService => {
  const openFiles = { count: 0 }
  const at = (path: string): string => (path === "" ? root : join(root, path))
  const checked = <A, R>(
    operation: Operation,
    path: string,
    run: Effect.Effect<A, DiskError, R>
  ): Effect.Effect<A, DiskError, R> =>
    isDiskPath(path) && path !== lockFileName ? run : invalid(operation, path, "not a path of this disk")
  const checkedFolder = <A>(operation: Operation, path: string, run: Effect.Effect<A, DiskError>) =>
    path === "" ? run : checked(operation, path, run)
  return {
    open: (path, mode) => checked("open", path, openFile(at(path), path, mode, openFiles)),
    list: (folder) =>
      checkedFolder("list", folder, call<Array<string>>("list", folder, (done) => fs.readdir(at(folder), done))).pipe(
        // Names that the port cannot name are not its own (the lock, what an operator left).
        Effect.map((names) => names.filter((name) => isDiskPath(name) && (folder !== "" || name !== lockFileName)).sort())
      ),
    makeFolder: (path) =>
      checked("makeFolder", path, call<string | undefined>("makeFolder", path, (done) =>
        fs.mkdir(at(path), { recursive: true, mode: 0o700 }, done)
      )).pipe(Effect.asVoid),
    rename: (from, to) => checked("rename", from, checked("rename", to, renameFile(at, from, to))),
    remove: (path) => checked("remove", path, removeFile(at(path), path)),
    syncFolder: (path) => checkedFolder("syncFolder", path, syncFolder(at(path), path)),
    freeBytes: Effect.map(
      call<fs.StatsFs>("free", "", (done) => fs.statfs(root, done)),
      (stats) => stats.bavail * stats.bsize
    )
  }
}

const openFlags = {
  read: fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW,
  write: fs.constants.O_RDWR | fs.constants.O_NOFOLLOW,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_NOFOLLOW
}

const close = (path: string, fd: number): Effect.Effect<void> =>
  call<undefined>("open", path, (done) => fs.close(fd, (error) => done(error ?? null, undefined))).pipe(
    // What matters was synced before; that a file does not close is still worth a line.
    Effect.catch((error) => Effect.logWarning(`closing: ${error.message}`))
  )

const openFile = (
  absolute: string,
  path: string,
  mode: "read" | "write" | "create",
  openFiles: { count: number }
): Effect.Effect<DiskFile, DiskError, Scope.Scope> => {
  const opened = Effect.gen(function* () {
    if (openFiles.count >= diskOpenFilesMax) {
      const detail = `${openFiles.count} files are open, the limit: close some`
      return yield* new DiskError({ operation: "open", path, code: "Io", detail })
    }
    openFiles.count += 1
    const fd = yield* call<number>("open", path, (done) => fs.open(absolute, openFlags[mode], 0o600, done)).pipe(
      Effect.tapError(() => Effect.sync(() => (openFiles.count -= 1)))
    )
    return { fd, closed: false }
  })
  return Effect.acquireRelease(opened, (handle) => {
    openFiles.count -= 1
    handle.closed = true
    return close(path, handle.fd)
  }).pipe(
    Effect.flatMap((handle) =>
      Effect.flatMap(
        call<fs.Stats>("open", path, (done) => fs.fstat(handle.fd, done)),
        (stats) => (stats.isFile() ? Effect.succeed(fileOf(handle, path)) : invalid("open", path, "not a file"))
      )
    )
  )
}

interface Handle {
  readonly fd: number
  /** A closed descriptor's number may be another file's by now: it must never be used again. */
  closed: boolean
}

const fileOf = (handle: Handle, path: string): DiskFile => {
  const guarded = <A>(
    operation: Operation,
    numbers: ReadonlyArray<number>,
    run: (callback: Callback<A>) => void
  ): Effect.Effect<A, DiskError> =>
    Effect.suspend(() => {
      if (handle.closed) return invalid(operation, path, "the file is closed")
      if (!numbers.every(isCount)) return invalid(operation, path, "not an offset or size")
      return call(operation, path, run)
    })
  return {
    path,
    read: (offset, length) => guarded("read", [offset, length], (done) => readLoop(handle.fd, offset, length, done)),
    write: (offset, parts) => guarded("write", [offset], (done) => writeLoop(handle.fd, offset, parts, done)),
    sync: guarded<void>("sync", [], (done) => fs.fdatasync(handle.fd, (error) => done(error))),
    size: Effect.map(
      guarded<fs.Stats>("size", [], (done) => fs.fstat(handle.fd, done)),
      (stats) => stats.size
    ),
    truncate: (sizeBytes) => guarded<void>("truncate", [sizeBytes], (done) => fs.ftruncate(handle.fd, sizeBytes, (error) => done(error)))
  }
}

const readLoop = (fd: number, offset: number, length: number, done: Callback<Uint8Array>): void => {
  fs.fstat(fd, (statError, stats) => {
    if (statError) return done(statError, new Uint8Array(0))
    // Allocated for what is there, not for what was asked: a damaged length allocates nothing.
    const bytes = new Uint8Array(Math.max(0, Math.min(length, stats.size - offset)))
    let filled = 0
    const next = (): void => {
      if (filled === bytes.length) return done(null, bytes)
      fs.read(fd, bytes, filled, bytes.length - filled, offset + filled, (error, count) => {
        if (error) return done(error, bytes)
        // The file was truncated meanwhile: what was read is what there is.
        if (count === 0) return done(null, bytes.slice(0, filled))
        filled += count
        next()
      })
    }
    next()
  })
}

/** Gathered writes until every byte is written; a short write goes on where it stopped. */
const writeLoop = (fd: number, offset: number, parts: ReadonlyArray<Uint8Array>, done: Callback<void>): void => {
  const left = parts.filter((part) => part.length > 0)
  let first = 0
  let at = offset
  const next = (): void => {
    if (first === left.length) return done(null)
    fs.writev(fd, left.slice(first, first + diskGatherPartsMax), at, (error, count) => {
      if (error) return done(error)
      at += count
      let written = count
      while (first < left.length && written >= (left[first] as Uint8Array).length) {
        written -= (left[first] as Uint8Array).length
        first += 1
      }
      if (written > 0) left[first] = (left[first] as Uint8Array).subarray(written)
      next()
    })
  }
  next()
}

/** rename(2) of a file; folders are never moved. */
const renameFile = (at: (path: string) => string, from: string, to: string): Effect.Effect<void, DiskError> =>
  Effect.flatMap(
    call<fs.Stats>("rename", from, (done) => fs.lstat(at(from), done)),
    (stats) =>
      stats.isFile()
        ? call<void>("rename", from, (done) => fs.rename(at(from), at(to), (error) => done(error)))
        : invalid("rename", from, "not a file")
  )

const removeFile = (absolute: string, path: string): Effect.Effect<void, DiskError> =>
  Effect.flatMap(
    call<fs.Stats>("remove", path, (done) => fs.lstat(absolute, done)),
    (stats) =>
      stats.isDirectory()
        ? invalid("remove", path, "a folder")
        : call<void>("remove", path, (done) => fs.unlink(absolute, (error) => done(error)))
  )

/** fsync of a folder: the names in it, and its own name in its parent only after the parent's. */
const syncFolder = (absolute: string, path: string): Effect.Effect<void, DiskError> =>
  Effect.acquireUseRelease(
    call<number>("syncFolder", path, (done) =>
      fs.open(absolute, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, done)
    ),
    (fd) => call<void>("syncFolder", path, (done) => fs.fsync(fd, (error) => done(error))),
    (fd) => close(path, fd)
  )
