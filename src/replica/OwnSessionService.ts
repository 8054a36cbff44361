/**
 * OwnSessionService: the session under which a replica asks for what its clients want. Between the namespace's `propose`, which knows no
 * numbers, and requests. One life of a node has one, and opens another where that was lost.
 */
import { Effect, Latch, Semaphore } from "effect"
import { requestDigestBytes } from "../base/replicaLimits.ts"
import { type Committed, type Refused, Unavailable } from "../namespace/Namespace.ts"
import type { RequestRefused } from "./ReplicaService.ts"
import type { RequestId, SessionId } from "./Request.ts"

interface Own {
  readonly session: SessionId
  next: number
  /** Asked and not answered, oldest first. next - oldest < window, so that no answer is forgotten that somebody waits for. */
  readonly waiting: Set<number>
  readonly moved: Latch.Latch
}

type Asked = Effect.Effect<Committed | RequestRefused, Refused | Unavailable>

/** Numbers are given out once: nothing else tells its requests apart. */
const digest = new Uint8Array(requestDigestBytes)

/** Sessions that one change may find lost before it is given up. */
const sessionsTried = 4

export const makeOwnSession = (window: number, open: Effect.Effect<SessionId, Unavailable>): (ask: (request: RequestId) => Asked) => Effect.Effect<Committed, Refused | Unavailable> => {
  let own: Own | undefined
  const opening = Semaphore.makeUnsafe(1)
  const current = Effect.suspend(() => (own === undefined ? opening.withPermit(Effect.suspend(() => (own === undefined ? Effect.map(open, begin) : Effect.succeed(own)))) : Effect.succeed(own)))
  const begin = (session: SessionId): Own => (own = { session, next: 1, waiting: new Set(), moved: Latch.makeUnsafe(false) })
  const taken = (mine: Own): Effect.Effect<number> =>
    Effect.suspend(() => {
      const [oldest = mine.next] = mine.waiting
      if (mine.next - oldest >= window) {
        mine.moved.closeUnsafe()
        return Effect.andThen(mine.moved.await, taken(mine))
      }
      const number = mine.next++
      mine.waiting.add(number)
      return Effect.succeed(number)
    })
  const over = (mine: Own, number: number) => Effect.sync(() => {
    mine.waiting.delete(number)
    mine.moved.openUnsafe()
  })
  return Effect.fnUntraced(function*(ask: (request: RequestId) => Asked) {
    for (let tried = 1;; tried += 1) {
      const mine = yield* current
      const reply = yield* Effect.acquireUseRelease(taken(mine), (number) => ask({ session: mine.session, number, digest }), (number) => over(mine, number))
      if (!("_tag" in reply)) return reply
      if (own === mine) own = undefined
      if (reply.reason === "Expired" && reply.isSure && tried < sessionsTried) continue
      return yield* new Unavailable({ reason: "JournalFailed", detail: `the session of this node is lost (${reply.reason}): the change may have come true, or not` })
    }
  })
}
