/** One leader whose Raft is played by hand: when it stamps, how it counts, and what it does once one came to nothing. */
import { Deferred, Effect, Fiber } from "effect"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { it } from "vitest"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import { encodeMembershipChange } from "../../src/membership/RecordFormat.ts"
import { sequenceOf } from "../../src/namespace/LoggedEntry.ts"
import type { Stamp } from "../../src/namespace/State.ts"
import { RaftError, type RaftInterface, type RaftStatus } from "../../src/raft/RaftService.ts"
import { makeLead } from "../../src/replica/LeadService.ts"
import { commandFormat } from "../../src/replica/ReplicaFormat.ts"
import { levelKey, levelRow, sessionKey, sessionRow } from "../../src/replica/ReplicaRows.ts"
import type { Reply, Unstamped } from "../../src/replica/Request.ts"
import { type FeatureLevels, featureLevels } from "../../src/replica/FeatureLevel.ts"
import { sessionRules } from "../../src/replica/Sessions.ts"
import { MemoryRows, memoryState } from "../namespace/MemoryState.ts"
import { context, put, tenant, testSealer, vault } from "../namespace/store.ts"
import { run } from "../wal/scene.ts"

const settled = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })
const digest = new Uint8Array(32)
const asking = (number: number): Unstamped => ({ format: 1, group: 0, tenant, vault, author: "ada", change: put("things", "k", `v${number}`), request: { session: 1, number, digest } })

interface Proposed {
  readonly term: number
  readonly sequence: number
  readonly done: Deferred.Deferred<Reply, RaftError>
}

const beginWith = Effect.fnUntraced(function*(levels: FeatureLevels) {
  const rows = new MemoryRows()
  rows.write([[sessionKey(1), sessionRow.encode({ usedMs: 0, high: 0 })]])
  const start: Stamp = { sequence: 7, time: 0n, wal: { segment: 1, offset: 20 } }
  const state = memoryState(rows, start)
  const play = { term: 2, applied: 1, role: "Leader" as RaftStatus["role"] }
  const proposed: Array<Proposed> = []
  const raft: RaftInterface<Reply> = {
    propose: (bytes) => Effect.suspend(() => {
      const command = commandFormat.decode(bytes)
      ok(command._tag === "Commit")
      const done = Deferred.makeUnsafe<Reply, RaftError>()
      proposed.push({ term: command.term, sequence: sequenceOf(command.sealed), done })
      return Deferred.await(done)
    }),
    read: Effect.succeed(20), change: () => Effect.void, transfer: () => Effect.void, compact: () => Effect.void,
    status: () => ({ id: "a", role: play.role, term: play.term, leader: play.role === "Leader" ? "a" : "b", commit: 20, applied: 20, last: 20, configuration: configurationOf(["a"]), configurationIndex: 0, matched: new Map(), failure: undefined })
  }
  const machine = { state, term: () => play.applied }
  const lead = yield* makeLead({ ...context, sealer: testSealer, sessions: sessionRules, levels, machine, raft, spaceLow: () => false })
  const ask = (number: number) => Effect.forkChild(lead.commit(asking(number)), { startImmediately: true })
  return { ask, lead, play, proposed, state, start }
})

const begin = Effect.suspend(() => beginWith(featureLevels))

const done = (sequence: number): Reply => ({ _tag: "Done", sequence, time: 1n, answer: { _tag: "Done" } })

it("leader: it stamps nothing before it has applied an entry of its own term, and says who leads when it does not", () => run(Effect.scoped(Effect.gen(function*() {
  const { ask, play, proposed } = yield* begin
  deepStrictEqual(yield* Fiber.join(yield* ask(1)), { _tag: "Again", reason: "Settling", leader: "a" })
  play.role = "Follower"
  deepStrictEqual(yield* Fiber.join(yield* ask(1)), { _tag: "Again", reason: "NotLeader", leader: "b" })
  strictEqual(proposed.length, 0)
  play.role = "Leader"
  play.applied = 2
  yield* ask(1)
  yield* settled
  deepStrictEqual(proposed.map(({ sequence, term }) => [sequence, term]), [[8, 2]])
}))))

it("leader: it counts on without waiting; once one came to nothing it waits for those behind it, and counts from the state again", () => run(Effect.scoped(Effect.gen(function*() {
  const { ask, play, proposed, start, state } = yield* begin
  play.applied = 2
  const first = [yield* ask(1), yield* ask(2), yield* ask(3)]
  yield* settled
  deepStrictEqual(proposed.map(({ sequence }) => sequence), [8, 9, 10])
  // The first is refused after it was stamped: the others change nothing, whatever the log has of them.
  yield* Deferred.fail(proposed[0]!.done, new RaftError({ reason: "Busy", leader: "a", detail: "full" }))
  strictEqual((yield* Fiber.join(first[0]!))._tag, "Again")
  const later = yield* ask(4)
  yield* settled
  strictEqual(proposed.length, 3)
  for (const { done: over } of proposed.slice(1)) yield* Deferred.succeed(over, { _tag: "Again", reason: "Stale" } as const)
  yield* settled
  deepStrictEqual(proposed.map(({ sequence }) => sequence), [8, 9, 10, 8])
  state.write([], { ...start, sequence: 8 })
  yield* Deferred.succeed(proposed[3]!.done, done(8))
  strictEqual((yield* Fiber.join(later))._tag, "Done")
}))))

it("leader: what older members cannot read is not stamped before the cluster's level has risen, whoever asks for it", () => run(Effect.scoped(Effect.gen(function*() {
  const { ask, play, proposed, start, state } = yield* beginWith({ program: 2, of: () => 2 })
  play.applied = 2
  const early = yield* Fiber.join(yield* ask(1))
  strictEqual(early._tag, "Unavailable")
  strictEqual(proposed.length, 0)
  state.write([[levelKey, levelRow.encode({ level: 2 })]], start)
  yield* ask(1)
  yield* settled
  strictEqual(proposed.length, 1)
}))))

it("leader: a request that is under way is not stamped again: who asks for it again hears the same answer", () => run(Effect.scoped(Effect.gen(function*() {
  const { ask, play, proposed } = yield* begin
  play.applied = 2
  const [one, again] = [yield* ask(1), yield* ask(1)]
  yield* settled
  strictEqual(proposed.length, 1)
  yield* Deferred.succeed(proposed[0]!.done, done(8))
  deepStrictEqual(yield* Fiber.join(one), yield* Fiber.join(again))
}))))

it("leader: a change of members waits for the same barrier, and one that this program cannot read is refused before it is in the log", () => run(Effect.scoped(Effect.gen(function*() {
  const { lead, play, proposed } = yield* begin
  const leaving = encodeMembershipChange({ _tag: "Leaving", node: "5a".repeat(32) as NodeId, isForced: false })
  deepStrictEqual(yield* lead.members(leaving), { _tag: "Again", reason: "Settling", leader: "a" })
  play.applied = 2
  const reply = yield* lead.members(leaving.subarray(1))
  ok(reply._tag === "MembersRefused" && reply.index === 0 && reply.reason === "Malformed", JSON.stringify(reply))
  play.role = "Follower"
  deepStrictEqual(yield* lead.members(leaving), { _tag: "Again", reason: "NotLeader", leader: "b" })
  strictEqual(proposed.length, 0)
}))))
