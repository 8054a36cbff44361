/**
 * Tree: reading the ordered, history-independent Merkle tree (a prolly tree; Auvolat and Taïani, SRDS 2019, for the
 * idea of shapes that depend on contents alone). It sits between the state's reads and the store of nodes.
 */
import type { RowKey } from "./State.ts"
import type { Pointer, TreeNode } from "./TreeNode.ts"
import type { TreeStore } from "./TreeStore.ts"

/** What a root names: a whole state. `root` is absent where there is no row. */
export interface Tree {
  readonly root: Pointer | undefined
  readonly nodes: number
}

export const emptyTree: Tree = { root: undefined, nodes: 0 }

/** Throws StateError Index where a node fails its check, as every function here. */
export const getRow = (store: TreeStore, tree: Tree, key: RowKey): Uint8Array | undefined => {
  if (tree.root === undefined) return undefined
  let node = store.load(tree.root)
  for (;;) {
    const index = node.indexOf(key)
    if (index === node.count) return undefined
    if (node.level === 0) return node.key(index) === key ? node.value(index) : undefined
    node = store.load(node.child(index))
  }
}

/** The first row at or after `from`. */
export const rowAtOrAfter = (store: TreeStore, tree: Tree, from: RowKey): readonly [RowKey, Uint8Array] | undefined => {
  if (tree.root === undefined) return undefined
  let node = store.load(tree.root)
  for (;;) {
    // A node is under its last key: where that is at or after `from`, so is a row below.
    const index = node.indexOf(from)
    if (index === node.count) return undefined
    if (node.level === 0) return [node.key(index), node.value(index)]
    node = store.load(node.child(index))
  }
}

/** Leaves that may hold rows with from <= key < to, in order or from the last down, loaded as they are asked for. */
function* leaves(store: TreeStore, node: TreeNode, from: RowKey, to: RowKey, reverse: boolean): Generator<TreeNode> {
  if (node.level === 0) {
    yield node
    return
  }
  const first = node.indexOf(from)
  // The child whose last key is at or after `to` may still begin before it.
  const last = Math.min(node.indexOf(to), node.count - 1)
  for (let step = 0; step <= last - first; step++) {
    yield* leaves(store, store.load(node.child(reverse ? last - step : first + step)), from, to, reverse)
  }
}

/** Rows with from <= key < to, lazily. The tree is a snapshot as long as its nodes are in the index. */
export function* scanRows(
  store: TreeStore, tree: Tree, from: RowKey, to: RowKey, reverse: boolean
): Generator<readonly [RowKey, Uint8Array]> {
  if (tree.root === undefined || from >= to) return
  for (const leaf of leaves(store, store.load(tree.root), from, to, reverse)) {
    const first = leaf.indexOf(from)
    const end = leaf.indexOf(to)
    for (let step = 0; step < end - first; step++) {
      const index = reverse ? end - 1 - step : first + step
      yield [leaf.key(index), leaf.value(index)]
    }
  }
}
