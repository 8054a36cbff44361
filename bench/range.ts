/** range: time to the first byte of a range somewhere in a 1 GiB object. */
import { GiB, KiB, MiB } from "../src/base/limits.ts"
import { type Bench, type BenchContext, costOf, makeBucket, quantile } from "./bench.ts"
import { startServer } from "./server.ts"
import { noiseOf, putStream } from "./stream.ts"
import { prepare, type Prepared } from "./wire.ts"

const objectBytes = GiB
const warmBytes = 256 * MiB
const rangeBytes = 64 * KiB
const ranges = 400

const run = async ({ report }: BenchContext): Promise<void> => {
  const server = await startServer()
  try {
    await makeBucket(server)
    const rangesOf = (target: string, sizeBytes: number): ReadonlyArray<Prepared> =>
      Array.from({ length: ranges }, (_, index) => (index * 999_999_937) % (sizeBytes - rangeBytes)).map((start) =>
        prepare(server, "GET", target, { headers: [["range", `bytes=${start}-${start + rangeBytes - 1}`]] }))
    // Code that is not compiled yet is nobody's speed; the large object's bytes are on the disk only.
    await putStream(server, "/bench/warm", noiseOf(2, warmBytes), warmBytes)
    await costOf(server, rangesOf("/bench/warm", warmBytes), 1, rangeBytes)
    await putStream(server, "/bench/large", noiseOf(1, objectBytes), objectBytes)
    const { firstByteMs, microsEach } = await costOf(server, rangesOf("/bench/large", objectBytes), 1, rangeBytes)
    const add = (id: string, name: string, value: number, unit: string): void => report.add({ id: `range.${id}`, name, value, unit, better: "less" })
    add("first", "first byte of 64 KiB in 1 GiB, median", quantile(firstByteMs, 0.5), "ms")
    add("first.99", "  of 100 the slowest", quantile(firstByteMs, 0.99), "ms")
    add("cpu", "  processor time of the node", microsEach, "us")
  } finally {
    await server.stop()
  }
}

export const range: Bench = { names: ["range"], title: "Ranges", run }
