/** Codecs put and take values without the nodes in between: held against the way over the nodes, byte for byte. */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { AssertionError } from "../../src/base/assert.ts"
import { type Codec, decodeTrusted, encodeWith, flag, FormatError, hex, list, type Node, optional, raw, rawView, struct, text, textRecord, uint, uint64, union, word } from "../../src/namespace/Canonical.ts"
import { encodeCbor } from "../../src/namespace/Cbor.ts"
import { etag } from "../../src/namespace/ModelFormat.ts"

type Shape = { readonly _tag: "Round"; readonly size: number } | { readonly _tag: "Named"; readonly name: string; readonly tags: ReadonlyArray<string> }

interface All {
  readonly id: string
  readonly count: number
  readonly time: bigint
  readonly isNew: boolean
  readonly bytes: Uint8Array
  readonly view: Uint8Array
  readonly color: "red" | "green"
  readonly etag: string
  readonly maybe?: string
  readonly names: Readonly<Record<string, string>>
  readonly shapes: ReadonlyArray<Shape>
}

const codec: Codec<All> = struct<All>({
  id: hex<string>(4), count: uint(), time: uint64, isNew: flag, bytes: raw(40), view: rawView(40), color: word(["red", "green"]), etag, maybe: optional(text(20)),
  names: textRecord(3, 20), shapes: list(union<Shape>({ Round: [0, struct({ size: uint(100) })], Named: [3, struct({ name: text(9), tags: list(text(9), 2) })] }), 4)
})

const overNodes: Codec<All> = { write: codec.write, read: codec.read }

const words = fc.string({ unit: fc.constantFrom("a", "é", "\ufeff", "😀", "\0"), maxLength: 2 })
const hexOf = (digits: number) => fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString("hex"))
const shape: fc.Arbitrary<Shape> = fc.oneof(
  fc.record({ _tag: fc.constant("Round" as const), size: fc.nat(100) }),
  fc.record({ _tag: fc.constant("Named" as const), name: words, tags: fc.array(words, { maxLength: 2 }) })
)
const value: fc.Arbitrary<All> = fc.record({
  id: hexOf(8), count: fc.maxSafeNat(), time: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), isNew: fc.boolean(), bytes: fc.uint8Array({ maxLength: 40 }),
  view: fc.uint8Array({ maxLength: 40 }), color: fc.constantFrom("red" as const, "green" as const), etag: fc.oneof(hexOf(32), words),
  names: fc.dictionary(words, words, { maxKeys: 3 }), shapes: fc.array(shape, { maxLength: 4 }), maybe: words
}, { requiredKeys: ["id", "count", "time", "isNew", "bytes", "view", "color", "etag", "names", "shapes"] })

/** What comes of it, or what it says. */
const attempt = (decode: () => All): unknown => {
  try {
    const all = decode()
    return { ...all, bytes: Buffer.from(all.bytes).toString("hex"), view: Buffer.from(all.view).toString("hex") }
  } catch (error) {
    if (error instanceof FormatError) return error.message
    throw error
  }
}

describe("canonical", () => {
  it("values that are put have the bytes of their nodes, and are taken as they were", () => {
    fc.assert(fc.property(value, (all) => {
      const bytes = encodeWith(codec, all)
      expect(Buffer.from(bytes).equals(encodeCbor(codec.write(all)))).toBe(true)
      expect(attempt(() => decodeTrusted({ ...codec, read: () => expect.fail("it went over the nodes") }, bytes, "all"))).toEqual(attempt(() => all))
    }), { numRuns: 1000 })
  })

  it("whatever the bytes, what is taken is what is read of the nodes, and so is what is wrong with them", () => {
    fc.assert(fc.property(value, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), fc.nat(3), (all, harms, longer) => {
      const bytes = Uint8Array.of(...encodeWith(codec, all), ...new Uint8Array(longer === 3 ? 1 : 0))
      for (const [at, byte] of harms) bytes[at % bytes.length] = byte
      expect(attempt(() => decodeTrusted(codec, bytes, "all"))).toEqual(attempt(() => decodeTrusted(overNodes, bytes, "all")))
    }), { numRuns: 2000 })
  })

  it("what is longer, shorter or something else than its field may be is taken by nobody, or by both", () => {
    const field = fc.oneof(
      fc.uint8Array({ maxLength: 45 }), words.map((text) => Buffer.from(text.repeat(12))), fc.constantFrom<Node>(null, true, 0, 1, 101, 1n << 60n),
      fc.array(fc.constantFrom<Node>([0, [7]], [3, [Buffer.from("n"), []]], [3, [Buffer.from("n"), [Buffer.from("a"), Buffer.from("b"), Buffer.from("c")]]], [Buffer.from("a"), Buffer.from("b")], [1]), { maxLength: 6 })
    )
    fc.assert(fc.property(value, fc.nat(), field, (all, at, other) => {
      const fields = [...codec.write(all) as ReadonlyArray<Node>]
      fields[at % fields.length] = other
      const bytes = encodeCbor(fields)
      expect(attempt(() => decodeTrusted(codec, bytes, "all"))).toEqual(attempt(() => decodeTrusted(overNodes, bytes, "all")))
    }), { numRuns: 4000 })
  })

  it("a value that has no bytes fails, and what is encoded next is whole", () => {
    const wrong = { id: "0011223", count: 1, time: 1n, isNew: true, bytes: new Uint8Array(0), view: new Uint8Array(0), color: "red", etag: "", names: {}, shapes: [] } as const
    const right = { ...wrong, id: "00112233" }
    for (const part of [{}, { id: "0011223x" }, { id: "001122334455" }, { id: right.id, maybe: "\ud800" }, { id: right.id, maybe: "x".repeat(21) }, { id: right.id, count: -1 }]) {
      expect(() => encodeWith(codec, { ...wrong, ...part }), JSON.stringify(part)).toThrow(AssertionError)
      expect(Buffer.from(encodeWith(codec, right)).equals(encodeCbor(codec.write(right)))).toBe(true)
    }
  })
})
