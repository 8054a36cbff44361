/** What an operator asks of a member before its replica has begun, and after. */
import { Effect } from "effect"
import type { Configuration } from "../../src/raft/Configuration.ts"
import { expect, test } from "vitest"
import { clusterDesk } from "../../src/node/ClusterDesk.ts"

test("every question is answered by how the node is when it is asked, not by how it was when it started", async () => {
  const none = Effect.succeed([])
  const link = { carrier: { serve: () => Effect.void } } as unknown as Parameters<typeof clusterDesk>[0]["link"]
  const desk = clusterDesk({ link, self: "a".repeat(64) as Parameters<typeof clusterDesk>[0]["self"] })
  const { invite, pending } = desk.control
  expect(await Effect.runPromise(Effect.flip(pending))).toMatchObject({ code: "NoQuorum", detail: expect.stringContaining("has not begun") })
  expect(await Effect.runPromise(Effect.flip(invite({ lifeMs: 1, isApproved: false })))).toMatchObject({ code: "NoQuorum" })
  type Begin = Parameters<typeof desk.begin>
  await Effect.runPromise(Effect.scoped(desk.begin({} as unknown as Begin[0], { pending: none } as unknown as Begin[1])))
  expect(await Effect.runPromise(pending)).toEqual([])
})

test("who votes is told as it is decided: while that changes, who voted before it still does, and a warning says so", async () => {
  const [old, other, newcomer] = ["a", "b", "c"].map((letter) => letter.repeat(64)) as [string, string, string]
  const row = { member: { addresses: [], name: "n", sinceEpoch: 1 }, leaving: undefined, certificate: new Uint8Array(0) }
  const record = { cluster: "c".repeat(32), epoch: 2, members: new Map([old, other, newcomer].map((node) => [node, row])), book: { invited: new Map() } }
  const link = { record: () => record, availability: { status: Effect.succeed([]) }, carrier: { status: () => ({ peers: [] }), serve: () => Effect.void } } as unknown as Parameters<typeof clusterDesk>[0]["link"]
  const seen = async (configuration: Configuration, configurationIndex: number) => {
    const desk = clusterDesk({ link, self: old as Parameters<typeof clusterDesk>[0]["self"] })
    const raft = { status: () => ({ leader: old, term: 1, commit: 7, applied: 7, configuration, configurationIndex }) }
    type Begin = Parameters<typeof desk.begin>
    await Effect.runPromise(Effect.scoped(desk.begin({ raft } as unknown as Begin[0], {} as unknown as Begin[1])))
    const { changing, members, warnings } = await Effect.runPromise(desk.control.status)
    return [changing, members.map(({ role }) => role).join(), warnings.some((warning) => warning.includes("who votes is being changed"))]
  }
  const voters = [old, other, newcomer]
  expect(await seen({ voters: [old, other], outgoing: [], learners: [newcomer] }, 5)).toEqual([false, "leader,voter,learner", false])
  expect(await seen({ voters, outgoing: [old, other], learners: [] }, 7)).toEqual([true, "leader,voter,learner", true])
  expect(await seen({ voters, outgoing: [], learners: [] }, 8)).toEqual([true, "leader,voter,voter", true])
  expect(await seen({ voters, outgoing: [], learners: [] }, 7)).toEqual([false, "leader,voter,voter", false])
})
