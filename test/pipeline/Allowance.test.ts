/** Allowances alone: who gets what is shared out, in which order, and when waiting ends. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Allowance, Overloaded, Share, shareOf } from "../../src/allowance.ts"
import { seededRandom } from "../../sim/Random.ts"

const make = (total: number, bounds: Partial<Allowance["bounds"]> = {}): Allowance =>
  new Allowance({ what: "things", total, waitersMax: 8, stallMsMax: 1000, waitMsMax: 5000, urgentStallMsMax: 9000, ...bounds })

const settled = Effect.gen(function*() {
  for (let turn = 0; turn < 20; turn += 1) yield* Effect.yieldNow
})

describe("allowance", () => {
  it.effect("allowance: turns come in the order of asking, and no small one passes a large one", () =>
    Effect.gen(function*() {
      const allowance = make(10)
      const holder = new Share(allowance)
      yield* holder.more(8)
      const order: Array<string> = []
      const ask = (name: string, amount: number, urgent = false) =>
        Effect.forkChild(Effect.tap(new Share(allowance).more(amount, urgent), () => Effect.sync(() => order.push(name))))
      yield* ask("large", 6)
      yield* ask("small", 1)
      yield* settled
      assert.deepStrictEqual(order, [])
      // What has begun goes before what has not.
      yield* ask("urgent", 2, true)
      yield* settled
      assert.deepStrictEqual(order, ["urgent"])
      holder.end()
      yield* settled
      assert.deepStrictEqual(order, ["urgent", "large", "small"])
      assert.strictEqual(allowance.status().used, 9)
    }))

  it.effect("allowance: one that waits is refused when nothing is given back, and waits on while it is", () =>
    Effect.gen(function*() {
      const allowance = make(10)
      const holder = new Share(allowance)
      yield* holder.more(10)
      const waiting = yield* Effect.forkChild(new Share(allowance).more(10))
      for (let turn = 0; turn < 3; turn += 1) {
        yield* settled
        yield* TestClock.adjust(900)
        holder.less(1)
      }
      yield* settled
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust(2000)
      const exit = yield* Fiber.await(waiting)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("nothing was given back"))
      assert.deepStrictEqual(allowance.status(), { total: 10, used: 7, waiting: 0, refused: 1 })
    }))

  it.effect("allowance: however things move, a wait has an end, except for what has begun", () =>
    Effect.gen(function*() {
      const allowance = make(10)
      const holder = new Share(allowance)
      yield* holder.more(10)
      const begun = yield* Effect.forkChild(new Share(allowance).more(10, true))
      const waiting = yield* Effect.forkChild(new Share(allowance).more(1))
      for (let turn = 0; turn < 60; turn += 1) {
        yield* settled
        yield* TestClock.adjust(100)
        holder.less(0.01)
      }
      const exit = yield* Fiber.await(waiting)
      assert.isTrue(Exit.isFailure(exit) && String(exit.cause).includes("no turn came"))
      yield* TestClock.adjust(8900)
      yield* settled
      assert.isUndefined(begun.pollUnsafe())
      const late = yield* Effect.forkChild(new Share(allowance).more(10, true))
      yield* settled
      yield* TestClock.adjust(9000)
      yield* settled
      assert.strictEqual(allowance.status().refused, 3)
      yield* Fiber.await(late)
      yield* Fiber.await(begun)
    }))

  it.effect("allowance: a full queue refuses at once", () =>
    Effect.gen(function*() {
      const allowance = make(1, { waitersMax: 2 })
      yield* new Share(allowance).more(1)
      for (let index = 0; index < 2; index += 1) yield* Effect.forkChild(new Share(allowance).more(1))
      yield* settled
      const error = yield* Effect.flip(new Share(allowance).more(1))
      assert.isTrue(error instanceof Overloaded)
      assert.include(error.message, "2 are waiting already")
    }))

  it.effect("allowance: asked for more than there is, it gives all there is, to one alone", () =>
    Effect.gen(function*() {
      const allowance = make(10)
      const share = new Share(allowance)
      yield* share.more(25)
      assert.strictEqual(share.held(), 10)
      share.less(25)
      assert.strictEqual(allowance.status().used, 0)
    }))

  it.live("allowance: whoever is interrupted, at whatever moment, keeps nothing and blocks nobody", () =>
    Effect.gen(function*() {
      const random = seededRandom(11)
      const allowance = make(20, { waitersMax: 1000, stallMsMax: 60_000, waitMsMax: 60_000 })
      let worked = 0
      const work = Effect.scoped(Effect.gen(function*() {
        const share = yield* shareOf(allowance)
        yield* share.more(1 + random.below(12), random.chance(0.3))
        assert.isAtMost(allowance.status().used, 20)
        for (let turn = random.below(4); turn > 0; turn -= 1) yield* Effect.yieldNow
        worked += 1
      }))
      const fibers: Array<Fiber.Fiber<void, Overloaded>> = []
      for (let index = 0; index < 400; index += 1) {
        fibers.push(yield* Effect.forkChild(work))
        for (let turn = random.below(3); turn > 0; turn -= 1) yield* Effect.yieldNow
        if (random.chance(0.4)) yield* Effect.forkChild(Fiber.interrupt(random.pick(fibers)))
      }
      for (const fiber of fibers) yield* Fiber.await(fiber)
      assert.isAbove(worked, 100)
      assert.deepStrictEqual(allowance.status(), { total: 20, used: 0, waiting: 0, refused: 0 })
    }))

  it.effect("allowance: a turn that comes as the share ends is passed on", () =>
    Effect.gen(function*() {
      const allowance = make(1)
      const holder = new Share(allowance)
      yield* holder.more(1)
      const scope = Scope.makeUnsafe()
      const share = yield* Scope.provide(shareOf(allowance), scope)
      const waiting = yield* Effect.forkChild(share.more(1))
      yield* settled
      yield* Scope.close(scope, Exit.void)
      holder.end()
      yield* Fiber.await(waiting)
      assert.strictEqual(allowance.status().used, 0)
    }))
})
