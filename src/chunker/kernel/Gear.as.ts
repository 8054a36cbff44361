/**
 * The chunker's inner loop in AssemblyScript: rolls a 64-bit gear hash over bytes and finds the first cut point.
 * Sits between Chunker.ts, which decides where to look, and the CPU. `npm run build:wasm` makes GearWasm.ts of it.
 *
 * Memory: 256 gear values of 64 bits, little-endian, at 0; the window of bytes under scan after them (Chunker.ts).
 */

/** Of the last 64 bytes rolled over: sum of gear[byte] << age, modulo 2^64. */
let hash: u64 = 0

// @ts-ignore: decorator
@inline
function next(h: u64, at: usize): u64 {
  return (h << 1) + load<u64>(<usize>load<u8>(at) << 3)
}

/** Rolls over [from, to) without looking for a cut. After 64 bytes nothing of what was before is left. */
export function roll(from: usize, to: usize): void {
  let h = hash
  for (let at = from; at < to; at++) h = next(h, at)
  hash = h
}

/**
 * Rolls over [from, to) up to the first byte after which the hash has `bits` leading zeros (1 to 63).
 * The position after that byte, or 0 where there is none.
 */
export function find(from: usize, to: usize, bits: u32): usize {
  const limit: u64 = (<u64>1) << (64 - bits)
  let h = hash
  let at = from
  while (at + 8 <= to) {
    h = next(h, at)
    if (h < limit) return at + 1
    h = next(h, at + 1)
    if (h < limit) return at + 2
    h = next(h, at + 2)
    if (h < limit) return at + 3
    h = next(h, at + 3)
    if (h < limit) return at + 4
    h = next(h, at + 4)
    if (h < limit) return at + 5
    h = next(h, at + 5)
    if (h < limit) return at + 6
    h = next(h, at + 6)
    if (h < limit) return at + 7
    h = next(h, at + 7)
    if (h < limit) return at + 8
    at += 8
  }
  while (at < to) {
    h = next(h, at)
    at++
    if (h < limit) return at
  }
  hash = h
  return 0
}
