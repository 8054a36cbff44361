/**
 * unitKernel: what a lane does with a unit of a body: cut it at content-defined points, name the chunks and, where it is
 * asked for, take the body's MD5 along. It sits between the kernels of chunker and sealer, and ingest; without Effect,
 * which lanes do not load.
 */
import { hash } from "node:crypto"
import { ownBuffers } from "./base/bytes.ts"
import type { ChunkId } from "./base/ids.ts"
import { md5Digest, type Md5State, md5Update } from "./base/md5.ts"
import type { CutInput, CutOutput } from "./chunker/CutKernel.ts"
import { cutKernel } from "./chunker/CutKernel.ts"
import type { Kernel } from "./ports/Compute.ts"
import { nameKernel } from "./sealer/SealKernel.ts"
import type { VaultKeys } from "./sealer/VaultKeys.ts"

/** The MD5 of a body, up to the end of a unit. */
export interface BodyMd5 extends Md5State {
  /** Hex, once the body has ended. */
  readonly digest?: string
}

/**
 * With the next bytes of the body. A body in one piece is node:crypto's, which is faster by a sixth and whose state cannot
 * leave its thread.
 */
export const md5After = (before: BodyMd5, bytes: Uint8Array, final: boolean): BodyMd5 => {
  if (final && before.sizeBytes === 0) return { ...before, digest: hash("md5", bytes, "hex") }
  const after = md5Update(before, bytes)
  return final ? { ...after, digest: md5Digest(after) } : after
}

export interface UnitInput extends CutInput {
  readonly keys: VaultKeys
  /** Bytes at the start that the unit before had carried over. */
  readonly carriedBytes: number
  /** That of the body before this unit's own bytes; undefined where nobody wants it. */
  readonly md5: BodyMd5 | undefined
}

export interface UnitOutput extends CutOutput {
  readonly ids: ReadonlyArray<ChunkId>
  /** After this unit. */
  readonly md5: BodyMd5 | undefined
}

/** One hop for all: the bytes are in the processor's cache when they are named and hashed. */
export const cutAndNameKernel: Kernel<UnitInput, UnitOutput> = {
  name: "units/cutAndName",
  // The next unit is not cut before.
  isUrgent: true,
  run: (input) => {
    const { bytes, lengths } = cutKernel.run(input)
    const md5 = input.md5 === undefined ? undefined : md5After(input.md5, bytes.subarray(input.carriedBytes), input.final)
    return { lengths, ...nameKernel.run({ keys: input.keys, bytes, lengths }), md5 }
  },
  transfersIn: ({ bytes }) => ownBuffers([bytes]),
  transfersOut: ({ bytes }) => ownBuffers([bytes])
}
