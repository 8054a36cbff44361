/**
 * Der: the few shapes of DER (X.690) that certificates are made of: written, and walked. Between Certificate and bytes.
 * Only definite lengths in their shortest form are read.
 */
import { concatBytes, emptyBytes, fromUtf8, toUtf8 } from "../base/bytes.ts"

const tagInteger = 0x02
const tagBits = 0x03
const tagOctets = 0x04
const tagOid = 0x06
const tagText = 0x0c
const tagSequence = 0x30
const tagSet = 0x31

const lengthOf = (length: number): Uint8Array =>
  length < 0x80 ? Uint8Array.of(length)
    : length < 0x100 ? Uint8Array.of(0x81, length)
    : length < 0x1_0000 ? Uint8Array.of(0x82, length >> 8, length & 0xff)
    : Uint8Array.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff)

export const tagged = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Uint8Array => {
  const content = concatBytes(contents)
  return concatBytes([Uint8Array.of(tag), lengthOf(content.length), content])
}

export const sequence = (...items: ReadonlyArray<Uint8Array>): Uint8Array => tagged(tagSequence, ...items)
export const set = (...items: ReadonlyArray<Uint8Array>): Uint8Array => tagged(tagSet, ...items)
/** Big-endian, not negative: the first bit of what is given must be 0. */
export const integer = (bytes: Uint8Array): Uint8Array => tagged(tagInteger, bytes)
/** `unused`: of the last byte's bits. */
export const bits = (bytes: Uint8Array, unused = 0): Uint8Array => tagged(tagBits, Uint8Array.of(unused), bytes)
export const octets = (bytes: Uint8Array): Uint8Array => tagged(tagOctets, bytes)
export const text = (value: string): Uint8Array => tagged(tagText, toUtf8(value))
export const yes: Uint8Array = Uint8Array.of(0x01, 0x01, 0xff)

/** An object identifier of its arcs, such as "2.5.4.3". */
export const oid = (arcs: string): Uint8Array => {
  const [first, second, ...rest] = arcs.split(".").map(BigInt) as [bigint, bigint, ...Array<bigint>]
  return tagged(tagOid, ...[first * 40n + second, ...rest].map(base128))
}

const base128 = (arc: bigint): Uint8Array => {
  const digits = [Number(arc & 0x7fn)]
  for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 0x7fn) | 0x80)
  return Uint8Array.from(digits)
}

export interface Item {
  readonly tag: number
  readonly content: Uint8Array
  /** With tag and length. */
  readonly whole: Uint8Array
}

/** The items that fill `bytes`, views of it; undefined: they do not, or not in the shortest form. */
export const itemsOf = (bytes: Uint8Array): ReadonlyArray<Item> | undefined => {
  const items: Array<Item> = []
  for (let at = 0; at < bytes.length;) {
    const tag = bytes[at]!
    const first = bytes[at + 1]
    if (first === undefined || first === 0x80 || first > 0x83) return undefined
    const more = first < 0x80 ? 0 : first - 0x80
    let length = more === 0 ? first : 0
    for (let index = 0; index < more; index += 1) length = length * 256 + (bytes[at + 2 + index] ?? Number.NaN)
    const begin = at + 2 + more
    // NaN, where bytes are missing, is no length either.
    if (!(begin + length <= bytes.length) || lengthOf(length).length !== 1 + more) return undefined
    items.push({ tag, content: bytes.subarray(begin, begin + length), whole: bytes.subarray(at, begin + length) })
    at = begin + length
  }
  return items
}

/** What is inside of the one item that fills `bytes`. */
export const insideOf = (bytes: Uint8Array | undefined, tag: number): ReadonlyArray<Item> | undefined => {
  const items = bytes === undefined ? undefined : itemsOf(bytes)
  return items?.length === 1 && items[0]!.tag === tag ? itemsOf(items[0]!.content) : undefined
}

export const sequenceTag = tagSequence
export const setTag = tagSet
export const textOf = (item: Item | undefined): string => (item?.tag === tagText ? fromUtf8(item.content) : undefined) ?? ""
export const bitsOf = (item: Item | undefined): Uint8Array => (item?.tag === tagBits && item.content[0] === 0 ? item.content.subarray(1) : emptyBytes)
export const octetsOf = (item: Item | undefined): Uint8Array => (item?.tag === tagOctets ? item.content : emptyBytes)
