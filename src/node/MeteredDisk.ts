/**
 * MeteredDisk: the Disk port with its traffic counted: bytes, syncs and how long they took, errors, by the folder they
 * went to (journal, blocks, checkpoints, …). Sits between the rooms and the adapter.
 */
import { type Clock, Effect } from "effect"
import { type Counter, type Histogram, latencyBoundsSeconds, type Meters } from "../base/Meters.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"

/** The folders that stores have; whatever else there may be is "other", so that labels stay few. */
const folders = new Set(["journal", "blocks", "checkpoints"])

interface Account {
  readonly read: Counter
  readonly written: Counter
  readonly syncs: Histogram
}

export const meteredDisk = (disk: DiskService, meters: Meters, clock: Clock.Clock): DiskService => {
  const accounts = new Map<string, Account>()
  const accountOf = (path: string): Account => {
    const top = path.split("/", 1)[0]!
    const folder = folders.has(top) ? top : "other"
    const account = accounts.get(folder) ?? makeAccount(meters, folder)
    accounts.set(folder, account)
    return account
  }
  /** What is missing, or there already, is an answer. */
  const failed = (error: DiskError): Effect.Effect<void> =>
    Effect.sync(() => {
      if (error.code === "NotFound" || error.code === "Exists") return
      meters.counter("ouroboros_disk_errors_total", "Operations of the disk that failed.", { operation: error.operation, code: error.code }).add()
    })
  const counted = <A, R>(operation: Effect.Effect<A, DiskError, R>): Effect.Effect<A, DiskError, R> => Effect.tapError(operation, failed)
  const timed = (syncs: Histogram, sync: Effect.Effect<void, DiskError>): Effect.Effect<void, DiskError> =>
    Effect.suspend(() => {
      const startedNanos = clock.monotonicTimeNanosUnsafe()
      return Effect.map(sync, () => syncs.record(Number(clock.monotonicTimeNanosUnsafe() - startedNanos) / 1e9))
    })
  const fileOf = (file: DiskFile): DiskFile => {
    const account = accountOf(file.path)
    return {
      path: file.path,
      read: (offset, length, memory) => counted(Effect.map(file.read(offset, length, memory), (bytes) => {
        account.read.add(bytes.length)
        return bytes
      })),
      write: (offset, parts) => counted(Effect.map(file.write(offset, parts), () => {
        for (const part of parts) account.written.add(part.length)
      })),
      sync: counted(timed(account.syncs, file.sync)),
      size: counted(file.size),
      truncate: (sizeBytes) => counted(file.truncate(sizeBytes))
    }
  }
  return {
    open: (path, mode, options) => counted(Effect.map(disk.open(path, mode, options), fileOf)),
    list: (folder) => counted(disk.list(folder)),
    makeFolder: (path) => counted(disk.makeFolder(path)),
    rename: (from, to) => counted(disk.rename(from, to)),
    remove: (path) => counted(disk.remove(path)),
    syncFolder: (path) => counted(timed(accountOf(path).syncs, disk.syncFolder(path))),
    freeBytes: counted(disk.freeBytes),
    warnings: disk.warnings
  }
}

const makeAccount = (meters: Meters, folder: string): Account => ({
  read: meters.counter("ouroboros_disk_read_bytes_total", "Bytes that were read from files.", { folder }),
  written: meters.counter("ouroboros_disk_written_bytes_total", "Bytes that were written to files.", { folder }),
  syncs: meters.histogram("ouroboros_disk_sync_seconds", "How long syncs of files and folders took.", latencyBoundsSeconds, { folder })
})
