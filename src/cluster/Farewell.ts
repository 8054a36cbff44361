/**
 * Farewell: the last word to a member that has gone: the table without it, before its connections are closed. It has left every configuration by then, and nothing of the log comes to it
 * any more: it would wait for the others for ever. Between the members' table and the carrier; whoever does not hear it is none the less gone.
 */
import { Effect, type Scope } from "effect"
import { farewellMs } from "../base/clusterLimits.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { decodeMembershipRecord, encodeMembershipRecord } from "../membership/RecordFormat.ts"
import { topics } from "./Topics.ts"

/** `told`: a later table of this cluster, which has this node no more. */
export const serveFarewell = (
  carrier: CarrierInterface, { record, self, told }: { readonly self: NodeId; readonly record: () => MembershipRecord; readonly told: (record: MembershipRecord) => Effect.Effect<void> }
): Effect.Effect<void, never, Scope.Scope> =>
  carrier.serve(topics.farewell, ({ bytes }) => Effect.suspend(() => {
    const table = decodeMembershipRecord(bytes)
    const { cluster, epoch } = record()
    const counts = !(table instanceof MembershipError) && table.cluster === cluster && table.epoch > epoch && !table.members.has(self)
    return Effect.as(counts ? told(table) : Effect.void, new Uint8Array(0))
  }))

/** To whoever is in the table before and not in the one after; waits for their word no longer than farewellMs. */
export const sayFarewell = (carrier: CarrierInterface, before: MembershipRecord, after: MembershipRecord): Effect.Effect<void> => {
  const gone = [...before.members.keys()].filter((id) => !after.members.has(id))
  if (gone.length === 0) return Effect.void
  const bytes = encodeMembershipRecord(after)
  return Effect.forEach(gone, (to) => Effect.catch(
    carrier.tell(to, topics.farewell, bytes, { level: 1, deadlineMs: farewellMs }), (error) => Effect.logDebug(`node ${to.slice(0, 12)} did not hear that it has gone: ${error.message}`)
  ), { concurrency: "unbounded", discard: true })
}
