/**
 * SlotService: two places for one replica's state, of which one counts: a state that is fetched is built in the other one, whole and
 * verified, while this one goes on serving; then one small file says that it counts. Between the replica and namespace/StateService.
 *
 * A slot is a folder of checkpoint files and tables of the index of its own. The file `current` is replaced whole: a crash leaves
 * the one or the other.
 *
 *     0 8 bytes "OUROSLOT"   8 u16 format (1)   10 u8 slot (0, 1)   11 u8 zero   12 u32 length   16 the founding configuration   then u32 CRC-32C of all before
 */
import { Effect, Exit, Layer, Scope } from "effect"
import { copyOf, equalBytes, toUtf8 } from "../base/bytes.ts"
import { crc32c } from "../base/hash.ts"
import { KiB } from "../base/limits.ts"
import { decodeWith, encodeWith, FormatError } from "../namespace/Canonical.ts"
import { headKey, headTable } from "../namespace/CheckpointHead.ts"
import { diskError } from "../namespace/CheckpointReadService.ts"
import { type Stamp, StateError, type StateService, type ValueSealer } from "../namespace/State.ts"
import { make } from "../namespace/StateService.ts"
import { nodeTable } from "../namespace/TreeStore.ts"
import { readIndex } from "../namespace/TreeWriteService.ts"
import { Disk, type DiskService } from "../ports/Disk.ts"
import { KeyValue, KeyValueError, type KeyValueService } from "../ports/KeyValue.ts"
import type { Configuration } from "../raft/Configuration.ts"
import { configurationCodec } from "./ReplicaRows.ts"

export type Slot = 0 | 1
export const otherSlot = (slot: Slot): Slot => (slot === 0 ? 1 : 0)

export interface SlotOptions {
  readonly disk: DiskService
  readonly index: KeyValueService
  readonly sealer: ValueSealer
  /** As StateOptions has it. */
  readonly rootKey: Uint8Array
  readonly folder: string
  readonly nodeCacheBytes?: number
  readonly deltasMax?: number
}

/** A state that is open. */
export interface OpenSlot {
  readonly slot: Slot
  readonly state: StateService
  readonly close: Effect.Effect<void>
}

/** Which slot counts, and who voted before the first configuration of the log: where the state came from another replica, it says so. */
export interface Pointer {
  readonly slot: Slot
  readonly founding: Configuration
}

/** Whether Raft's log can bring a generation up to now, and whether it has everything (StateOptions). */
export interface LogReach {
  readonly reaches: (from: Stamp["wal"]) => boolean
  readonly holdsAll: (upTo: Stamp["wal"]) => boolean
}

export const slotFolder = ({ folder }: SlotOptions, slot: Slot): string => `${folder}/${slot}`

/** Opens the state of a slot: recovers it, which ends by comparing roots, or begins an empty one. */
export const openSlot = Effect.fnUntraced(function*(options: SlotOptions, slot: Slot, { holdsAll, reaches }: LogReach) {
  const { deltasMax, disk, index, nodeCacheBytes, rootKey, sealer } = options
  const scope = yield* Scope.make()
  const close = Scope.close(scope, Exit.void)
  const ports = Layer.mergeAll(Layer.succeed(Disk, disk), Layer.succeed(KeyValue, tablesOf(index, slot)))
  const context = yield* Layer.buildWithScope(ports, scope)
  const state = yield* Effect.provideContext(Scope.provide(make({
    sealer, rootKey, folder: slotFolder(options, slot), journalReaches: reaches, journalHoldsAll: holdsAll,
    ...(deltasMax === undefined ? {} : { deltasMax }), ...(nodeCacheBytes === undefined ? {} : { nodeCacheBytes })
  }), scope), context).pipe(Effect.onError(() => close))
  const open: OpenSlot = { slot, state, close }
  return open
})

/** Rows of one step of a wipe. */
const wipedAtOnce = 1024

/** In steps, each whole. */
export const emptyTable = Effect.fnUntraced(function*(index: KeyValueService, name: string) {
  for (;;) {
    const rows = readIndex(() => index.range(name, { limit: wipedAtOnce }))
    if (rows instanceof StateError) return yield* Effect.fail(new KeyValueError({ operation: "wipe", detail: rows.detail }))
    if (rows.length === 0) return
    yield* index.commit(rows.map(([key]) => ({ _tag: "Delete", table: name, key })))
  }
})

/** The index as a slot sees it: its own tables, and `wipe` empties no others. */
export const tablesOf = (index: KeyValueService, slot: Slot): KeyValueService => {
  const nameOf = (table: string): string => `${table}.${slot}`
  return {
    get: (table, key) => index.get(nameOf(table), key),
    getMany: (table, keys) => index.getMany(nameOf(table), keys),
    range: (table, range) => index.range(nameOf(table), range),
    commit: (changes) => index.commit(changes.map((change) => ({ ...change, table: nameOf(change.table) }))),
    flushed: index.flushed,
    // Without a head, nodes are nobody's: an interrupted wipe is done again.
    wipe: Effect.andThen(index.commit([{ _tag: "Delete", table: nameOf(headTable), key: headKey }]), Effect.andThen(emptyTable(index, nameOf(headTable)), emptyTable(index, nameOf(nodeTable))))
      .pipe(Effect.mapError((error) => new KeyValueError({ operation: "wipe", detail: error.detail })))
  }
}

const magic = toUtf8("OUROSLOT")
const format = 1
const headBytes = 16
const checkBytes = 4
const pointerBytesMax = 64 * KiB

export const encodePointer = ({ founding, slot }: Pointer): Uint8Array => {
  const configuration = encodeWith(configurationCodec, founding)
  const bytes = Buffer.alloc(headBytes + configuration.length + checkBytes)
  bytes.set(magic, 0)
  bytes.writeUInt16BE(format, 8)
  bytes.writeUInt8(slot, 10)
  bytes.writeUInt32BE(configuration.length, 12)
  bytes.set(configuration, headBytes)
  bytes.writeUInt32BE(crc32c(bytes.subarray(0, headBytes + configuration.length)), headBytes + configuration.length)
  return bytes
}

export const decodePointer = (source: Uint8Array): Pointer | StateError => {
  const damaged = (detail: string): StateError => new StateError({ reason: "Damaged", detail: `the file that says which state counts: ${detail}; remove this replica, and let it come back as another` })
  if (source.length < headBytes + checkBytes || !equalBytes(source.subarray(0, 8), magic)) return damaged(`${source.length} bytes without its first ones`)
  const bytes = Buffer.from(copyOf(source))
  const end = bytes.length - checkBytes
  if (bytes.readUInt32BE(end) !== crc32c(bytes.subarray(0, end))) return damaged("its checksum is wrong")
  if (bytes.readUInt16BE(8) > format) return new StateError({ reason: "UnknownFormat", detail: `the file that says which state counts: format ${bytes.readUInt16BE(8)}; this version reads ${format}: run a newer one` })
  const slot = bytes[10]
  if ((slot !== 0 && slot !== 1) || bytes[11] !== 0 || bytes.readUInt16BE(8) !== format || bytes.readUInt32BE(12) !== end - headBytes) return damaged("its fields are none")
  try {
    return { slot, founding: decodeWith(configurationCodec, bytes.subarray(headBytes, end), "founding configuration") }
  } catch (error) {
    if (error instanceof FormatError) return damaged(error.message)
    throw error
  }
}

/** Undefined: nobody ever wrote one, and slot 0 counts. */
export const readPointer = Effect.fnUntraced(function*({ disk, folder }: SlotOptions) {
  yield* Effect.mapError(disk.makeFolder(folder), diskError)
  const names = yield* Effect.mapError(disk.list(folder), diskError)
  if (!names.includes(pointerName)) return undefined
  const bytes = yield* Effect.scoped(Effect.flatMap(disk.open(`${folder}/${pointerName}`, "read"), (file) => file.read(0, pointerBytesMax))).pipe(Effect.mapError(diskError))
  const pointer = decodePointer(bytes)
  return pointer instanceof StateError ? yield* pointer : pointer
})

const pointerName = "current"

/** From here on that slot counts. */
export const writePointer = Effect.fnUntraced(function*({ disk, folder }: SlotOptions, pointer: Pointer) {
  const path = `${folder}/${pointerName}`
  const temporary = `${path}.tmp`
  yield* Effect.catch(disk.remove(temporary), (error) => (error.code === "NotFound" ? Effect.void : Effect.fail(error)))
  yield* Effect.scoped(Effect.flatMap(disk.open(temporary, "create"), (file) => Effect.andThen(file.write(0, [encodePointer(pointer)]), file.sync)))
  yield* disk.rename(temporary, path)
  yield* disk.syncFolder(folder)
}, Effect.mapError(diskError))
