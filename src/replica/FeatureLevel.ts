/**
 * FeatureLevel: which level of the log's language a program reads, and a change needs. Programs of several versions are members of one cluster while it is upgraded, and whoever cannot
 * read an entry stops (R9): what only newer ones read is not logged before all of them are. Between the nouns of changes and who leads. Pure.
 *
 * 1. The state has the cluster's level; it is the same on every replica at the same index, and never sinks.
 * 2. Who leads raises it by an entry of its own once every member of the configuration has said that it reads that much (LevelService).
 * 3. No change that needs more than the state's level is stamped.
 * 4. A program does not go on with a state whose level is above its own.
 */
import type { Change } from "../namespace/Model.ts"
import { FormatError } from "../namespace/Canonical.ts"
import type { RowChange, StateReader } from "../namespace/State.ts"
import { levelKey, levelRow } from "./ReplicaRows.ts"

export type FeatureLevel = number

/** What a program is, in this respect. Another one in tests and simulated worlds, which have programs of several levels. */
export interface FeatureLevels {
  readonly program: FeatureLevel
  readonly of: (change: Change) => FeatureLevel
}

/** Of a state whose cluster never raised it, and of programs that do not know the question. */
export const firstLevel: FeatureLevel = 1

/** A new kind comes with the next level, and with `programLevel`; numbers of what has landed stay. */
const levels: Readonly<Record<Change["_tag"], FeatureLevel>> = {
  CreateBucket: 1, DeleteBucket: 1, SetVersioning: 1, PutObject: 1, DeleteObjects: 1, CreateUpload: 1, PutPart: 1, CompleteUpload: 1, AbortUpload: 1, DropParts: 1, StagePage: 1, BlockSealed: 1,
  RaiseHorizon: 1, ChunksHealed: 1, Rollback: 1, Branch: 1, PurgeVersions: 1, DropHistory: 1, FreeChunks: 1, DropBlock: 1, ReindexChunks: 1, ExpireVersions: 1, ExpireAgain: 1, AbortStaleUpload: 1
}

const programLevel: FeatureLevel = 1

export const featureLevels: FeatureLevels = { program: programLevel, of: ({ _tag }) => levels[_tag] }

/** The cluster's, as of this state. */
export const levelOf = (state: StateReader): FeatureLevel => {
  const bytes = state.get(levelKey)
  return bytes === undefined ? firstLevel : levelRow.decode(bytes).level
}

/** Why this program is too old for a cluster that has come to `level`; undefined: it is not. */
export const tooOld = (level: FeatureLevel, { program }: FeatureLevels): string | undefined =>
  level > program ? `this cluster has come to feature level ${level}, and this program reads ${program}: start the version that the other members run, or a newer one` : undefined

/** Why a change may not be logged yet; undefined: it may. */
export const tooNew = (state: StateReader, change: Change, { of }: FeatureLevels): string | undefined => {
  const [needs, has] = [of(change), levelOf(state)]
  return needs > has ? `${change._tag} needs feature level ${needs}, and this cluster is at ${has} until every member runs a program that reads more: upgrade the others, then send it again` : undefined
}

/** Rows of an entry that raises it; none where it is as high already. Throws FormatError. */
export const raisedTo = (state: StateReader, level: FeatureLevel, own: FeatureLevels): ReadonlyArray<RowChange> => {
  const why = tooOld(level, own)
  if (why !== undefined) throw new FormatError(why)
  return level > levelOf(state) ? [[levelKey, levelRow.encode({ level })]] : []
}
