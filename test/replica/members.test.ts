/** The record of members as replicated state: changed from every replica, through crashes, fetched states and lost leaders; one record everywhere. */
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { expect, it } from "vitest"
import { toHex } from "../../src/base/bytes.ts"
import { MiB } from "../../src/base/limits.ts"
import { proposeMsMax } from "../../src/base/replicaLimits.ts"
import { applyMembership, type MembershipChange, type MembershipRecord } from "../../src/membership/Membership.ts"
import { MembershipError } from "../../src/membership/MembershipError.ts"
import { MembershipStoreError } from "../../src/membership/MembershipStoreService.ts"
import { encodeMembershipRecord } from "../../src/membership/RecordFormat.ts"
import { configurationOf } from "../../src/raft/Configuration.ts"
import type { RaftStatus } from "../../src/raft/RaftService.ts"
import { membersOver } from "../../src/replica/MembersService.ts"
import { recordOf } from "../../src/replica/MembersTable.ts"
import type { Reply } from "../../src/replica/Request.ts"
import { good, nowMs, sceneOf } from "../membership/fixtures.ts"
import { admissionOf, foundingOf, removalOf } from "../membership/story.ts"
import { MemoryRows, memoryState } from "../namespace/MemoryState.ts"
import { create } from "../namespace/store.ts"
import { run } from "../wal/scene.ts"
import type { Node } from "./Replicas.ts"
import { reasonOf, Scene, secondUs } from "./ReplicaScene.ts"

const house = sceneOf(1)
const first = house.node(2)
const founding = foundingOf(house, first)
const founded: MembershipChange = { _tag: "Founded", record: founding }
const bytesOf = (record: MembershipRecord | undefined): string => (record === undefined ? "" : toHex(encodeMembershipRecord(record)))

const change = (scene: Scene, node: Node, ...changes: ReadonlyArray<MembershipChange>): MembershipRecord =>
  scene.at(node, ({ members }) => Effect.map(Effect.forEach(changes, members.change), (records) => records.at(-1)!))

/** Wherever one looks: what is kept in memory, told, and in rows. */
const oneRecord = (scene: Scene): MembershipRecord => {
  for (const node of [scene.a, scene.b, scene.c]) scene.at(node, ({ fence }) => fence())
  scene.equal()
  const records = [scene.a, scene.b, scene.c].flatMap(({ replica, told }) => [replica!.members.current(), told.at(-1), recordOf(replica!.state.reader)])
  strictEqual(new Set(records.map(bytesOf)).size, 1)
  return records[0]!
}

const leaderOf = (scene: Scene): Node => {
  const leading = (): Node | undefined => [scene.a, scene.b, scene.c].find(({ replica }) => replica?.raft.status().role === "Leader")
  scene.until(() => leading() !== undefined, "one leads")
  return leading()!
}

it("members: founded and changed from every replica: each hears the record after its change, each is told of every change once, and all have one record", () => {
  const scene = new Scene(11)
  const [second, third] = [house.node(3), house.node(4)]
  strictEqual(scene.a.replica!.members.current(), undefined)
  deepStrictEqual(scene.a.told, [])
  strictEqual(bytesOf(change(scene, scene.a, founded)), bytesOf(founding))
  // One by one, each at another node than the last.
  const story = [...admissionOf(house, second, house.token(5)), ...admissionOf(house, third, house.token(6)), { _tag: "Leaving", node: second.id, isForced: false } as const]
  let expected = founding
  for (const [at, one] of story.entries()) {
    expected = good(applyMembership(expected, one))
    strictEqual(bytesOf(change(scene, [scene.b, scene.c, scene.a][at % 3]!, one)), bytesOf(expected))
  }
  // Made again, and refused: nothing changes, nobody is told.
  change(scene, scene.c, founded, story.at(-1)!)
  const refused = reasonOf(scene.exit(scene.b, ({ members }) => members.change({ _tag: "Leaving", node: house.node(9).id, isForced: true })))
  ok(refused instanceof MembershipError && refused.reason === "Unknown" && refused.what === "message" && refused.message.includes(house.node(9).id), String(refused))
  expected = change(scene, scene.b, removalOf(house, expected, second))
  strictEqual(bytesOf(oneRecord(scene)), bytesOf(expected))
  deepStrictEqual([...expected.members.keys()].sort(), [first.id, third.id].sort())
  for (const { told } of [scene.a, scene.b, scene.c]) deepStrictEqual(told.map(({ members, epoch }) => [epoch, members.size]), [[1, 1], [1, 1], [1, 1], [2, 2], [2, 2], [2, 2], [3, 3], [3, 3], [4, 2]])
})

it("members: two nodes that are let in at once, from two replicas: both are in, and each has an epoch of its own", () => {
  const scene = new Scene(12)
  change(scene, scene.a, founded)
  const some = [3, 4, 5, 6].map((seed) => [house.node(seed), house.token(seed + 100)] as const)
  let over = 0
  for (const [at, [identity, token]] of some.entries()) {
    const node = [scene.a, scene.b, scene.c][at % 3]!
    node.run(Effect.forEach(admissionOf(house, identity, token), node.replica!.members.change), (exit) => {
      ok(Exit.isSuccess(exit) && exit.value.at(-1)!.members.has(identity.id))
      over += 1
    })
  }
  scene.until(() => over === 4, "all are in")
  const { epoch, members } = oneRecord(scene)
  deepStrictEqual([epoch, [...members.values()].map(({ member }) => member.sinceEpoch).sort((a, b) => a - b)], [5, [1, 2, 3, 4, 5]])
})

it("members: through power cuts of all, the loss of the leader, and a state that is fetched, the record is what was acknowledged, and each life is told of it", () => {
  const scene = new Scene(2, 3000)
  scene.at(scene.a, ({ namespace }) => namespace.propose(create("things", 1)))
  change(scene, scene.b, founded, ...admissionOf(house, house.node(3), house.token(5)))
  oneRecord(scene)
  for (const node of [scene.a, scene.b, scene.c]) node.powerOff()
  for (const node of [scene.a, scene.b, scene.c]) node.start()
  scene.until(() => [scene.a, scene.b, scene.c].every(({ replica }) => replica !== undefined), "all are back")
  deepStrictEqual([...oneRecord(scene).members.keys()], [first.id, house.node(3).id].sort())
  // Without its leader: the others go on.
  const leader = leaderOf(scene)
  leader.powerOff()
  const other = [scene.a, scene.b, scene.c].find(({ replica }) => replica !== undefined)!
  change(scene, other, { _tag: "Invited", token: house.token(7), isApproved: false, atMs: nowMs })
  leader.start()
  scene.until(() => leader.replica !== undefined, "it is back")
  ok(oneRecord(scene).book.invited.has(house.token(7).id))
  // Away for so long that the log has gone on: it is told of what it fetches.
  scene.putMany(scene.a, 5)
  scene.c.powerOff()
  change(scene, scene.a, { _tag: "Leaving", node: house.node(3).id, isForced: true })
  for (let round = 1; round < 6; round += 1) scene.putMany(scene.a, 30, round * 30)
  scene.at(scene.a, ({ namespace }) => namespace.checkpoint(true))
  const asks: Array<string> = []
  scene.world.asked = (from, _, ask) => { if (from === "c") asks.push(ask._tag) }
  scene.c.start()
  scene.until(() => scene.c.replica?.members.current()?.members.get(house.node(3).id)?.leaving !== undefined, "it knows who leaves")
  ok(asks.includes("Piece"), "a state was fetched")
  deepStrictEqual([scene.c.told.at(0), scene.c.told.at(-1)].map((record) => record!.members.get(house.node(3).id)!.leaving), [undefined, { isForced: true }])
  oneRecord(scene)
})

it("members: sixty of them are founded, changed, kept through a restart, and removed", { timeout: 60_000 }, () => {
  const scene = new Scene(13, 1_000_000, { segmentBytes: 4 * MiB, batchBytesMax: 2 * MiB })
  const identities = Array.from({ length: 60 }, (_, at) => house.node(at + 2))
  const whole = identities.slice(1).reduce((record, identity, at) => admissionOf(house, identity, { ...house.token(at + 500), expiresMs: nowMs + 1000 + at }).reduce((before, one) => good(applyMembership(before, one)), record), founding)
  strictEqual(whole.members.size, 60)
  change(scene, scene.b, { _tag: "Founded", record: { ...whole, book: { invited: new Map() } } })
  change(scene, scene.c, ...admissionOf(house, house.node(70), house.token(700)))
  for (const node of [scene.a, scene.b, scene.c]) node.powerOff()
  for (const node of [scene.a, scene.b, scene.c]) node.start()
  scene.until(() => [scene.a, scene.b, scene.c].every(({ replica }) => replica !== undefined), "all are back")
  change(scene, scene.a, removalOf(house, oneRecord(scene), identities[7]!))
  const { epoch, members } = oneRecord(scene)
  deepStrictEqual([members.size, members.has(identities[7]!.id), epoch], [60, false, 62])
})

it("members: without a quorum a change ends, and says that it may be made again", () => {
  const scene = new Scene(14)
  change(scene, scene.a, founded)
  scene.a.powerOff()
  scene.b.powerOff()
  const beganUs = scene.world.timeline.nowUs
  const failure = reasonOf(scene.exit(scene.c, ({ members }) => members.change({ _tag: "Invited", token: house.token(5), isApproved: true, atMs: nowMs })))
  ok(failure instanceof MembershipStoreError && failure.reason === "Busy" && /no leader with a quorum.*look at the cluster's status/.test(failure.message), String(failure))
  ok(scene.world.timeline.nowUs - beganUs < proposeMsMax * 1000 + 10 * secondUs)
})

/** A replica that leads, whose log answers as a test says. */
const played = (replies: ReadonlyArray<Reply>, record: MembershipRecord) => {
  const rows = new MemoryRows()
  const status: RaftStatus = { id: "a", role: "Leader", term: 1, leader: "a", commit: 9, applied: 9, last: 9, configurationIndex: 0, matched: new Map(), configuration: configurationOf(["a"]), failure: undefined }
  const left = [...replies]
  const never = Effect.die("nothing else is asked")
  return membersOver({
    machine: { state: memoryState(rows, { sequence: 0, time: 0n, wal: { segment: 1, offset: 9 } }), members: () => record },
    asking: { id: "a", status: () => status, peers: { ask: () => never }, lead: { commit: () => never, openSession: never, settle: () => never, members: () => Effect.sync(() => left.shift()!), raise: () => never } }
  })
}

/** Between attempts it pauses. */
const inTime = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Effect.forkChild(effect, { startImmediately: true }), (fiber) => Effect.andThen(TestClock.adjust("1 second"), Fiber.join(fiber)))

it("members: one that has gone by a change whose answer was lost has gone; one that nobody removed is refused", () => run(Effect.gen(function*() {
  const two = admissionOf(house, house.node(3), house.token(5)).reduce((record, one) => good(applyMembership(record, one)), founding)
  const gone = removalOf(house, two, house.node(3))
  const after = good(applyMembership(two, gone))
  const unknown: Reply = { _tag: "Again", reason: "Unknown" }
  const refused: Reply = { _tag: "MembersRefused", index: 9, what: "message", reason: "Unknown", detail: "no member" }
  strictEqual(yield* inTime(played([unknown, refused], after).change(gone)), after)
  const whyOf = (replies: ReadonlyArray<Reply>, record: MembershipRecord, one: MembershipChange) => inTime(Effect.flip(played(replies, record).change(one)))
  expect(yield* whyOf([refused], after, gone)).toMatchObject({ _tag: "MembershipError", reason: "Unknown" })
  expect(yield* whyOf([unknown, refused], two, gone)).toMatchObject({ _tag: "MembershipError", reason: "Unknown" })
  expect(yield* whyOf([unknown, refused], after, { _tag: "Leaving", node: house.node(3).id, isForced: true })).toMatchObject({ _tag: "MembershipError", reason: "Unknown" })
  expect(yield* whyOf([{ _tag: "Settled" }], two, gone)).toMatchObject({ _tag: "MembershipStoreError", reason: "Busy" })
})))
