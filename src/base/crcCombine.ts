/**
 * The CRC of two strings joined, from the CRC of each and the length of the second: how a whole object's checksum comes
 * from its parts'. After Mark Adler's crc32_combine (zlib): multiplication by x^(8n) modulo the polynomial, over GF(2),
 * bits reflected. Right for CRCs whose initial value and final mask are equal, as these three's are.
 */
import { assert } from "./assert.ts"

export type CombinableCrc = "CRC32" | "CRC32C" | "CRC64NVME"

interface Polynomial {
  readonly bits: bigint
  /** Reflected, without the leading term. */
  readonly terms: bigint
  /** x^(2^k) for k = 0, 1, 2, …; grown as needed. */
  readonly powers: Array<bigint>
}

const polynomial = (bits: bigint, terms: bigint): Polynomial => ({ bits, terms, powers: [1n << (bits - 2n)] })

const polynomials: Readonly<Record<CombinableCrc, Polynomial>> = {
  CRC32: polynomial(32n, 0xedb88320n),
  CRC32C: polynomial(32n, 0x82f63b78n),
  CRC64NVME: polynomial(64n, 0x9a6c9329ac4bc9b5n)
}

const multiply = (of: Polynomial, a: bigint, b: bigint): bigint => {
  let product = 0n
  let factor = b
  for (let bit = 1n << (of.bits - 1n); bit > 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= factor
    factor = (factor & 1n) === 1n ? (factor >> 1n) ^ of.terms : factor >> 1n
  }
  return product
}

/** x^(2^k) */
const powerOfTwo = (of: Polynomial, k: number): bigint => {
  while (of.powers.length <= k) {
    const last = of.powers.at(-1)!
    of.powers.push(multiply(of, last, last))
  }
  return of.powers[k]!
}

/** x^(8 * lengthBytes) */
const shiftOf = (of: Polynomial, lengthBytes: number): bigint => {
  let shift = 1n << (of.bits - 1n)
  let k = 3
  for (let rest = BigInt(lengthBytes); rest > 0n; rest >>= 1n, k += 1) {
    if ((rest & 1n) === 1n) shift = multiply(of, shift, powerOfTwo(of, k))
  }
  return shift
}

const bytesOf = (value: bigint, width: number): Uint8Array =>
  Uint8Array.from({ length: width }, (_, index) => Number((value >> BigInt(8 * (width - 1 - index))) & 0xffn))

/** The CRC of a few bytes, bit by bit: of parts' checksums in a row. Big-endian, 4 or 8 bytes. */
export const smallCrc = (algorithm: CombinableCrc, bytes: Uint8Array): Uint8Array => {
  const { bits, terms } = polynomials[algorithm]
  const ones = (1n << bits) - 1n
  let crc = ones
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ terms : crc >> 1n
  }
  return bytesOf(crc ^ ones, Number(bits) / 8)
}

/** The CRC of all pieces joined. Big-endian values as S3 sends them, decoded from base64: 4 or 8 bytes each. */
export const combineCrcs = (
  algorithm: CombinableCrc, pieces: ReadonlyArray<{ readonly crc: Uint8Array; readonly lengthBytes: number }>
): Uint8Array => {
  const of = polynomials[algorithm]
  const width = Number(of.bits) / 8
  // Parts are mostly of one length, and the shift is what costs.
  let shift = { lengthBytes: -1, value: 0n }
  let joined = 0n
  for (const { crc, lengthBytes } of pieces) {
    assert(crc.length === width, `a ${algorithm} has ${width} bytes, not ${crc.length}`)
    if (shift.lengthBytes !== lengthBytes) shift = { lengthBytes, value: shiftOf(of, lengthBytes) }
    joined = multiply(of, shift.value, joined) ^ crc.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
  }
  return bytesOf(joined, width)
}
