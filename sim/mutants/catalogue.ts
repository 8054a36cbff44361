/** Every mutant there is. */
import { answerMutants } from "./answers.ts"
import { indexMutants } from "./index.ts"
import { journalMutants } from "./journal.ts"
import type { Mutant } from "./Mutant.ts"
import { referenceMutants } from "./references.ts"
import { sealingMutants } from "./sealing.ts"
import { wayMutants } from "./ways.ts"

/** Who reads what rotted, or takes rot for something else. */
const ofRot = new Set(["no-closing-batch", "damage-taken-for-torn", "commit-rot-passed-over", "journal-read-unverified", "region-unverified", "node-unverified"])

const all: ReadonlyArray<Mutant> = [...journalMutants, ...sealingMutants, ...wayMutants, ...referenceMutants, ...indexMutants, ...answerMutants]

export const mutants: ReadonlyArray<Mutant> = all.map((one) => (ofRot.has(one.id) ? { ...one, merciless: true } : one))
