/**
 * StandIns: in short worlds, cheap kernels in the place of AES-256-GCM and zstd: deterministic, of the same sizes, and still
 * authenticating: whatever bit of key, nonce, associated data, bytes or tag is another one, it does not open. They sit where
 * Ambient's traps do, under node:crypto and node:zlib: src knows nothing of them, and full worlds run the real ones.
 *
 * They hide nothing from anybody who wants to know. They do show whether anything was left in clear, or not checked.
 */
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import zlib from "node:zlib"

const golden = 0x9e3779b1
const odd = 0x85ebca77
const tagBytes = 16
/** Words that one call takes at a time; more are met in turns. */
const wordsMax = 4096

/** Bytes as words, whatever their alignment: memory of all stand-ins, used within one call. */
const words = new Uint32Array(wordsMax)
const bytesOfWords = new Uint8Array(words.buffer)

/** How many words these bytes are, the last one filled up with zeros. */
const take = (bytes: Uint8Array): number => {
  const count = (bytes.length + 3) >> 2
  if (count > 0) words[count - 1] = 0
  bytesOfWords.set(bytes)
  return count
}

const nothing = Buffer.alloc(0)

/** A sponge of two words: each step is a bijection of what it holds, so that no single difference is ever lost. */
class Absorber {
  #a = 0x243f6a88
  #b = 0x85a308d3

  word(value: number): void {
    let a = Math.imul(this.#a ^ value, golden)
    a ^= a >>> 15
    this.#a = a
    let b = Math.imul((this.#b + value) ^ a, odd)
    b ^= b >>> 13
    this.#b = b
  }

  taken(count: number): void {
    let a = this.#a
    let b = this.#b
    for (let index = 0; index < count; index += 1) {
      const value = words[index]!
      a = Math.imul(a ^ value, golden)
      a ^= a >>> 15
      b = Math.imul((b + value) ^ a, odd)
      b ^= b >>> 13
    }
    this.#a = a
    this.#b = b
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.length <= wordsMax * 4) this.taken(take(bytes))
    else for (let at = 0; at < bytes.length; at += wordsMax * 4) this.taken(take(bytes.subarray(at, at + wordsMax * 4)))
    this.word(bytes.length)
  }

  /** One of the words that everything so far makes. */
  squeeze(salt: number): number {
    this.word(salt)
    let mixed = Math.imul(this.#a ^ (this.#a >>> 16), 0x21f0aaad) ^ this.#b
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}

/** What both directions share: a stream that is added to the bytes, and a tag over everything in its order. */
class StandInCipher {
  protected readonly absorber = new Absorber()
  #stream: number
  readonly #step: number
  #isPadded = false

  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.absorber.bytes(key)
    this.absorber.bytes(nonce)
    this.#stream = this.absorber.squeeze(1)
    this.#step = this.absorber.squeeze(2) | 1
  }

  setAAD(bytes: Uint8Array): this {
    this.absorber.bytes(bytes)
    return this
  }

  protected turn(bytes: Uint8Array, opens: boolean): Buffer {
    // A word is whole, or the last one: who takes bytes in turns takes multiples of four until then.
    if (this.#isPadded && bytes.length > 0) throw new Error("a stand-in takes words")
    this.#isPadded ||= bytes.length % 4 !== 0
    const result = Buffer.allocUnsafeSlow(bytes.length)
    for (let at = 0; at < bytes.length; at += wordsMax * 4) {
      const piece = bytes.subarray(at, at + wordsMax * 4)
      const count = take(piece)
      if (opens) this.absorber.taken(count)
      this.#add(count, count * 4 - piece.length)
      if (!opens) this.absorber.taken(count)
      result.set(bytesOfWords.subarray(0, piece.length), at)
    }
    this.absorber.word(bytes.length)
    return result
  }

  /** The bytes past the end of the last word stay zero. */
  #add(count: number, padding: number): void {
    let stream = this.#stream
    const step = this.#step
    for (let index = 0; index < count; index += 1) {
      stream = (stream + step) | 0
      let mixed = Math.imul(stream ^ (stream >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      words[index] = words[index]! ^ mixed ^ (mixed >>> 15)
    }
    this.#stream = stream
    if (padding > 0) bytesOfWords.fill(0, count * 4 - padding, count * 4)
  }

  protected tag(): Buffer {
    const tag = Buffer.allocUnsafeSlow(tagBytes)
    for (let at = 0; at < tagBytes; at += 4) tag.writeUInt32LE(this.absorber.squeeze(3 + at), at)
    return tag
  }
}

class Sealing extends StandInCipher {
  #tag: Buffer | undefined

  update(bytes: Uint8Array): Buffer {
    return this.turn(bytes, false)
  }

  final(): Buffer {
    this.#tag = this.tag()
    return nothing
  }

  getAuthTag(): Buffer {
    if (this.#tag === undefined) throw new Error("there is a tag once all is sealed")
    return this.#tag
  }
}

class Opening extends StandInCipher {
  #tag: Uint8Array = new Uint8Array()

  setAuthTag(tag: Uint8Array): this {
    this.#tag = tag
    return this
  }

  update(bytes: Uint8Array): Buffer {
    return this.turn(bytes, true)
  }

  final(): Buffer {
    if (!this.tag().equals(this.#tag)) throw new Error("Unsupported state or unable to authenticate data")
    return nothing
  }
}

/** As zstd's frames begin. Then one byte: whether what follows is the bytes themselves, or runs of them. */
const frameMagic = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)
const storedFrame = 0
const runsFrame = 1
/** Count and byte. */
const runBytes = 3
const runMax = 0xffff

const compressed = (bytes: Uint8Array): Buffer => {
  const runs: Array<number> = []
  const most = Math.floor(bytes.length / (2 * runBytes)) * 2
  for (let at = 0; at < bytes.length && runs.length <= most;) {
    const byte = bytes[at]!
    let end = at + 1
    while (end < bytes.length && bytes[end] === byte && end - at < runMax) end += 1
    runs.push(end - at, byte)
    at = end
  }
  if (runs.length > most) return Buffer.concat([frameMagic, Uint8Array.of(storedFrame), bytes])
  const frame = Buffer.allocUnsafeSlow(frameMagic.length + 1 + (runs.length / 2) * runBytes)
  frame.set(frameMagic)
  frame[frameMagic.length] = runsFrame
  for (let index = 0, at = frameMagic.length + 1; index < runs.length; index += 2, at += runBytes) {
    frame.writeUInt16LE(runs[index]!, at)
    frame[at + 2] = runs[index + 1]!
  }
  return frame
}

/** As zlib's failures do, it carries a code. */
const noFrame = (detail: string): Error => Object.assign(new Error(detail), { code: "ZSTD_error_corruption_detected" })

const decompressed = (frame: Uint8Array, { maxOutputLength = Number.MAX_SAFE_INTEGER }: { readonly maxOutputLength?: number } = {}): Buffer => {
  const first = frameMagic.length + 1
  if (frame.length < first || !frameMagic.every((byte, index) => frame[index] === byte)) throw noFrame("no frame")
  const data = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (data[frameMagic.length] === storedFrame) {
    if (data.length - first > maxOutputLength) throw noFrame("longer than announced")
    return Buffer.from(new Uint8Array(data.subarray(first)).buffer)
  }
  const parts: Array<Buffer> = []
  let sizeBytes = 0
  for (let at = first; at + runBytes <= data.length; at += runBytes) {
    sizeBytes += data.readUInt16LE(at)
    if (sizeBytes > maxOutputLength) throw noFrame("longer than announced")
    parts.push(Buffer.alloc(data.readUInt16LE(at), data[at + 2]))
  }
  return Buffer.concat(parts)
}

const suite = "aes-256-gcm"

type Replaced = Record<string, unknown>

/** Runs it, which takes no turn of the event loop, with the stand-ins in place. */
export const underStandIns = <A>(run: () => A): A => {
  const ofCrypto = crypto as unknown as Replaced
  const ofZlib = zlib as unknown as Replaced
  const { createCipheriv, createDecipheriv } = crypto
  const { zstdCompressSync, zstdDecompressSync } = zlib
  try {
    ofCrypto["createCipheriv"] = (name: string, key: Uint8Array, nonce: Uint8Array) => (name === suite ? new Sealing(key, nonce) : createCipheriv(name, key, nonce))
    ofCrypto["createDecipheriv"] = (name: string, key: Uint8Array, nonce: Uint8Array) => (name === suite ? new Opening(key, nonce) : createDecipheriv(name, key, nonce))
    ofZlib["zstdCompressSync"] = compressed
    ofZlib["zstdDecompressSync"] = decompressed
    syncBuiltinESMExports()
    return run()
  } finally {
    Object.assign(ofCrypto, { createCipheriv, createDecipheriv })
    Object.assign(ofZlib, { zstdCompressSync, zstdDecompressSync })
    syncBuiltinESMExports()
  }
}
