/**
 * MembershipReplica: the record of members as the replicated state keeps it, for MembershipService: whichever member is asked. Between that and a node's replica, which
 * brings changes to whoever leads.
 */
import { Effect } from "effect"
import { MembershipStoreError, type MembershipStore } from "../membership/MembershipStoreService.ts"
import type { Replica } from "../replica/ReplicaService.ts"

const busy = (detail: string): MembershipStoreError => new MembershipStoreError({ reason: "Busy", leader: undefined, detail })

/** Reads are linearizable. Fails with Busy where no quorum answers, and where no cluster was founded: `members.change` founds it. */
export const membershipOver = ({ fence, members }: Pick<Replica, "members" | "fence">): MembershipStore => ({
  read: Effect.andThen(
    Effect.mapError(fence(), ({ message }) => busy(message)),
    Effect.suspend(() => {
      const record = members.current()
      return record === undefined ? Effect.fail(busy("the cluster has not begun: `ouroboros cluster init`")) : Effect.succeed(record)
    })
  ),
  change: members.change
})
