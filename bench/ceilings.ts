/** Ceilings: what this machine can do at best, stage by stage, measured in the same run as the store. */
import { randomBytes } from "node:crypto"
import { closeSync, constants, fdatasyncSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { chunkSizeBytesAverage, computeLanesMax, MiB } from "../src/base/limits.ts"
import { makePageMemory } from "../src/base/wasm.ts"
import type { CeilingJob } from "./ceilingLane.ts"
import type { Report } from "./figures.ts"
import { type HttpCeiling, measureHttp } from "./httpCeiling.ts"
import { type ByteBudget, getCeiling, measureBytes, type PipelineCeiling, putCeiling } from "./pipeline.ts"

export interface Ceilings {
  readonly cores: number
  /** Worker threads of the two below: as many as the store's compute lanes. */
  readonly lanes: number
  /** MB/s (10^6 bytes a second), all lanes together, units of a chunk's average size. */
  readonly hashMBs: number
  readonly cipherMBs: number
  readonly disk: DiskCeiling
  readonly http: HttpCeiling
  readonly bytes: ByteBudget
  /** Of one large object, from the stages' costs. */
  readonly put: PipelineCeiling
  readonly get: PipelineCeiling
}

export interface DiskCeiling {
  /** Sequential writes of 1 MiB, past the page cache where the file system allows it, one fdatasync at the end. */
  readonly writeMBs: number
  /** The same bytes read again, 4 MiB at a time, as the store reads blocks. */
  readonly readMBs: number
  /** Processor time of the writes for a byte. */
  readonly writeNanos: number
  /** A lone 4 KiB write with its fdatasync: a second. */
  readonly syncsPerSecond: number
}

const writes = 512
const readBytes = 4 * MiB
const syncs = 500

/** One kernel on every lane at once, as the store runs it; bytes a second of all together. */
const laneRate = async (kernel: CeilingJob["kernel"], lanes: number): Promise<number> => {
  const workerData: CeilingJob = { kernel, unitBytes: chunkSizeBytesAverage, milliseconds: 1000 }
  const rates = await Promise.all(Array.from({ length: lanes }, () =>
    new Promise<number>((resolve, reject) => {
      const lane = new Worker(new URL("ceilingLane.ts", import.meta.url), { workerData })
      lane.once("message", resolve)
      lane.once("error", reject)
    })))
  return rates.reduce((sum, bytesPerSecond) => sum + bytesPerSecond, 0)
}

const openDirect = (path: string): number => {
  const flags = constants.O_RDWR | constants.O_CREAT
  try {
    return openSync(path, flags | (constants.O_DIRECT ?? 0))
  } catch (error) {
    // Memory file systems have no direct writes.
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error
    return openSync(path, flags)
  }
}

/** On the disk that the store will use. */
const measureDisk = (): DiskCeiling => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  try {
    // Direct writes want memory that starts where a page does.
    const unit = makePageMemory(MiB)
    unit.set(randomBytes(MiB))
    const large = openDirect(join(folder, "large"))
    const [began, cpu] = [performance.now(), process.cpuUsage()]
    for (let turn = 0; turn < writes; turn += 1) writeSync(large, unit, 0, unit.length, turn * MiB)
    fdatasyncSync(large)
    const [seconds, used] = [(performance.now() - began) / 1000, process.cpuUsage(cpu)]
    const memory = makePageMemory(readBytes)
    const readBegan = performance.now()
    for (let at = 0; at < writes * MiB; at += readBytes) readSync(large, memory, 0, readBytes, at)
    const readSeconds = (performance.now() - readBegan) / 1000
    closeSync(large)
    const small = openSync(join(folder, "small"), "w")
    const start = performance.now()
    for (let turn = 0; turn < syncs; turn += 1) {
      writeSync(small, unit, 0, 4096, turn * 4096)
      fdatasyncSync(small)
    }
    const syncSeconds = (performance.now() - start) / 1000
    closeSync(small)
    const bytes = writes * MiB
    return { writeMBs: bytes / 1e6 / seconds, readMBs: bytes / 1e6 / readSeconds, writeNanos: ((used.system + used.user) * 1000) / bytes, syncsPerSecond: syncs / syncSeconds }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** About ten seconds. */
export const measureCeilings = async (): Promise<Ceilings> => {
  const cores = availableParallelism()
  const lanes = Math.min(cores, computeLanesMax)
  const hashMBs = (await laneRate("hash", lanes)) / 1e6
  const cipherMBs = (await laneRate("cipher", lanes)) / 1e6
  const disk = measureDisk()
  const http = await measureHttp()
  const bytes = measureBytes()
  return { cores, lanes, hashMBs, cipherMBs, disk, http, bytes, put: putCeiling(bytes, http, disk, cores, lanes), get: getCeiling(bytes, http, cores, lanes) }
}

export const reportCeilings = (report: Report, ceilings: Ceilings): void => {
  const { disk, get, http, lanes, put } = ceilings
  const add = (id: string, name: string, value: number, unit: string): void =>
    report.add({ id: `ceiling.${id}`, name: `ceiling: ${name}`, value, unit, better: "more" })
  add("hash", `BLAKE3, ${lanes} lanes`, ceilings.hashMBs, "MB/s")
  add("cipher", `AES-256-GCM, ${lanes} lanes`, ceilings.cipherMBs, "MB/s")
  add("write", "sequential write, sync", disk.writeMBs, "MB/s")
  add("read", "sequential read", disk.readMBs, "MB/s")
  // What every byte of a PUT asks of the disk, and no stage alone shows: printed beside the shares, no part of them.
  add("writeAndRead", "the disk alone, written and read back", 1 / (1 / disk.writeMBs + 1 / disk.readMBs), "MB/s")
  add("syncs", "4 KiB write + fdatasync", disk.syncsPerSecond, "/s")
  add("http", "node:http alone, 1 KiB, 64 at a time", http.perSecond, "/s")
  report.add({ id: "client.cpu", name: "  processor time of the client", value: http.clientMicros, unit: "us", better: "less" })
  add("put", `PUT, stages alone (${put.limit})`, put.speed, "MB/s")
  add("get", `GET, stages alone (${get.limit})`, get.speed, "MB/s")
}
