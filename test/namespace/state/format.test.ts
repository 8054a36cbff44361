import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { concatBytes, fromByteString, toHex } from "../../../src/base/bytes.ts"
import { crc32c } from "../../../src/base/hash.ts"
import { hybridTime } from "../../../src/base/time.ts"
import {
  checkCheckpointHeader, checkpointFrameBytes, decodeFooter, decodeFrameHeader, decodeRows, decodeStamp, decodeTrailer, encodeCheckpointHeader,
  encodeFooter, encodeFrame, encodeRow, encodeTrailer, openFrame, parseCheckpointName, type Trailer
} from "../../../src/namespace/CheckpointFormat.ts"
import { type Head, openHead, sealHead } from "../../../src/namespace/CheckpointHead.ts"
import { mergeUntilDry } from "../../../src/namespace/CheckpointMerge.ts"
import { StateError, type Stamp, type ValueSealer } from "../../../src/namespace/State.ts"
import { decodeNode, encodeNode, itemBytes, nodeAddress, type Payload, TreeNode } from "../../../src/namespace/TreeNode.ts"
import { twinSealer } from "./sealer.ts"

/** Shows plaintext: formats below the seal are what is golden. */
const clear: ValueSealer = { sealValue: (_context, _associated, bytes) => bytes, openValue: (_context, _associated, bytes) => bytes }
const golden = (name: string): string => readFileSync(new URL(`golden/${name}.hex`, import.meta.url), "latin1").replaceAll(/\s/g, "")

const stamp: Stamp = { sequence: 7, time: hybridTime(1_700_000_000_000, 3), wal: { segment: 2, offset: 8192 } }
const previousStamp: Stamp = { sequence: 5, time: hybridTime(1_600_000_000_000, 0), wal: { segment: 1, offset: 4096 } }
const trailer: Trailer = {
  generation: 9, root: new Uint8Array(32).fill(1), stamp, previousRoot: new Uint8Array(32).fill(2), previousStamp, rows: 3, sections: 1
}
const rows = [["a", fromByteString("value")], ["b\u00ff", undefined], ["c", new Uint8Array(0)]] as const
const nodeOf = (level: number, items: ReadonlyArray<readonly [string, Payload]>): Uint8Array =>
  encodeNode(level, items.map(([key]) => key), items.map(([, payload]) => payload), items.reduce((sum, [key, payload]) => sum + itemBytes(key, payload), 0))
const leaf = [["a", fromByteString("value")], ["b\u00ff", new Uint8Array(0)]] as const
const children = [["b", { address: nodeAddress(3, 4), hash: new Uint8Array(32).fill(5) }], ["d", { address: nodeAddress(2 ** 40, 1), hash: new Uint8Array(32).fill(6) }]] as const
const head: Head = { tree: { root: { address: nodeAddress(9, 1), hash: new Uint8Array(32).fill(1) }, nodes: 2 }, generation: 9, stamp, previousStamp }

const formats: Readonly<Record<string, () => Uint8Array>> = {
  "node-leaf-v1": () => nodeOf(0, leaf),
  "node-inner-v1": () => nodeOf(1, children),
  "head-v1": () => sealHead(clear, head),
  "checkpoint-delta-v1": () => {
    const body = [
      encodeCheckpointHeader("delta", 9),
      ...encodeFrame(clear, { file: "delta", generation: 9, kind: "rows", index: 0 }, concatBytes(rows.map(([key, value]) => encodeRow(key, value))))
    ]
    const offset = concatBytes(body).length
    return concatBytes([...body, ...encodeFrame(clear, { file: "delta", generation: 9, kind: "trailer", index: 1 }, encodeTrailer(trailer)), encodeFooter(offset)])
  }
}

describe("state formats", () => {
  for (const [name, encode] of Object.entries(formats)) {
    it(`${name} is written as it always was`, () => expect(toHex(encode())).toBe(golden(name)))
  }

  it("what was written is read back", () => {
    const node = decodeNode(nodeOf(0, leaf)) as TreeNode
    expect(leaf.map(([key, value], index) => node.key(index) === key && toHex(node.value(index)) === toHex(value as Uint8Array))).toEqual([true, true])
    const inner = decodeNode(nodeOf(1, children)) as TreeNode
    for (const [index, [key, pointer]] of children.entries()) {
      expect([inner.key(index), inner.child(index).address, toHex(inner.child(index).hash)]).toEqual([key, pointer.address, toHex(pointer.hash)])
    }
    expect(decodeRows(concatBytes(rows.map(([key, value]) => encodeRow(key, value))))).toEqual(rows.map(([key, value]) => [key, value === undefined ? undefined : Buffer.from(value)]))
    expect(decodeTrailer(encodeTrailer(trailer))).toEqual({ ...trailer, root: Buffer.from(trailer.root), previousRoot: Buffer.from(trailer.previousRoot) })
    expect(decodeFooter(encodeFooter(123_456))).toBe(123_456)
    expect(checkCheckpointHeader(encodeCheckpointHeader("base", 3), "base", 3)).toBeUndefined()
    const opened = openHead(clear, sealHead(clear, head))
    expect(opened).toMatchObject({ generation: 9, stamp, previousStamp })
    expect(parseCheckpointName("0000000000000012.base")).toEqual({ kind: "base", generation: 18 })
  })

  it("a header, a frame or a head in the wrong place, or of a newer version, is refused", () => {
    expect(checkCheckpointHeader(encodeCheckpointHeader("base", 3), "delta", 3)).toMatchObject({ reason: "Damaged" })
    expect(checkCheckpointHeader(encodeCheckpointHeader("base", 3), "base", 4)).toMatchObject({ reason: "Damaged" })
    const newer = Uint8Array.from(encodeCheckpointHeader("base", 3))
    newer[9] = 2
    // So it may have rotted as well.
    expect(checkCheckpointHeader(newer, "base", 3)).toMatchObject({ reason: "Damaged" })
    Buffer.from(newer.buffer).writeUInt32BE(crc32c(newer.subarray(0, 28)), 28)
    expect(checkCheckpointHeader(newer, "base", 3)).toMatchObject({ reason: "UnknownFormat" })
    const sealer = twinSealer()
    const name = { file: "delta", generation: 9, kind: "rows", index: 4 } as const
    const [header, sealed] = encodeFrame(sealer, name, fromByteString("rows")) as [Uint8Array, Uint8Array]
    const parsed = decodeFrameHeader(header)
    if (parsed instanceof StateError) throw parsed
    expect(openFrame(sealer, name, parsed, sealed)).toEqual(new Uint8Array(fromByteString("rows")))
    for (const other of [{ ...name, generation: 8 }, { ...name, file: "base" as const }, { ...name, index: 5 }, { ...name, kind: "trailer" as const }]) {
      expect(openFrame(sealer, other, parsed, sealed)).toMatchObject({ reason: "Damaged" })
    }
    for (const bad of ["", "12.base", "0000000000000000.base", "0000000000000012.tmp", "ffffffffffffffff.base", "../0000000000000012.base"]) {
      expect(parseCheckpointName(bad)).toBeUndefined()
    }
  })

  it("any bytes, and any change to good bytes, give an error or a value, in no time", () => {
    const decoders: ReadonlyArray<(bytes: Uint8Array) => unknown> = [
      decodeNode, decodeRows, decodeTrailer, decodeFooter, decodeFrameHeader, (bytes) => openHead(clear, bytes),
      (bytes) => checkCheckpointHeader(bytes, "base", 1), (bytes) => (bytes.length < 32 ? undefined : decodeStamp(bytes))
    ]
    const good = Object.values(formats).map((encode) => encode())
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.tuple(fc.constantFrom(...good), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(400)).map(([source, changes, length]) => {
        const copy = source.slice(0, Math.max(1, source.length - (length > 300 ? length - 300 : 0)))
        for (const [at, byte] of changes) copy[at % copy.length] = byte
        return copy
      })
    )
    fc.assert(fc.property(bytes, (source) => {
      for (const decode of decoders) {
        const result = decode(source)
        if (!(result instanceof TreeNode)) continue
        for (let index = 0; index < result.count; index++) expect(result.payload(index)).toBeDefined()
        expect(result.indexOf("b")).toBeLessThanOrEqual(result.count)
      }
    }), { numRuns: 3000 })
    expect(checkpointFrameBytes).toBe(48)
  })

  it("merged files give each key once, the newest row of it, and no removed one", () => {
    const changes = fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.option(fc.nat(9), { nil: undefined })), { selector: ([key]) => key, maxLength: 20 })
    fc.assert(fc.property(fc.array(changes, { maxLength: 5 }), fc.integer({ min: 1, max: 5 }), (files, section) => {
      const expected = new Map<string, number>()
      const named = files.map((file) => file.map(([key, value]) => [`k${String(key).padStart(2, "0")}`, value] as const).sort(([a], [b]) => (a < b ? -1 : 1)))
      for (const [key, value] of named.flat()) {
        if (value === undefined) expected.delete(key)
        else expected.set(key, value)
      }
      const left = named.map((file) => file.map(([key, value]) => [key, value === undefined ? undefined : Uint8Array.of(value)] as const)).toReversed()
      const sources = left.map(() => ({ rows: [] as Array<readonly [string, Uint8Array | undefined]>, index: 0, ended: false }))
      const merged: Array<readonly [string, number]> = []
      for (let dry = mergeUntilDry(sources, (key, value) => merged.push([key, value[0]!])); dry !== undefined; dry = mergeUntilDry(sources, (key, value) => merged.push([key, value[0]!]))) {
        const source = sources.indexOf(dry as never)
        dry.rows = left[source]!.splice(0, section)
        dry.index = 0
        dry.ended = dry.rows.length === 0
      }
      expect(merged).toEqual([...expected].sort(([a], [b]) => (a < b ? -1 : 1)))
    }), { numRuns: 300 })
  })
})
