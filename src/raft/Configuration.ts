/**
 * Configuration: who votes. Changes go by joint consensus (Raft paper, section 6): from the voters of now to those of then
 * over a configuration in which both decide, so that any number may change at once, and the known bug of changes by single
 * servers (Ongaro, raft-dev, July 2015) has no place. Between the log, whose newest configuration counts as soon as it is
 * appended, and everyone who counts votes.
 */
import { assert } from "../base/assert.ts"
import type { LogIndex, ReplicaId } from "./Entry.ts"

export interface Configuration {
  /** Ascending, no id twice, as in all three. */
  readonly voters: ReadonlyArray<ReplicaId>
  /** The voters that are about to leave or to stay: both majorities decide. Empty: not joint. */
  readonly outgoing: ReadonlyArray<ReplicaId>
  /** They get the log and have no vote; none of them is in `voters`. */
  readonly learners: ReadonlyArray<ReplicaId>
}

export const noConfiguration: Configuration = { voters: [], outgoing: [], learners: [] }

const ascending = (ids: Iterable<ReplicaId>): ReadonlyArray<ReplicaId> => [...new Set(ids)].sort()

/** Not joint. */
export const configurationOf = (voters: Iterable<ReplicaId>, learners: Iterable<ReplicaId> = []): Configuration => {
  const voting = ascending(voters)
  return { voters: voting, outgoing: [], learners: ascending(learners).filter((id) => !voting.includes(id)) }
}

export const isJoint = ({ outgoing }: Configuration): boolean => outgoing.length > 0

export const isVoter = ({ outgoing, voters }: Configuration, id: ReplicaId): boolean => voters.includes(id) || outgoing.includes(id)

/** Everyone who gets the log. */
export const membersOf = ({ learners, outgoing, voters }: Configuration): ReadonlyArray<ReplicaId> => ascending([...voters, ...outgoing, ...learners])

/** The way to `target`: one step where the voters stay as they are, else through both. */
export const towards = (now: Configuration, target: Configuration): Configuration => {
  assert(!isJoint(now) && !isJoint(target), "one change of membership at a time")
  const isSame = now.voters.length === target.voters.length && now.voters.every((id, index) => target.voters[index] === id)
  return isSame ? target : { ...target, outgoing: now.voters }
}

/** Where a joint one leads. Who goes from voter to learner has been among the learners already. */
export const settled = ({ learners, voters }: Configuration): Configuration => ({ voters, outgoing: [], learners })

/** Whether those for whom `has` is true are a majority; of both where it is joint. Nobody is no majority of nobody. */
export const isQuorum = ({ outgoing, voters }: Configuration, has: (id: ReplicaId) => boolean): boolean =>
  isMajority(voters, has) && (outgoing.length === 0 || isMajority(outgoing, has))

const isMajority = (ids: ReadonlyArray<ReplicaId>, has: (id: ReplicaId) => boolean): boolean => {
  let count = 0
  for (const id of ids) if (has(id)) count += 1
  return count > ids.length >> 1
}

/** Whether those who said no leave no quorum to be had. */
export const isLost = ({ outgoing, voters }: Configuration, refused: (id: ReplicaId) => boolean): boolean => {
  const isLostIn = (ids: ReadonlyArray<ReplicaId>): boolean => ids.length > 0 && !isMajority(ids, (id) => !refused(id))
  return isLostIn(voters) || isLostIn(outgoing)
}

/** The highest value that a quorum has reached: an index that is stored, or a round that is answered. 0 where nobody votes. */
export const reachedBy = ({ outgoing, voters }: Configuration, valueOf: (id: ReplicaId) => LogIndex): LogIndex =>
  outgoing.length === 0 ? reachedIn(voters, valueOf) : Math.min(reachedIn(voters, valueOf), reachedIn(outgoing, valueOf))

const reachedIn = (ids: ReadonlyArray<ReplicaId>, valueOf: (id: ReplicaId) => number): number =>
  ids.map(valueOf).sort((a, b) => b - a)[ids.length >> 1] ?? 0
