/**
 * unitKernel: what a lane does with a unit of a body: cut it at content-defined points and name the chunks. It sits between
 * the kernels of chunker and sealer, and ingest; without Effect, which lanes do not load.
 */
import { ownBuffers } from "./base/bytes.ts"
import type { ChunkId } from "./base/ids.ts"
import type { CutInput, CutOutput } from "./chunker/CutKernel.ts"
import { cutKernel } from "./chunker/CutKernel.ts"
import type { Kernel } from "./ports/Compute.ts"
import { nameKernel } from "./sealer/SealKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"

export interface UnitInput extends CutInput {
  readonly keys: VaultKeys
}

export interface UnitOutput extends CutOutput {
  readonly ids: ReadonlyArray<ChunkId>
}

/** One hop for both: the bytes are in the processor's cache when they are named. */
export const cutAndNameKernel: Kernel<UnitInput, UnitOutput> = {
  name: "units/cutAndName",
  run: (input) => {
    const { bytes, lengths } = cutKernel.run(input)
    return { lengths, ...nameKernel.run({ keys: input.keys, bytes, lengths }) }
  },
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: ({ bytes }) => ownBuffers([bytes])
}
