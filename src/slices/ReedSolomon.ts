/**
 * ReedSolomon: a systematic erasure code over GF(2^8): k data slices as they are, m parity slices, any k of the k + m
 * give all of them back. Sits between blocks, whose bytes it codes, and the kernel that does the sums.
 *
 * Parity slice r is the sum over c of data slice c times 1 / ((255 - r) + c), a Cauchy matrix: every square part of it
 * has an inverse (Blömer et al., An XOR-Based Erasure-Resilient Coding Scheme, 1995). The constants depend on r and c
 * only, so a code with more parity has the same first slices. A byte of a slice depends on the bytes at the same
 * position of the others and on nothing else: slices can be coded range by range.
 */
import { assert } from "../base/assert.ts"
import { codeSlicesMax, codeWindowBytes } from "../base/limits.ts"
import { compileWasm, type WasmMemory } from "../base/wasm.ts"
import { inverse, invert, type Matrix, multiply, multiplyMatrices } from "./Galois.ts"
import { codeWasm } from "./kernel/CodeWasm.ts"

export interface ReedSolomon {
  readonly dataCount: number
  readonly parityCount: number
  /** Fills the parity slices. All slices have one length. */
  readonly encode: (data: ReadonlyArray<Uint8Array>, parity: ReadonlyArray<Uint8Array>) => void
  /**
   * Slices by their numbers (data first, then parity) from any `dataCount` others. `slices` has a place for each slice,
   * undefined where it is lost; those given have one length, and are the same range of each. Fills `targets`, which are
   * what `wanted` names, in that order. Nobody can tell here whether a slice is damaged: check its hash before.
   */
  readonly reconstruct: (
    slices: ReadonlyArray<Uint8Array | undefined>, wanted: ReadonlyArray<number>, targets: ReadonlyArray<Uint8Array>
  ) => void
}

type CodeRows = (count: number, tables: number, from: number, to: number, stride: number, length: number) => void

interface Kernel {
  readonly memory: WasmMemory
  readonly code1: CodeRows
  readonly code2: CodeRows
  readonly code3: CodeRows
}

const makeKernel = compileWasm(codeWasm)

/** Bytes of the tables of one constant, and the unit of the kernel's lengths. */
const constantBytes = 32
const stepBytes = 32
/** Rows that the kernel computes at once. */
const groupRowsMax = 3

/** The constant of parity row and data column. */
export const parityConstant = (row: number, column: number): number => inverse((255 - row) ^ column)

/** Rows in groups, and for each group and column its tables: what the kernel reads. */
const tablesOf = (rows: Matrix): Uint8Array => {
  const columns = rows[0]!.length
  const tables = new Uint8Array(rows.length * columns * constantBytes)
  let at = 0
  for (let first = 0; first < rows.length; first += groupRowsMax) {
    const group = rows.slice(first, first + groupRowsMax)
    for (let column = 0; column < columns; column++) {
      for (const row of group) {
        for (let half = 0; half < 16; half++) {
          tables[at + half] = multiply(row[column]!, half)
          tables[at + 16 + half] = multiply(row[column]!, half << 4)
        }
        at += constantBytes
      }
    }
  }
  return tables
}

/** Sums of `sources` by rows of constants into `targets`, window by window through the kernel's memory. */
const codeInto = (kernel: Kernel, tables: Uint8Array, sources: ReadonlyArray<Uint8Array>, targets: ReadonlyArray<Uint8Array>): void => {
  const { length } = sources[0]!
  assert([...sources, ...targets].every((slice) => slice.length === length), "slices of one code have one length")
  const memory = new Uint8Array(kernel.memory.buffer)
  const count = sources.length
  const windowBytes = Math.floor(codeWindowBytes / (count + targets.length) / stepBytes) * stepBytes
  const from = tables.length
  const to = from + count * windowBytes
  assert(to + targets.length * windowBytes <= memory.length, "tables and windows fit the kernel's memory")
  memory.set(tables, 0)
  for (let at = 0; at < length; at += windowBytes) {
    const end = Math.min(length, at + windowBytes)
    const stepped = Math.ceil((end - at) / stepBytes) * stepBytes
    for (const [index, source] of sources.entries()) memory.set(source.subarray(at, end), from + index * windowBytes)
    for (let first = 0; first < targets.length; first += groupRowsMax) {
      const rows = Math.min(groupRowsMax, targets.length - first)
      const code = rows === 1 ? kernel.code1 : rows === 2 ? kernel.code2 : kernel.code3
      code(count, first * count * constantBytes, from, to + first * windowBytes, windowBytes, stepped)
    }
    for (const [index, target] of targets.entries()) {
      const start = to + index * windowBytes
      target.set(memory.subarray(start, start + end - at), at)
    }
  }
}

/** A code of 1 to 255 data slices and at least one parity slice, codeSlicesMax together. Keeps 1 MiB. */
export const makeReedSolomon = (dataCount: number, parityCount: number): ReedSolomon => {
  assert(Number.isSafeInteger(dataCount) && dataCount >= 1 && Number.isSafeInteger(parityCount) && parityCount >= 1, "slices of both kinds")
  assert(dataCount + parityCount <= codeSlicesMax, `no code has more than ${codeSlicesMax} slices`)
  const kernel = makeKernel() as Kernel
  const columns = Array.from({ length: dataCount }, (_, column) => column)
  /** How a slice follows from the data slices. */
  const rowOf = (slice: number): ReadonlyArray<number> =>
    columns.map((column) => (slice < dataCount ? (column === slice ? 1 : 0) : parityConstant(slice - dataCount, column)))
  const parityTables = tablesOf(Array.from({ length: parityCount }, (_, row) => rowOf(dataCount + row)))

  const encode: ReedSolomon["encode"] = (data, parity) => {
    assert(data.length === dataCount && parity.length === parityCount, `${dataCount} data and ${parityCount} parity slices`)
    codeInto(kernel, parityTables, data, parity)
  }

  const reconstruct: ReedSolomon["reconstruct"] = (slices, wanted, targets) => {
    assert(slices.length === dataCount + parityCount && wanted.length === targets.length, "a place for each slice, a target for each wanted")
    if (wanted.length === 0) return
    const used = slices.flatMap((slice, index) => (slice === undefined ? [] : [index])).slice(0, dataCount)
    assert(used.length === dataCount, `${dataCount} slices are needed, ${used.length} are there`)
    const fromUsed = invert(used.map(rowOf))
    const rows = multiplyMatrices(wanted.map(rowOf), fromUsed)
    codeInto(kernel, tablesOf(rows), used.map((index) => slices[index]!), targets)
  }
  return { dataCount, parityCount, encode, reconstruct }
}
