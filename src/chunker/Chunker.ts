/**
 * Chunker: cuts a stream at content-defined points. Sits between the gateway's body and the sealer.
 *
 * FastCDC (Xia et al., USENIX ATC 2016; normalized chunking, IEEE TPDS 2020) with a gear table keyed per vault. A chunk
 * ends after the first byte past `minBytes` at which the gear hash of the 64 bytes before has enough leading zeros: two
 * bits more than the average asks for up to `averageBytes`, two bits fewer after it; or at `maxBytes`. The hash is
 * warmed up in the skipped minimum, so that a cut point depends on the 64 bytes before it and on the chunk's start only.
 */
import { assert } from "../base/assert.ts"
import { copyInto } from "../base/bytes.ts"
import { type WasmMemory, compileWasm } from "../base/wasm.ts"
import { type ChunkerOptions, checkChunkerOptions, windowBytes } from "./ChunkerOptions.ts"
import { gearTable, gearTableBytes } from "./Gear.ts"
import { gearWasm } from "./kernel/GearWasm.ts"

export interface Chunker {
  readonly options: ChunkerOptions
  /**
   * Lengths of the complete chunks at the start of `bytes`, which starts where a chunk starts. Without `final` it cuts
   * only where no later byte could change the cut, so that cuts never depend on how the stream was sliced: hand the
   * rest in again with more behind it. It cuts at least once where `maxBytes` are at hand. With `final` the rest is a
   * chunk. Never an empty chunk; no bytes, no chunks.
   */
  readonly cut: (bytes: Uint8Array, final: boolean) => ReadonlyArray<number>
}

/** Normalization: bits added before the average and taken away after it. */
export const normalizationBits = 2

/** Leading zeros asked of the hash before and after the average. */
export const hashBits = (options: ChunkerOptions): { readonly before: number; readonly after: number } => {
  const bits = Math.round(Math.log2(options.averageBytes))
  return { before: bits + normalizationBits, after: bits - normalizationBits }
}

interface Kernel {
  readonly memory: WasmMemory
  readonly roll: (from: number, to: number) => void
  readonly find: (from: number, to: number, bits: number) => number
}

/** What is copied into WebAssembly memory at a time: it stays in the processor's second cache. */
const scanBytes = 256 * 1024

const makeKernel = compileWasm(gearWasm)

/** Makes a chunker; the same key and options cut alike everywhere and for ever. Options must pass checkChunkerOptions. */
export const makeChunker = (gearKey: Uint8Array, options: ChunkerOptions): Chunker => {
  const problem = checkChunkerOptions(options)
  assert(problem === undefined, problem?.message ?? "")
  const { minBytes, averageBytes, maxBytes } = options
  const bits = hashBits(options)
  const kernel = makeKernel() as Kernel
  const memory = new Uint8Array(kernel.memory.buffer)
  assert(memory.length >= gearTableBytes + scanBytes, "the kernel's memory holds the table and the window")
  memory.set(gearTable(gearKey), 0)

  /** The first cut point in (from, to], or 0. */
  const find = (bytes: Uint8Array, from: number, to: number, zeros: number): number => {
    for (let at = from; at < to; at += scanBytes) {
      const end = Math.min(to, at + scanBytes)
      copyInto(memory, gearTableBytes, bytes.subarray(at, end))
      const found = kernel.find(gearTableBytes, gearTableBytes + end - at, zeros)
      if (found !== 0) return at + found - gearTableBytes
    }
    return 0
  }

  /** Where the chunk that starts at `start` ends; 0 where that is not certain yet. */
  const endOf = (bytes: Uint8Array, start: number, final: boolean): number => {
    const limit = Math.min(bytes.length, start + maxBytes)
    const skip = start + minBytes
    if (skip < limit) {
      memory.set(bytes.subarray(skip - windowBytes, skip), gearTableBytes)
      kernel.roll(gearTableBytes, gearTableBytes + windowBytes)
      const normal = Math.min(limit, start + averageBytes)
      const found = find(bytes, skip, normal, bits.before) || find(bytes, normal, limit, bits.after)
      if (found !== 0) return found
    }
    return final || limit === start + maxBytes ? limit : 0
  }

  const cut = (bytes: Uint8Array, final: boolean): ReadonlyArray<number> => {
    const lengths: Array<number> = []
    let start = 0
    while (start < bytes.length) {
      const end = endOf(bytes, start, final)
      if (end === 0) break
      assert(end > start && end - start <= maxBytes, "a chunk is neither empty nor longer than the maximum")
      lengths.push(end - start)
      start = end
    }
    return lengths
  }
  return { options, cut }
}
