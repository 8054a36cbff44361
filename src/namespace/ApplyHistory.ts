/**
 * ApplyHistory: rollback and branch (R5). It sits between their changes and the rows of names, configurations and
 * lineages: both add to a lineage and touch no version row, so that their cost is that of a few rows whatever the
 * bucket holds, and rollback to the commit before undoes a rollback.
 *
 * 1. A lineage's intervals are disjoint, none is empty but perhaps the first, and the last one is the bucket's own, open.
 * 2. A lineage of one interval shows all that ever happened to the bucket: intervals are joined only where nothing
 *    happened to it between them (`lastChange`), so what one interval lets a reader skip can be skipped.
 * 3. A source's `lineageUser` rows name every other bucket whose lineage may show its rows.
 */
import { assert } from "../base/assert.ts"
import type { BucketId, Sequence } from "../base/ids.ts"
import { lineageIntervalsMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import { type Commit, refused } from "./ApplyCommit.ts"
import type { Draft } from "./Draft.ts"
import type { Answer, Change, Refusal } from "./Model.ts"
import { oldestReadable } from "./Query.ts"
import { bucketIdAt, type View, viewAt } from "./QueryView.ts"
import { bucketConfigKey, bucketNameKey, lastChangeKey, lineageUserKey } from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, bucketNameRow, lastChangeRow, type LineageInterval, lineageUserRow } from "./RowsValue.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

const done: Answer = { _tag: "Done" }

/** Only the content goes back: versioning, owner and uploads under way stay as they are now. */
export const rollback = (commit: Commit, view: View, { bucket: name, to }: Of<"Rollback">): Answer => {
  const { draft, entry } = commit
  const { tenant, sequence } = entry
  const unreadable = judgeCommit(commit, to)
  if (unreadable !== undefined) return refused(unreadable)
  const then = viewAt(draft, tenant, name, to, sequence, millisOf(entry.time))
  // What had the name then, if anything, was another bucket.
  if (then === undefined || then.bucket !== view.bucket) return refused("BucketBornLater")
  const lineage = extended(then, view.bucket, sequence, lastChangeOf(draft, view, sequence - 1))
  if (lineage.length > lineageIntervalsMax) return refused("LineageTooLong")
  if (sameLineage(lineage, view.config.lineage)) return done
  putConfig(draft, view.bucket, sequence, { ...view.config, lineage })
  if (lineage.length === 1) draft.remove(lastChangeKey(view.bucket))
  else if (view.config.lineage.length === 1) putLastChange(draft, view.bucket, sequence - 1)
  return done
}

/** The source is what had its name at `from`: a bucket that was deleted since can be branched, and so brought back. */
export const branch = (commit: Commit, { bucket: name, source, id, owner, from }: Of<"Branch">): Answer => {
  const { draft, entry } = commit
  const { tenant, vault, sequence, time } = entry
  const unreadable = judgeCommit(commit, from)
  if (unreadable !== undefined) return refused(unreadable)
  const then = viewAt(draft, tenant, source, from, sequence, millisOf(time))
  if (then === undefined || then.config.vault !== vault) return refused("NoSuchBucket")
  if (bucketIdAt(draft, tenant, name, sequence) !== undefined) return refused("BucketAlreadyOwnedByYou")
  const lineage = extended(then, id, sequence, sequence)
  if (lineage.length > lineageIntervalsMax) return refused("LineageTooLong")
  const { versioning } = then.config
  draft.put(bucketNameKey(tenant, name, sequence), bucketNameRow.encode({ tenant, vault, bucket: id }))
  putConfig(draft, id, sequence, { tenant, vault, name, owner, created: time, versioning, lineage })
  putLastChange(draft, id, sequence - 1)
  for (const used of new Set(lineage.map((interval) => interval.source))) {
    if (used !== id) draft.put(lineageUserKey(used, id), lineageUserRow.encode({}))
  }
  return done
}

/** What commit a rollback or branch may go back to: a readable one, before its own. */
const judgeCommit = ({ draft, entry }: Commit, to: Sequence): Refusal | undefined => {
  if (to >= entry.sequence) return "CommitInFuture"
  return to < oldestReadable(draft) ? "CommitBeforeHorizon" : undefined
}

/**
 * The lineage of the view, and on from commit `from` in the bucket's own rows. The last interval is left open instead
 * where it is the bucket's own and nothing has happened to the bucket since.
 */
const extended = ({ config, at, lineage }: View, own: BucketId, from: Sequence, lastChange: Sequence): ReadonlyArray<LineageInterval> => {
  assert(config.lineage.length >= lineage.length && lineage.length > 0, "a bucket's lineage begins with its birth")
  const last = lineage.at(-1) as View["lineage"][number]
  if (last.source === own && last.to === at && lastChange <= at) return [...lineage.slice(0, -1), { source: own, from: last.from }]
  // An interval begins with a rollback, a branch or a birth, which makes no version: of that commit alone it is empty.
  const filled = lineage.filter((interval, index) => index === 0 || interval.from < interval.to)
  return [...filled, { source: own, from }]
}

const sameLineage = (a: ReadonlyArray<LineageInterval>, b: ReadonlyArray<LineageInterval>): boolean =>
  a.length === b.length && a.every(({ source, from, to }, index) => source === b[index]?.source && from === b[index].from && to === b[index].to)

const putConfig = (draft: Draft, bucket: BucketId, sequence: Sequence, config: BucketConfigRow): void => {
  draft.put(bucketConfigKey(bucket, sequence), bucketConfigRow.encode(config))
}

const putLastChange = (draft: Draft, bucket: BucketId, sequence: Sequence): void => {
  draft.put(lastChangeKey(bucket), lastChangeRow.encode({ sequence }))
}

/** No commit after it has changed what the bucket shows; not known of a bucket of one interval. */
const lastChangeOf = (draft: Draft, view: View, newest: Sequence): Sequence => {
  const bytes = view.config.lineage.length === 1 ? undefined : draft.get(lastChangeKey(view.bucket))
  return bytes === undefined ? newest : lastChangeRow.decode(bytes).sequence
}

/** Called by every commit that adds or hides a version of the bucket. */
export const noteChange = ({ draft, entry }: Commit, view: View): void => {
  if (view.config.lineage.length > 1) putLastChange(draft, view.bucket, entry.sequence)
}
