/**
 * CheckpointHead: what the index says of itself: which generation its nodes are, and their root. One sealed row,
 * written after the nodes it speaks of. It sits between the checkpoint files and the KeyValue port.
 *
 *     0 u8 format (1)  1 u8 has a root  2 12-byte address  14 32-byte hash  46 u64 generation
 *     54 stamp  86 stamp of the generation before  118 u64 nodes
 */
import { assert } from "../base/assert.ts"
import { fromByteString, getU64, putU64, toByteString, toUtf8 } from "../base/bytes.ts"
import { decodeStamp, encodeStamp } from "./CheckpointFormat.ts"
import { type Stamp, StateError, type ValueSealer } from "./State.ts"
import type { Tree } from "./Tree.ts"
import { addressBytes } from "./TreeNode.ts"

export const headTable = "state"
export const headKey: Uint8Array = toUtf8("head")
/** Present where a read found the index damaged: the next start rebuilds it. */
export const rebuildKey: Uint8Array = toUtf8("rebuild")

const context = "ouroborosdb namespace index head v1"
const format = 1
const sizeBytes = 126

export interface Head {
  readonly tree: Tree
  readonly generation: number
  readonly stamp: Stamp
  readonly previousStamp: Stamp
}

export const sealHead = (sealer: ValueSealer, head: Head): Uint8Array => {
  const bytes = Buffer.alloc(sizeBytes)
  bytes.writeUInt8(format, 0)
  if (head.tree.root !== undefined) {
    assert(head.tree.root.address.length === addressBytes, "an address has 12 bytes")
    bytes.writeUInt8(1, 1)
    bytes.set(fromByteString(head.tree.root.address), 2)
    bytes.set(head.tree.root.hash, 14)
  }
  putU64(bytes, 46, head.generation)
  bytes.set(encodeStamp(head.stamp), 54)
  bytes.set(encodeStamp(head.previousStamp), 86)
  putU64(bytes, 118, head.tree.nodes)
  return sealer.sealValue(context, headKey, bytes)
}

/** StateError Index: whatever is wrong with it, a rebuild answers; UnknownFormat where it is of a newer version. */
export const openHead = (sealer: ValueSealer, sealed: Uint8Array): Head | StateError => {
  const refuse = (detail: string): StateError => new StateError({ reason: "Index", detail: `head: ${detail}` })
  const bytes = sealer.openValue(context, headKey, sealed)
  if (bytes instanceof Error) return refuse(bytes.message)
  if (bytes[0] !== undefined && bytes[0] > format) {
    return new StateError({ reason: "UnknownFormat", detail: `index head: format ${bytes[0]}; this version reads ${format}: run a newer one` })
  }
  if (bytes.length !== sizeBytes || bytes[0] !== format || bytes[1]! > 1) return refuse(`${bytes.length} bytes of format ${bytes[0]}`)
  const [generation, nodes] = [getU64(bytes, 46), getU64(bytes, 118)]
  const [stamp, previousStamp] = [decodeStamp(bytes.subarray(54, 86)), decodeStamp(bytes.subarray(86, 118))]
  if (generation === undefined || nodes === undefined || stamp === undefined || previousStamp === undefined) return refuse("a number is out of bounds")
  const root = bytes[1] === 1 ? { address: toByteString(bytes.subarray(2, 14)), hash: bytes.slice(14, 46) } : undefined
  return { tree: { root, nodes }, generation, stamp, previousStamp }
}
