/** Mutants of the index, of checkpoints, and of what stands between them and answers. */
import { type Mutant, mutant } from "./Mutant.ts"

const state = "namespace/StateService.ts"
const files = "namespace/CheckpointFilesService.ts"
const recover = "namespace/CheckpointRecoveryService.ts"

export const indexMutants: ReadonlyArray<Mutant> = [
  mutant("index", "checkpoint-not-synced", "a checkpoint gets its name before its bytes are durable (R8)", files,
    `    yield* handle.sync.pipe(Effect.mapError(diskError))\n`, ``),
  mutant("index", "checkpoint-name-not-synced", "a checkpoint counts before its name is durable (R8)", files,
    `    yield* disk.rename(temporary, path).pipe(Effect.mapError(diskError))\n    yield* disk.syncFolder(folder).pipe(Effect.mapError(diskError))`,
    `    yield* disk.rename(temporary, path).pipe(Effect.mapError(diskError))`),
  mutant("index", "newest-generation-only", "the journal is let go up to the newest checkpoint, not the one before (R8)", state,
    `    return live.head.previousStamp`, `    return live.head.stamp`),
  mutant("index", "stamp-of-later", "a checkpoint says that it holds what was written while it was made", state,
    `    generation, root: rootOf(tree), stamp, previousRoot: rootOf(previous.tree), previousStamp: previous.stamp`,
    `    generation, root: rootOf(tree), stamp: live.stamp, previousRoot: rootOf(previous.tree), previousStamp: previous.stamp`),
  mutant("index", "head-before-file", "the head is in the index and the journal let go, and the checkpoint's file is a delta short", state,
    `  const changes = [...freeze(live).changes()]`, `  const changes = [...freeze(live).changes()].slice(0, 200)`),
  mutant("index", "deleted-row-returns", "a row deleted in the newer overlay is read from the older one", state,
    `    if (known === undefined) known = live.frozen?.get(key)`, `    if (known === undefined || known === null) known = live.frozen?.get(key)`),
  mutant("index", "left-nodes-kept", "nodes of an interrupted checkpoint stay and are taken for those of the next", recover,
    `    if (rows.length === 0) return\n`, `    if (rows.length < 1_000_000) return\n`),
  mutant("index", "root-unchecked", "an index of an earlier checkpoint is used as if it were the newest's (R8)", recover,
    `found.generation === generation && equalBytes(rootOf(found.tree), target.root)`, `found.generation <= generation && rootOf(found.tree).length === target.root.length`),
  mutant("index", "rebuilt-onto-old", "an index is rebuilt without what it held being wiped", recover,
    `  yield* index.wipe.pipe(Effect.mapError(indexError))\n`, ``),
  mutant("index", "rebuild-unmarked", "an index with a rotten node is not marked for a rebuild", state,
    `      if (error instanceof StateError && error.reason === "Index") mark(error)\n`, `      if (error instanceof StateError && error.reason === "Disk") mark(error)\n`),
  mutant("index", "unreadable-is-a-defect", "a page of the index that cannot be read is nobody's to name", state,
    `readIndex(() => index.get(nodeTable, address))`, `index.get(nodeTable, address)`),
  mutant("index", "node-unverified", "a node of the index is used whatever its hash (R8)", "namespace/TreeStore.ts",
    `if (!equalBytes(hasher.hashNode(bytes, node.level, node.count), pointer.hash)) throw`, `if (bytes.length === 0 && !equalBytes(hasher.hashNode(bytes, node.level, node.count), pointer.hash)) throw`),
  mutant("index", "frozen-rows-win", "rows that a failed checkpoint left win over those written since", state,
    `for (const [key, value] of live.active.changes()) frozen.set(key, value ?? null)`,
    `for (const [key, value] of live.active.changes()) if (frozen.get(key) === undefined) frozen.set(key, value ?? null)`)
]
