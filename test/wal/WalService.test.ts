/** The journal as its callers see it: order, group commit, bounds, and what it says when it cannot. */
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { walQueueBytesMax, walRecordBytesMax, walReserveBytes } from "../../src/base/limits.ts"
import { payloadBytesMax, walSizes } from "../../src/wal/Wal.ts"
import type { WalCommand } from "../../src/wal/Wal.ts"
import type { WalFault } from "../../src/wal/WalInspectService.ts"
import { comparePlaces } from "../../src/wal/WalRecord.ts"
import { idOfPayload, recordOf, replayIds, run, smallSizes, startWal } from "./scene.ts"

const count = (disk: MemoryDisk, operation: "write" | "sync" | "read"): number => disk.counts.get(operation) ?? 0

const settled = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

test("wal: a lone append is one write and one sync", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1)
  const before = [count(disk, "write"), count(disk, "sync")]
  const ticket = yield* wal.append([recordOf(1, 1000, "Chunk"), recordOf(2, 100, "Commit")])
  yield* ticket.durable
  expect([count(disk, "write"), count(disk, "sync")]).toEqual(before.map((n) => n + 1))
})))

test("wal: many writers share syncs, and tickets come true in the order of their appends", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1, { sizes: walSizes })
  const before = count(disk, "sync")
  const done: Array<number> = []
  yield* Effect.forEach(Array.from({ length: 400 }, (_, id) => id), (id) => Effect.gen(function*() {
    const ticket = yield* wal.append([recordOf(id, 1024)])
    yield* ticket.durable
    done.push(id)
  }), { concurrency: "unbounded", discard: true })
  expect(done).toEqual(Array.from({ length: 400 }, (_, id) => id))
  expect(count(disk, "sync") - before).toBeLessThanOrEqual(4)
  yield* stop
  const again = yield* startWal(disk, 2, { sizes: walSizes })
  expect(yield* replayIds(again.wal)).toEqual(done)
})))

test("wal: the records of one append lie side by side, in call order, whoever else appends", () => run(Effect.gen(function*() {
  const { wal } = yield* startWal(new MemoryDisk(), 1)
  const tickets = yield* Effect.forEach([0, 1, 2, 3], (n) => wal.append([recordOf(n * 2, 50), recordOf(n * 2 + 1, 60)]))
  const positions = tickets.flatMap((ticket) => ticket.positions)
  expect(positions.every((position, index) => index === 0 || comparePlaces(positions[index - 1]!, position) < 0)).toBe(true)
  yield* Effect.forEach(tickets, (ticket) => ticket.durable)
  const payloads = yield* wal.readMany([...positions].reverse())
  expect(payloads.map(idOfPayload)).toEqual([7, 6, 5, 4, 3, 2, 1, 0])
})))

test("wal: what is not durable yet cannot be read", () => run(Effect.gen(function*() {
  const { wal } = yield* startWal(new MemoryDisk(), 1)
  const ticket = yield* wal.append([recordOf(1, 50)])
  expect((yield* Effect.flip(wal.read(ticket.positions[0]!))).reason).toBe("NotHere")
  yield* ticket.durable
  expect(idOfPayload(yield* wal.read(ticket.positions[0]!))).toBe(1)
})))

test("wal: a full queue holds appends back until there is room, and one that gave up is not written", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1, { sizes: walSizes })
  const large = recordOf(1, walRecordBytesMax)
  const tickets = []
  for (let index = 1; index < walQueueBytesMax / walRecordBytesMax; index++) tickets.push(yield* wal.append([large]))
  const impatient = yield* Effect.forkChild(wal.append([recordOf(2, walRecordBytesMax)]), { startImmediately: true })
  const patient = yield* Effect.forkChild(wal.append([recordOf(3, 10)]), { startImmediately: true })
  yield* Fiber.interrupt(impatient)
  expect(wal.status().queuedBytes).toBeLessThanOrEqual(walQueueBytesMax)
  const ticket = yield* Fiber.join(patient)
  yield* ticket.durable
  yield* Effect.forEach(tickets, ({ durable }) => durable)
  expect(wal.status().queuedBytes).toBe(0)
  yield* stop
  const again = yield* startWal(disk, 2)
  expect((yield* replayIds(again.wal)).slice(-2)).toEqual([1, 3])
  const longest = yield* again.wal.append([recordOf(4, payloadBytesMax(smallSizes))])
  yield* longest.durable
  expect((yield* Effect.flip(again.wal.append([recordOf(5, payloadBytesMax(smallSizes) + 1)]))).reason).toBe("TooLarge")
})))

test("wal: while the queue is full, appends wait", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1, { sizes: walSizes })
  const large = recordOf(1, walRecordBytesMax)
  // In one turn of the scheduler, before the pump can write any of it.
  const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () => Effect.forkChild(wal.append([large]), { startImmediately: true }))
  expect(wal.status().queuedBytes).toBe(7 * (walRecordBytesMax + 96))
  const tickets = yield* Effect.forEach(fibers, Fiber.join)
  yield* Effect.forEach(tickets, ({ durable }) => durable)
  expect(new Set(tickets.map(({ positions }) => `${positions[0]!.segment}:${positions[0]!.offset}`)).size).toBe(20)
})))

test("wal: a record or an append beyond its limit is refused with the limit", () => run(Effect.gen(function*() {
  const { wal } = yield* startWal(new MemoryDisk(), 1, { sizes: walSizes })
  const error = yield* Effect.flip(wal.append([recordOf(1, walRecordBytesMax + 1)]))
  expect(error.reason).toBe("TooLarge")
  expect(error.message).toContain(String(walRecordBytesMax))
})))

test("wal: on a nearly full disk commits are taken and chunks are not, until there is room", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  disk.capacityBytes = walReserveBytes + 40_000
  const { wal } = yield* startWal(disk, 1)
  yield* Effect.forEach([1, 2, 3], (id) => Effect.flatMap(wal.append([recordOf(id, 30_000)]), ({ durable }) => durable))
  const error = yield* Effect.flip(wal.append([recordOf(4, 100, "Chunk"), recordOf(5, 100, "Commit")]))
  expect(error.message).toContain("NoSpace")
  const deletion = yield* wal.append([recordOf(5, 100, "Commit")])
  yield* deletion.durable
  yield* wal.release("state", wal.head())
  yield* wal.release("ingest", wal.head())
  disk.capacityBytes += 40_000
  const ticket = yield* wal.append([recordOf(6, 100, "Chunk")])
  yield* ticket.durable
})))

test("wal: an append for an epoch that has passed is refused, and nothing of it is written", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1)
  const epoch = wal.epoch()
  yield* Effect.flatMap(wal.append([recordOf(1, 100)], epoch), ({ durable }) => durable)
  let left = 1
  disk.fault = (operation) => operation === "sync" && left-- > 0 ? "Io" : undefined
  yield* Effect.flip(Effect.flatMap(wal.append([recordOf(2, 100)]), ({ durable }) => durable))
  expect((yield* Effect.flip(wal.append([recordOf(3, 100)], epoch))).reason).toBe("EpochMoved")
  yield* Effect.flatMap(wal.append([recordOf(4, 100)], wal.epoch()), ({ durable }) => durable)
  yield* stop
  const again = yield* startWal(disk, 2)
  expect(yield* replayIds(again.wal)).toEqual([1, 4])
})))

test("wal: stopping writes what is queued, proves it, and refuses what comes after", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1)
  const ticket = yield* wal.append([recordOf(1, 100)])
  yield* stop
  yield* ticket.durable
  expect((yield* Effect.flip(wal.append([recordOf(2, 100)]))).reason).toBe("Closed")
  expect(wal.status()).toMatchObject({ phase: "Stopped", batches: 2 })
})))

test("wal: an idle journal proves its last batch once, and then is quiet", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1)
  yield* Effect.flatMap(wal.append([recordOf(1, 100)]), ({ durable }) => durable)
  yield* Effect.forEach([1, 2, 3, 4], () => Effect.andThen(TestClock.adjust(1000), settled))
  expect(wal.status().batches).toBe(2)
})))

test("wal: failed syncs raise the epoch, and a third one does not fail the journal after a good one", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1)
  for (const round of [1, 2, 3]) {
    let left = 1
    disk.fault = (operation) => operation === "sync" && left-- > 0 ? "Io" : undefined
    const lost = yield* wal.append([recordOf(round, 100)])
    expect((yield* Effect.flip(lost.durable)).reason).toBe("Lost")
    expect(wal.epoch()).toBe(lost.epoch + 1)
    const kept = yield* wal.append([recordOf(round + 10, 100)])
    expect(kept.epoch).toBe(wal.epoch())
    yield* kept.durable
  }
  expect(wal.status().phase).toBe("Running")
})))

test("wal: a segment that could not be opened leaves no file, and whoever looks at all of them finds no damage (short 860298)", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1, { sizes: smallSizes })
  const faults = ["Io" as const]
  disk.fault = (operation) => operation === "open" ? faults.pop() : undefined
  for (let id = 1; faults.length > 0; id += 1) yield* Effect.exit(Effect.flatMap(wal.append([recordOf(3 * id, 9000)]), ({ durable }) => durable))
  yield* Effect.flatMap(wal.append([recordOf(300, 100)]), ({ durable }) => durable)
  expect(disk.counts.get("open")).toBeGreaterThan(2)
  const found: Array<WalFault> = []
  yield* wal.inspect((inspected) => Effect.sync(() => void found.push(...inspected.faults)))
  expect(found).toEqual([])
})))

test("wal: a failed journal refuses appends with what to do, releases nothing, and reads on", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1)
  const good = yield* wal.append([recordOf(1, 100)])
  yield* good.durable
  disk.fault = (operation) => operation === "sync" ? "Io" : undefined
  yield* Effect.flip(Effect.flatMap(wal.append([recordOf(2, 100)]), ({ durable }) => durable))
  yield* settled
  const error = yield* Effect.flip(wal.append([recordOf(3, 100)]))
  expect(error.reason).toBe("Failed")
  expect(error.message).toContain("start again")
  expect(idOfPayload(yield* wal.read(good.positions[0]!))).toBe(1)
  yield* wal.release("state", wal.head())
  yield* wal.release("ingest", wal.head())
  expect(idOfPayload(yield* wal.read(good.positions[0]!))).toBe(1)
  yield* stop
})))

test("wal: a release that the disk refuses is tried again by the next one", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal } = yield* startWal(disk, 1)
  const tickets = yield* Effect.forEach([1, 2, 3], (id) => wal.append([recordOf(id, 30_000)]))
  yield* Effect.forEach(tickets, ({ durable }) => durable)
  yield* wal.release("state", wal.head())
  let left = 1
  disk.fault = (operation) => operation === "remove" && left-- > 0 ? "Io" : undefined
  const before = wal.status().bytes
  expect((yield* Effect.flip(wal.release("ingest", wal.head()))).reason).toBe("Disk")
  expect(wal.status().bytes).toBe(before)
  yield* wal.release("ingest", wal.head())
  expect([...disk.contents().keys()]).toEqual(["wal/00000003.seg"])
  expect(wal.status().bytes).toBe(disk.contents().get("wal/00000003.seg")!.length)
})))

test("wal: replay comes before the first append, and another store's folder is refused", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { wal, stop } = yield* startWal(disk, 1)
  yield* Effect.flatMap(wal.append([recordOf(1, 100)]), ({ durable }) => durable)
  expect(yield* Effect.flip(replayIds(wal))).toMatchObject({ reason: "Misused" })
  yield* stop
  const other = yield* Effect.exit(startWal(disk, 2, { storeId: "11".repeat(16) as never }))
  expect(Exit.isFailure(other) && String(other.cause)).toContain("it belongs to store")
})))

test("wal: the machine's commands for one life are those of the model", () => run(Effect.gen(function*() {
  const seen = new Set<string>()
  const { wal, stop } = yield* startWal(new MemoryDisk(), 1, {
    observe: (_, event, commands: ReadonlyArray<WalCommand>) => {
      seen.add(event._tag)
      for (const command of commands) seen.add(command._tag)
    }
  })
  yield* Effect.flatMap(wal.append([recordOf(1, 100)]), ({ durable }) => durable)
  yield* stop
  expect([...seen]).toEqual(["Start", "OpenSegment", "SegmentOpened", "Append", "Assign", "Write", "WriteBatch", "Written", "Sync", "Synced", "Acknowledge", "Stop"])
})))

test("wal: of a last batch that has rotted and that nothing proves, what Raft had there is told; one that is whole tells nothing", () => run(Effect.gen(function*() {
  for (const rotten of [undefined, 1, 2]) {
    const disk = new MemoryDisk()
    const { wal } = yield* startWal(disk, 1)
    const records = [recordOf(1, 100, "Chunk"), recordOf(2, 100, "Raft"), recordOf(3, 100, "Raft")]
    const ticket = yield* wal.append(records)
    yield* ticket.durable
    const killed = disk.kill()
    if (rotten !== undefined) killed.corrupt("wal/00000001.seg", ticket.positions[rotten]!.offset + 50)
    const { wal: next } = yield* startWal(killed, 2)
    const told = next.found().doubtful.map(({ payload }) => payload === undefined ? "rotten" : idOfPayload(payload))
    expect([rotten, next.status().tornTail === undefined, told]).toEqual(
      rotten === undefined ? [undefined, true, []] : [rotten, false, rotten === 1 ? ["rotten", 3] : [2, "rotten"]])
  }
})))
