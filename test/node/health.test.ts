/** The node's own checks, on the twin of the disk: a folder that takes no writes, a full disk, a disk that does not answer. */
import { Cause, Clock, Effect, Exit, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { expect, it } from "vitest"
import { HealthBoard, worst } from "../../src/base/HealthBoard.ts"
import { healthProbeLateMs, healthProbeMs } from "../../src/base/limits.ts"
import { Meters } from "../../src/base/Meters.ts"
import type { Quorum } from "../../src/namespace/Namespace.ts"
import { journalFinding, probeFile, watchFolder } from "../../src/node/NodeHealth.ts"
import { Health, watched } from "../../src/ports/Health.ts"
import { Disk, type DiskService } from "../../src/ports/Disk.ts"
import { MemoryDisk } from "../../sim/Disk.ts"

/** Watches the folder of a disk while time passes as the story says. */
const watching = <A>(disk: DiskService, story: (board: HealthBoard) => Effect.Effect<A>): Promise<A> =>
  Effect.runPromise(Effect.gen(function* () {
    const scope = yield* Scope.make()
    const board = new HealthBoard()
    yield* Scope.provide(watchFolder(board, new Meters()), scope).pipe(Effect.provideService(Disk, disk))
    const told = yield* story(board)
    yield* Scope.close(scope, Exit.void)
    return told
  }).pipe(Effect.provide(TestClock.layer())))

const stateOf = (board: HealthBoard) => Object.fromEntries(board.report().map(({ name, soundness }) => [name, soundness]))

it("a folder that takes writes is sound, and the probe leaves nothing behind", async () => {
  const disk = new MemoryDisk()
  expect(await watching(disk.service, (board) => Effect.sync(() => stateOf(board)))).toEqual({ folder: "ok", "disk space": "ok" })
  expect(await Effect.runPromise(disk.service.list(""))).not.toContain(probeFile)
})

it("a folder that takes no writes fails the next probe, and is sound again after the one that succeeds", async () => {
  const disk = new MemoryDisk()
  const states = await watching(disk.service, (board) => Effect.gen(function* () {
    disk.fault = (operation) => (operation === "sync" ? "Io" : undefined)
    yield* TestClock.adjust(healthProbeMs)
    const broken = stateOf(board)
    const { detail } = board.report().find(({ name }) => name === "folder")!
    disk.fault = undefined
    yield* TestClock.adjust(healthProbeMs)
    return [broken, detail, stateOf(board)]
  }))
  expect(states).toEqual([{ folder: "failed", "disk space": "ok" }, expect.stringMatching(/takes no writes: disk: sync probe: Io/), { folder: "ok", "disk space": "ok" }])
})

it("a full disk is degraded, not failed: it still serves reads", async () => {
  const disk = new MemoryDisk()
  const service = { ...disk.service, freeBytes: Effect.succeed(5 * 2 ** 20) }
  disk.fault = (operation) => (operation === "write" ? "NoSpace" : undefined)
  const report = await watching(service, (board) => Effect.sync(() => board.report()))
  expect(worst(report)).toBe("degraded")
  expect(report.find(({ name }) => name === "disk space")?.detail).toMatch(/^5 MiB are free, below the reserve/)
})

it("a journal without room: a node alone still reads, a member of a cluster serves nothing", () => {
  const wal = { status: () => ({ phase: "Full" }) } as unknown as Parameters<typeof journalFinding>[0]
  expect(journalFinding(wal, {}).soundness).toBe("degraded")
  expect(journalFinding(wal, { quorum: { leads: () => false, fence: Effect.void } as unknown as Quorum }).soundness).toBe("failed")
})

it("a disk that does not answer is noticed without asking it again", async () => {
  const disk = new MemoryDisk()
  let hangs = false
  const service: DiskService = { ...disk.service, remove: (path) => (hangs ? Effect.never : disk.service.remove(path)) }
  const detail = await watching(service, (board) => Effect.gen(function* () {
    hangs = true
    yield* TestClock.adjust(healthProbeMs + healthProbeLateMs + 1000)
    expect(yield* Clock.currentTimeMillis).toBe(healthProbeMs + healthProbeLateMs + 1000)
    return board.report().find(({ name }) => name === "folder")
  }))
  expect(detail).toMatchObject({ soundness: "failed", detail: expect.stringMatching(/has not ended for 31 s/) })
})

it("work in the background that ends by a defect fails the node's health and is in the log; being stopped does neither", async () => {
  const board = new HealthBoard()
  const said: Array<string> = []
  const logger = Logger.make<unknown, void>(({ cause, message }) => void said.push(`${String(message)}: ${Cause.pretty(cause)}`))
  const run = (work: Effect.Effect<unknown>) => Effect.runPromise(
    Effect.exit(watched("the gardener", work)).pipe(Effect.provideService(Health, board), Effect.provide(Logger.layer([logger])))
  )
  await run(Effect.interrupt)
  expect([board.report(), said]).toEqual([[], []])
  await run(Effect.die(new Error("weeds")))
  expect(board.report()).toMatchObject([{ name: "the gardener", soundness: "failed" }])
  expect(said).toEqual([expect.stringMatching(/^the gardener ended by a defect: Error: weeds/)])
})

it("a check that throws is told as such, and takes no other with it", () => {
  const board = new HealthBoard()
  board.check("broken", () => { throw new Error("node 3.0a is damaged") })
  board.check("whole", () => ({ soundness: "ok", detail: "fine" }))
  expect(board.report()).toEqual([
    { name: "broken", soundness: "degraded", detail: "cannot be told: node 3.0a is damaged" }, { name: "whole", soundness: "ok", detail: "fine" }
  ])
})
