/**
 * NodeDisk: the Disk port over node:fs, for one data folder that it locks for itself. Positional reads and gathered
 * writes, direct I/O where it is asked for (DirectIo), fdatasync, fsync of folders; nothing outside the folder can be
 * named. Twin: sim/Disk.
 *
 * Reads, writes and syncs cannot be interrupted: the kernel uses the buffers until it answers.
 */
import * as fs from "node:fs"
import { join } from "node:path"
import { Effect, Layer, type Scope } from "effect"
import { copyOf } from "../base/bytes.ts"
import { diskOpenFilesMax, diskReadUnaskedBytesMax } from "../base/limits.ts"
import { isDiskPath, lockFileName } from "../base/paths.ts"
import { Disk, DiskError, type DiskErrorCode, type DiskFile, type DiskService, type OpenMode, type OpenOptions } from "../ports/Disk.ts"
import { type Callback, makePieceMemory, type PieceMemory, readDirect, readDirectInto, writeAll, writeDirect } from "./DirectIo.ts"
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

const details: Readonly<Record<string, string>> = {
  EMFILE: "EMFILE: the process has no file descriptor left; raise the limit of open files (ulimit -n)",
  ENFILE: "ENFILE: the machine has no file descriptor left"
}

const toDiskError = (operation: Operation, path: string, error: NodeJS.ErrnoException): DiskError =>
  new DiskError({ operation, path, code: codes[error.code ?? ""] ?? "Io", detail: details[error.code ?? ""] ?? error.code ?? error.message })

const invalid = (operation: Operation, path: string, detail: string): Effect.Effect<never, DiskError> =>
  Effect.fail(new DiskError({ operation, path, code: "Invalid", detail }))

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

/** Of an open file: the kernel has it in memory, and a hop to a thread costs a hundred times as much. */
const statusOf = (operation: Operation, path: string, fd: number): Effect.Effect<fs.Stats, DiskError> =>
  Effect.try({ try: () => fs.fstatSync(fd), catch: (error) => toDiskError(operation, path, error as NodeJS.ErrnoException) })

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Opens a data folder: makes it where it is missing, locks it, and serves it until the scope closes. */
export const layer = (root: string): Layer.Layer<Disk, FolderLocked | FolderUnusable> =>
  Layer.effect(Disk, Effect.map(acquire(root), () => unlocked(root)))

/** The service without the lock: for folders that another lock covers, and for tests, which may do without O_DIRECT. */
export const unlocked = (root: string, { direct = true }: { readonly direct?: boolean } = {}): DiskService => {
  const directFlag = direct ? fs.constants.O_DIRECT : undefined
  let refused = false
  const shared: Shared = { openFiles: 0, pieces: makePieceMemory(), directFlag, refuse: () => void (refused = true) }
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
    open: (path, mode, options = {}) => checked("open", path, openFile(at(path), path, mode, options, shared)),
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
    ),
    warnings: () => refused ? ["the file system under the data folder refuses direct I/O: the page cache serves instead, slower, and blocks are read back from it"] : []
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
  absolute: string, path: string, mode: OpenMode, options: OpenOptions, shared: Shared
): Effect.Effect<DiskFile, DiskError, Scope.Scope> => {
  const opened = Effect.gen(function* () {
    if (shared.openFiles >= diskOpenFilesMax) {
      const detail = `${shared.openFiles} files are open, the limit: close some`
      return yield* new DiskError({ operation: "open", path, code: "Io", detail })
    }
    shared.openFiles += 1
    const fd = yield* call<number>("open", path, (done) => fs.open(absolute, openFlags[mode], 0o600, done)).pipe(
      Effect.tapError(() => Effect.sync(() => (shared.openFiles -= 1)))
    )
    const handle: Handle = { fd, direct: undefined, closed: false }
    return handle
  })
  return Effect.acquireRelease(opened, (handle) => {
    shared.openFiles -= 1
    handle.closed = true
    return Effect.andThen(handle.direct === undefined ? Effect.void : close(path, handle.direct), close(path, handle.fd))
  }).pipe(
    Effect.tap((handle) =>
      Effect.flatMap(statusOf("open", path, handle.fd), (stats) => {
        if (!stats.isFile()) return invalid("open", path, "not a file")
        return options.direct === true ? openDirect(absolute, path, mode, stats, handle, shared) : Effect.void
      })
    ),
    Effect.map((handle) => fileOf(handle, path, shared))
  )
}

/**
 * Opens the file a second time, for direct I/O, and leaves it buffered where that is refused. Never at once with making
 * the file: some file systems make it and then refuse.
 */
const openDirect = (
  absolute: string, path: string, mode: OpenMode, stats: fs.Stats, handle: Handle, shared: Shared
): Effect.Effect<void> => {
  const { directFlag } = shared
  if (directFlag === undefined) return Effect.sync(shared.refuse)
  const flags = openFlags[mode === "create" ? "write" : mode] | directFlag
  return Effect.gen(function* () {
    handle.direct = yield* call<number>("open", path, (done) => fs.open(absolute, flags, done))
    const { dev, ino } = yield* statusOf("open", path, handle.direct)
    if (dev === stats.dev && ino === stats.ino) return
    // Somebody renamed or removed it in between: the name is another file's. The page cache serves this one.
    const other = handle.direct
    handle.direct = undefined
    yield* close(path, other)
  }).pipe(Effect.catch((error) => Effect.sync(() => {
    if (error.code !== "NotFound") shared.refuse()
  })), Effect.uninterruptible)
}

interface Handle {
  readonly fd: number
  /** For direct I/O, where it was asked for and granted. */
  direct: number | undefined
  /** A closed descriptor's number may be another file's by now: it must never be used again. */
  closed: boolean
}

/** What the files of one disk share. */
interface Shared {
  openFiles: number
  readonly pieces: PieceMemory
  /** O_DIRECT; undefined where the platform has no such thing. */
  readonly directFlag: number | undefined
  /** Direct I/O was asked for and refused. */
  readonly refuse: () => void
}

const fileOf = (handle: Handle, path: string, shared: Shared): DiskFile => {
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
    read: (offset, length, memory) => guarded("read", [offset, length], (done) => readOf(handle, shared, offset, length, memory, done)),
    write: (offset, parts) => guarded("write", [offset], (done) => writeOf(handle, shared, offset, parts, done)),
    sync: guarded<void>("sync", [], (done) => fs.fdatasync(handle.fd, (error) => done(error))),
    size: Effect.suspend(() => handle.closed ? invalid("size", path, "the file is closed") : Effect.map(statusOf("size", path, handle.fd), ({ size }) => size)),
    truncate: (sizeBytes) => guarded<void>("truncate", [sizeBytes], (done) => fs.ftruncate(handle.fd, sizeBytes, (error) => done(error)))
  }
}

/** Through the page cache: fills `bytes` from `offset` on, shorter at the end of the file. */
const readBuffered = (fd: number, offset: number, bytes: Uint8Array, done: Callback<number>): void => {
  const next = (filled: number): void => {
    if (filled === bytes.length) return done(null, filled)
    fs.read(fd, bytes, filled, bytes.length - filled, offset + filled, (error, count) =>
      error || count === 0 ? done(error, filled) : next(filled + count))
  }
  next(0)
}

const readOf = (
  handle: Pick<Handle, "fd" | "direct">, { pieces, refuse }: Pick<Shared, "pieces" | "refuse">, offset: number, length: number, memory: Uint8Array | undefined, done: Callback<Uint8Array>
): void => {
  const straight = handle.direct === undefined || memory === undefined ? undefined
    : readDirectInto(handle.direct, offset, length, memory, (error, bytes) => {
      if (error?.code !== "EINVAL") return done(error, bytes)
      refuse()
      readOf({ ...handle, direct: undefined }, { pieces, refuse }, offset, length, memory, done)
    })
  if (straight !== undefined) return straight()
  if (length <= diskReadUnaskedBytesMax) return readInto(handle, { pieces, refuse }, offset, length, memory, done)
  // Allocated for what is there, not for what was asked: a damaged length allocates nothing.
  fs.fstat(handle.fd, (error, stats) => {
    if (error) return done(error, new Uint8Array(0))
    readInto(handle, { pieces, refuse }, offset, Math.max(0, Math.min(length, stats.size - offset)), memory, done)
  })
}

/** Into memory of its own, where none is given that suits. */
const readInto = (
  handle: Pick<Handle, "fd" | "direct">, { pieces, refuse }: Pick<Shared, "pieces" | "refuse">, offset: number, count: number, memory: Uint8Array | undefined, done: Callback<Uint8Array>
): void => {
  const isOwn = memory === undefined || memory.length < count
  const bytes = isOwn ? new Uint8Array(count) : memory.subarray(0, count)
  // Where the file ends before, or was truncated meanwhile, what was read is what there is.
  const whole = (error: NodeJS.ErrnoException | null, filled: number): void =>
    done(error, filled === bytes.length ? bytes : isOwn ? copyOf(bytes.subarray(0, filled)) : bytes.subarray(0, filled))
  if (handle.direct === undefined) return readBuffered(handle.fd, offset, bytes, whole)
  readDirect(handle.direct, pieces, offset, bytes, (error, filled) => {
    if (error?.code !== "EINVAL") return whole(error, filled)
    // A file system that opens for direct I/O and then wants something else than whole pages of 4 KiB.
    refuse()
    readBuffered(handle.fd, offset, bytes, whole)
  })
}

const writeOf = (handle: Handle, { pieces, refuse }: Shared, offset: number, parts: ReadonlyArray<Uint8Array>, done: Callback<void>): void => {
  const { fd, direct } = handle
  if (direct === undefined) writeAll(fd, offset, parts, done)
  else writeDirect({ fd, direct }, pieces, offset, parts, refuse, done)
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
