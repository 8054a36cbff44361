/**
 * npm run bench -- memory [--mib N] [--max-mib N]: peak resident memory and processor time of a node under large streams.
 * The single stream has 2048 MiB, or N. With --max-mib it fails where a peak is higher: the store's promise is 512.
 */
import { createCipheriv } from "node:crypto"
import { request } from "node:http"
import { MiB } from "../src/base/limits.ts"
import { signRequest, unsignedPayload } from "../src/gateway/s3/SigV4.ts"
import { makeBenchClient, timed } from "./client.ts"
import { type BenchServer, startServer } from "./server.ts"

const parallel = 4
const parallelBytes = 64 * MiB
const parallelCount = 6

/** A body that neither compresses nor repeats, and costs its maker 0.3 ns a byte. */
function* bodyOf(seed: number, bytes: number): Generator<Buffer> {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(seed)
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), iv)
  const zeros = Buffer.alloc(MiB / 4)
  for (let left = bytes; left > 0; left -= zeros.length) yield cipher.update(zeros.subarray(0, Math.min(left, zeros.length)))
}

/** Streams a body up, as fast as the node takes it. */
const putStream = (server: BenchServer, target: string, seed: number, bytes: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const host = `127.0.0.1:${server.port}`
    const headers = signRequest({ method: "PUT", target, host, headers: [] }, { ...server, region: "us-east-1" }, Date.now(), unsignedPayload)
    const outgoing = request({
      host: "127.0.0.1", port: server.port, method: "PUT", path: target,
      headers: { ...Object.fromEntries(headers), "content-length": String(bytes) }
    }, (incoming) => {
      incoming.resume()
      incoming.on("end", () => (incoming.statusCode === 200 ? resolve() : reject(new Error(`PUT ${target}: ${incoming.statusCode}`))))
    })
    outgoing.on("error", reject)
    const pieces = bodyOf(seed, bytes)
    const pump = (): void => {
      for (;;) {
        const piece = pieces.next()
        if (piece.done === true) return void outgoing.end()
        if (!outgoing.write(piece.value)) return void outgoing.once("drain", pump)
      }
    }
    pump()
  })

/** Prints what a phase did to the node; returns its peak. The peak is the node's, whose client is another process. */
const phase = async (server: BenchServer, name: string, bytes: number, run: () => Promise<unknown>): Promise<number> => {
  const cpu = server.cpuMicros()
  server.resetPeak()
  const start = performance.now()
  await run()
  const seconds = (performance.now() - start) / 1000
  const peak = (server.peakBytes() ?? Number.NaN) / MiB
  const nanos = ((server.cpuMicros() - cpu) * 1000) / bytes
  console.log(`${name.padEnd(34)} peak ${peak.toFixed(0).padStart(5)} MiB  ${nanos.toFixed(2).padStart(6)} ns/byte of processor  ${(bytes / 1e6 / seconds).toFixed(0).padStart(5)} MB/s`)
  return peak
}

/** A fresh node, so that nothing that an earlier phase left in memory is counted. */
const inFreshNode = async (run: (server: BenchServer) => Promise<ReadonlyArray<number>>): Promise<ReadonlyArray<number>> => {
  const server = await startServer()
  try {
    const client = makeBenchClient(server, 1)
    await client.put("/bench", Buffer.alloc(0))
    client.close()
    return await run(server)
  } finally {
    await server.stop()
  }
}

const get = async (server: BenchServer, target: string, bytes: number): Promise<void> => {
  const client = makeBenchClient(server, 1)
  const received = await client.get(target)
  client.close()
  if (received !== bytes) throw new Error(`GET ${target}: ${received} of ${bytes} bytes`)
}

const oneStream = (bytes: number) => async (server: BenchServer): Promise<ReadonlyArray<number>> => {
  const size = `${bytes / MiB} MiB, one stream`
  return [
    await phase(server, `PUT ${size}`, bytes, () => putStream(server, "/bench/one", 0, bytes)),
    await phase(server, `GET ${size}`, bytes, () => get(server, "/bench/one", bytes))
  ]
}

const sideBySide = async (server: BenchServer): Promise<ReadonlyArray<number>> => {
  const all = parallelCount * parallelBytes
  const size = `${parallelBytes / MiB} MiB, ${parallel} at a time`
  const target = (index: number): string => `/bench/part-${index}`
  const put = (index: number): Promise<void> => putStream(server, target(index), 1 + index, parallelBytes)
  return [
    await phase(server, `PUT ${size}`, all, () => timed(parallelCount, parallel, put)),
    await phase(server, `GET ${size}`, all, () => timed(parallelCount, parallel, (index) => get(server, target(index), parallelBytes)))
  ]
}

/** The highest peak, MiB. */
export const measureMemory = async (singleBytes: number): Promise<number> =>
  Math.max(...await inFreshNode(oneStream(singleBytes)), ...await inFreshNode(sideBySide))
