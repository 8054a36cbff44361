/** Runners on simulated machines: a register that is linearizable through crashes, loss, partitions and a slow disk, and that goes on once all is calm. */
import { Exit } from "effect"
import { ok } from "node:assert"
import { describe, expect, it } from "vitest"
import { drawNetworkPlan } from "../../sim/faults/NetworkPlan.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import { hashBytes } from "../../src/base/hash.ts"
import { RaftRecorder } from "../../sim/RaftRecorder.ts"
import { RaftMonitor } from "../../spec/RaftMonitor.ts"
import { checkLinearizable, explain, type Operation } from "../../spec/Linearizability.ts"
import { type RegisterInput, registerModel } from "../sim/Register.ts"
import { Runner, type World } from "./Runners.ts"

const secondUs = 1_000_000
const troubleUs = 20 * secondUs
const calmUs = 30 * secondUs
const names = ["a", "b", "c"]

type History = Array<Operation<RegisterInput, string>>

/** One operation after another, at whichever replica; one that fails or is not answered may have taken effect, unless it says that it has not. */
const client = (world: World, name: string, history: History, isOver: () => boolean): void => {
  const { random, timeline } = world
  let count = 0
  const next = (): void => {
    if (isOver()) return
    const runner = random.pick([...world.replicas.values()])
    const { raft } = runner
    if (raft === undefined || !runner.isOn) return void timeline.after(random.below(200_000), next)
    count += 1
    const input: RegisterInput = random.chance(0.4) ? { _tag: "Read" } : { _tag: "Write", value: `${name}${count}` }
    const calledAt = timeline.nowUs
    const at = history.push({ input, calledAt }) - 1
    let isDone = false
    const end = (operation: Operation<RegisterInput, string> | undefined): void => {
      if (isDone) return
      isDone = true
      history[at] = operation ?? { input: { _tag: "Read" }, calledAt }
      timeline.after(random.below(100_000), next)
    }
    const never = (error: { readonly reason: string }): boolean => ["NotLeader", "Busy", "Transferring", "Superseded"].includes(error.reason)
    timeline.after(3 * secondUs, () => end({ input, calledAt }))
    if (input._tag === "Read") runner.run(raft.read, (exit) => end(Exit.isSuccess(exit) ? { input, calledAt, answer: { output: runner.value, at: timeline.nowUs } } : undefined))
    else runner.run(raft.propose(toUtf8(input.value)), (exit) => {
      if (Exit.isSuccess(exit)) return end({ input, calledAt, answer: { output: input.value, at: timeline.nowUs } })
      const reason = exit.cause.reasons[0]
      ok(reason?._tag === "Fail", String(exit.cause))
      end(never(reason.error) ? undefined : { input, calledAt })
    })
  }
  next()
}

const trouble = (world: World, untilUs: number): void => {
  const { random, timeline } = world
  // The power of all goes at once: what no disk has is gone.
  if (random.chance(0.5)) timeline.after(random.below(untilUs), () => {
    const all = [...world.replicas.values()].filter(({ isOn }) => isOn)
    for (const runner of all) runner.powerOff()
    timeline.after(random.below(secondUs), () => { for (const runner of all) if (!runner.isOn) runner.start() })
  })
  for (const runner of world.replicas.values()) {
    const fall = (): void => {
      if (timeline.nowUs >= untilUs) return
      if (runner.isOn) runner.powerOff()
      timeline.after(random.below(3 * secondUs), () => {
        if (!runner.isOn) runner.start()
        timeline.after(random.below(8 * secondUs), fall)
      })
    }
    if (random.chance(0.6)) timeline.after(random.below(8 * secondUs), fall)
    const save = (): void => {
      runner.checkpoint()
      timeline.after(random.below(4 * secondUs), save)
    }
    timeline.after(random.below(4 * secondUs), save)
  }
}

const runWorld = (seed: number) => {
  const random = seededRandom(seed)
  const timeline = new Timeline()
  const network = new SimulatedNetwork(timeline, random.fork(), drawNetworkPlan(random))
  const monitor = new RaftMonitor()
  const recorder = new RaftRecorder((step) => monitor.step(step))
  const world: World = { monitor, recorder, timeline, network, random, history: new Map(), replicas: new Map(), leaders: new Map(), syncMs: random.pick([5, 50, 300]), checksOf: (bytes) => hashBytes(bytes).subarray(0, 4) }
  for (const id of names) world.replicas.set(id, new Runner(world, id, names))
  for (const runner of world.replicas.values()) runner.start()
  const history: History = []
  const runUntil = (untilUs: number): void => { while ((timeline.nextUs ?? Infinity) < untilUs) timeline.step() }
  for (const name of ["x", "y", "z"]) client(world, name, history, () => timeline.nowUs > troubleUs)
  trouble(world, troubleUs)
  network.begin()
  runUntil(troubleUs)
  network.heal()
  runUntil(troubleUs + calmUs / 2)
  let progress = 0
  client(world, "w", history, () => {
    progress = history.filter(({ answer, calledAt }) => answer !== undefined && calledAt > troubleUs + calmUs / 2).length
    return timeline.nowUs > troubleUs + calmUs
  })
  runUntil(troubleUs + calmUs + secondUs)
  const failures = [...world.replicas.values()].map(({ failure }) => failure).filter((failure) => failure !== undefined)
  return { history, progress, failures, verdict: checkLinearizable(history, registerModel), terms: world.leaders.size, applied: world.history.size, steps: monitor.steps }
}

describe("raft's runner", () => {
  it("runners: a register on three machines is linearizable through crashes, partitions and loss, and goes on once all is calm", { timeout: 240_000 }, () => {
    const from = Number(process.env["RAFT_FROM"] ?? 1)
    const count = Number(process.env["RAFT_SEEDS"] ?? 10)
    let applied = 0
    let terms = 0
    for (let seed = from; seed < from + count; seed += 1) {
      const world = runWorld(seed)
      expect(world.failures, `seed ${seed}`).toEqual([])
      expect(world.verdict._tag, `seed ${seed}: ${explain(world.history, world.verdict)}`).toBe("Linearizable")
      expect(world.progress, `seed ${seed}: nothing goes on after all is calm`).toBeGreaterThan(5)
      expect(world.steps, `seed ${seed}: the monitor saw nothing`).toBeGreaterThan(100)
      applied += world.applied
      terms += world.terms
    }
    expect(applied, "worlds in which something happens").toBeGreaterThan(20 * count)
    expect(terms).toBeGreaterThan(count)
  })
})
