/** Mutants of the journal: its machine, its writer, and recovery. */
import { type Mutant, mutant } from "./Mutant.ts"

const writer = "wal/WalWriterService.ts"
const machine = "wal/Wal.ts"
const scan = "wal/WalScan.ts"
const recovery = "wal/WalRecoveryService.ts"

/*
 * Not planted, because nothing can tell: that the scan heeds a batch's restart id, its epoch, or the link to the batch before.
 * A place of a segment is written once in a store's life, and every batch names its store, segment and offset: whatever is whole
 * there is what belongs there. The three are guards behind that one, for numbers that were used twice after all; test/wal
 * shows them on bytes made for it.
 */

export const journalMutants: ReadonlyArray<Mutant> = [
  {
    id: "acknowledge-before-sync", room: "journal", what: "tickets are acknowledged when the batch is written, before its sync (P1)",
    edits: [
      { file: machine, find: `  return [{ _tag: "Sync", segment: state.inFlight.segment }]`, replace: `  const { tickets } = state.inFlight\n  return [...(tickets.length === 0 ? nothing : [{ _tag: "Acknowledge", tickets } as const]), { _tag: "Sync", segment: state.inFlight.segment }]` },
      { file: machine, find: `  return batch.tickets.length === 0 ? nothing : [{ _tag: "Acknowledge", tickets: batch.tickets }]`, replace: `  return nothing` }
    ]
  },
  mutant("journal", "batch-not-synced", "a batch is never synced (P1)", writer,
    `sync: ({ segment }) => told(fileOf(segment).sync, { _tag: "Synced" }, syncFailed)`,
    `sync: ({ segment }) => told(Effect.asVoid(fileOf(segment).size), { _tag: "Synced" }, syncFailed)`),
  mutant("journal", "failed-sync-retried", "a sync that failed is tried again in place (R4)", writer,
    `told(fileOf(segment).sync, { _tag: "Synced" }, syncFailed)`,
    `told(Effect.catch(fileOf(segment).sync, () => fileOf(segment).sync), { _tag: "Synced" }, syncFailed)`),
  mutant("journal", "header-not-synced", "batches are written behind a segment header that no sync covers", writer,
    `    yield* file.sync\n    yield* disk.syncFolder(folder)`, `    yield* disk.syncFolder(folder)`),
  mutant("journal", "segment-name-not-synced", "a new segment's name is not synced", writer,
    `    yield* file.sync\n    yield* disk.syncFolder(folder)`, `    yield* file.sync\n    if (segment < 0) yield* disk.syncFolder(folder)`),
  mutant("journal", "released-too-far", "the segment that a consumer's mark lies in is removed too (R11)", machine,
    `    if (segment >= limit) break`, `    if (segment > limit) break`),
  mutant("journal", "one-mark-heeded", "the journal lets go as soon as one of its consumers does (R11)", machine,
    `for (const consumer of walConsumers) limit`, `for (const consumer of walConsumers.slice(0, 1)) limit`),
  mutant("journal", "marks-go-back", "an absent mark counts as one at the head: nobody was asked (R11)", machine,
    `state.marks.get(consumer)?.segment ?? 0)`, `state.marks.get(consumer)?.segment ?? limit)`),
  mutant("journal", "append-parted", "commits appended together go into as many batches as it takes: a part of what is lost stays, and its sequences are given out again (P1)", machine,
    `  if (isWhole(records)) makeRoom(`, `  if (state.ticketNext < 0) makeRoom(`),
  mutant("journal", "no-closing-batch", "an idle journal leaves its last batch unproven (R4)", machine,
    `if (state.phase === "Running" && canClose(state)) planClosingBatch(state)`,
    `if (state.phase === "Stopping" && canClose(state)) planClosingBatch(state)`),
  mutant("journal", "lost-ticket-acknowledged", "tickets of an abandoned segment are acknowledged (P1)", machine,
    `tickets.length === 0 ? nothing : [{ _tag: "Reject", tickets, reason, detail: why }]`,
    `tickets.length === 0 ? nothing : gaveUp ? [{ _tag: "Reject", tickets, reason, detail: why }] : [{ _tag: "Acknowledge", tickets }]`),
  mutant("recovery", "fork-replayed", "replay takes what a failed sync left behind the batch that the next segment continues from (R4)", recovery,
    `{ ...segment, proven: segment.proven ?? log.last }`, `{ ...segment, proven: undefined }`),
  mutant("journal", "removals-not-synced", "segments are removed one behind the other without a sync between: a power cut may bring an older one back alone (R11)", "wal/WalService.ts",
    `      Effect.andThen(disk.syncFolder(folder)),\n      Effect.mapError((error) => new WalError({ reason: "Disk", segment,`,
    `      Effect.mapError((error) => new WalError({ reason: "Disk", segment,`),
  mutant("recovery", "damage-taken-for-torn", "whatever does not check ends the journal, though later batches prove it (R4)", scan,
    `header.value.link.batch > state.link.batch + 1`, `header.value.link.batch > state.link.batch + 1_000_000`),
  mutant("recovery", "accepted-not-synced", "recovery serves what it read without syncing it (R4)", recovery,
    `    yield* file.sync\n    observe?.({ _tag: "Resynced", segment })`, `    observe?.({ _tag: "Resynced", segment })`),
  mutant("recovery", "last-batch-not-rewritten", "recovery syncs the last batch without writing it again, though its pages may count as clean", recovery,
    `      else yield* file.write(last.offset, [bytes])\n`, `      else if (bytes.length === 0) yield* file.write(last.offset, [bytes])\n`),
  mutant("recovery", "commit-rot-passed-over", "a rotten commit in the middle of the journal is passed over (R4)", scan,
    `record.whole || mayBeDamaged(record.kind))`, `record.whole || record.kind.length > 0)`),
  mutant("recovery", "replay-skips-segment", "replay begins in the segment behind the one that the state stops in", recovery,
    `if (from !== undefined && number < from.segment) continue`, `if (from !== undefined && number <= from.segment && number < log.last.segment) continue`),
  mutant("recovery", "journal-read-unverified", "a record is served whatever its bytes are (P3)", "wal/WalReaderService.ts",
    `return payloadIsWhole(header.value, payload) ?`, `return payload.length > 0 || payloadIsWhole(header.value, payload) ?`)
]
