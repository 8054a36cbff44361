/**
 * TreeBuilder: cuts ordered items into nodes, level upon level. It sits between rows in order (a rebuild, or what a fold
 * merged) and sealed nodes for the index.
 *
 * The cut rule, greedy from the left, is all that decides the tree's shape. A node ends after the item
 *   1. whose key's keyed coin for that level says so, or
 *   2. which is the node's nodeItemsMax-th, or
 *   3. which takes the node to nodeBytesCut or more,
 * but never after its first item (so each level has at most half the items of the one below). The root is the lowest
 * level's only node. After a cut nothing is remembered: where a cut falls on an old one, the rest is as it was.
 */
import { assert } from "../base/assert.ts"
import { nodeBytesCut, nodeItemsMax, nodeLevelsMax } from "../base/limits.ts"
import type { RowKey } from "./State.ts"
import { generationOf, itemBytes, type NodeAddress, nodeAddress, type Payload, type Pointer } from "./TreeNode.ts"
import type { SealedNode, TreeStore } from "./TreeStore.ts"

/** Nodes made for one generation, waiting to be written. */
export class NodeSink {
  readonly store: TreeStore
  readonly generation: number
  /** Parents of one child: roots that a fold left too high are taken down through them. */
  readonly onlyChildren = new Map<NodeAddress, Pointer>()
  made = 0
  bytes = 0
  #nodes: Array<SealedNode> = []

  constructor(store: TreeStore, generation: number) {
    this.store = store
    this.generation = generation
  }

  make(level: number, keys: ReadonlyArray<RowKey>, payloads: ReadonlyArray<Payload>, sizeBytes: number): Pointer {
    const { node, pointer } = this.store.seal(nodeAddress(this.generation, this.made), level, keys, payloads, sizeBytes)
    this.made += 1
    this.bytes += node.value.length
    this.#nodes.push(node)
    const only = payloads[0]!
    if (payloads.length === 1 && !(only instanceof Uint8Array)) this.onlyChildren.set(pointer.address, only)
    return pointer
  }

  has(address: NodeAddress): boolean {
    return generationOf(address) === this.generation
  }

  /** The nodes made since the last call. */
  take(): ReadonlyArray<SealedNode> {
    const nodes = this.#nodes
    this.#nodes = []
    this.bytes = 0
    return nodes
  }
}

/** The open run of one level. */
export class LevelBuilder {
  readonly level: number
  readonly #sink: NodeSink
  #keys: Array<RowKey> = []
  #payloads: Array<Payload> = []
  #bytes = 0

  constructor(sink: NodeSink, level: number) {
    assert(level < nodeLevelsMax, "a tree has fewer than nodeLevelsMax levels")
    this.level = level
    this.#sink = sink
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0
  }

  /** `inner`: this key is known not to end a node by its coin. Returns whether the run was cut here: call `flush`. */
  add(key: RowKey, payload: Payload, inner = false): boolean {
    this.#keys.push(key)
    this.#payloads.push(payload)
    this.#bytes += itemBytes(key, payload)
    const count = this.#keys.length
    if (count === 1) return false
    return count >= nodeItemsMax || this.#bytes >= nodeBytesCut ||
      (!inner && this.#sink.store.hasher.endsAt(key, this.level))
  }

  /** Makes a node of the run, and begins the next one. */
  flush(): readonly [lastKey: RowKey, pointer: Pointer] {
    const lastKey = this.#keys.at(-1)
    assert(lastKey !== undefined, "a node has items")
    const pointer = this.#sink.make(this.level, this.#keys, this.#payloads, this.#bytes)
    this.#keys = []
    this.#payloads = []
    this.#bytes = 0
    return [lastKey, pointer]
  }
}

/** Builds a tree from items in order, from `firstLevel` up, in memory that grows with its height only. */
export class TreeBuilder {
  readonly #sink: NodeSink
  readonly #firstLevel: number
  readonly #levels: Array<LevelBuilder> = []
  readonly #flushed: Array<{ count: number; last: Pointer }> = []

  constructor(sink: NodeSink, firstLevel = 0) {
    this.#sink = sink
    this.#firstLevel = firstLevel
  }

  add(key: RowKey, payload: Payload): void {
    this.#add(0, key, payload)
  }

  #add(step: number, key: RowKey, payload: Payload): void {
    const level = (this.#levels[step] ??= new LevelBuilder(this.#sink, this.#firstLevel + step))
    if (level.add(key, payload)) this.#flush(step)
  }

  #flush(step: number): void {
    const [key, pointer] = this.#levels[step]!.flush()
    const flushed = this.#flushed[step]
    if (flushed === undefined) this.#flushed[step] = { count: 1, last: pointer }
    else {
      flushed.count += 1
      flushed.last = pointer
    }
    this.#add(step + 1, key, pointer)
  }

  /** The root; undefined where nothing was added. */
  finish(): Pointer | undefined {
    for (let step = 0; step < this.#levels.length; step++) {
      if (!this.#levels[step]!.isEmpty) this.#flush(step)
      const flushed = this.#flushed[step]
      assert(flushed !== undefined, "a level that was begun has a node")
      if (flushed.count === 1) return flushed.last
    }
    return undefined
  }
}
