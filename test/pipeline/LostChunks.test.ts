/** The journal's sync fails between a chunk's append and the commit that names it: the commit is refused, nothing is half stored. */
import { Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { assert } from "../../src/base/assert.ts"
import { toHex } from "../../src/base/bytes.ts"
import { Meters } from "../../src/base/Meters.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { contentOf } from "../../src/content.ts"
import { Fetch } from "../../src/fetch.ts"
import { Allowances } from "../../src/allowance.ts"
import { collect, filePlaces, journal } from "../../src/gather.ts"
import {
  beginUpload, cutAndName, ingestMeters, type IngestRooms, ingestSizes, lookUp, propose, seal
} from "../../src/ingest.ts"
import { makeSlots } from "../../src/uploadSlots.ts"
import { unitsOf } from "../../src/units.ts"
import { Intents } from "../../src/intents.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { finishManifest } from "../../src/pages.ts"
import { Pins } from "../../src/pins.ts"
import { Compute } from "../../src/ports/Compute.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import { vaultOf } from "../../src/sealer/SealKernel.ts"
import { Wal } from "../../src/wal/WalService.ts"
import type { DiskFault, MemoryDisk } from "../../sim/Disk.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, noSummary, put } from "./operations.ts"
import { bodyOf, keys, type Machine, newMachine, tiny, withStore } from "./store.ts"

const bytes = seededRandom(7).bytes(2000)

/** The next sync of the journal fails. */
const failNextSync = (disk: MemoryDisk, fault: DiskFault): void => {
  let syncs = 0
  disk.fault = (operation, path) => operation === "sync" && path.startsWith("journal/") && (syncs += 1) === 1 ? fault : undefined
}

const ingestRooms = Effect.gen(function*() {
  const sizes = { ...ingestSizes(tiny.settings!.chunks!), ...tiny.sizes }
  const rooms: IngestRooms = {
    sizes, vault: vaultOf(keys), compute: yield* Compute, entropy: yield* Entropy,
    wal: yield* Wal, namespace: yield* Namespace, blocks: yield* Blocks, pins: yield* Pins, intents: yield* Intents, fetch: yield* Fetch, allowances: yield* Allowances,
    ...makeSlots(sizes), meters: ingestMeters(new Meters())
  }
  return rooms
})

/** The stages of a put; `meanwhile` runs when the chunks are appended and the commit is not. */
const putSlowly = (key: string, meanwhile: Effect.Effect<void, never, Wal>) =>
  Effect.scoped(Effect.gen(function*() {
    const rooms = yield* ingestRooms
    const upload = yield* beginUpload(rooms, bytes.length)
    const named = yield* cutAndName(rooms, yield* unitsOf(rooms.units, bodyOf(bytes)).next)
    const fresh = lookUp(rooms, upload, named)
    yield* collect(rooms, upload, yield* seal(rooms, named.bytes, fresh, filePlaces(rooms, upload, fresh)))
    yield* journal(rooms, upload)
    const content = contentOf(upload, yield* finishManifest(rooms, upload), noSummary())
    assert(content.arrivals.length > 0, "the journal alone has its chunks")
    yield* meanwhile
    const attributes = { headers: {}, userMetadata: {} }
    return yield* Effect.exit(propose(rooms, upload, { _tag: "PutObject", bucket: "b", key, attributes, content }))
  }))

const untilEpochMoves = Effect.gen(function*() {
  const wal = yield* Wal
  const before = wal.epoch()
  for (let turn = 0; turn < 1000 && wal.epoch() === before; turn += 1) yield* Effect.yieldNow
  assert(wal.epoch() > before, "the segment was abandoned")
})

for (const fault of ["DroppedSync", "Io", "NoSpace"] as const) {
  test(`chunks are lost with a failed sync (${fault}) before their commit is asked for: it is refused, and no commit names them`, async () => {
    const machine = newMachine(1)
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const { sequence } = namespace.head()
      const exit = yield* putSlowly("k", Effect.suspend(() => {
        failNextSync(machine.disk, fault)
        return untilEpochMoves
      }))
      expect(Exit.isFailure(exit) && String(exit.cause)).toContain("LostChunks")
      expect(namespace.head().sequence, "nothing was committed").toBe(sequence)
      expect(namespace.journaled(10)).toEqual([])
      expect(String(yield* Effect.exit(get("k")))).toContain("NoSuchKey")
      // The same bytes again are no duplicates of what is lost.
      machine.disk.fault = undefined
      yield* put("k", bytes)
      expect(toHex(yield* get("k"))).toBe(toHex(bytes))
    }))
    const after: Machine = { disk: machine.disk.crash(seededRandom(2)), index: machine.index.crash(seededRandom(2)), random: seededRandom(3) }
    await withStore(after, Effect.flatMap(get("k"), (found) => Effect.sync(() => expect(toHex(found)).toBe(toHex(bytes)))))
  })
}

test("chunks whose journal goes on in the same epoch are stored, however long the commit takes", () =>
  withStore(newMachine(4), Effect.gen(function*() {
    yield* makeBucket
    const exit = yield* putSlowly("k", Effect.forEach(Array.from({ length: 100 }), () => Effect.yieldNow, { discard: true }))
    expect(String(exit)).toContain("Success")
    expect(toHex(yield* get("k"))).toBe(toHex(bytes))
  })))
