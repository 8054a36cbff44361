/**
 * TreeNode: one node of the state's tree and its bytes. It sits between the tree, which reads and folds nodes, and
 * the index, which keeps them sealed.
 *
 * A node is the items of one level between two cuts: rows (level 0), or pointers to nodes of the level below, each
 * under its child's last key. Its hash covers level, keys, values and the children's hashes, but no address, so that
 * equal contents have equal hashes wherever they are stored. Layout (big endian):
 *
 *     0  u8  format (1)       1  u8  level       2  u16 zero      4  u32 items
 *     8  u32 bytes of keys   12  u32 bytes of values (level 0)
 *    16  u16 length of each key; the keys; then
 *        level 0: u32 length of each value; the values
 *        above:   32-byte hash of each child | end of what is hashed | 12-byte address of each child
 */
import { assert } from "../base/assert.ts"
import { type ByteString, toByteString } from "../base/bytes.ts"
import { keyedHash } from "../base/hash.ts"
import { hashBytesCount } from "../base/ids.ts"
import { nodeBytesMax, nodeItemsMax, nodeLevelsMax, stateKeyBytesMax, stateValueBytesMax } from "../base/limits.ts"
import { type RowKey, StateError } from "./State.ts"
import { type Coin, makeCoin } from "./TreeCut.ts"

/** Where a node is in the index: u64 generation of its birth, u32 ordinal, as 12 bytes. Never used for another node. */
export type NodeAddress = ByteString

export interface Pointer {
  readonly address: NodeAddress
  readonly hash: Uint8Array
}

/** What a key leads to: a row's value at level 0, a child above. */
export type Payload = Uint8Array | Pointer

export const addressBytes = 12
const headerBytes = 16
const format = 1

export const nodeAddress = (generation: number, ordinal: number): NodeAddress => {
  assert(ordinal < 0x1_0000_0000, "a generation has fewer than 2^32 nodes")
  const bytes = Buffer.alloc(addressBytes)
  bytes.writeUInt32BE(Math.floor(generation / 0x1_0000_0000), 0)
  bytes.writeUInt32BE(generation >>> 0, 4)
  bytes.writeUInt32BE(ordinal, 8)
  return toByteString(bytes)
}

export const generationOf = (address: NodeAddress): number => {
  const bytes = Buffer.from(address, "latin1")
  return bytes.readUInt32BE(0) * 0x1_0000_0000 + bytes.readUInt32BE(4)
}

const damaged = (detail: string): StateError => new StateError({ reason: "Damaged", detail })

/** An opened node. Keys, values and pointers are made when asked for: a point read needs a few of each. */
export class TreeNode {
  readonly level: number
  readonly count: number
  /** Bytes that the node holds in memory, about: what the cache counts. */
  readonly sizeBytes: number
  readonly #bytes: Buffer
  /** Made once each: a string of its own compares faster than a slice of a longer one. */
  readonly #keys: Array<RowKey | undefined>
  readonly #children: Array<Pointer | undefined> = []
  /** Plain arrays: a buffer for each costs more than the rest of the decoding. Ends of keys, counted from the first one's start, and at level 0 ends of values in #bytes. */
  readonly #keyEnds: ReadonlyArray<number>
  readonly #valueEnds: ReadonlyArray<number>
  readonly #payloadStart: number

  constructor(bytes: Buffer, level: number, count: number, keyEnds: ReadonlyArray<number>, valueEnds: ReadonlyArray<number>, payloadStart: number) {
    this.level = level
    this.count = count
    this.#bytes = bytes
    this.#keyEnds = keyEnds
    this.#valueEnds = valueEnds
    this.#payloadStart = payloadStart
    this.#keys = new Array<RowKey | undefined>(count)
    this.sizeBytes = bytes.length + keyEnds[count - 1]! + 32 * count + 200
  }

  key(index: number): RowKey {
    const known = this.#keys[index]
    if (known !== undefined) return known
    const start = headerBytes + 2 * this.count
    const key = this.#bytes.toString("latin1", start + (index === 0 ? 0 : this.#keyEnds[index - 1]!), start + this.#keyEnds[index]!)
    this.#keys[index] = key
    return key
  }

  /** A view of the node's own bytes: not to be changed. */
  value(index: number): Uint8Array {
    const start = index === 0 ? this.#payloadStart : this.#valueEnds[index - 1]!
    return this.#bytes.subarray(start, this.#valueEnds[index])
  }

  child(index: number): Pointer {
    return (this.#children[index] ??= this.#readChild(index))
  }

  #readChild(index: number): Pointer {
    const hashAt = this.#payloadStart + hashBytesCount * index
    const addressAt = this.#payloadStart + hashBytesCount * this.count + addressBytes * index
    return {
      hash: this.#bytes.subarray(hashAt, hashAt + hashBytesCount),
      address: this.#bytes.toString("latin1", addressAt, addressAt + addressBytes)
    }
  }

  payload(index: number): Payload {
    return this.level === 0 ? this.value(index) : this.child(index)
  }

  /** The first index whose key is at or after `key`; `count` where none is. */
  indexOf(key: RowKey): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.key(middle) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** How many of a node's bytes its hash covers: all but the addresses. */
const hashedLength = (bytes: Uint8Array, level: number, count: number): number =>
  level === 0 ? bytes.length : bytes.length - addressBytes * count

export interface NodeHasher {
  /** Keyed hash of an encoded node's contents. */
  readonly hashNode: (bytes: Uint8Array, level: number, count: number) => Uint8Array
  readonly endsAt: Coin
}

export const makeNodeHasher = (hashKey: Uint8Array, cutKey: Uint8Array, itemsAverage: number): NodeHasher => {
  const hashNode = keyedHash(hashKey)
  return {
    hashNode: (bytes, level, count) => hashNode(bytes.subarray(0, hashedLength(bytes, level, count))),
    endsAt: makeCoin(cutKey, itemsAverage)
  }
}

/** Bytes that an item takes in its node; the cut rule counts them. */
export const itemBytes = (key: RowKey, payload: Payload): number =>
  key.length + (payload instanceof Uint8Array ? 6 + payload.length : 2 + hashBytesCount + addressBytes)

/**
 * Keys strictly ascending: asserted. `sizeBytes` is the sum of itemBytes. The bytes are in `scratch` where they fit:
 * good until the next node, and spared the collector.
 */
export const encodeNode = (
  level: number, keys: ReadonlyArray<RowKey>, payloads: ReadonlyArray<Payload>, sizeBytes: number, scratch: Buffer = Buffer.alloc(0)
): Uint8Array => {
  const count = keys.length
  assert(count > 0 && count === payloads.length, "a node has as many payloads as keys, and some")
  const length = headerBytes + sizeBytes
  const bytes = length <= scratch.length ? scratch.subarray(0, length) : Buffer.allocUnsafeSlow(length)
  let at = headerBytes + 2 * count
  for (let index = 0; index < count; index++) {
    const key = keys[index]!
    assert(index === 0 || keys[index - 1]! < key, "keys of a node ascend")
    assert(key.length > 0 && key.length <= stateKeyBytesMax, "a row's key has 1 to stateKeyBytesMax bytes")
    bytes.writeUInt16BE(key.length, headerBytes + 2 * index)
    at += bytes.write(key, at, "latin1")
  }
  const keysBytes = at - headerBytes - 2 * count
  const start = level === 0 ? at + 4 * count : at + hashBytesCount * count
  let end = start
  for (let index = 0; index < count; index++) {
    const payload = payloads[index]!
    if (payload instanceof Uint8Array) {
      assert(level === 0 && payload.length <= stateValueBytesMax, "values of at most stateValueBytesMax, in leaves")
      bytes.writeUInt32BE(payload.length, at + 4 * index)
      bytes.set(payload, end)
      end += payload.length
    } else {
      assert(level > 0, "children above leaves")
      bytes.set(payload.hash, at + hashBytesCount * index)
      end += bytes.write(payload.address, end, "latin1")
    }
  }
  assert(end === bytes.length, "a node's items fill it")
  bytes.writeUInt8(format, 0)
  bytes.writeUInt8(level, 1)
  bytes.writeUInt16BE(0, 2)
  bytes.writeUInt32BE(count, 4)
  bytes.writeUInt32BE(keysBytes, 8)
  bytes.writeUInt32BE(level === 0 ? end - start : 0, 12)
  return bytes
}

const readKeyEnds = (bytes: Buffer, count: number, keysBytes: number): ReadonlyArray<number> | StateError => {
  const ends = new Array<number>(count)
  let end = 0
  for (let index = 0; index < count; index++) {
    const length = bytes.readUInt16BE(headerBytes + 2 * index)
    if (length === 0 || length > stateKeyBytesMax) return damaged(`node: key ${index} has ${length} bytes`)
    end += length
    ends[index] = end
  }
  return end === keysBytes ? ends : damaged(`node: its keys have ${end} bytes, not the ${keysBytes} of its header`)
}

const readValueEnds = (bytes: Buffer, count: number, at: number, valueBytes: number): ReadonlyArray<number> | StateError => {
  const ends = new Array<number>(count)
  let end = at + 4 * count
  for (let index = 0; index < count; index++) {
    const length = bytes.readUInt32BE(at + 4 * index)
    if (length > stateValueBytesMax) return damaged(`node: value ${index} has ${length} bytes`)
    end += length
    ends[index] = end
  }
  return end === at + 4 * count + valueBytes ? ends : damaged(`node: its values end at ${end}`)
}

/** Any bytes in; a node, or StateError Damaged | UnknownFormat. The node keeps `source`. */
export const decodeNode = (source: Uint8Array): TreeNode | StateError => {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  if (bytes.length < headerBytes || bytes.length > nodeBytesMax) return damaged(`node: ${bytes.length} bytes`)
  if (bytes[0] !== format) {
    return new StateError({ reason: "UnknownFormat", detail: `node: format ${bytes[0]}; this version reads ${format}: run a newer one` })
  }
  const level = bytes[1]!
  const count = bytes.readUInt32BE(4)
  const keysBytes = bytes.readUInt32BE(8)
  const valueBytes = bytes.readUInt32BE(12)
  if (level >= nodeLevelsMax || count === 0 || count > nodeItemsMax || bytes.readUInt16BE(2) !== 0) {
    return damaged(`node: level ${level}, ${count} items`)
  }
  const payloadBytes = level === 0 ? 4 * count + valueBytes : (hashBytesCount + addressBytes) * count
  const keysEnd = headerBytes + 2 * count + keysBytes
  if (keysEnd + payloadBytes !== bytes.length || (level > 0 && valueBytes !== 0)) {
    return damaged(`node: ${bytes.length} bytes where its header says ${keysEnd + payloadBytes}`)
  }
  const keyEnds = readKeyEnds(bytes, count, keysBytes)
  if (keyEnds instanceof StateError) return keyEnds
  if (level > 0) return new TreeNode(bytes, level, count, keyEnds, keyEnds, keysEnd)
  const valueEnds = readValueEnds(bytes, count, keysEnd, valueBytes)
  if (valueEnds instanceof StateError) return valueEnds
  return new TreeNode(bytes, level, count, keyEnds, valueEnds, keysEnd + 4 * count)
}
