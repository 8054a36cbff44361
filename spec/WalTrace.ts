/**
 * WalTrace: what a journal did, step by step, in all lives of one node: the language that the monitor (WalMonitor.ts) and
 * tla/wal/TraceWal.tla judge. It sits between whoever records a run and them. Actions have the names of tla/wal/Wal.tla.
 */

export interface Place {
  readonly segment: number
  readonly offset: number
}

/** What the machine holds once the step is done: what the invariants speak of. */
export interface After {
  readonly phase: "Running" | "Full" | "Stopping" | "Stopped" | "Failed"
  readonly epoch: number
  /** The last batch that is durable: its number and hash. */
  readonly batch: number
  readonly hash: string
  /** The end of what is durable. */
  readonly durable: Place
  /** Records that wait for a batch. */
  readonly queued: number
  /** Hash of the batch that was written and is not synced; "" for none. */
  readonly flight: string
  /** The consumers' marks; 0:0 until they set one in this life. */
  readonly state: Place
  readonly ingest: Place
  /** The segment whose header is being written; 0 for none. */
  readonly opening: number
  /** A closing batch is due. */
  readonly closing: boolean
  /** Segments whose files may be there. */
  readonly kept: number
}

/** A header of the log that recovery found. */
export interface Header {
  readonly segment: number
  readonly epoch: number
  /** Restart id of the run that opened it. */
  readonly run: string
  /** Number of the batch that it continues from. */
  readonly batch: number
}

/** An extent of the journal: a batch with its padding. */
interface Extent extends Place {
  readonly length: number
}

type Steps =
  /** `segments`: every file that is there, ascending; `log`: those that form the log. */
  | { readonly action: "Survey"; readonly segments: ReadonlyArray<number>; readonly log: ReadonlyArray<Header>; readonly epoch: number }
  | { readonly action: "Accept"; readonly batch: number; readonly hash: string } & Extent
  | { readonly action: "End" | "TornTail"; readonly batch: number; readonly hash: string } & Place
  | { readonly action: "Rewrite" | "Resynced"; readonly segment: number }
  | { readonly action: "OpenSegment"; readonly segment: number; readonly epoch: number; readonly batch: number; readonly after: After }
  | { readonly action: "SegmentOpened"; readonly segment: number; readonly after: After }
  | { readonly action: "OpenFailed"; readonly segment: number; readonly rejected: ReadonlyArray<number>; readonly after: After }
  | { readonly action: "Replay"; readonly after: After }
  /** `whole`: all of its records go into one batch. */
  | { readonly action: "Append"; readonly ticket: number; readonly count: number; readonly whole: boolean; readonly after: After }
  /** An append that is refused: the journal is closing, full or failed. */
  | { readonly action: "Refuse"; readonly ticket: number; readonly after: After }
  | { readonly action: "WriteBatch" | "WriteClosing"; readonly batch: number; readonly previous: string; readonly count: number; readonly end: number; readonly after: After } & Extent
  | { readonly action: "Written"; readonly hash: string; readonly after: After }
  | { readonly action: "Synced"; readonly batch: number; readonly acknowledged: ReadonlyArray<number>; readonly after: After }
  | { readonly action: "SyncFailed"; readonly rejected: ReadonlyArray<number>; readonly after: After }
  | { readonly action: "Retry" | "Idle" | "Stop" | "Stopped"; readonly after: After }
  | { readonly action: "Release"; readonly consumer: "state" | "ingest"; readonly keepFrom: Place; readonly after: After }
  | { readonly action: "Removed"; readonly segment: number; readonly after: After }
  /** The power is cut; the process is killed or ends by itself. `steps` since the last end of a life. */
  | { readonly action: "Crash" | "Kill"; readonly steps: number }
  /** The trace is whole: so many lives, so many steps. */
  | { readonly action: "Finish"; readonly lives: number; readonly steps: number }

/** `run`: the restart id of the life that it is of; "" before the first one. */
export type WalStep = Steps & { readonly run: string }
export type WalTrace = ReadonlyArray<WalStep>
