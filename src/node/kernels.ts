/** Kernels: the table by whose names a compute lane finds what it shall run. */
import type { Kernel } from "../ports/Compute.ts"

export const kernels: ReadonlyArray<Kernel<any, any>> = []
