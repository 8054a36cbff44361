/**
 * Galois: the field of 256 elements, x^8 + x^4 + x^3 + x^2 + 1 (0x11d), and matrices over it. Sits below ReedSolomon,
 * which codes with it; everything here is done per code or per loss, nothing per byte.
 */
import { assert } from "../base/assert.ts"

const polynomial = 0x11d

/** Powers of the generator 2, twice over, so that sums of two logarithms need no reduction. */
const powers = new Uint8Array(510)
const logarithms = new Uint8Array(256)
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  powers[exponent] = value
  powers[exponent + 255] = value
  logarithms[value] = exponent
  value = (value << 1) ^ (value & 0x80 ? polynomial : 0)
}

/** Of two elements, 0 to 255. */
export const multiply = (a: number, b: number): number =>
  a === 0 || b === 0 ? 0 : powers[logarithms[a]! + logarithms[b]!]!

export const inverse = (a: number): number => {
  assert(a > 0 && a < 256, `${a} has no inverse`)
  return powers[255 - logarithms[a]!]!
}

/** Rows of elements. */
export type Matrix = ReadonlyArray<ReadonlyArray<number>>

/** Row times matrix. */
const multiplyRow = (row: ReadonlyArray<number>, matrix: Matrix): ReadonlyArray<number> =>
  matrix[0]!.map((_, column) => row.reduce((sum, value, index) => sum ^ multiply(value, matrix[index]![column]!), 0))

export const multiplyMatrices = (a: Matrix, b: Matrix): Matrix => a.map((row) => multiplyRow(row, b))

/** By Gauss and Jordan. The matrix must have an inverse: every square part of a Cauchy matrix does. */
export const invert = (matrix: Matrix): Matrix => {
  const size = matrix.length
  const rows = matrix.map((row, index) => [...row, ...row.map((_, column) => (column === index ? 1 : 0))])
  for (let column = 0; column < size; column++) {
    const pivot = rows.findIndex((row, index) => index >= column && row[column] !== 0)
    assert(pivot >= 0, "the matrix has an inverse")
    const row = rows[pivot]!
    rows[pivot] = rows[column]!
    const factor = inverse(row[column]!)
    rows[column] = row.map((value) => multiply(value, factor))
    for (const [index, other] of rows.entries()) {
      const times = other[column]!
      if (index !== column && times !== 0) rows[index] = other.map((value, at) => value ^ multiply(times, rows[column]![at]!))
    }
  }
  return rows.map((row) => row.slice(size))
}
