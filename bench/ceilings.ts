/** Ceilings: what this machine can do at best, stage by stage, measured in the same run as the store. */
import { randomBytes } from "node:crypto"
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { Worker } from "node:worker_threads"
import { chunkSizeBytesAverage, computeLanesMax, MiB } from "../src/base/limits.ts"
import type { CeilingJob } from "./ceilingLane.ts"
import type { Report } from "./figures.ts"
import { measureHttp } from "./httpCeiling.ts"

export const ceilingUnitBytes = chunkSizeBytesAverage

export interface Ceilings {
  /** Worker threads of the two below: as many as the store's compute lanes. */
  readonly lanes: number
  /** MB/s (10^6 bytes a second), all lanes together, units of a chunk's average size. */
  readonly hashMBs: number
  readonly cipherMBs: number
  /** Buffered sequential writes of 1 MiB with one fdatasync at the end. */
  readonly writeMBs: number
  /** A lone 4 KiB write with its fdatasync: a second. */
  readonly syncsPerSecond: number
  /** Answers of 1 KiB a second by a node:http server that does nothing, 64 at a time, to the client of these measurements. */
  readonly httpPerSecond: number
  /** Processor time of that client for one request: it shares the machine with the node. */
  readonly clientMicros: number
}

const seconds = (work: () => void): number => {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}

const rate = (bytes: number, work: () => void): number => bytes / seconds(work) / 1e6

/** One kernel on every lane at once, as the store runs it; bytes a second of all together. */
const laneRate = async (kernel: CeilingJob["kernel"], lanes: number): Promise<number> => {
  const workerData: CeilingJob = { kernel, unitBytes: ceilingUnitBytes, milliseconds: 1000 }
  const rates = await Promise.all(Array.from({ length: lanes }, () =>
    new Promise<number>((resolve, reject) => {
      const lane = new Worker(new URL("ceilingLane.ts", import.meta.url), { workerData })
      lane.once("message", resolve)
      lane.once("error", reject)
    })))
  return rates.reduce((sum, bytesPerSecond) => sum + bytesPerSecond, 0)
}

/** On the disk that the store will use. About six seconds. */
export const measureCeilings = async (): Promise<Ceilings> => {
  const folder = mkdtempSync(join(tmpdir(), "ouroboros-bench-"))
  try {
    return await measureIn(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export const reportCeilings = (report: Report, ceilings: Ceilings): void => {
  const add = (id: string, name: string, value: number, unit: string): void =>
    report.add({ id: `ceiling.${id}`, name: `ceiling: ${name}`, value, unit, better: "more" })
  add("hash", `BLAKE3, ${ceilings.lanes} lanes`, ceilings.hashMBs, "MB/s")
  add("cipher", `AES-256-GCM, ${ceilings.lanes} lanes`, ceilings.cipherMBs, "MB/s")
  add("write", "sequential write, sync", ceilings.writeMBs, "MB/s")
  add("syncs", "4 KiB write + fdatasync", ceilings.syncsPerSecond, "/s")
  add("http", "node:http alone, 1 KiB, 64 at a time", ceilings.httpPerSecond, "/s")
  report.add({ id: "client.cpu", name: "  processor time of the client", value: ceilings.clientMicros, unit: "us", better: "less" })
}

const measureIn = async (folder: string): Promise<Ceilings> => {
  const unit = randomBytes(MiB)
  const lanes = Math.min(availableParallelism(), computeLanesMax)
  const hashMBs = (await laneRate("hash", lanes)) / 1e6
  const cipherMBs = (await laneRate("cipher", lanes)) / 1e6
  const path = join(folder, "ceiling")
  const file = openSync(path, "w")
  const writeMBs = rate(512 * MiB, () => {
    for (let turn = 0; turn < 512; turn += 1) writeSync(file, unit, 0, unit.length, turn * MiB)
    fdatasyncSync(file)
  })
  const small = unit.subarray(0, 4096)
  const syncs = 500
  const syncSeconds = seconds(() => {
    for (let turn = 0; turn < syncs; turn += 1) {
      writeSync(file, small, 0, small.length, (512 + turn) * MiB)
      fdatasyncSync(file)
    }
  })
  closeSync(file)
  rmSync(path)
  return { lanes, hashMBs, cipherMBs, writeMBs, syncsPerSecond: syncs / syncSeconds, ...await measureHttp() }
}
