/** large: 64 MiB objects, one at a time and four, in MB/s beside the ceilings of their pipeline. */
import { randomBytes } from "node:crypto"
import { MiB } from "../src/base/limits.ts"
import { type Bench, type BenchContext, type Cost, costOf, makeBucket } from "./bench.ts"
import { getCeilingOf, putCeilingOf } from "./ceilings.ts"
import { type DiskCeiling, measureDisk } from "./diskCeiling.ts"
import type { PipelineCeiling } from "./pipeline.ts"
import { type BenchServer, startServer } from "./server.ts"
import { prepare, type Prepared } from "./wire.ts"

const largeBytes = 64 * MiB
const count = 12
/** Of the ceiling that its stages have when nothing else is done: what the project promises itself. */
const putShare = 1 / 2
const getShare = 2 / 3

const add = ({ report }: BenchContext, verb: "PUT" | "GET", parallel: number, cost: Cost, { limit, speed }: PipelineCeiling, share: number): void => {
  const id = `${verb.toLowerCase()}.64MiB.x${parallel}`
  report.add({
    id, name: `${verb} 64 MiB, ${parallel} at a time`, value: cost.bytesPerSecond / 1e6, unit: "MB/s", better: "more",
    of: [limit, speed], aim: share * speed
  })
  report.add({ id: `${id}.cpu`, name: "  processor time of the node", value: (cost.microsEach * 1000) / largeBytes, unit: "ns/B", better: "less" })
}

/** A disk that others use as well is another one every minute: what it could do just before and just after, as one. */
const between = (before: DiskCeiling, after: DiskCeiling): Pick<DiskCeiling, "readMBs" | "writeNanos" | "writtenAndReadMBs"> => ({
  writeNanos: Math.min(before.writeNanos, after.writeNanos), readMBs: both(before.readMBs, after.readMBs), writtenAndReadMBs: both(before.writtenAndReadMBs, after.writtenAndReadMBs)
})

/** Of two speeds for equal parts of the work. */
const both = (one: number, other: number): number => 2 / (1 / one + 1 / other)

/** Every object differs, or deduplication would be measured. */
const putOf = (server: BenchServer, target: string): Prepared => prepare(server, "PUT", target, { body: [randomBytes(largeBytes)] })

const run = async (context: BenchContext): Promise<void> => {
  const ceilings = await context.ceilings()
  const server = await startServer()
  try {
    await makeBucket(server)
    await costOf(server, [0, 1].map((index) => putOf(server, `/bench/warm-${index}`)), 1, largeBytes)
    await costOf(server, [0, 1].map((index) => prepare(server, "GET", `/bench/warm-${index}`)), 1, largeBytes)
    for (const parallel of [1, 4]) {
      const before = await measureDisk()
      const targets = Array.from({ length: count }, (_, index) => `/bench/object-${parallel}-${index}`)
      const put = await costOf(server, targets.map((target) => putOf(server, target)), parallel, largeBytes)
      const get = context.wants("get") ? await costOf(server, targets.map((target) => prepare(server, "GET", target)), parallel, largeBytes) : undefined
      const disk = between(before, await measureDisk())
      if (context.wants("put")) add(context, "PUT", parallel, put, putCeilingOf(ceilings, disk), putShare)
      if (get !== undefined) add(context, "GET", parallel, get, getCeilingOf(ceilings, disk), getShare)
    }
    const peak = server.peakBytes()
    if (peak !== undefined) {
      context.report.add({ id: "large.peak", name: "peak resident memory of the node", value: peak / MiB, unit: "MiB", better: "less" })
    }
  } finally {
    await server.stop()
  }
  await copies(context)
}

/** In a node of its own: counting costs time. */
const copies = async ({ report, wants }: BenchContext): Promise<void> => {
  const server = await startServer({ imports: [new URL("copies.ts", import.meta.url).href] })
  try {
    await makeBucket(server)
    const targets = [0, 1, 2].map((index) => `/bench/object-${index}`)
    for (const [verb, requests] of [["PUT", targets.map((target) => putOf(server, target))], ["GET", targets.map((target) => prepare(server, "GET", target))]] as const) {
      const before = (await server.counters()).copiedBytes
      await costOf(server, requests, 1, largeBytes)
      const copied = (await server.counters()).copiedBytes - before
      if (wants(verb.toLowerCase())) {
        const id = `${verb.toLowerCase()}.64MiB.copies`
        report.add({ id, name: `${verb} 64 MiB, copies`, value: copied / largeBytes / targets.length, unit: "B/B", better: "less" })
      }
    }
  } finally {
    await server.stop()
  }
}

export const large: Bench = { names: ["put", "get"], title: "Large objects", run }
