/**
 * VerifyStream: a verification as an answer: one line of JSON for each event, as they come. It sits between the node's
 * verification and whoever asked; if he goes away, it ends.
 */
import { type Cause, Effect, Exit, Fiber, Queue } from "effect"
import { toUtf8 } from "../../base/bytes.ts"
import { verifyEventsMax } from "../../base/limits.ts"
import { type Body, BodyError } from "../../ports/Body.ts"
import type { VerifyBusy, VerifyEvent } from "../../verify.ts"

/** Tells `tell` each event; the last is the summary. */
export type RunVerify = (tell: (event: VerifyEvent) => Effect.Effect<void>) => Effect.Effect<unknown, VerifyBusy>

/** One line: {"event":"finding", …}. */
const lineOf = ({ _tag, ...rest }: VerifyEvent): Uint8Array => toUtf8(`${JSON.stringify({ event: _tag.toLowerCase(), ...rest })}\n`)

/** Begins once the first event is there, so that a refusal is an answer of its own. Runs as a child of who asks. */
export const verifyBody: (run: RunVerify) => Effect.Effect<Body, VerifyBusy> = Effect.fnUntraced(function*(run: RunVerify) {
  const events = yield* Queue.bounded<VerifyEvent, Cause.Done>(verifyEventsMax)
  const fiber = yield* Effect.forkChild(
    Effect.ensuring(run((event) => Effect.asVoid(Queue.offer(events, event))), Queue.end(events))
  )
  /** Undefined at the end; a run that ended otherwise cuts the answer, so that nobody takes half of it for all. */
  const take = Queue.take(events).pipe(
    Effect.catch(() => Effect.flatMap(Fiber.await(fiber), (exit) => Exit.isSuccess(exit) ? Effect.succeed(undefined) : exit))
  ) as Effect.Effect<VerifyEvent | undefined, VerifyBusy>
  let first = yield* take
  const body: Body = {
    sizeBytes: undefined,
    next: Effect.suspend(() => {
      const event = first === undefined ? take : Effect.succeed(first)
      first = undefined
      return Effect.map(event, (one) => one === undefined ? undefined : lineOf(one))
    }).pipe(Effect.mapError((error) => new BodyError({ reason: "Unverified", detail: error.message })))
  }
  return body
})
