/**
 * TreeStore: nodes of the tree in the index: sealed on the way in, opened, checked against the hash that their parent
 * carries and cached on the way out. It sits between the tree and the KeyValue port's reads.
 */
import { assert } from "../base/assert.ts"
import { equalBytes, fromByteString, toHex } from "../base/bytes.ts"
import { deriveKey } from "../base/hash.ts"
import type { CacheStatus } from "../base/SegmentedLru.ts"
import { nodeBytesCut, nodeBytesMax, nodeCacheBytesMax, nodeItemsAverage } from "../base/limits.ts"
import type { RowKey, ValueSealer } from "./State.ts"
import { StateError } from "./State.ts"
import {
  decodeNode, encodeNode, generationOf, makeNodeHasher, type NodeAddress, type NodeHasher, type Payload, type Pointer, type TreeNode
} from "./TreeNode.ts"

export const nodeTable = "nodes"
const nodeContext = "ouroborosdb namespace tree node v1"

/** A node ready for the index. */
export interface SealedNode {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface TreeStore {
  readonly hasher: NodeHasher
  /** The node behind a pointer; throws StateError Index where it is missing, does not open, or is another. */
  readonly load: (pointer: Pointer) => TreeNode
  /** As load, past the cache: what lies in the index now. */
  readonly loadAnew: (pointer: Pointer) => TreeNode
  readonly seal: (
    address: NodeAddress, level: number, keys: ReadonlyArray<RowKey>, payloads: ReadonlyArray<Payload>, sizeBytes: number
  ) => { readonly pointer: Pointer; readonly node: SealedNode }
  readonly forget: (addresses: Iterable<NodeAddress>) => void
  readonly forgetAll: () => void
  readonly cache: () => CacheStatus
  readonly resizeCache: (bytesMax: number) => void
}

export interface TreeStoreOptions {
  readonly sealer: ValueSealer
  /** 32 bytes: names contents and decides cuts; equal states are equal only under equal keys. */
  readonly rootKey: Uint8Array
  /** StateError Index where it cannot be read. */
  readonly get: (address: Uint8Array) => Uint8Array | StateError | undefined
  readonly cacheBytesMax?: number
  readonly itemsAverage?: number
}

interface Kept {
  readonly node: TreeNode
  /** Since it was last passed over by the hand. */
  isUsed: boolean
}

/**
 * The clock algorithm (second chance): nodes stand in the order of their arrival; one that was used since is passed over
 * once and goes to the end. Moving a node at every use, as LRU does, made the Map build itself anew again and again.
 */
class NodeCache {
  readonly #nodes = new Map<NodeAddress, Kept>()
  #bytesMax: number
  bytes = 0
  hits = 0
  misses = 0
  evictions = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get(address: NodeAddress): TreeNode | undefined {
    const kept = this.#nodes.get(address)
    if (kept === undefined) {
      this.misses += 1
      return undefined
    }
    this.hits += 1
    kept.isUsed = true
    return kept.node
  }

  add(address: NodeAddress, node: TreeNode): void {
    this.remove(address)
    this.#nodes.set(address, { node, isUsed: false })
    this.bytes += node.sizeBytes
    this.#shrink()
  }

  /** A smaller bound holds at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax
    this.#shrink()
  }

  status(): CacheStatus {
    const { bytes, evictions, hits, misses } = this
    return { bytes, bytesMax: this.#bytesMax, entries: this.#nodes.size, hits, misses, evictions }
  }

  #shrink(): void {
    for (const [oldest, kept] of this.#nodes) {
      if (this.bytes <= this.#bytesMax) break
      if (kept.isUsed) {
        kept.isUsed = false
        this.#nodes.delete(oldest)
        this.#nodes.set(oldest, kept)
      } else {
        this.remove(oldest)
        this.evictions += 1
      }
    }
  }

  clear(): void {
    this.#nodes.clear()
    this.bytes = 0
  }

  remove(address: NodeAddress): void {
    const kept = this.#nodes.get(address)
    if (kept === undefined) return
    this.#nodes.delete(address)
    this.bytes -= kept.node.sizeBytes
  }
}

const nameOf = (address: NodeAddress): string => `${generationOf(address)}.${toHex(fromByteString(address)).slice(16)}`

export const makeTreeStore = (options: TreeStoreOptions): TreeStore => {
  const { sealer, rootKey } = options
  const hasher = makeNodeHasher(
    deriveKey("ouroborosdb namespace tree node hash v1", rootKey),
    deriveKey("ouroborosdb namespace tree cut v1", rootKey),
    options.itemsAverage ?? nodeItemsAverage
  )
  const scratch = Buffer.allocUnsafeSlow(2 * nodeBytesCut)
  const cache = new NodeCache(options.cacheBytesMax ?? nodeCacheBytesMax)

  const load = (pointer: Pointer): TreeNode => cache.get(pointer.address) ?? readIn(pointer)

  const readIn = (pointer: Pointer): TreeNode => {
    const node = loadAnew(pointer)
    cache.add(pointer.address, node)
    return node
  }

  const loadAnew = (pointer: Pointer): TreeNode => {
    const refuse = (why: string): StateError =>
      new StateError({ reason: "Index", detail: `node ${nameOf(pointer.address)}: ${why}; the index is rebuilt at the next start` })
    const key = fromByteString(pointer.address)
    const sealed = options.get(key)
    if (sealed instanceof StateError) throw refuse(sealed.detail)
    if (sealed === undefined) throw refuse("missing")
    const bytes = sealer.openValue(nodeContext, key, sealed)
    if (bytes instanceof Error) throw refuse(bytes.message)
    const node = decodeNode(bytes)
    if (node instanceof StateError) throw refuse(node.detail)
    if (!equalBytes(hasher.hashNode(bytes, node.level, node.count), pointer.hash)) throw refuse("its hash is not the one its parent carries")
    return node
  }

  return {
    hasher,
    load,
    loadAnew,
    seal: (address, level, keys, payloads, sizeBytes) => {
      const bytes = encodeNode(level, keys, payloads, sizeBytes, scratch)
      assert(bytes.length <= nodeBytesMax, "a node has at most nodeBytesMax bytes")
      const key = fromByteString(address)
      const hash = hasher.hashNode(bytes, level, keys.length)
      return { pointer: { address, hash }, node: { key, value: sealer.sealValue(nodeContext, key, bytes) } }
    },
    forget: (addresses) => {
      for (const address of addresses) cache.remove(address)
    },
    forgetAll: () => cache.clear(),
    cache: () => cache.status(),
    resizeCache: (bytesMax) => cache.resize(bytesMax)
  }
}
