/** A gateway of a store with other members: what they did shows once its member has fenced, and not before. */
import { Effect } from "effect"
import { expect, test } from "vitest"
import type { BucketId } from "../../src/base/ids.ts"
import { Unavailable } from "../../src/namespace/Namespace.ts"
import { makeScene } from "./scene.ts"

test("every request sees what others had been answered when it came, one that is answered without a fiber too", async () => {
  let made = 0
  // With each fence a bucket comes that another member has made.
  const scene = await makeScene({}, {}, (namespace) => ({
    leads: () => true,
    fence: Effect.suspend(() => {
      made += 1
      return Effect.orDie(Effect.asVoid(namespace.propose({ _tag: "CreateBucket", bucket: `of-others-${made}`, id: `${made}`.padStart(32, "0") as BucketId, owner: "root" })))
    })
  }))
  expect((await scene.ask({ method: "HEAD", bucket: "of-others-1" })).status).toBe(200)
  expect((await scene.ask({})).text).toContain("<Name>of-others-2</Name>")
  expect((await scene.ask({ method: "PUT", bucket: "of-others-3", key: "key", body: "small" })).status).toBe(200)
  expect((await scene.ask({ bucket: "of-others-3", key: "key" })).text).toBe("small")
  expect(made).toBe(4)
})

test("without a quorum a request is told to come again, and nothing is read or written", async () => {
  const scene = await makeScene({}, {}, () => ({ leads: () => false, fence: Effect.fail(new Unavailable({ reason: "JournalFailed", detail: "no quorum" })) }))
  for (const ask of [{}, { method: "PUT", bucket: "bucket" }, { bucket: "bucket", key: "key" }]) expect((await scene.ask(ask)).status).toBe(503)
})
