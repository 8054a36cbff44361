/** Units in memory that lanes share: used again after work that ended, and never while a lane may still be at it. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { computeHereBytesMax } from "../../src/base/limits.ts"
import { defaultChunkerOptions } from "../../src/chunker/ChunkerOptions.ts"
import { type FreshPiece, type IngestRooms, ingestSizes, seal } from "../../src/ingest.ts"
import type { ComputeService } from "../../src/ports/Compute.ts"
import { vaultOf } from "../../src/sealer/SealKernel.ts"
import { seededRandom } from "../../sim/Random.ts"
import { simulatedCompute } from "../../sim/Compute.ts"
import { makeSlots } from "../../src/uploadSlots.ts"
import { memoryPageBytes } from "../../src/base/wasm.ts"
import { concatBytes } from "../../src/base/bytes.ts"
import { PageSlots } from "../../src/base/PageSlots.ts"
import { unitsOf } from "../../src/units.ts"
import { get, makeBucket, put } from "./operations.ts"
import { bodyOf, keys, type Machine, newMachine, tiny, withStore } from "./store.ts"

/** More than is done where it is asked for. */
const unitBytes = 2 * computeHereBytesMax
const sizes = { ...ingestSizes(defaultChunkerOptions), unitBytes }

/** What sealing uses of the rooms, and a unit of one chunk. */
const sceneOf = (compute: ComputeService) => {
  const rooms = { sizes, ...makeSlots(sizes), vault: vaultOf(keys), compute } as unknown as IngestRooms
  const unit = rooms.units.take()
  unit.set(seededRandom(3).bytes(unitBytes))
  const fresh: FreshPiece = { entry: 0, offset: 0, length: unitBytes, id: rooms.vault.nameChunk(unit) }
  return { rooms, unit, fresh }
}

it.effect("slots: a sealed unit's slot is used again, and the chunk lies in a slot of sealed ones", () =>
  Effect.gen(function*() {
    const { rooms, unit, fresh } = sceneOf(simulatedCompute())
    const plaintext = Uint8Array.from(unit)
    const [sealed] = yield* seal(rooms, unit, [fresh], [96])
    assert.strictEqual(rooms.units.take().buffer, unit.buffer)
    assert.isTrue(rooms.inSlots.has(sealed!.chunk.bytes.buffer))
    unit.fill(0)
    assert.deepStrictEqual(Uint8Array.from(rooms.vault.openChunk(fresh.id, sealed!.chunk.bytes) as Uint8Array), plaintext)
  }))

it.effect("slots: a unit whose sealing was interrupted, or failed, is nobody's any more: the lane may still write", () =>
  Effect.gen(function*() {
    for (const compute of [{ lanes: 1, run: () => Effect.never }, simulatedCompute(1, () => "the lane died")]) {
      const { rooms, unit, fresh } = sceneOf(compute)
      const fiber = yield* Effect.forkChild(Effect.exit(seal(rooms, unit, [fresh], [96])))
      for (let turn = 0; turn < 10; turn += 1) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.notStrictEqual(rooms.units.take().buffer, unit.buffer)
    }
  }))

/** Parts of writes past the page cache: where each goes in its file, and where it comes from. */
const watchWrites = (machine: Machine): Array<{ readonly offset: number; readonly part: Uint8Array }> => {
  const { service } = machine.disk
  const written: Array<{ readonly offset: number; readonly part: Uint8Array }> = []
  const open: typeof service.open = (path, mode, options) => Effect.map(service.open(path, mode, options), (file) => ({
    ...file,
    write: (offset, parts) => {
      let at = offset
      for (const part of options?.direct === true && path.startsWith("blocks/") ? parts : []) {
        written.push({ offset: at, part })
        at += part.length
      }
      return file.write(offset, parts)
    }
  }))
  ;(machine.disk as { service: typeof service }).service = { ...service, open }
  return written
}

it("slots: what does not shrink lies in memory as in its block's file, page for page, so that the disk takes it as it lies", async () => {
  const machine = newMachine(4)
  const written = watchWrites(machine)
  const body = seededRandom(8).bytes(600_000)
  await withStore(machine, Effect.gen(function*() {
    yield* makeBucket
    yield* put("k", body)
    assert.deepStrictEqual(yield* get("k"), body)
  }), { sizes: { ...tiny.sizes, unitBytes: 32_768, blockBytesMin: 32_768, blockBytesTarget: 131_072 } })
  const shared = written.filter(({ part }) => part.buffer instanceof SharedArrayBuffer)
  for (const { offset, part } of shared) assert.strictEqual(part.byteOffset % memoryPageBytes, offset % memoryPageBytes, `a part at ${offset}`)
  const sharedBytes = shared.reduce((sum, { part }) => sum + part.length, 0)
  // The others: a page around each seam of two units, and what was too little for a block.
  assert.isAbove(sharedBytes, 0.7 * body.length)
  // Neighbours are one part: most of a unit.
  assert.isAbove(sharedBytes / shared.length, 16_384)
})

it.effect("units: any body in any pulls, whatever each unit leaves uncut, is read whole and in order, one unit ahead", () =>
  Effect.gen(function*() {
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = seededRandom(seed)
      const slots = new PageSlots(8192, 4)
      const body = random.bytes(random.below(120_000))
      const known = random.chance(0.5)
      const units = unitsOf(slots, { ...bodyOf(body, random, 1 + random.below(20_000)), ...(known ? {} : { sizeBytes: undefined }) })
      const read: Array<Uint8Array> = []
      let rest = new Uint8Array(0)
      for (let isLast = false; !isLast;) {
        const { bytes, carriedBytes, final } = yield* units.next
        isLast = final
        assert.isAtMost(bytes.length, slots.slotBytes)
        assert.deepStrictEqual(Uint8Array.from(bytes.subarray(0, carriedBytes)), rest)
        read.push(Uint8Array.from(bytes.subarray(carriedBytes)))
        if (final) break
        yield* units.readAhead
        // Nothing of it at times, all but a byte at others: more than there is room for before what is read ahead.
        const left = Math.min(bytes.length, slots.slotBytes - 1, random.chance(0.3) ? bytes.length : random.below(bytes.length + 1))
        rest = Uint8Array.from(bytes.subarray(bytes.length - left))
        units.carryOver(bytes.subarray(bytes.length - left))
        bytes.fill(0xee)
        slots.give(bytes)
      }
      assert.strictEqual(units.readBytes(), body.length)
      assert.deepStrictEqual(concatBytes(read), Buffer.from(body))
    }
  }))
