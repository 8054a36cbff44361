/** Settled: an answer of a healed node; of one that may have lost something, whatever it says. Between checks and the client. */
import { Effect } from "effect"
import type { Outcome, Request } from "../Client.ts"
import { afterwards, insist } from "./Answer.ts"
import type { WorkloadContext } from "./Workload.ts"

const triesMax = 3
const pauseMs = 500

/** Named, never wrong: where faults lose what was synced, damage that is named again and again is an answer. */
export const settled = ({ client, merciless }: WorkloadContext, request: Request): Effect.Effect<Outcome> =>
  merciless
    ? Effect.gen(function*() {
      let outcome = yield* client.send(request)
      for (let tries = 1; tries < triesMax && (outcome._tag !== "Answered" || outcome.status >= 500); tries += 1) {
        yield* afterwards(outcome, pauseMs)
        outcome = yield* client.send(request)
      }
      return outcome
    })
    : insist(client, request)
