/** Bodies larger than memory: made, sent, received and hashed block by block. Sits between tests and node:http. */
import { createCipheriv, createHash } from "node:crypto"
import { once } from "node:events"
import { request as httpRequest } from "node:http"
import { encodePath, sign, type Target } from "./wire.ts"

const blockBytes = 1024 * 1024
const msMax = 10 * 60_000

/** Noise that never repeats, cheap to make: AES-CTR over zeros, keyed by a number. */
export const noise = (seed: number): ((size: number) => Buffer) => {
  const key = createHash("sha256").update(`noise ${seed}`).digest().subarray(0, 16)
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16))
  return (size) => cipher.update(Buffer.alloc(size))
}

export interface Sent {
  readonly status: number
  readonly sha256: string
  readonly ms: number
}

/** PUT of `sizeBytes` of noise as one stream, unsigned payload. */
export const streamOut = async (to: Target, bucket: string, key: string, sizeBytes: number, seed = 1): Promise<Sent> => {
  const signed = sign(to, { method: "PUT", path: encodePath(bucket, key) })
  const url = new URL(to.s3)
  const startMs = performance.now()
  const request = httpRequest({
    host: url.hostname, port: url.port, method: "PUT", path: signed.target,
    headers: { ...signed.headers, "content-length": String(sizeBytes) }, timeout: msMax
  })
  const answered = new Promise<number>((resolve, reject) => {
    request.on("response", (response) => {
      response.resume()
      response.on("end", () => resolve(response.statusCode ?? 0))
      response.on("error", reject)
    })
    request.on("error", reject)
    request.on("timeout", () => request.destroy(new Error("no progress in time")))
  })
  // Heard at once: a refusal may come while the body is still on its way.
  answered.catch(() => undefined)
  const hash = createHash("sha256")
  const make = noise(seed)
  for (let left = sizeBytes; left > 0; left -= blockBytes) {
    const block = make(Math.min(blockBytes, left))
    hash.update(block)
    if (!request.write(block)) await Promise.race([once(request, "drain"), answered])
  }
  request.end()
  return { status: await answered, sha256: hash.digest("hex"), ms: Math.round(performance.now() - startMs) }
}

export interface Received extends Sent {
  readonly sizeBytes: number
}

export const streamIn = (from: Target, bucket: string, key: string): Promise<Received> => {
  const signed = sign(from, { method: "GET", path: encodePath(bucket, key) })
  const url = new URL(from.s3)
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: url.hostname, port: url.port, method: "GET", path: signed.target, headers: signed.headers, timeout: msMax }, (response) => {
      const hash = createHash("sha256")
      let sizeBytes = 0
      response.on("data", (part: Buffer) => {
        sizeBytes += part.length
        hash.update(part)
      })
      response.on("error", reject)
      response.on("end", () => resolve({
        status: response.statusCode ?? 0, sizeBytes, sha256: hash.digest("hex"), ms: Math.round(performance.now() - startMs)
      }))
    })
    request.on("error", reject)
    request.on("timeout", () => request.destroy(new Error("no progress in time")))
    request.end()
  })
}
