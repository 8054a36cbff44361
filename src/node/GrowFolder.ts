/**
 * GrowFolder: a store of its own is made ready to be the first member of a cluster, in place: nothing that it keeps lies in its journal alone any more, and its state lies where a replica
 * looks for one. Between the folder of a stopped node, which nobody serves meanwhile, and the replica that begins with it. On ports alone.
 *
 * 1. Until the marker says otherwise (ClusterFolder) the folder is the store that it was: what is made here is beside what that store reads.
 * 2. Chunks go into blocks first: other members have no part in this one's journal (R3).
 * 3. Commits, versions, uploads, times and numbers are rows, and rows are taken as they are: whoever reads AS OF any of them reads what was there.
 */
import { Cause, Context, Effect, Exit, Layer } from "effect"
import { growTriesMax } from "../base/replicaLimits.ts"
import { idOf, type RestartId } from "../base/ids.ts"
import { ChunkCache } from "../chunkCache.ts"
import { Namespace } from "../namespace/Namespace.ts"
import * as NamespaceLayer from "../namespace/NamespaceService.ts"
import { journaledPlaces } from "../namespace/QueryCensus.ts"
import { State } from "../namespace/State.ts"
import * as StateLayer from "../namespace/StateService.ts"
import { Disk } from "../ports/Disk.ts"
import { Entropy } from "../ports/Entropy.ts"
import { Index } from "../ports/Index.ts"
import { KeyValue } from "../ports/KeyValue.ts"
import type { Configuration } from "../raft/Configuration.ts"
import { forgetGrown, growState } from "../replica/GrowService.ts"
import type { SlotOptions } from "../replica/SlotService.ts"
import { vaultOf } from "../sealer/SealKernel.ts"
import { vaultKey } from "../sealer/VaultKeys.ts"
import { Settle } from "../settle.ts"
import { Wal } from "../wal/WalService.ts"
import * as WalLayer from "../wal/WalService.ts"
import { type Folder, folderFormat, markFolder, sweepFolder } from "./Folder.ts"
import { MemberRefused } from "./MemberFolder.ts"
import { namespaceOptions, storeLayer, type StoreOptions } from "./StoreLayer.ts"
import * as WalCommitLog from "./WalCommitLog.ts"

/** The index of the folder: thrown away where it cannot be opened, as at any start (R8). */
const indexLayer = Layer.effect(KeyValue, Effect.flatMap(Index, ({ open }) => Effect.map(open, ({ service }) => service)))

/** Chunks of which only the journal has bytes. */
const waiting = Effect.map(State, ({ reader }) => [...journaledPlaces(reader)])

/** The store itself, once more, for as long as it takes to put into blocks what its journal alone has. */
const drained = Effect.fnUntraced(function*(options: StoreOptions) {
  const rooms = yield* Layer.build(Layer.provide(storeLayer(options), indexLayer))
  return yield* Effect.provide(Effect.gen(function*() {
    const settle = yield* Settle
    for (let tries = 1; (yield* waiting).length > 0 && tries <= growTriesMax; tries += 1) yield* settle.settleNow
    const left = yield* waiting
    if (left.length > 0) {
      const damaged = settle.status().damaged
      return yield* new MemberRefused({
        detail: damaged.length > 0
          ? `${damaged.length} of its chunks can no longer be read, and only the journal had them, the first is ${damaged[0]}: ouroboros verify names what they are of; write the same bytes again, under any key (that heals them), or delete what has them and let its history go, and give the command again`
          : `${left.length} chunks do not leave the journal: ${settle.status().lastError ?? "give the command again"}`
      })
    }
    yield* (yield* Namespace).checkpoint(true)
  }), rooms)
}, Effect.scoped)

/** State and commits as the journal has them, and nobody who would add any. */
const stateAlone = (options: StoreOptions) => {
  const { keys, store } = options
  const restart = Effect.map(Entropy, (entropy) => idOf<RestartId>(entropy.bytes(16)))
  const wal = Layer.unwrap(Effect.map(restart, (restartId) => WalLayer.layer({ folder: "journal", storeId: store, restartId, reserveFileBytes: 0, ...options.wal })))
  const state = Layer.unwrap(Effect.map(Wal, ({ holdsAll, reaches }) => StateLayer.layer({
    sealer: vaultOf(keys), rootKey: vaultKey(keys, "state root"), folder: "checkpoints", journalHoldsAll: holdsAll, journalReaches: reaches, ...options.checkpoints
  })))
  const namespace = Layer.unwrap(Effect.map(ChunkCache, (chunks) => NamespaceLayer.layer(namespaceOptions(options, chunks))))
  return namespace.pipe(Layer.provide(ChunkCache.layer(0)), Layer.provideMerge(WalCommitLog.layer), Layer.provideMerge(state), Layer.provideMerge(wal))
}

const written = Effect.fnUntraced(function*(options: StoreOptions, configuration: Configuration) {
  const ground = yield* Layer.build(indexLayer)
  const slots: SlotOptions = {
    disk: yield* Disk, index: Context.get(ground, KeyValue), sealer: vaultOf(options.keys), rootKey: vaultKey(options.keys, "state root"), folder: "checkpoints"
  }
  const rooms = yield* Layer.build(Layer.provide(stateAlone(options), Layer.succeedContext(ground)))
  return yield* Effect.provide(Effect.gen(function*() {
    const namespace = yield* Namespace
    const state = yield* State
    // What the last start did at its end.
    yield* namespace.checkpoint(true)
    if ((yield* waiting).length > 0) return yield* new MemberRefused({ detail: "its journal has chunks again that no block has: give the command again" })
    return yield* Effect.onExit(growState(slots, state, configuration), (exit) => (Exit.isSuccess(exit) ? Effect.void : tidied(slots, exit)))
  }), rooms)
}, Effect.scoped)

/** It may be the room on the disk that was short: what was begun is not to take it from the store. */
const tidied = (slots: SlotOptions, { cause }: Exit.Failure<unknown, unknown>): Effect.Effect<void> =>
  Cause.hasInterruptsOnly(cause) ? Effect.void
    : Effect.catch(forgetGrown(slots), (error) => Effect.logWarning(`what was begun for the member is still there, and is replaced by the next attempt: ${error.message}`))

/** Of the folder's last commit. Afterwards everything is there that a replica begins with (`grownPlace`), and it is the store's folder as before. */
export const growFolder = Effect.fnUntraced(function*(folder: Folder, options: StoreOptions, configuration: Configuration) {
  // A migration comes before anything is logged (Folder).
  if (folder.format < folderFormat) yield* markFolder(folder)
  yield* sweepFolder()
  yield* drained(options)
  const { sequence } = yield* written(options, configuration)
  return sequence
})
