/** Noise from a seed, for tests: AES-256-CTR of nothing. Sits between a seed and test data. */
import { createCipheriv } from "node:crypto"

/** `count` bytes in a buffer of their own, the same for the same seed. */
export const randomBytes = (count: number, seed: number): Uint8Array<ArrayBuffer> => {
  const iv = Buffer.alloc(16)
  iv.writeUInt32BE(seed >>> 0)
  return new Uint8Array(createCipheriv("aes-256-ctr", Buffer.alloc(32, 7), iv).update(Buffer.alloc(count)))
}
