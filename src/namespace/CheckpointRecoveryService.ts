/**
 * CheckpointRecoveryService: from what a crash, a lost index or a damaged file left, to a tree and its stamp. It sits
 * between the state's start and the checkpoint files and index that earlier runs wrote.
 *
 * The files decide; the index is disposable (R8). In order, for the newest generation, then for the one before it:
 *   1. the index's head is that generation, with that root: it is used as it is;
 *   2. the index is of an earlier generation and every delta since is there: they are folded in;
 *   3. the index is emptied and rebuilt from the newest base (else an older one, else nothing) and the deltas since.
 * Where neither can be had and the journal still reaches back to the store's first commit: the empty state, and all of
 * the journal is replayed. Every way ends by comparing roots. Where no generation can be recovered the state is Damaged, and nothing is touched
 * but the index.
 */
import { Effect } from "effect"
import { equalBytes, fromByteString } from "../base/bytes.ts"
import { nodeCommitBytes } from "../base/limits.ts"
import type { KeyValueService } from "../ports/KeyValue.ts"
import type { CheckpointFiles } from "./CheckpointFilesService.ts"
import { emptyRoot, emptyStamp, type Trailer } from "./CheckpointFormat.ts"
import { type Head, headKey, headTable, openHead, rebuildKey, sealHead } from "./CheckpointHead.ts"
import { type MergeSource, mergeUntilDry } from "./CheckpointMerge.ts"
import { attempt, type CheckpointFile, type CheckpointReader } from "./CheckpointReadService.ts"
import { type RowChange, type Stamp, StateError, type ValueSealer } from "./State.ts"
import { emptyTree, type Tree } from "./Tree.ts"
import { NodeSink, TreeBuilder } from "./TreeBuilder.ts"
import { foldTree } from "./TreeFold.ts"
import { nodeAddress } from "./TreeNode.ts"
import { nodeTable, type TreeStore } from "./TreeStore.ts"
import { drainSink, indexError, readIndex, runFold } from "./TreeWriteService.ts"

export interface Progress {
  readonly step: "CatchUp" | "Rebuild"
  readonly rows: number
}

export interface RecoveryOptions {
  readonly index: KeyValueService
  readonly files: CheckpointFiles
  readonly sealer: ValueSealer
  readonly store: TreeStore
  readonly onProgress: (progress: Progress) => void
  /**
   * The journal reaches from the store's first commit to `upTo` and beyond: a replay onto the empty state gives
   * everything. Absent: it is never all there, except before the second checkpoint.
   */
  readonly journalHoldsAll: ((upTo: Stamp["wal"]) => boolean) | undefined
  /** The journal can bring a generation of this stamp up to now. Else it is none: the files of newer ones stay where they are. */
  readonly journalReaches: (from: Stamp["wal"]) => boolean
  /** The index is thrown away however good it looks, once it is sure that the files can stand for it. */
  readonly rebuild: boolean
}

export interface Recovered {
  readonly head: Head
  /** The files that belong to this generation and those before it. */
  readonly files: ReadonlyArray<CheckpointFile>
  readonly rebuilt: boolean
  /** What was found damaged on the way: a new base is due where there is any. */
  readonly damage: ReadonlyArray<StateError>
}

const cleanupNodesMax = 1024

export const rootOf = (tree: Tree): Uint8Array => tree.root?.hash ?? emptyRoot
const emptyHead: Head = { tree: emptyTree, generation: 0, stamp: emptyStamp, previousStamp: emptyStamp }

export const recover = Effect.fnUntraced(function*(options: RecoveryOptions) {
  const { files: folder, index } = options
  const files = yield* folder.list
  const newest = files.reduce((generation, file) => Math.max(generation, file.generation), 0)
  const sealed = readIndex(() => index.get(headTable, headKey))
  const opened = sealed === undefined ? undefined : sealed instanceof StateError ? sealed : openHead(options.sealer, sealed)
  if (opened instanceof StateError && opened.reason === "UnknownFormat") return yield* Effect.fail(opened)
  const damage: Array<StateError> = opened instanceof StateError ? [opened] : []
  const found = opened instanceof StateError ? undefined : opened
  const isFresh = newest === 0 && (found === undefined || found.generation === 0)
  // The journal is kept back to the older of two generations: what is older cannot be brought up to now, but by all of it.
  const kept = newest > 1 ? [newest, newest - 1] : newest === 1 ? [newest] : []
  if (options.rebuild && !isFresh && !(yield* canReplayAll(options, files, found))) yield* checkFiles(options, files, kept)
  const usable = options.rebuild || readIndex(() => index.get(headTable, rebuildKey)) !== undefined ? undefined : found
  for (const generation of [...kept, 0]) {
    if (generation === 0 && !isFresh && !(yield* canReplayAll(options, files, found))) break
    const recovered = yield* recoverGeneration(options, files, generation, usable, damage)
    if (recovered === undefined) continue
    const beyond = files.filter((file) => file.generation > generation)
    // Left under their names they would join a new history of the same numbers.
    yield* folder.setAside(beyond)
    const rebuilt = recovered.rebuilt && newest > 0
    const result: Recovered = { head: recovered.head, rebuilt, files: files.filter((file) => !beyond.includes(file)), damage }
    return result
  }
  if (newest === 0) {
    return yield* Effect.fail(new StateError({
      reason: "Damaged",
      detail: `the index is of generation ${found?.generation}, but no checkpoint file is left: restore the folder of checkpoints from a backup`
    }))
  }
  return yield* Effect.fail(new StateError({
    reason: "Damaged",
    detail: `no generation of checkpoints can be read; restore them from a backup. ${damage.map((error) => error.detail).join("; ")}`
  }))
})

/** Whether the journal alone gives all that any file or the index is known to hold. */
const canReplayAll = Effect.fnUntraced(function*(
  { files: folder, journalHoldsAll }: RecoveryOptions, files: ReadonlyArray<CheckpointFile>, found: Head | undefined
) {
  if (journalHoldsAll === undefined) return files.every(({ generation }) => generation <= 1) && files.length > 0
  let upTo = found?.stamp.wal ?? emptyStamp.wal
  for (const file of files) {
    // One that cannot be read says nothing; whether it matters shows when a generation is recovered.
    const trailer = yield* barred(folder.trailer(file), [])
    const at = trailer?.stamp.wal
    if (at !== undefined && (at.segment > upTo.segment || (at.segment === upTo.segment && at.offset > upTo.offset))) upTo = at
  }
  return journalHoldsAll(upTo)
})

/** Reads what a rebuild would need, before anything is thrown away: fails where no generation's files are whole. */
const checkFiles = Effect.fnUntraced(function*(
  { files: folder }: RecoveryOptions, files: ReadonlyArray<CheckpointFile>, generations: ReadonlyArray<number>
) {
  const damage: Array<StateError> = []
  for (const generation of generations) {
    for (const way of rebuildsOf(files, generation)) {
      const read = yield* barred(Effect.as(Effect.forEach(way, folder.verify, { discard: true }), true), damage)
      if (read !== undefined) return
    }
  }
  return yield* Effect.fail(new StateError({
    reason: "Damaged",
    detail: `the index is left as it is: no generation of checkpoints is whole that could stand for it. ${damage.map((error) => error.detail).join("; ")}`
  }))
})

type Way = { readonly head: Head; readonly rebuilt: boolean }

/** Runs one way to recover; undefined, with the damage noted, where it is barred. A newer format is no damage. */
const barred = <A>(way: Effect.Effect<A, StateError>, damage: Array<StateError>): Effect.Effect<A | undefined, StateError> =>
  Effect.catch(way, (error) => {
    if (error.reason === "UnknownFormat") return Effect.fail(error)
    damage.push(error)
    return Effect.succeed(undefined)
  })

const isOfIndex = ({ reason }: StateError): boolean => reason === "Index"

const recoverGeneration = Effect.fnUntraced(function*(
  options: RecoveryOptions, files: ReadonlyArray<CheckpointFile>, generation: number, found: Head | undefined, damage: Array<StateError>
) {
  const target = yield* targetOf(options, files, generation, damage)
  if (target === undefined) return undefined
  // An error of the disk may pass: what is set aside for a generation that ends nowhere would be lost for good.
  if (generation > 0 && damage.length > 0 && !options.journalReaches(target.stamp.wal)) {
    damage.push(new StateError({ reason: "Damaged", detail: `generation ${generation} is too old for the journal, which begins behind it` }))
    return undefined
  }
  if (found !== undefined && found.generation === generation && equalBytes(rootOf(found.tree), target.root)) {
    const used = yield* barred(useIndex(options, found), damage)
    if (used !== undefined) return used
  }
  if (found !== undefined && found.generation < generation && chainOf(files, found.generation, generation) !== undefined) {
    const caughtUp = yield* barred(catchUp(options, found, target), damage)
    if (caughtUp !== undefined) return caughtUp
  }
  for (const way of rebuildsOf(files, generation)) {
    // An index that takes no writes says nothing of the files: another start has another one, or the same that works again.
    const rebuilt = yield* barred(Effect.catchIf(rebuild(options, way, target), isOfIndex, (error) => Effect.succeed(error)), damage)
    if (rebuilt instanceof StateError) return yield* Effect.fail(rebuilt)
    if (rebuilt !== undefined) return rebuilt
  }
  return undefined
})

/** The files that give a generation: from each base, the newest first, then from nothing, with all deltas since. */
const rebuildsOf = (files: ReadonlyArray<CheckpointFile>, generation: number): ReadonlyArray<ReadonlyArray<CheckpointFile>> => {
  const bases = files.filter((file) => file.kind === "base" && file.generation <= generation).map((file) => file.generation)
  return [...bases.sort((a, b) => b - a), 0].flatMap((base) => {
    const chain = chainOf(files, base, generation)
    return chain === undefined ? [] : [base === 0 ? chain : [{ kind: "base" as const, generation: base }, ...chain]]
  })
}

/** What a generation should be, by its own file; generation 0 is the empty state. */
const targetOf = Effect.fnUntraced(function*(
  { files: folder }: RecoveryOptions, files: ReadonlyArray<CheckpointFile>, generation: number, damage: Array<StateError>
) {
  if (generation === 0) {
    const empty: Trailer = { generation: 0, root: emptyRoot, stamp: emptyStamp, previousRoot: emptyRoot, previousStamp: emptyStamp, rows: 0, sections: 0 }
    return empty
  }
  for (const file of files) {
    if (file.generation !== generation) continue
    const trailer = yield* barred(folder.trailer(file), damage)
    if (trailer !== undefined) return trailer
  }
  return undefined
})

/** The deltas after `from` up to `to`; undefined where one is missing. */
const chainOf = (files: ReadonlyArray<CheckpointFile>, from: number, to: number): ReadonlyArray<CheckpointFile> | undefined => {
  const deltas = files.filter((file) => file.kind === "delta" && file.generation > from && file.generation <= to)
  return deltas.length === to - from ? deltas.sort((a, b) => a.generation - b.generation) : undefined
}

/** Checks the root only: every other node is checked when it is read. */
const useIndex = Effect.fnUntraced(function*({ index, store }: RecoveryOptions, head: Head) {
  yield* attempt(() => (head.tree.root === undefined ? undefined : store.load(head.tree.root)))
  yield* dropNodesAfter(index, head.generation)
  const way: Way = { head, rebuilt: false }
  return way
})

/** Nodes that an interrupted checkpoint left: nothing refers to them. */
const dropNodesAfter = Effect.fnUntraced(function*(index: KeyValueService, generation: number) {
  const from = fromByteString(nodeAddress(generation + 1, 0))
  for (;;) {
    const rows = readIndex(() => index.range(nodeTable, { from, limit: cleanupNodesMax }))
    if (rows instanceof StateError) return yield* Effect.fail(rows)
    if (rows.length === 0) return
    yield* index.commit(rows.map(([key]) => ({ _tag: "Delete", table: nodeTable, key }))).pipe(Effect.mapError(indexError))
  }
})

const allRows = Effect.fnUntraced(function*(reader: CheckpointReader) {
  const rows: Array<RowChange> = []
  for (let section = yield* reader.next; section !== undefined; section = yield* reader.next) {
    for (const row of section) rows.push(row)
  }
  return rows
})

/** Folds the deltas since the index's generation into it, one by one: a delta is one overlay, which fits in memory. */
const catchUp = Effect.fnUntraced(function*(options: RecoveryOptions, from: Head, target: Trailer) {
  const { files: folder, index, sealer, store } = options
  yield* dropNodesAfter(index, from.generation)
  let head = from
  while (head.generation < target.generation) {
    const file: CheckpointFile = { kind: "delta", generation: head.generation + 1 }
    const trailer = yield* folder.trailer(file)
    if (!equalBytes(trailer.previousRoot, rootOf(head.tree))) return yield* Effect.fail(mismatch(file, "does not follow on the index"))
    const rows = yield* Effect.scoped(Effect.flatMap(folder.reader(file), allRows))
    const sink = new NodeSink(store, file.generation)
    const { replaced, tree } = yield* runFold(index, sink, foldTree(store, head.tree, rows, sink))
    if (!equalBytes(rootOf(tree), trailer.root)) return yield* Effect.fail(mismatch(file, "gives another root than it says"))
    head = { tree, generation: file.generation, stamp: trailer.stamp, previousStamp: trailer.previousStamp }
    yield* index.commit([
      ...replaced.map((address) => ({ _tag: "Delete", table: nodeTable, key: fromByteString(address) } as const)),
      { _tag: "Put", table: headTable, key: headKey, value: sealHead(sealer, head) }
    ]).pipe(Effect.mapError(indexError))
    store.forget(replaced)
    options.onProgress({ step: "CatchUp", rows: rows.length })
  }
  yield* index.flushed.pipe(Effect.mapError(indexError))
  const way: Way = { head, rebuilt: false }
  return way
})

const mismatch = (file: CheckpointFile, what: string): StateError =>
  new StateError({ reason: "Damaged", detail: `checkpoint ${file.kind} ${file.generation} ${what}` })

/** Streams base and deltas into an empty index, a section of each in memory at a time. */
const rebuild = Effect.fnUntraced(function*(options: RecoveryOptions, chain: ReadonlyArray<CheckpointFile>, target: Trailer) {
  const { files: folder, index, sealer, store } = options
  yield* index.wipe.pipe(Effect.mapError(indexError))
  store.forgetAll()
  const sources: Array<MergeSource> = []
  const readers = new Map<MergeSource, CheckpointReader>()
  for (const file of chain.toReversed()) {
    const source: MergeSource = { rows: [], index: 0, ended: false }
    readers.set(source, yield* folder.reader(file))
    sources.push(source)
  }
  const sink = new NodeSink(store, target.generation)
  const builder = new TreeBuilder(sink)
  let rows = 0
  for (;;) {
    const dry = mergeUntilDry(sources, (key, value) => {
      builder.add(key, value)
      rows += 1
    })
    if (dry === undefined) break
    const section = yield* readers.get(dry)!.next
    dry.rows = section ?? []
    dry.index = 0
    dry.ended = section === undefined
    if (sink.bytes < nodeCommitBytes) continue
    yield* drainSink(index, sink)
    options.onProgress({ step: "Rebuild", rows })
  }
  const root = builder.finish()
  yield* drainSink(index, sink)
  const tree: Tree = { root, nodes: sink.made }
  if (!equalBytes(rootOf(tree), target.root)) {
    return yield* Effect.fail(new StateError({ reason: "Damaged", detail: `checkpoint ${target.generation}: ${rows} rows of its files give another root than it says` }))
  }
  const head: Head = { tree, generation: target.generation, stamp: target.stamp, previousStamp: target.previousStamp }
  yield* index.commit([{ _tag: "Put", table: headTable, key: headKey, value: sealHead(sealer, head) }]).pipe(Effect.mapError(indexError))
  yield* index.flushed.pipe(Effect.mapError(indexError))
  const way: Way = { head: target.generation === 0 ? emptyHead : head, rebuilt: true }
  return way
}, Effect.scoped)
