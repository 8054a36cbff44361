/** The contract of the Entropy port. Run by entropy.test.ts against adapter and twin. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { toHex } from "../../src/base/bytes.ts"
import { Entropy } from "../../src/ports/Entropy.ts"

export const entropyContract = (name: string, layer: Layer.Layer<Entropy>): void => {
  describe(`entropy contract: ${name}`, () => {
    it.effect("entropy: as many bytes as asked, fresh at every call, every value", () =>
      Effect.gen(function* () {
        const entropy = yield* Entropy
        for (const count of [0, 1, 3, 16, 1000]) assert.strictEqual(entropy.bytes(count).length, count)
        const ids = new Set(Array.from({ length: 1000 }, () => toHex(entropy.bytes(16))))
        assert.strictEqual(ids.size, 1000)
        assert.strictEqual(new Set(entropy.bytes(20_000)).size, 256)
      }).pipe(Effect.provide(layer)))
  })
}
