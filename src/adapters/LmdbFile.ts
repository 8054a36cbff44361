/**
 * LmdbFile: what can be told of an LMDB file without mapping it: damage that would kill the process is found here
 * first. Sits between Lmdb and node:fs.
 */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert } from "../base/assert.ts"
import { indexRunsUnendedMax } from "../base/limits.ts"

/** LMDB's MDB_MAGIC, in the first bytes of both meta pages. */
const magic = 0xbeefc0de
const dataFile = (folder: string): string => join(folder, "data.mdb")
/** Present while an opening runs: found at a start, the last opening killed its process. */
const marker = (folder: string): string => join(folder, "opening")
/** Present while the index is open: how many runs in a row, this one included, did not end by closing it. */
const running = (folder: string): string => join(folder, "running")
/** Present where a run met a page that LMDB refused: says which. */
const damaged = (folder: string): string => join(folder, "damaged")

/** Throws where the file is or was found damaged, or was open in too many runs that were killed; leaves the marker. True where the last run was. */
export const beginOpening = (folder: string): boolean => {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  assert(!existsSync(marker(folder)), "the last opening never ended")
  if (existsSync(damaged(folder))) throw new Error(`the last run met damage: ${readFileSync(damaged(folder), "utf8")}`)
  const unended = runsUnended(folder)
  assert(unended < indexRunsUnendedMax, `${unended} runs in a row were killed before they wrote to it`)
  inspect(dataFile(folder))
  writeFileSync(marker(folder), "", { mode: 0o600 })
  return unended > 0
}

export const endOpening = (folder: string): void => {
  writeFileSync(running(folder), String(runsUnended(folder) + 1), { mode: 0o600 })
  rmSync(marker(folder))
}

/** A write came through: whatever kills this run, the earlier ones do not count. */
export const forgetRuns = (folder: string): void => writeFileSync(running(folder), "1", { mode: 0o600 })

/** What was met will not go away by itself, nor by a commit: the next opening throws it all away. */
export const setDamaged = (folder: string, detail: string): void => writeFileSync(damaged(folder), detail, { mode: 0o600 })

/** undefined where there is none yet. */
export const fileBytes = (folder: string): number | undefined => statSync(dataFile(folder), { throwIfNoEntry: false })?.size

export const endRun = (folder: string): void => rmSync(running(folder), { force: true })

const runsUnended = (folder: string): number => {
  if (!existsSync(running(folder))) return 0
  const runs = Number(readFileSync(running(folder), "latin1"))
  // A marker that says nothing is one of a run all the same.
  return Number.isSafeInteger(runs) && runs > 0 ? runs : 1
}

/** Removes LMDB's files and the markers. */
export const wipe = (folder: string): void => {
  for (const name of ["data.mdb", "lock.mdb", "opening", "running", "damaged"]) rmSync(join(folder, name), { force: true })
}

/** Offsets in a meta page, which LMDB lays out as: page header (24 bytes), magic, version, address, map size, two
 * tables of 48 bytes whose first word is the page size, last page, transaction. Little-endian machines only. */
const header = { magic: 24, pageSize: 48, lastPage: 144, bytes: 160 }

const inspect = (path: string): void => {
  if (!existsSync(path) || statSync(path).size === 0) return
  const fd = openSync(path, "r")
  try {
    const meta = (offset: number): Buffer => {
      const bytes = Buffer.alloc(header.bytes)
      assert(readSync(fd, bytes, 0, bytes.length, offset) === bytes.length, "the file is too short")
      assert(bytes.readUInt32LE(header.magic) === magic, "not an LMDB file")
      return bytes
    }
    const first = meta(0)
    const pageBytes = first.readUInt32LE(header.pageSize)
    assert(pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0, "its page size is damaged")
    const pages = [first, meta(pageBytes)].map((bytes) => Number(bytes.readBigUInt64LE(header.lastPage)) + 1)
    assert(Math.max(...pages) * pageBytes <= fstatSync(fd).size, "the file is shorter than it says")
  } finally {
    closeSync(fd)
  }
}
