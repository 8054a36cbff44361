/** One runner whose neighbours a test plays by hand: what it must not forget, and what it must not claim. */
import { Effect, Exit, Fiber, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual } from "node:assert"
import { it } from "vitest"
import { MemoryDisk } from "../../sim/Disk.ts"
import { seededEntropy } from "../../sim/Entropy.ts"
import { seededRandom } from "../../sim/Random.ts"
import { toUtf8 } from "../../src/base/bytes.ts"
import type { Message, MessageBody } from "../../src/raft/Message.ts"
import { runRaft } from "../../src/raft/RaftService.ts"
import { run } from "../wal/scene.ts"
import { options } from "./Cluster.ts"
import { firstSnapshot, group, startRaft } from "./journalScene.ts"

const settled = Effect.forEach(Array.from({ length: 100 }), () => Effect.yieldNow, { discard: true })

/** Replica a of a, b and c; the test is b and c. */
const startOne = Effect.fnUntraced(function*(disk: MemoryDisk, life: number, id = "a") {
  const { raft: journal } = yield* startRaft(disk, life)
  const scope = yield* Scope.make()
  const inbox = yield* Queue.unbounded<Message>()
  const sent: Array<Message> = []
  const raft = yield* Scope.provide(runRaft({
    group, id, journal, begin: firstSnapshot, options, entropy: seededEntropy(seededRandom(life)),
    network: { send: (message) => Effect.sync(() => void sent.push(message)), receive: Queue.take(inbox) },
    machine: { applied: firstSnapshot, apply: (entries) => Effect.succeed(entries.map(({ index }) => `applied ${index}`)), install: () => Effect.undefined }
  }), scope)
  /** What it says to this, once everything has come to rest. */
  const says = Effect.fnUntraced(function*(from: string, term: number, body: MessageBody) {
    sent.length = 0
    yield* Queue.offer(inbox, { from, to: "a", term, body })
    yield* settled
    return sent.filter(({ to }) => to === from).map((message) => message.body)
  })
  return { raft, says, sent, stop: Scope.close(scope, Exit.void) }
})

const request: MessageBody = { _tag: "RequestVote", pre: false, transfer: true, lastIndex: 9, lastTerm: 4 }

it("runner: a vote that was given is not given again after a crash", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { says } = yield* startOne(disk, 1)
  deepStrictEqual(yield* says("b", 5, request), [{ _tag: "Vote", pre: false, granted: true }])
  const { says: saysAfter } = yield* startOne(disk.crash(seededRandom(1)), 2)
  deepStrictEqual(yield* saysAfter("c", 5, request), [{ _tag: "Vote", pre: false, granted: false }])
  deepStrictEqual(yield* saysAfter("b", 5, request), [{ _tag: "Vote", pre: false, granted: true }])
})))

it("runner: a vote that the disk has not got is not said", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { says } = yield* startOne(disk, 1)
  disk.stopAfter(disk.operations)
  deepStrictEqual(yield* says("b", 5, request), [])
})))

it("runner: whose place another leader's entry took hears that it was never committed; whose entry is applied hears the state's answer", () => run(Effect.gen(function*() {
  const { raft, says, sent } = yield* startOne(new MemoryDisk(), 1)
  yield* TestClock.adjust(3000)
  yield* settled
  const { term: asked } = sent.find(({ body }) => body._tag === "RequestVote")!
  yield* says("b", asked, { _tag: "Vote", pre: true, granted: true })
  yield* says("b", asked, { _tag: "Vote", pre: false, granted: true })
  deepStrictEqual([raft.status().role, raft.status().last], ["Leader", 1])
  const first = yield* Effect.forkChild(Effect.exit(raft.propose(toUtf8("one"))))
  const second = yield* Effect.forkChild(Effect.flip(raft.propose(toUtf8("two"))))
  yield* settled
  yield* says("b", asked, { _tag: "Appended", match: 2, received: 2, damagedTo: undefined, round: 0 })
  deepStrictEqual(yield* Fiber.join(first), Exit.succeed("applied 2"))
  yield* says("c", asked + 1, {
    _tag: "Append", previousIndex: 2, previousTerm: asked, commit: 3, round: 1, entries: [{ index: 3, term: asked + 1, body: { _tag: "Nothing" } }]
  })
  deepStrictEqual((yield* Fiber.join(second)).reason, "Superseded")
})))

it("runner: who leads says how far each member is, and that nobody is known to be any further once he leads no more", () => run(Effect.gen(function*() {
  const { raft, says, sent } = yield* startOne(new MemoryDisk(), 1)
  deepStrictEqual([raft.status().matched.size, raft.status().configurationIndex], [0, 0])
  yield* TestClock.adjust(3000)
  yield* settled
  const { term } = sent.find(({ body }) => body._tag === "RequestVote")!
  yield* says("b", term, { _tag: "Vote", pre: true, granted: true })
  yield* says("b", term, { _tag: "Vote", pre: false, granted: true })
  yield* says("b", term, { _tag: "Appended", match: 1, received: 1, damagedTo: undefined, round: 0 })
  deepStrictEqual([...raft.status().matched], [["a", 1], ["b", 1], ["c", 0]])
  const changed = yield* Effect.forkChild(raft.change(["a", "b"], ["c"]))
  yield* settled
  deepStrictEqual([raft.status().configurationIndex, raft.status().commit], [2, 1])
  yield* says("b", term, { _tag: "Appended", match: 2, received: 2, damagedTo: undefined, round: 0 })
  yield* Fiber.join(changed)
  yield* says("c", term + 1, { _tag: "Heard", round: 0 })
  deepStrictEqual([raft.status().role, raft.status().matched.size], ["Follower", 0])
})))

it("runner: one that would be another replica's, and one that is nowhere and may not begin, do not start", () => run(Effect.gen(function*() {
  const disk = new MemoryDisk()
  const { stop } = yield* startOne(disk, 1)
  yield* stop
  const { raft: journal } = yield* startRaft(disk.kill(), 2)
  const idle = { applied: firstSnapshot, apply: () => Effect.succeed([]), install: () => Effect.undefined }
  const start = (id: string, of = group) => Effect.flip(runRaft({
    group: of, id, journal, options, machine: idle, entropy: seededEntropy(seededRandom(1)), network: { send: () => Effect.void, receive: Effect.never }
  }))
  deepStrictEqual((yield* start("a2")).reason, "Misused")
  deepStrictEqual((yield* start("a", "61".repeat(16) as typeof group)).reason, "Misused")
}).pipe(Effect.scoped)))
