/** Compression: zstd where it pays. Sits between a chunk's plaintext and its cipher. */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib"

/** The compressed bytes, or undefined where they are not worth it. Any of them opens: the nonce follows the bytes. */
export type Compressor = (plaintext: Uint8Array) => Uint8Array | undefined

/** Below, zstd's frame eats what it saves. */
const compressBytesMin = 128
/** A chunk is tried as a whole where a sample of it shrinks. */
const sampleBytes = 8 * 1024
const sampleCount = 4
const sampleSavedMin = 1 / 32
/** At least one byte in sixteen must be saved: what is read pays for it every time. */
const savedMin = 1 / 16

const compress = (bytes: Uint8Array): Uint8Array =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: compressBound(bytes.length) })

/** At least what zstd may produce, so that one buffer is enough (zstd.h, ZSTD_COMPRESSBOUND). */
const compressBound = (sizeBytes: number): number => sizeBytes + (sizeBytes >>> 8) + 128

/** Pieces spread evenly over the bytes. */
const sampleOf = (bytes: Uint8Array): Uint8Array => {
  const step = Math.floor((bytes.length - sampleBytes) / (sampleCount - 1))
  const sample = Buffer.allocUnsafe(sampleBytes * sampleCount)
  for (let index = 0; index < sampleCount; index++) {
    sample.set(bytes.subarray(index * step, index * step + sampleBytes), index * sampleBytes)
  }
  return sample
}

/** zstd level 1 where it saves a sixteenth; a sample decides for large chunks whether it is worth trying. */
export const compressWherePays: Compressor = (plaintext) => {
  if (plaintext.length < compressBytesMin) return undefined
  if (plaintext.length > 2 * sampleBytes * sampleCount) {
    const sample = sampleOf(plaintext)
    if (compress(sample).length > sample.length * (1 - sampleSavedMin)) return undefined
  }
  const compressed = compress(plaintext)
  return compressed.length <= plaintext.length * (1 - savedMin) ? compressed : undefined
}

/** A frame may ask its reader for a window of at most 8 MiB: no compressor needs more for the largest chunk. */
const windowLogMax = 23

/** Exactly `sizeBytes` of plaintext, or undefined; allocates that and a window, whatever the frame claims. */
export const decompress = (compressed: Uint8Array, sizeBytes: number): Uint8Array | undefined => {
  try {
    const plaintext = zstdDecompressSync(compressed, {
      params: { [constants.ZSTD_d_windowLogMax]: windowLogMax },
      maxOutputLength: sizeBytes,
      chunkSize: Math.max(64, sizeBytes)
    })
    return plaintext.length === sizeBytes ? plaintext : undefined
  } catch (error) {
    // zlib's failures carry a code: no zstd frame, or longer than announced. Anything else is ours.
    if (error instanceof Error && "code" in error) return undefined
    throw error
  }
}
