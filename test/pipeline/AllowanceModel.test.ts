/** Allowances against their reference: any holders that ask, give back, give up and end, in any order. */
import { Clock, Effect, Exit, Fiber, References } from "effect"
import fc from "fast-check"
import { deepStrictEqual, strictEqual } from "node:assert"
import { it } from "vitest"
import { Allowance, type Overloaded, Share } from "../../src/allowance.ts"
import { Turns } from "../../spec/Turns.ts"
import { handClock } from "./handClock.ts"

const total = 10
const waitersMax = 3

class Real {
  readonly allowance = new Allowance({ what: "things", total, waitersMax, stallMsMax: 1000, waitMsMax: 5000, urgentStallMsMax: 9000 })
  readonly shares = new Map<number, Share>()
  readonly fibers = new Map<number, Fiber.Fiber<void, Overloaded>>()
  readonly #clock = handClock().clock

  share(holder: number): Share {
    const share = this.shares.get(holder) ?? new Share(this.allowance)
    this.shares.set(holder, share)
    return share
  }

  fork(holder: number, effect: Effect.Effect<void, Overloaded>): void {
    this.fibers.set(holder, Effect.runFork(effect.pipe(Effect.provideService(Clock.Clock, this.#clock), Effect.provideService(References.MinimumLogLevel, "None"))))
  }
}

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

const agree = async (model: Turns, { allowance, fibers, shares }: Real): Promise<void> => {
  await settled()
  const waiting = model.urgent.length + model.waiting.length
  deepStrictEqual(allowance.status(), { total, used: model.used, waiting, refused: model.refused })
  for (const [holder, share] of shares) strictEqual(share.held(), model.heldBy(holder), `what ${holder} holds`)
  for (const [holder, fiber] of fibers) strictEqual(fiber.pollUnsafe() === undefined, model.isWaiting(holder), `whether ${holder} waits`)
}

type Command = fc.AsyncCommand<Turns, Real>

/** A holder that waits asks for nothing more, and one that ended never again. */
const ask = (holder: number, amount: number, urgent: boolean): Command => ({
  check: (model) => !model.ended.has(holder) && !model.isWaiting(holder),
  run: async (model, real) => {
    const answer = model.ask(holder, amount, urgent)
    real.fork(holder, real.share(holder).more(amount, urgent))
    await agree(model, real)
    const exit = real.fibers.get(holder)?.pollUnsafe()
    strictEqual(exit !== undefined && Exit.isFailure(exit), answer === "refused")
  },
  toString: () => `${holder} asks for ${amount}${urgent ? ", urgently" : ""}`
})

const giveBack = (holder: number, amount: number): Command => ({
  check: (model) => model.heldBy(holder) > 0,
  run: async (model, real) => {
    model.giveBack(holder, amount)
    real.share(holder).less(amount)
    await agree(model, real)
  },
  toString: () => `${holder} gives ${amount} back`
})

const giveUp = (holder: number): Command => ({
  check: (model) => model.isWaiting(holder),
  run: async (model, real) => {
    model.giveUp(holder)
    await Effect.runPromise(Fiber.interrupt(real.fibers.get(holder)!))
    await agree(model, real)
  },
  toString: () => `${holder} gives up`
})

const end = (holder: number): Command => ({
  check: (model) => !model.ended.has(holder),
  run: async (model, real) => {
    model.end(holder)
    real.share(holder).end()
    await agree(model, real)
  },
  toString: () => `${holder} ends`
})

it("allowance: any holders that ask, give back, give up and end have what the reference says", async () => {
  const holder = fc.nat(6)
  const amount = fc.integer({ min: 0, max: 12 })
  const commands = fc.commands<Turns, Real, false>([
    fc.tuple(holder, amount, fc.boolean()).map(([who, much, urgent]) => ask(who, much, urgent)),
    fc.tuple(holder, amount).map(([who, much]) => giveBack(who, much)),
    holder.map(giveUp),
    holder.map(end)
  ], { maxCommands: 50, size: "max" })
  await fc.assert(fc.asyncProperty(commands, async (drawn) => {
    const real = new Real()
    await fc.asyncModelRun(() => ({ model: new Turns(total, waitersMax), real }), drawn)
    for (const fiber of real.fibers.values()) await Effect.runPromise(Fiber.interrupt(fiber))
    for (const share of real.shares.values()) share.end()
    strictEqual(real.allowance.status().used, 0)
  }), { numRuns: 200 })
}, 60_000)
