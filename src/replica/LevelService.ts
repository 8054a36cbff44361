/**
 * LevelService: on the replica that leads, raises the cluster's feature level once all members read a higher one: asks each of the configuration what its program reads, and logs the least.
 * Between the other replicas and LeadService. Asked at the time, and not remembered: a member that was down meanwhile may have come back as another program.
 */
import { Effect } from "effect"
import { askMsMax, levelLookMs } from "../base/replicaLimits.ts"
import type { StateReader } from "../namespace/State.ts"
import { membersOf } from "../raft/Configuration.ts"
import type { ReplicaId } from "../raft/Entry.ts"
import type { RaftStatus } from "../raft/RaftService.ts"
import { type FeatureLevel, type FeatureLevels, firstLevel, levelOf } from "./FeatureLevel.ts"
import { replyOf } from "./FetchService.ts"
import type { Lead } from "./LeadService.ts"
import type { Peers } from "./Peers.ts"
import { encodeAsk } from "./ReplicaFormat.ts"

export interface Raising {
  readonly id: ReplicaId
  readonly peers: Peers
  readonly raft: { readonly status: () => RaftStatus }
  readonly levels: FeatureLevels
  readonly lead: Pick<Lead, "raise">
  readonly state: StateReader
}

/** Looks every while, until it is interrupted. */
export const raising = (room: Raising): Effect.Effect<never> => Effect.forever(Effect.andThen(Effect.sleep(levelLookMs), look(room)))

const look = Effect.fnUntraced(function*(room: Raising) {
  const { id, levels: { program }, raft, state } = room
  const { configuration, role } = raft.status()
  if (role !== "Leader" || program <= levelOf(state)) return
  const others = membersOf(configuration).filter((member) => member !== id)
  const read = yield* Effect.forEach(others, (member) => Effect.map(readBy(room, member), (level) => ({ member, level })), { concurrency: "unbounded" })
  const least = Math.min(program, ...read.map(({ level }) => level))
  if (least > levelOf(state)) {
    const reply = yield* room.lead.raise(least)
    if (reply._tag === "Settled") yield* Effect.logInfo(`members: all of them read feature level ${least}: what needs it is taken from now on`)
  } else {
    const older = read.filter(({ level }) => level <= least).map(({ member }) => member.slice(0, 12))
    yield* Effect.logDebug(`members: what needs feature level ${program} waits for ${older.join(", ")}`)
  }
})

const ask = encodeAsk({ _tag: "Level" })!

/** Of one that does not answer, or does not know what it is asked: the first. */
const readBy = ({ peers }: Raising, member: ReplicaId): Effect.Effect<FeatureLevel> =>
  Effect.match(Effect.timeoutOption(Effect.flatMap(peers.ask(member, ask), (answer) => replyOf(member, answer)), askMsMax), {
    onSuccess: (reply) => (reply._tag === "Some" && reply.value._tag === "Reads" ? reply.value.level : firstLevel),
    onFailure: () => firstLevel
  })
