/**
 * Health: the node's HealthBoard, for every part that has something to say. Where no node has provided one, nobody listens.
 */
import { Cause, Context, Effect } from "effect"
import { failed, HealthBoard } from "../base/HealthBoard.ts"

export const Health = Context.Reference<HealthBoard>("ouroborosdb/ports/Health", { defaultValue: () => new HealthBoard({ keeps: false }) })

/**
 * For work in the background that nobody waits for: where it ends by a defect, the log says so and the node's health
 * fails under this name. Interruption is its way to end.
 */
export const watched = <A, E, R>(name: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.tapCause(work, (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.void
      : Effect.flatMap(Health, (board) => {
        board.check(name, () => failed("ended by a defect; the log has more; restart the node"))
        return Effect.logError(`${name} ended by a defect`, cause)
      }))
