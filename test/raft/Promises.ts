/**
 * Promises: what a replica says must be on disks already (Raft paper, figure 2), judged by looking at the disks themselves: votes,
 * copies, leadership, commits, what is applied. Between a Cluster and its replicas. It counts majorities by itself.
 */
import { ok } from "node:assert"
import type { Configuration } from "../../src/raft/Configuration.ts"
import type { Entry, LogIndex, ReplicaId, Term } from "../../src/raft/Entry.ts"
import type { Message } from "../../src/raft/Message.ts"
import { isGap, type Slot } from "../../src/raft/RaftLog.ts"
import type { RaftState } from "../../src/raft/RaftState.ts"
import type { ReplicaDisk } from "./Cluster.ts"

type DiskOf = (id: ReplicaId) => ReplicaDisk | undefined

const most = (ids: ReadonlyArray<ReplicaId>, has: (id: ReplicaId) => boolean): boolean => 2 * ids.filter(has).length > ids.length

const decides = ({ outgoing, voters }: Configuration, has: (id: ReplicaId) => boolean): boolean => most(voters, has) && (outgoing.length === 0 || most(outgoing, has))

const slotOf = ({ slots, snapshot }: ReplicaDisk, index: LogIndex): Slot | undefined => slots[index - snapshot.index - 1]

/** Whether the entry was written there; one that rotted since was. */
const wrote = (disk: ReplicaDisk | undefined, index: LogIndex, term: Term): boolean => {
  if (disk === undefined) return false
  const slot = slotOf(disk, index)
  return disk.snapshot.index >= index || (slot !== undefined && (slot.term ?? term) === term)
}

/** Called when a message leaves. */
export const checkSent = ({ log, term: now }: RaftState, disk: ReplicaDisk, { body, from, term, to }: Message): void => {
  const { hardState, slots, snapshot } = disk
  const asked = body._tag === "RequestVote" && !body.pre
  if (asked || (body._tag === "Vote" && !body.pre && body.granted)) {
    const whom = asked ? from : to
    ok(hardState.term > term || (hardState.term === term && hardState.vote === whom), `${from} says that it votes for ${whom} in term ${term}; its disk has ${hardState.vote ?? "no vote"} in ${hardState.term}`)
  }
  if (body._tag !== "Appended" || term !== now || body.match <= snapshot.index) return
  ok(hardState.term >= term, `${from} acknowledges in term ${term}, which its disk does not have`)
  const unread = slots.slice(0, body.match - snapshot.index).find(isGap)
  ok(unread === undefined, `${from} acknowledges ${body.match}, and its disk cannot read ${unread?.index}`)
  const mine = log.slots[body.match - log.snapshot.index - 1]
  ok(mine === undefined || slotOf(disk, body.match)?.term === mine.term, `${from} acknowledges ${body.match}, which its disk does not have`)
}

export const checkApplied = (disk: ReplicaDisk, id: ReplicaId, entries: ReadonlyArray<Entry>): void => {
  for (const { index, term } of entries) ok(disk.snapshot.index >= index || slotOf(disk, index)?.term === term, `${id} applies ${index}, which its disk does not have`)
}

/** It leads by votes that are on the disks of those who gave them. */
export const checkElected = ({ configuration, id, term }: RaftState, diskOf: DiskOf): void => {
  const voted = (other: ReplicaId): boolean => {
    const hardState = diskOf(other)?.hardState
    return hardState !== undefined && (hardState.term > term || (hardState.term === term && hardState.vote === id))
  }
  ok(voted(id), `${id} leads in term ${term}, and its own vote is not on its disk`)
  ok(decides(configuration, voted), `${id} leads in term ${term} without a majority of votes on disks`)
}

/** A leader committed up to there: a majority has it on the disk, and with it an entry of the leader's own term (5.4.2, figure 8). */
export const checkCommit = ({ commit, configuration, id, log, term }: RaftState, diskOf: DiskOf): void => {
  const entry = log.slots[commit - log.snapshot.index - 1]
  if (entry === undefined) return
  ok(entry.term === term, `${id} commits ${commit} of term ${entry.term} by counting copies in term ${term}`)
  ok(decides(configuration, (other) => wrote(diskOf(other), commit, term)), `${id} commits ${commit} in term ${term}, and no majority has it on the disk`)
}

/** What a leader knows of its peers before and after a step. */
export const copiesOf = ({ peers, role, term }: RaftState): { readonly term: Term; readonly copies: ReadonlyMap<ReplicaId, LogIndex> } =>
  ({ term, copies: role === "Leader" ? new Map([...peers].map(([id, { match }]) => [id, match])) : new Map() })

/** A stale answer takes nothing back; only a peer that says it can no longer read what it had does. */
export const checkCopies = (before: ReturnType<typeof copiesOf>, state: RaftState, message: Message | undefined): void => {
  if (state.role !== "Leader" || state.term !== before.term) return
  if (message !== undefined && "damagedTo" in message.body && message.body.damagedTo !== undefined) return
  for (const [id, { match }] of state.peers) ok(match >= (before.copies.get(id) ?? 0), `${state.id} forgets that ${id} has all up to ${before.copies.get(id)}: ${match}`)
}
