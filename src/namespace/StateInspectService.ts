/**
 * StateInspectService: the state's data at rest, looked at anew. It sits between the state, whose parts it reads, and
 * scrub and verification.
 */
import { Effect } from "effect"
import type { CheckpointChain } from "./CheckpointChain.ts"
import type { CheckpointFiles } from "./CheckpointFilesService.ts"
import type { NodesInspected, RowChange, RowKey, StateError, StateInspection } from "./State.ts"
import { inspectLeaf } from "./TreeInspect.ts"
import type { Tree } from "./Tree.ts"
import type { NodeAddress } from "./TreeNode.ts"
import type { TreeStore } from "./TreeStore.ts"

export type StateObserver = (changes: ReadonlyArray<RowChange>) => void

export interface Inspected {
  readonly store: TreeStore
  readonly files: CheckpointFiles
  readonly chain: CheckpointChain
  readonly tree: () => Tree
  readonly observers: Set<StateObserver>
  /** The index is to be rebuilt at the next start. */
  readonly mark: (error: StateError) => void
}

export const makeInspection = ({ chain, files, mark, observers, store, tree }: Inspected): StateInspection => ({
  nodes: () => {
    const path = new Set<NodeAddress>()
    return (from: RowKey): NodesInspected => {
      const step = inspectLeaf(store, tree(), from, path)
      if (step.damage !== undefined) mark(step.damage)
      return step
    }
  },
  checkpoints: () => chain.files().map((file) => ({ path: files.path(file), sizeBytes: file.sizeBytes })),
  checkpoint: (path) => Effect.suspend((): Effect.Effect<StateError | undefined> => {
    const kept = () => chain.files().find((file) => files.path(file) === path)
    const file = kept()
    if (file === undefined) return Effect.succeed(undefined)
    return files.verify(file).pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.sync(() => {
        // An older file may have been removed while it was read.
        if (kept() === undefined) return undefined
        chain.distrust()
        return error
      }))
    )
  }),
  observe: (seen) => Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => void observers.add(seen)), () => Effect.sync(() => void observers.delete(seen))))
})
