/**
 * The inner loop of Reed-Solomon coding in AssemblyScript: sums of sources, each times a constant of GF(2^8).
 * Sits between ReedSolomon.ts, which makes the tables, and the CPU. `npm run build:wasm` makes CodeWasm.ts of it.
 *
 * A product of a byte with a constant is the sum of two table entries, one for each half of the byte: 16 of them at a
 * time with one byte shuffle each (Plank, Greenan, Miller: Screaming Fast Galois Field Arithmetic, FAST 2013). Indices
 * are below 16, for which the relaxed shuffle is the same on every machine.
 *
 * Tables: for each source one after another, for each row of the group 16 bytes for low halves and 16 for high ones.
 */

// @ts-ignore: decorator
@inline
function low(v: v128): v128 {
  return v128.and(v, i8x16.splat(15))
}

// @ts-ignore: decorator
@inline
function high(v: v128): v128 {
  return v128.and(i16x8.shr_u(v, 4), i8x16.splat(15))
}

// @ts-ignore: decorator
@inline
function add(sum: v128, table: usize, l: v128, h: v128): v128 {
  const product = v128.xor(i8x16.relaxed_swizzle(v128.load(table), l), i8x16.relaxed_swizzle(v128.load(table, 16), h))
  return v128.xor(sum, product)
}

/** One row: `count` sources at `from`, `stride` apart, into `to`; `length` is a multiple of 32. */
export function code1(count: u32, tables: usize, from: usize, to: usize, stride: usize, length: usize): void {
  for (let at: usize = 0; at < length; at += 32) {
    let a0 = i8x16.splat(0)
    let a1 = i8x16.splat(0)
    let table = tables
    let source = from + at
    for (let index: u32 = 0; index < count; index++) {
      const v0 = v128.load(source)
      const v1 = v128.load(source, 16)
      a0 = add(a0, table, low(v0), high(v0))
      a1 = add(a1, table, low(v1), high(v1))
      table += 32
      source += stride
    }
    v128.store(to + at, a0)
    v128.store(to + at, a1, 16)
  }
}

/** Two rows at once, the second one `stride` behind the first: halves of the sources are taken apart once for both. */
export function code2(count: u32, tables: usize, from: usize, to: usize, stride: usize, length: usize): void {
  for (let at: usize = 0; at < length; at += 32) {
    let a0 = i8x16.splat(0)
    let a1 = i8x16.splat(0)
    let b0 = i8x16.splat(0)
    let b1 = i8x16.splat(0)
    let table = tables
    let source = from + at
    for (let index: u32 = 0; index < count; index++) {
      const v0 = v128.load(source)
      const v1 = v128.load(source, 16)
      const l0 = low(v0)
      const h0 = high(v0)
      const l1 = low(v1)
      const h1 = high(v1)
      a0 = add(a0, table, l0, h0)
      a1 = add(a1, table, l1, h1)
      b0 = add(b0, table + 32, l0, h0)
      b1 = add(b1, table + 32, l1, h1)
      table += 64
      source += stride
    }
    const second = to + at + stride
    v128.store(to + at, a0)
    v128.store(to + at, a1, 16)
    v128.store(second, b0)
    v128.store(second, b1, 16)
  }
}

/** Three rows at once. */
export function code3(count: u32, tables: usize, from: usize, to: usize, stride: usize, length: usize): void {
  for (let at: usize = 0; at < length; at += 32) {
    let a0 = i8x16.splat(0)
    let a1 = i8x16.splat(0)
    let b0 = i8x16.splat(0)
    let b1 = i8x16.splat(0)
    let c0 = i8x16.splat(0)
    let c1 = i8x16.splat(0)
    let table = tables
    let source = from + at
    for (let index: u32 = 0; index < count; index++) {
      const v0 = v128.load(source)
      const v1 = v128.load(source, 16)
      const l0 = low(v0)
      const h0 = high(v0)
      const l1 = low(v1)
      const h1 = high(v1)
      a0 = add(a0, table, l0, h0)
      a1 = add(a1, table, l1, h1)
      b0 = add(b0, table + 32, l0, h0)
      b1 = add(b1, table + 32, l1, h1)
      c0 = add(c0, table + 64, l0, h0)
      c1 = add(c1, table + 64, l1, h1)
      table += 96
      source += stride
    }
    const second = to + at + stride
    const third = second + stride
    v128.store(to + at, a0)
    v128.store(to + at, a1, 16)
    v128.store(second, b0)
    v128.store(second, b1, 16)
    v128.store(third, c0)
    v128.store(third, c1, 16)
  }
}
