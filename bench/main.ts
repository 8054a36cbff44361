/**
 * npm run bench: the store's speeds beside this machine's ceilings, measured in one run. These machines are noisy: read
 * the ratios. Options: --json FILE writes the figures.
 */
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { KiB, MiB } from "../src/base/limits.ts"
import { measureCeilings } from "./ceilings.ts"
import { makeBenchClient, timed } from "./client.ts"
import { startServer } from "./server.ts"

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

const measureLarge = async (server: Awaited<ReturnType<typeof startServer>>, parallel: number): Promise<readonly [number, number]> => {
  const client = makeBenchClient(server, parallel)
  const bodies = Array.from({ length: largeCount }, () => fresh(largeBytes))
  const total = (largeBytes * largeCount) / 1e6
  const put = await timed(largeCount, parallel, (index) => client.put(`/bench/large-${parallel}-${index}`, bodies[index] as Buffer))
  const get = await timed(largeCount, parallel, (index) => client.get(`/bench/large-${parallel}-${index}`))
  client.close()
  return [total / put, total / get]
}

const measureSmall = async (server: Awaited<ReturnType<typeof startServer>>, parallel: number): Promise<readonly [number, number]> => {
  const client = makeBenchClient(server, parallel)
  const count = parallel === 1 ? smallCount / 4 : smallCount
  const bodies = Array.from({ length: count }, () => fresh(smallBytes))
  const put = await timed(count, parallel, (index) => client.put(`/bench/small-${parallel}-${index}`, bodies[index] as Buffer))
  const get = await timed(count, parallel, (index) => client.get(`/bench/small-${parallel}-${index}`))
  client.close()
  return [count / put, count / get]
}

const print = (rows: ReadonlyArray<Row>): void => {
  for (const { name, value, unit, of } of rows) {
    const ratio = of === undefined ? "" : `  ${(value / of[1]).toFixed(2)} of ${of[0]}`
    console.log(`${name.padEnd(34)} ${value.toFixed(value < 100 ? 1 : 0).padStart(8)} ${unit.padEnd(5)}${ratio}`)
  }
}

const server = await startServer()
try {
  const ceilings = measureCeilings(server.folder)
  const client = makeBenchClient(server, 1)
  await client.put("/bench", Buffer.alloc(0))
  // Code that is not compiled yet is nobody's speed.
  await timed(1000, 16, (index) => client.put(`/bench/warm-${index}`, fresh(smallBytes)))
  await timed(2, 1, (index) => client.put(`/bench/warm-large-${index}`, fresh(largeBytes)))
  client.close()
  const rows: Array<Row> = [
    { name: "ceiling: BLAKE3, one core", value: ceilings.hashMBs, unit: "MB/s" },
    { name: "ceiling: AES-256-GCM, one core", value: ceilings.cipherMBs, unit: "MB/s" },
    { name: "ceiling: sequential write, sync", value: ceilings.writeMBs, unit: "MB/s" },
    { name: "ceiling: 4 KiB write + fdatasync", value: ceilings.syncsPerSecond, unit: "/s" }
  ]
  for (const parallel of [1, 4]) {
    const [put, get] = await measureLarge(server, parallel)
    rows.push({ name: `PUT 64 MiB, ${parallel} at a time`, value: put, unit: "MB/s", of: ["sequential write", ceilings.writeMBs] })
    rows.push({ name: `GET 64 MiB, ${parallel} at a time`, value: get, unit: "MB/s", of: ["AES-256-GCM", ceilings.cipherMBs] })
  }
  for (const parallel of [1, 64]) {
    const [put, get] = await measureSmall(server, parallel)
    rows.push({ name: `PUT 1 KiB, ${parallel} at a time`, value: put, unit: "/s", of: ["lone syncs", ceilings.syncsPerSecond] })
    rows.push({ name: `GET 1 KiB, ${parallel} at a time`, value: get, unit: "/s" })
  }
  const peak = server.peakBytes()
  if (peak !== undefined) rows.push({ name: "peak resident memory of the node", value: peak / MiB, unit: "MiB" })
  print(rows)
  const at = process.argv.indexOf("--json")
  const file = at < 0 ? undefined : process.argv[at + 1]
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(rows, null, 2)}\n`)
} finally {
  await server.stop()
}
