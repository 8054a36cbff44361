/** CarrierError: why what was told or asked came to nothing. Between the carrier's runner and whoever has something to say to another node. */
import { Data } from "effect"
import type { NodeId } from "../membership/Identity.ts"
import { unreachable } from "../base/assert.ts"
import type { AskFailure } from "./CarrierState.ts"

/**
 * Deadline: no answer in time; it may have been heard. Unreachable: there was no session with the peer all the time. SessionLost: it had been begun, and
 * may have been heard. Busy: too much waits. TooLarge: more than a message may have. NotMember: no such peer. NoHandler: nobody there serves the topic. Died: its
 * handler ended by a defect. Refused: its handler says no. Unexpected: no such answer was to be. Closed: this node stops.
 */
export type CarrierReason = AskFailure | "NoHandler" | "Died" | "Refused" | "Unexpected" | "Closed"

export class CarrierError extends Data.TaggedError("CarrierError")<{
  readonly peer: NodeId
  readonly topic: number
  readonly reason: CarrierReason
  readonly detail: string
}> {
  override get message(): string {
    return `carrier: node ${this.peer.slice(0, 12)}, topic ${this.topic}: ${this.reason}: ${this.detail}`
  }
}

/** What a handler answers instead of what was asked for; its words reach who asked. */
export class AnswerRefused extends Data.TaggedError("AnswerRefused")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/** What the machine's word means, and what to do. */
export const detailOf = (reason: AskFailure): string => {
  switch (reason) {
    case "Deadline":
      return "no answer in time; it may have been heard: ask again only what may be done twice"
    case "Unreachable":
      return "no session with it in all that time: look whether it runs, and at the network between"
    case "SessionLost":
      return "the session ended while it was under way; it may have been heard: ask again only what may be done twice"
    case "Busy":
      return "too much waits for this node: ask again later"
    case "TooLarge":
      return "more than one message may have: send it in pieces"
    case "NotMember":
      return "it is no member of the cluster as this node knows it"
    default:
      return unreachable(reason)
  }
}
