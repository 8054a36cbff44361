/** What an operator asks of a member before its replica has begun, and after. */
import { Effect } from "effect"
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
