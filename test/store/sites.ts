/**
 * Sites: the places of the source that ask the disk to make something durable, found as they ask. It sits between the
 * store and its disk: it can leave out the syncs of one place, as if its line were not there.
 */
import { readFileSync, readdirSync, statSync } from "node:fs"
import { Effect } from "effect"
import type { DiskFile, DiskService } from "../../src/ports/Disk.ts"

const sourceFolder = new URL("../../src/", import.meta.url).pathname
/** Ports and adapters pass syncs on; the rest of a node's start-up is not part of the store; no store of one member runs a replica (test/replica/syncs.test.ts has its own). */
const elsewhere = ["ports/", "adapters/", "node/", "replica/"]

/** The line of src that called, "wal/WalWriterService.ts:55". */
const callerSite = (): string => {
  const lines = (new Error("where").stack ?? "").split("\n")
  for (const line of lines) {
    const found = /\/src\/(\S+\.ts):(\d+):\d+/.exec(line)
    if (found !== null) return `${found[1]}:${found[2]}`
  }
  return "unknown"
}

/** A disk that tells which line asks for each sync, and does without those for which `leaveOut` says so. */
export const watched = (leaveOut: (site: string) => boolean) => (disk: DiskService): DiskService => {
  const watchedFile = (file: DiskFile): DiskFile => ({
    path: file.path, read: file.read, write: file.write, size: file.size, truncate: file.truncate,
    get sync() {
      return leaveOut(callerSite()) ? Effect.void : file.sync
    }
  })
  return {
    ...disk,
    open: (path, mode, options) => Effect.map(disk.open(path, mode, options), watchedFile),
    syncFolder: (path) => leaveOut(callerSite()) ? Effect.void : disk.syncFolder(path)
  }
}

const sourceFiles = (folder: string): ReadonlyArray<string> =>
  readdirSync(folder).flatMap((name) => {
    const path = `${folder}${name}`
    return statSync(path).isDirectory() ? sourceFiles(`${path}/`) : name.endsWith(".ts") ? [path] : []
  })

const asksForSync = /\bsyncFolder\(|\b(?:file|handle|fileOf\([a-z]+\))\.sync\b/

/** Every line of the store that asks for a sync, with its text; or of one room. */
export const syncSites = (room?: string): ReadonlyMap<string, string> => {
  const sites = new Map<string, string>()
  for (const path of sourceFiles(sourceFolder)) {
    const name = path.slice(sourceFolder.length)
    if (room === undefined ? elsewhere.some((other) => name.startsWith(other)) : !name.startsWith(`${room}/`)) continue
    for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
      if (asksForSync.test(line)) sites.set(`${name}:${index + 1}`, line.trim())
    }
  }
  return sites
}
