/** What must hold of the journal's machine between any two steps. Between Wal.ts and whoever watches it: tests, the simulator. */
import { assert } from "../base/assert.ts"
import { endOf, type WalState } from "./Wal.ts"
import { comparePlaces } from "./WalRecord.ts"

/** What must hold between any two steps; throws AssertionError otherwise. */
export const invariants = (state: WalState): void => {
  const batches = [state.inFlight, ...state.planned, state.open].filter((batch) => batch !== undefined)
  let place = state.durable
  for (const batch of batches) {
    assert(comparePlaces(place, batch) <= 0, "planned batches lie one behind the other, behind what is durable")
    assert(batch.contentBytes <= state.sizes.batchBytesMax, "a batch is within its bound")
    assert(endOf(batch).offset <= state.sizes.segmentBytes, "a batch ends within its segment")
    place = endOf(batch)
  }
  assert(comparePlaces(state.durable, state.tail) <= 0, "the tail lies behind what is durable")
  assert(state.inFlight === undefined || state.opening === undefined, "one thing is written at a time")
  assert(state.inFlight === undefined || state.inFlight.segment === state.current, "batches go to the current segment")
  const queued = batches.reduce((sum, batch) => sum + batch.queuedBytes, 0)
  assert(queued === state.queuedBytes, "queuedBytes counts every record that waits")
  const rows = [...state.segments.values()]
  const kept = rows.reduce((sum, row) => sum + row.bytes, 0)
  const leaving = [...state.removing.values()].reduce((sum, bytes) => sum + bytes, 0)
  assert(kept + leaving === state.bytes, "bytes counts every segment")
  assert(rows.every((row) => row.durableEnd <= row.bytes), "what is durable was written")
  const numbers = [...state.segments.keys()]
  assert(numbers.every((number, index) => index === 0 || numbers[index - 1]! < number), "segments ascend")
  assert(state.current === undefined || state.segments.has(state.current), "the current segment is kept")
  assert((state.phase !== "Failed" && state.phase !== "Full") || batches.length === 0, "a failed journal holds no batch")
}
