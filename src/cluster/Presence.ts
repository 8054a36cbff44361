/**
 * Presence: every member says to every other that it is there, whether or not they have anything else to say: followers would otherwise hear of their leader alone, and call each
 * other gone. Between the members' table and the carrier, whose word "heard" failure detection goes by.
 */
import { Effect, type Scope } from "effect"
import { presenceMs } from "../base/clusterLimits.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import { watched } from "../ports/Health.ts"
import { topics } from "./Topics.ts"

const nothing = new Uint8Array(0)
const here = Uint8Array.of(1)

/** Until the scope closes. `others`: as the table has them. */
export const sayPresence = Effect.fnUntraced(function*(carrier: CarrierInterface, others: () => ReadonlyArray<NodeId>): Effect.fn.Return<void, never, Scope.Scope> {
  yield* carrier.serve(topics.presence, () => Effect.succeed(nothing))
  const round = Effect.suspend(() => Effect.forEach(others(), (to) => carrier.note(to, topics.presence, here, 0), { discard: true }))
  yield* Effect.forkScoped(watched("saying that this member is there", Effect.forever(Effect.andThen(round, Effect.sleep(presenceMs)))))
})
