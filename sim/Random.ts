/**
 * Random: the one source of chance of a simulated run: xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32.
 * Same seed, same draws, on every engine (P9): only 32-bit integer arithmetic. Not for keys.
 */
export interface Random {
  /** 0 to 2^32 - 1. */
  readonly uint32: () => number
  /** 0 to bound - 1; bound is 1 to 2^32. */
  readonly below: (bound: number) => number
  /** True with this probability. */
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(values: ReadonlyArray<A>) => A
  readonly bytes: (count: number) => Uint8Array
  /** An independent stream, so that draws in one place do not shift those in another. */
  readonly fork: () => Random
}

/** Spreads a seed over the state; never all zero. */
const splitmix32 = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}

const rotate = (value: number, count: number): number => (value << count) | (value >>> (32 - count))

/** A stream of draws from a 32-bit seed. */
export const seededRandom = (seed: number): Random => {
  const mix = splitmix32(seed)
  let a = mix()
  let b = mix()
  let c = mix()
  let d = mix()
  const uint32 = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0
    const shifted = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= shifted
    d = rotate(d, 11)
    return result
  }
  /** Multiplication keeps the bias below 2^-32 * bound, which no test can see. */
  const below = (bound: number): number => Math.floor((uint32() / 0x1_0000_0000) * bound)
  const bytes = (count: number): Uint8Array => {
    const result = new Uint8Array(count)
    for (let i = 0; i < count; i += 4) {
      const draw = uint32()
      for (let j = 0; j < 4 && i + j < count; j += 1) result[i + j] = draw >>> (8 * j)
    }
    return result
  }
  const pick = <A>(values: ReadonlyArray<A>): A => {
    if (values.length === 0) throw new Error("nothing to pick from")
    return values[below(values.length)] as A
  }
  return {
    uint32,
    below,
    chance: (probability) => uint32() < probability * 0x1_0000_0000,
    pick,
    bytes,
    fork: () => seededRandom(uint32())
  }
}
