/**
 * FolderLock: the kernel's lock on a data folder, held for as long as a scope lives; it dies with the process, however
 * that dies, so there is no pid file to clean up. Sits between NodeDisk and node:sqlite, which takes exclusive
 * byte-range locks (fcntl, LockFileEx) and is the only such call that Node has.
 *
 * POSIX drops all of a process's locks on a file when it closes any descriptor of it: nothing else may open `lock`.
 */
import { closeSync, constants, mkdirSync, openSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Data, Effect, type Scope } from "effect"
import { lockFileName } from "../base/paths.ts"

export class FolderLocked extends Data.TaggedError("FolderLocked")<{
  readonly folder: string
}> {
  override get message(): string {
    return `the data folder ${this.folder} is in use by another ouroboros process; stop that one, or name another folder with --data`
  }
}

export class FolderUnusable extends Data.TaggedError("FolderUnusable")<{
  readonly folder: string
  readonly detail: string
}> {
  override get message(): string {
    return `the data folder ${this.folder} cannot be used: ${this.detail}; check that the path is right and that this user may write there`
  }
}

/** SQLite's result codes: https://www.sqlite.org/rescode.html */
const sqliteBusy = 5
const sqliteCodeOf = (error: unknown): number | undefined =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : undefined

/** One level after another: below a file system that makes no folders (/proc), node's recursive mkdir never ends. */
const makeFolders = (folder: string): void => {
  const isThere = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "EEXIST"
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if (isThere(error)) return
    const isParentMissing = error instanceof Error && "code" in error && error.code === "ENOENT" && dirname(folder) !== folder
    if (!isParentMissing) throw error
    makeFolders(dirname(folder))
    mkdirSync(folder, { mode: 0o700 })
  }
}

const lock = (folder: string): DatabaseSync => {
  makeFolders(resolve(folder))
  const path = join(folder, lockFileName)
  // Created here for its mode, and only when absent: closing a descriptor of a file locked by us would unlock it.
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600))
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  }
  const database = new DatabaseSync(path, { timeout: 0 })
  try {
    // Nothing is ever written: the transaction holds the lock, and the file stays empty.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

/** Makes the folder where it is missing and locks it until the scope closes. */
export const acquire = (folder: string): Effect.Effect<void, FolderLocked | FolderUnusable, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => lock(folder),
      catch: (error) =>
        sqliteCodeOf(error) === sqliteBusy
          ? new FolderLocked({ folder })
          : new FolderUnusable({ folder, detail: error instanceof Error ? error.message : String(error) })
    }),
    (database) => Effect.sync(() => database.close())
  ).pipe(Effect.asVoid)
