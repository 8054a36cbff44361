/**
 * ApplyGarbage: chunks and blocks that nobody needs go, and folders of format 1 are made ready for it. It sits between
 * the collector, which proposes what it thinks can go, and the rows: each is judged again here, so that a proposal that
 * comes too late changes nothing. Files are removed after these commits are durable, never before.
 */
import type { Commit } from "./ApplyCommit.ts"
import { commitRowsMax } from "../base/limits.ts"
import type { Answer, Change } from "./Model.ts"
import { afterPrefix, blockKey, gcKey, regionsPrefix } from "./Rows.ts"
import { blockRow, gcRow } from "./RowsValue.ts"

type Of<T extends Change["_tag"]> = Extract<Change, { readonly _tag: T }>

/** Rows of one commit that are not the chunks': the commit's, the totals. */
const rowsBeside = 8

const nothing: Answer = { _tag: "Collected", items: 0, bytes: 0, remaining: false }

/** Compare-and-set on the commit of their condemnation, so that no chunk that was named or brought again goes (R1). */
export const freeChunks = ({ draft, chunks }: Commit, change: Of<"FreeChunks">): Answer => {
  if (draft.get(gcKey) === undefined) return nothing
  let rows = rowsBeside
  let items = 0
  let bytes = 0
  for (const { chunk, condemnedAt } of change.chunks) {
    rows += chunks.rowsToFree(chunk)
    if (rows > commitRowsMax) return { _tag: "Collected", items, bytes, remaining: true }
    const freed = chunks.free(chunk, condemnedAt)
    if (freed === undefined) continue
    items += 1
    bytes += freed
  }
  return { _tag: "Collected", items, bytes, remaining: false }
}

/** Only a block in which no chunk has a copy. */
export const dropBlock = ({ draft, chunks }: Commit, { block }: Of<"DropBlock">): Answer => {
  const value = draft.get(blockKey(block))
  if (value === undefined || draft.get(gcKey) === undefined) return nothing
  const regions = regionsPrefix(block)
  for (const _ of draft.scan(regions, afterPrefix(regions))) return nothing
  chunks.dropBlock(block)
  return { _tag: "Collected", items: 1, bytes: blockRow.decode(value).sizeBytes, remaining: false }
}

/** What a store of format 1 did not record; again and again without harm. */
export const reindexChunks = ({ draft, chunks }: Commit, change: Of<"ReindexChunks">): Answer => {
  for (const chunk of change.chunks) chunks.reindex(chunk)
  if (change.done) draft.put(gcKey, gcRow.encode({}))
  return { _tag: "Collected", items: change.chunks.length, bytes: 0, remaining: !change.done }
}
