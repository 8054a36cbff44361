import { Effect, Exit } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { Pins } from "../../src/pins.ts"
import { Settle } from "../../src/settle.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put } from "./operations.ts"
import { newMachine, withStore } from "./store.ts"

/** Commits and checkpoints until the journal would be let go, if only they counted. */
const moveJournalOn = Effect.gen(function*() {
  const namespace = yield* Namespace
  for (let round = 0; round < 6; round++) {
    yield* put(`filler${round}`, seededRandom(100 + round).bytes(20_000))
    yield* namespace.checkpoint(true)
    yield* (yield* Settle).settleNow
  }
})

describe("settle", () => {
  test("journaled chunks move into blocks, the journal lets go, and reads do not notice", () =>
    withStore(newMachine(1), Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(3).bytes(12_000)
      yield* put("a", bytes)
      const namespace = yield* Namespace
      expect(namespace.counts().journaledBytes).toBeGreaterThan(12_000)
      yield* (yield* Settle).settleNow
      expect(namespace.counts().journaledBytes).toBe(0)
      expect(namespace.journaled(10)).toEqual([])
      const before = (yield* Wal).status().segments
      yield* moveJournalOn
      expect((yield* Wal).status().segments).toBeLessThanOrEqual(before + 3)
      expect(toHex(yield* get("a"))).toBe(toHex(bytes))
      expect((yield* Settle).status()).toMatchObject({ journaledBytes: 0, lagMs: 0, damaged: [], lastError: undefined })
    })))

  test("a chunk that rots in the journal is named, stays there, and stops nothing else", () => {
    const machine = newMachine(2)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      yield* put("sound", seededRandom(4).bytes(3000))
      yield* put("rotten", seededRandom(5).bytes(400))
      const namespace = yield* Namespace
      const row = namespace.journaled(100).at(-1)!
      const place = row.copies[0]!.place
      if (place._tag !== "Journal") throw new Error("a chunk of the journal")
      const [segment] = [...machine.disk.contents().keys()].filter((path) => path.startsWith("journal/")).slice(place.segment - 1)
      machine.disk.corrupt(segment!, place.offset + 50)
      yield* moveJournalOn
      expect((yield* Settle).status().damaged).toEqual([row.id])
      expect(namespace.journaled(100).map(({ id }) => id)).toEqual([row.id])
      expect(toHex(yield* get("sound"))).toBe(toHex(seededRandom(4).bytes(3000)))
      const read = yield* Effect.exit(get("rotten"))
      // Damaged, not released: the journal still has it, for whoever can repair it.
      const why = Exit.isFailure(read) ? String(read.cause) : "read"
      expect(why).toContain("Damaged")
      expect(why).toContain(row.id)
      expect(why).toContain(`journal ${place.segment}:${place.offset}`)
    }))
  })

  test("chunks that no commit names yet keep the journal, for as long as their upload lives", () =>
    withStore(newMachine(3), Effect.gen(function*() {
      yield* makeBucket
      const wal = yield* Wal
      const position = yield* Effect.scoped(Effect.gen(function*() {
        yield* (yield* Pins).pin
        const ticket = yield* wal.append([{ kind: "Chunk", payload: new Uint8Array([1, 2, 3]) }])
        yield* ticket.durable
        yield* moveJournalOn
        expect([...yield* wal.read(ticket.positions[0]!)]).toEqual([1, 2, 3])
        return ticket.positions[0]!
      }))
      yield* moveJournalOn
      expect(yield* Effect.exit(wal.read(position))).toMatchObject({ _tag: "Failure" })
    })))

  test("the disk refuses a block: the journal keeps everything, the status says why, the next turn succeeds", () => {
    const machine = newMachine(4)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const bytes = seededRandom(6).bytes(9000)
      yield* put("a", bytes)
      machine.disk.fault = (operation, path) => operation === "write" && path.startsWith("blocks/") ? "NoSpace" : undefined
      const refused = yield* Effect.exit((yield* Settle).settleNow)
      expect(Exit.isFailure(refused) && String(refused.cause)).toContain("DiskFull")
      expect((yield* Namespace).counts().journaledBytes).toBeGreaterThan(9000)
      expect(toHex(yield* get("a"))).toBe(toHex(bytes))
      machine.disk.fault = undefined
      yield* (yield* Settle).settleNow
      expect((yield* Namespace).counts().journaledBytes).toBe(0)
      expect(toHex(yield* get("a"))).toBe(toHex(bytes))
    }))
  })

  test("by itself it seals what is old, and what is much", () =>
    withStore(newMachine(5), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      yield* put("little", seededRandom(7).bytes(1000))
      expect(namespace.counts().journaledBytes).toBeGreaterThan(0)
      for (let turn = 0; turn < 100 && namespace.counts().journaledBytes > 0; turn++) yield* Effect.sleep(5)
      expect(namespace.counts().journaledBytes).toBe(0)
      expect((yield* Settle).status().blocksSealed).toBe(1)
    }), { settle: { blockBytesTarget: 16_384, pollMs: 2, ageMsMax: 20 } }))
})
