/** Trees over a plain map: what the tests of tree and fold share. */
import { toByteString, toHex } from "../../../src/base/bytes.ts"
import type { RowChange, RowKey } from "../../../src/namespace/State.ts"
import { emptyTree, type Tree } from "../../../src/namespace/Tree.ts"
import { NodeSink, TreeBuilder } from "../../../src/namespace/TreeBuilder.ts"
import { foldTree } from "../../../src/namespace/TreeFold.ts"
import { makeTreeStore, type TreeStore } from "../../../src/namespace/TreeStore.ts"
import { fromByteString } from "../../../src/base/bytes.ts"
import { twinSealer } from "./sealer.ts"

export const rootKey = new Uint8Array(32).fill(9)

export class MapTree {
  readonly nodes = new Map<string, Uint8Array>()
  readonly store: TreeStore
  tree: Tree = emptyTree
  generation = 0

  constructor(itemsAverage = 4) {
    this.store = makeTreeStore({
      sealer: twinSealer(), rootKey, itemsAverage, cacheBytesMax: 100_000,
      get: (address) => this.nodes.get(toByteString(address))
    })
  }

  #keep(sink: NodeSink): void {
    for (const node of sink.take()) this.nodes.set(toByteString(node.key), node.value)
  }

  fold(changes: ReadonlyArray<RowChange>): void {
    const sink = new NodeSink(this.store, ++this.generation)
    const steps = foldTree(this.store, this.tree, changes, sink)
    for (let step = steps.next(); ; step = steps.next()) {
      this.#keep(sink)
      if (step.done !== true) continue
      for (const address of step.value.replaced) this.nodes.delete(address)
      this.store.forget(step.value.replaced)
      this.tree = step.value.tree
      return
    }
  }

  build(rows: Iterable<readonly [RowKey, Uint8Array]>): void {
    const sink = new NodeSink(this.store, ++this.generation)
    const builder = new TreeBuilder(sink)
    for (const [key, value] of rows) builder.add(key, value)
    this.tree = { root: builder.finish(), nodes: sink.made }
    this.#keep(sink)
  }

  get root(): string {
    return this.tree.root === undefined ? "" : toHex(this.tree.root.hash)
  }
}

export const value = (text: string): Uint8Array => fromByteString(text)

export const sortedChanges = (changes: ReadonlyMap<RowKey, Uint8Array | undefined>): ReadonlyArray<RowChange> =>
  [...changes].sort(([a], [b]) => (a < b ? -1 : 1))
