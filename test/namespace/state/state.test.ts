import { Effect } from "effect"
import { describe, expect, it } from "vitest"
import { fromByteString } from "../../../src/base/bytes.ts"
import { nodeTable } from "../../../src/namespace/TreeStore.ts"
import { seededRandom } from "../../../sim/Random.ts"
import { applyTo, drawChanges, Machine, type Model, rowsOf, rowsOfModel, stampOf } from "./harness.ts"

const fill = (seed: number, rounds: number, rows = 400, keys = 3000): { readonly batches: ReadonlyArray<ReturnType<typeof drawChanges>>; readonly models: ReadonlyArray<Model> } => {
  const random = seededRandom(seed)
  const batches = Array.from({ length: rounds }, () => drawChanges(random, rows, keys))
  const models: Array<Model> = [new Map()]
  for (const batch of batches) models.push(applyTo(models.at(-1)!, batch))
  return { batches, models }
}

describe("state", () => {
  it("an empty state reads nothing, and has the stamp of nothing", () =>
    new Machine().run((state) =>
      Effect.sync(() => {
        expect(state.stamp()).toEqual(stampOf(0))
        expect(rowsOf(state)).toEqual([])
        expect(state.reader.get("b1")).toBeUndefined()
        expect(state.root()).toBe("00".repeat(32))
        expect(state.status()).toEqual({ checkpoints: 0, rebuilt: false, nodes: 0 })
      })
    ))

  it("what is written is read at once, before, during and after checkpoints and restarts, and the index holds no node too many", async () => {
    const { batches, models } = fill(1, 12)
    const machine = new Machine()
    for (let round = 0; round < 12; round++) {
      await machine.run((state) =>
        Effect.gen(function*() {
          expect(rowsOf(state)).toEqual(rowsOfModel(models[round]!))
          expect(state.status().rebuilt).toBe(false)
          state.write(batches[round]!, stampOf(round + 1))
          expect(rowsOf(state)).toEqual(rowsOfModel(models[round + 1]!))
          expect([...state.reader.scan("c", "v", true)].map(([key]) => key))
            .toEqual(rowsOfModel(models[round + 1]!).map(([key]) => key).filter((key) => key >= "c" && key < "v").reverse())
          for (const [key] of batches[round]!) {
            for (const from of [key, `${key}\0`]) {
              for (const to of [`${key}\0`, "v"]) {
                const [row] = state.reader.scan(from, to)
                expect(state.reader.first(from, to)).toEqual(row)
              }
            }
          }
          // The journal is needed from the generation before.
          expect(yield* state.checkpoint).toEqual(stampOf(round))
          expect(yield* state.checkpoint).toEqual(stampOf(round))
          expect(rowsOf(state)).toEqual(rowsOfModel(models[round + 1]!))
          for (const [key] of batches[round]!) {
            expect(Buffer.from(state.reader.get(key) ?? "").toString("latin1")).toBe(models[round + 1]!.get(key) ?? "")
          }
          expect(machine.index.entries().filter(([table]) => table === nodeTable).length).toBe(state.status().nodes)
        })
      )
    }
  })

  it("equal rows have equal roots, whatever the history and the checkpoints in between", async () => {
    const { batches, models } = fill(2, 6)
    const [stepwise, atOnce] = [new Machine(), new Machine()]
    const one = await stepwise.run((state) =>
      Effect.gen(function*() {
        for (const [round, batch] of batches.entries()) {
          state.write(batch, stampOf(round + 1))
          yield* state.checkpoint
        }
        return state.root()
      })
    )
    const other = await atOnce.run((state) =>
      Effect.gen(function*() {
        state.write([...models.at(-1)!].map(([key, value]) => [key, fromByteString(value)]), stampOf(1))
        yield* state.checkpoint
        return state.root()
      })
    )
    expect(other).toBe(one)
  })

  it("rows written while a checkpoint runs are read at once, and survive the next one only", async () => {
    const { batches, models } = fill(3, 2)
    const machine = new Machine()
    await machine.run((state) =>
      Effect.gen(function*() {
        state.write(batches[0]!, stampOf(1))
        const fiber = yield* Effect.forkChild(state.checkpoint)
        for (let turn = 0; turn < 3; turn++) yield* Effect.yieldNow
        state.write(batches[1]!, stampOf(2))
        while (fiber.pollUnsafe() === undefined) {
          expect(rowsOf(state)).toEqual(rowsOfModel(models[2]!))
          yield* Effect.yieldNow
        }
        expect(rowsOf(state)).toEqual(rowsOfModel(models[2]!))
      })
    )
    await machine.run((state) =>
      Effect.sync(() => {
        expect(state.stamp()).toEqual(stampOf(1))
        expect(rowsOf(state)).toEqual(rowsOfModel(models[1]!))
      })
    )
  })

  it("a scan goes on over writes and a checkpoint, either way, and misses no row that stays", async () => {
    const stable = Array.from({ length: 2000 }, (_, index) => `s${String(index).padStart(5, "0")}`)
    for (const reverse of [false, true]) {
      await new Machine().run((state) =>
        Effect.gen(function*() {
          state.write(stable.map((key) => [key, fromByteString(key)]), stampOf(1))
          yield* state.checkpoint
          const seen: Array<string> = []
          let sequence = 1
          for (const [key] of state.reader.scan("s", "t", reverse)) {
            if (key.length !== 6) continue
            seen.push(key)
            if (seen.length % 50 !== 0) continue
            sequence += 1
            state.write([[`${key}x${sequence}`, fromByteString("new")], [`s00000y${sequence}`, fromByteString("new")]], stampOf(sequence))
            if (seen.length % 500 === 0) yield* state.checkpoint
          }
          expect(seen).toEqual(reverse ? stable.toReversed() : stable)
        })
      )
    }
  })
})
