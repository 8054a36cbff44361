/**
 * Entropy: random bytes for ids, keys and salts. Production takes the kernel's, the simulator a seeded stream.
 * Adapter: adapters/NodeEntropy. Twin: sim/Entropy. Both pass test/contract/entropy.
 */
import { Context } from "effect"

export interface EntropyService {
  /** `count` unpredictable bytes, fresh at every call. */
  readonly bytes: (count: number) => Uint8Array
}

export class Entropy extends Context.Service<Entropy, EntropyService>()("ouroborosdb/ports/Entropy") {}
