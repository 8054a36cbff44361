/** A read of now whose commit is history no more before it is read (short 1001180). */
import { Effect, Exit } from "effect"
import { expect, test } from "vitest"
import { readsOfNowMax } from "../../src/base/limits.ts"
import { ofNow } from "../../src/gateway/s3/Operation.ts"
import { AsOfRefused } from "../../src/namespace/Namespace.ts"

/** Fails so often because the horizon has passed it, then answers. */
const passedBy = (times: number, reason: AsOfRefused["reason"] = "BeforeHorizon") => {
  let begun = 0
  const run = Effect.suspend(() => {
    begun += 1
    return begun <= times ? Effect.fail(new AsOfRefused({ reason, asked: "7", oldestReadable: 8, head: 9 })) : Effect.succeed("read")
  })
  return { run, begun: () => begun }
}

test("begins anew at the newest commit, and is answered", () => {
  const twice = passedBy(2)
  expect(Effect.runSync(ofNow(undefined, twice.run))).toBe("read")
  expect(twice.begun()).toBe(3)
})

test("not for ever, and not for who asked for that commit, or for one to come", () => {
  const always = passedBy(Number.MAX_SAFE_INTEGER)
  expect(Exit.isFailure(Effect.runSyncExit(ofNow(undefined, always.run)))).toBe(true)
  expect(always.begun()).toBe(readsOfNowMax + 1)
  const past = passedBy(1)
  expect(Exit.isFailure(Effect.runSyncExit(ofNow({ _tag: "Sequence", sequence: 7 }, past.run)))).toBe(true)
  const future = passedBy(1, "Future")
  expect(Exit.isFailure(Effect.runSyncExit(ofNow(undefined, future.run)))).toBe(true)
  expect([past.begun(), future.begun()]).toEqual([1, 1])
})
