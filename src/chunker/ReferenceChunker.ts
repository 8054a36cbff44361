/**
 * ReferenceChunker: the chunker written down as its definition, slow and obvious. Sits beside Chunker as the oracle of
 * its tests: both must cut alike.
 */
import { type Chunker, hashBits } from "./Chunker.ts"
import { type ChunkerOptions, windowBytes } from "./ChunkerOptions.ts"
import { gearTable } from "./Gear.ts"

/** A chunker of plain JavaScript for the same key and options. */
export const makeReferenceChunker = (gearKey: Uint8Array, options: ChunkerOptions): Chunker => {
  const gear = new DataView(gearTable(gearKey).buffer)
  const bits = hashBits(options)

  /** Whether there is a cut point after `length` bytes of the chunk that starts at `start`. */
  const cutsAfter = (bytes: Uint8Array, start: number, length: number): boolean => {
    if (length <= options.minBytes) return false
    let hash = 0n
    for (let at = start + length - windowBytes; at < start + length; at++) {
      hash = BigInt.asUintN(64, (hash << 1n) + gear.getBigUint64((bytes[at] ?? 0) * 8, true))
    }
    const zeros = length <= options.averageBytes ? bits.before : bits.after
    return hash >> BigInt(64 - zeros) === 0n
  }

  const cut = (bytes: Uint8Array, final: boolean): ReadonlyArray<number> => {
    const lengths: Array<number> = []
    let start = 0
    let length = 1
    while (start + length <= bytes.length) {
      const last = final && start + length === bytes.length
      if (last || length === options.maxBytes || cutsAfter(bytes, start, length)) {
        lengths.push(length)
        start += length
        length = 1
      } else {
        length++
      }
    }
    return lengths
  }
  return { options, cut }
}
