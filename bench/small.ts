/** small: rates of 1 KiB and 100 KiB objects, and what one request costs the node. */
import { randomBytes } from "node:crypto"
import { KiB } from "../src/base/limits.ts"
import { type Bench, type BenchContext, type Cost, costOf, makeBucket } from "./bench.ts"
import { type BenchServer, startServer } from "./server.ts"
import { prepare } from "./wire.ts"

interface Size {
  readonly text: string
  readonly bytes: number
  /** Requests of a run, by how many at a time. */
  readonly counts: Readonly<Record<number, number>>
}

const sizes: ReadonlyArray<Size> = [
  { text: "1 KiB", bytes: KiB, counts: { 1: 2000, 16: 10_000, 64: 20_000 } },
  { text: "100 KiB", bytes: 100 * KiB, counts: { 1: 200, 16: 1000, 64: 1000 } }
]
const parallels = [1, 16, 64]

/** Requests a second, of 1 KiB objects, 64 at a time, on 2 cores with the client beside the node. */
const aims: Readonly<Record<string, number>> = { "put.1KiB.x64": 3000, "get.1KiB.x64": 8000 }

const add = ({ report }: BenchContext, verb: "PUT" | "GET", size: Size, parallel: number, cost: Cost, ceiling: readonly [string, number]): void => {
  const id = `${verb.toLowerCase()}.${size.text.replace(" ", "")}.x${parallel}`
  const aim = aims[id]
  report.add({
    id, name: `${verb} ${size.text}, ${parallel} at a time`, value: cost.perSecond, unit: "/s", better: "more", of: ceiling, ...(aim === undefined ? {} : { aim })
  })
  report.add({ id: `${id}.cpu`, name: "  processor time of the node", value: cost.microsEach, unit: "us", better: "less" })
  if (verb === "PUT") report.add({ id: `${id}.syncs`, name: "  syncs", value: cost.syncsEach, unit: "", better: "less" })
  report.add({ id: `${id}.allocated`, name: "  allocated on the main thread", value: cost.allocatedEach / KiB, unit: "KiB", better: "less" })
}

/** Code that is not compiled yet is nobody's speed. */
const warmUp = async (server: BenchServer): Promise<void> => {
  const target = (index: number): string => `/bench/warm-${index}`
  const all = Array.from({ length: 6000 }, (_, index) => index)
  await costOf(server, all.map((index) => prepare(server, "PUT", target(index), { body: [randomBytes(KiB)] })), 64, KiB)
  await costOf(server, all.map((index) => prepare(server, "GET", target(index))), 64, KiB)
}

const run = async (context: BenchContext): Promise<void> => {
  const ceilings = await context.ceilings()
  const server = await startServer()
  try {
    await makeBucket(server)
    await warmUp(server)
    for (const size of sizes) {
      for (const parallel of parallels) {
        const all = Array.from({ length: size.counts[parallel] ?? 0 }, (_, index) => index)
        const target = (index: number): string => `/bench/object-${size.bytes}-${parallel}-${index}`
        const puts = all.map((index) => prepare(server, "PUT", target(index), { body: [randomBytes(size.bytes)] }))
        const put = await costOf(server, puts, parallel, size.bytes)
        add(context, "PUT", size, parallel, put, ["lone syncs", ceilings.disk.syncsPerSecond])
        const get = await costOf(server, all.map((index) => prepare(server, "GET", target(index))), parallel, size.bytes)
        add(context, "GET", size, parallel, get, ["node:http", ceilings.http.perSecond])
      }
    }
  } finally {
    await server.stop()
  }
}

export const small: Bench = { names: ["small"], title: "Small objects", run }
