/** Runs the contract of Compute against worker lanes, the inline adapter and the twin. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as InlineCompute from "../../src/adapters/InlineCompute.ts"
import * as WorkerCompute from "../../src/adapters/WorkerCompute.ts"
import { Compute } from "../../src/ports/Compute.ts"
import { simulatedCompute } from "../../sim/Compute.ts"
import { computeContract } from "./compute.ts"
import { deadly, double } from "./laneFixture.ts"

const workers = (entry: URL, lanes = 2) => Effect.map(Layer.build(WorkerCompute.layer(entry, lanes)), (context) => Context.get(context, Compute))
const fixture = new URL("laneFixture.ts", import.meta.url)

computeContract("WorkerCompute", () => workers(fixture))
computeContract("InlineCompute", () => Effect.succeed(InlineCompute.service))
computeContract("twin", () => Effect.sync(() => simulatedCompute()))

describe("compute: lanes", () => {
  it.effect("compute: a dying lane fails its own job and is replaced, ten times over", () =>
    Effect.scoped(Effect.gen(function* () {
      const compute = yield* workers(fixture)
      for (let round = 0; round < 10; round += 1) {
        const error = yield* Effect.flip(compute.run(deadly, 1))
        assert.strictEqual(error.kernel, "deadly")
        assert.strictEqual(yield* compute.run(double, round), round * 2)
      }
    })))
  it.effect("compute: what waits at a lane that dies is done by another one", () =>
    Effect.scoped(Effect.gen(function* () {
      const compute = yield* workers(fixture)
      const jobs = Array.from({ length: 40 }, (_, index) =>
        index % 8 === 0 ? Effect.as(Effect.flip(compute.run(deadly, 1)), "died") : compute.run(double, index))
      const answers = yield* Effect.all(jobs, { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, jobs.map((_, index) => index % 8 === 0 ? "died" : index * 2))
    })))
  it.effect("compute: an urgent kernel goes before those that wait, and they are all done", () =>
    Effect.scoped(Effect.gen(function* () {
      const compute = yield* workers(fixture, 1)
      const order: Array<number> = []
      const values = Array.from({ length: 30 }, (_, index) => index)
      yield* Effect.forEach(values, (value) =>
        Effect.map(compute.run({ ...double, isUrgent: value === 29 }, value), () => order.push(value)), { concurrency: "unbounded" })
      // The lane had two in hand when it came.
      assert.deepStrictEqual(order, [0, 1, 29, ...values.slice(2, 29)])
    })))
  it.effect("compute: the real entry names a kernel that its table lacks", () =>
    Effect.scoped(Effect.gen(function* () {
      const compute = yield* workers(new URL("../../src/node/computeLane.ts", import.meta.url))
      const error = yield* Effect.flip(compute.run({ ...double, name: "no such kernel" }, 1))
      assert.include(error.detail, "no kernel of this name")
    })))
})
