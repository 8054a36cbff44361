/**
 * Allowance: a bounded amount (requests, bytes of memory) that those at work share, first come first served; who finds
 * none waits in a bounded queue for a bounded time, and is then refused (P10). It sits under get, ingest and the gateway.
 *
 * Invariants of an allowance:
 *   1. the sum of what its shares hold is at most its total;
 *   2. nobody passes another of the same queue; who is urgent (its answer has begun) goes before who is not;
 *   3. what a share holds, or waits for, ends with the share, whenever and however that ends.
 */
import { Clock, Context, Data, Effect, Layer, Scope } from "effect"
import { assert } from "./base/assert.ts"
import {
  bodyBytesInFlightMax, memoryBegunStallMsMax, memoryStallMsMax, memoryWaitersMax, memoryWaitMsMax, overloadLogMs, readBytesInFlightMax, requestsMax,
  requestsQueuedMax, requestsWaitMsMax, smallBodyBytesInFlightMax
} from "./base/limits.ts"
import type { Meters } from "./base/Meters.ts"
import { probe } from "./base/probes.ts"
import { Metrics } from "./ports/Metrics.ts"

/** There is too much to do at the moment; the same may well succeed a little later. */
export class Overloaded extends Data.TaggedError("Overloaded")<{
  /** What there is none left of. */
  readonly what: string
  readonly detail: string
}> {
  override get message(): string {
    return `overloaded: ${this.what}: ${this.detail}`
  }
}

export interface AllowanceBounds {
  readonly what: string
  readonly total: number
  /** How many may wait. */
  readonly waitersMax: number
  /** How long one waits at most while nothing is given back by anybody. */
  readonly stallMsMax: number
  /** How long one waits at most in all. */
  readonly waitMsMax: number
  /** Instead of both, who is urgent waits this long at most while nothing is given back. */
  readonly urgentStallMsMax: number
}

export interface AllowanceStatus {
  readonly total: number
  readonly used: number
  readonly waiting: number
  /** Since the start. */
  readonly refused: number
}

interface Waiter {
  readonly amount: number
  readonly enter: () => void
}

export class Allowance {
  readonly bounds: AllowanceBounds
  #used = 0
  #refused = 0
  /** Counts what was given back: while it moves, waiting makes sense. */
  #returns = 0
  #loggedMs = Number.NEGATIVE_INFINITY
  /** In the order of their coming. */
  readonly #urgent = new Set<Waiter>()
  readonly #waiting = new Set<Waiter>()

  constructor(bounds: AllowanceBounds) {
    this.bounds = bounds
  }

  status(): AllowanceStatus {
    return { total: this.bounds.total, used: this.#used, waiting: this.#urgent.size + this.#waiting.size, refused: this.#refused }
  }

  /** At least half of the total would still be free: no need to be thrifty. */
  isPlentiful(amount: number): boolean {
    return this.#urgent.size + this.#waiting.size === 0 && 2 * (this.#used + amount) <= this.bounds.total
  }

  /** True: it is the caller's, who gives it back. Shares see to that by themselves. */
  tryTake(amount: number): boolean {
    if (this.#urgent.size + this.#waiting.size > 0 || !this.#fits(amount)) return false
    this.#used += amount
    return true
  }

  giveBack(amount: number): void {
    assert(0 <= amount && amount <= this.#used, "what is given back was taken")
    if (amount === 0) return
    this.#used -= amount
    this.#returns += 1
    this.#admit()
  }

  /** Waits for its turn; `granted` runs when the amount is the caller's, in whatever state the caller is by then. */
  wait(amount: number, urgent: boolean, granted: () => void): Effect.Effect<void, Overloaded> {
    const { waitersMax } = this.bounds
    if (!urgent && this.#waiting.size >= waitersMax) return this.#refuse(`${waitersMax} are waiting already`)
    const queue = urgent ? this.#urgent : this.#waiting
    const turn = Effect.callback<void>((resume) => {
      const waiter: Waiter = {
        amount,
        enter: () => {
          granted()
          resume(Effect.void)
        }
      }
      queue.add(waiter)
      this.#admit()
      return Effect.sync(() => {
        // One that gives up may have stood before others whom there is room for.
        if (queue.delete(waiter)) this.#admit()
      })
    })
    // Whoever gives back goes on with its own work first.
    return Effect.andThen(Effect.raceFirst(turn, this.#patience(urgent)), Effect.yieldNow)
  }

  readonly #patience = Effect.fnUntraced(function*(this: Allowance, urgent: boolean): Effect.fn.Return<never, Overloaded> {
    const { urgentStallMsMax } = this.bounds
    const stallMsMax = urgent ? urgentStallMsMax : this.bounds.stallMsMax
    const waitMsMax = urgent ? Number.POSITIVE_INFINITY : this.bounds.waitMsMax
    for (let leftMs = waitMsMax; leftMs > 0;) {
      const before = this.#returns
      const sleepMs = Math.min(stallMsMax, leftMs)
      yield* Effect.sleep(sleepMs)
      leftMs -= sleepMs
      if (this.#returns === before) return yield* this.#refuse(`nothing was given back for ${sleepMs} ms`)
    }
    return yield* this.#refuse(`no turn came in ${waitMsMax} ms`)
  })

  /** One line in a while, and a count of all: a flood of refusals is no flood of lines. */
  #refuse(why: string): Effect.Effect<never, Overloaded> {
    return Effect.flatMap(Clock.currentTimeMillis, (nowMs) => {
      this.#refused += 1
      probe("gateway.overloaded")
      const { total, what } = this.bounds
      const error = new Overloaded({ what, detail: `all of ${total} in use, ${why}` })
      if (nowMs - this.#loggedMs < overloadLogMs) return Effect.fail(error)
      this.#loggedMs = nowMs
      return Effect.andThen(Effect.logWarning(`${error.message} (refused since the start: ${this.#refused})`), Effect.fail(error))
    })
  }

  #fits(amount: number): boolean {
    return this.#used + amount <= this.bounds.total
  }

  #admit(): void {
    for (const queue of [this.#urgent, this.#waiting]) {
      for (const waiter of queue) {
        if (!this.#fits(waiter.amount)) return
        queue.delete(waiter)
        this.#used += waiter.amount
        waiter.enter()
      }
    }
  }
}

/** What one piece of work holds of an allowance. One `more` at a time. */
export class Share {
  readonly #allowance: Allowance
  #held = 0
  #ended = false

  constructor(allowance: Allowance) {
    this.#allowance = allowance
  }

  held(): number {
    return this.#held
  }

  /** More of it, at most what the allowance has in all: who needs more than that works alone. */
  more(asked: number, urgent = false): Effect.Effect<void, Overloaded> {
    return Effect.suspend(() => {
      assert(!this.#ended, "a share that ended takes no more")
      const amount = Math.min(asked, this.#allowance.bounds.total - this.#held)
      if (amount === 0) return Effect.void
      const granted = (): void => {
        if (this.#ended) this.#allowance.giveBack(amount)
        else this.#held += amount
      }
      if (!this.#allowance.tryTake(amount)) return this.#allowance.wait(amount, urgent, granted)
      granted()
      return Effect.void
    })
  }

  less(asked: number): void {
    const amount = Math.min(asked, this.#held)
    this.#held -= amount
    this.#allowance.giveBack(amount)
  }

  end(): void {
    this.#ended = true
    this.less(this.#held)
  }
}

/** A share that ends with the scope; it holds nothing yet, so there is nothing to lose before the scope knows of it. */
export const shareOf = (allowance: Allowance): Effect.Effect<Share, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    const share = new Share(allowance)
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => share.end())), share)
  })

export interface AllowanceSizes {
  readonly requestsMax: number
  readonly requestsQueuedMax: number
  readonly requestsWaitMs: number
  readonly bodyBytes: number
  readonly readBytes: number
}

export interface AllowancesService {
  /** S3 requests under way. */
  readonly requests: Allowance
  /** Memory of bodies on their way in. Small ones have their own, so that no large one keeps them waiting. */
  readonly bodies: Allowance
  readonly smallBodies: Allowance
  /** Memory of bodies on their way out. */
  readonly reads: Allowance
}

const memory = (what: string, total: number): Allowance =>
  new Allowance({ what, total, waitersMax: memoryWaitersMax, stallMsMax: memoryStallMsMax, waitMsMax: memoryWaitMsMax, urgentStallMsMax: memoryBegunStallMsMax })

/** The allowances of one node. */
export class Allowances extends Context.Service<Allowances, AllowancesService>()("ouroborosdb/Allowances") {
  static readonly layer = (sizes: Partial<AllowanceSizes> = {}): Layer.Layer<Allowances> =>
    Layer.effect(Allowances, Effect.map(Metrics, (meters) => metered(meters, {
      requests: new Allowance({
        what: "requests under way", total: sizes.requestsMax ?? requestsMax, waitersMax: sizes.requestsQueuedMax ?? requestsQueuedMax,
        stallMsMax: sizes.requestsWaitMs ?? requestsWaitMsMax, waitMsMax: sizes.requestsWaitMs ?? requestsWaitMsMax,
        urgentStallMsMax: memoryBegunStallMsMax
      }),
      bodies: memory("bytes of memory for uploads", sizes.bodyBytes ?? bodyBytesInFlightMax),
      smallBodies: memory("bytes of memory for small uploads", smallBodyBytesInFlightMax),
      reads: memory("bytes of memory for downloads", sizes.readBytes ?? readBytesInFlightMax)
    })))
}

const metered = (meters: Meters, allowances: AllowancesService): AllowancesService => {
  for (const [allowance, one] of Object.entries(allowances) as ReadonlyArray<[string, Allowance]>) {
    const labels = { allowance }
    meters.gauge("ouroboros_allowance_used", "What work under way holds: requests, or bytes of memory.", () => one.status().used, labels)
    meters.gauge("ouroboros_allowance_limit", "What all work may hold together.", () => one.status().total, labels)
    meters.gauge("ouroboros_allowance_waiting", "Pieces of work that wait for their turn.", () => one.status().waiting, labels)
    meters.counted("ouroboros_allowance_refused_total", "Pieces of work that were refused (SlowDown).", () => one.status().refused, labels)
  }
  return allowances
}
