/**
 * StateService: the rows of the replicated machine over index and checkpoints. It sits between the namespace, which
 * reads and writes rows, and the Disk and KeyValue ports.
 *
 * Reads see the overlay, over the one that a checkpoint has frozen, over the tree. A checkpoint has five steps:
 *   1. freeze: the overlay becomes the frozen one (joined to what a failed checkpoint left), a new one takes writes;
 *   2. fold: the frozen rows go into the tree; new nodes are in the index, and nothing refers to them;
 *   3. delta: the frozen rows become a file, durable and verified: the generation exists from here on;
 *   4. switch: reads go to the new tree, the frozen overlay is dropped;
 *   5. head: one transaction names the new root and deletes the replaced nodes.
 * Then a new base where the deltas have outgrown the old one, and files that no longer help are removed.
 */
import { Cause, Deferred, Effect, Layer, Semaphore } from "effect"
import { assert } from "../base/assert.ts"
import { fromByteString, toHex } from "../base/bytes.ts"
import { meterCache } from "../base/SegmentedLru.ts"
import { probe } from "../base/probes.ts"
import { Disk } from "../ports/Disk.ts"
import { KeyValue, type KeyValueService } from "../ports/KeyValue.ts"
import { Metrics } from "../ports/Metrics.ts"
import { headKey, headTable, rebuildKey, sealHead, type Head } from "./CheckpointHead.ts"
import { type CheckpointFiles, makeCheckpointFiles } from "./CheckpointFilesService.ts"
import { CheckpointChain } from "./CheckpointChain.ts"
import { type Progress, recover, rootOf } from "./CheckpointRecoveryService.ts"
import { mergeLayers, Overlay } from "./Overlay.ts"
import { type RowChange, type RowKey, type Stamp, State, StateError, type StateReader, type StateService, type ValueSealer } from "./State.ts"
import { makeInspection, type StateObserver } from "./StateInspectService.ts"
import { getRow, rowAtOrAfter, scanRows } from "./Tree.ts"
import { NodeSink } from "./TreeBuilder.ts"
import { foldTree } from "./TreeFold.ts"
import { type NodeAddress, nodeAddress } from "./TreeNode.ts"
import { makeTreeStore, nodeTable, type TreeStore } from "./TreeStore.ts"
import { indexError, readIndex, runFold } from "./TreeWriteService.ts"

export interface StateOptions {
  /** The vault: its `sealValue` and `openValue`. */
  readonly sealer: ValueSealer
  /** 32 bytes, the same at every start of a store: keys the hashes of the tree and its cuts. */
  readonly rootKey: Uint8Array
  /** What opened nodes may take in memory. */
  readonly nodeCacheBytes?: number
  /** Where checkpoint files are, in the data folder. */
  readonly folder: string
  /** Deltas that are folded into a new base; few in tests. */
  readonly deltasMax?: number
  readonly onProgress?: (progress: Progress) => void
  /** Whether the journal has everything from the first commit to this place: then its replay can stand for lost checkpoints. */
  readonly journalHoldsAll?: (upTo: Stamp["wal"]) => boolean
  /** Whether its replay from there can bring a generation up to now; absent: it always can. */
  readonly journalReaches?: (from: Stamp["wal"]) => boolean
  /** Throws the index away at this start and rebuilds it, once it is sure that it can be. */
  readonly rebuild?: boolean
}

/** Above every key: keys have bytes, one character each, of at most 0xff. */
const afterAllKeys: RowKey = "\u0100"

/** What the service holds in memory. */
interface Live {
  head: Head
  /** Moves with every change of a layer: a scan that sees it moved seeks its place again. */
  version: number
  active: Overlay
  frozen: Overlay | undefined
  stamp: Stamp
  /** Nodes in the index that nothing refers to any more, to go with the next head. */
  garbage: Array<NodeAddress>
  /** The index does not name the head yet. */
  isHeadDue: boolean
  /** A checkpoint is folding the frozen overlay. */
  isFolding: boolean
  /** Nodes that failed attempts at the next generation left at most. */
  attempted: number
}

/** Runs a read; a node that fails its check is a defect, and the index is marked for a rebuild at the next start. */
type Guard = <A>(read: () => A) => A

const readerOf = (live: Live, store: TreeStore, guard: Guard): StateReader => {
  const get = (key: RowKey): Uint8Array | undefined => {
    let known = live.active.get(key)
    if (known === undefined) known = live.frozen?.get(key)
    if (known !== undefined) return known ?? undefined
    return guard(() => getRow(store, live.head.tree, key))
  }
  const layers = (from: RowKey, to: RowKey, reverse: boolean): Iterator<readonly [RowKey, Uint8Array]> =>
    mergeLayers([
      live.active.scan(from, to, reverse),
      ...(live.frozen === undefined ? [] : [live.frozen.scan(from, to, reverse)]),
      scanRows(store, live.head.tree, from, to, reverse)
    ], reverse)

  function* scan(from: RowKey, to: RowKey, reverse = false): Generator<readonly [RowKey, Uint8Array]> {
    let [low, high] = [from, to]
    while (low < high) {
      const { version } = live
      const rows = layers(low, high, reverse)
      for (;;) {
        const step = guard(() => rows.next())
        if (step.done === true) return
        yield step.value
        if (live.version === version) continue
        // Something was written while the caller held this row: go on just after it, in the state as it is now.
        if (reverse) high = step.value[0]
        else low = `${step.value[0]}\0`
        break
      }
    }
  }
  const first = (from: RowKey, to: RowKey): readonly [RowKey, Uint8Array] | undefined => {
    for (let low = from; ;) {
      // The higher layer's row counts where two have the key, so a lower one must be before it.
      let best: readonly [RowKey, Uint8Array | null] | undefined = live.active.atOrAfter(low)
      const frozen = live.frozen?.atOrAfter(low)
      if (frozen !== undefined && (best === undefined || frozen[0] < best[0])) best = frozen
      // A row right at `low`, as a point read has it, spares the tree.
      if (best === undefined || best[0] !== low) {
        const stored = guard(() => rowAtOrAfter(store, live.head.tree, low))
        if (stored !== undefined && (best === undefined || stored[0] < best[0])) best = stored
      }
      if (best === undefined || best[0] >= to) return undefined
      if (best[1] !== null) return [best[0], best[1]]
      low = `${best[0]}\0`
    }
  }
  return { get, getMany: (keys) => keys.map(get), first, scan }
}

const write = (live: Live, changes: ReadonlyArray<RowChange>, stamp: Stamp): void => {
  assert(stamp.sequence >= live.stamp.sequence, "the stamp does not go back")
  for (const [key, value] of changes) live.active.set(key, value ?? null)
  live.stamp = stamp
  live.version += 1
}

interface Parts {
  readonly live: Live
  readonly store: TreeStore
  readonly index: KeyValueService
  readonly files: CheckpointFiles
  readonly chain: CheckpointChain
  readonly sealer: ValueSealer
}

const sameStamp = (a: Stamp, b: Stamp): boolean =>
  a.sequence === b.sequence && a.time === b.time && a.wal.segment === b.wal.segment && a.wal.offset === b.wal.offset

/** Step 1. A frozen overlay is still there where the last checkpoint failed: the newer rows go on top of it. */
const freeze = (live: Live): Overlay => {
  const frozen = live.frozen ?? new Overlay()
  for (const [key, value] of live.active.changes()) frozen.set(key, value ?? null)
  live.frozen = live.frozen === undefined ? live.active : frozen
  live.active = new Overlay()
  live.version += 1
  return live.frozen
}

/** Steps 1 to 5. Until the file is durable nothing has happened but nodes that nothing refers to. */
const makeGeneration = Effect.fnUntraced(function*({ chain, files, index, live, store }: Parts) {
  const previous = live.head
  const generation = previous.generation + 1
  const { stamp } = live
  const changes = [...freeze(live).changes()]
  const sink = new NodeSink(store, generation)
  const { replaced, tree } = yield* runFold(index, sink, foldTree(store, previous.tree, changes, sink)).pipe(
    Effect.onExit(() => Effect.sync(() => (live.attempted = Math.max(live.attempted, sink.made))))
  )
  const file = { kind: "delta", generation } as const
  const sizeBytes = yield* files.write(file, changes, {
    generation, root: rootOf(tree), stamp, previousRoot: rootOf(previous.tree), previousStamp: previous.stamp
  })
  for (const address of replaced) live.garbage.push(address)
  for (let ordinal = sink.made; ordinal < live.attempted; ordinal++) live.garbage.push(nodeAddress(generation, ordinal))
  chain.add(file, sizeBytes)
  live.head = { tree, generation, stamp, previousStamp: previous.stamp }
  live.frozen = undefined
  live.isHeadDue = true
  live.attempted = 0
  live.version += 1
  store.forget(replaced)
})

/** Step 5. Nodes that a failed head left behind go with the next one. */
const writeHead = Effect.fnUntraced(function*({ index, live, sealer }: Parts) {
  const { garbage } = live
  yield* index.commit([
    ...garbage.map((address) => ({ _tag: "Delete", table: nodeTable, key: fromByteString(address) } as const)),
    { _tag: "Put", table: headTable, key: headKey, value: sealHead(sealer, live.head) }
  ]).pipe(Effect.mapError(indexError))
  live.garbage = []
  live.isHeadDue = false
  yield* index.flushed.pipe(Effect.mapError(indexError))
})

const writeBase = Effect.fnUntraced(function*({ chain, files, live, store }: Parts) {
  const { generation, previousStamp, stamp, tree } = live.head
  const file = { kind: "base", generation } as const
  const root = rootOf(tree)
  const sizeBytes = yield* files.write(file, scanRows(store, tree, "", afterAllKeys, false), {
    generation, root, stamp, previousRoot: root, previousStamp
  })
  chain.add(file, sizeBytes)
  const obsolete = chain.obsolete()
  if (obsolete.length === 0) return
  // It was whole when it was written. What has rotted since stands for nothing, and older files are all that there is besides the new base.
  const damage = yield* Effect.forEach(chain.standsForOlder(), files.verify, { discard: true }).pipe(Effect.as(undefined), Effect.catch((error) => Effect.succeed(error)))
  if (damage !== undefined) {
    chain.distrustOlder()
    probe("checkpoint.olderKept")
    return yield* Effect.logWarning(`state: checkpoints before generation ${generation} are kept until two bases can be read: ${damage.message}`)
  }
  yield* files.remove(obsolete)
  chain.drop(obsolete)
})

const checkpointOf = (parts: Parts): Effect.Effect<Stamp, StateError> =>
  Effect.gen(function*() {
    const { chain, live } = parts
    const isChanged = live.active.rows > 0 || live.frozen !== undefined || !sameStamp(live.stamp, live.head.stamp)
    if (isChanged) {
      live.isFolding = true
      yield* makeGeneration(parts).pipe(Effect.onExit(() => Effect.sync(() => (live.isFolding = false))))
    }
    if (live.isHeadDue) yield* writeHead(parts)
    if (live.head.generation > 0 && chain.isBaseDue()) yield* writeBase(parts)
    return live.head.previousStamp
  })

/**
 * Marks the index for a rebuild, once, when a read asks for it: reads are synchronous, the mark is not. A start that
 * meets the damage ends at once: the mark is written all the same, or every later start would meet it again.
 */
const marker = Effect.fnUntraced(function*(index: KeyValueService) {
  const found = yield* Deferred.make<StateError>()
  let damage: StateError | undefined
  let begun = false
  const write = Effect.suspend(() => {
    if (damage === undefined || begun) return Effect.void
    begun = true
    probe("index.markedForRebuild")
    return Effect.logError(damage.message).pipe(
      Effect.andThen(index.commit([{ _tag: "Put", table: headTable, key: rebuildKey, value: new Uint8Array([1]) }])),
      Effect.andThen(index.flushed),
      Effect.catchCause((cause) => Effect.logError("state: the index could not be marked for a rebuild", Cause.pretty(cause)))
    )
  })
  yield* Effect.forkScoped(Effect.andThen(Deferred.await(found), Effect.uninterruptible(write)))
  yield* Effect.addFinalizer(() => write)
  const mark = (error: StateError): void => {
    damage ??= error
    Deferred.doneUnsafe(found, Effect.succeed(error))
  }
  const guard: Guard = (read) => {
    try {
      return read()
    } catch (error) {
      if (error instanceof StateError && error.reason === "Index") mark(error)
      throw error
    }
  }
  return { guard, mark, met: () => damage }
})

/** Recovers what is there, or begins an empty state. Fails with StateError Damaged | Disk | Index | UnknownFormat. */
export const make = Effect.fnUntraced(function*(options: StateOptions) {
  const disk = yield* Disk
  const index = yield* KeyValue
  const { rootKey, sealer } = options
  const files = makeCheckpointFiles(disk, sealer, options.folder)
  const store = makeTreeStore({
    sealer, rootKey, get: (address) => readIndex(() => index.get(nodeTable, address)),
    ...(options.nodeCacheBytes === undefined ? {} : { cacheBytesMax: options.nodeCacheBytes })
  })
  meterCache(yield* Metrics, "nodes", store.cache)
  const recovered = yield* recover({
    index, files, sealer, store, onProgress: options.onProgress ?? (() => {}),
    journalHoldsAll: options.journalHoldsAll, journalReaches: options.journalReaches ?? (() => true), rebuild: options.rebuild ?? false
  })
  const chain = new CheckpointChain(options.deltasMax)
  for (const file of recovered.files) chain.add(file, yield* files.size(file))
  if (recovered.damage.length > 0) {
    probe("checkpoint.recoveredInSpiteOfDamage")
    yield* Effect.logWarning(`state: recovered generation ${recovered.head.generation} in spite of: ${recovered.damage.map((error) => error.detail).join("; ")}`)
    // Of the index nothing is left that was damaged; of a file the next base takes the place.
    if (recovered.damage.some((error) => error.reason !== "Index")) chain.distrust()
  }
  const live: Live = {
    head: recovered.head, version: 0, active: new Overlay(), frozen: undefined, stamp: recovered.head.stamp, garbage: [], isHeadDue: false, isFolding: false,
    attempted: 0
  }
  const { guard, mark, met } = yield* marker(index)
  const observers = new Set<StateObserver>()
  const lock = yield* Semaphore.make(1)
  const parts: Parts = { live, store, index, files, chain, sealer }
  const service: StateService = {
    reader: readerOf(live, store, guard),
    write: (changes, stamp) => {
      write(live, changes, stamp)
      for (const seen of observers) seen(changes)
    },
    inspection: makeInspection({ store, files, chain, observers, mark, tree: () => live.head.tree }),
    stamp: () => live.stamp,
    overlay: () => {
      // What a running checkpoint takes along is not due again; what a failed one left is.
      const left = live.isFolding ? undefined : live.frozen
      return { rows: live.active.rows + (left?.rows ?? 0), bytes: live.active.bytes + (left?.bytes ?? 0) }
    },
    checkpoint: lock.withPermit(checkpointOf(parts)).pipe(
      Effect.tapError((error) => Effect.sync(() => error.reason === "Index" && error.unchanged !== true && mark(error)))
    ),
    root: () => toHex(rootOf(live.head.tree)),
    cache: store.cache,
    resizeCache: store.resizeCache,
    status: () => ({ checkpoints: live.head.generation, rebuilt: recovered.rebuilt, nodes: live.head.tree.nodes }),
    indexDamage: met
  }
  return service
})

export const layer = (options: StateOptions): Layer.Layer<State, StateError, Disk | KeyValue> => Layer.effect(State, make(options))
