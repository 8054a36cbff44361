/** Verification and scrub of a whole store while it works: puts, deletes, sealing, checkpoints, collection. No false finding. */
import { Effect, Fiber } from "effect"
import { expect, test } from "vitest"
import type { Finding } from "../../src/damage.ts"
import { Gc } from "../../src/gc.ts"
import { Namespace } from "../../src/namespace/Namespace.ts"
import type { StoreOptions } from "../../src/node/StoreLayer.ts"
import { Scrub } from "../../src/scrub.ts"
import { Settle } from "../../src/settle.ts"
import { Verify } from "../../src/verify.ts"
import { type Random, seededRandom } from "../../sim/Random.ts"
import { makeBucket, put } from "../pipeline/operations.ts"
import { newMachine, tiny, withStore } from "../pipeline/store.ts"

/** History of nothing, so that collection has work. */
const options: Partial<StoreOptions> = {
  settings: { ...tiny.settings!, retentionDays: 0 }, gc: { intervalMs: 3_600_000, reserveBytes: 0, compactBytesPerSecond: 0 }
}

const work = (random: Random) => Effect.gen(function*() {
  const namespace = yield* Namespace
  const key = `k${random.below(6)}`
  switch (random.below(7)) {
    case 0: case 1: case 2:
      // Few contents, so that many chunks are shared, come and go.
      return yield* put(key, seededRandom(random.below(5)).bytes(500 + random.below(3) * 12_000))
    case 3:
      return yield* namespace.propose({ _tag: "DeleteObjects", bucket: "b", targets: [{ key }] })
    case 4:
      return yield* (yield* Settle).settleNow
    case 5:
      return yield* namespace.checkpoint(true)
    default:
      return yield* (yield* Gc).run(true)
  }
})

test.each([1, 2, 3, 4])("no false finding while everything goes on, and none at the end (seed %i)", (seed) =>
  withStore(newMachine(seed), Effect.gen(function*() {
    const random = seededRandom(seed)
    yield* makeBucket
    const verify = yield* Verify
    const scrub = yield* Scrub
    const findings: Array<Finding> = []
    const tell = (event: Parameters<Parameters<typeof verify.run>[0]>[0]) => Effect.sync(() => void (event._tag === "Finding" && findings.push(event.finding)))
    for (let round = 0; round < 6; round++) yield* work(random)
    let worked = 0
    const working = yield* Effect.forkChild(Effect.gen(function*() {
      for (; ; worked++) yield* work(random)
    }))
    for (let round = 0; round < 6; round++) {
      yield* verify.run(tell)
      yield* scrub.passNow
    }
    yield* Fiber.interrupt(working)
    expect(worked).toBeGreaterThan(10)
    const summary = yield* verify.run(tell)
    expect([findings, scrub.status().findings]).toEqual([[], []])
    expect(summary.references!.chunks).toBeGreaterThan(0)
  }), options), 60_000)
