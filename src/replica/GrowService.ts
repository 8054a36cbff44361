/**
 * GrowService: the state of a store that had one member becomes a replica's: the same rows and the same commits, in a slot, at a place of a log that begins behind them.
 * Between a state that stands on a journal of its own and the slots.
 *
 * 1. The rows are those that there were, and so is the root: nothing of the state knows which log brought it.
 * 2. Nothing of the store's own state is touched: until somebody says that the slot counts, it is no more than files and tables that nobody looks for.
 * 3. What is written is verified, built and compared as a state that was fetched is (R13), before it is said to be there.
 */
import { Effect } from "effect"
import { assert } from "../base/assert.ts"
import { fromHex } from "../base/bytes.ts"
import { parseCheckpointName } from "../namespace/CheckpointFormat.ts"
import { makeCheckpointFiles } from "../namespace/CheckpointFilesService.ts"
import { diskError } from "../namespace/CheckpointReadService.ts"
import { headTable } from "../namespace/CheckpointHead.ts"
import { type RowKey, type Stamp, StateError, type StateService } from "../namespace/State.ts"
import { nodeTable } from "../namespace/TreeStore.ts"
import type { Configuration } from "../raft/Configuration.ts"
import type { SnapshotPlace } from "../raft/Entry.ts"
import { placeOf } from "./ReplicaApply.ts"
import { emptyTable, openSlot, type Slot, slotFolder, type SlotOptions, tablesOf, writePointer } from "./SlotService.ts"

/** Where such a state stands: an entry that no log has, before the first term, so that whoever joins is given the state and no log from its beginning. */
const grownIndex = 1

/** What its replica begins with. */
export const grownPlace = (configuration: Configuration): SnapshotPlace => ({ index: grownIndex, term: 0, configuration })

/** The one that counts where nothing else is said. */
const slot: Slot = 0
const first = { kind: "base", generation: 1 } as const
/** Above every key. */
const afterAllKeys: RowKey = "\u0100"

/** Of a state that is checkpointed, and that nobody writes to. What an attempt that was cut short has left is replaced. */
export const growState = Effect.fnUntraced(function*(slots: SlotOptions, state: StateService, configuration: Configuration) {
  assert(state.overlay().rows === 0, "what the tree lacks has no root")
  const files = makeCheckpointFiles(slots.disk, slots.sealer, slotFolder(slots, slot))
  yield* files.remove(yield* files.list)
  yield* Effect.mapError(tablesOf(slots.index, slot).wipe, ({ message }) => new StateError({ reason: "Index", detail: message }))
  const stamp: Stamp = { ...state.stamp(), wal: placeOf(grownIndex) }
  const root = fromHex(state.root())
  // The log has nothing before it: no older generation is waited for.
  yield* files.write(first, state.reader.scan("", afterAllKeys), { generation: first.generation, root, stamp, previousRoot: root, previousStamp: stamp })
  const open = yield* openSlot(slots, slot, { reaches: () => true, holdsAll: () => false })
  const { sequence } = open.state.stamp()
  yield* open.close
  if (sequence !== stamp.sequence) return yield* new StateError({ reason: "Damaged", detail: `the state ends with commit ${stamp.sequence}, and what was written of it with ${sequence}` })
  yield* writePointer(slots, { slot, founding: configuration })
  return stamp
})

/** Takes back what growState has written, of a store that goes on alone. */
export const forgetGrown = Effect.fnUntraced(function*(slots: SlotOptions) {
  const files = makeCheckpointFiles(slots.disk, slots.sealer, slotFolder(slots, slot))
  yield* files.remove(yield* files.list)
  yield* Effect.mapError(tablesOf(slots.index, slot).wipe, ({ message }) => new StateError({ reason: "Index", detail: message }))
})

/** Once its replica runs, what the store had its state in is nobody's: checkpoints and tables that are of no slot. */
export const forgetAlone = Effect.fnUntraced(function*({ disk, folder, index }: SlotOptions) {
  const isCheckpoint = (name: string): boolean => parseCheckpointName(name.replace(/\.damaged$/, "")) !== undefined
  for (const name of yield* Effect.mapError(disk.list(folder), diskError)) {
    if (isCheckpoint(name)) yield* Effect.mapError(disk.remove(`${folder}/${name}`), diskError)
  }
  // The head first: nodes without one are nobody's, also where this is cut short.
  for (const table of [headTable, nodeTable]) yield* Effect.mapError(emptyTable(index, table), ({ message }) => new StateError({ reason: "Index", detail: message }))
})
