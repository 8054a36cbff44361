/** A member that is silent holds back no copy that goes to another; and what is late for it waits in nobody's memory. */
import { Deferred, Effect, Exit, Fiber } from "effect"
import { expect, it } from "vitest"
import { blockCopiesLateMax, blockCopiesUnderWayMax } from "../../src/base/clusterLimits.ts"
import { seededRandom } from "../../sim/Random.ts"
import type { CarrierInterface } from "../../src/carrier/CarrierService.ts"
import { BlockLanes } from "../../src/cluster/BlockLanes.ts"
import type { NodeId } from "../../src/membership/Identity.ts"
import { makeBucket, put } from "../pipeline/operations.ts"
import { type Host, Members } from "./Members.ts"

const [silent, other] = ["a".repeat(64), "b".repeat(64)] as [NodeId, NodeId]

it("lanes: one of three has lost its power: the others take uploads as before, long before it is known to be gone", { timeout: 60_000 }, () => {
  const members = new Members(3, 3)
  const [first, , third] = members.hosts as [Host, Host, Host]
  members.do(first, makeBucket)
  members.do(first, put("warm", seededRandom(1).bytes(40_000)))
  members.cut(third)
  const { nowMs } = members.country
  for (let index = 0; index < 12; index += 1) members.do(first, put(`k${index}`, seededRandom(index + 2).bytes(40_000)))
  // An election, where the third led, and twelve uploads.
  expect(members.country.nowMs - nowMs).toBeLessThan(8_000)
})

it("lanes: what is late gives up where many wait, what is needed waits, and other lanes are free", async () => {
  const carrier = { status: () => ({ peers: [{ id: other, hasSession: true, failure: undefined }, { id: silent, hasSession: false, failure: undefined }] }) } as unknown as CarrierInterface
  const lanes = new BlockLanes(carrier)
  expect(lanes.ordered([silent, other])).toEqual([other, silent])
  await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const [never, enough] = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
    const through = (isNeeded?: Effect.Effect<void>) => Effect.forkScoped(lanes.through(silent, Deferred.await(never), isNeeded), { startImmediately: true })
    const underWay = yield* Effect.forEach(Array.from({ length: blockCopiesUnderWayMax }), () => through(Deferred.await(enough)))
    const late = yield* Effect.forEach(Array.from({ length: blockCopiesLateMax + 3 }), () => through(Deferred.await(enough)))
    const needed = yield* through()
    expect(yield* lanes.through(other, Effect.succeed("through"))).toBe("through")
    yield* Deferred.succeed(enough, undefined)
    yield* Effect.yieldNow
    yield* Effect.sleep(1)
    const ended = late.filter((fiber) => fiber.pollUnsafe() !== undefined)
    // The needed one is among those that wait.
    expect(ended.length).toBe(4)
    for (const fiber of ended) expect(Exit.isFailure(yield* Fiber.await(fiber))).toBe(true)
    expect([...underWay, needed].every((fiber) => fiber.pollUnsafe() === undefined)).toBe(true)
    yield* Deferred.succeed(never, undefined)
    for (const fiber of [...underWay, needed, ...late.filter((one) => !ended.includes(one))]) expect(Exit.isSuccess(yield* Fiber.await(fiber))).toBe(true)
  })))
})
