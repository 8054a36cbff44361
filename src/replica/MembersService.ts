/**
 * MembersService: the record of members as a replica has it, and changes of it by way of whoever leads. Between the rooms that ask who belongs, or change that, and
 * AskService. A change made twice is one (applyMembership): it is asked for again until it is answered, and needs no number.
 */
import { Effect } from "effect"
import { memberSeesPauseMs } from "../base/clusterLimits.ts"
import { readMsMax } from "../base/replicaLimits.ts"
import type { MembershipChange, MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { MembershipStoreError } from "../membership/MembershipStoreService.ts"
import { encodeMembershipChange } from "../membership/RecordFormat.ts"
import type { LogIndex } from "../raft/Entry.ts"
import { type Answered, type Asking, askLeader } from "./AskService.ts"
import { monotonicMs } from "./FetchService.ts"
import type { ReplicaMachine } from "./MachineService.ts"
import { indexOf } from "./ReplicaApply.ts"

export interface Members {
  /** As this replica has applied it; undefined: none was founded. */
  readonly current: () => MembershipRecord | undefined
  /**
   * By way of whoever leads: the record here after it. MembershipError: the record refuses it, and nothing was changed. MembershipStoreError: Busy, where no leader with a quorum
   * answered in time, or this replica does not see what was changed: it may have come true, or come true yet; changed again it is still one change.
   */
  readonly change: (change: MembershipChange) => Effect.Effect<MembershipRecord, MembershipStoreError | MembershipError>
}

interface Room {
  readonly asking: Asking
  readonly machine: Pick<ReplicaMachine, "state" | "members">
}

export const membersOver = (room: Room): Members => ({ current: room.machine.members, change: (change) => changed(room, change) })

const busy = (detail: string): MembershipStoreError => new MembershipStoreError({ reason: "Busy", leader: undefined, detail })

const changed = Effect.fnUntraced(function*(room: Room, change: MembershipChange) {
  const { asking, machine } = room
  const { isSure, reply } = yield* Effect.mapError(askLeader(asking, { _tag: "Members", bytes: encodeMembershipChange(change) }), ({ detail }) => busy(detail))
  if (reply._tag !== "Membered" && reply._tag !== "MembersRefused") return yield* busy(`the leader answered ${reply._tag} to a change of members: run the same version everywhere`)
  yield* seen(room, reply.index)
  const record = machine.members()
  if (reply._tag === "MembersRefused" && !cameTrue(change, record, isSure)) return yield* new MembershipError({ what: reply.what, reason: reply.reason, detail: reply.detail })
  return record ?? (yield* busy("the record of members is not here: start this node anew"))
})

/** That one has gone is refused the second time: where the first may have come true, the record says so. */
const cameTrue = (change: MembershipChange, record: MembershipRecord | undefined, isSure: Answered["isSure"]): boolean =>
  change._tag === "Gone" && !isSure && record !== undefined && !record.members.has(change.node)

/** What is committed comes here, whoever leads; a replica that is cut off says so in the end. */
const seen = Effect.fnUntraced(function*({ machine: { state } }: Room, index: LogIndex) {
  const untilMs = (yield* monotonicMs) + readMsMax
  while (indexOf(state.stamp()) < index) {
    if ((yield* monotonicMs) >= untilMs) return yield* busy(`the members were changed, and this replica did not see it in ${readMsMax} ms: look at the cluster's status`)
    yield* Effect.sleep(memberSeesPauseMs)
  }
})
