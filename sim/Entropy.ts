/** SeededEntropy: the twin of adapters/NodeEntropy: a seeded stream, so that ids and salts replay (P9). Predictable. */
import { Layer } from "effect"
import { Entropy, type EntropyService } from "../src/ports/Entropy.ts"
import type { Random } from "./Random.ts"

export const seededEntropy = (random: Random): EntropyService => ({ bytes: random.bytes })

export const layer = (random: Random): Layer.Layer<Entropy> => Layer.succeed(Entropy, seededEntropy(random))
