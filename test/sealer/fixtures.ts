/** Keys and data from numbers, for the sealer's tests. */
import { createCipheriv } from "node:crypto"
import type { VaultId } from "../../src/base/ids.ts"
import type { VaultKeys } from "../../src/sealer/VaultKeys.ts"

/** Bytes that do not compress, the same for the same seed. */
export const noise = (count: number, seed: number): Uint8Array<ArrayBuffer> => {
  const iv = Buffer.alloc(16)
  iv.writeUInt32BE(seed >>> 0)
  return new Uint8Array(createCipheriv("aes-256-ctr", Buffer.alloc(32, 7), iv).update(Buffer.alloc(count)))
}

/** Bytes that compress: words in an order that the seed gives. */
export const text = (count: number, seed: number): Uint8Array<ArrayBuffer> => {
  const words = ["chunk ", "vault ", "block ", "slice ", "commit ", "vertex ", "journal ", "0123456789 "]
  const order = noise(Math.ceil(count / 4), seed)
  return new Uint8Array(Buffer.from(Array.from(order, (byte) => words[byte % words.length]).join("")).subarray(0, count))
}

export const keysOf = (seed: number): VaultKeys & { readonly vaultId: VaultId } => ({
  vaultId: Buffer.from(noise(16, seed)).toString("hex") as VaultId,
  generation: 1,
  master: noise(32, seed + 1000)
})
