/** Scrub on the twin: it finds what is harmed, remembers, keeps its pace and its deadline, and forgets what is healed. */
import { Effect } from "effect"
import { describe, expect, test } from "vitest"
import { HealthBoard } from "../../src/base/HealthBoard.ts"
import { copyOf, toHex } from "../../src/base/bytes.ts"
import { Fetch } from "../../src/fetch.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import { State } from "../../src/namespace/State.ts"
import { checkRooms } from "../../src/node/NodeHealth.ts"
import { Health } from "../../src/ports/Health.ts"
import { rateOf, Scrub } from "../../src/scrub.ts"
import { scrubFile, writeScrubbed } from "../../src/scrubbed.ts"
import { Settle } from "../../src/settle.ts"
import { SimulatedClock } from "../../sim/Clock.ts"
import { seededRandom } from "../../sim/Random.ts"
import { get, makeBucket, put, versionOf } from "../pipeline/operations.ts"
import { type Machine, newMachine, tiny, withStore } from "../pipeline/store.ts"

const bytesOf = (seed: number) => seededRandom(seed).bytes(9000)

/** Objects a block each. */
const fill = (count: number) => Effect.gen(function*() {
  yield* makeBucket
  for (let index = 0; index < count; index++) {
    yield* put(`o${index}`, bytesOf(index))
    yield* (yield* Settle).settleNow
  }
  yield* (yield* Namespace).checkpoint(true)
})

const blockPaths = (machine: Machine): ReadonlyArray<string> => [...machine.disk.contents().keys()].filter((path) => path.startsWith("blocks/")).sort()
const whereOf = (path: string): string => `block ${/([0-9a-f]{32})\.block/.exec(path)![1]}`
const scrubbed = Effect.gen(function*() {
  const scrub = yield* Scrub
  yield* scrub.passNow
  return scrub.status()
})

describe("scrub", () => {
  test("a whole store: everything is read once from the disk, nothing is found", async () => {
    const machine = newMachine(1)
    await withStore(machine, Effect.gen(function*() {
      yield* fill(4)
      const status = yield* scrubbed
      expect(status).toMatchObject({ pass: 1, findings: [], findingsMore: 0, lastError: undefined })
      expect(status.bytes).toBeGreaterThan(4 * 9000)
      expect(status.bytes).toBe(status.bytesTotal)
      expect(status.finishedMs).toBeDefined()
    }))
  })

  test("rot under a page that stays cached, a block that is gone, one that cannot be read: found, no hit for new bytes, healed by them, forgotten", async () => {
    const machine = newMachine(2)
    await withStore(machine, Effect.gen(function*() {
      yield* fill(5)
      const places = yield* Effect.forEach([0, 1, 2, 3, 4], (index) => Effect.map(versionOf(`o${index}`), (version) => {
        if (version.manifest._tag !== "Chunks") throw new Error("chunks were expected")
        return version.manifest.entries.map(({ chunk }) => chunk)
      }))
      const namespace = yield* Namespace
      const pathOf = (index: number): string => {
        const place = namespace.chunks(places[index]!)[0]!.copies[0]!.place
        if (place._tag !== "Block") throw new Error("a block was expected")
        return `blocks/${place.block.slice(0, 2)}/${place.block}.block`
      }
      const [rotten, gone, unreadable] = [pathOf(0), pathOf(1), pathOf(2)]
      machine.disk.corrupt(rotten, 300, undefined, "Kept")
      yield* machine.disk.service.remove(gone)
      machine.disk.fault = (operation, path) => operation === "read" && path === unreadable ? "Io" : undefined
      const status = yield* scrubbed
      expect(Object.fromEntries(status.findings.map(({ kind, where }) => [where, kind]))).toEqual({
        [whereOf(rotten)]: "Damaged", [whereOf(gone)]: "Missing", [whereOf(unreadable)]: "Unreadable"
      })
      const fetch = yield* Fetch
      expect([places[1]!, places[2]!].flat().every(fetch.isDamaged), "all of a lost block").toBe(true)
      expect(places[0]!.filter(fetch.isDamaged).length, "one region").toBe(1)
      expect(places[3]!.some(fetch.isDamaged)).toBe(false)
      machine.disk.fault = undefined
      for (const index of [0, 1, 2]) yield* put(`again${index}`, bytesOf(index))
      yield* (yield* Settle).settleNow
      const after = yield* scrubbed
      expect(after.findings).toEqual([])
      for (const index of [0, 1, 2, 3, 4]) expect(toHex(yield* get(`o${index}`)), `o${index}`).toBe(toHex(bytesOf(index)))
    }), { sizes: { ...tiny.sizes, inlineEntriesMax: 64 } })
  })

  test("what a read met is known before scrub comes to it; forgotten once its file is whole again, or nothing names it", async () => {
    const machine = newMachine(7)
    await withStore(machine, fill(2))
    const [path] = blockPaths(machine)
    const whole = copyOf(machine.disk.contents().get(path!)!)
    await withStore(machine, Effect.gen(function*() {
      machine.disk.corrupt(path!, 300)
      const { passNow, status } = yield* Scrub
      expect(status()).toMatchObject({ findings: [], damagedChunks: 0 })
      const exits = yield* Effect.forEach([0, 1], (index) => Effect.exit(get(`o${index}`)))
      expect(exits.map(({ _tag }) => _tag).sort()).toEqual(["Failure", "Success"])
      expect(status()).toMatchObject({ findings: [], damagedChunks: 1 })
      const { service } = machine.disk
      yield* service.remove(path!)
      yield* Effect.scoped(Effect.flatMap(service.open(path!, "create"), (file) => Effect.andThen(file.write(0, [whole]), file.sync)))
      yield* passNow
      expect(status()).toMatchObject({ findings: [], damagedChunks: 0 })
    }))
  })

  test("of a checkpoint that is gone by now a pass that was asked for says nothing any more", async () => {
    const machine = newMachine(9)
    await withStore(machine, Effect.gen(function*() {
      yield* fill(1)
      const finding = { kind: "Unreadable", where: "checkpoints/0000000000000099.delta", what: "Io", sinceMs: 0 } as const
      yield* writeScrubbed(machine.disk.service, { place: { pass: 1, startedMs: 0, after: undefined, bytes: 0, finishedMs: 0 }, findings: [finding] })
      expect((yield* scrubbed).findings).toEqual([])
    }))
  })

  test("a damaged index: health names it, and what mends it; a scrub that it hindered says so until a pass has ended", async () => {
    const machine = newMachine(10)
    const clock = new SimulatedClock(1_000_000_000_000)
    const board = new HealthBoard()
    const health = () => board.report().find(({ name }) => name === "index")
    await withStore(machine, Effect.gen(function*() {
      yield* Effect.provideService(checkRooms(board), Health, board)
      yield* fill(3)
      expect(health()).toMatchObject({ soundness: "ok" })
      const [state, scrub] = [yield* State, yield* Scrub]
      machine.index.rot(machine.random, 1)
      state.resizeCache(0)
      while (scrub.status().lastError === undefined) yield* step(clock)
      expect(health()).toMatchObject({ soundness: "degraded", detail: expect.stringMatching(/^node .* restart the node; until then/) })
      machine.index.mend()
      yield* scrub.passNow
      expect(scrub.status()).toMatchObject({ findings: [], lastError: undefined })
      expect(health(), "marked for a rebuild it stays").toMatchObject({ soundness: "degraded" })
    }), { scrub: { startMs: 1, days: 1 } }, clock)
    await withStore(machine, Effect.gen(function*() {
      yield* Effect.provideService(checkRooms(board), Health, board)
      expect([(yield* State).status().rebuilt, health()?.soundness]).toEqual([true, "ok"])
    }))
  })

  test("a restart goes on where it was, and knows what was found", async () => {
    const machine = newMachine(3)
    await withStore(machine, fill(6))
    const paths = blockPaths(machine)
    machine.disk.corrupt(paths[1]!, 300)
    const opened: Array<string> = []
    const watch = () => {
      opened.length = 0
      machine.disk.fault = (operation, path) => {
        if (operation === "open" && path.startsWith("blocks/")) opened.push(path)
        return undefined
      }
    }
    const clock = new SimulatedClock(1_000_000_000_000)
    const scrub = { startMs: 1, bytesPerSecond: 1000, days: 1 }
    await withStore(machine, Effect.gen(function*() {
      watch()
      while (opened.length < 3) yield* step(clock)
    }), { scrub }, clock)
    expect(opened.slice(0, 3)).toEqual(paths.slice(0, 3))
    expect([...machine.disk.contents().keys()]).toContain(scrubFile)
    await withStore(machine, Effect.gen(function*() {
      watch()
      const { status } = yield* Scrub
      while (status().finishedMs === undefined || status().pass === 0) yield* step(clock)
      expect(opened, "the known one again, then the rest").toEqual([paths[1], ...paths.slice(2)])
      expect(status().findings.map(({ where }) => where)).toEqual([whereOf(paths[1]!)])
    }), { scrub }, clock)
  })

  test("it takes the time that its rate says, less where the deadline is near; then it rests until the next pass is due", async () => {
    const machine = newMachine(4)
    const clock = new SimulatedClock(1_000_000_000_000)
    const tookMs = async (scrub: { readonly bytesPerSecond: number; readonly days: number }): Promise<readonly [tookMs: number, bytes: number]> =>
      withStore(machine, Effect.gen(function*() {
        const { status } = yield* Scrub
        const pass = status().pass
        while (status().pass === pass) yield* step(clock)
        const began = clock.currentTimeMillisUnsafe()
        while (status().finishedMs === undefined) yield* step(clock)
        return [clock.currentTimeMillisUnsafe() - began, status().bytes] as const
      }), { scrub: { startMs: 1, ...scrub } }, clock)
    await withStore(machine, fill(6))
    const [slowMs, bytes] = await tookMs({ bytesPerSecond: 1000, days: 30 })
    expect(slowMs).toBeGreaterThanOrEqual(bytes * 0.9)
    expect(slowMs).toBeLessThan(bytes * 1.2)
    await Effect.runPromise(machine.disk.service.remove(scrubFile))
    const [lateMs] = await tookMs({ bytesPerSecond: 1, days: 0.0005 })
    expect(lateMs, "within the deadline").toBeLessThanOrEqual(0.0005 * 86_400_000)
    expect(lateMs).toBeGreaterThan(1000)
  })

  test("an empty store, and one that is done, cost next to nothing", async () => {
    const machine = newMachine(5)
    const clock = new SimulatedClock(1_000_000_000_000)
    await withStore(machine, Effect.gen(function*() {
      for (let turn = 0; turn < 50; turn++) yield* step(clock)
      const opens = () => machine.disk.counts.get("open") ?? 0
      const [began, before] = [clock.currentTimeMillisUnsafe(), opens()]
      for (let turn = 0; turn < 200; turn++) yield* step(clock)
      expect(clock.currentTimeMillisUnsafe() - began).toBeGreaterThan(60_000)
      expect(opens() - before, "nothing is read again before it is due").toBe(0)
      expect((yield* Scrub).status()).toMatchObject({ pass: 1, findings: [] })
    }), { scrub: { startMs: 1 } }, clock)
  })

  test("the rate: what was asked for, or what the deadline needs; a clock that jumps makes no storm", () => {
    const dayMs = 86_400_000
    const bytes = 30 * dayMs
    expect(rateOf(1000, 30 * dayMs, 0, 1000, 1000)).toBe(1000)
    expect(rateOf(1, 30 * dayMs, 0, bytes, bytes)).toBe(1000)
    expect(rateOf(1, 30 * dayMs, 15 * dayMs, bytes, bytes)).toBe(2000)
    expect(rateOf(1, 30 * dayMs, 1000 * dayMs, bytes, bytes), "long past: in three days").toBeCloseTo(10_000)
    expect(rateOf(1, 30 * dayMs, -1000 * dayMs, bytes, bytes), "before its beginning").toBe(1000)
  })
})

/** Lets what can run do so, then moves time on to the next sleeper. */
const step = (clock: SimulatedClock) => Effect.gen(function*() {
  for (let turn = 0; turn < 60; turn++) yield* Effect.yieldNow
  clock.advance()
})
