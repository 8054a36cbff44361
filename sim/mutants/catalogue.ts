/** Every mutant there is. */
import { answerMutants } from "./answers.ts"
import { indexMutants } from "./index.ts"
import { journalMutants } from "./journal.ts"
import type { Mutant } from "./Mutant.ts"
import { referenceMutants } from "./references.ts"
import { sealingMutants } from "./sealing.ts"
import { wayMutants } from "./ways.ts"

export const mutants: ReadonlyArray<Mutant> = [...journalMutants, ...sealingMutants, ...wayMutants, ...referenceMutants, ...indexMutants, ...answerMutants]
