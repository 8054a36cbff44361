/** ChunkerOptions: the sizes a chunker aims at. Sits between the configuration and Chunker. */
// Not from "effect": lanes load this module, and need not hold the rest.
import * as Data from "effect/Data"
import { chunkSizeBytesAverage, chunkSizeBytesMax } from "../base/limits.ts"

/** `windowBytes <= minBytes < averageBytes < maxBytes <= chunkSizeBytesMax`, all whole numbers of bytes. */
export interface ChunkerOptions {
  /** No chunk but a stream's last is as short as this or shorter. */
  readonly minBytes: number
  /** From here on cut points become 16 times as likely (normalized chunking, level 2). */
  readonly averageBytes: number
  /** No chunk is longer. */
  readonly maxBytes: number
}

/** Bytes that decide whether there is a cut after the last of them. */
export const windowBytes = 64

export class ChunkerOptionsError extends Data.TaggedError("ChunkerOptionsError")<{
  readonly option: keyof ChunkerOptions
  readonly value: number
  readonly detail: string
}> {
  override get message(): string {
    return `chunker: ${this.option} is ${this.value}: ${this.detail}`
  }
}

/** Average 1 MiB, half of it at least, 4 MiB at most. */
export const defaultChunkerOptions: ChunkerOptions = {
  minBytes: chunkSizeBytesAverage / 2,
  averageBytes: chunkSizeBytesAverage,
  maxBytes: chunkSizeBytesMax
}

/** What is wrong with the options, or undefined. */
export const checkChunkerOptions = (options: ChunkerOptions): ChunkerOptionsError | undefined => {
  const refuse = (option: keyof ChunkerOptions, detail: string): ChunkerOptionsError =>
    new ChunkerOptionsError({ option, value: options[option], detail })
  const { minBytes, averageBytes, maxBytes } = options
  for (const option of ["minBytes", "averageBytes", "maxBytes"] as const) {
    if (!Number.isSafeInteger(options[option])) return refuse(option, "give a whole number of bytes")
  }
  if (minBytes < windowBytes) return refuse("minBytes", `give at least ${windowBytes}`)
  if (averageBytes <= minBytes) return refuse("averageBytes", `give more than minBytes, which is ${minBytes}`)
  if (maxBytes <= averageBytes) return refuse("maxBytes", `give more than averageBytes, which is ${averageBytes}`)
  if (maxBytes > chunkSizeBytesMax) return refuse("maxBytes", `give at most ${chunkSizeBytesMax}`)
  return undefined
}
