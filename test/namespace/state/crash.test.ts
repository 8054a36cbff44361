import { Effect, Exit } from "effect"
import { describe, expect, it } from "vitest"
import { nodeTable } from "../../../src/namespace/TreeStore.ts"
import type { StateService } from "../../../src/namespace/State.ts"
import { seededRandom } from "../../../sim/Random.ts"
import { applyTo, drawChanges, Machine, type Model, rowsOf, rowsOfModel, stampOf } from "./harness.ts"

const rounds = 4
const random = seededRandom(77)
const batches = Array.from({ length: rounds }, () => drawChanges(random, 150, 400))
const models: Array<Model> = [new Map()]
for (const batch of batches) models.push(applyTo(models.at(-1)!, batch))

/** Replays what the state lacks, as the journal would, with a checkpoint after each batch; `done` counts those that ended. */
const work = (done: { count: number }) => (state: StateService) =>
  Effect.gen(function*() {
    for (let round = state.stamp().sequence; round < rounds; round++) {
      state.write(batches[round]!, stampOf(round + 1))
      yield* state.checkpoint
      done.count = Math.max(done.count, round + 1)
    }
  })

/** What must hold of a state that comes up after anything: it is a whole prefix, with all that a checkpoint promised. */
const checkRecovered = (machine: Machine, state: StateService, promised: number): void => {
  const { sequence } = state.stamp()
  expect(sequence).toBeGreaterThanOrEqual(promised)
  expect(state.stamp()).toEqual(stampOf(sequence))
  expect(rowsOf(state)).toEqual(rowsOfModel(models[sequence]!))
  expect(machine.index.entries().filter(([table]) => table === nodeTable).length).toBe(state.status().nodes)
}

const crashEverywhere = async (prepare: (machine: Machine, step: number) => void): Promise<number> => {
  for (let step = 1; ; step++) {
    const machine = new Machine()
    const fate = seededRandom(step)
    const done = { count: 0 }
    prepare(machine, step)
    const end = await machine.runUntilStopped(work(done))
    if (end === "done") return step
    machine.crash(fate)
    // A second crash while recovering from the first must not cost more.
    if (step % 3 === 0) {
      machine.disk.stopAfter(1 + fate.below(12))
      if (await machine.runUntilStopped(() => Effect.void) === "stopped") machine.crash(fate)
      else machine.disk.stopAfter(Number.MAX_SAFE_INTEGER)
    }
    await machine.run((state) => Effect.sync(() => checkRecovered(machine, state, done.count)))
    await machine.run((state) => Effect.andThen(work(done)(state), Effect.sync(() => checkRecovered(machine, state, rounds))))
  }
}

describe("state: crashes", () => {
  it("a power cut at any disk operation of checkpoints loses nothing that a checkpoint promised", async () => {
    const steps = await crashEverywhere((machine, step) => machine.disk.stopAfter(step))
    expect(steps).toBeGreaterThan(60)
  })

  it("a power cut at any operation of the index loses nothing that a checkpoint promised", async () => {
    const steps = await crashEverywhere((machine, step) => (machine.indexStopsAfter = step))
    expect(steps).toBeGreaterThan(rounds * 3)
  })

  it("a disk operation that fails, whichever it is, fails the checkpoint, and the next one makes up for it", async () => {
    let step = 0
    for (let failed = true; failed; step++) {
      failed = false
      const machine = new Machine()
      await machine.run(() => Effect.void)
      machine.disk.fault = (_operation, _path, number) => {
        if (number !== step + 10) return undefined
        failed = true
        return step % 2 === 0 ? "NoSpace" : "Io"
      }
      const outcome = await machine.exit((state) =>
        Effect.gen(function*() {
          for (let round = 0; round < rounds; round++) {
            state.write(batches[round]!, stampOf(round + 1))
            yield* Effect.exit(state.checkpoint)
            expect(rowsOf(state)).toEqual(rowsOfModel(models[round + 1]!))
          }
          // What a failed checkpoint left went with the next one: the generation before may be two batches older.
          const { sequence } = yield* state.checkpoint
          expect([rounds - 2, rounds - 1]).toContain(sequence)
          checkRecovered(machine, state, rounds)
          return "served" as const
        })
      )
      // Opening may be what failed: nothing was served then.
      expect(Exit.isSuccess(outcome) ? outcome.value : String(outcome.cause)).toMatch(/^served$|state: Disk/)
      machine.disk.fault = undefined
      await machine.run((state) => Effect.andThen(work({ count: 0 })(state), Effect.sync(() => checkRecovered(machine, state, rounds))))
    }
    expect(step).toBeGreaterThan(50)
  })

  it("nodes of a failed checkpoint that its successor does not need do not stay in the index", async () => {
    const machine = new Machine()
    await machine.run((state) =>
      Effect.gen(function*() {
        state.write(drawChanges(seededRandom(1), 2000, 5000), stampOf(1))
        machine.disk.fault = (operation) => (operation === "sync" ? "Io" : undefined)
        expect(Exit.isFailure(yield* Effect.exit(state.checkpoint))).toBe(true)
        machine.disk.fault = undefined
        expect(machine.index.entries().length).toBeGreaterThan(10)
        // Removals of all but one row: the second attempt makes one node.
        state.write(rowsOf(state).slice(1).map(([key]) => [key, undefined]), stampOf(2))
        yield* state.checkpoint
        expect(rowsOf(state)).toHaveLength(1)
        expect(machine.index.entries().filter(([table]) => table === nodeTable)).toHaveLength(1)
      })
    )
  })
})
