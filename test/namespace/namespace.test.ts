/** The namespace as a service: proposals, batches, failures of the journal, replay, AS OF. */
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { stopCheckpointRowsMin } from "../../src/base/limits.ts"
import { type Committed, Namespace, type Refused, type Unavailable } from "../../src/namespace/Namespace.ts"
import { overlayBytesStop, overlayRowsStop } from "../../src/base/limits.ts"
import { MemoryLog } from "./MemoryLog.ts"
import { memoryState } from "./MemoryState.ts"
import { all, create, openStore, propose, put } from "./store.ts"

const namespace = <A, E>(use: (service: Namespace["Service"]) => Effect.Effect<A, E>) => Effect.flatMap(Namespace, use)

describe("namespace", () => {
  it("namespace: a bucket, an object, a listing, a deletion", async () => {
    const store = openStore()
    await store.run(propose(create("photos", 1)))
    const stored = await store.run(propose(put("photos", "a/b", "hello")))
    expect(stored).toMatchObject({ sequence: 2, answer: { _tag: "Stored", etag: "etag-hello" } })
    const version = await store.run(namespace((it) => it.object("photos", "a/b", undefined, 2)))
    expect(version).toMatchObject({ key: "a/b", versionId: "null", isLatest: true, sizeBytes: 5, manifest: { _tag: "Inline" } })
    const page = await store.run(namespace((it) => it.listObjects("photos", { ...all, delimiter: "/" }, 2)))
    expect(page).toEqual({ versions: [], commonPrefixes: ["a/"] })
    await store.run(propose({ _tag: "DeleteObjects", bucket: "photos", targets: [{ key: "a/b" }] }))
    await expect(store.run(namespace((it) => it.object("photos", "a/b", undefined, 3)))).rejects.toThrow("NoSuchKey")
    expect((await store.run(namespace((it) => it.listObjects("photos", all, 2)))).versions.map(({ key }) => key)).toEqual(["a/b"])
    expect(await store.run(namespace((it) => it.history("photos", all, 3)))).toMatchObject({ versions: [{ key: "a/b", hiddenAt: 3, isLatest: false }] })
    await store.close()
  })

  it("namespace: what is current is what a read of the newest commit says, and nothing where that says no", async () => {
    const store = openStore()
    const changes = [
      create("b", 1), put("b", "k", "one"), put("b", "k", "two"), { _tag: "DeleteObjects", bucket: "b", targets: [{ key: "k" }] },
      put("b", "k", "three"), { _tag: "SetVersioning", bucket: "b", status: "Enabled" }, put("b", "k", "four"),
      { _tag: "DeleteObjects", bucket: "b", targets: [{ key: "k" }] }
    ] as const
    const seen: Array<string | undefined> = []
    for (const change of changes) {
      await store.run(Effect.exit(propose(change)))
      for (const [bucket, key] of [["b", "k"], ["b", "none"], ["none", "k"]] as const) {
        const [current, head, read, info] = await store.run(namespace((it) => Effect.all([
          Effect.clockWith((clock) => Effect.sync(() => it.current(bucket, key, clock.currentTimeMillisUnsafe()))), Effect.sync(() => it.head().sequence),
          Effect.option(Effect.suspend(() => it.object(bucket, key, undefined, it.head().sequence))),
          Effect.option(Effect.suspend(() => it.bucket(bucket, it.head().sequence)))
        ])))
        const version = Option.getOrUndefined(read)
        expect([current?.version.vertex, current?.version.manifest]).toEqual([version?.vertex, version?.manifest])
        if (current === undefined || version === undefined) continue
        expect([current.sequence, current.bucket, current.version.isLatest]).toEqual([head, Option.getOrThrow(info), true])
        seen.push(version.deleteMarker ? "gone" : version.etag)
      }
    }
    await store.run(propose(put("b", "sized", "hello")))
    const sizes = await store.run(namespace((it) => Effect.sync(() => [4, 5].map((sizeBytesMax) => it.current("b", "sized", 0, sizeBytesMax)?.version.sizeBytes))))
    expect(sizes).toEqual([undefined, 5])
    expect(seen).toEqual(["etag-one", "etag-two", "etag-three", "etag-three", "etag-four", "gone"])
    await store.close()
  })

  it("namespace: many proposers share a batch, and each hears its own answer", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    const keys = Array.from({ length: 500 }, (_, index) => `k${index}`)
    const answers = await store.run(Effect.forEach(keys, (key) => propose(put("b", key, key)), { concurrency: "unbounded" }))
    expect(answers.map(({ answer }) => (answer._tag === "Stored" ? answer.etag : ""))).toEqual(keys.map((key) => `etag-${key}`))
    expect(answers.map(({ sequence }) => sequence)).toEqual(keys.map((_, index) => index + 2))
    expect(store.log.appends).toBeLessThan(10)
    await store.close()
  })

  it("namespace: a node that stops makes a checkpoint of what the next start would replay, where that is much", async () => {
    for (const [puts, checkpoints] of [[10, 0], [stopCheckpointRowsMin, 1]] as const) {
      const [log, state] = [new MemoryLog(), memoryState()]
      const store = openStore(log, state)
      await store.run(propose(create("b", 1)))
      await store.run(Effect.forEach(Array.from({ length: puts }, (_, index) => `k${index}`), (key) => propose(put("b", key, key)), { concurrency: "unbounded" }))
      await store.close()
      expect(state.status().checkpoints).toBe(checkpoints)
    }
  })

  it("namespace: a disk nearly full takes nothing new, and everything that gives space back", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    await store.run(propose(put("b", "k", "k")))
    store.log.low = true
    const refused = await store.run(Effect.exit(propose(put("b", "l", "l"))))
    expect(Exit.isFailure(refused) && String(refused.cause)).toContain("DiskFull")
    await store.run(propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key: "k" }] }))
    await store.run(propose({ _tag: "RaiseHorizon", oldestReadable: 2 }))
    store.log.low = false
    expect(await store.run(propose(put("b", "l", "l")))).toMatchObject({ sequence: 5 })
    await store.close()
  })

  for (const [what, full] of [["rows", { rows: overlayRowsStop, bytes: 0 }], ["bytes", { rows: 0, bytes: overlayBytesStop }]] as const) {
    it(`namespace: changed rows that fill their memory (${what}) hold changes back until a checkpoint is written`, async () => {
      const memory = memoryState()
      let overlay: { readonly rows: number; readonly bytes: number } = { rows: 0, bytes: 0 }
      const gate = Deferred.makeUnsafe<void>()
      const checkpoint = Deferred.await(gate).pipe(Effect.andThen(memory.checkpoint), Effect.tap(() => Effect.sync(() => (overlay = { rows: 0, bytes: 0 }))))
      const store = openStore(new MemoryLog(), { ...memory, overlay: () => overlay, checkpoint })
      await store.run(propose(create("b", 1)))
      overlay = full
      await store.run(Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(propose(put("b", "k", "k")))
        yield* Effect.sleep(20)
        expect(waiting.pollUnsafe()).toBeUndefined()
        yield* Deferred.succeed(gate, undefined)
        expect(yield* Fiber.join(waiting)).toMatchObject({ sequence: 2 })
      }))
      await store.close()
    })
  }

  it("namespace: a failed sync loses what was under way, and leaves no gap", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    store.log.held = true
    const exits = await store.run(Effect.gen(function*() {
      const fibers = yield* Effect.forEach(["x", "y", "z"], (key) => Effect.forkChild(Effect.andThen(Effect.yieldNow, Effect.exit(propose(put("b", key, key), 1)))))
      while (store.log.waiting < fibers.length) yield* Effect.yieldNow
      store.log.lose()
      return yield* Effect.forEach(fibers, Fiber.join)
    }))
    for (const exit of exits) expect(Exit.isFailure(exit) && String(exit.cause)).toContain("JournalFailed")
    store.log.held = false
    const late = await store.run(Effect.exit(propose(put("b", "late", "late"), 1)))
    expect(Exit.isFailure(late) && String(late.cause)).toContain("LostChunks")
    expect(await store.run(propose(put("b", "k", "k"), 2))).toMatchObject({ sequence: 2 })
    expect((await store.run(namespace((it) => it.listObjects("b", all, 2)))).versions.map(({ key }) => key)).toEqual(["k"])
    await store.close()
  })

  it("namespace: whatever the journal loses, the log has no gap, and replay comes to the same rows and answers", { timeout: 60_000 }, async () => {
    const action = fc.oneof(
      { weight: 4, arbitrary: fc.record({ _tag: fc.constant("propose" as const), count: fc.integer({ min: 1, max: 400 }) }) },
      { weight: 2, arbitrary: fc.record({ _tag: fc.constantFrom("sync" as const, "lose" as const, "rest" as const), count: fc.constant(0) }) }
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 12 }), fc.constantFrom(Number.MAX_SAFE_INTEGER, 2000), async (actions, bytesMax) => {
        const log = new MemoryLog()
        log.bytesMax = bytesMax
        const store = openStore(log)
        await store.run(propose(create("b", 1)))
        log.held = true
        const exits = await store.run(Effect.gen(function*() {
          const fibers: Array<Fiber.Fiber<Exit.Exit<Committed, Refused | Unavailable>>> = []
          for (const each of actions) {
            if (each._tag === "sync") log.sync()
            else if (each._tag === "lose") log.lose()
            else if (each._tag === "rest") yield* Effect.sleep(1)
            else for (let index = 0; index < each.count; index += 1) fibers.push(yield* Effect.forkChild(Effect.exit(propose(put("b", `k${fibers.length}`, "x")))))
            yield* Effect.yieldNow
          }
          log.held = false
          log.sync()
          const last = yield* Effect.forkChild(propose(put("b", "last", "x")))
          // What the log still held when it was let go.
          while (last.pollUnsafe() === undefined) {
            log.sync()
            yield* Effect.sleep(1)
          }
          return yield* Effect.forEach(fibers, Fiber.join)
        }))
        const again = openStore(log)
        const head = await again.run(namespace((it) => Effect.sync(it.head)))
        const succeeded = exits.flatMap((exit) => (Exit.isSuccess(exit) ? [exit.value.sequence] : []))
        expect(succeeded).toEqual([...succeeded].sort((a, b) => a - b))
        expect(head.sequence).toBe(succeeded.length + 2)
        expect([...again.rows.rows.entries()]).toEqual([...store.rows.rows.entries()])
        await store.close()
        await again.close()
      }),
      { numRuns: 12 }
    )
  })

  it("namespace: the same log gives the same rows after a restart, from any checkpoint", async () => {
    const log = new MemoryLog()
    const first = openStore(log)
    await first.run(propose(create("b", 1)))
    for (const key of ["x", "y", "x"]) await first.run(propose(put("b", key, key)))
    await first.close()
    const again = openStore(log)
    expect(await again.run(namespace((it) => Effect.sync(it.head)))).toMatchObject({ sequence: 4 })
    expect([...again.rows.rows.entries()]).toEqual([...first.rows.rows.entries()])
    await again.close()
  })

  it("namespace: proposals that wait go into the log by as many as one append takes", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    const entryBytes = store.log.durable[0]!.bytes.length
    store.log.bytesMax = 5 * entryBytes
    const before = store.log.appends
    await store.run(Effect.forEach(Array.from({ length: 60 }, (_, index) => `k${index}`), (key) => propose(put("b", key, "x")), { concurrency: "unbounded" }))
    expect(store.log.appends - before).toBeGreaterThan(10)
    expect(store.log.appends - before).toBeLessThan(60)
    await store.close()
  })

  it("namespace: of two commits with one sequence the later one counts: an old journal could keep the first ones of an append that it had lost", async () => {
    const [lost, log] = [new MemoryLog(), new MemoryLog()]
    for (const [into, keys] of [[lost, ["x", "lost", "lost too"]], [log, ["x", "y", "z", "last"]]] as const) {
      const store = openStore(into)
      await store.run(propose(create("b", 1)))
      for (const key of keys) await store.run(propose(put("b", key, key)))
      await store.close()
    }
    const kept = [...log.durable]
    log.durable.splice(0, kept.length, ...kept.slice(0, 2), ...lost.durable.slice(2, 4), ...kept.slice(2))
    const again = openStore(log)
    expect(await again.run(namespace((it) => Effect.sync(it.head)))).toMatchObject({ sequence: 5 })
    expect((await again.run(namespace((it) => it.listObjects("b", all, 5)))).versions.map(({ key }) => key)).toEqual(["last", "x", "y", "z"])
    await again.close()
  })

  it("namespace: a log with a missing commit, or one of a newer version, stops the start", async () => {
    const log = new MemoryLog()
    const first = openStore(log)
    await first.run(propose(create("b", 1)))
    await first.run(propose(put("b", "x", "x")))
    await first.run(propose(put("b", "y", "y")))
    await first.close()
    const entry = log.durable[1] as (typeof log.durable)[number]
    log.durable.splice(1, 1)
    await expect(openStore(log).run(namespace((it) => Effect.sync(it.head)))).rejects.toThrow("missing from the log")
    const damaged = new MemoryLog()
    damaged.durable.push(log.durable[0] as typeof entry, { ...entry, bytes: entry.bytes.with(8, 9) })
    await expect(openStore(damaged).run(namespace((it) => Effect.sync(it.head)))).rejects.toThrow("UnknownFormat")
  })

  it("namespace: AS OF a time is the commit that was newest then; later commits never come before it", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    const now = Date.now()
    const at = await store.run(namespace((it) => it.resolve({ _tag: "Time", ms: now })))
    expect(at).toBe(1)
    const next = await store.run(propose(put("b", "x", "x")))
    expect(Number(next.time >> 16n)).toBeGreaterThanOrEqual(now)
    expect(await store.run(namespace((it) => it.resolve({ _tag: "Time", ms: now })))).toBe(1)
    expect(store.log.durable.length, "one commit keeps the time, for all reads up to it").toBe(3)
    expect(await store.run(namespace((it) => it.resolve({ _tag: "Time", ms: 1000 })))).toBe(0)
    await expect(store.run(namespace((it) => it.resolve({ _tag: "Time", ms: now + 3_600_000 })))).rejects.toThrow("future")
    await expect(store.run(namespace((it) => it.resolve({ _tag: "Sequence", sequence: 4 })))).rejects.toThrow("future")
    await store.run(propose({ _tag: "RaiseHorizon", oldestReadable: 2 }))
    await expect(store.run(namespace((it) => it.listObjects("b", all, 1)))).rejects.toThrow("horizon")
    await expect(store.run(namespace((it) => it.resolve({ _tag: "Time", ms: 1000 })))).rejects.toThrow("horizon")
    await store.close()
  })

  it("namespace: a time is read only once a later commit is on the disk: no other clock, and nothing that was told lost, can put one before it", async () => {
    const store = openStore()
    await store.run(propose(create("b", 1)))
    const now = Date.now()
    store.log.held = true
    const exit = await store.run(Effect.gen(function*() {
      const reading = yield* Effect.forkChild(Effect.exit(namespace((it) => it.resolve({ _tag: "Time", ms: now }))))
      while (store.log.waiting === 0) yield* Effect.yieldNow
      expect(reading.pollUnsafe()).toBeUndefined()
      store.log.lose()
      return yield* Fiber.join(reading)
    }))
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain("JournalFailed")
    store.log.held = false
    expect(await store.run(namespace((it) => it.resolve({ _tag: "Time", ms: now })))).toBe(1)
    expect(Number((await store.run(namespace((it) => Effect.sync(it.head)))).time >> 16n)).toBeGreaterThan(now)
    await store.close()
  })

  it("namespace: a checkpoint lets the journal go back to the older of the two kept", async () => {
    const state = memoryState()
    const store = openStore(new MemoryLog(), state)
    await store.run(propose(create("b", 1)))
    await store.run(namespace((it) => it.checkpoint(true)))
    await store.run(propose(put("b", "x", "x")))
    await store.run(namespace((it) => it.checkpoint(true)))
    expect(store.log.released).toEqual([{ segment: 0, offset: 0 }, store.log.durable[0]?.after])
    await store.close()
  })
})
