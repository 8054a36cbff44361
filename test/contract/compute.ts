/** The contract of the Compute port: what worker lanes, the inline adapter and the twin all do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { makePageMemory } from "../../src/base/wasm.ts"
import type { ComputeService } from "../../src/ports/Compute.ts"
import { broken, double, increment, scribble } from "./laneFixture.ts"

export const computeContract = (name: string, make: () => Effect.Effect<ComputeService, unknown, Scope.Scope>): void => {
  const story = (title: string, run: (compute: ComputeService) => Effect.Effect<unknown, unknown, Scope.Scope>): void => {
    it.effect(title, () => Effect.scoped(Effect.flatMap(make(), run)))
  }
  describe(`compute contract: ${name}`, () => {
    story("compute: a kernel runs, its input's buffers are gone for the caller", (compute) =>
      Effect.gen(function* () {
        const input = new Uint8Array([1, 2, 255])
        assert.deepStrictEqual([...(yield* compute.run(increment, input))], [2, 3, 0])
        assert.strictEqual(input.length, 0)
      }))
    story("compute: shared memory is not copied: what a kernel writes there is here, and it stays the caller's", (compute) =>
      Effect.gen(function* () {
        const memory = makePageMemory(65_536)
        assert.strictEqual(yield* compute.run(scribble, memory.subarray(100, 200)), 100)
        assert.deepStrictEqual([memory.length, memory[99], memory[100], memory[199], memory[200]], [65_536, 0, 9, 9, 0])
      }))
    story("compute: a kernel that throws fails with its name, and the next one runs", (compute) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(compute.run(broken, "rust"))
        assert.strictEqual(error.kernel, "broken")
        assert.include(error.detail, "broken by rust")
        assert.strictEqual(yield* compute.run(double, 4), 8)
      }))
    story("compute: more jobs than lanes and places, each its own answer", (compute) =>
      Effect.gen(function* () {
        const values = Array.from({ length: 300 }, (_, index) => index)
        const doubled = yield* Effect.forEach(values, (value) => compute.run(double, value), { concurrency: "unbounded" })
        assert.deepStrictEqual(doubled, values.map((value) => value * 2))
      }))
    story("compute: an input that cannot be cloned is an error, not a hang", (compute) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(compute.run(double, (() => 1) as unknown as number))
        assert.strictEqual(error._tag, "ComputeError")
        assert.strictEqual(yield* compute.run(double, 1), 2)
      }))
  })
}
