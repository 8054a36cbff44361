/** ReplicaScene: three replicas that a test plays with, step by step, on a calm network. Between Replicas and tests of scenes. */
import { Effect, Exit } from "effect"
import { ok, strictEqual } from "node:assert"
import { calmPlan } from "../../sim/faults/NetworkPlan.ts"
import { SimulatedNetwork } from "../../sim/Network.ts"
import { seededRandom } from "../../sim/Random.ts"
import { Timeline } from "../../sim/Timeline.ts"
import { sessionRules } from "../../src/replica/Sessions.ts"
import type { Replica } from "../../src/replica/ReplicaService.ts"
import type { WalSizes } from "../../src/wal/Wal.ts"
import { smallSizes } from "../wal/scene.ts"
import { put } from "../namespace/store.ts"
import { RaftWatch } from "../raft/RaftWatch.ts"
import { Node, type World } from "./Replicas.ts"

export const secondUs = 1_000_000
export const names = ["a", "b", "c"]

export class Scene {
  readonly world: World
  readonly a: Node
  readonly b: Node
  readonly c: Node

  constructor(seed: number, logBytesMax = 1_000_000, sizes: WalSizes = smallSizes, watch = new RaftWatch()) {
    const random = seededRandom(seed)
    const timeline = new Timeline()
    this.world = { timeline, random, network: new SimulatedNetwork(timeline, random.fork(), calmPlan), watch, nodes: new Map(), history: new Map(), firsts: new Map(), refusedIn: new Set(), uncommittedBytesMax: 10_000, stale: 0, isMerciful: false, strikes: () => undefined, endsAsks: false, syncMs: 5, skewMs: 0, sessions: sessionRules, logBytesMax, sizes }
    for (const id of names) this.world.nodes.set(id, new Node(this.world, id, names))
    for (const node of this.world.nodes.values()) node.start()
    ;[this.a, this.b, this.c] = [...this.world.nodes.values()] as [Node, Node, Node]
    this.until(() => names.every((id) => this.world.nodes.get(id)!.replica !== undefined), "all run")
  }

  until(isSo: () => boolean, what: string, forUs = 60 * secondUs): void {
    const { nodes, timeline, watch } = this.world
    for (const endUs = timeline.nowUs + forUs; !isSo();) {
      ok((timeline.nextUs ?? Infinity) < endUs, `not in time: ${what}`)
      timeline.step()
      for (const { failure } of nodes.values()) strictEqual(failure, undefined)
      strictEqual(watch.problem, undefined)
    }
  }

  later(forUs: number): void {
    const { timeline } = this.world
    for (const endUs = timeline.nowUs + forUs; (timeline.nextUs ?? Infinity) < endUs;) timeline.step()
  }

  exit<A, E>(node: Node, effect: (replica: Replica) => Effect.Effect<A, E>): Exit.Exit<A, E> {
    let exit: Exit.Exit<A, E> | undefined
    node.run(effect(node.replica!), (it) => { exit = it })
    this.until(() => exit !== undefined, "an answer")
    return exit!
  }

  at<A, E>(node: Node, effect: (replica: Replica) => Effect.Effect<A, E>): A {
    const exit = this.exit(node, effect)
    ok(Exit.isSuccess(exit), String(Exit.isFailure(exit) ? exit.cause : ""))
    return exit.value
  }

  putMany(node: Node, count: number, from = 0): void {
    this.at(node, ({ namespace }) => Effect.forEach(Array.from({ length: count }), (_, at) => namespace.propose(put("things", `k${from + at}`, `${"v".repeat(100)}${from + at}`)), { concurrency: 8, discard: true }))
  }

  equal(): void {
    const rows = (): ReadonlyArray<string> => names.map((id) => JSON.stringify(this.world.nodes.get(id)!.rows()))
    this.until(() => new Set(names.map((id) => this.world.nodes.get(id)!.replica?.raft.status().applied)).size === 1, "all have applied alike")
    const [a, b, c] = rows()
    ok(a === b && b === c, "replicas differ")
  }
}

/** The error that it failed with. */
export const reasonOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  ok(Exit.isFailure(exit))
  const reason = exit.cause.reasons[0]
  return reason?._tag === "Fail" ? reason.error : reason
}
