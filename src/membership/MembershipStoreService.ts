/**
 * MembershipStoreService: where a cluster's record of its members is kept: in memory for tests and a cluster of one that has not begun; the replicated state keeps it
 * otherwise. Between MembershipService, which proposes changes, and the log that orders them.
 */
import { Data, Effect, Semaphore } from "effect"
import type { NodeId } from "./Identity.ts"
import { applyMembership, type MembershipChange, type MembershipRecord } from "./Membership.ts"
import { MembershipError } from "./MembershipError.ts"

/** NotLeader: ask `leader`, or somebody else. Busy: later. Unknown: it may have come true, or come true yet: look, and change again what has not. */
export class MembershipStoreError extends Data.TaggedError("MembershipStoreError")<{
  readonly reason: "NotLeader" | "Busy" | "Unknown"
  readonly leader: NodeId | undefined
  readonly detail: string
}> {
  override get message(): string {
    return `members: ${this.reason}: ${this.detail}`
  }
}

export interface MembershipStore {
  /** As of now: what was changed before it was asked for is in it. */
  readonly read: Effect.Effect<MembershipRecord, MembershipStoreError>
  /** One after another (applyMembership): the record after it, once that is kept. */
  readonly change: (change: MembershipChange) => Effect.Effect<MembershipRecord, MembershipStoreError | MembershipError>
}

export interface MemoryMembership extends MembershipStore {
  readonly current: () => MembershipRecord
}

/** Told of every change. */
export const memoryMembership = Effect.fnUntraced(function*(first: MembershipRecord, changed: (record: MembershipRecord) => Effect.Effect<void> = () => Effect.void): Effect.fn.Return<MemoryMembership> {
  let record = first
  const turn = yield* Semaphore.make(1)
  return {
    current: () => record,
    read: Effect.sync(() => record),
    change: (change) => turn.withPermits(1)(Effect.suspend(() => {
      const next = applyMembership(record, change)
      if (next instanceof MembershipError) return Effect.fail(next)
      record = next
      return Effect.as(changed(next), next)
    }))
  }
})
