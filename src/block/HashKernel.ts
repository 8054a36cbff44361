/** HashKernel: hashes of the regions of one read, as a kernel of the Compute port. Sits between BlockService and the lanes. */
import { ownBuffers } from "../base/bytes.ts"
import { hashOf } from "../base/hash.ts"
import type { Hash } from "../base/ids.ts"
import type { Kernel } from "../ports/Compute.ts"

export interface HashInput {
  /** Moves to the lane where it owns its buffer, and does not come back. */
  readonly bytes: Uint8Array
  readonly pieces: ReadonlyArray<{ readonly offset: number; readonly length: number }>
}

export interface HashOutput {
  /** In the order of the pieces. */
  readonly hashes: ReadonlyArray<Hash>
}

export const hashKernel: Kernel<HashInput, HashOutput> = {
  name: "block/hash",
  run: ({ bytes, pieces }) => ({ hashes: pieces.map(({ offset, length }) => hashOf(bytes.subarray(offset, offset + length))) }),
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: () => []
}
