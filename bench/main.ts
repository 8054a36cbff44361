/**
 * npm run bench: the store's speeds beside this machine's ceilings, measured in one run. These machines are noisy: read
 * the ratios. Options: --json FILE writes the figures. `npm run bench -- memory` measures memory instead (memory.ts).
 */
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { KiB, MiB } from "../src/base/limits.ts"
import { type Ceilings, measureCeilings } from "./ceilings.ts"
import { makeBenchClient, timed } from "./client.ts"
import { measureMemory } from "./memory.ts"
import { type BenchServer, startServer } from "./server.ts"

interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The ceiling it is compared with. */
  readonly of?: readonly [name: string, value: number]
}

const largeBytes = 64 * MiB
const largeCount = 12
const smallBytes = KiB
const smallCount = 4000

/** Every object differs, or deduplication would be measured. */
const fresh = (bytes: number): Buffer => randomBytes(bytes)

interface Speed {
  readonly bytesPerSecond: number
  readonly perSecond: number
  /** Of the node's processor time, all threads. */
  readonly microsEach: number
}

const speedOf = async (
  server: BenchServer, count: number, bytes: number, parallel: number, job: (index: number) => Promise<unknown>
): Promise<Speed> => {
  const before = server.cpuMicros()
  const seconds = await timed(count, parallel, job)
  return { bytesPerSecond: (bytes * count) / seconds, perSecond: count / seconds, microsEach: (server.cpuMicros() - before) / count }
}

/** PUT, then GET, of so many fresh bodies. */
const measure = async (server: BenchServer, bytes: number, count: number, parallel: number): Promise<readonly [Speed, Speed]> => {
  const client = makeBenchClient(server, parallel)
  const bodies = Array.from({ length: count }, () => fresh(bytes))
  const target = (index: number): string => `/bench/object-${bytes}-${parallel}-${index}`
  const put = await speedOf(server, count, bytes, parallel, (index) => client.put(target(index), bodies[index] as Buffer))
  const get = await speedOf(server, count, bytes, parallel, (index) => client.get(target(index)))
  client.close()
  return [put, get]
}

const largeRows = async (server: BenchServer, ceilings: Ceilings, parallel: number): Promise<ReadonlyArray<Row>> => {
  const [put, get] = await measure(server, largeBytes, largeCount, parallel)
  const nanos = ({ microsEach }: Speed): number => (microsEach * 1000) / largeBytes
  return [
    { name: `PUT 64 MiB, ${parallel} at a time`, value: put.bytesPerSecond / 1e6, unit: "MB/s", of: ["sequential write", ceilings.writeMBs] },
    { name: "  processor time of the node", value: nanos(put), unit: "ns/B" },
    { name: `GET 64 MiB, ${parallel} at a time`, value: get.bytesPerSecond / 1e6, unit: "MB/s", of: ["AES-256-GCM", ceilings.cipherMBs] },
    { name: "  processor time of the node", value: nanos(get), unit: "ns/B" }
  ]
}

const smallRows = async (server: BenchServer, ceilings: Ceilings, parallel: number): Promise<ReadonlyArray<Row>> => {
  const [put, get] = await measure(server, smallBytes, parallel === 1 ? smallCount / 4 : smallCount, parallel)
  return [
    { name: `PUT 1 KiB, ${parallel} at a time`, value: put.perSecond, unit: "/s", of: ["lone syncs", ceilings.syncsPerSecond] },
    { name: "  processor time of the node", value: put.microsEach, unit: "us" },
    { name: `GET 1 KiB, ${parallel} at a time`, value: get.perSecond, unit: "/s" },
    { name: "  processor time of the node", value: get.microsEach, unit: "us" }
  ]
}

const print = (rows: ReadonlyArray<Row>): void => {
  for (const { name, value, unit, of } of rows) {
    const ratio = of === undefined ? "" : `  ${(value / of[1]).toFixed(2)} of ${of[0]}`
    console.log(`${name.padEnd(34)} ${value.toFixed(value < 100 ? 1 : 0).padStart(8)} ${unit.padEnd(5)}${ratio}`)
  }
}

const measureSpeed = async (jsonFile: string | undefined): Promise<void> => {
  const server = await startServer()
  try {
    const ceilings = await measureCeilings(server.folder)
    const client = makeBenchClient(server, 1)
    await client.put("/bench", Buffer.alloc(0))
    // Code that is not compiled yet is nobody's speed.
    await timed(1000, 16, (index) => client.put(`/bench/warm-${index}`, fresh(smallBytes)))
    await timed(2, 1, (index) => client.put(`/bench/warm-large-${index}`, fresh(largeBytes)))
    client.close()
    const rows: Array<Row> = [
      { name: `ceiling: BLAKE3, ${ceilings.lanes} lanes`, value: ceilings.hashMBs, unit: "MB/s" },
      { name: `ceiling: AES-256-GCM, ${ceilings.lanes} lanes`, value: ceilings.cipherMBs, unit: "MB/s" },
      { name: "ceiling: sequential write, sync", value: ceilings.writeMBs, unit: "MB/s" },
      { name: "ceiling: 4 KiB write + fdatasync", value: ceilings.syncsPerSecond, unit: "/s" }
    ]
    for (const parallel of [1, 4]) rows.push(...await largeRows(server, ceilings, parallel))
    for (const parallel of [1, 64]) rows.push(...await smallRows(server, ceilings, parallel))
    const peak = server.peakBytes()
    if (peak !== undefined) rows.push({ name: "peak resident memory of the node", value: peak / MiB, unit: "MiB" })
    print(rows)
    if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(rows, null, 2)}\n`)
  } finally {
    await server.stop()
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true, options: { json: { type: "string" }, mib: { type: "string", default: "2048" }, "max-mib": { type: "string" } }
})
if (positionals[0] === "memory") {
  const peakMiB = await measureMemory(Number(values.mib) * MiB)
  const allowed = Number(values["max-mib"] ?? Number.POSITIVE_INFINITY)
  if (peakMiB > allowed) {
    console.error(`the node held ${peakMiB.toFixed(0)} MiB at its peak, more than the ${allowed} allowed`)
    process.exitCode = 1
  }
} else {
  await measureSpeed(values.json)
}
