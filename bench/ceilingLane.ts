/** CeilingLane: one worker thread of a ceiling: runs a kernel over units for as long as it is told, and says how much it did. */
import { createCipheriv, randomBytes } from "node:crypto"
import { parentPort, workerData } from "node:worker_threads"
import { hashBytes } from "../src/base/hash.ts"
import { MiB } from "../src/base/limits.ts"

export interface CeilingJob {
  readonly kernel: "hash" | "cipher"
  readonly unitBytes: number
  readonly milliseconds: number
}

const key = randomBytes(32)

const kernels = {
  hash: (unit: Buffer): void => void hashBytes(unit),
  cipher: (unit: Buffer): void => {
    const cipher = createCipheriv("aes-256-gcm", key, Buffer.alloc(12))
    for (let at = 0; at < unit.length; at += MiB / 4) cipher.update(unit.subarray(at, at + MiB / 4))
    cipher.final()
  }
}

const { kernel, unitBytes, milliseconds } = workerData as CeilingJob
const unit = randomBytes(unitBytes)
for (let turn = 0; turn < 20; turn += 1) kernels[kernel](unit)
const start = performance.now()
let units = 0
while (performance.now() - start < milliseconds) {
  kernels[kernel](unit)
  units += 1
}
/** Bytes a second. */
parentPort?.postMessage((units * unitBytes * 1000) / (performance.now() - start))
