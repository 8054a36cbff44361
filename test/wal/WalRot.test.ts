/** Property: a byte that rots is named, never wrong, and takes nothing with it but its own record (P3, P4). */
import { Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { assert } from "../../src/base/assert.ts"
import { equalBytes } from "../../src/base/bytes.ts"
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

/** Replays and reads all of it; how the rot showed. */
const readBack = Effect.fnUntraced(function*(disk: MemoryDisk, written: Written) {
  const { wal } = yield* startWal(disk, 2)
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
