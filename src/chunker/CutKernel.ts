/** CutKernel: the chunker as a kernel of the Compute port. Sits between put.ts and the lanes. */
import { ownBuffers, toHex } from "../base/bytes.ts"
import type { Kernel } from "../ports/Compute.ts"
import { type Chunker, makeChunker } from "./Chunker.ts"
import type { ChunkerOptions } from "./ChunkerOptions.ts"

export interface CutInput {
  readonly gearKey: Uint8Array
  readonly options: ChunkerOptions
  /** Starts where a chunk starts. Moves to the lane where it owns its buffer, else it is copied. */
  readonly bytes: Uint8Array
  readonly final: boolean
}

export interface CutOutput {
  /** The input's, moved back. */
  readonly bytes: Uint8Array
  /** Lengths of the complete chunks at the start of `bytes`. */
  readonly lengths: ReadonlyArray<number>
}

/** Chunkers that a lane keeps: making one costs 100 us. A pure memo, by key and options. */
const chunkersMax = 16
const chunkers = new Map<string, Chunker>()

const chunkerOf = (gearKey: Uint8Array, options: ChunkerOptions): Chunker => {
  const name = `${toHex(gearKey)} ${options.minBytes} ${options.averageBytes} ${options.maxBytes}`
  const known = chunkers.get(name)
  if (known !== undefined) return known
  if (chunkers.size >= chunkersMax) chunkers.clear()
  const chunker = makeChunker(gearKey, options)
  chunkers.set(name, chunker)
  return chunker
}

export const cutKernel: Kernel<CutInput, CutOutput> = {
  name: "chunker/cut",
  run: ({ gearKey, options, bytes, final }) => ({ bytes, lengths: chunkerOf(gearKey, options).cut(bytes, final) }),
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: ({ bytes }) => ownBuffers([bytes])
}
