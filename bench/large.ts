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
/** A disk that others use as well decides single rounds: what is told is the one with the median share of its ceiling. */
const rounds = 5
/** Of the ceiling that its stages have when nothing else is done: what the project promises itself. */
const putShare = 1 / 2
const getShare = 2 / 3

interface Round {
  readonly cost: Cost
  readonly ceiling: PipelineCeiling
}

const shareOf = ({ ceiling, cost }: Round): number => cost.bytesPerSecond / 1e6 / ceiling.speed
const medianOf = (all: ReadonlyArray<Round>): Round => [...all].sort((a, b) => shareOf(a) - shareOf(b))[Math.floor(all.length / 2)]!

const add = ({ report }: BenchContext, verb: "PUT" | "GET", parallel: number, all: ReadonlyArray<Round>, share: number): void => {
  const { ceiling: { limit, speed }, cost } = medianOf(all)
  const id = `${verb.toLowerCase()}.64MiB.x${parallel}`
  report.add({
    id, name: `${verb} 64 MiB, ${parallel} at a time`, value: cost.bytesPerSecond / 1e6, unit: "MB/s", better: "more",
    of: [limit, speed], aim: share * speed
  })
  const shares = all.map(shareOf).sort((a, b) => a - b)
  report.add({ id: `${id}.worst`, name: `  share of its ceiling, worst of ${rounds} rounds`, value: shares[0]!, unit: "", better: "more" })
  report.add({ id: `${id}.best`, name: "  best", value: shares.at(-1)!, unit: "", better: "more" })
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

interface Measured {
  readonly parallel: number
  readonly puts: Array<Round>
  readonly gets: Array<Round>
}

/** In a node of its own, with a folder of its own: what earlier rounds stored costs the later ones nothing. Its peak of memory. */
const round = async (context: BenchContext, measured: ReadonlyArray<Measured>): Promise<number | undefined> => {
  const ceilings = await context.ceilings()
  const server = await startServer()
  try {
    await makeBucket(server)
    await costOf(server, [0, 1].map((index) => putOf(server, `/bench/warm-${index}`)), 1, largeBytes)
    await costOf(server, [0, 1].map((index) => prepare(server, "GET", `/bench/warm-${index}`)), 1, largeBytes)
    for (const { gets, parallel, puts } of measured) {
      const before = await measureDisk()
      const targets = Array.from({ length: count }, (_, index) => `/bench/object-${parallel}-${index}`)
      const put = await costOf(server, targets.map((target) => putOf(server, target)), parallel, largeBytes)
      const get = await costOf(server, targets.map((target) => prepare(server, "GET", target)), parallel, largeBytes)
      const disk = between(before, await measureDisk())
      puts.push({ cost: put, ceiling: putCeilingOf(ceilings, disk) })
      gets.push({ cost: get, ceiling: getCeilingOf(ceilings, disk) })
    }
    return server.peakBytes()
  } finally {
    await server.stop()
  }
}

const run = async (context: BenchContext): Promise<void> => {
  const measured = [1, 4].map((parallel): Measured => ({ parallel, puts: [], gets: [] }))
  const peaks: Array<number> = []
  for (let number = 0; number < rounds; number += 1) peaks.push(await round(context, measured) ?? 0)
  for (const { gets, parallel, puts } of measured) {
    if (context.wants("put")) add(context, "PUT", parallel, puts, putShare)
    if (context.wants("get")) add(context, "GET", parallel, gets, getShare)
  }
  const peak = Math.max(...peaks)
  if (peak > 0) context.report.add({ id: "large.peak", name: "peak resident memory of the node", value: peak / MiB, unit: "MiB", better: "less" })
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
