/**
 * AsksService: what this node has asked and told, and waits for: answers as the machine brings them, pulled by who asked. Between the carrier's runner and its
 * callers.
 */
import { Deferred, Effect, type Scope } from "effect"
import { carrierEventsQueuedMax } from "../base/clusterLimits.ts"
import type { NodeId } from "../membership/Identity.ts"
import { readAnswer } from "./Answer.ts"
import { CarrierError, type CarrierReason, detailOf } from "./CarrierError.ts"
import type { Priority } from "./CarrierFormat.ts"
import type { CarrierCommand, CarrierEvent } from "./CarrierState.ts"

type Without<Event> = Event extends CarrierEvent ? Omit<Event, "at"> : never
/** An event whose time the runner tells. */
export type Happening = Without<CarrierEvent>

export interface AskOptions {
  readonly level: Priority
  readonly deadlineMs: number
}

interface Answered {
  /** Of the message as it came, for Taken. */
  readonly wireBytes: number
  readonly bytes: Uint8Array
  readonly isLast: boolean
}

/** An ask under way, and what has come of its answers. */
export interface Asking {
  readonly number: number
  readonly to: NodeId
  readonly topic: number
  readonly isTold: boolean
  readonly waiting: Array<Answered>
  /** Pulled, and not done with. */
  lent: Answered | undefined
  end: CarrierError | "Over" | undefined
  wake: Deferred.Deferred<void> | undefined
}

export interface Asks {
  readonly tell: (happening: Happening) => void
  /** Events that wait for the machine. */
  readonly queued: () => number
  readonly byNumber: Map<number, Asking>
  next: number
  isClosed: boolean
}

export const asksOf = (tell: (happening: Happening) => void, queued: () => number): Asks => ({ tell, queued, byNumber: new Map(), next: 1, isClosed: false })

/** Who asks now is refused: too much waits, or this node stops. */
export const isFull = ({ isClosed, queued }: Asks): boolean => isClosed || queued() >= carrierEventsQueuedMax

export const closeAsks = (asks: Asks): void => {
  asks.isClosed = true
  for (const asking of asks.byNumber.values()) endAsk(asks, asking, errorOf(asking, "Closed", "this node stops"))
}

const errorOf = ({ to, topic }: Pick<Asking, "to" | "topic">, reason: CarrierReason, detail: string): CarrierError => new CarrierError({ peer: to, topic, reason, detail })

export const unexpected = (asking: Asking, detail: string): CarrierError => errorOf(asking, "Unexpected", detail)

/** Whoever is woken goes on at once, and may wait again before this returns. */
const wake = (asking: Asking): void => {
  const { wake } = asking
  asking.wake = undefined
  if (wake !== undefined) Deferred.doneUnsafe(wake, Effect.void)
}

const endAsk = ({ byNumber }: Asks, asking: Asking, why: CarrierError | "Over"): void => {
  byNumber.delete(asking.number)
  asking.end = why
  wake(asking)
}

const taken = ({ tell }: Asks, { number, to }: Asking, wireBytes: number): void => tell({ _tag: "Taken", from: to, bytes: wireBytes, ask: number })

export const failed = (asks: Asks, { ask, reason }: Extract<CarrierCommand, { readonly _tag: "Failed" }>): void => {
  const asking = asks.byNumber.get(ask)
  if (asking !== undefined) endAsk(asks, asking, errorOf(asking, reason, detailOf(reason)))
}

export const answered = (asks: Asks, { ask, bytes, from, isLast }: Extract<CarrierCommand, { readonly _tag: "Answered" }>): void => {
  const asking = asks.byNumber.get(ask)
  // Given up meanwhile: nobody will take it.
  if (asking === undefined) return asks.tell({ _tag: "Taken", from, bytes: bytes.length, ask })
  if (!isLast) {
    asking.waiting.push({ wireBytes: bytes.length, bytes, isLast })
    return wake(asking)
  }
  const said = asking.isTold ? { _tag: "Done", bytes } as const : readAnswer(bytes)
  if (said?._tag === "Done") asking.waiting.push({ wireBytes: bytes.length, bytes: said.bytes, isLast })
  else taken(asks, asking, bytes.length)
  if (said === undefined) return endAsk(asks, asking, unexpected(asking, "no such end of an answer is known: it may be of a newer program"))
  endAsk(asks, asking, said._tag === "Done" ? "Over" : errorOf(asking, said.reason, said.detail))
}

/** The next of its answers, which is done with when the one after it is pulled; undefined: there are no more. One puller at a time. */
export const pull = (asks: Asks, asking: Asking): Effect.Effect<Answered | undefined, CarrierError> =>
  Effect.suspend(() => {
    putBack(asks, asking)
    const next = asking.waiting.shift()
    if (next !== undefined) {
      asking.lent = next
      return Effect.succeed(next)
    }
    if (asking.end !== undefined) return asking.end === "Over" ? Effect.undefined : Effect.fail(asking.end)
    asking.wake = Deferred.makeUnsafe<void>()
    return Effect.andThen(Deferred.await(asking.wake), pull(asks, asking))
  })

const putBack = (asks: Asks, asking: Asking): void => {
  if (asking.lent !== undefined) taken(asks, asking, asking.lent.wireBytes)
  asking.lent = undefined
}

const giveUp = (asks: Asks, asking: Asking): void => {
  putBack(asks, asking)
  for (const { wireBytes } of asking.waiting.splice(0)) taken(asks, asking, wireBytes)
  if (asks.byNumber.delete(asking.number)) asks.tell({ _tag: "CancelAsk", ask: asking.number })
}

const begin = (asks: Asks, to: NodeId, topic: number, bytes: Uint8Array, { deadlineMs, level }: AskOptions, isTold: boolean): Effect.Effect<Asking, CarrierError> =>
  Effect.suspend(() => {
    if (asks.isClosed) return Effect.fail(errorOf({ to, topic }, "Closed", "this node stops"))
    if (isFull(asks)) return Effect.fail(errorOf({ to, topic }, "Busy", "too much waits at this node: ask again later"))
    const asking: Asking = { number: asks.next, to, topic, isTold, waiting: [], lent: undefined, end: undefined, wake: undefined }
    asks.next += 1
    asks.byNumber.set(asking.number, asking)
    asks.tell({ _tag: "Ask", ask: asking.number, to, topic, priority: level, bytes, isTold, deadlineMs })
    return Effect.succeed(asking)
  })

/** Until the scope closes: then whoever still answers is told that nobody waits. */
export const opened = (asks: Asks, to: NodeId, topic: number, bytes: Uint8Array, options: AskOptions, isTold: boolean): Effect.Effect<Asking, CarrierError, Scope.Scope> =>
  Effect.acquireRelease(begin(asks, to, topic, bytes, options, isTold), (asking) => Effect.sync(() => giveUp(asks, asking)))
