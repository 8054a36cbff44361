/** dedup: a second, slightly changed copy of an object: what it costs to store beside the first. */
import { setTimeout } from "node:timers/promises"
import { MiB } from "../src/base/limits.ts"
import { type Bench, type BenchContext, makeBucket } from "./bench.ts"
import { type BenchServer, startServer } from "./server.ts"
import { noiseOf, putStream } from "./stream.ts"

const objectBytes = 256 * MiB
/** Bytes inserted before every so many pieces of a quarter MiB: 16 places in all. */
const insertedBytes = 100
const piecesBetween = 64

function* edited(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let count = 0
  for (const piece of pieces) {
    if (count % piecesBetween === piecesBetween / 2) yield Buffer.alloc(insertedBytes, count)
    count += 1
    yield piece
  }
}

const edits = objectBytes / (MiB / 4) / piecesBetween

const quietTriesMax = 30

/** Waits until the node writes nothing more: what an earlier upload left to settle is not the next one's. */
const quiet = async (server: BenchServer): Promise<void> => {
  for (let turn = 0; turn < quietTriesMax; turn += 1) {
    const { writtenBytes } = await server.counters()
    await setTimeout(1000)
    if ((await server.counters()).writtenBytes === writtenBytes) return
  }
}

const run = async ({ report }: BenchContext): Promise<void> => {
  const server = await startServer()
  try {
    await makeBucket(server)
    const put = async (target: string, pieces: Iterator<Uint8Array>, bytes: number) => {
      await quiet(server)
      const [cpu, { writtenBytes }, began] = [server.cpuMicros(), await server.counters(), performance.now()]
      await putStream(server, target, pieces, bytes)
      return {
        seconds: (performance.now() - began) / 1000, nanosEach: ((server.cpuMicros() - cpu) * 1000) / bytes,
        written: (await server.counters()).writtenBytes - writtenBytes
      }
    }
    const first = await put("/bench/first", noiseOf(1, objectBytes), objectBytes)
    const second = await put("/bench/second", edited(noiseOf(1, objectBytes)), objectBytes + edits * insertedBytes)
    report.add({ id: "dedup.first", name: "PUT 256 MiB", value: objectBytes / 1e6 / first.seconds, unit: "MB/s", better: "more" })
    report.add({ id: "dedup.first.stored", name: "  bytes written, of the object's", value: (100 * first.written) / objectBytes, unit: "%", better: "less" })
    report.add({ id: "dedup.second", name: `PUT of a copy with ${edits} insertions`, value: objectBytes / 1e6 / second.seconds, unit: "MB/s", better: "more" })
    report.add({ id: "dedup.second.cpu", name: "  processor time of the node", value: second.nanosEach, unit: "ns/B", better: "less" })
    report.add({ id: "dedup.stored", name: "  bytes written, of the copy's", value: (100 * second.written) / objectBytes, unit: "%", better: "less" })
  } finally {
    await server.stop()
  }
}

export const dedup: Bench = { names: ["dedup"], title: "Deduplication", run }
