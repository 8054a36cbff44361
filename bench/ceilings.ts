/** Ceilings: what this machine can do at best, stage by stage, measured in the same run as the store. */
import { availableParallelism } from "node:os"
import { Worker } from "node:worker_threads"
import { chunkSizeBytesAverage, computeLanesMax } from "../src/base/limits.ts"
import type { CeilingJob } from "./ceilingLane.ts"
import { type DiskCeiling, measureDisk } from "./diskCeiling.ts"
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
}

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

/** About ten seconds. */
export const measureCeilings = async (): Promise<Ceilings> => {
  const cores = availableParallelism()
  const lanes = Math.min(cores, computeLanesMax)
  const hashMBs = (await laneRate("hash", lanes)) / 1e6
  const cipherMBs = (await laneRate("cipher", lanes)) / 1e6
  const disk = await measureDisk()
  const http = await measureHttp()
  const bytes = measureBytes()
  return { cores, lanes, hashMBs, cipherMBs, disk, http, bytes }
}

/** Of one large object, from the stages' costs, on a disk that can do so much. */
export const putCeilingOf = ({ bytes, cores, http, lanes }: Ceilings, disk: Parameters<typeof putCeiling>[2]): PipelineCeiling => putCeiling(bytes, http, disk, cores, lanes)
export const getCeilingOf = ({ bytes, cores, http, lanes }: Ceilings, disk: Parameters<typeof getCeiling>[2]): PipelineCeiling => getCeiling(bytes, http, disk, cores, lanes)

export const reportCeilings = (report: Report, ceilings: Ceilings): void => {
  const { disk, http, lanes } = ceilings
  const [put, get] = [putCeilingOf(ceilings, disk), getCeilingOf(ceilings, disk)]
  const add = (id: string, name: string, value: number, unit: string): void =>
    report.add({ id: `ceiling.${id}`, name: `ceiling: ${name}`, value, unit, better: "more" })
  add("hash", `BLAKE3, ${lanes} lanes`, ceilings.hashMBs, "MB/s")
  add("cipher", `AES-256-GCM, ${lanes} lanes`, ceilings.cipherMBs, "MB/s")
  add("write", "files written and synced, 4 at once", disk.writeMBs, "MB/s")
  add("read", "files read, 4 at once", disk.readMBs, "MB/s")
  add("writtenAndRead", "written, synced and read back", disk.writtenAndReadMBs, "MB/s")
  add("syncs", "4 KiB write + fdatasync", disk.syncsPerSecond, "/s")
  add("http", "node:http alone, 1 KiB, 64 at a time", http.perSecond, "/s")
  report.add({ id: "client.cpu", name: "  processor time of the client", value: http.clientMicros, unit: "us", better: "less" })
  add("put", `PUT, its stages (${put.limit})`, put.speed, "MB/s")
  add("get", `GET, its stages (${get.limit})`, get.speed, "MB/s")
}
