/**
 * Steward: how Raft's configuration comes to follow the members' table: one step after another, from what the table wants and what a leader knows. Pure; between
 * the membership record and consensus, for StewardService, which looks and does. A replica's id is its node's id.
 *
 * 1. One change at a time: none while the configuration is joint or not committed.
 * 2. Who comes in learns first, and votes once it is there and has caught up. Who is no member, or leaves and owes nothing more, goes.
 * 3. A change leaves a majority that is there and has caught up: what would not waits.
 * 4. Whoever leads stays a voter while he does, so that the last voter never goes; one that is to go hands over first.
 * 5. A leaving member stops being one once no configuration has it.
 * 6. Many at once, since changes are joint.
 */
import { stewardLagMax } from "../base/clusterLimits.ts"
import type { NodeId } from "../membership/Identity.ts"
import { type Configuration, configurationOf, isJoint } from "../raft/Configuration.ts"
import type { LogIndex, ReplicaId } from "../raft/Entry.ts"

/** Of the membership record: who is a member, and who of them is to go. */
export interface Wanted {
  readonly members: ReadonlyMap<NodeId, { readonly leaving: undefined | { readonly isForced: boolean } }>
}

/** What a leader knows of its group (RaftStatus), and of who is there. */
export interface GroupView {
  /** Who leads. */
  readonly self: ReplicaId
  readonly configuration: Configuration
  readonly configurationIndex: LogIndex
  readonly commit: LogIndex
  readonly matched: ReadonlyMap<ReplicaId, LogIndex>
  readonly isUp: (id: ReplicaId) => boolean
}

export type Step =
  /** `waits`: what the record wants and cannot be done yet, for operators; empty: all is as it wants. */
  | { readonly _tag: "Nothing"; readonly waits: ReadonlyArray<string> }
  | { readonly _tag: "Change"; readonly voters: ReadonlyArray<ReplicaId>; readonly learners: ReadonlyArray<ReplicaId> }
  | { readonly _tag: "Gone"; readonly node: NodeId }
  | { readonly _tag: "HandOver"; readonly to: ReplicaId }

/** What is judged of each replica. */
interface Judged {
  readonly isStaying: (id: ReplicaId) => boolean
  readonly goes: (id: ReplicaId) => boolean
  readonly isReady: (id: ReplicaId) => boolean
}

/** `hasAll`: whether a member lacks no block that a commit names, so that nothing is lost with who leaves. */
export const nextStep = (record: Wanted, view: GroupView, hasAll: (node: NodeId) => boolean): Step => {
  const { commit, configuration, configurationIndex } = view
  if (isJoint(configuration) || configurationIndex > commit) return { _tag: "Nothing", waits: ["a change of the configuration is under way"] }
  const judged = judge(record, view, hasAll)
  const gone = [...record.members].find(([id, { leaving }]) => leaving !== undefined && !isIn(configuration, id))
  if (gone !== undefined) return { _tag: "Gone", node: gone[0] }
  return changeOf(record, view, judged) ?? handOverOf(view, judged) ?? { _tag: "Nothing", waits: waitsOf(record, view, judged, hasAll) }
}

const isIn = ({ learners, voters }: Configuration, id: ReplicaId): boolean => voters.includes(id) || learners.includes(id)

/** Of a log so short that nothing is far, too: whoever has taken none of it runs no replica yet. Who joins is there before he is started. */
const isNear = (matched: LogIndex, commit: LogIndex): boolean => matched > 0 && matched + stewardLagMax >= commit

const rowOf = ({ members }: Wanted, id: ReplicaId) => members.get(id as NodeId)

const judge = (record: Wanted, { commit, isUp, matched, self }: GroupView, hasAll: (node: NodeId) => boolean): Judged => {
  const isDrained = [...record.members].every(([node, { leaving }]) => leaving !== undefined || hasAll(node))
  return {
    isStaying: (id) => {
      const row = rowOf(record, id)
      return row !== undefined && row.leaving === undefined
    },
    goes: (id) => {
      const row = rowOf(record, id)
      return row === undefined || (row.leaving !== undefined && (row.leaving.isForced || isDrained))
    },
    isReady: (id) => id === self || (isUp(id) && isNear(matched.get(id) ?? 0, commit))
  }
}

/** All that the record wants; else without those whose going would leave no majority, of whom some may be there: who is gone anyway is missed by none. */
const changeOf = (record: Wanted, { configuration, isUp, self }: GroupView, { goes, isReady, isStaying }: Judged): Step | undefined => {
  const { learners, voters } = configuration
  const promoted = learners.filter((id) => isStaying(id) && isReady(id))
  const entering = [...record.members.keys()].filter((id) => isStaying(id) && !isIn(configuration, id))
  for (const leaves of [goes, (id: ReplicaId) => goes(id) && !isUp(id)]) {
    const target = configurationOf(
      [...voters.filter((id) => id === self || !leaves(id)), ...promoted], [...learners.filter((id) => !promoted.includes(id) && !leaves(id)), ...entering]
    )
    const isSame = (role: "voters" | "learners"): boolean => target[role].length === configuration[role].length && target[role].every((id) => configuration[role].includes(id))
    if (isSame("voters") ? !isSame("learners") : hasMajority(target.voters, isReady)) return { _tag: "Change", voters: target.voters, learners: target.learners }
  }
  return undefined
}

const hasMajority = (voters: ReadonlyArray<ReplicaId>, isReady: (id: ReplicaId) => boolean): boolean => voters.filter(isReady).length > voters.length >> 1

/** Once all others are as they should be: to the one that has most of the log. */
const handOverOf = ({ configuration: { voters }, self, ...view }: GroupView, { goes, isReady }: Judged): Step | undefined => {
  const others = voters.filter((id) => id !== self)
  if (!goes(self) || !hasMajority(others, isReady)) return undefined
  const to = mostCaughtUp(others.filter((id) => !goes(id)), { ...view, isReady })
  return to === undefined ? undefined : { _tag: "HandOver", to }
}

/** Of those that are ready; the first of equals. */
export const mostCaughtUp = (ids: ReadonlyArray<ReplicaId>, { isReady, matched }: Pick<GroupView, "matched"> & Pick<Judged, "isReady">): ReplicaId | undefined => {
  const matchOf = (id: ReplicaId): LogIndex => matched.get(id) ?? 0
  return ids.filter(isReady).sort((a, b) => matchOf(b) - matchOf(a) || (a < b ? -1 : 1))[0]
}

const waitsOf = (record: Wanted, { configuration, self }: GroupView, { goes, isStaying }: Judged, hasAll: (node: NodeId) => boolean): ReadonlyArray<string> => {
  const waits: Array<string> = []
  const lacking = [...record.members].flatMap(([node, { leaving }]) => (leaving !== undefined || hasAll(node) ? [] : [short(node)]))
  for (const id of configuration.learners) if (isStaying(id)) waits.push(`node ${short(id)} does not vote yet: it is not there, or has not caught up`)
  for (const id of [...configuration.voters, ...configuration.learners]) {
    if (goes(id)) waits.push(`node ${short(id)} ${id === self ? "leads, and " : ""}stays until a majority of the others is there and has caught up`)
    else if (!isStaying(id)) waits.push(`node ${short(id)} stays until every member that does has all blocks (not known of ${lacking.join(", ")})`)
  }
  return waits
}

export const short = (id: string): string => id.slice(0, 12)
