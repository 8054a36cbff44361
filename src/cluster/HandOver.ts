/**
 * HandOver: leadership goes from this replica to another that an operator names, or that is best: before a node stops, and at his word. Between `cluster transfer-leader`, shutdown and
 * raft; whoever is asked and does not lead asks who does.
 */
import { Clock, Effect, type Scope } from "effect"
import { fromUtf8, toUtf8 } from "../base/bytes.ts"
import { handOverAgainMs, handOverAskMs, handOverLookMs, handOverMsMax } from "../base/clusterLimits.ts"
import { AnswerRefused } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import { isNodeId, type NodeId } from "../membership/Identity.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import type { RaftStatus } from "../raft/RaftService.ts"
import type { Replica } from "../replica/ReplicaService.ts"
import { topics } from "./Topics.ts"

export interface HandingOver {
  readonly raft: Pick<Replica["raft"], "status" | "transfer">
  readonly self: NodeId
  /** The others that are there, as this node hears them. */
  readonly isUp: (node: ReplicaId) => boolean
}

const refuse = (detail: string): AnswerRefused => new AnswerRefused({ detail })

/** A voter that is there and has most of the log, where nobody is named. */
const targetOf = ({ isUp, raft, self }: HandingOver, wanted: ReplicaId | undefined): ReplicaId | AnswerRefused => {
  const { configuration, matched } = raft.status()
  if (wanted !== undefined) return configuration.voters.includes(wanted) ? wanted : refuse(`node ${wanted.slice(0, 12)} does not vote: see \`ouroboros cluster status\``)
  const others = configuration.voters.filter((voter) => voter !== self && isUp(voter))
  const [best] = others.sort((a, b) => (matched.get(b) ?? 0) - (matched.get(a) ?? 0))
  return best ?? refuse("no other voter is there to lead")
}

/** From this replica, which leads; who leads then. */
export const handOver = Effect.fnUntraced(function*(handing: HandingOver, wanted: ReplicaId | undefined): Effect.fn.Return<ReplicaId, AnswerRefused> {
  const { raft, self } = handing
  const dueMs = (yield* Clock.currentTimeMillis) + handOverMsMax
  for (let againMs = 0;;) {
    const nowMs = yield* Clock.currentTimeMillis
    const { leader, role }: RaftStatus = raft.status()
    if (role !== "Leader" && leader !== undefined && leader !== self) return leader
    if (nowMs >= dueMs) return yield* refuse(`nobody took over in ${handOverMsMax} ms`)
    // It is given up after an election's time where the other has not caught up; and who was there may have gone.
    if (role === "Leader" && nowMs >= againMs) {
      const to = targetOf(handing, wanted)
      if (typeof to !== "string") return yield* to
      if (to === self) return self
      yield* raft.transfer(to)
      againMs = nowMs + handOverAgainMs
    }
    yield* Effect.sleep(handOverLookMs)
  }
})

/** Before a node stops. Where it does not lead, or nobody else can, there is nothing to do. */
export const handOverBeforeStop = (handing: HandingOver): Effect.Effect<void> =>
  Effect.suspend(() => {
    const { configuration, role } = handing.raft.status()
    if (role !== "Leader" || configuration.voters.length < 2) return Effect.void
    return Effect.matchEffect(handOver(handing, undefined), {
      onSuccess: (leader) => Effect.logInfo(`node ${leader.slice(0, 12)} leads from here on`),
      onFailure: ({ detail }) => Effect.logWarning(`leadership is not handed over: ${detail}`)
    })
  })

/** Serves the others until the scope closes. */
export const serveHandOver = (carrier: CarrierInterface, handing: HandingOver): Effect.Effect<void, never, Scope.Scope> =>
  carrier.serve(topics.handOver, ({ bytes }) => Effect.suspend(() => {
    const wanted = fromUtf8(bytes) ?? ""
    if (handing.raft.status().role !== "Leader") return Effect.fail(refuse("it does not lead any more: ask again"))
    return Effect.map(handOver(handing, wanted === "" ? undefined : wanted), toUtf8)
  }))

/** Here, or at whoever leads; who leads then, or why not. */
export const askHandOver = (carrier: CarrierInterface, handing: HandingOver, wanted: ReplicaId | undefined): Effect.Effect<ReplicaId, { readonly message: string }> =>
  Effect.suspend((): Effect.Effect<ReplicaId, { readonly message: string }> => {
    const { leader, role } = handing.raft.status()
    if (role === "Leader") return handOver(handing, wanted)
    if (leader === undefined || !isNodeId(leader)) return Effect.fail({ message: "nobody leads: fewer than a majority of the voters can be reached" })
    return Effect.map(carrier.ask(leader, topics.handOver, toUtf8(wanted ?? ""), { level: 1, deadlineMs: handOverAskMs }), (bytes) => fromUtf8(bytes) ?? "")
  })
