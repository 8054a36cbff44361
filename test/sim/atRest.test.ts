/** Checkers at rest: each hears what is planted in a store that is otherwise right. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { fromByteString } from "../../src/base/bytes.ts"
import type { BlockId, ChunkId, RestartId, StoreId } from "../../src/base/ids.ts"
import { hashOf } from "../../src/base/hash.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { Gc } from "../../src/gc.ts"
import { makeCrc64 } from "../../src/gateway/s3/Checksums.ts"
import { afterPrefix, table, totalsKey } from "../../src/namespace/Rows.ts"
import { chunkRow, totalsRow } from "../../src/namespace/RowsValue.ts"
import { Unavailable } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { nodeAddress } from "../../src/namespace/TreeNode.ts"
import { nodeTable } from "../../src/namespace/TreeStore.ts"
import { Settle } from "../../src/settle.ts"
import { noLink } from "../../src/wal/WalRecord.ts"
import type { LogSegment } from "../../src/wal/WalRecovery.ts"
import { checkHistoryLeft, checkLeft, garbageChecker } from "../../sim/checker/Garbage.ts"
import { checkNamed, namedChecker, type Rot } from "../../sim/checker/Named.ts"
import { checkAlike, checkNoneYounger, rebuiltChecker, type Rows } from "../../sim/checker/Rebuilt.ts"
import { referenceChecker } from "../../sim/checker/Reference.ts"
import { foundIn, sealedChecker } from "../../sim/checker/Sealed.ts"
import { checkSealed, tidiedChecker } from "../../sim/checker/Tidied.ts"
import type { AtRest, Checker, MakeChecker, RoomServices } from "../../sim/checker/Checker.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Bodies, plaintextMark } from "../../sim/workload/Bodies.ts"
import { durabilityWorkload } from "../../sim/workload/Durability.ts"
import { keysOf } from "../../sim/workload/Names.ts"
import { runWorld } from "../../sim/World.ts"

const crc64 = await Effect.runPromise(makeCrc64)

/** Something is planted, then the checker looks. */
const after = (make: MakeChecker, plant: (rest: AtRest) => Effect.Effect<AtRest, unknown, RoomServices>): MakeChecker => () => {
  const checker: Checker = make()
  return { name: checker.name, atRest: (rest) => Effect.flatMap(plant(rest), checker.rebuilt ?? checker.atRest!) }
}

const violationOf = (make: MakeChecker): string | undefined =>
  runWorld({ seed: 3, profile: "short", workloads: [durabilityWorkload], checkers: [make], crc64 }).violation?.message

const withFile = (rest: AtRest, bytes: Uint8Array): AtRest =>
  ({ ...rest, disk: { contents: () => new Map([...rest.disk.contents(), ["blocks/00/planted", bytes]]) } as unknown as AtRest["disk"] })

const inTheMiddle = (bytes: Uint8Array): Uint8Array => Buffer.concat([seededRandom(1).bytes(5000), bytes, seededRandom(2).bytes(5000)])

describe("at rest", () => {
  test("sealed: bytes of an object in a file are found, and so is a name; in a store that is right there are none", { timeout: 120_000 }, () => {
    const plant = (bytes: Uint8Array) => after(sealedChecker, (rest) => Effect.succeed(withFile(rest, bytes)))
    expect(violationOf(plant(inTheMiddle(new Uint8Array(0))))).toBeUndefined()
    expect(violationOf(plant(inTheMiddle(plaintextMark)))).toBe("blocks/00/planted has in clear bytes of an object at byte 5000 of 10016")
    expect(violationOf(plant(inTheMiddle(Buffer.from(keysOf(3)[2]!))))).toMatch(/has in clear a name at byte 500/)
  })

  test("sealed: every body of at least 16 bytes carries the mark, whatever its size, and every key too", () => {
    const bodies = new Bodies({ marked: true })
    const random = seededRandom(5)
    for (let count = 0; count < 200; count += 1) {
      const { bytes } = bodies.draw(random)
      expect(bytes.length < plaintextMark.length || foundIn(bytes) !== undefined).toBe(true)
    }
    for (const key of keysOf(100)) expect(foundIn(Buffer.from(key))).toMatch(/a name/)
  })

  test("garbage: a chunk that nothing names is found, and a block that no commit names", { timeout: 120_000 }, () => {
    const chunk = after(garbageChecker, (rest) => Effect.gen(function*() {
      const state = yield* State
      const [key, value] = state.reader.first(table.chunk, afterPrefix(table.chunk))!
      state.write([[`${key.slice(0, -1)}${key.endsWith("\u0000") ? "\u0001" : "\u0000"}`, chunkRow.encode({ ...chunkRow.decode(value), references: 0 })]], state.stamp())
      return rest
    }))
    expect(violationOf(chunk)).toMatch(/is named by nothing, and is left/)
    // A collection would sweep it: the look alone must see it.
    const look: MakeChecker = () => ({ name: "garbage", atRest: () => Effect.orDie(checkLeft) })
    const block = after(look, (rest) => Effect.gen(function*() {
      yield* (yield* Gc).run(true)
      const sealed = seededRandom(9).bytes(3000)
      yield* (yield* Blocks).write("0".repeat(32) as BlockId, [{ id: hashOf(sealed) as string as ChunkId, sizeBytes: 3000, sealedHash: hashOf(sealed), sealed }])
      return rest
    }))
    expect(violationOf(block)).toMatch(/block 0{32} has a file, and no commit names it/)
    expect(violationOf(garbageChecker)).toBeUndefined()
  })

  test("garbage: a chunk that counts a reference too many is found, one that nobody knows, and totals that the rows do not add up to", { timeout: 120_000 }, () => {
    const planting = (rowOf: (key: string, value: Uint8Array) => Uint8Array | undefined, prefix: string): string | undefined => violationOf(() => ({
      name: "garbage",
      atRest: () => Effect.orDie(Effect.gen(function*() {
        yield* (yield* Gc).run(true)
        const state = yield* State
        const [key, value] = state.reader.first(prefix, afterPrefix(prefix))!
        state.write([[key, rowOf(key, value)]], state.stamp())
        yield* checkLeft
      }))
    }))
    const chunkWith = (more: number) => (_: string, value: Uint8Array) => chunkRow.encode({ ...chunkRow.decode(value), references: chunkRow.decode(value).references + more })
    expect(planting(chunkWith(0), table.chunk)).toBeUndefined()
    expect(planting(chunkWith(1), table.chunk)).toMatch(/^chunk \w+ counts (\d+) references, and \d+ name it/)
    expect(planting(() => undefined, table.chunk)).toMatch(/^chunk \w+ is named by \d+, and nothing is known of it/)
    expect(planting((_, value) => totalsRow.encode({ ...totalsRow.decode(value), journaledBytes: totalsRow.decode(value).journaledBytes + 1 }), totalsKey)).toMatch(/^the totals tell of \d+ bytes in the journal, and the rows of \d+/)
  })

  test("past: a version that is gone, and one that is there again, are found at a commit that nobody asked for; so is a chunk that cannot be read", { timeout: 120_000 }, () => {
    const planting = (plant: Effect.Effect<void, unknown, RoomServices>): string | undefined => violationOf(() => {
      const inner = referenceChecker()
      return { name: inner.name, applied: inner.applied!, sent: inner.sent!, heard: inner.heard!, atRest: (rest) => Effect.andThen(plant, inner.atRest!(rest)) }
    })
    const firstRow = (prefix: string) => Effect.map(State, (state) => ({ state, row: state.reader.first(prefix, afterPrefix(prefix))! }))
    expect(planting(Effect.void)).toBeUndefined()
    expect(planting(Effect.map(firstRow(table.version), ({ row: [key], state }) => state.write([[key, undefined]], state.stamp())))).toMatch(/^versions of .* at commit \d+: /)
    expect(planting(Effect.gen(function*() {
      const state = yield* State
      for (const [key, value] of state.reader.scan(table.chunk, afterPrefix(table.chunk))) state.write([[key, chunkRow.encode({ ...chunkRow.decode(value), copies: [] })]], state.stamp())
    }))).toMatch(/cannot be read: read: Missing: chunk .*: no copy is recorded/)
  })

  test("hurt: a chunk that rotted is named and healed; where its reader is told nothing, that is found", { timeout: 120_000 }, () => {
    const probes: Array<string> = []
    const hurting = (of: (rest: AtRest) => AtRest): string | undefined => violationOf(() => {
      const inner = referenceChecker()
      return { name: inner.name, applied: inner.applied!, sent: inner.sent!, heard: inner.heard!, atRest: (rest) => inner.hurt!(of({ ...rest, probe: (name) => void probes.push(name) })) }
    })
    expect(hurting((rest) => rest)).toBeUndefined()
    expect(probes).toEqual(["hurt: what came again has healed what was harmed"])
    const unharmed = (rest: AtRest): AtRest => ({ ...rest, disk: { sizes: () => rest.disk.sizes(), corrupt: () => undefined } as unknown as AtRest["disk"] })
    expect(hurting(unharmed)).toMatch(/is read as if nothing had happened to it/)
  })

  test("garbage: a version behind the horizon that is left is found, and an upload that has ended and keeps its parts", { timeout: 120_000 }, () => {
    const left = (horizon: number, plant: Effect.Effect<void, unknown, RoomServices> = Effect.void): string | undefined =>
      violationOf(() => ({ name: "garbage", atRest: () => Effect.andThen(plant, Effect.orDie(checkHistoryLeft(horizon))) }))
    expect(left(0, Effect.flatMap(Gc, (gc) => gc.run(true)))).toBeUndefined()
    // All history is behind that horizon, and nothing was collected.
    expect(left(1_000_000)).toMatch(/versions are left that nothing from commit 1000000 on shows/)
  })

  test("rebuilt: a node of the index that is nobody's is found", { timeout: 120_000 }, () => {
    const make: MakeChecker = () => {
      const inner = rebuiltChecker()
      return { name: inner.name, atRest: (rest) => Effect.andThen(rest.index.service.commit([{ _tag: "Put", table: nodeTable, key: new Uint8Array(16).fill(255), value: new Uint8Array(9) }]), inner.atRest!(rest)) }
    }
    expect(violationOf(rebuiltChecker)).toBeUndefined()
    expect(violationOf(make)).toMatch(/the index has \d+ nodes, and the tree \d+/)
  })

  test("rebuilt: a node that is younger than the newest checkpoint is found", async () => {
    const index = new MemoryKeyValue()
    const paths = ["checkpoints/0000000000000002.delta", "checkpoints/0000000000000003.delta.damaged", "blocks/00/ab"]
    const put = (generation: number): Promise<void> => Effect.runPromise(index.service.commit([{ _tag: "Put", table: nodeTable, key: fromByteString(nodeAddress(generation, 7)), value: new Uint8Array(1) }]))
    await put(2)
    expect(() => checkNoneYounger(index, paths)).not.toThrow()
    await put(3)
    expect(() => checkNoneYounger(index, paths)).toThrow(/the index has node 000000000000000300000007, and checkpoint 2 is the newest/)
  })

  test("rebuilt: a row that is another, that is missing or that is more is found, and another root", () => {
    const rows: Rows = { sequence: 7, root: "a", rows: new Map([["k", Uint8Array.of(1)], ["l", Uint8Array.of(2)]]) }
    const like = (change: Partial<Rows>) => () => checkAlike(rows, { ...rows, ...change })
    expect(like({})).not.toThrow()
    expect(like({ rows: new Map([...rows.rows, ["l", Uint8Array.of(3)]]) })).toThrow(/row 6c of the index at commit 7 was 1 bytes 02, and is rebuilt as 1 bytes 03/)
    expect(like({ rows: new Map([["k", Uint8Array.of(1)]]) })).toThrow(/row 6c .* rebuilt as no row/)
    expect(like({ rows: new Map([...rows.rows, ["m", Uint8Array.of(3)]]) })).toThrow(/row 6d .* was no row/)
    expect(like({ root: "b" })).toThrow(/the root at commit 7 was a, and is rebuilt as b/)
  })

  test("named: a record that is gone, other or new without a word is found; a chunk that is named is none", () => {
    const rot = { path: "journal/00000001.seg", offset: 9 }
    const found = (kind: "Chunk" | "Commit", hash: string) => ({ kind, hash, position: { segment: 1, offset: 8192, length: 10 } })
    const whole = { plan: undefined, records: new Map([["1:8192", found("Chunk", "a")], ["1:9000", found("Commit", "b")]]) }
    const rotten = { records: new Map(whole.records), damaged: new Set<string>(), read: new Map<string, string>() }
    const look = (change: Partial<typeof rotten>) => () => checkNamed(rot, whole, { ...rotten, ...change })
    const chunkGone = new Map([["1:9000", found("Commit", "b")]])
    expect(look({})).not.toThrow()
    expect(look({ records: chunkGone, damaged: new Set(["1:8192"]) })).not.toThrow()
    expect(look({ records: chunkGone })).toThrow("byte 9 of journal/00000001.seg is another, and a Chunk of the journal at 1:8192 is gone: no error names it")
    expect(look({ records: new Map([["1:8192", found("Chunk", "a")]]), damaged: new Set(["1:9000"]) })).toThrow(/a Commit of the journal at 1:9000 is gone/)
    expect(look({ records: chunkGone, damaged: new Set(["1:8192"]), read: new Map([["1:8192", "c"]]) })).toThrow(/gives other bytes for the chunk/)
    expect(look({ records: new Map([...whole.records, ["1:8192", found("Chunk", "c")]]) })).toThrow(/is served with other bytes/)
    expect(look({ records: new Map([...whole.records, ["1:9999", found("Commit", "c")]]) })).toThrow(/that nobody wrote/)
  })

  test("named: what was lost may come back behind all that is there, where the header that forbids it rots and nothing lies behind it", () => {
    const found = (segment: number, offset: number) => ({ kind: "Commit" as const, hash: "a", position: { segment, offset, length: 10 } })
    const header = (segment: number, continues: number): LogSegment => ({
      header: { segment, epoch: segment, storeId: "s" as StoreId, restartId: "r" as RestartId, continuesFrom: { ...noLink, segment: continues } }, sizeBytes: 4096, proven: undefined
    })
    const plan = { log: [header(1, 0), header(3, 1)], leftovers: [], before: noLink, epochMax: 3, segmentNext: 4 }
    const whole = { plan, records: new Map([["1:4096", found(1, 4096)]]) }
    const look = (rot: Rot, where: number, records = whole.records) => () =>
      checkNamed(rot, { plan, records }, { records: new Map([...records, [`${where}:8192`, found(where, 8192)]]), damaged: new Set(), read: new Map() })
    const end = { path: "journal/00000003.seg", offset: 2742 }
    expect(look(end, 1)).not.toThrow()
    expect(look({ ...end, offset: 4096 }, 1)).toThrow(/that nobody wrote/)
    expect(look({ ...end, path: "journal/00000001.seg" }, 1)).toThrow(/that nobody wrote/)
    expect(look(end, 2)).toThrow(/that nobody wrote/)
    expect(look(end, 1, new Map([...whole.records, ["3:4096", found(3, 4096)]]))).toThrow(/that nobody wrote/)
  })

  test("named and tidied: a store that is right passes; rot in a block of it is damage that nobody harmed", { timeout: 120_000 }, () => {
    expect(violationOf(namedChecker)).toBeUndefined()
    expect(violationOf(tidiedChecker)).toBeUndefined()
    const rotten = after(tidiedChecker, (rest) => Effect.sync(() => {
      for (const [path, bytes] of rest.disk.contents()) if (path.endsWith(".block")) rest.disk.corrupt(path, bytes.length >> 1)
      return rest
    }))
    expect(violationOf(rotten)).toMatch(/scrub finds damage in a store that nothing harmed: block/)
  })

  test("tidied: a store that cannot seal is found", { timeout: 120_000 }, () => {
    const full = new Unavailable({ reason: "BlockFailed", detail: "planted" })
    const look: MakeChecker = () => ({
      name: "tidied", atRest: () => Effect.flatMap(Settle, (settle) => Effect.provideService(checkSealed, Settle, { ...settle, settleNow: Effect.fail(full) }))
    })
    expect(violationOf(look)).toBe("the store at rest does not seal: unavailable: BlockFailed: planted")
  })
})
