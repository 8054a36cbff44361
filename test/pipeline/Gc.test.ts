/** Deletion that frees space, on a whole store of twins: what goes, what stays, and who is waited for. */
import { Deferred, Effect, Fiber } from "effect"
import { describe, expect, test } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { hashOf } from "../../src/base/hash.ts"
import type { BlockId, BucketId, ChunkId, UploadId } from "../../src/base/ids.ts"
import { Blocks } from "../../src/block/BlockService.ts"
import { abortStale, noFreeing } from "../../src/free.ts"
import { Gc } from "../../src/gc.ts"
import { Get } from "../../src/get.ts"
import { Intents } from "../../src/intents.ts"
import { Namespace, Unavailable } from "../../src/namespace/Namespace.ts"
import { noPurging, purge } from "../../src/purge.ts"
import { bucketsAfter, staleUploads, withSupersededRows } from "../../src/namespace/QueryGarbage.ts"
import { State } from "../../src/namespace/State.ts"
import { Put } from "../../src/put.ts"
import { walReserveBytes } from "../../src/base/limits.ts"
import { hybridTime } from "../../src/base/time.ts"
import { Wal } from "../../src/wal/WalService.ts"
import { Settle } from "../../src/settle.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, noSummary, put, versionOf } from "./operations.ts"
import { bodyOf, type Machine, newMachine, readAll, tiny, withStore } from "./store.ts"

/** History of nothing, rounds only when asked. */
const options: Partial<StoreOptions> = {
  settings: { ...tiny.settings!, retentionDays: 0 }, gc: { intervalMs: 3_600_000, reserveBytes: 0, compactBytesPerSecond: 0 }
}

const bytesOf = (seed: number, length: number): Uint8Array => seededRandom(seed).bytes(length)
const remove = (key: string) => Effect.flatMap(Namespace, (namespace) => namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] }))
const settle = Effect.flatMap(Settle, ({ settleNow }) => settleNow)
const collect = Effect.flatMap(Gc, (gc) => gc.run(true))
const blockBytes = ({ disk }: Machine): number => {
  let bytes = 0
  for (const [path, contents] of disk.contents()) if (path.startsWith("blocks/")) bytes += contents.length
  return bytes
}

const expectWhole = (key: string, bytes: Uint8Array) =>
  Effect.map(get(key), (read) => { expect(toHex(read), key).toBe(toHex(bytes)) })

describe("gc", () => {
  test("what is deleted and overwritten goes, from blocks and journal; what is left reads as it was, also after a restart", async () => {
    const machine = newMachine(1)
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      for (let number = 0; number < 8; number += 1) yield* put(`k${number}`, bytesOf(number, 20_000))
      yield* settle
      const full = blockBytes(machine)
      for (let number = 0; number < 6; number += 1) yield* number % 2 === 0 ? remove(`k${number}`) : put(`k${number}`, bytesOf(100 + number, 5000))
      const report = yield* collect
      expect(report.freed.versions).toBe(6)
      expect(report.freed.chunks).toBeGreaterThan(40)
      expect(report.freed.blocksDropped).toBeGreaterThan(3)
      expect(report.remaining).toMatchObject({ condemnedChunks: 0, reclaimableBytes: expect.any(Number) })
      expect(blockBytes(machine)).toBeLessThan(0.6 * full)
      const again = yield* collect
      expect(again.freed).toMatchObject({ versions: 0, chunks: 0, blocksDropped: 0, blocksCompacted: 0 })
    }), options)
    await withStore(machine, Effect.gen(function*() {
      for (const number of [0, 2, 4]) expect((yield* Effect.result(versionOf(`k${number}`)))._tag).toBe("Failure")
      for (const number of [1, 3, 5]) yield* expectWhole(`k${number}`, bytesOf(100 + number, 5000))
      for (const number of [6, 7]) yield* expectWhole(`k${number}`, bytesOf(number, 20_000))
    }), options)
  })

  test("a block's file that no commit names goes while the node runs, but not while somebody from before may be writing it", async () => {
    await withStore(newMachine(12), Effect.gen(function*() {
      yield* makeBucket
      const blocks = yield* Blocks
      const sealed = bytesOf(1, 3000)
      const chunk = { id: hashOf(sealed) as string as ChunkId, sizeBytes: 3000, sealedHash: hashOf(sealed), sealed }
      const unnamed = "0".repeat(31) + "7" as BlockId
      yield* Effect.scoped(Effect.gen(function*() {
        yield* (yield* Intents).open
        yield* blocks.write(unnamed, [chunk])
        yield* collect
        expect(yield* blocks.list).toContain(unnamed)
      }))
      yield* collect
      expect(yield* blocks.list).not.toContain(unnamed)
    }), options)
  })

  test("a sparse block that was misread once is written anew the next time", async () => {
    const machine = newMachine(13)
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      for (let number = 0; number < 8; number += 1) yield* put(`k${number}`, bytesOf(number, 2000))
      yield* settle
      const full = blockBytes(machine)
      for (let number = 0; number < 7; number += 1) yield* remove(`k${number}`)
      machine.disk.fault = (operation, path) => operation === "read" && path.startsWith("blocks/") ? "Io" : undefined
      yield* collect
      expect(blockBytes(machine)).toBe(full)
      machine.disk.fault = undefined
      yield* collect
      expect(blockBytes(machine)).toBeLessThan(0.5 * full)
      yield* expectWhole("k7", bytesOf(7, 2000))
    }), options)
  })

  test("when everything is deleted, no block is left and no chunk is known", async () => {
    const machine = newMachine(2)
    await withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      yield* put("large", bytesOf(1, 300_000))
      yield* put("small", bytesOf(2, 3000))
      const namespace = yield* Namespace
      const upload = "0".repeat(31) + "1" as UploadId
      yield* namespace.propose({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes: { headers: {}, userMetadata: {} } })
      yield* (yield* Put).part({ bucket: "b", key: "m", upload, partNumber: 1, body: bodyOf(bytesOf(3, 40_000)), summary: noSummary })
      yield* namespace.propose({ _tag: "AbortUpload", bucket: "b", key: "m", upload })
      yield* remove("large")
      yield* remove("small")
      const report = yield* collect
      expect(report.remaining).toMatchObject({ condemnedChunks: 0, condemnedBytes: 0, deadBytes: 0, reclaimableBytes: 0 })
      expect(blockBytes(machine)).toBe(0)
      expect(namespace.counts().journaledBytes).toBe(0)
      // Pages, chunks and parts alike.
      expect((yield* Gc).status().freed.chunks).toBeGreaterThan(300)
    }), options)
  })

  test("history that retention keeps is not touched, and says so", () =>
    withStore(newMachine(3), Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", bytesOf(1, 20_000))
      const at = (yield* Namespace).head().sequence
      yield* remove("k")
      const report = yield* collect
      expect(report.freed).toMatchObject({ versions: 0, chunks: 0 })
      expect(report.remaining.waiting.join()).toContain("retention")
      const version = yield* (yield* Namespace).object("b", "k", undefined, at)
      expect(toHex(yield* Effect.scoped(Effect.flatMap((yield* Get).open(version), readAll)))).toBe(toHex(bytesOf(1, 20_000)))
    }), { gc: options.gc! }))

  test("a read under way is waited for, and reads its bytes to the end through compaction and deletion", () =>
    withStore(newMachine(4), Effect.gen(function*() {
      yield* makeBucket
      const bytes = bytesOf(1, 200_000)
      yield* put("k", bytes)
      yield* put("other", bytesOf(2, 30_000))
      yield* settle
      const { hold, open } = yield* Get
      const read = yield* Effect.scoped(Effect.gen(function*() {
        yield* hold
        const body = yield* open(yield* versionOf("k"))
        const first = yield* body.next
        yield* remove("k")
        yield* remove("other")
        const report = yield* collect
        expect(report.freed.chunks).toBe(0)
        expect(report.remaining.waiting.join()).toContain("1 transfers under way")
        return [first!, yield* readAll(body)]
      }))
      expect(toHex(Buffer.concat(read))).toBe(toHex(bytes))
      expect((yield* collect).freed.chunks).toBeGreaterThan(200)
    }), options))

  test("a reader that resolved the old block finds the chunk in the new one", () => {
    const machine = newMachine(5)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      for (let number = 0; number < 10; number += 1) yield* put(`k${number}`, bytesOf(number, 12_000))
      yield* settle
      for (let number = 0; number < 10; number += 1) if (number % 3 !== 0) yield* remove(`k${number}`)
      // The batch before the collection and the one after it see different blocks.
      const { open } = yield* Get
      const read = yield* Effect.scoped(Effect.gen(function*() {
        const body = yield* open(yield* versionOf("k9"))
        const report = yield* collect
        expect(report.freed.blocksCompacted).toBeGreaterThan(1)
        return yield* readAll(body)
      }))
      expect(toHex(read)).toBe(toHex(bytesOf(9, 12_000)))
      for (const number of [0, 3, 6]) yield* expectWhole(`k${number}`, bytesOf(number, 12_000))
      expect((yield* Effect.flatMap(Blocks, ({ list }) => list)).length).toBeLessThan(6)
    }), options)
  })

  test("equal bytes that come while their chunks wait to be freed are stored whole, whatever comes first", () =>
    withStore(newMachine(6), Effect.gen(function*() {
      yield* makeBucket
      const bytes = bytesOf(1, 30_000)
      for (let turn = 0; turn < 6; turn += 1) {
        yield* put("k", bytes)
        if (turn % 2 === 0) yield* settle
        yield* remove("k")
        // The body stalls in the middle while everything that can go goes.
        const stalled = yield* Deferred.make<void>()
        const body = bodyOf(bytes)
        let pulls = 0
        const slow = { ...body, next: Effect.suspend(() => (pulls += 1) === 4 ? Effect.andThen(Deferred.await(stalled), body.next) : body.next) }
        const writing = yield* Effect.forkChild(Effect.flatMap(Put, (service) =>
          service.object({ bucket: "b", key: "again", attributes: { headers: {}, userMetadata: {} }, body: slow, summary: noSummary })))
        yield* Effect.yieldNow
        yield* collect
        yield* Deferred.succeed(stalled, undefined)
        yield* Fiber.join(writing)
        yield* collect
        yield* expectWhole("again", bytes)
        yield* remove("again")
        yield* collect
      }
      expect((yield* Intents).count()).toBe(0)
    }), options))

  test("uploads that nobody went on with are aborted after their days; others stay", () =>
    withStore(newMachine(7), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const upload = "0".repeat(31) + "2" as UploadId
      yield* namespace.propose({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes: { headers: {}, userMetadata: {} } })
      yield* (yield* Put).part({ bucket: "b", key: "m", upload, partNumber: 1, body: bodyOf(bytesOf(3, 40_000)), summary: noSummary })
      yield* Effect.sleep(30)
      const report = yield* collect
      expect(report.freed.uploads).toBe(1)
      expect(report.remaining.condemnedChunks).toBe(0)
    }), { ...options, gc: { ...options.gc!, staleUploadMs: 5 } }))

  test("an upload that somebody goes on with, or ends, after it was found to be stale is left alone", () =>
    withStore(newMachine(7), Effect.gen(function*() {
      yield* makeBucket
      const namespace = yield* Namespace
      const uploads = ["1", "2", "3"].map((digit) => "0".repeat(31) + digit as UploadId)
      for (const upload of uploads) yield* namespace.propose({ _tag: "CreateUpload", bucket: "b", key: "m", upload, attributes: { headers: {}, userMetadata: {} } })
      const [goneOnWith, ended] = uploads
      const part = (yield* Put).part({ bucket: "b", key: "m", upload: goneOnWith!, partNumber: 1, body: bodyOf(bytesOf(3, 40_000)), summary: noSummary })
      const end = namespace.propose({ _tag: "AbortUpload", bucket: "b", key: "m", upload: ended! })
      yield* Effect.sleep(30)
      const late: typeof namespace.propose = (change, ...rest) =>
        Effect.andThen("upload" in change && change.upload === goneOnWith ? Effect.orDie(part) : "upload" in change && change.upload === ended ? Effect.orDie(end) : Effect.void, namespace.propose(change, ...rest))
      const freeing = noFreeing()
      const { reader } = yield* State
      yield* abortStale({ reader, namespace: { ...namespace, propose: late } }, freeing, 5)
      expect(freeing.uploads).toBe(1)
      expect(staleUploads(reader, hybridTime(Number.MAX_SAFE_INTEGER, 0), 10).map(({ upload }) => upload)).toEqual([goneOnWith])
    }), { ...options, gc: { ...options.gc!, staleUploadMs: 0 } }))

  test("a deleted bucket leaves nothing behind, and its name can be another's", () =>
    withStore(newMachine(8), Effect.gen(function*() {
      const namespace = yield* Namespace
      for (let turn = 0; turn < 3; turn += 1) {
        yield* namespace.propose({ _tag: "CreateBucket", bucket: "b", id: `${turn}`.repeat(32) as BucketId, owner: "root" })
        yield* put("k", bytesOf(turn, 9000))
        yield* put("k", bytesOf(turn + 10, 9000))
        yield* remove("k")
        yield* namespace.propose({ _tag: "DeleteBucket", bucket: "b" })
      }
      const report = yield* collect
      expect(report.freed.versions).toBe(6)
      expect(report.remaining.reclaimableBytes).toBe(0)
      expect(yield* namespace.buckets(namespace.head().sequence)).toEqual([])
    }), options))

  test("a pass over history whose last commit the journal loses is made again, though the horizon stays where it is", () =>
    withStore(newMachine(10), Effect.gen(function*() {
      const namespace = yield* Namespace
      const { reader } = yield* State
      yield* makeBucket
      for (const status of ["Enabled", "Suspended", "Enabled"] as const) yield* namespace.propose({ _tag: "SetVersioning", bucket: "b", status })
      yield* namespace.propose({ _tag: "RaiseHorizon", oldestReadable: namespace.head().sequence })
      const left = (): number => withSupersededRows(reader, bucketsAfter(reader, undefined, 10), namespace.oldestReadable()).length
      expect(left()).toBe(1)
      let lost = 0
      const losing: typeof namespace = {
        ...namespace,
        propose: (change) => change._tag === "DropHistory" && lost++ === 0 ? Effect.fail(new Unavailable({ reason: "JournalFailed", detail: "lost" })) : namespace.propose(change)
      }
      const purging = noPurging()
      expect(yield* Effect.flip(purge({ namespace: losing, reader, rowsAtOnce: 100 }, purging, 1000))).toMatchObject({ reason: "JournalFailed" })
      expect(yield* purge({ namespace: losing, reader, rowsAtOnce: 100 }, purging, 1000)).toBe(true)
      expect([left(), lost]).toEqual([0, 2])
    }), options))

  test("a disk that is nearly full gets its space back by deleting, and takes writes again", () => {
    const machine = newMachine(10)
    return withStore(machine, Effect.gen(function*() {
      yield* makeBucket
      const wal = yield* Wal
      for (let number = 0; number < 12; number += 1) yield* put(`k${number}`, bytesOf(number, 150_000))
      yield* settle
      machine.disk.capacityBytes = machine.disk.usedBytes + walReserveBytes - 500_000
      while (!wal.spaceLow()) yield* Effect.sleep(20)
      expect((yield* Effect.result(put("more", bytesOf(20, 9000))))._tag).toBe("Failure")
      for (let number = 1; number < 12; number += 1) {
        yield* remove(`k${number}`)
        // The journal of this store is too small for the record of more.
        expect((yield* collect).freed.blocksDropped).toBeGreaterThan(5)
      }
      while (wal.spaceLow()) yield* Effect.sleep(20)
      yield* put("more", bytesOf(20, 9000))
      yield* expectWhole("more", bytesOf(20, 9000))
      yield* expectWhole("k0", bytesOf(0, 150_000))
    }), options)
  })

  test("an idle store with a retention of nothing makes no commits", () =>
    withStore(newMachine(9), Effect.gen(function*() {
      yield* makeBucket
      yield* put("k", bytesOf(1, 9000))
      yield* collect
      const { sequence } = (yield* Namespace).head()
      yield* collect
      yield* collect
      expect((yield* Namespace).head().sequence - sequence).toBeLessThan(3)
    }), options))
})
