/** Our subset of CBOR held against a general codec: the same bytes both ways, and nothing read that it refuses. */
import { decode, encode, rfc8949EncodeOptions } from "cborg"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CborReader, decodeCbor, encodeCbor, FormatError, type Node } from "../../src/namespace/Cbor.ts"

const strict = { strict: true, allowIndefinite: false, allowUndefined: false, rejectDuplicateMapKeys: true } as const

const edges = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, Number.MAX_SAFE_INTEGER]
const bigEdges = [BigInt(Number.MAX_SAFE_INTEGER) + 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n]
const node: fc.Arbitrary<Node> = fc.letrec<{ node: Node; list: ReadonlyArray<Node> }>((tie) => ({
  list: fc.array(tie("node"), { maxLength: 30, size: "medium" }),
  node: fc.oneof(
    { maxDepth: 6 }, fc.constantFrom<Node>(...edges, ...bigEdges, true, false, null), fc.nat(), fc.uint8Array({ maxLength: 300, size: "max" }), tie("list")
  )
})).node

/** Of nested values that hold views of a Buffer and the like. */
const plain = (value: unknown): unknown =>
  value instanceof Uint8Array ? `h'${Buffer.from(value).toString("hex")}'` : Array.isArray(value) ? value.map(plain) : value

describe("cbor", () => {
  it("values have the bytes that a general codec gives them, and are read back", () => {
    fc.assert(fc.property(node, (value) => {
      const bytes = encodeCbor(value)
      expect(Buffer.from(bytes).equals(encode(value, rfc8949EncodeOptions))).toBe(true)
      expect(plain(decodeCbor(bytes))).toEqual(plain(value))
      const reader = new CborReader(bytes)
      reader.skip(1)
      expect(reader.isAtEnd).toBe(true)
    }), { numRuns: 500 })
  })

  it("whatever is read of harmed bytes has exactly those bytes, and a general codec reads the same", () => {
    fc.assert(fc.property(node, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), fc.integer({ min: -3, max: 3 }), (value, harms, longer) => {
      const whole = encodeCbor(value)
      const bytes = longer < 0 ? whole.slice(0, Math.max(0, whole.length + longer)) : Uint8Array.of(...whole, ...new Uint8Array(longer))
      for (const [at, byte] of harms) if (bytes.length > 0) bytes[at % bytes.length] = byte
      let read: Node
      try {
        read = decodeCbor(bytes)
      } catch (error) {
        if (!(error instanceof FormatError)) throw error
        return
      }
      expect(Buffer.from(encodeCbor(read)).equals(bytes)).toBe(true)
      expect(plain(decode(bytes, strict))).toEqual(plain(read))
    }), { numRuns: 2000 })
  })

  it("what no format of ours has is refused before anything is allocated for it", () => {
    for (const hex of ["", "60", "a0", "f7", "f97e00", "c001", "9f", "5f", "1800", "190001", "1a00000001", "1b0000000000000001", "9a7fffffff", "5b00ffffffffffffff", "20", "0000"]) {
      expect(() => decodeCbor(Buffer.from(hex, "hex")), hex).toThrow(FormatError)
    }
    expect(() => decodeCbor(new Uint8Array(100_000).fill(0x81))).toThrow(/nested/)
    for (const wrong of [-1, 0.5, Number.MAX_SAFE_INTEGER + 1, -1n, 1n << 64n]) expect(() => encodeCbor(wrong)).toThrow(FormatError)
  })

  it("a value larger than what was ever written before is written whole", () => {
    const large = [new Uint8Array(300_000).fill(7), [1, new Uint8Array(6_000_000)]]
    expect(plain(decodeCbor(encodeCbor(large)))).toEqual(plain(large))
    expect(plain(decodeCbor(encodeCbor([1])))).toEqual([1])
  })
})
