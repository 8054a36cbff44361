/** Timeline, processor and clocks: what happens, happens in its order; what belongs to a life that is over never does. */
import { Cause, Clock, Effect } from "effect"
import { expect, test } from "vitest"
import { headTable, rebuildKey } from "../../src/namespace/CheckpointHead.ts"
import { StateError } from "../../src/namespace/State.ts"
import { DamagedStarts } from "../../sim/Failure.ts"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { Machine } from "../../sim/Machine.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Life, Timeline } from "../../sim/Timeline.ts"
import { Violation } from "../../sim/Violation.ts"

const until = (timeline: Timeline): void => { while (timeline.step()) { /* until nothing is left */ } }

test("events come by their time, and those of one time in the order in which they were asked for", () => {
  const timeline = new Timeline()
  const random = seededRandom(5)
  const seen: Array<readonly [number, number]> = []
  for (let order = 0; order < 1000; order += 1) {
    const atUs = random.below(50)
    timeline.at(atUs, () => void seen.push([atUs, order]))
  }
  until(timeline)
  expect(seen).toHaveLength(1000)
  expect(seen).toEqual([...seen].sort((a, b) => a[0] - b[0] || a[1] - b[1]))
})

test("what was cancelled, or belongs to a life that is over, never happens", () => {
  const timeline = new Timeline()
  const life = new Life()
  const seen: Array<string> = []
  timeline.after(1, () => life.end())
  timeline.after(2, () => void seen.push("late"), life)
  timeline.cancel(timeline.after(3, () => void seen.push("cancelled")))
  timeline.after(4, () => void seen.push("the world's own"))
  until(timeline)
  expect(seen).toEqual(["the world's own"])
  expect(timeline.nextUs).toBeUndefined()
})

const machineOf = (timeline: Timeline, clock = { offsetMs: 0, drift: 0 }, taskUs = 0): Machine =>
  new Machine(timeline, { clock, disorder: 0, taskUs, epochMs: 1_000_000 }, seededRandom(1), () => undefined, "None")

test("a wall clock is off, drifts and jumps; the monotonic one drifts, and sleeps go by it", () => {
  const timeline = new Timeline()
  const clock = { offsetMs: 5000, drift: 0.1 }
  const machine = machineOf(timeline, clock)
  const seen: Array<number> = []
  machine.fork(Effect.gen(function* () {
    seen.push(yield* Clock.currentTimeMillis)
    yield* Effect.sleep(1100)
    seen.push(yield* Clock.currentTimeMillis, Number(yield* Clock.monotonicTimeNanos) / 1e6)
    clock.offsetMs -= 60_000
    seen.push(yield* Clock.currentTimeMillis)
  }))
  until(timeline)
  expect(timeline.nowUs).toBe(1_000_000)
  expect(seen).toEqual([1_005_000, 1_006_100, 1100, 946_100])
})

test("power off drops every fiber where it stands: no finalizer runs, and the next life is its own", () => {
  const timeline = new Timeline()
  const machine = machineOf(timeline)
  const seen: Array<string> = []
  machine.fork(Effect.ensuring(Effect.andThen(Effect.sleep(1000), Effect.sync(() => void seen.push("went on"))), Effect.sync(() => void seen.push("finalizer"))))
  timeline.after(500_000, () => {
    machine.powerOff()
    machine.powerOn()
    machine.fork(Effect.andThen(Effect.sleep(1000), Effect.sync(() => void seen.push("second life"))))
  })
  until(timeline)
  expect(seen).toEqual(["second life"])
})

test("tasks take time, and a machine that stands still is late for everything", () => {
  const timeline = new Timeline()
  const machine = machineOf(timeline, undefined, 100)
  let ended = 0
  machine.fork(Effect.gen(function* () {
    for (let turn = 0; turn < 100; turn += 1) yield* Effect.yieldNow
    machine.processor.pause(1_000_000)
    yield* Effect.yieldNow
    ended = timeline.nowUs
  }))
  until(timeline)
  expect(ended).toBeGreaterThanOrEqual(1_000_000 + 99 * 100)
})

test("a straggler is kept waiting while all others go on, and goes on then; in another life it never does", () => {
  const run = (endsAtUs: number): ReadonlyArray<string> => {
    const timeline = new Timeline()
    let tasks = 0
    const lateUs = (): number => {
      tasks += 1
      return tasks === 5 ? 2_000_000 : 0
    }
    const machine = new Machine(timeline, { clock: { offsetMs: 0, drift: 0 }, disorder: 0, taskUs: 1, epochMs: 0, lateUs }, seededRandom(1), () => undefined, "None")
    const ended: Array<string> = []
    for (const name of ["a", "b", "c"]) {
      machine.fork(Effect.gen(function* () {
        for (let turn = 0; turn < 4; turn += 1) yield* Effect.yieldNow
        ended.push(`${name} ${timeline.nowUs < 2_000_000 ? "at once" : "late"}`)
      }))
    }
    timeline.after(endsAtUs, () => machine.powerOff())
    until(timeline)
    return ended.toSorted()
  }
  const all = run(3_000_000)
  expect(all.map((end) => end.slice(0, 1))).toEqual(["a", "b", "c"])
  expect(all.filter((end) => end.endsWith("late"))).toHaveLength(1)
  expect(run(1_000_000)).toEqual(all.filter((end) => end.endsWith("at once")))
})

test("a fiber halts between two of its steps, wherever it stands, and others come between", () => {
  const run = (paceOf?: () => (() => number) | undefined): ReadonlyArray<string> => {
    const timeline = new Timeline()
    const machine = new Machine(timeline, { clock: { offsetMs: 0, drift: 0 }, disorder: 0, taskUs: 1, epochMs: 0, ...(paceOf === undefined ? {} : { paceOf }) }, seededRandom(1), () => undefined, "None")
    let value = 0
    const ended: Array<string> = []
    for (const name of ["a", "b"]) {
      machine.fork(Effect.gen(function* () {
        const seen = yield* Effect.sync(() => value)
        if (name === "b" && paceOf === undefined) machine.processor.halt(500)
        yield* Effect.sync(() => { value = seen + 1 })
        ended.push(`${name} ${value} ${timeline.nowUs < 400 ? "at once" : "late"}`)
      }))
    }
    until(timeline)
    return ended
  }
  expect(run(() => undefined)).toEqual(["a 1 at once", "b 2 at once"])
  // At a place with a name: whoever runs there.
  expect(run()).toEqual(["a 1 at once", "b 2 late"])
  let fibers = 0
  // The first fiber, before its fourth step: it has seen what was, and the second one has been there since.
  expect(run(() => {
    fibers += 1
    let steps = 0
    return fibers > 1 ? undefined : () => {
      steps += 1
      return steps === 4 ? 500 : 0
    }
  })).toEqual(["b 1 at once", "a 1 late"])
})

test("starts that the damaged index ends again and again are a liveness violation; one that ends otherwise between them is not", () => {
  const starts = new DamagedStarts()
  const damaged = new Violation("crash", "a start failed: row 7 is garbage: the index is rebuilt at the next start")
  const saw = (count: number) => Array.from({ length: count }, () => starts.saw(damaged)?.kind)
  expect(saw(5).concat(starts.saw(new Violation("crash", "no room"))?.kind).concat(saw(5)).filter((kind) => kind !== undefined)).toEqual([])
  expect(saw(1)).toEqual(["liveness"])
  starts.clear()
  expect(saw(5).filter((kind) => kind !== undefined)).toEqual([])
})

test("a life that met a damaged index and is closed has marked it; one that met none, or another life's, need not", () => {
  const starts = new DamagedStarts()
  const index = new MemoryKeyValue()
  starts.met(Cause.fail("the index"), 3)
  starts.met(Cause.die(new Error("the index")), 3)
  expect(() => starts.closed(3, index)).not.toThrow()
  starts.met(Cause.die(new StateError({ reason: "Index", detail: "node 7 is garbage" })), 4)
  expect(() => starts.closed(5, index)).not.toThrow()
  expect(() => starts.closed(4, index)).toThrow("life 4 met a damaged index")
  Effect.runSync(index.service.commit([{ _tag: "Put", table: headTable, key: rebuildKey, value: Uint8Array.of(1) }]))
  expect(() => starts.closed(4, index)).not.toThrow()
})
