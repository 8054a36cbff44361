/**
 * Sweep: files of blocks that no commit names go while the node runs: those of a commit that the journal lost, and those
 * whose removal failed. It sits between the block files and the log. The next start would find them too (settle.ts).
 *
 * A file is somebody's as long as an intent from before it was seen is open: whoever writes blocks holds one, but for
 * compaction, whose turn it is not meanwhile. A commit that was lost may be found again after a crash, as long as nothing
 * durable came behind it (R4): so one is proposed that drops the block, and the file goes once that is durable.
 */
import { Effect } from "effect"
import type { BlockId, Sequence } from "./base/ids.ts"
import { probe } from "./base/probes.ts"
import type { CompactRooms } from "./compact.ts"
import { collectAll } from "./purge.ts"

export interface Sweeping {
  /** Unnamed files, and the newest commit when they were first seen. */
  readonly suspects: Map<BlockId, Sequence>
  /** Since the last look. */
  waitedMs: number
}

export const noSweeping = (): Sweeping => ({ suspects: new Map(), waitedMs: 0 })

/** Looks once; what somebody may still be writing waits for the next time. */
export const sweep = Effect.fnUntraced(function*({ blocks, intents, namespace }: CompactRooms, { suspects }: Sweeping) {
  // What others have committed by now names no less than it will.
  if (namespace.quorum !== undefined) yield* namespace.quorum.fence()
  const list = yield* blocks.list
  const seenAt = namespace.head().sequence
  const unnamed = new Set(list.filter((block) => namespace.block(block) === undefined))
  for (const block of suspects.keys()) if (!unnamed.has(block)) suspects.delete(block)
  for (const block of unnamed) if (!suspects.has(block)) suspects.set(block, seenAt)
  let files = 0
  for (const [block, at] of suspects) {
    const oldest = intents.oldest()
    if (oldest !== undefined && oldest <= at) continue
    // Where a quorum has the log no lost commit comes back.
    if (namespace.quorum === undefined) yield* collectAll(namespace, { _tag: "DropBlock", block })
    suspects.delete(block)
    if (namespace.block(block) !== undefined) continue
    yield* blocks.remove(block)
    probe("sweep.unnamedBlock")
    files += 1
  }
  if (files > 0) yield* Effect.logInfo(`${files} blocks that no commit names were removed`)
  return files
})
