/** Every mutant there is. */
import { answerMutants } from "./answers.ts"
import { indexMutants } from "./index.ts"
import { journalMutants } from "./journal.ts"
import type { Mutant } from "./Mutant.ts"
import { referenceMutants } from "./references.ts"
import { sealingMutants } from "./sealing.ts"
import { wayMutants } from "./ways.ts"

/** Who reads what rotted, or takes rot for something else. */
const ofRot = new Set(["node-unverified"])

/** Sixty short worlds from seed 5000 on did not catch these, or were not run on them: holes to be closed, the README says more. */
const uncaught = new Set([
  "last-batch-not-rewritten", "pins-ignored", "file-removed-first", "live-block-dropped",
  "fresh-block-dropped", "chunks-unpinned", "epoch-unnamed", "last-epoch-named", "failed-block-left", "unnamed-block-kept",
  "copy-without-intent", "damaged-is-a-hit", "page-hit-when-condemned", "stale-aborted-young", "purge-stops-early",
  "horizon-too-new", "jump-destroys", "expired-for-ever", "freed-before-indexed", "part-of-another-size", "chunk-twice",
  "parts-in-order-of-arrival", "free-without-compare", "named-chunk-freed", "condemned-is-a-hit", "freed-page-keeps-its-chunks",
  "renewed-without-time", "absent-chunk-named", "purge-ignores-branches", "purge-beyond-horizon", "drop-readable-commits",
  "parts-leak", "index-not-flushed", "left-nodes-kept", "root-unchecked", "beyond-not-set-aside", "rebuilt-onto-old",
  "rebuild-unmarked", "node-unverified", "lost-epoch-ignored", "expired-shown"
])

const all: ReadonlyArray<Mutant> = [...journalMutants, ...sealingMutants, ...wayMutants, ...referenceMutants, ...indexMutants, ...answerMutants]

export const mutants: ReadonlyArray<Mutant> = all.map((one) => ({
  ...one, ...(ofRot.has(one.id) ? { merciless: true } : {}), ...(uncaught.has(one.id) ? { open: "not caught yet" } : {})
}))
