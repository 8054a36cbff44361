/** Taken: which actions of Wal.tla the code was seen to take, and which it never was. It sits between traces and a person. */
import type { WalStep, WalTrace } from "../spec/WalTrace.ts"

/** Actions of Next, and the step that tells of each. */
const told: ReadonlyArray<readonly [action: string, is: (step: WalStep, before: WalStep | undefined) => boolean]> = [
  ["Exit", ({ action }, before) => action === "Kill" && before !== undefined && "after" in before && ["Stopped", "Failed"].includes(before.after.phase)],
  ["Append2", ({ action }) => action === "Append"],
  ["WriteNext", ({ action }) => action === "WriteBatch"],
  ["OpenNext", ({ action }) => action === "OpenSegment"],
  ["StopOnce", ({ action }) => action === "Stop"],
  ["RemovedNext", ({ action }) => action === "Removed"],
  ["ReleaseState", (step) => step.action === "Release" && step.consumer === "state"],
  ["ReleaseIngest", (step) => step.action === "Release" && step.consumer === "ingest"],
  ...(["Idle", "WriteClosing", "Written", "Synced", "SyncFailed", "OpenFailed", "SegmentOpened", "Retry", "Stopped", "Survey", "Accept", "End", "TornTail", "Rewrite",
    "Resynced", "Replay", "Crash", "Kill"] as const).map((name) => [name, ({ action }: WalStep) => action === name] as const)
]

/** Of these no step tells: they end a start, fall between two steps, or are another room's, the disk's or the operator's. */
const untold = [
  "RemoveNext", "Damaged", "ResyncFailed", "SealNext", "BlockSyncedNext", "VerifyNext", "CommitSealedNext", "Checkpoint", "Named", "Flushed", "Rot", "RotCheckpoint", "Restore"
]

/** Lines for a person. */
export const coverageOf = (traces: ReadonlyArray<WalTrace>): ReadonlyArray<string> => {
  const counts = told.map(([action, is]) => [action, traces.reduce((sum, trace) => sum + trace.filter((step, at) => is(step, trace[at - 1])).length, 0)] as const)
  const never = counts.filter(([, count]) => count === 0).map(([action]) => action)
  return [
    `        taken: ${counts.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a).map(([action, count]) => `${action} ${count}`).join(", ")}`,
    `        never taken: ${never.join(", ") || "none"}; no step tells of ${untold.join(", ")}`
  ]
}
