/**
 * Probes: "sometimes" assertions: a rare path says that it was taken. The simulator listens and reports those that no world
 * has ever taken; where nobody listens, a probe costs a comparison. Source: FoundationDB's TEST macro and Antithesis's
 * sometimes-assertions. Sits under every room; imports nothing.
 */

/** Every probe there is, with what it proves to have happened. */
export const probeNames = {
  "journal.segmentAbandoned": "a batch could not be written or synced: its segment is abandoned, a later epoch begins",
  "journal.failed": "two segments in a row failed: the journal takes no writes until a restart",
  "journal.segmentReleased": "a segment that nobody needs any more is removed",
  "journal.reserveGivenBack": "the disk is full, and the reserve file makes room for deletions",
  "recovery.tornTail": "bytes behind the last proven batch were not accepted",
  "recovery.secondLookSawMore": "a torn tail was none when it was read again",
  "recovery.leftoverSegments": "a segment that nobody continues from lies in the folder",
  "recovery.laterEpoch": "the folder has known abandoned segments",
  "recovery.emptyLastSegment": "the last segment has a header and no batch",
  "recovery.lastBatchRotten": "the last batch is accepted with a rotten chunk, and not written again",
  "recovery.rottenChunkPassed": "a chunk in the journal is rotten, and named",
  "sweep.unnamedBlock": "a block that no commit names was removed while the node runs",
  "settle.fullBlock": "a block's worth of chunks was sealed",
  "settle.agedBlock": "chunks were sealed because they had waited long enough",
  "settle.failed": "sealing failed and is tried again",
  "settle.damagedChunkPassed": "a chunk is damaged in the journal, and not sealed",
  "settle.journalPinned": "the journal is kept for an upload that has not committed yet",
  "settle.unnamedBlocksRemoved": "a crash came between a block and its commit",
  "settle.unnamedBlocksKept": "the same, and a torn tail may name the block",
  "gc.failed": "collection failed and is tried again",
  "gc.chunksFreed": "condemned chunks were freed",
  "gc.waitsForIntent": "condemned chunks wait for a transfer under way",
  "gc.staleUploadAborted": "an upload that nobody went on with was ended",
  "gc.staleUploadGoneOnWith": "somebody went on with an upload, or ended it, before it could be ended as stale",
  "compact.blockDropped": "a block of which nothing lives is dropped",
  "compact.blockRewritten": "what lives of one sparse block is moved",
  "compact.blocksMerged": "what lives of several sparse blocks is moved into one",
  "compact.damagedChunkStays": "a damaged chunk keeps its sparse block",
  "retention.suspended": "the clocks disagree: time destroys nothing",
  "retention.horizonRaised": "history behind the retention is given up",
  "fetch.soughtAgain": "a copy could not be had, and another was sought at a newer commit",
  "fetch.damagedCopy": "a read met a damaged copy",
  "ingest.damagedChunkHealed": "new bytes take the place of a damaged copy",
  "block.writeGivenUp": "a block could not be written and is removed",
  "scrub.passEnded": "scrub has been through the whole store",
  "scrub.finding": "scrub has met damage",
  "scrub.clockWentBack": "the clock stands before the start of scrub's pass",
  "checkpoint.baseAfterDeltas": "so many deltas that a base is due",
  "checkpoint.olderKept": "a base that would stand for older ones cannot be read: they stay",
  "checkpoint.recoveredInSpiteOfDamage": "a checkpoint or the index was damaged, and another one served",
  "index.markedForRebuild": "a read met damage in the index: the next start rebuilds it",
  "index.thrownAway": "the index could not be opened",
  "expiry.shownAgain": "a rollback shows again what had expired and was hidden: its turn comes anew",
  "expiry.versionsHidden": "objects whose time has come are hidden",
  "folder.leftOversSwept": "a start removed what an earlier one left half done",
  "gateway.overloaded": "a request found no room in time",
  "gateway.clockTooFarOff": "a request was signed at another time than the node has",
  "gateway.clientGone": "a client went away before its answer"
} as const satisfies Readonly<Record<string, string>>

export type ProbeName = keyof typeof probeNames

let listener: ((name: string) => void) | undefined

export const probe = (name: ProbeName): void => {
  if (listener !== undefined) listener(name)
}

/** One listener a process, as there is one world at a time; undefined: nobody. */
export const listenToProbes = (heard: ((name: string) => void) | undefined): void => {
  listener = heard
}
