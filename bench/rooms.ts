/** Rooms: the store's own rooms on this machine's adapters, in the measuring process: for what HTTP would drown. */
import { Effect, Layer } from "effect"
import * as InlineCompute from "../src/adapters/InlineCompute.ts"
import * as Lmdb from "../src/adapters/Lmdb.ts"
import * as NodeDisk from "../src/adapters/NodeDisk.ts"
import * as NodeEntropy from "../src/adapters/NodeEntropy.ts"
import type { StoreId } from "../src/base/ids.ts"
import { storeLayer } from "../src/node/StoreLayer.ts"
import type { VaultKeys } from "../src/sealer/VaultKeys.ts"

export interface RoomKeys {
  readonly store: StoreId
  readonly keys: VaultKeys
}

/** Disk, entropy and compute over a data folder. */
export const portsOf = (data: string) => Layer.build(Layer.mergeAll(NodeDisk.layer(data), NodeEntropy.layer, InlineCompute.layer))

/** The rooms of the store whose keys these are; they close with the scope. */
export const roomsOf = (data: string, { keys, store }: RoomKeys) =>
  Effect.flatMap(portsOf(data), (ports) =>
    Effect.provide(Layer.build(Layer.provideMerge(storeLayer({ store, keys }), Layer.mergeAll(Lmdb.layer(`${data}/index`), NodeEntropy.layer))), ports))
