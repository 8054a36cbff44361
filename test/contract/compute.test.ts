/** Runs the contract of Compute against worker lanes, the inline adapter and the twin. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as InlineCompute from "../../src/adapters/InlineCompute.ts"
import * as WorkerCompute from "../../src/adapters/WorkerCompute.ts"
import { Compute } from "../../src/ports/Compute.ts"
import { simulatedCompute } from "../../sim/Compute.ts"
import { computeContract } from "./compute.ts"
import { deadly, double } from "./laneFixture.ts"

const workers = (entry: URL) => Effect.map(Layer.build(WorkerCompute.layer(entry, 2)), (context) => Context.get(context, Compute))
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
  it.effect("compute: the real entry names a kernel that its table lacks", () =>
    Effect.scoped(Effect.gen(function* () {
      const compute = yield* workers(new URL("../../src/node/computeLane.ts", import.meta.url))
      const error = yield* Effect.flip(compute.run({ ...double, name: "no such kernel" }, 1))
      assert.include(error.detail, "no kernel of this name")
    })))
})
