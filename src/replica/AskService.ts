/**
 * AskService: brings what a replica asks for to whoever leads, again and again under the same number, until it is answered or its time is
 * over. Between the namespace of a replica and LeadService, here or there. No client hears who leads.
 */
import { Effect } from "effect"
import { commitBytesMax } from "../base/limits.ts"
import { askMsMax, askPauseMs, askPauseMsMax, proposeMsMax } from "../base/replicaLimits.ts"
import { Unavailable } from "../namespace/Namespace.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import type { RaftStatus } from "../raft/RaftService.ts"
import { monotonicMs, replyOf } from "./FetchService.ts"
import type { Lead } from "./LeadService.ts"
import type { Peers } from "./Peers.ts"
import { encodeAsk } from "./ReplicaFormat.ts"
import type { Ask, Reply } from "./Request.ts"

export interface Asking {
  readonly id: ReplicaId
  readonly status: () => RaftStatus
  readonly peers: Peers
  readonly lead: Lead
}

/** What only a leader answers. */
export type LeaderAsk = Extract<Ask, { readonly _tag: "Propose" | "OpenSession" | "Settle" | "Members" }>

export interface Answered {
  readonly reply: Exclude<Reply, { readonly _tag: "Again" }>
  /** No attempt before this one can have come true. */
  readonly isSure: boolean
}

/** By the leader that is this replica. */
export const byLead = (lead: Lead, ask: LeaderAsk): Effect.Effect<Reply> => {
  if (ask._tag === "Propose") return lead.commit(ask.change)
  if (ask._tag === "Members") return lead.members(ask.bytes)
  return ask._tag === "OpenSession" ? lead.openSession : lead.settle(ask.timeMs)
}

export const askLeader = Effect.fnUntraced(function*(asking: Asking, ask: LeaderAsk) {
  const bytes = encodeAsk(ask)
  if (bytes === undefined) return yield* new Unavailable({ reason: "CommitTooLarge", detail: `a change of more than ${commitBytesMax} bytes: split it` })
  const untilMs = (yield* monotonicMs) + proposeMsMax
  let isSure = true
  let hint: ReplicaId | undefined
  for (let pauseMs = askPauseMs;; pauseMs = Math.min(2 * pauseMs, askPauseMsMax)) {
    const { failure, leader } = asking.status()
    if (failure !== undefined) return yield* new Unavailable({ reason: "JournalFailed", detail: `this replica promises nothing any more: ${failure}; restart the node` })
    const whom = hint ?? leader
    const reply = whom === undefined ? nobody : yield* attempt(asking, whom, ask, bytes)
    if (reply._tag !== "Again") {
      const answered: Answered = { reply, isSure }
      return answered
    }
    isSure &&= reply.reason !== "Unknown"
    hint = reply.reason === "NotLeader" && reply.leader !== whom ? reply.leader : undefined
    if ((yield* monotonicMs) >= untilMs) return yield* noQuorum(isSure)
    yield* Effect.sleep(pauseMs)
  }
})

const nobody: Reply = { _tag: "Again", reason: "NotLeader" }
const unknown: Reply = { _tag: "Again", reason: "Unknown" }

const noQuorum = (isSure: boolean): Unavailable =>
  new Unavailable({
    reason: "NoQuorum",
    detail: `no leader with a quorum of the cluster's voters answered in ${proposeMsMax} ms: ${isSure ? "nothing was changed" : "the change may come true yet, or not"}; look at the cluster's status`
  })

const attempt = ({ id, lead, peers }: Asking, whom: ReplicaId, ask: LeaderAsk, bytes: Uint8Array): Effect.Effect<Reply> => {
  const asked = whom === id ? byLead(lead, ask) : Effect.flatMap(peers.ask(whom, bytes), (answer) => replyOf(whom, answer))
  return Effect.match(Effect.timeoutOption(asked, askMsMax), {
    onSuccess: (reply) => (reply._tag === "Some" ? reply.value : unknown),
    // Whether it came there, and what became of it, the next attempt hears.
    onFailure: () => unknown
  })
}
