/**
 * Admission: how many S3 requests are under way at once. It sits before everything that a request costs: who finds no
 * place waits a little, then is told to slow down, unread and unauthenticated. The admin address has no such door.
 */
import { Effect, type Scope } from "effect"
import { type Allowance, type Overloaded, shareOf } from "../../allowance.ts"

/** The place is held until the request's scope closes: its answer was sent, or its client is gone. */
export const admit = <A, E, R>(requests: Allowance, work: Effect.Effect<A, E, R>): Effect.Effect<A, E | Overloaded, R | Scope.Scope> =>
  Effect.flatMap(shareOf(requests), (share) => Effect.andThen(share.more(1), work))
