/**
 * NodeMeters: what the rooms know about themselves, as gauges and counters. Sits between their statuses and Meters; what a
 * room counts as it goes, it registers itself.
 */
import { Effect } from "effect"
import type { Meters } from "../base/Meters.ts"
import { Gc, type GcService, type GcStatus } from "../gc.ts"
import { Namespace, type NamespaceService } from "../namespace/Namespace.ts"
import { State, type StateService } from "../namespace/State.ts"
import { Retention } from "../retention.ts"
import { Settle, type SettleService } from "../settle.ts"
import { Wal, type WalInterface } from "../wal/WalService.ts"

const flag = (value: boolean): number => (value ? 1 : 0)

export const meterRooms = (meters: Meters): Effect.Effect<void, never, Wal | State | Namespace | Settle | Retention | Gc> =>
  Effect.gen(function* () {
    meterJournal(meters, yield* Wal)
    meterState(meters, yield* State, yield* Namespace)
    meterSettle(meters, yield* Settle)
    meterGc(meters, yield* Gc)
    const retention = yield* Retention
    meters.gauge("ouroboros_retention_suspended", "1 while the clocks disagree and history is kept beyond its days.",
      () => flag(retention.status().suspended !== undefined))
  })

const meterJournal = (meters: Meters, wal: WalInterface): void => {
  meters.gauge("ouroboros_journal_bytes", "Bytes of all journal segments on the disk.", () => wal.status().bytes)
  meters.gauge("ouroboros_journal_segments", "Journal segments on the disk.", () => wal.status().segments)
  meters.gauge("ouroboros_journal_queued_bytes", "Bytes that wait for their sync.", () => wal.status().queuedBytes)
  meters.gauge("ouroboros_journal_failed", "1 where the journal takes no writes any more: restart the node.", () => flag(wal.status().phase === "Failed"))
  meters.gauge("ouroboros_journal_full", "1 while the disk has no room for the journal.", () => flag(wal.status().phase === "Full"))
  meters.counted("ouroboros_journal_batches_total", "Batches of the journal, in the store's whole life.", () => wal.status().batches)
}

const meterState = (meters: Meters, state: StateService, namespace: NamespaceService): void => {
  meters.counted("ouroboros_commits_total", "Commits, in the store's whole life.", () => namespace.head().sequence)
  meters.gauge("ouroboros_oldest_readable_commit", "The oldest commit that can be read AS OF.", () => namespace.oldestReadable())
  meters.gauge("ouroboros_overlay_rows", "Changed rows in memory that no checkpoint holds yet.", () => state.overlay().rows)
  meters.gauge("ouroboros_overlay_bytes", "Bytes of these rows.", () => state.overlay().bytes)
  meters.counted("ouroboros_checkpoints_total", "Checkpoints, in the store's whole life.", () => state.status().checkpoints)
  meters.gauge("ouroboros_tree_nodes", "Nodes of the state's tree.", () => state.status().nodes)
}

const meterSettle = (meters: Meters, settle: SettleService): void => {
  meters.gauge("ouroboros_settle_waiting_bytes", "Sealed bytes whose only copy is in the journal.", () => settle.status().journaledBytes)
  meters.gauge("ouroboros_settle_lag_seconds", "How long the oldest of them has waited, at most.", () => settle.status().lagMs / 1000)
  meters.counted("ouroboros_blocks_sealed_total", "Blocks sealed from the journal since the start.", () => settle.status().blocksSealed)
  meters.gauge("ouroboros_journal_damaged_chunks", "Chunks in the journal that are damaged and not sealed.", () => settle.status().damaged.length)
  meters.gauge("ouroboros_settle_failing", "1 while sealing fails and is tried again.", () => flag(settle.status().lastError !== undefined))
}

const meterGc = (meters: Meters, gc: GcService): void => {
  const of = (read: (status: GcStatus) => number) => () => read(gc.status())
  meters.gauge("ouroboros_gc_condemned_bytes", "Sealed bytes that nothing names and that are not freed yet.", of(({ condemnedBytes }) => condemnedBytes))
  meters.gauge("ouroboros_gc_dead_bytes", "Bytes in blocks that are nobody's, as far as they are noted.", of(({ deadBytes }) => deadBytes))
  meters.counted("ouroboros_gc_freed_bytes_total", "Sealed bytes freed since the start.", of(({ freed }) => freed.chunkBytes))
  meters.counted("ouroboros_gc_blocks_dropped_total", "Blocks dropped since the start.", of(({ freed }) => freed.blocksDropped))
  meters.counted("ouroboros_gc_rewritten_bytes_total", "Bytes that compaction wrote anew since the start.", of(({ freed }) => freed.blockBytesRewritten))
  meters.gauge("ouroboros_gc_failing", "1 while collection fails and is tried again.", of(({ lastError }) => flag(lastError !== undefined)))
}
