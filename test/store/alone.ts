/**
 * Alone: the rooms that make things durable, each by itself on the twins: what one of them promises must not hang on
 * a sync that another one happens to make.
 */
import { type Context, Effect, Layer, Scope } from "effect"
import { fromHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId, RestartId, StoreId, VaultId } from "../../src/base/ids.ts"
import { hashOf } from "../../src/base/hash.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { State } from "../../src/namespace/State.ts"
import * as StateLayer from "../../src/namespace/StateService.ts"
import { Disk, type DiskService } from "../../src/ports/Disk.ts"

import { vaultOf } from "../../src/sealer/SealKernel.ts"
import * as WalLayer from "../../src/wal/WalService.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { claim } from "./Oracle.ts"

type Wrong = (disk: DiskService) => DiskService

const storeId = "0102030405060708090a0b0c0d0e0f10" as StoreId
const vaultId = "1112131415161718191a1b1c1d1e1f20" as VaultId
const payload = new Uint8Array(3000).fill(5)
const vault = vaultOf({ vaultId, generation: 1, master: fromHex("42".repeat(32)) })

/** Runs on a room that is never stopped: the crash finds it as it is. */
const on = <R, E, A>(layer: Layer.Layer<R, E, Disk>, disk: MemoryDisk, wrong: Wrong, use: Effect.Effect<A, unknown, R>): Promise<A> => {
  const scope = Scope.makeUnsafe()
  const rooms = Layer.buildWithScope(Layer.provide(layer, Layer.succeed(Disk, wrong(disk.service))), scope)
  return Effect.runPromise(Effect.flatMap(rooms, (context: Context.Context<R>) => Effect.provide(use, context)))
}

const journal = (life: number) =>
  WalLayer.layer({ folder: "journal", storeId, restartId: `${life}`.padStart(32, "0") as RestartId, idleMs: 3_600_000 })

const journalAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  await on(journal(1), disk, wrong, Effect.flatMap(WalLayer.Wal, (wal) =>
    Effect.flatMap(wal.append([{ kind: "Commit", payload }]), (ticket) => ticket.durable)))
  let records = 0
  await on(journal(2), disk.crash(seededRandom(seed)), wrong, Effect.flatMap(WalLayer.Wal, (wal) =>
    wal.replay(undefined, () => Effect.sync(() => void (records += 1)))))
  claim(records === 1, "what the journal said is durable is there")
}

const stateAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  const state = Layer.provide(StateLayer.layer({ sealer: vault, rootKey: new Uint8Array(32).fill(3), folder: "checkpoints" }), new MemoryKeyValue().layer)
  const stamp = { sequence: 1, time: 1n, wal: { segment: 1, offset: 4096 } }
  await on(state, disk, wrong, Effect.flatMap(State, (service) => {
    service.write([["row", payload]], stamp)
    return service.checkpoint
  }))
  const found = await on(state, disk.crash(seededRandom(seed)), wrong, Effect.map(State, (service) => service.stamp().sequence))
  claim(found === 1, "the checkpoint that was written is there")
}

const blocksAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  const layer = Blocks.layer({ store: storeId, vault: vaultId })
  const chunk = { id: hashOf(payload) as string as ChunkId, sizeBytes: 3000, sealedHash: hashOf(payload), sealed: payload }
  await on(layer, disk, wrong, Effect.flatMap(Blocks, (blocks) => blocks.write("0".repeat(32) as BlockId, [chunk])))
  const damages = await on(layer, disk.crash(seededRandom(seed)), wrong, Effect.flatMap(Blocks, (blocks) => blocks.verify("0".repeat(32) as BlockId)))
  claim(damages.length === 0, "the block that was written is there")
}

/** Throws where a room that is alone loses what it promised, on any of so many power cuts. */
export const roomsAlone = async (cuts: number, wrong: Wrong): Promise<void> => {
  for (let seed = 1; seed <= cuts; seed += 1) {
    for (const room of [journalAlone, stateAlone, blocksAlone]) await room(seed, wrong)
  }
}
