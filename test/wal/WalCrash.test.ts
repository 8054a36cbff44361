/** Property: whatever crashes, is killed or fails to sync, what was acknowledged is there bit for bit. */
import { Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { assert } from "../../src/base/assert.ts"
import { equalBytes } from "../../src/base/bytes.ts"
import { isWhole } from "../../src/wal/Wal.ts"
import type { WalPlace, WalPosition, WalRecord } from "../../src/wal/WalRecord.ts"
import { comparePlaces, placeAfter } from "../../src/wal/WalRecord.ts"
import type { WalInterface } from "../../src/wal/WalService.ts"
import { idOfPayload, recordOf, startWal, untilStopped } from "./scene.ts"

interface Appended {
  readonly id: number
  /** The first id of its append, where that is all or nothing. */
  readonly whole: number | undefined
  readonly record: WalRecord
  readonly life: number
  readonly epoch: number
  /** Order of the append that it came with. */
  position: WalPosition
  acknowledged: boolean
}

/** What the test knows of the world, across lives. */
interface World {
  readonly appended: Map<number, Appended>
  keepFrom: WalPlace | undefined
  idNext: number
  life: number
  lost: number
}

const appendSome = Effect.fnUntraced(function*(world: World, wal: WalInterface, random: Random) {
  const drawn = Array.from({ length: 1 + random.below(4) }, () => {
    const bytes = random.chance(0.1) ? random.below(20_000) : random.below(1500)
    return recordOf(world.idNext++, bytes)
  })
  const isTaken = !isWhole(drawn) || wal.takes(drawn.length, drawn.reduce((sum, { payload }) => sum + payload.length, 0))
  const records = isTaken ? drawn : drawn.slice(0, 1)
  const ticket = yield* wal.append(records)
  const mine = records.map((record, index): Appended => {
    const id = idOfPayload(record.payload)
    const whole = isWhole(records) ? idOfPayload(records[0]!.payload) : undefined
    const row = { id, whole, record, life: world.life, epoch: ticket.epoch, position: ticket.positions[index]!, acknowledged: false }
    world.appended.set(id, row)
    return row
  })
  const durable = Effect.tap(ticket.durable, () => Effect.sync(() => {
    for (const row of mine) row.acknowledged = true
  }))
  return { durable }
})

/** Several writers; some wait for each append, some do not; now and then both consumers let go of what they can. */
const writeAlong = Effect.fnUntraced(function*(world: World, wal: WalInterface, random: Random) {
  yield* Effect.forEach([1, 2, 3], (writer) => Effect.gen(function*() {
    for (let turn = 0; turn < 12; turn++) {
      const { durable } = yield* appendSome(world, wal, random)
      if (writer > 1 || random.chance(0.5)) yield* durable
      else yield* Effect.forkChild(Effect.exit(durable))
      if (random.chance(0.15)) {
        const acknowledged = [...world.appended.values()].filter((row) => row.acknowledged)
        const row = acknowledged[random.below(Math.max(1, acknowledged.length))]
        if (row !== undefined && (world.keepFrom === undefined || comparePlaces(row.position, world.keepFrom) > 0)) {
          world.keepFrom = placeAfter(row.position)
        }
        if (world.keepFrom !== undefined) {
          yield* wal.release("state", world.keepFrom)
          yield* wal.release("ingest", world.keepFrom)
        }
      }
    }
  }).pipe(Effect.catchTag("WalError", (error) => Effect.sync(() => {
    assert(["Lost", "Failed", "Disk", "Closed"].includes(error.reason), error.message)
    world.lost += 1
  }))), { concurrency: "unbounded", discard: true })
})

/** Replays, and compares with what the world knows. */
const verify = Effect.fnUntraced(function*(world: World, wal: WalInterface) {
  const seen = new Map<number, WalPosition>()
  let before = -1
  yield* wal.replay(world.keepFrom, ({ kind, payload, position }) => Effect.sync(() => {
    const id = idOfPayload(payload)
    const row = world.appended.get(id)
    assert(row !== undefined, `record ${id} was appended once`)
    assert(kind === row.record.kind, `record ${id} is of the kind it was`)
    assert(equalBytes(payload, row.record.payload), `record ${id} bit for bit`)
    assert(id > before, `record ${id} in order of appending`)
    assert(comparePlaces(position, row.position) === 0, `record ${id} where it was put`)
    before = id
    seen.set(id, position)
  }))
  const [cut, parted] = [new Map<string, number>(), new Map<number, boolean>()]
  for (const row of world.appended.values()) {
    const wanted = world.keepFrom === undefined || comparePlaces(row.position, world.keepFrom) >= 0
    if (!wanted) continue
    assert(!row.acknowledged || seen.has(row.id), `acknowledged record ${row.id} of life ${row.life} is there`)
    if (row.whole !== undefined) {
      const isThere = seen.has(row.id)
      assert((parted.get(row.whole) ?? isThere) === isThere, `record ${row.id} is ${isThere ? "there" : "gone"}, and others of its append are not`)
      parted.set(row.whole, isThere)
    }
    const group = `${row.life}/${row.epoch}`
    if (!seen.has(row.id)) cut.set(group, row.id)
    else assert(!cut.has(group), `a prefix: ${row.id} is there and an earlier one of life ${group} is not`)
  }
  for (const [id, position] of seen) {
    const payload = yield* wal.read(position)
    assert(equalBytes(payload, world.appended.get(id)!.record.payload), `record ${id} reads as it was written`)
  }
  // What recovery accepted was durable, acknowledged or not; what it did not accept is gone for good.
  for (const [id, row] of world.appended) {
    if (seen.has(id)) row.acknowledged = true
    else if (!row.acknowledged) world.appended.delete(id)
  }
})

const faultOf = (random: Random, probability: number): MemoryDisk["fault"] => (operation) => {
  if (!["write", "sync", "syncFolder", "open"].includes(operation) || !random.chance(probability)) return undefined
  return operation === "sync" && random.chance(0.7) ? "DroppedSync" : random.pick(["Io", "NoSpace"] as const)
}

const live = async (seed: number): Promise<World> => {
  const random = seededRandom(seed)
  const world: World = { appended: new Map(), keepFrom: undefined, idNext: 1, life: 0, lost: 0 }
  let disk = new MemoryDisk()
  const faulty = random.chance(0.5) ? random.pick([0.01, 0.05, 0.2]) : 0
  const lives = 2 + random.below(4)
  for (world.life = 1; world.life <= lives; world.life++) {
    const last = world.life === lives
    // Most crashes fall into the work; some fall into recovery.
    if (!last) disk.stopAfter(disk.operations + random.below(random.chance(0.3) ? 25 : 250))
    const exit = await untilStopped(disk, Effect.gen(function*() {
      const { wal, stop } = yield* startWal(disk, world.life)
      yield* verify(world, wal)
      if (last) return yield* stop
      disk.fault = faultOf(random, faulty)
      yield* writeAlong(world, wal, random)
      disk.fault = undefined
      if (random.chance(0.5)) yield* stop
    }))
    if (exit !== undefined && Exit.isFailure(exit)) throw new Error(`seed ${seed}, life ${world.life}: ${String(exit.cause)}`)
    disk = random.chance(0.7) ? disk.crash(random) : disk.kill(random)
  }
  return world
}

test("wal: whatever crashes, is killed or fails to sync, the acknowledged is there and the accepted is a prefix", async () => {
  let records = 0
  let lost = 0
  for (let seed = 1; seed <= Number(process.env["WAL_SEEDS"] ?? 150); seed++) {
    const world = await live(seed)
    records += world.idNext
    lost += world.lost
  }
  expect(records).toBeGreaterThan(5000)
  expect(lost, "failed syncs were met").toBeGreaterThan(20)
})
