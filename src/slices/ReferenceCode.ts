/**
 * ReferenceCode: the erasure code written down as its definition, slow and obvious, on no code of its own. Sits beside
 * ReedSolomon as the oracle of its tests: both must code alike.
 */

/** Product in GF(2^8), by shifting and adding. */
const times = (a: number, b: number): number => {
  let product = 0
  for (let left = a, right = b; right > 0; right >>= 1) {
    if (right & 1) product ^= left
    left = left & 0x80 ? (left << 1) ^ 0x11d : left << 1
  }
  return product
}

const reciprocal = (a: number): number => {
  for (let candidate = 1; candidate < 256; candidate++) if (times(a, candidate) === 1) return candidate
  return 0
}

/** The parity slices of data slices of one length. */
export const referenceParity = (data: ReadonlyArray<Uint8Array>, parityCount: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: parityCount }, (_, row) => {
    const constants = data.map((_slice, column) => reciprocal((255 - row) ^ column))
    return Uint8Array.from(data[0]!, (_byte, at) => data.reduce((sum, slice, column) => sum ^ times(slice[at]!, constants[column]!), 0))
  })
