/** Catalogue: the workloads and checkers that worlds draw from. A new one is a line here. */
import type { MakeChecker } from "./checker/Checker.ts"
import { makeFewKeysWorkload } from "./workload/FewKeysWorkload.ts"
import type { MakeWorkload } from "./workload/Workload.ts"

export const workloads: ReadonlyArray<MakeWorkload> = [makeFewKeysWorkload]

/** All of them look at every world. */
export const checkers: ReadonlyArray<MakeChecker> = []
