/**
 * StoreLayer: the rooms of one store put together, on nothing but ports. It sits between start-up, which knows settings
 * and keys, and the gateway. The simulator and the tests use this same composition on their twins.
 */
import { Cause, Effect, Layer } from "effect"
import { type RestartId, type StoreId, defaultTenant, idOf } from "../base/ids.ts"
import { Allowances, type AllowanceSizes } from "../allowance.ts"
import { bodiesOfMemory, bodyBytesInFlightMax, bodyBytesInFlightMost, cachesOfMemoryMax, chunkCacheBytesDefault, nodeCacheBytesMax } from "../base/limits.ts"
import { Blocks } from "../block/BlockService.ts"
import { ChunkCache } from "../chunkCache.ts"
import { defaultChunkerOptions } from "../chunker/ChunkerOptions.ts"
import { Expiry, type ExpiryOptions } from "../expiry.ts"
import { Fetch } from "../fetch.ts"
import { Gc, type GcOptions } from "../gc.ts"
import { Get, type GetOptions } from "../get.ts"
import type { IngestSizes } from "../ingest.ts"
import { Intents } from "../intents.ts"
import * as NamespaceLayer from "../namespace/NamespaceService.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import { type State, StateError } from "../namespace/State.ts"
import * as StateLayer from "../namespace/StateService.ts"
import { Pins } from "../pins.ts"
import { Entropy } from "../ports/Entropy.ts"
import { Memory, type MemoryGauge } from "../ports/Memory.ts"
import { Pressure } from "../pressure.ts"
import { Put } from "../put.ts"
import { Retention } from "../retention.ts"
import { Scrub, type ScrubOptions } from "../scrub.ts"
import { Verify } from "../verify.ts"
import { vaultOf } from "../sealer/SealKernel.ts"
import { type VaultKeys, vaultKey } from "../sealer/VaultKeys.ts"
import { Settle, type SettleOptions } from "../settle.ts"
import { Wal } from "../wal/WalService.ts"
import * as WalLayer from "../wal/WalService.ts"
import type { CacheSizes } from "./LoadLimits.ts"
import type { Settings } from "./Settings.ts"
import * as WalCommitLog from "./WalCommitLog.ts"

export interface StoreOptions {
  readonly store: StoreId
  readonly keys: VaultKeys
  readonly settings?: Partial<Pick<Settings, "retentionDays" | "chunks" | "settleBytes" | "settleAgeMs" | "checkpointRows" | "reserveFileBytes" | "gc" | "limits" | "scrubBytesPerSecond" | "scrubDays">>
  /** Small bounds and eyes for tests. */
  readonly sizes?: Partial<IngestSizes>
  readonly wal?: Partial<Pick<WalLayer.WalOptions, "sizes" | "idleMs" | "queueBytesMax" | "observe" | "observeRecovery">>
  readonly settle?: SettleOptions
  readonly get?: GetOptions
  readonly scrub?: ScrubOptions
  readonly expiry?: ExpiryOptions
  readonly gc?: Partial<GcOptions>
  readonly allowances?: Partial<AllowanceSizes>
  readonly namespace?: Pick<NamespaceLayer.NamespaceOptions, "applied">
  /** The index is rebuilt from checkpoint and journal, whatever it holds. */
  readonly rebuildIndex?: boolean
  readonly checkpoints?: Pick<StateLayer.StateOptions, "deltasMax">
}

const dayMs = 24 * 3_600_000

/** By default caches get a share of the memory that there is, and no more than that. */
const bodiesWithin = (memory: MemoryGauge): number =>
  Math.max(bodyBytesInFlightMax, Math.min(bodyBytesInFlightMost, Math.floor(bodiesOfMemory * memory().limitBytes)))

const withinMemory = (memory: MemoryGauge, bytes: number): number => Math.min(bytes, Math.floor(cachesOfMemoryMax * memory().limitBytes))

/** Who proposes what no client asked for. */
const nodeAuthor = "node"

/** What the rooms of a node stand on, from its settings. */
const groundOf = (options: StoreOptions) => {
  const { settings = {}, store } = options
  const caches: CacheSizes = settings.limits ?? {}
  const restart = Effect.map(Entropy, (entropy) => idOf<RestartId>(entropy.bytes(16)))
  const wal = Layer.unwrap(Effect.map(restart, (restartId) =>
    WalLayer.layer({ folder: "journal", storeId: store, restartId, reserveFileBytes: settings.reserveFileBytes ?? 0, ...options.wal })))
  const chunks = Layer.unwrap(Effect.map(Memory, (memory) => ChunkCache.layer(caches.chunkCacheBytes ?? withinMemory(memory, chunkCacheBytesDefault))))
  const allowances = Layer.unwrap(Effect.map(Memory, (memory) =>
    Allowances.layer({ bodyBytes: bodiesWithin(memory), ...settings.limits, ...options.allowances })))
  return wal.pipe(Layer.provideMerge(chunks), Layer.provideMerge(allowances))
}

export const nodeCacheBytesOf = ({ settings }: StoreOptions, memory: MemoryGauge): number =>
  settings?.limits?.nodeCacheBytes ?? withinMemory(memory, nodeCacheBytesMax)

/** What a namespace is told, whatever orders its commits. */
export const namespaceOptions = (options: StoreOptions, chunks: ChunkCache["Service"]): NamespaceLayer.NamespaceOptions => {
  const { keys } = options
  const vault = vaultOf(keys)
  return {
    tenant: keys.tenantId ?? defaultTenant, vault: keys.vaultId, sealer: vault, author: nodeAuthor, vertexHash: (_, bytes) => vault.vertexHash(bytes),
    applied: (entry, answer) => {
      chunks.applied(entry.change)
      options.namespace?.applied?.(entry, answer)
    }
  }
}

/** Commits of a store with one member: in order in its journal, applied to its state (R3). */
const commitsAlone = (options: StoreOptions) => {
  const { keys } = options
  const state = Layer.unwrap(Effect.map(Effect.all([Wal, Memory]), ([{ holdsAll, reaches }, memory]) => StateLayer.layer({
    sealer: vaultOf(keys), rootKey: vaultKey(keys, "state root"), folder: "checkpoints", journalHoldsAll: holdsAll, journalReaches: reaches, rebuild: options.rebuildIndex ?? false,
    nodeCacheBytes: nodeCacheBytesOf(options, memory), ...options.checkpoints
  })))
  const namespace = Layer.unwrap(Effect.map(ChunkCache, (chunks) => NamespaceLayer.layer(namespaceOptions(options, chunks))))
  return namespace.pipe(Layer.provideMerge(WalCommitLog.layer), Layer.provideMerge(state))
}

/** Blocks of a store with one member. */
export const blocksAlone = ({ keys, store }: StoreOptions, more: { readonly isNamedLast?: boolean } = {}) => Blocks.layer({ store, vault: keys.vaultId, ...more })

/** The rooms over whoever orders commits, and over blocks wherever they lie. */
export const roomsOver = <Services, CommitError, CommitNeeds, BlockError, BlockNeeds>(
  options: StoreOptions, commits: Layer.Layer<Namespace | State | Services, CommitError, CommitNeeds>, blocks: Layer.Layer<Blocks, BlockError, BlockNeeds>
) => {
  const { keys, settings = {} } = options
  const settle = Settle.layer({
    ...(settings.settleBytes === undefined ? {} : { blockBytesTarget: settings.settleBytes }),
    ...(settings.settleAgeMs === undefined ? {} : { ageMsMax: settings.settleAgeMs }),
    ...(settings.checkpointRows === undefined ? {} : { checkpointRows: settings.checkpointRows }),
    ...options.settle
  })
  const retention = Retention.layer(settings.retentionDays === undefined ? {} : { retentionMs: settings.retentionDays * dayMs })
  const scrub = Scrub.layer(keys.vaultId, {
    ...(settings.scrubBytesPerSecond === undefined ? {} : { bytesPerSecond: settings.scrubBytesPerSecond }),
    ...(settings.scrubDays === undefined ? {} : { days: settings.scrubDays }),
    ...options.scrub
  })
  const gc = Gc.layer({
    vault: keys.vaultId, ...(settings.settleBytes === undefined ? {} : { blockBytesTarget: settings.settleBytes }), ...settings.gc, ...options.gc
  })
  const put = Put.layer({
    keys, chunker: settings.chunks ?? defaultChunkerOptions, ...(options.sizes === undefined ? {} : { sizes: options.sizes })
  })
  return Layer.mergeAll(put, Verify.layer(keys), scrub).pipe(
    Layer.provideMerge(Expiry.layer(options.expiry)),
    Layer.provideMerge(gc),
    Layer.provideMerge(retention),
    Layer.provideMerge(settle),
    Layer.provideMerge(Get.layer(options.get)),
    Layer.provideMerge(Pressure.layer()),
    Layer.provideMerge(Fetch.layer(keys)),
    Layer.provideMerge(blocks),
    Layer.provideMerge(Pins.layer),
    Layer.provideMerge(Intents.layer),
    Layer.provideMerge(commits),
    Layer.provideMerge(groundOf(options)),
    Layer.catchCause((cause) => Layer.effectContext(Effect.failCause(Cause.fromReasons(cause.reasons.map(indexDamageAsFailure)))))
  )
}

/**
 * ChunkCache, Wal, State, Namespace, Blocks, Fetch, Pressure, Get, Pins, Settle, Retention, Gc, Expiry and Put, built in this order: the journal is
 * recovered and replayed, and blocks that nobody names are gone, before anyone can put.
 */
export const storeLayer = (options: StoreOptions) => roomsOver(options, commitsAlone(options), blocksAlone(options))

/** An index that is garbage is marked by whoever reads it, and fails a start by its name, also where a room reads it while it begins. */
const indexDamageAsFailure = <E>(reason: Cause.Reason<E>): Cause.Reason<E | StateError> =>
  Cause.isDieReason(reason) && reason.defect instanceof StateError ? Cause.makeFailReason<E | StateError>(reason.defect) : reason
