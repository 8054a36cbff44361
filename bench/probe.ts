/**
 * Probe: loaded into a measured node before its own code (`--import`): counts what the node asks of the disk and what
 * its main thread allocates, and tells whoever started it over the IPC channel. The node's code knows nothing of it.
 */
import fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { getHeapStatistics } from "node:v8"
import { isMainThread } from "node:worker_threads"

export interface Counters {
  /** fsync and fdatasync, of files and folders. */
  readonly syncs: number
  /** Write calls to files, and their bytes. */
  readonly writes: number
  readonly writtenBytes: number
  /** On the heap of the main thread, since it began. */
  readonly allocatedBytes: number
  readonly residentBytes: number
  /** By JavaScript, all threads, since the start; NaN where copies.ts was not loaded. */
  readonly copiedBytes: number
}

const counts = { syncs: 0, writes: 0, writtenBytes: 0 }

/** What a call of node:fs puts on the disk: one buffer or several, or a part of one. */
const sizeOf = (bytes: unknown, length: unknown): number => {
  if (Array.isArray(bytes)) return bytes.reduce((sum: number, part: Uint8Array) => sum + part.length, 0)
  return typeof length === "number" ? length : (bytes as Uint8Array).length
}

type Call = (...input: ReadonlyArray<unknown>) => unknown

const counted = (name: "fsync" | "fdatasync" | "write" | "writev", count: (input: ReadonlyArray<unknown>) => void): void => {
  const original = fs[name] as unknown as Call
  const patched: Call = (...input) => {
    count(input)
    return original(...input)
  }
  Object.assign(fs, { [name]: patched })
}

const written = (input: ReadonlyArray<unknown>): void => {
  counts.writes += 1
  counts.writtenBytes += sizeOf(input[1], input[3])
}

const isProbed = isMainThread && process.send !== undefined
if (isProbed) {
  counted("fsync", () => void (counts.syncs += 1))
  counted("fdatasync", () => void (counts.syncs += 1))
  counted("write", written)
  counted("writev", written)
  syncBuiltinESMExports()
  process.on("message", (question) => {
    if (question !== "counters") return
    const heap = getHeapStatistics() as { readonly total_allocated_bytes?: number }
    const { copiedBytes = () => Number.NaN } = globalThis as { readonly copiedBytes?: () => number }
    const counters: Counters = {
      ...counts, allocatedBytes: heap.total_allocated_bytes ?? Number.NaN, residentBytes: process.memoryUsage.rss(),
      copiedBytes: copiedBytes()
    }
    process.send?.(counters)
  })
  // The node ends when it is done, whoever listens.
  process.channel?.unref()
}
