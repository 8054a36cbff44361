/** Stream: large bodies made as they are sent, so that the client holds none of them. */
import { createCipheriv } from "node:crypto"
import { request } from "node:http"
import { MiB } from "../src/base/limits.ts"
import { signRequest, unsignedPayload } from "../src/gateway/s3/SigV4.ts"
import type { BenchServer } from "./server.ts"

const pieceBytes = MiB / 4

/** A body that neither compresses nor repeats, the same for the same seed, and costs its maker 0.3 ns a byte. */
export function* noiseOf(seed: number, bytes: number): Generator<Uint8Array> {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(seed)
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 7), iv)
  const zeros = Buffer.alloc(pieceBytes)
  for (let left = bytes; left > 0; left -= zeros.length) yield cipher.update(zeros.subarray(0, Math.min(left, zeros.length)))
}

/** Streams a body of so many bytes up, as fast as the node takes it. */
export const putStream = (server: BenchServer, target: string, pieces: Iterator<Uint8Array>, bytes: number): Promise<void> =>
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
    const pump = (): void => {
      for (;;) {
        const piece = pieces.next()
        if (piece.done === true) return void outgoing.end()
        if (!outgoing.write(piece.value)) return void outgoing.once("drain", pump)
      }
    }
    pump()
  })
