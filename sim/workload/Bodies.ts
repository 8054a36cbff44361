/**
 * Bodies: contents of objects, made from a few shared pieces so that chunks are met again, and remembered by the token
 * under which the reference model knows them. A token is 32 hex digits: it serves as MD5 where a client gives one.
 * Marked bodies carry `plaintextMark` throughout: found at rest, it shows that something was not sealed.
 */
import { concatBytes, copyOf, fromHex, toBase64 } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import { md5Digest, md5Start, md5Update } from "../../src/base/md5.ts"
import { type Random, seededRandom } from "../Random.ts"

const pieceBytes = 8192
const pieceCount = 8
const tokenDigits = 32
/** Of what is drawn again: so many, and nothing that lies in its row. */
const repeatedMax = 3
const repeatedBytesMin = 2000
/** S3's least size of a part that is not the last. */
const bigPartBytes = 5 * 1024 * 1024

/** So drawn that no compressor can make it shorter, and no ciphertext has it by chance. */
export const plaintextMark = seededRandom(77).bytes(16)
const markEveryBytes = 400

/** Over what is there, so that nothing else of a seed's draws moves: every part by itself, or no two bodies would have a chunk in common. */
const marked = (bytes: Uint8Array): Uint8Array => {
  for (let at = 0; at + plaintextMark.length <= bytes.length; at += markEveryBytes) bytes.set(plaintextMark, at)
  return bytes
}

const pieces = Array.from({ length: pieceCount }, (_, index) => seededRandom(1000 + index).bytes(pieceBytes))
const markedPieces = pieces.map((piece) => marked(copyOf(piece)))
const bigPart = new Uint8Array(bigPartBytes).fill(7)

export interface Blob {
  readonly token: string
  readonly bytes: Uint8Array
}

const scales = { short: [1, 4, 4, 4, 8, 8, 8, 8], full: [1, 4, 4, 8, 8, 8, 8, 16, 16, 16, 16, 16, 16, 16, 16, 16] } as const

export class Bodies {
  readonly #byToken = new Map<string, Uint8Array>()
  readonly #isMarked: boolean
  /** Bodies that take chunks are so many times smaller than they can be. */
  #smaller = 1
  /** What was drawn of late, to be drawn again. */
  readonly #drawn: Array<Uint8Array> = []
  #again = 0

  constructor(options: { readonly marked?: boolean } = {}) {
    this.#isMarked = options.marked === true
  }

  /**
   * How large bodies are in this world: chunks are what an operation costs, so that only one world in eight has as many of
   * them as there can be, of long ones one in sixteen: there are enough of them however small most are.
   */
  drawScale(random: Random, profile: "short" | "full"): void {
    this.#smaller = random.pick(scales[profile])
  }

  /** From now on bodies are with this chance the same as one of the last few: what was just deleted comes again. */
  repeat(chance: number): void {
    this.#again = chance
  }

  remember(bytes: Uint8Array): Blob {
    const token = hashOf(bytes).slice(0, tokenDigits)
    if (!this.#byToken.has(token)) this.#byToken.set(token, bytes)
    return { token, bytes: this.#byToken.get(token)! }
  }

  /** Empty to small (in the row), some chunks, or so many that they fill blocks and pages. */
  draw(random: Random): Blob {
    if (this.#drawn.length > 0 && random.chance(this.#again)) return this.remember(random.pick(this.#drawn))
    const blob = this.#drawNew(random)
    if (this.#again === 0 || blob.bytes.length < repeatedBytesMin) return blob
    if (this.#drawn.length < repeatedMax) this.#drawn.push(blob.bytes)
    else if (random.chance(0.1)) this.#drawn[random.below(repeatedMax)] = blob.bytes
    return blob
  }

  #drawNew(random: Random): Blob {
    const kind = random.below(10)
    if (kind < 3) return this.remember(this.#own(random.bytes(random.below(200))))
    if (kind < 4) return this.remember(copyOf(this.#pieces()[0]!.subarray(0, 1 + random.below(50))))
    if (kind < 8) return this.#mixed(random, 200 + Math.floor(random.below(20_000) / this.#smaller))
    return this.#mixed(random, Math.floor((20_000 + random.below(60_000)) / this.#smaller))
  }

  /** Exactly so many bytes, none of them like those of other sizes. */
  ofSize(random: Random, sizeBytes: number): Blob {
    return this.#mixed(random, sizeBytes)
  }

  /** Pieces that others have too between bytes of its own. */
  #mixed(random: Random, size: number): Blob {
    const parts: Array<Uint8Array> = []
    let left = size
    while (left > 0) {
      const part = random.chance(0.5) ? random.pick(this.#pieces()) : this.#own(ownPart(random, 1 + random.below(6000)))
      const taken = part.subarray(0, left)
      parts.push(taken)
      left -= taken.length
    }
    return this.remember(concatBytes(parts))
  }

  #own(bytes: Uint8Array): Uint8Array {
    return this.#isMarked ? marked(bytes) : bytes
  }

  #pieces(): ReadonlyArray<Uint8Array> {
    return this.#isMarked ? markedPieces : pieces
  }

  has(token: string): boolean {
    return this.#byToken.has(token)
  }

  bigPart(): Blob {
    return this.remember(bigPart)
  }

  /** The bytes of a model's body: one token after the other. */
  bytes(body: string): Uint8Array {
    const tokens = body.match(/.{32}/g) ?? []
    return concatBytes(tokens.map((token) => {
      const bytes = this.#byToken.get(token)
      if (bytes === undefined) throw new Error(`no client ever sent ${token}`)
      return bytes
    }))
  }
}

/** So many parts of a body are one byte again and again: chunks that are worth compressing. */
const dullChance = 0.1

const ownPart = (random: Random, sizeBytes: number): Uint8Array =>
  random.chance(dullChance) ? new Uint8Array(sizeBytes).fill(random.below(256)) : random.bytes(sizeBytes)

/** Hex, as in an ETag. */
export const md5Of = (bytes: Uint8Array): string => md5Digest(md5Update(md5Start, bytes))

/** As Content-MD5 has it. */
export const contentMd5 = (md5: string): string => toBase64(fromHex(md5))
