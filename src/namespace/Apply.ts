/**
 * Apply: the replicated machine. It sits between the log, whose entries it takes in order, and the state, whose rows it
 * reads and changes; pure and deterministic, so that every member that applies the same log has the same rows.
 *
 * Every condition is judged here, from state and entry alone (R9). A refused change leaves only its commit row. Each
 * `case` is the name of the TLA+ action and of the trace event.
 */
import { assert, unreachable } from "../base/assert.ts"
import { commitRowsMax } from "../base/limits.ts"
import { millisOf } from "../base/time.ts"
import { createBucket, deleteBucket, setVersioning } from "./ApplyBuckets.ts"
import { Chunks } from "./ApplyChunks.ts"
import { type ApplyContext, type Commit, refused } from "./ApplyCommit.ts"
import { expireAgain, expireVersions } from "./ApplyExpiry.ts"
import { dropBlock, freeChunks, reindexChunks } from "./ApplyGarbage.ts"
import { dropHistory, purgeVersions } from "./ApplyPurge.ts"
import { abortStaleUpload, abortUpload, completeUpload, createUpload, dropParts, putPart } from "./ApplyUploads.ts"
import { addVersion, deleteTarget, judge } from "./ApplyVersions.ts"
import { branch, rollback } from "./ApplyHistory.ts"
import { Draft } from "./Draft.ts"
import type { Entry } from "./Entry.ts"
import type { Answer, Change } from "./Model.ts"
import { currentOf, type View, viewAt } from "./QueryView.ts"
import { commitKey, horizonKey, stagedPageKey } from "./Rows.ts"
import { commitRow, horizonRow, stagedPageRow } from "./RowsValue.ts"
import type { RowChange, StateReader } from "./State.ts"

export interface Applied {
  /** At most commitRowsMax. */
  readonly rows: ReadonlyArray<RowChange>
  readonly answer: Answer
}

export const apply = (state: StateReader, entry: Entry, context: ApplyContext): Applied => {
  const draft = new Draft(state)
  const chunks = new Chunks(draft, entry)
  const answer = step({ ...context, draft, chunks, entry }, entry.change)
  const commit: RowChange = [commitKey(entry.sequence), commitRow.encode({ time: entry.time, author: entry.author })]
  if (answer._tag === "Refused") return { rows: [commit], answer }
  chunks.flush()
  const rows = [...draft.changes(), commit]
  assert(rows.length <= commitRowsMax, `${rows.length} rows in one commit, at most ${commitRowsMax}`)
  return { rows, answer }
}

const step = (commit: Commit, change: Change): Answer => {
  switch (change._tag) {
    case "CreateBucket":
      return createBucket(commit, change)
    case "DropParts":
      return dropParts(commit, change)
    case "StagePage":
      return stagePage(commit, change)
    case "BlockSealed":
      return blockSealed(commit, change)
    case "RaiseHorizon":
      return raiseHorizon(commit, change.oldestReadable)
    case "ExpireVersions":
      return expireVersions(commit, change)
    case "ExpireAgain":
      return expireAgain(commit, change)
    case "ChunksHealed":
      return commit.chunks.heal(change.arrivals, change.blocks) ? { _tag: "Done" } : refused("ChunkMissing")
    case "PurgeVersions":
      return purgeVersions(commit, change)
    case "DropHistory":
      return dropHistory(commit, change)
    case "FreeChunks":
      return freeChunks(commit, change)
    case "DropBlock":
      return dropBlock(commit, change)
    case "ReindexChunks":
      return reindexChunks(commit, change)
    case "Branch":
      return branch(commit, change)
    default: {
      const { tenant, vault, sequence, time } = commit.entry
      const view = viewAt(commit.draft, tenant, change.bucket, sequence, sequence, millisOf(time))
      // A bucket of another vault is another domain of trust: not there.
      if (view === undefined || view.config.vault !== vault) return refused("NoSuchBucket")
      return stepInBucket(commit, view, change)
    }
  }
}

/** Those that name no bucket, or one that is not there yet. */
type Elsewhere =
  | "CreateBucket" | "DropParts" | "StagePage" | "BlockSealed" | "RaiseHorizon" | "ChunksHealed"
  | "PurgeVersions" | "DropHistory" | "FreeChunks" | "DropBlock" | "ReindexChunks" | "Branch" | "ExpireVersions" | "ExpireAgain"
type InBucket = Exclude<Change, { readonly _tag: Elsewhere }>

const stepInBucket = (commit: Commit, view: View, change: InBucket): Answer => {
  switch (change._tag) {
    case "DeleteBucket":
      return deleteBucket(commit, view)
    case "SetVersioning":
      return setVersioning(commit, view, change)
    case "Rollback":
      return rollback(commit, view, change)
    case "PutObject":
      return putObject(commit, view, change)
    case "DeleteObjects":
      return { _tag: "Deleted", outcomes: change.targets.map((target, ordinal) => deleteTarget(commit, view, target, ordinal)) }
    case "CreateUpload":
      return createUpload(commit, view, change)
    case "PutPart":
      return putPart(commit, view, change)
    case "CompleteUpload":
      return completeUpload(commit, view, change)
    case "AbortUpload":
      return abortUpload(commit, view, change)
    case "AbortStaleUpload":
      return abortStaleUpload(commit, view, change)
    default:
      return unreachable(change)
  }
}

const putObject = (commit: Commit, view: View, change: Extract<Change, { readonly _tag: "PutObject" }>): Answer => {
  const { key, attributes, content, condition } = change
  const { draft, chunks } = commit
  const refusal = condition === undefined ? undefined : judge(condition, currentOf(draft, view, key))
  if (refusal !== undefined) return refused(refusal)
  const named = chunks.arrive(content.arrivals, content.blocks) && chunks.reference(content.manifest)
  if (!named) return refused("ChunkMissing")
  const added = addVersion(commit, view, key, { kind: "Object", attributes, content }, 0)
  if (typeof added === "string") return refused(added)
  const { versionId } = added
  const { etag, checksum } = content
  return { _tag: "Stored", versionId, etag, ...(checksum === undefined ? {} : { checksum }) }
}

/** A page staged again counts its entries once: the first row holds the references. */
const stagePage = ({ draft, chunks, entry }: Commit, change: Extract<Change, { readonly _tag: "StagePage" }>): Answer => {
  const { page, level, entries, arrivals, blocks } = change
  if (!chunks.arrive(arrivals, blocks) || !chunks.has(page)) return refused("ChunkMissing")
  chunks.renew(page)
  const key = stagedPageKey(entry.vault, page)
  if (draft.get(key) !== undefined) return { _tag: "Done" }
  if (!chunks.referenceEntries(entries, level - 1)) return refused("ChunkMissing")
  draft.put(key, stagedPageRow.encode({ level, entries }))
  return { _tag: "Done" }
}

const blockSealed = ({ chunks }: Commit, { block, moves }: Extract<Change, { readonly _tag: "BlockSealed" }>): Answer => {
  chunks.arriveBlock(block)
  for (const { chunk, from, to } of moves) chunks.move(chunk, from, to)
  return { _tag: "Done" }
}

const raiseHorizon = ({ draft, entry }: Commit, oldestReadable: number): Answer => {
  const old = draft.get(horizonKey)
  // Never back, and never past what has happened: head can always be read.
  const raised = Math.min(oldestReadable, entry.sequence)
  if (raised > (old === undefined ? 0 : horizonRow.decode(old).oldestReadable)) {
    draft.put(horizonKey, horizonRow.encode({ oldestReadable: raised }))
  }
  return { _tag: "Done" }
}
