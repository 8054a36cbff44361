/**
 * memory [--mib N] [--max-mib N]: peak resident memory and processor time of a node under large streams.
 * The single stream has 2048 MiB, or N. With --max-mib it fails where a peak is higher: the store's promise is 512.
 */
import { MiB } from "../src/base/limits.ts"
import { type Bench, type BenchContext, makeBucket } from "./bench.ts"
import type { Report } from "./figures.ts"
import { type BenchServer, startServer } from "./server.ts"
import { noiseOf, putStream } from "./stream.ts"
import { prepare, runAll } from "./wire.ts"

const parallel = 4
const parallelBytes = 64 * MiB
const parallelCount = 6
/** The store's promise. */
const peakMibMax = 512

/** Runs jobs 0 to count - 1, `parallel` at a time. */
const each = async (count: number, parallel: number, job: (index: number) => Promise<unknown>): Promise<void> => {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next
      next += 1
      await job(index)
    }
  }
  await Promise.all(Array.from({ length: parallel }, lane))
}

/** Reports what a phase did to the node; returns its peak, MiB. The peak is the node's, whose client is another process. */
const phase = async (report: Report, server: BenchServer, name: string, bytes: number, run: () => Promise<unknown>): Promise<number> => {
  const cpu = server.cpuMicros()
  server.resetPeak()
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1000
  const peak = (server.peakBytes() ?? Number.NaN) / MiB
  const nanos = ((server.cpuMicros() - cpu) * 1000) / bytes
  const id = `memory.${name.replaceAll(/[^A-Za-z0-9]+/g, "-")}`
  report.add({ id, name: `${name}: peak`, value: peak, unit: "MiB", better: "less", aim: peakMibMax })
  report.add({ id: `${id}.cpu`, name: "  processor time of the node", value: nanos, unit: "ns/B", better: "less" })
  report.add({ id: `${id}.speed`, name: "  speed", value: bytes / 1e6 / seconds, unit: "MB/s", better: "more" })
  return peak
}

/** A fresh node, so that nothing that an earlier phase left in memory is counted. */
const inFreshNode = async (run: (server: BenchServer) => Promise<ReadonlyArray<number>>): Promise<ReadonlyArray<number>> => {
  const server = await startServer()
  try {
    await makeBucket(server)
    return await run(server)
  } finally {
    await server.stop()
  }
}

const get = async (server: BenchServer, target: string, bytes: number): Promise<void> => {
  const received = await runAll(server.port, [prepare(server, "GET", target)], 1)
  if (received.bytes !== bytes) throw new Error(`GET ${target}: ${received.bytes} of ${bytes} bytes`)
}

const oneStream = (report: Report, bytes: number) => async (server: BenchServer): Promise<ReadonlyArray<number>> => {
  const size = `${bytes / MiB} MiB, one stream`
  return [
    await phase(report, server, `PUT ${size}`, bytes, () => putStream(server, "/bench/one", noiseOf(0, bytes), bytes)),
    await phase(report, server, `GET ${size}`, bytes, () => get(server, "/bench/one", bytes))
  ]
}

const sideBySide = (report: Report) => async (server: BenchServer): Promise<ReadonlyArray<number>> => {
  const all = parallelCount * parallelBytes
  const size = `${parallelBytes / MiB} MiB, ${parallel} at a time`
  const target = (index: number): string => `/bench/part-${index}`
  const put = (index: number): Promise<void> => putStream(server, target(index), noiseOf(1 + index, parallelBytes), parallelBytes)
  return [
    await phase(report, server, `PUT ${size}`, all, () => each(parallelCount, parallel, put)),
    await phase(report, server, `GET ${size}`, all, () => each(parallelCount, parallel, (index) => get(server, target(index), parallelBytes)))
  ]
}

const run = async ({ options, report }: BenchContext): Promise<void> => {
  const peak = Math.max(...await inFreshNode(oneStream(report, options.mib * MiB)), ...await inFreshNode(sideBySide(report)))
  if (peak <= options.maxMib) return
  console.error(`the node held ${peak.toFixed(0)} MiB at its peak, more than the ${options.maxMib} allowed`)
  process.exitCode = 1
}

export const memory: Bench = { names: ["memory"], title: "Memory under large streams", run }
