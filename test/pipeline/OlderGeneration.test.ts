/** The newest checkpoint is rotten and the index gone: the one before it, and the journal from there on, are enough. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { Settle } from "../../src/settle.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { type Machine, newMachine, withStore } from "./store.ts"

const rounds = 4
/** Rows of a version each, without chunks: nothing but checkpoints keeps the journal. A commit fills a batch of 4 KiB. */
const putsOfRound = 30
const bytesOf = (key: string): Uint8Array => seededRandom(Number(key)).bytes(150)
const keysOf = (round: number): ReadonlyArray<string> => Array.from({ length: putsOfRound }, (_, index) => `${round * putsOfRound + index + 1}`)

const generationOf = (path: string): string => path.replace(/\D/g, "")

const rotNewest = ({ disk }: Machine): void => {
  const checkpoints = [...disk.contents()].filter(([path]) => /\.(delta|base)$/.test(path))
  const newest = checkpoints.map(([path]) => generationOf(path)).sort().at(-1)
  for (const [path, bytes] of checkpoints) if (generationOf(path) === newest) disk.corrupt(path, bytes.length >> 1)
}

test("the newest checkpoint rotten, the index gone: the store starts from the checkpoint before, and every commit is there", async () => {
  const machine = newMachine(1)
  let head = 0
  await withStore(machine, Effect.gen(function*() {
    yield* makeBucket
    const wal = yield* Wal
    const state = yield* State
    let before = wal.head()
    for (let round = 0; round < rounds; round += 1) {
      for (const key of keysOf(round)) yield* put(key, bytesOf(key))
      yield* (yield* Namespace).checkpoint(true)
      yield* (yield* Settle).settleNow
      expect(state.status().checkpoints, "one checkpoint a round").toBe(round + 1)
      expect(wal.head().segment - before.segment, "the journal moves on by segments").toBeGreaterThan(1)
      before = wal.head()
    }
    expect(wal.status().segments, "the journal was let go").toBeLessThan(wal.head().segment / 2)
    head = (yield* Namespace).head().sequence
  }))
  rotNewest(machine)
  const after: Machine = { ...machine, index: new MemoryKeyValue() }
  await withStore(after, Effect.gen(function*() {
    expect((yield* State).status(), "from the generation before").toMatchObject({ checkpoints: rounds - 1, rebuilt: true })
    expect((yield* Namespace).head().sequence).toBe(head)
    for (let round = 0; round < rounds; round += 1) {
      for (const key of keysOf(round)) expect(toHex(yield* get(key)), key).toBe(toHex(bytesOf(key)))
    }
  }))
})
