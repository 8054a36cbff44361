/** Canary: a workload that always fails: a swarm in which it is asked for must say so, or the alarm is broken. */
import { Effect } from "effect"
import { Violation } from "../Violation.ts"
import type { MakeWorkload } from "./Workload.ts"

export const canary: MakeWorkload = () => ({
  name: "canary",
  setup: () => Effect.void,
  start: () => Effect.void,
  check: () => Effect.sync(() => {
    throw new Violation("safety", "the canary fails, as it must")
  })
})
