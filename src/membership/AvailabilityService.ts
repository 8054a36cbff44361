/** AvailabilityService: looks while a node runs at who is there, says who comes and goes. Between what the carrier hears and operators. */
import { Clock, Effect, Queue, type Scope } from "effect"
import { availabilityLookMs, availabilityTurnsMax } from "../base/clusterLimits.ts"
import { watched } from "../ports/Health.ts"
import { availabilityIn, type AvailabilityOptions, availabilityOptions, heard, look, makeAvailability, type NodeAvailability, type Turn, watch } from "./Availability.ts"
import type { NodeId } from "./Identity.ts"

export interface AvailabilityInterface {
  /** Of the carrier: a frame of that node was believed. */
  readonly heard: (from: NodeId, at: { readonly nowMs: number; readonly wallMs: number }) => void
  /** Who is to be heard from now on: the other members. */
  readonly watch: (nodes: Iterable<NodeId>) => Effect.Effect<void>
  readonly status: Effect.Effect<ReadonlyArray<NodeAvailability>>
}

/** As the carrier's runner tells it. */
const monotonicMs = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1000n) / 1000)

/** Until the scope closes. `turned`: told of each coming and going, after it is logged. */
export const watchAvailability = Effect.fnUntraced(function*(
  options: AvailabilityOptions = availabilityOptions, turned: (turn: Turn) => Effect.Effect<void> = () => Effect.void
): Effect.fn.Return<AvailabilityInterface, never, Scope.Scope> {
  const state = makeAvailability(options)
  const turns = yield* Queue.sliding<Turn>(availabilityTurnsMax)
  const fork = (name: string, loop: Effect.Effect<unknown>) => Effect.forkScoped(watched(`availability: ${name}`, Effect.forever(loop)))
  yield* fork("looks", Effect.gen(function*() {
    yield* Queue.offerAll(turns, look(state, yield* monotonicMs, yield* Clock.currentTimeMillis))
    yield* Effect.sleep(availabilityLookMs)
  }))
  yield* fork("tells", Effect.flatMap(Queue.take(turns), (turn) => Effect.andThen(said(turn), turned(turn))))
  return {
    heard: (from, { nowMs, wallMs }) => {
      const turn = heard(state, from, nowMs, wallMs)
      if (turn !== undefined) Queue.offerUnsafe(turns, turn)
    },
    watch: (nodes) => Effect.map(monotonicMs, (nowMs) => watch(state, nodes, nowMs)),
    status: Effect.map(monotonicMs, (nowMs) => availabilityIn(state, nowMs))
  }
})

const said = ({ node, silentMs, standing }: Turn): Effect.Effect<void> =>
  standing === "Up"
    ? Effect.logInfo(`node ${node.slice(0, 12)} is there, heard again after ${Math.round(silentMs)} ms`)
    : Effect.logWarning(`node ${node.slice(0, 12)} has gone: not heard for ${Math.round(silentMs)} ms: look whether it runs, and at the network between`)
