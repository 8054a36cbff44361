/** The state against its reference: any writes, reads, checkpoints, restarts, power cuts and lost indexes, in any order. */
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { it } from "vitest"
import { fromByteString } from "../../../src/base/bytes.ts"
import type { StateService } from "../../../src/namespace/State.ts"
import { Table } from "../../../spec/Table.ts"
import { MemoryKeyValue } from "../../../sim/KeyValue.ts"
import { seededRandom } from "../../../sim/Random.ts"
import { Machine, rowsOf, rowsOfModel, stampOf } from "./harness.ts"

class Real {
  readonly machine = new Machine()
  #life: { readonly state: StateService; readonly scope: Scope.Closeable } | undefined

  async state(): Promise<StateService> {
    if (this.#life === undefined) {
      const scope = await Effect.runPromise(Scope.make())
      this.#life = { scope, state: await Effect.runPromise(Effect.provideService(this.machine.open(), Scope.Scope, scope)) }
    }
    return this.#life.state
  }

  async stop(): Promise<void> {
    if (this.#life !== undefined) await Effect.runPromise(Scope.close(this.#life.scope, Exit.void))
    this.#life = undefined
  }

  /** The old life is left where it stands. */
  cut(seed: number): void {
    this.machine.crash(seededRandom(seed))
    this.#life = undefined
  }
}

type Command = fc.AsyncCommand<Table, Real>

/** What a life begins with is a whole commit that some checkpoint reached. */
const recover = async (model: Table, real: Real): Promise<void> => {
  const state = await real.state()
  const { sequence } = state.stamp()
  ok(sequence >= model.promised && sequence <= model.sequence, `commit ${sequence} came up, ${model.promised} was promised`)
  deepStrictEqual(state.stamp(), stampOf(sequence))
  model.goBackTo(sequence)
  deepStrictEqual(rowsOf(state), rowsOfModel(model.rows))
}

const write = (changes: ReadonlyArray<readonly [string, string | undefined]>): Command => ({
  check: () => true,
  run: async (model, real) => {
    model.write(changes)
    const rows = [...new Map(changes)].map(([key, value]) => [key, value === undefined ? undefined : fromByteString(value)] as const)
    const state = await real.state()
    state.write(rows, stampOf(model.sequence))
    for (const [key] of changes) {
      const value = state.reader.get(key)
      strictEqual(value === undefined ? undefined : Buffer.from(value).toString("latin1"), model.rows.get(key))
    }
  },
  toString: () => `write ${changes.map(([key, value]) => (value === undefined ? `no ${key}` : `${key} of ${value.length}`)).join(", ")}`
})

const scan = (from: string, to: string, reverse: boolean): Command => ({
  check: () => true,
  run: async (model, real) => {
    const { reader } = await real.state()
    const rows = Array.from(reader.scan(from, to, reverse), ([key, value]) => [key, Buffer.from(value).toString("latin1")] as const)
    deepStrictEqual(rows, model.scan(from, to, reverse))
    deepStrictEqual(reader.first(from, to)?.[0], model.scan(from, to, false)[0]?.[0])
  },
  toString: () => `scan ${from} to ${to}${reverse ? ", from the end" : ""}`
})

const checkpoint: Command = {
  check: () => true,
  run: async (model, real) => {
    await Effect.runPromise((await real.state()).checkpoint)
    model.checkpoint()
  },
  toString: () => "checkpoint"
}

const restart = (losesIndex: boolean): Command => ({
  check: () => true,
  run: async (model, real) => {
    await real.stop()
    if (losesIndex) real.machine.index = new MemoryKeyValue()
    await recover(model, real)
  },
  toString: () => `restart${losesIndex ? " without the index" : ""}`
})

const powerCut = (seed: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    real.cut(seed)
    await recover(model, real)
  },
  toString: () => `power cut ${seed}`
})

it("state: any writes, scans, checkpoints, restarts, power cuts and lost indexes are the reference's", async () => {
  const key = fc.tuple(fc.constantFrom("b", "c", "v"), fc.nat(60)).map(([table, number]) => `${table}${number}`)
  const value = fc.option(fc.tuple(fc.integer({ min: 0, max: 255 }), fc.nat(300)).map(([byte, length]) => String.fromCharCode(byte).repeat(length)), { nil: undefined, freq: 4 })
  const commands = fc.commands<Table, Real, false>([
    fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 40 }).map(write),
    fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 40 }).map(write),
    fc.tuple(key, key, fc.boolean()).map(([from, to, reverse]) => scan(from, to, reverse)),
    fc.constant(checkpoint),
    fc.boolean().map(restart),
    fc.nat(1000).map(powerCut)
  ], { maxCommands: 25, size: "max" })
  await fc.assert(fc.asyncProperty(commands, async (drawn) => {
    const real = new Real()
    await fc.asyncModelRun(() => ({ model: new Table(), real }), drawn)
    await real.stop()
  }), { numRuns: 40 })
}, 60_000)
