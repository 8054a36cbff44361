/** Replicas in scenes that a test plays: states that are fetched, quorums that are lost, points of time. */
import { Effect, Exit } from "effect"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { expect, it } from "vitest"
import { MemoryKeyValue } from "../../sim/KeyValue.ts"
import { fromUtf8 } from "../../src/base/bytes.ts"
import { proposeMsMax, readMsMax } from "../../src/base/replicaLimits.ts"
import { Unavailable } from "../../src/namespace/Namespace.ts"
import { configurationKey, configurationRow } from "../../src/replica/ReplicaRows.ts"
import { create, put } from "../namespace/store.ts"
import { Node } from "./Replicas.ts"
import { names, reasonOf, Scene, secondUs } from "./ReplicaScene.ts"

it("replicas: a change at any node shows at every other behind a fence, and its answer is one that all would give", () => {
  const scene = new Scene(1)
  scene.at(scene.b, ({ namespace }) => namespace.propose(create("things", 1)))
  const { sequence } = scene.at(scene.c, ({ namespace }) => namespace.propose(put("things", "k", "v")))
  for (const node of [scene.a, scene.b, scene.c]) {
    const found = scene.at(node, ({ fence, namespace }) => Effect.andThen(fence(), Effect.suspend(() => namespace.object("things", "k", undefined, namespace.head().sequence))))
    strictEqual(found.sequence, sequence)
    strictEqual(found.manifest._tag === "Inline" ? fromUtf8(found.manifest.bytes) : undefined, "v")
  }
  const refused = scene.exit(scene.a, ({ namespace }) => namespace.propose(put("nothing", "k", "v")))
  expect(String(reasonOf(refused))).toContain("NoSuchBucket")
  scene.equal()
})

it("replicas: one that was away fetches a state in pieces, goes on with it after a power cut in the middle, and comes to the same rows", () => {
  const scene = new Scene(2, 3000)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  scene.putMany(scene.a, 5)
  scene.c.powerOff()
  for (let round = 1; round < 6; round += 1) scene.putMany(scene.a, 30, round * 30)
  scene.at(scene.a, ({ namespace }) => namespace.checkpoint(true))
  const pieces: Array<string> = []
  scene.world.asked = (from, to, ask) => { if (from === "c" && ask._tag === "Piece") pieces.push(`${to} ${ask.kind} ${ask.generation} ${ask.offset}`) }
  scene.c.start()
  scene.until(() => pieces.length === 12, "pieces are fetched")
  scene.c.powerOff()
  scene.later(secondUs)
  scene.c.start()
  scene.until(() => scene.c.replica !== undefined && scene.c.replica.raft.status().applied > 150, "it is there again")
  scene.equal()
  ok(pieces.length > 20, `${pieces.length} pieces: the state is larger than one`)
  const again = pieces.length - new Set(pieces).size
  ok(again <= 2, `${again} pieces of ${pieces.length} were fetched twice`)
  // And it is there after the next start, without fetching.
  const count = pieces.length
  scene.c.powerOff()
  scene.c.start()
  scene.until(() => scene.c.replica !== undefined, "it starts")
  scene.putMany(scene.b, 5, 500)
  scene.equal()
  strictEqual(pieces.length, count)
})

it("replicas: whoever gives a state loses his power again and again while it is fetched: it comes all the same, and is the same", () => {
  const scene = new Scene(8, 3000)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  scene.putMany(scene.a, 5)
  scene.c.powerOff()
  for (let round = 1; round < 6; round += 1) scene.putMany(scene.a, 30, round * 30)
  let given = 0
  let from = ""
  scene.world.asked = (by, to, ask) => { if (by === "c" && ask._tag === "Piece") [given, from] = [given + 1, to] }
  scene.c.start()
  for (let count = 1; count <= 4; count += 1) {
    scene.until(() => given >= 4 * count, "pieces are fetched")
    const giver = scene.world.nodes.get(from)!
    giver.powerOff()
    scene.later(secondUs)
    giver.start()
  }
  scene.until(() => (scene.c.replica?.raft.status().applied ?? 0) > 150, "it is there")
  scene.putMany(scene.b, 5, 500)
  scene.equal()
})

it("replicas: one whose checkpoints are gone, and whose log begins behind them, fetches a state before it says anything", () => {
  const scene = new Scene(3, 3000)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  for (let round = 0; round < 3; round += 1) scene.putMany(scene.a, 25, round * 25)
  scene.equal()
  scene.c.powerOff()
  for (const path of scene.c.disk.sizes().keys()) if (path.startsWith("state/0/")) scene.c.disk.corrupt(path, 100)
  scene.c.index = new MemoryKeyValue()
  const asks: Array<string> = []
  scene.world.asked = (from, _, ask) => { if (from === "c") asks.push(ask._tag) }
  scene.c.start()
  scene.until(() => scene.c.replica !== undefined, "it runs again")
  ok(asks.includes("Offer") && asks.includes("Piece"))
  scene.putMany(scene.b, 5, 500)
  scene.equal()
})

it("replicas: without a quorum changes and reads end, and say why; a read that may be old goes on while it is not too old", () => {
  const scene = new Scene(4)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  scene.at(scene.c, ({ fence }) => fence())
  scene.a.powerOff()
  scene.b.powerOff()
  scene.at(scene.c, ({ fence }) => fence(60_000))
  const beganUs = scene.world.timeline.nowUs
  const put1 = reasonOf(scene.exit(scene.c, ({ namespace }) => namespace.propose(put("things", "k", "v"))))
  ok(put1 instanceof Unavailable && put1.reason === "NoQuorum" && /no leader with a quorum/.test(put1.message), String(put1))
  ok(scene.world.timeline.nowUs - beganUs < (proposeMsMax + 10_000) * 1000)
  const readAtUs = scene.world.timeline.nowUs
  const read = reasonOf(scene.exit(scene.c, ({ fence }) => fence()))
  ok(read instanceof Unavailable && read.reason === "NoQuorum" && /no quorum/.test(read.message), String(read))
  ok(scene.world.timeline.nowUs - readAtUs < (readMsMax + 5000) * 1000)
  ok(reasonOf(scene.exit(scene.c, ({ fence }) => fence(1000))) instanceof Unavailable)
  scene.a.start()
  scene.until(() => scene.a.replica !== undefined, "a quorum is back")
  scene.at(scene.c, ({ namespace }) => namespace.propose(put("things", "k", "w")))
})

it("replicas: AS OF a time that somebody read is what it was, whatever comes later and whoever leads then; a time to come is refused", () => {
  const scene = new Scene(5)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  const nowMs = Date.UTC(2026, 10, 22) + Math.floor(scene.world.timeline.nowUs / 1000)
  const asOf = { _tag: "Time", ms: nowMs } as const
  const sequence = scene.at(scene.c, ({ namespace }) => namespace.resolve(asOf))
  const leader = [scene.a, scene.b, scene.c].find(({ replica }) => replica!.raft.status().role === "Leader")!
  const committed = scene.at(scene.b, ({ namespace }) => namespace.propose(put("things", "k", "v")))
  ok(Number(committed.time >> 16n) > nowMs)
  leader.powerOff()
  const other = [scene.a, scene.b, scene.c].find(({ replica }) => replica !== undefined)!
  scene.at(other, ({ namespace }) => namespace.propose(put("things", "k", "w")))
  strictEqual(scene.at(other, ({ namespace }) => namespace.resolve(asOf)), sequence)
  expect(String(reasonOf(scene.exit(other, ({ namespace }) => namespace.resolve({ _tag: "Time", ms: nowMs + 3_600_000 }))))).toContain("future")
})

it("replicas: one that joins fetches a state, votes, and goes on when one that was there from the beginning leaves; the state says who votes", () => {
  const scene = new Scene(7, 3000)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  for (let round = 0; round < 3; round += 1) scene.putMany(scene.a, 20, round * 20)
  const d = new Node(scene.world, "d", [])
  scene.world.nodes.set("d", d)
  d.start()
  scene.until(() => d.replica !== undefined, "d runs")
  const leading = (): Node => [...scene.world.nodes.values()].find(({ replica }) => replica?.raft.status().role === "Leader")!
  const change = (voters: ReadonlyArray<string>, learners: ReadonlyArray<string>): void => {
    scene.until(() => {
      const node = leading()
      return node !== undefined && Exit.isSuccess(scene.exit(node, ({ raft }) => raft.change(voters, learners)))
    }, "membership changes")
  }
  change(names, ["d"])
  scene.until(() => d.replica!.raft.status().applied >= leading().replica!.raft.status().commit - 2, "d has caught up")
  change(["a", "b", "d"], [])
  scene.until(() => leading()?.replica!.raft.status().configuration.outgoing.length === 0, "the joint configuration is left")
  scene.c.powerOff()
  scene.at(d, ({ namespace }) => namespace.propose(put("things", "k", "by d")))
  d.powerOff()
  d.start()
  scene.until(() => d.replica !== undefined, "d runs again")
  scene.putMany(d, 20, 100)
  for (const node of [scene.a, scene.b, d]) scene.at(node, ({ fence }) => fence())
  scene.until(() => new Set([scene.a, scene.b, d].map(({ replica }) => replica!.raft.status().applied)).size === 1, "all have applied alike")
  deepStrictEqual(d.rows(), scene.a.rows())
  deepStrictEqual(configurationRow.decode(d.replica!.state.reader.get(configurationKey)!).voters, ["a", "b", "d"])
})

it("replicas: one whose disk takes nothing more ends reads in time and says that it is behind; the others go on, and it catches up once the disk does", () => {
  const scene = new Scene(5)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  const follower = [scene.a, scene.b, scene.c].find(({ replica }) => replica!.raft.status().role !== "Leader")!
  const other = [scene.a, scene.b, scene.c].find((node) => node !== follower)!
  scene.at(follower, ({ fence }) => fence())
  let isStuck = true
  // Of the first sync until now: the others wait behind it.
  follower.disk.delayMs = (operation) => (operation === "sync" && isStuck ? 60_000 : 0)
  scene.putMany(other, 3)
  const readAtUs = scene.world.timeline.nowUs
  const read = reasonOf(scene.exit(follower, ({ fence }) => fence()))
  ok(read instanceof Unavailable && /got no further/.test(read.message), String(read))
  ok(scene.world.timeline.nowUs - readAtUs < (readMsMax + 5000) * 1000)
  isStuck = false
  scene.later(120 * secondUs)
  scene.at(follower, ({ fence }) => fence())
  scene.equal()
})
