/**
 * TreeFold: applies sorted changes to a tree, copying only the nodes that they touch. It sits between a checkpoint and
 * the index. Cost: the touched nodes of each level, and those after them until a cut falls on an old one.
 */
import type { RowChange, RowKey } from "./State.ts"
import type { Tree } from "./Tree.ts"
import { LevelBuilder, type NodeSink, TreeBuilder } from "./TreeBuilder.ts"
import type { NodeAddress, Payload, Pointer, TreeNode } from "./TreeNode.ts"
import type { TreeStore } from "./TreeStore.ts"

export interface Folded {
  readonly tree: Tree
  /** Nodes that the new tree no longer has; some may be of this very fold. */
  readonly replaced: ReadonlyArray<NodeAddress>
}

/** What one level asks of the next: the same thing as a row change, with children for values. */
type Edit = readonly [key: RowKey, payload: Payload | undefined]

/**
 * `changes` ascend by key. New nodes gather in `sink`; yields after each old node, so that its caller can write them
 * and let others run. Throws StateError Index where a node fails its check: the old tree is untouched then.
 */
export function* foldTree(store: TreeStore, tree: Tree, changes: ReadonlyArray<RowChange>, sink: NodeSink): Generator<void, Folded> {
  const replaced: Array<NodeAddress> = []
  const madeBefore = sink.made
  const settle = (root: Pointer | undefined): Folded => {
    const top = descend(store, sink, root, replaced)
    return { tree: { root: top, nodes: tree.nodes + sink.made - madeBefore - replaced.length }, replaced }
  }
  if (changes.length === 0) return { tree, replaced }
  if (tree.root === undefined) {
    const builder = new TreeBuilder(sink)
    for (const [key, value] of changes) {
      if (value !== undefined) builder.add(key, value)
      if (sink.bytes > 0) yield
    }
    return settle(builder.finish())
  }
  const rootLevel = store.load(tree.root).level
  let edits: ReadonlyArray<Edit> = changes
  for (let level = 0; level <= rootLevel; level++) {
    edits = yield* foldLevel({ store, root: tree.root, level, edits, sink, replaced })
  }
  // The old root is among the replaced, so every node of its level is new.
  const tops = new TreeBuilder(sink, rootLevel + 1)
  let count = 0
  let only: Pointer | undefined
  for (const [key, pointer] of edits) {
    if (pointer === undefined || pointer instanceof Uint8Array) continue
    tops.add(key, pointer)
    only = pointer
    count += 1
  }
  return settle(count > 1 ? tops.finish() : only)
}

/** The root of a state is its lowest level's only node: parents of one child above it go. */
const descend = (store: TreeStore, sink: NodeSink, root: Pointer | undefined, replaced: Array<NodeAddress>): Pointer | undefined => {
  let top = root
  while (top !== undefined) {
    const below = onlyChild(store, sink, top)
    if (below === undefined) return top
    replaced.push(top.address)
    top = below
  }
  return undefined
}

const onlyChild = (store: TreeStore, sink: NodeSink, pointer: Pointer): Pointer | undefined => {
  if (sink.has(pointer.address)) return sink.onlyChildren.get(pointer.address)
  const node = store.load(pointer)
  return node.level > 0 && node.count === 1 ? node.child(0) : undefined
}

interface LevelFold {
  readonly store: TreeStore
  readonly root: Pointer
  readonly level: number
  readonly edits: ReadonlyArray<Edit>
  readonly sink: NodeSink
  readonly replaced: Array<NodeAddress>
}

interface Located {
  readonly pointer: Pointer
  readonly node: TreeNode
  /** No node of its level is after it. */
  readonly isLast: boolean
}

/** The old node of a level in whose range a key falls; the last one where the key is after all. */
const locate = (fold: LevelFold, key: RowKey): Located => {
  let pointer = fold.root
  let node = fold.store.load(pointer)
  let isLast = true
  while (node.level > fold.level) {
    const index = Math.min(node.indexOf(key), node.count - 1)
    isLast &&= index === node.count - 1
    pointer = node.child(index)
    node = fold.store.load(pointer)
  }
  return { pointer, node, isLast }
}

function* foldLevel(fold: LevelFold): Generator<void, ReadonlyArray<Edit>> {
  const { edits, sink, level } = fold
  const above: Array<Edit> = []
  let next = 0
  while (next < edits.length) {
    // One stretch: from the node of the next edit until a cut falls on an old one.
    const builder = new LevelBuilder(sink, level)
    const removed: Array<RowKey> = []
    const added: Array<readonly [RowKey, Pointer]> = []
    let at = locate(fold, edits[next]![0])
    for (;;) {
      fold.replaced.push(at.pointer.address)
      const lastKey = at.node.key(at.node.count - 1)
      removed.push(lastKey)
      next = mergeNode(at, edits, next, builder, added)
      yield
      if (builder.isEmpty) break
      if (at.isLast) {
        added.push(builder.flush())
        break
      }
      at = locate(fold, `${lastKey}\0`)
    }
    joinEdits(removed, added, above)
  }
  return above
}

/** Feeds a node's items, with the edits in its range, to the builder. Returns the index of the first edit after it. */
const mergeNode = (
  { node, isLast }: Located, edits: ReadonlyArray<Edit>, first: number, builder: LevelBuilder, added: Array<readonly [RowKey, Pointer]>
): number => {
  let next = first
  const put = (key: RowKey, payload: Payload, inner: boolean): void => {
    if (builder.add(key, payload, inner)) added.push(builder.flush())
  }
  for (let index = 0; index < node.count; index++) {
    const key = node.key(index)
    let edit = edits[next]
    for (; edit !== undefined && edit[0] < key; edit = edits[++next]) {
      if (edit[1] !== undefined) put(edit[0], edit[1], false)
    }
    // Only the last item of a node can have ended it; the first cannot have, whatever its coin.
    const inner = index > 0 && index < node.count - 1
    if (edit === undefined || edit[0] !== key) put(key, node.payload(index), inner)
    else {
      if (edit[1] !== undefined) put(key, edit[1], inner)
      next += 1
    }
  }
  if (isLast) {
    for (; next < edits.length; next++) {
      const [key, payload] = edits[next]!
      if (payload !== undefined) put(key, payload, false)
    }
  }
  return next
}

/** What a stretch means for the level above: old nodes out, new ones in, by key. */
const joinEdits = (removed: ReadonlyArray<RowKey>, added: ReadonlyArray<readonly [RowKey, Pointer]>, above: Array<Edit>): void => {
  let next = 0
  for (const edit of added) {
    for (; next < removed.length && removed[next]! < edit[0]; next++) above.push([removed[next]!, undefined])
    if (removed[next] === edit[0]) next += 1
    above.push(edit)
  }
  for (; next < removed.length; next++) above.push([removed[next]!, undefined])
}
