/** Every mutant there is. */
import { answerMutants } from "./answers.ts"
import { carrierMutants } from "./carrier.ts"
import { clusterMutants } from "./cluster.ts"
import { indexMutants } from "./index.ts"
import { journalMutants } from "./journal.ts"
import type { Mutant } from "./Mutant.ts"
import { raftMutants } from "./raft.ts"
import { replicaMutants } from "./replica.ts"
import { referenceMutants } from "./references.ts"
import { sealingMutants } from "./sealing.ts"
import { subtleMutants } from "./subtle.ts"
import { wayMutants } from "./ways.ts"

/*
 * Once planted, and no mutants of a simulator:
 * - index-not-flushed (what a checkpoint wrote into the index is not waited for): files decide and the index is disposable (R8);
 *   one that lags behind is caught up with or rebuilt. It costs the next start its time, and nothing else.
 * - beyond-not-set-aside (files of generations that could not be read stay under their names): the next checkpoint renames
 *   another file over the delta, and writes a base since it distrusts the old ones; until then every start compares roots and
 *   comes to the same generation. It takes a second generation that cannot be read, and then the store is lost in any case.
 * - absent-chunk-named (a chunk without copies may be named): no commit leaves a row without copies; healed-keeps-damaged
 *   has its place, which breaks the step in which there is one.
 * Two guards for one thing are planted away together: failed-block-left, unnamed-block-kept, copy-without-intent, chunk-twice,
 * drop-readable-commits, renewed-without-time.
 */

/** It takes rare worlds to catch these, more than CI has time for; the README says which did. */
const uncaught = new Set([
  "append-parted", "sealed-unintended", "intent-of-its-start", "intent-of-one-block", "intent-behind-its-block", "released-in-two-steps", "newest-intent-counts",
  "newest-intent-heeded", "pins-end-together", "held-end-forgotten", "half-compacted", "unknown-is-refused", "live-block-dropped", "block-through-cache", "refused-drop-removes",
  "free-without-compare", "renewed-without-time", "stamp-of-later", "node-unverified", "expired-shown", "read-time-taken-again", "cache-shares-part"
])

/** Types, lint and the tests of their room let them pass (of what lies at src's root: test/pipeline). */
const passing = new Set([
  "pinned-for-its-append", "chunks-unpinned", "intent-of-its-start", "sealed-unintended", "fresh-block-dropped", "finished-out-of-order", "proposed-block-removed",
  "condemned-is-a-hit", "purge-stops-early", "lone-bucket-kept", "intents-end-together", "freed-before-indexed", "same-part-counted-twice",
  "newest-intent-counts", "newest-intent-heeded", "part-keeps-no-upload", "stamp-of-later", "intent-of-one-block", "newest-pin-heeded", "last-epoch-named",
  "free-beyond-intent", "unknown-is-refused", "pin-behind-append"
])

const all: ReadonlyArray<Mutant> = [...journalMutants, ...sealingMutants, ...wayMutants, ...subtleMutants, ...referenceMutants, ...indexMutants, ...answerMutants, ...raftMutants, ...replicaMutants, ...carrierMutants, ...clusterMutants]

export const mutants: ReadonlyArray<Mutant> = all.map((one) => ({
  ...one, ...(uncaught.has(one.id) ? { open: "rare" } : {}), ...(passing.has(one.id) ? { passesUnits: true as const } : {})
}))
