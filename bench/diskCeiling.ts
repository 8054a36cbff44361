/** What the disk can do at best: with several requests under way, past the page cache, in files like the store's. On the disk that the store will use. */
import { randomBytes } from "node:crypto"
import { closeSync, constants, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { MiB } from "../src/base/limits.ts"
import { makePageMemory } from "../src/base/wasm.ts"

export interface DiskCeiling {
  /** MB/s (10^6 bytes a second). Writes of `pieceBytes`, each file synced once at its end. */
  readonly writeMBs: number
  /** Processor time of the writes for a byte. */
  readonly writeNanos: number
  readonly readMBs: number
  /** What each byte of a PUT asks of a disk: written, synced with its file, and read back. */
  readonly writtenAndReadMBs: number
  /** A lone 4 KiB write with its fdatasync: a second. */
  readonly syncsPerSecond: number
}

/** As the store writes and reads blocks. */
const pieceBytes = 4 * MiB
const pieces = 8
const files = 16
/** More at once are no faster with Node's four threads for files. */
const atOnce = 4
const syncs = 500

const openDirect = async (path: string): Promise<FileHandle> => {
  const flags = constants.O_RDWR | constants.O_CREAT
  try {
    return await open(path, flags | (constants.O_DIRECT ?? 0))
  } catch (error) {
    // Memory file systems have no direct writes.
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error
    return open(path, flags)
  }
}

const writeFile = async (file: FileHandle, memory: Uint8Array): Promise<void> => {
  for (let piece = 0; piece < pieces; piece += 1) await file.write(memory, 0, pieceBytes, piece * pieceBytes)
  await file.datasync()
}

const readFile = async (file: FileHandle, memory: Uint8Array): Promise<void> => {
  for (let piece = 0; piece < pieces; piece += 1) await file.read(memory, 0, pieceBytes, piece * pieceBytes)
}

type Act = (file: FileHandle, memory: Uint8Array) => Promise<void>

/** MB/s of all files, `atOnce` of them under way. */
const rateOf = async (folder: string, name: string, act: Act): Promise<number> => {
  const left = Array.from({ length: files }, (_, index) => join(folder, `${name}-${index}`))
  const lane = async (): Promise<void> => {
    // Direct writes want memory that starts where a page does.
    const memory = makePageMemory(pieceBytes)
    memory.set(randomBytes(pieceBytes))
    for (let path = left.shift(); path !== undefined; path = left.shift()) {
      const file = await openDirect(path)
      await act(file, memory)
      await file.close()
    }
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: atOnce }, lane))
  return (files * pieces * pieceBytes) / 1000 / (performance.now() - began)
}

const syncRate = (folder: string): number => {
  const small = openSync(join(folder, "small"), "w")
  const bytes = randomBytes(4096)
  const began = performance.now()
  for (let turn = 0; turn < syncs; turn += 1) {
    writeSync(small, bytes, 0, bytes.length, turn * bytes.length)
    fdatasyncSync(small)
  }
  const seconds = (performance.now() - began) / 1000
  closeSync(small)
  return syncs / seconds
}

export const measureDisk = async (): Promise<DiskCeiling> => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  try {
    const cpu = process.cpuUsage()
    const writeMBs = await rateOf(folder, "large", writeFile)
    const { system, user } = process.cpuUsage(cpu)
    const readMBs = await rateOf(folder, "large", readFile)
    const writtenAndReadMBs = await rateOf(folder, "both", async (file, memory) => {
      await writeFile(file, memory)
      await readFile(file, memory)
    })
    return { writeMBs, writeNanos: ((system + user) * 1000) / (files * pieces * pieceBytes), readMBs, writtenAndReadMBs, syncsPerSecond: syncRate(folder) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
