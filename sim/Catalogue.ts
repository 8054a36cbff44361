/** Catalogue: the workloads and checkers that worlds draw from. A new one is a line here. */
import type { MakeChecker } from "./checker/Checker.ts"
import { sealedChecker } from "./checker/Sealed.ts"
import { canary } from "./workload/Canary.ts"
import { garbageChecker } from "./checker/Garbage.ts"
import { houseworkChecker } from "./checker/Housework.ts"
import { journalStepsChecker } from "./checker/JournalSteps.ts"
import { keptChecker } from "./checker/Kept.ts"
import { namedChecker } from "./checker/Named.ts"
import { notedChecker } from "./checker/Noted.ts"
import { rebuiltChecker } from "./checker/Rebuilt.ts"
import { referenceChecker } from "./checker/Reference.ts"
import { tidiedChecker } from "./checker/Tidied.ts"
import type { ProfileName } from "./Profile.ts"
import { durabilityWorkload } from "./workload/Durability.ts"
import { makeFewKeysWorkload } from "./workload/FewKeysWorkload.ts"
import { objectsWorkload } from "./workload/Objects.ts"
import { recollectionWorkload } from "./workload/Recollection.ts"
import { registersWorkload } from "./workload/Registers.ts"
import { returnsWorkload } from "./workload/Returns.ts"
import type { MakeWorkload } from "./workload/Workload.ts"

export const workloads: ReadonlyArray<MakeWorkload> = [objectsWorkload, registersWorkload, durabilityWorkload, recollectionWorkload, makeFewKeysWorkload, returnsWorkload]

/** Whoever is overtaken by housework must be alone with it: the intent of any other request would make that wait. Large worlds of them take long. */
export const lonersOf = (profile: ProfileName): ReadonlyArray<MakeWorkload> => (profile === "short" ? [returnsWorkload] : workloads)

/** As the command line names one. */
export const nameOf = (make: MakeWorkload): string => make().name.replaceAll(" ", "-")

/** What can be asked for by name: also what no world draws. */
export const namedWorkloads: ReadonlyArray<MakeWorkload> = [...workloads, canary]

export const workloadNames: ReadonlyArray<string> = namedWorkloads.map(nameOf)

/** All of them look at every world; the one that keeps what it finds for the next life comes last. */
export const checkers: ReadonlyArray<MakeChecker> = [
  houseworkChecker, garbageChecker, tidiedChecker, referenceChecker, namedChecker, sealedChecker, rebuiltChecker, journalStepsChecker, keptChecker, notedChecker
]
