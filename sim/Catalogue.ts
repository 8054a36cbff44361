/** Catalogue: the workloads and checkers that worlds draw from. A new one is a line here. */
import type { MakeChecker } from "./checker/Checker.ts"
import { canary } from "./workload/Canary.ts"
import { makeFewKeysWorkload } from "./workload/FewKeysWorkload.ts"
import type { MakeWorkload } from "./workload/Workload.ts"

export const workloads: ReadonlyArray<MakeWorkload> = [makeFewKeysWorkload]

/** As the command line names one. */
export const nameOf = (make: MakeWorkload): string => make().name.replaceAll(" ", "-")

/** What can be asked for by name: also what no world draws. */
export const namedWorkloads: ReadonlyArray<MakeWorkload> = [...workloads, canary]

export const workloadNames: ReadonlyArray<string> = namedWorkloads.map(nameOf)

/** All of them look at every world. */
export const checkers: ReadonlyArray<MakeChecker> = []
