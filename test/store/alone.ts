/**
 * Alone: the rooms that make things durable, each by itself on the twins: what one of them promises must not hang on
 * a sync that another one happens to make. Each is also stopped at every operation of its first life, since most syncs
 * matter at one moment only.
 */
import { type Context, Effect, Exit, Layer, References, Scope } from "effect"
import { fromHex } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId, RestartId, StoreId, VaultId } from "../../src/base/ids.ts"
import { hashOf } from "../../src/base/hash.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { State } from "../../src/namespace/State.ts"
import * as StateLayer from "../../src/namespace/StateService.ts"
import { Disk, type DiskService } from "../../src/ports/Disk.ts"

import { vaultOf } from "../../src/sealer/SealKernel.ts"
import { type WalSizes, walSizes } from "../../src/wal/Wal.ts"
import { type WalPlace, walConsumers } from "../../src/wal/WalRecord.ts"
import * as WalLayer from "../../src/wal/WalService.ts"
import * as Compute from "../../sim/Compute.ts"
import { MemoryDisk } from "../../sim/Disk.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { idOfPayload, recordOf, replayIds, smallSizes, untilStopped } from "../wal/scene.ts"
import { claim } from "../../sim/Violation.ts"

type Wrong = (disk: DiskService) => DiskService

const storeId = "0102030405060708090a0b0c0d0e0f10" as StoreId
const vaultId = "1112131415161718191a1b1c1d1e1f20" as VaultId
const payload = new Uint8Array(3000).fill(5)
const vault = vaultOf({ vaultId, generation: 1, master: fromHex("42".repeat(32)) })

/** Uses a room that is never stopped: the crash finds it as it is. */
const live = <R, E, A>(layer: Layer.Layer<R, E, Disk>, disk: MemoryDisk, wrong: Wrong, use: Effect.Effect<A, unknown, R>): Effect.Effect<A, unknown> =>
  Effect.suspend(() => {
    const rooms = Layer.buildWithScope(Layer.provide(layer, Layer.succeed(Disk, wrong(disk.service))), Scope.makeUnsafe())
    return Effect.flatMap(rooms, (context: Context.Context<R>) => Effect.provide(use, context))
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))

const on = <R, E, A>(layer: Layer.Layer<R, E, Disk>, disk: MemoryDisk, wrong: Wrong, use: Effect.Effect<A, unknown, R>): Promise<A> =>
  Effect.runPromise(live(layer, disk, wrong, use))

/** One life of a room: all of it, or as far as the disk gets. */
const untilDead = async <A>(disk: MemoryDisk, life: Effect.Effect<A, unknown>): Promise<A | undefined> => {
  const exit = await untilStopped(disk, life)
  claim(exit === undefined || Exit.isSuccess(exit), "a life on a disk that only stops succeeds, or hangs with it")
  return exit?.value
}

const journal = (life: number, sizes: WalSizes = walSizes) =>
  WalLayer.layer({ folder: "journal", storeId, restartId: `${life}`.padStart(32, "0") as RestartId, idleMs: 3_600_000, sizes })

const journalAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  await on(journal(1), disk, wrong, Effect.flatMap(WalLayer.Wal, (wal) =>
    Effect.flatMap(wal.append([{ kind: "Commit", payload }]), (ticket) => ticket.durable)))
  let records = 0
  await on(journal(2), disk.crash(seededRandom(seed)), wrong, Effect.flatMap(WalLayer.Wal, (wal) =>
    wal.replay(undefined, () => Effect.sync(() => void (records += 1)))))
  claim(records === 1, "what the journal said is durable is there")
}

/** From before the journal's folder has a name to after the first batch is acknowledged: every place to stop at. */
const operationsOfFirstLife = 12
/** What a power cut leaves of a header and a batch that no sync covers has many outcomes, and few of them hurt. */
const cutsOfStopped = 3
const record = recordOf(1, 3000, "Commit")

/** Replays: what a start has served is never to be lost any more. */
const serve = (life: number, disk: MemoryDisk, wrong: Wrong, from?: WalPlace): Promise<ReadonlyArray<number>> =>
  on(journal(life), disk, wrong, Effect.flatMap(WalLayer.Wal, (wal) => replayIds(wal, from)))

/**
 * The journal stops after so many operations, a record under way. Then the power goes; or the process alone, and the
 * next one serves what the page cache still has before the power goes. Every start succeeds, and what was acknowledged
 * or served is there.
 */
const journalStopped = async (seed: number, wrong: Wrong, operations: number, killed: boolean): Promise<void> => {
  let disk = new MemoryDisk()
  disk.stopAfter(operations)
  const append = Effect.flatMap(WalLayer.Wal, (wal) => Effect.flatMap(wal.append([record]), ({ durable }) => durable))
  const acknowledged = Effect.as(append, [idOfPayload(record.payload)])
  let kept: ReadonlyArray<number> = (await untilDead(disk, live(journal(1), disk, wrong, acknowledged))) ?? []
  const where = `the first process stopped after ${operations} operations`
  if (killed) {
    disk = disk.kill()
    const served = await serve(2, disk, wrong)
    claim(kept.every((id) => served.includes(id)), `what was acknowledged is there after a kill: ${where}`)
    kept = served
  }
  const random = seededRandom(seed)
  for (let cut = 0; cut < cutsOfStopped; cut += 1) {
    const found = await serve(3, disk.crash(random), wrong)
    claim(kept.every((id) => found.includes(id)), `what was acknowledged or served is there after a power cut: ${where}`)
  }
}

const journalStoppedAnywhere = async (seed: number, wrong: Wrong): Promise<void> => {
  for (let operations = 0; operations <= operationsOfFirstLife; operations += 1) {
    for (const killed of [false, true]) await journalStopped(seed, wrong, operations, killed)
  }
}

/** Segments that nobody needs go one after the other: a power cut leaves no hole between those that are left. */
const journalReleased = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  const last = 12
  const needed = await on(journal(1, smallSizes), disk, wrong, Effect.flatMap(WalLayer.Wal, (wal) => Effect.gen(function*() {
    for (let id = 1; id <= last; id += 1) yield* (yield* wal.append([recordOf(id, 20_000)])).durable
    claim(wal.status().segments > 3, "several segments can go")
    const place = wal.head()
    yield* (yield* wal.append([recordOf(last + 1, 3000)])).durable
    for (const consumer of walConsumers) yield* wal.release(consumer, place)
    claim(wal.status().segments === 1, "all but the last have gone")
    return place
  })))
  const found = await serve(2, disk.crash(seededRandom(seed)), wrong, needed)
  claim(found.includes(last + 1), "what was not released is there")
}

const stateOn = (index: MemoryKeyValue) =>
  Layer.provide(StateLayer.layer({ sealer: vault, rootKey: new Uint8Array(32).fill(3), folder: "checkpoints" }), index.layer)
const stamp = { sequence: 1, time: 1n, wal: { segment: 1, offset: 4096 } }
const checkpoint = Effect.flatMap(State, (state) => {
  state.write([["row", payload]], stamp)
  return Effect.as(state.checkpoint, stamp.sequence)
})
const sequenceFound = Effect.map(State, (state) => state.stamp().sequence)

const stateAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  await on(stateOn(new MemoryKeyValue()), disk, wrong, checkpoint)
  const found = await on(stateOn(new MemoryKeyValue()), disk.crash(seededRandom(seed)), wrong, sequenceFound)
  claim(found === 1, "the checkpoint that was written is there")
}

/** From before the folder of checkpoints has a name to after the first checkpoint is done. */
const operationsOfCheckpoint = 27

/** The first checkpoint's process is killed after so many operations; what the next one accepts, no power cut takes away. */
const stateStopped = async (seed: number, wrong: Wrong, operations: number): Promise<void> => {
  const random = seededRandom(seed)
  let disk = new MemoryDisk()
  let index = new MemoryKeyValue()
  disk.stopAfter(operations)
  const written = (await untilDead(disk, live(stateOn(index), disk, wrong, checkpoint))) ?? 0
  disk = disk.kill()
  index = index.kill()
  const accepted = await on(stateOn(index), disk, wrong, sequenceFound)
  claim(accepted >= written, `the checkpoint that was written is there after a kill at operation ${operations}`)
  disk = disk.crash(random)
  index = index.crash(random)
  const found = await on(stateOn(index), disk, wrong, sequenceFound)
  claim(found >= accepted, `the checkpoint that a start accepted is there after a power cut: killed at operation ${operations}`)
}

const stateStoppedAnywhere = async (seed: number, wrong: Wrong): Promise<void> => {
  for (let operations = 0; operations <= operationsOfCheckpoint; operations += 1) await stateStopped(seed, wrong, operations)
}

const blocks = Layer.provide(Blocks.layer({ store: storeId, vault: vaultId }), Compute.layer())
const chunk = { id: hashOf(payload) as string as ChunkId, sizeBytes: 3000, sealedHash: hashOf(payload), sealed: payload }
/** All in one folder. */
const blockOf = (number: number): BlockId => `${number}`.padStart(32, "0") as BlockId
const writeBlock = (number: number) => Effect.flatMap(Blocks, (service) => service.write(blockOf(number), [chunk]))
const damagesOf = (number: number) => Effect.flatMap(Blocks, (service) => service.verify(blockOf(number)))

const blocksAlone = async (seed: number, wrong: Wrong): Promise<void> => {
  const disk = new MemoryDisk()
  await on(blocks, disk, wrong, writeBlock(1))
  const damages = await on(blocks, disk.crash(seededRandom(seed)), wrong, damagesOf(1))
  claim(damages.length === 0, "the block that was written is there")
}

/** From before the folder of blocks has a name to after the first block is verified. */
const operationsOfBlock = 16

/** A process is killed after so many operations of its first block; the next one writes one beside it, and the power goes. */
const blocksStopped = async (seed: number, wrong: Wrong, operations: number): Promise<void> => {
  let disk = new MemoryDisk()
  disk.stopAfter(operations)
  const written = await untilDead(disk, live(blocks, disk, wrong, writeBlock(1)))
  disk = disk.kill()
  await on(blocks, disk, wrong, writeBlock(2))
  disk = disk.crash(seededRandom(seed))
  for (const number of written === undefined ? [2] : [1, 2]) {
    const damages = await on(blocks, disk, wrong, damagesOf(number))
    claim(damages.length === 0, `block ${number} that was written is there: the first process killed at operation ${operations}`)
  }
}

const blocksStoppedAnywhere = async (seed: number, wrong: Wrong): Promise<void> => {
  for (let operations = 0; operations <= operationsOfBlock; operations += 1) await blocksStopped(seed, wrong, operations)
}

const scenes = [journalAlone, stateAlone, blocksAlone, journalReleased, journalStoppedAnywhere]
/** Each seed of theirs is many power cuts, one for every operation. */
const scenesStopped = [blocksStoppedAnywhere, stateStoppedAnywhere]

/** Throws where a room that is alone loses what it promised, on any of so many power cuts. */
export const roomsAlone = async (cuts: number, wrong: Wrong): Promise<void> => {
  for (const scene of scenes) {
    for (let seed = 1; seed <= cuts; seed += 1) await scene(seed, wrong)
  }
  for (const scene of scenesStopped) {
    for (let seed = 1; seed <= cuts / 2; seed += 1) await scene(seed, wrong)
  }
}
