/**
 * BlockLanes: blocks on their way to and from each other member. Between BlockCopiesService and the carrier.
 *
 * 1. So many at a time for each member: one that is silent holds back no other.
 * 2. Who has enough copies elsewhere does not wait long in a lane that is full: its block comes to that member when it looks for what it lacks, and waits in nobody's memory until then.
 * 3. Members with a session come first, those without one last.
 */
import { Effect, Semaphore } from "effect"
import { blockCopiesLateMax, blockCopiesUnderWayMax } from "../base/clusterLimits.ts"
import { AnswerRefused } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"

interface Lane {
  readonly turn: Semaphore.Semaphore
  waiting: number
}

export class BlockLanes {
  readonly #carrier: CarrierInterface
  readonly #lanes = new Map<NodeId, Lane>()

  constructor(carrier: CarrierInterface) {
    this.#carrier = carrier
  }

  /** `isNeeded` ends once it is not needed there any more: what has not begun by then goes only where few wait. */
  through<A, E>(node: NodeId, work: Effect.Effect<A, E>, isNeeded: Effect.Effect<unknown> = Effect.never): Effect.Effect<A, E | AnswerRefused> {
    return Effect.suspend(() => {
      const lane = this.#laneTo(node)
      let hasBegun = false
      lane.waiting += 1
      const begin = Effect.sync(() => {
        hasBegun = true
        lane.waiting -= 1
      })
      const given = Effect.suspend((): Effect.Effect<never, AnswerRefused> =>
        hasBegun || lane.waiting <= blockCopiesLateMax ? Effect.never : Effect.fail(new AnswerRefused({ detail: `${lane.waiting} blocks wait for it already` })))
      return Effect.raceFirst(lane.turn.withPermit(Effect.andThen(begin, work)), Effect.andThen(isNeeded, given)).pipe(
        Effect.ensuring(Effect.sync(() => { if (!hasBegun) lane.waiting -= 1 }))
      )
    })
  }

  /** In the order in which it is worth asking them. */
  ordered(nodes: ReadonlyArray<NodeId>): ReadonlyArray<NodeId> {
    const there = new Set(this.#carrier.status().peers.flatMap(({ failure, hasSession, id }) => (hasSession && failure === undefined ? [id] : [])))
    return [...nodes.filter((node) => there.has(node)), ...nodes.filter((node) => !there.has(node))]
  }

  #laneTo(node: NodeId): Lane {
    const lane = this.#lanes.get(node) ?? { turn: Semaphore.makeUnsafe(blockCopiesUnderWayMax), waiting: 0 }
    this.#lanes.set(node, lane)
    return lane
  }
}
