/** Bodies of the crash test: made from a seed, known by their SHA-256. */
import { createHash } from "node:crypto"
import { noise } from "../e2e/stream.ts"

export interface Content {
  readonly bytes: Buffer
  readonly sha256: string
}

export const sha256Of = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** Half of them compress; equal seeds and sizes give equal bytes, so that chunks are found again. */
export const contentOf = (seed: number, sizeBytes: number): Content => {
  const bytes = seed % 2 === 0
    ? noise(seed)(sizeBytes)
    : Buffer.alloc(sizeBytes, `content ${seed}, again and again; `)
  return { bytes, sha256: sha256Of(bytes) }
}
