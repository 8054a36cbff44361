/** The bytes of entries, vertices, pages and rows: golden, canonical, and safe to read whatever they are. */
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { compareBytes, fromByteString, toHex, toUtf8 } from "../../src/base/bytes.ts"
import { commitBytesMax, partNumberMax } from "../../src/base/limits.ts"
import { FormatError } from "../../src/namespace/Canonical.ts"
import { decodeEntry, encodeEntry } from "../../src/namespace/Entry.ts"
import { openEntry, sealEntry } from "../../src/namespace/LoggedEntry.ts"
import { decodePage } from "../../src/namespace/Manifest.ts"
import { escapeText, parseVersionId, unescapeText, versionIdOf, versionKey } from "../../src/namespace/Rows.ts"
import { decodeVersionRow, encodeVersionRow } from "../../src/namespace/RowsVersion.ts"
import { decodeVertex, encodeVertex, vertexHead } from "../../src/namespace/Vertex.ts"
import { changes, entryOf, golden, rows, vertex } from "./samples.ts"
import { bucketIdOf, testSealer } from "./store.ts"

const goldenBytes = (name: string): Uint8Array =>
  Buffer.from(readFileSync(new URL(`golden/${name}.v1.hex`, import.meta.url), "utf8").replaceAll(/\s/g, ""), "hex")

/** A value, or FormatError: nothing else, whatever the bytes. */
const survives = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): boolean => {
  try {
    decode(bytes)
    return true
  } catch (error) {
    if (error instanceof FormatError) return false
    throw error
  }
}

/** No value, or one with these bytes. */
const same = <A>(bytes: Uint8Array, decode: (bytes: Uint8Array) => A, encode: (value: A) => Uint8Array | undefined): boolean =>
  !survives(decode, bytes) || toHex(encode(decode(bytes)) ?? new Uint8Array(0)) === toHex(bytes)

const text = fc.string({ unit: fc.oneof(fc.constantFrom("\0", "\u0001", "a", "/", "\u007f", "é", "\ue000", "\uffff", "\ufeff", "😀", "\u{10ffff}"), fc.string({ unit: "binary", minLength: 1, maxLength: 1 })), maxLength: 6 })

describe("namespace formats", () => {
  it("namespace: every format has the bytes of its golden file", () => {
    for (const [name, bytes] of golden) expect(toHex(bytes), name).toBe(toHex(goldenBytes(name)))
  })

  it("namespace: what the golden files hold is read back as it was", () => {
    for (const [index, change] of changes.entries()) expect(decodeEntry(goldenBytes(`entry-${change._tag}`))).toEqual(entryOf(change, index))
    expect(decodeVertex(goldenBytes("vertex-object"))).toEqual(vertex)
    for (const [name, { decode, value }] of Object.entries(rows)) expect(decode(goldenBytes(`row-${name}`)), name).toEqual(value)
    const row = decodeVersionRow(goldenBytes("row-version"))
    expect(toHex(encodeVersionRow(row))).toBe(toHex(goldenBytes("row-version")))
    const expiring = decodeVersionRow(goldenBytes("row-version-expiring"))
    expect([row.expiresMs, expiring.expiresMs]).toEqual([undefined, 1_790_000_003_600_000])
    expect(toHex(encodeVersionRow(expiring))).toBe(toHex(goldenBytes("row-version-expiring")))
    expect(toHex(expiring.vertex)).toBe(toHex(row.vertex))
    expect(vertexHead(row.vertex)).toEqual({ sequence: 258, ordinal: 2, time: vertex.time, deleteMarker: false, sizeBytes: vertex.sizeBytes, etag: vertex.etag })
    expect(vertexHead(goldenBytes("vertex-marker"))).toMatchObject({ deleteMarker: true, etag: "" })
    expect(decodePage(goldenBytes("page")).entries).toHaveLength(2)
  })

  it("namespace: any bytes, and any golden bytes with some changed, are a value or a FormatError", () => {
    const decoders: ReadonlyArray<readonly [string, (bytes: Uint8Array) => unknown]> = [
      ...changes.map((change) => [`entry-${change._tag}`, decodeEntry] as const),
      ["vertex-object", decodeVertex], ["vertex-object", vertexHead], ["row-version", decodeVersionRow], ["row-version-expiring", decodeVersionRow], ["page", decodePage],
      ...Object.entries(rows).map(([name, { decode }]) => [`row-${name}`, decode] as const)
    ]
    const edits = fc.array(fc.record({ at: fc.nat(2000), byte: fc.nat(255) }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(fc.constantFrom(...decoders), fc.uint8Array({ maxLength: 200 }), edits, fc.nat(2000), ([name, decode], noise, edits, cut) => {
        survives(decode, noise)
        const bytes = Uint8Array.from(goldenBytes(name))
        for (const { at, byte } of edits) bytes[at % bytes.length] = byte
        survives(decode, bytes)
        survives(decode, bytes.subarray(0, cut % bytes.length))
      }),
      { numRuns: 2000 }
    )
    // Nested as deep as the bytes allow, and lengths that no memory has.
    for (const [, decode] of decoders) {
      expect(survives(decode, new Uint8Array(1_000_000).fill(0x81))).toBe(false)
      expect(survives(decode, Uint8Array.of(0x9b, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))).toBe(false)
    }
  })

  it("namespace: entries and vertices that decode encode to the same bytes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...changes.map(({ _tag }) => _tag)), fc.nat(2000), fc.nat(255), (tag, at, byte) => {
        const bytes = Uint8Array.from(goldenBytes(`entry-${tag}`))
        bytes[at % bytes.length] = byte
        expect(same(bytes, decodeEntry, encodeEntry)).toBe(true)
        const of = Uint8Array.from(goldenBytes("vertex-object"))
        of[at % of.length] = byte
        expect(same(of, decodeVertex, encodeVertex)).toBe(true)
      }),
      { numRuns: 1000 }
    )
  })

  it("namespace: an entry of an unknown kind, or too large, is no entry", () => {
    const bytes = goldenBytes("entry-RaiseHorizon")
    const kind = bytes.lastIndexOf(12, bytes.length - 3)
    // 24 says that the number is in the next byte.
    expect(() => decodeEntry(bytes.with(kind, 24))).toThrow("unknown kind 129: written by a newer version?")
    const put = changes.find((change) => change._tag === "PutObject")
    if (put === undefined) throw new Error("no PutObject")
    const attributes = { headers: {}, userMetadata: Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`n${index}`, "x".repeat(60_000)])) }
    expect(encodeEntry(entryOf({ ...put, attributes }, 0))).toBeUndefined()
  })

  it("namespace: the largest completion, 10,000 parts with checksums, fits one commit", () => {
    const completion = changes.find((change) => change._tag === "CompleteUpload")
    if (completion === undefined) throw new Error("no CompleteUpload")
    const checksum = { algorithm: "SHA256", value: Buffer.alloc(32, 0xff).toString("base64"), type: "COMPOSITE" } as const
    const numbers = Array.from({ length: partNumberMax }, (_, index) => index + 1)
    const change = {
      ...completion,
      parts: numbers.map((partNumber) => ({ partNumber, etag: "f".repeat(32) })),
      objectParts: numbers.map((partNumber) => ({ partNumber, sizeBytes: 5 * 2 ** 30, checksum }))
    }
    expect(encodeEntry(entryOf(change, 0))?.length).toBeLessThan(commitBytesMax)
  })

  it("namespace: a logged entry opens under its own sequence only", () => {
    const [change] = changes
    if (change === undefined) throw new Error("no changes")
    const sealed = sealEntry(testSealer, entryOf(change, 41)) ?? new Uint8Array(0)
    expect(openEntry(testSealer, sealed).sequence).toBe(42)
    expect(() => openEntry(testSealer, sealed.with(7, 43))).toThrow(FormatError)
    expect(() => openEntry(testSealer, sealed.subarray(0, 8))).toThrow(FormatError)
  })

  it("namespace: escaped names keep the order of UTF-8 and come back; versions sort newest first under their key", () => {
    fc.assert(
      fc.property(text, text, fc.nat(), fc.nat(), fc.nat(65_535), fc.nat(65_535), (a, b, s, t, m, n) => {
        fc.pre(a.isWellFormed() && b.isWellFormed())
        expect(unescapeText(escapeText(a))).toBe(a)
        const order = compareBytes(toUtf8(a), toUtf8(b)) || Math.sign(t - s) || Math.sign(n - m)
        const [left, right] = [versionKey("version", bucketIdOf(1), a, s, m), versionKey("version", bucketIdOf(1), b, t, n)]
        expect(left < right ? -1 : left > right ? 1 : 0).toBe(order)
        expect(compareBytes(fromByteString(left), fromByteString(right))).toBe(order)
        expect(escapeText(a + b).startsWith(escapeText(a))).toBe(true)
      }),
      { numRuns: 2000 }
    )
    expect(parseVersionId(versionIdOf(2 ** 53 - 1, 65_535))).toEqual({ sequence: 2 ** 53 - 1, ordinal: 65_535 })
    for (const bad of ["", "null", "0".repeat(19), "F".repeat(20), "f".repeat(20)]) expect(parseVersionId(bad)).toBeUndefined()
  })
})
