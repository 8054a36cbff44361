/** Property: a byte that rots is named, never wrong, and takes nothing with it but its own record (P3, P4). */
import { Effect, Exit, Layer } from "effect"
import { expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { assert } from "../../src/base/assert.ts"
import { equalBytes } from "../../src/base/bytes.ts"
import { Disk, type DiskFile } from "../../src/ports/Disk.ts"
import type { WalPosition, WalRecord } from "../../src/wal/WalRecord.ts"
import { recordOf, startWal, untilStopped } from "./scene.ts"

type Written = ReadonlyArray<{ readonly record: WalRecord; readonly position: WalPosition }>

const write = Effect.fnUntraced(function*(disk: MemoryDisk, random: Random) {
  const { wal, stop } = yield* startWal(disk, 1)
  const written: Array<Written[number]> = []
  for (let id = 1; id <= 25; id++) {
    const record = recordOf(id, random.below(id % 5 === 0 ? 20_000 : 600))
    const ticket = yield* wal.append([record])
    yield* ticket.durable
    written.push({ record, position: ticket.positions[0]! })
  }
  if (random.chance(0.5)) yield* stop
  return written
})

const key = ({ segment, offset }: WalPosition): string => `${segment}:${offset}`

/** The same disk, one of whose reads (the n-th) comes back with a bit flipped; what it holds is untouched. */
const misreading = (disk: MemoryDisk, n: number, bit: number): MemoryDisk => {
  let reads = 0
  const misread = (file: DiskFile): DiskFile => ({
    ...file,
    read: (offset, length) => Effect.map(file.read(offset, length), (bytes) => {
      reads += 1
      if (reads !== n || bytes.length === 0) return bytes
      const wrong = Uint8Array.from(bytes)
      const at = (bit >> 3) % wrong.length
      wrong[at] = wrong[at]! ^ (1 << (bit & 7))
      return wrong
    })
  })
  const service = Disk.of({ ...disk.service, open: (path, mode, options) => Effect.map(disk.service.open(path, mode, options), misread) })
  return Object.create(disk, { layer: { value: Layer.succeed(Disk, service) }, stopped: { get: () => disk.stopped } }) as MemoryDisk
}

/** Replays and reads all of it; how the rot showed. */
const readBack = Effect.fnUntraced(function*(disk: MemoryDisk, written: Written, through = disk) {
  const { wal } = yield* startWal(through, disk.operations + 2)
  const whole = new Map<string, Uint8Array>()
  const damaged = new Set<string>()
  yield* wal.replay(
    undefined,
    ({ position, payload }) => Effect.sync(() => void whole.set(key(position), payload)),
    (position) => Effect.sync(() => void damaged.add(key(position)))
  )
  const { tornTail } = wal.status()
  let missing = 0
  for (const { record, position } of written) {
    const payload = whole.get(key(position))
    assert(payload === undefined || equalBytes(payload, record.payload), "what is replayed is what was written")
    if (payload === undefined && !damaged.has(key(position))) missing += 1
    const read = yield* Effect.exit(wal.read(position))
    assert(Exit.isFailure(read) || equalBytes(read.value, record.payload), "what is read is what was written")
    assert(payload === undefined || Exit.isSuccess(read), "what was replayed can be read")
  }
  assert(missing <= 1, "only the last batch is ambiguous")
  assert(missing === 0 || tornTail !== undefined, "a batch that is not accepted is reported")
  assert(damaged.size <= 1, "one byte hurts one record")
  return missing > 0 ? "Ambiguous" : damaged.size > 0 ? "DamagedChunk" : "Harmless"
})

test("wal: a byte that rots anywhere is named, never wrong, and no proven record is dropped silently", async () => {
  const outcomes = new Map<string, number>()
  for (let seed = 1; seed <= 250; seed++) {
    const random = seededRandom(seed)
    const disk = new MemoryDisk()
    const wrote = await untilStopped(disk, write(disk, random))
    assert(wrote !== undefined && Exit.isSuccess(wrote), "writing works")
    const killed = disk.kill()
    const files = [...killed.contents()]
    const [path, bytes] = random.pick(files)
    // Half of the hits fall near a header, or nearly all of them would fall into payloads and padding.
    const offset = random.chance(0.5) ? random.below(bytes.length) : random.below(bytes.length / 4096) * 4096 + random.below(300)
    killed.corrupt(path, offset, (byte) => byte ^ (1 << random.below(8)))
    const read = await untilStopped(killed, readBack(killed, wrote.value))
    assert(read !== undefined, "reading ends")
    const failure = Exit.isFailure(read) ? read.cause.reasons[0] : undefined
    const outcome = Exit.isSuccess(read) ? read.value : failure?._tag === "Fail" ? failure.error._tag : `a defect: ${String(read)}`
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }
  expect([...outcomes.keys()].sort()).toEqual(["Ambiguous", "DamagedChunk", "Harmless", "WalDamaged"])
})

test("wal: a read that lies once is never believed, and nothing is written on its word", async () => {
  for (let seed = 1; seed <= 120; seed++) {
    const random = seededRandom(seed)
    const disk = new MemoryDisk()
    const wrote = await untilStopped(disk, write(disk, random))
    assert(wrote !== undefined && Exit.isSuccess(wrote), "writing works")
    const killed = disk.kill()
    const lies = misreading(killed, 1 + random.below(10), random.below(random.pick([2000, 300_000])))
    const misled = await untilStopped(lies, readBack(killed, wrote.value, lies))
    // The lie may hit the read that checks a replayed record, or the replay of one: both are named.
    const error = misled !== undefined && Exit.isFailure(misled) ? misled.cause.reasons[0] : undefined
    assert(error === undefined || error._tag === "Fail" || /can be read|one byte/.test(String(error)), String(error))
    const healthy = killed.kill()
    const read = await untilStopped(healthy, readBack(healthy, wrote.value))
    assert(read !== undefined && Exit.isSuccess(read), `seed ${seed}: ${String(read)}`)
    expect(read.value).toBe("Harmless")
  }
})
