/** The contract of the Entropy port against NodeEntropy and the twin, and that the twin replays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { toHex } from "../../src/base/bytes.ts"
import { Entropy } from "../../src/ports/Entropy.ts"
import * as NodeEntropy from "../../src/adapters/NodeEntropy.ts"
import * as SeededEntropy from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { entropyContract } from "./entropy.ts"

entropyContract("NodeEntropy", NodeEntropy.layer)
entropyContract("twin", SeededEntropy.layer(seededRandom(1)))

describe("entropy: the twin", () => {
  it.effect("entropy: one seed, one stream; another seed, another", () =>
    Effect.gen(function* () {
      const draw = (seed: number) =>
        Effect.map(Entropy, (entropy) => toHex(entropy.bytes(37))).pipe(Effect.provide(SeededEntropy.layer(seededRandom(seed))))
      assert.strictEqual(yield* draw(5), yield* draw(5))
      assert.notStrictEqual(yield* draw(5), yield* draw(6))
    }))
})
