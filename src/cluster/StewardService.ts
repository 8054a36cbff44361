/**
 * StewardService: runs on every member, and on the one that leads brings Raft's configuration to what the members' table wants: looks every while and after a change of the
 * record, asks the steward for the next step, does it, says it. Between the replicated table and consensus.
 *
 * 1. It acts only while this replica leads and knows what is committed: behind a fence, in one term.
 * 2. What fails is tried again at the next look; what the record says by then counts.
 * 3. A member that leaves unforced is let go once every other one has looked, as of a commit from after the leave was known here, and lacked no block.
 */
import { Effect, Queue, type Scope } from "effect"
import { unreachable } from "../base/assert.ts"
import { stewardAgainMs, stewardChangeMs, stewardLookMs } from "../base/clusterLimits.ts"
import type { NodeId } from "../membership/Identity.ts"
import type { MembershipInterface } from "../membership/MembershipService.ts"
import { watched } from "../ports/Health.ts"
import type { LogIndex, ReplicaId } from "../raft/Entry.ts"
import type { RaftStatus } from "../raft/RaftService.ts"
import type { Replica } from "../replica/ReplicaService.ts"
import type { Lacking } from "./BlockMessage.ts"
import { nextStep, short, type Step, type Wanted } from "./Steward.ts"

export interface StewardOptions {
  readonly replica: Pick<Replica, "fence"> & { readonly raft: Pick<Replica["raft"], "change" | "status" | "transfer">; readonly members: { readonly current: () => Wanted | undefined } }
  /** Makes a member none, with the revocations that belong to it. */
  readonly remove: (node: NodeId) => ReturnType<MembershipInterface["remove"]>
  /** As far as this node has heard. */
  readonly isUp: (node: ReplicaId) => boolean
  /** Which blocks that commits name a member lacks, this one included; undefined: not known. */
  readonly lacking: (node: NodeId) => Effect.Effect<Lacking | undefined>
  /** Told of each step that was done. */
  readonly stepped?: (step: Step) => void
}

export interface StewardInterface {
  /** The record is another one: it looks soon. */
  readonly changed: () => void
  /** What waits for something, as of the last look; empty where this replica does not lead. */
  readonly waits: () => ReadonlyArray<string>
}

interface Room extends StewardOptions {
  /** Since when a leave is known here: where the commit was then. Of this life as leader. */
  readonly since: Map<NodeId, LogIndex>
  readonly nudges: Queue.Queue<void>
  waits: ReadonlyArray<string>
}

/** Until the scope closes. */
export const runSteward = Effect.fnUntraced(function*(options: StewardOptions): Effect.fn.Return<StewardInterface, never, Scope.Scope> {
  const room: Room = { ...options, since: new Map(), nudges: yield* Effect.acquireRelease(Queue.sliding<void>(1), Queue.shutdown), waits: [] }
  const turn = Effect.flatMap(look(room), (isDone) => (isDone ? Effect.sleep(stewardAgainMs) : Effect.timeoutOption(Queue.take(room.nudges), stewardLookMs)))
  yield* Effect.forkScoped(watched("the steward of the configuration", Effect.forever(turn)))
  return { changed: () => void Queue.offerUnsafe(room.nudges, undefined), waits: () => room.waits }
})

/** Whether something was done, so that more may be to do. */
const look = Effect.fnUntraced(function*(room: Room) {
  const status = yield* knownStatus(room)
  const record = room.replica.members.current()
  if (status === undefined || record === undefined) {
    room.since.clear()
    room.waits = []
    return false
  }
  const having = yield* whoHasAll(room, record, status)
  const step = nextStep(record, { ...status, self: status.id, isUp: room.isUp }, (node) => having.has(node))
  yield* saidWaits(room, step)
  if (step._tag === "Nothing") return false
  yield* Effect.logInfo(`members: ${sentenceOf(step, status)}`)
  return yield* Effect.matchEffect(done(room, step), {
    onSuccess: () => Effect.sync(() => {
      room.stepped?.(step)
      return true
    }),
    onFailure: (error) => Effect.as(Effect.logWarning(`members: not done yet, it is tried again: ${error.message}`), false)
  })
})

/** Undefined where this replica does not lead, or does not know yet what is committed. */
const knownStatus = Effect.fnUntraced(function*({ replica: { fence, raft } }: Room) {
  const before = raft.status()
  if (before.role !== "Leader") return undefined
  const fenced = yield* Effect.result(fence())
  const status = raft.status()
  if (fenced._tag === "Failure") yield* Effect.logDebug(`members: this leader waits for the others: ${fenced.failure.message}`)
  return fenced._tag === "Success" && status.role === "Leader" && status.term === before.term ? status : undefined
})

/** Nobody is asked while nobody leaves who has to wait for it. */
const whoHasAll = Effect.fnUntraced(function*({ lacking, since }: Room, { members }: Wanted, { commit, configuration: { learners, voters } }: RaftStatus) {
  const isLeaving = (node: NodeId): boolean => members.get(node)?.leaving?.isForced === false && (voters.includes(node) || learners.includes(node))
  for (const node of since.keys()) if (!isLeaving(node)) since.delete(node)
  for (const node of members.keys()) if (isLeaving(node) && !since.has(node)) since.set(node, commit)
  const having = new Set<NodeId>()
  if (since.size === 0) return having
  const least = Math.max(...since.values())
  const staying = [...members].flatMap(([node, { leaving }]) => (leaving === undefined ? [node] : []))
  yield* Effect.forEach(staying, (node) => Effect.map(lacking(node), (of) => {
    if (of !== undefined && of.count === 0 && of.index >= least) having.add(node)
  }), { concurrency: "unbounded", discard: true })
  return having
})

/** Once, until it is something else. */
const saidWaits = (room: Room, step: Step): Effect.Effect<void> =>
  Effect.suspend(() => {
    const waits = step._tag === "Nothing" ? step.waits : []
    const isNew = waits.join() !== room.waits.join() && waits.length > 0
    room.waits = waits
    return isNew ? Effect.logInfo(`members: ${waits.join("; ")}`) : Effect.void
  })

const done = ({ remove, replica: { raft } }: Room, step: Exclude<Step, { readonly _tag: "Nothing" }>): Effect.Effect<unknown, { readonly message: string }> => {
  switch (step._tag) {
    case "Change":
      return Effect.timeoutOrElse(raft.change(step.voters, step.learners), {
        duration: stewardChangeMs, orElse: () => Effect.fail({ message: `no majority has taken the change in ${stewardChangeMs} ms` })
      })
    case "Gone":
      return remove(step.node)
    case "HandOver":
      return raft.transfer(step.to)
    default:
      return unreachable(step)
  }
}

const sentenceOf = (step: Exclude<Step, { readonly _tag: "Nothing" }>, { configuration: { learners, voters } }: RaftStatus): string => {
  if (step._tag === "Gone") return `node ${short(step.node)} is a member no longer`
  if (step._tag === "HandOver") return `this node leaves, and node ${short(step.to)} is to lead`
  const before = [...voters, ...learners]
  const after = [...step.voters, ...step.learners]
  const parts = [
    [step.learners.filter((id) => !before.includes(id)), "begins to learn"], [step.voters.filter((id) => !voters.includes(id)), "votes from now on"],
    [before.filter((id) => !after.includes(id)), "leaves the configuration"]
  ] as const
  return parts.flatMap(([ids, what]) => ids.map((id) => `node ${short(id)} ${what}`)).join(", ")
}
