/**
 * Cbor: the bytes of Canonical's nodes: the subset of deterministic CBOR (RFC 8949, 4.2.1) that is arrays, unsigned
 * integers, byte strings, booleans and null. It sits between Canonical and the bytes themselves; only the one shortest
 * form is read. A general codec was a quarter of what a listing or a replay cost; the tests hold this one against it.
 */
import { freshBytes, hexBetween } from "../base/bytes.ts"

/** Bytes that are no value of their format. The message says what and where. */
export class FormatError extends Error {
  readonly _tag = "FormatError"
  override readonly name = "FormatError"
}

/** What CBOR carries of ours. */
export type Node = number | bigint | boolean | null | Uint8Array | ReadonlyArray<Node>

const majorUint = 0
const majorBytes = 2
const majorArray = 4
const majorSimple = 7
const falseValue = 20
const trueValue = 21
const nullValue = 22
const nullByte = (majorSimple << 5) | nullValue
const uint64Max = (1n << 64n) - 1n
const uint32Limit = 0x1_0000_0000
/** Deeper than any of our formats. */
const depthMax = 32

const refuse = (why: string): never => {
  throw new FormatError(why)
}

/** Walks the items of bytes, one after the other. Byte strings are views of what is read. */
export class CborReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The next item, arrays with all that is in them. */
  read(depth = 0): Node {
    const initial = this.#initial()
    const major = initial >> 5
    const low = initial & 0x1f
    if (major === majorUint) return this.#argument(low)
    if (major === majorBytes) return this.#take(this.#count(low))
    if (major === majorArray) {
      if (depth >= depthMax) refuse(`arrays nested deeper than ${depthMax}`)
      const count = this.#count(low)
      const items: Array<Node> = []
      for (let index = 0; index < count; index += 1) items.push(this.read(depth + 1))
      return items
    }
    return this.#simple(major, low)
  }

  /** Enters the next item, an array; how many items it has. */
  enter(): number {
    const initial = this.#initial()
    const major = initial >> 5
    const low = initial & 0x1f
    return major === majorArray ? this.#count(low) : refuse("not an array")
  }

  /** Whether the next item is null: then it is passed. */
  takeNull(): boolean {
    const isNull = this.#bytes[this.#at] === nullByte
    if (isNull) this.#at += 1
    return isNull
  }

  get isAtArray(): boolean {
    return (this.#bytes[this.#at] ?? 0) >> 5 === majorArray
  }

  /** The next item, a byte string: a view of what is read. */
  bytes(): Uint8Array {
    return this.#take(this.#lengthOfBytes())
  }

  /** The next item, a byte string of so many bytes, as hex; spares the view. */
  hex(sizeBytes: number): string {
    const length = this.#lengthOfBytes()
    if (length !== sizeBytes) refuse(`${length} bytes, not ${sizeBytes}`)
    this.#at += length
    return hexBetween(this.#bytes, this.#at - length, this.#at)
  }

  #lengthOfBytes(): number {
    const initial = this.#initial()
    return initial >> 5 === majorBytes ? this.#count(initial & 0x1f) : refuse("not a byte string")
  }

  /** Passes the next items, whatever is in them. */
  skip(items: number): void {
    for (let left = items; left > 0; left -= 1) {
      const initial = this.#initial()
      const major = initial >> 5
      const low = initial & 0x1f
      if (major === majorUint) this.#argument(low)
      else if (major === majorBytes) this.#take(this.#count(low))
      else if (major === majorArray) left += this.#count(low)
      else this.#simple(major, low)
    }
  }

  /** Three bits of kind, five of length or value. */
  #initial(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) return refuse("ends too soon")
    this.#at += 1
    return byte
  }

  #simple(major: number, low: number): boolean | null {
    if (major === majorSimple) {
      if (low === falseValue) return false
      if (low === trueValue) return true
      if (low === nullValue) return null
    }
    return refuse(`an item of kind ${major}.${low}, which none of ours is`)
  }

  /** A length, of which at least as many bytes must be left. */
  #count(low: number): number {
    const count = this.#argument(low)
    const left = this.#bytes.length - this.#at
    return typeof count === "number" && count <= left ? count : refuse(`${count} of something where ${left} bytes are left`)
  }

  #take(length: number): Uint8Array {
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #argument(low: number): number | bigint {
    if (low < 24) return low
    if (low > 27) return refuse(`a length of kind ${low}`)
    const size = 1 << (low - 24)
    const bytes = this.#bytes
    if (this.#at + size > bytes.length) return refuse("ends too soon")
    let value = 0
    let high = 0
    for (let index = 0; index < size; index += 1) {
      if (index === 4) {
        high = value
        value = 0
      }
      value = value * 256 + (bytes[this.#at + index] as number)
    }
    this.#at += size
    const whole = high * uint32Limit + value
    // The shortest form only.
    if (low === 24 ? whole < 24 : low === 25 ? whole < 0x100 : low === 26 ? whole < 0x1_0000 : high === 0) return refuse("a number longer than it need be")
    return Number.isSafeInteger(whole) ? whole : (BigInt(high) << 32n) | BigInt(value)
  }
}

/** The one value that fills `bytes`. Throws FormatError. */
export const decodeCbor = (bytes: Uint8Array): Node => {
  const reader = new CborReader(bytes)
  const node = reader.read()
  return reader.isAtEnd ? node : refuse("more bytes than its value has")
}

/** What is written first; grows with the largest value. Encoding is synchronous, so one serves all. */
let scratch = Buffer.allocUnsafeSlow(4096)
let written = 0

const reserve = (sizeBytes: number): void => {
  if (written + sizeBytes <= scratch.length) return
  const larger = Buffer.allocUnsafeSlow(2 * (written + sizeBytes))
  larger.set(scratch.subarray(0, written))
  scratch = larger
}

/** Initial byte and argument, in the shortest form. */
const putHead = (major: number, argument: number): void => {
  reserve(9)
  const kind = major << 5
  if (argument < 24) scratch[written++] = kind | argument
  else if (argument < 0x100) {
    scratch[written++] = kind | 24
    scratch[written++] = argument
  } else if (argument < 0x1_0000) {
    scratch[written++] = kind | 25
    written = scratch.writeUInt16BE(argument, written)
  } else if (argument < uint32Limit) {
    scratch[written++] = kind | 26
    written = scratch.writeUInt32BE(argument, written)
  } else {
    scratch[written++] = kind | 27
    written = scratch.writeUInt32BE(Math.floor(argument / uint32Limit), written)
    written = scratch.writeUInt32BE(argument % uint32Limit, written)
  }
}

const putBigInt = (value: bigint): void => {
  if (value < 0n || value > uint64Max) refuse(`not an unsigned 64-bit integer: ${value}`)
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return putHead(majorUint, Number(value))
  reserve(9)
  scratch[written++] = 27
  written = scratch.writeBigUInt64BE(value, written)
}

/** A node, after what was put before. For codecs that put values without nodes, within `encodeBy`. */
export const putNode = (node: Node): void => {
  if (typeof node === "number") {
    if (!Number.isSafeInteger(node) || node < 0) refuse(`not an unsigned integer: ${node}`)
    putHead(majorUint, node)
  } else if (node instanceof Uint8Array) {
    putHead(majorBytes, node.length)
    reserve(node.length)
    scratch.set(node, written)
    written += node.length
  } else if (typeof node === "bigint") putBigInt(node)
  else if (node === null || typeof node === "boolean") {
    reserve(1)
    scratch[written++] = (majorSimple << 5) | (node === null ? nullValue : node ? trueValue : falseValue)
  } else {
    putHead(majorArray, node.length)
    for (const item of node) putNode(item)
  }
}

/** The head of an array: its items follow. */
export const putArray = (count: number): void => putHead(majorArray, count)

/** Text of so many bytes of UTF-8, as a byte string. */
export const putText = (text: string, sizeBytes: number): void => {
  putHead(majorBytes, sizeBytes)
  reserve(sizeBytes)
  written += scratch.write(text, written, sizeBytes, "utf8")
}

/** Hex as a byte string of so many bytes; false where it is none of them, and the caller has to give up. */
export const putHex = (text: string, sizeBytes: number): boolean => {
  putHead(majorBytes, sizeBytes)
  reserve(sizeBytes)
  const count = scratch.write(text, written, sizeBytes, "hex")
  written += count
  return count === sizeBytes && text.length === 2 * sizeBytes
}

/** What `put` puts of a value; nobody else's bytes. While it puts, others may be encoded. */
export const encodeBy = <A>(put: (value: A) => void, value: A): Uint8Array => {
  const start = written
  try {
    put(value)
    const bytes = freshBytes(written - start)
    bytes.set(scratch.subarray(start, written))
    return bytes
  } finally {
    written = start
    if (start === 0 && scratch.length > scratchBytesKept) scratch = Buffer.allocUnsafeSlow(4096)
  }
}

/** Nobody else's. */
export const encodeCbor = (node: Node): Uint8Array => encodeBy(putNode, node)

/** A commit at its largest fits. */
const scratchBytesKept = 4 * 1024 * 1024
