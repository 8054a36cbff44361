/** Bytes: conversions, comparison and fixed-width integers, shared by every format. Imports nothing of ours but assert and limits. */
import { assert } from "./assert.ts"
import { smallBytesMax, smallSlabBytes } from "./limits.ts"

/**
 * Raw bytes as a string with one character (0-255) a byte. Engines compare such strings like memcmp and hash
 * them fast, so ordered maps and row keys use them; `toByteString` and `fromByteString` convert.
 */
export type ByteString = string

export const emptyBytes: Uint8Array = new Uint8Array(0)

/** Most bytes are a Buffer already: hashes, reads, decoded text. Making another costs as much as a short conversion. */
const view = (bytes: Uint8Array): Buffer =>
  bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const toByteString = (bytes: Uint8Array): ByteString => view(bytes).toString("latin1")
export const fromByteString = (text: ByteString): Uint8Array => Buffer.from(text, "latin1")

export const toHex = (bytes: Uint8Array): string => view(bytes).toString("hex")

/** Of the bytes from `start` to `end`: spares the view. */
export const hexBetween = (bytes: Uint8Array, start: number, end: number): string => view(bytes).toString("hex", start, end)

/** Decodes lower- or upper-case hex; throws AssertionError on anything else. */
export const fromHex = (hex: string): Uint8Array => {
  const bytes = Buffer.from(hex, "hex")
  assert(bytes.length * 2 === hex.length, `not hexadecimal: ${hex.slice(0, 80)}`)
  return bytes
}

export const toBase64 = (bytes: Uint8Array): string => view(bytes).toString("base64")
export const fromBase64 = (text: string): Uint8Array => Buffer.from(text, "base64")

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** A lone surrogate becomes U+FFFD. By way of Buffer's pool: TextEncoder makes a buffer for every text, at ten times the price. */
export const toUtf8 = (text: string): Uint8Array => {
  const bytes = Buffer.from(text, "utf8")
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Of toUtf8, without making it. */
export const utf8Length = (text: string): number => Buffer.byteLength(text, "utf8")

/** Decodes UTF-8; undefined where the bytes are not valid. */
export const fromUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    // TextDecoder's only failure: the bytes are not UTF-8.
    if (error instanceof TypeError) return undefined
    throw error
  }
}

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => view(a).equals(b)

/** Order of unsigned bytes, a prefix first: -1, 0 or 1. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b)

export const concatBytes = (parts: ReadonlyArray<Uint8Array>): Uint8Array => Buffer.concat(parts)

/** Big-endian unsigned 64-bit integer of a safe JavaScript integer. */
export const putU64 = (target: Uint8Array, offset: number, value: number): void => {
  assert(Number.isSafeInteger(value) && value >= 0, `not an unsigned safe integer: ${value}`)
  const data = view(target)
  data.writeUInt32BE(Math.floor(value / 0x1_0000_0000), offset)
  data.writeUInt32BE(value >>> 0, offset + 4)
}

/** Big-endian unsigned 64-bit integer; undefined where it exceeds 2^53 - 1 (no format of ours writes such). */
export const getU64 = (source: Uint8Array, offset: number): number | undefined => {
  const data = view(source)
  const value = data.readUInt32BE(offset) * 0x1_0000_0000 + data.readUInt32BE(offset + 4)
  return Number.isSafeInteger(value) ? value : undefined
}

/**
 * Gives the memory of bytes back now, not when the collector comes to it: large buffers that wait for it are most of a
 * node's memory. For whoever owns the bytes and is done with them: they are empty afterwards. A view of a part of a
 * buffer is left alone.
 */
export const release = (bytes: Uint8Array): void => {
  const { buffer, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength >= releaseBytesMin) buffer.transfer(0)
}

/** Where the next few bytes go. What is handed out is never taken back, so all of it is zero. */
let slab = new ArrayBuffer(smallSlabBytes)
let slabUsed = 0

/**
 * Zeros that nobody else has, for what is made many at a time and goes together, as rows do. A buffer of its own costs a
 * microsecond and more, of which the collector has the larger part, so few bytes share one with others; not for caches:
 * one that stays keeps all of the buffer.
 */
export const freshBytes = (count: number): Uint8Array => {
  if (count > smallBytesMax) return new Uint8Array(count)
  if (slabUsed + count > smallSlabBytes) {
    slab = new ArrayBuffer(smallSlabBytes)
    slabUsed = 0
  }
  const bytes = new Uint8Array(slab, slabUsed, count)
  slabUsed += (count + 7) & ~7
  return bytes
}

/** The bytes again, in memory of their own. `slice` of a Buffer is not: it shows the same memory. */
export const copyOf = (bytes: Uint8Array): Uint8Array => {
  const own = new Uint8Array(bytes.length)
  if (isShared(bytes)) view(bytes).copy(own)
  else own.set(bytes)
  return own
}

/** By way of this, which stays in the processor's cache, bytes go from one memory that threads share to another. */
const stage = Buffer.allocUnsafeSlow(16 * 1024)

/**
 * Copies bytes to `at` of the target. `set` goes byte by byte where threads share either memory and both do not lie alike,
 * and so does `copy` between two shared memories: a sixth of the speed.
 */
export const copyInto = (target: Uint8Array, at: number, bytes: Uint8Array): void => {
  assert(at >= 0 && at + bytes.length <= target.length, `no room at ${at} of ${target.length} for ${bytes.length} bytes`)
  const from = view(bytes)
  if (!isShared(bytes) || !isShared(target) || bytes.buffer === target.buffer) return void from.copy(target, at)
  for (let done = 0; done < from.length; done += stage.length) {
    const count = from.copy(stage, 0, done, Math.min(from.length, done + stage.length))
    stage.copy(target, at + done, 0, count)
  }
}

/** Whether threads share the memory: it is never transferred, and what a lane writes into it is here as well. */
export const isShared = (bytes: Uint8Array): boolean => bytes.buffer instanceof SharedArrayBuffer

/** Smaller ones are no burden, and may come from a pool. */
const releaseBytesMin = 4096

/**
 * The buffers that may move to another thread: each once, and only where a view covers the whole of it, so that nothing
 * else is taken along. The others are copied.
 */
export const ownBuffers = (views: ReadonlyArray<Uint8Array>): ReadonlyArray<ArrayBuffer> => {
  const own = new Set<ArrayBuffer>()
  for (const { buffer, byteLength } of views) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0) own.add(buffer)
  }
  return [...own]
}
