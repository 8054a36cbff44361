/** Kernels: the table by whose names a compute lane finds what it shall run. */
import { hashKernel } from "../block/HashKernel.ts"
import { cutKernel } from "../chunker/CutKernel.ts"
import type { AnyKernel } from "../ports/Compute.ts"
import { checkKernel } from "../sealer/CheckKernel.ts"
import { nameKernel, openKernel, sealKernel } from "../sealer/SealKernel.ts"
import { cutAndNameKernel } from "../unitKernel.ts"

export const kernels: ReadonlyArray<AnyKernel> = [cutKernel, nameKernel, cutAndNameKernel, sealKernel, openKernel, checkKernel, hashKernel]
