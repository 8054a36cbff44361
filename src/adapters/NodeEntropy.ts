/** NodeEntropy: the Entropy port over the kernel's generator (node:crypto, OpenSSL's CSPRNG seeded by the kernel). */
import { randomBytes } from "node:crypto"
import { Layer } from "effect"
import { Entropy, type EntropyService } from "../ports/Entropy.ts"

const service: EntropyService = { bytes: (count) => new Uint8Array(randomBytes(count)) }

export const layer: Layer.Layer<Entropy> = Layer.succeed(Entropy, service)
