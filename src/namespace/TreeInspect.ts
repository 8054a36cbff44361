/**
 * TreeInspect: walks the whole tree leaf by leaf, each node read from the index anew and checked: what the cache still
 * holds says nothing of what lies there now. It sits between the state's inspection and the store of nodes.
 */
import { StateError, type NodesInspected, type RowKey } from "./State.ts"
import type { Tree } from "./Tree.ts"
import type { NodeAddress, TreeNode } from "./TreeNode.ts"
import type { TreeStore } from "./TreeStore.ts"

/**
 * Checks the nodes from the root to the leaf that holds `from`. `path` has the nodes above the leaf that the last call
 * checked: they are not read again. The caller goes on at `next`, in the tree as it is then.
 */
export const inspectLeaf = (store: TreeStore, tree: Tree, from: RowKey, path: Set<NodeAddress>): NodesInspected => {
  let nodes = 0
  let bytes = 0
  if (tree.root === undefined) return { nodes, bytes, next: undefined, damage: undefined }
  const walked = new Set<NodeAddress>()
  let pointer = tree.root
  /** Where the subtree under `pointer` ends, once a key of its parent says so. */
  let end: RowKey | undefined
  try {
    for (;;) {
      const isKnown = path.has(pointer.address)
      const node: TreeNode = isKnown ? store.load(pointer) : store.loadAnew(pointer)
      if (!isKnown) {
        nodes += 1
        bytes += node.sizeBytes
      }
      if (node.level === 0) break
      walked.add(pointer.address)
      const index = node.indexOf(from)
      // Behind the last row: the walk is at its end.
      if (index === node.count) {
        end = undefined
        break
      }
      end = node.key(index)
      pointer = node.child(index)
    }
  } catch (error) {
    if (!(error instanceof StateError)) throw error
    return { nodes, bytes, next: end === undefined ? undefined : `${end}\0`, damage: error }
  }
  path.clear()
  for (const address of walked) path.add(address)
  return { nodes, bytes, next: end === undefined ? undefined : `${end}\0`, damage: undefined }
}
