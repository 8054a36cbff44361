/** SealError: why something sealed does not open. Sits between the sealer's formats and those who read through them. */
// Not from "effect": lanes load this module, and need not hold the rest.
import * as Data from "effect/Data"

/**
 * Damaged: bytes changed, or sealed under another master key. UnknownFormat: another kind of bytes, or a newer version.
 * WrongVault, WrongGeneration, WrongChunk: intact as far as can be told, but not what was asked for.
 */
export type SealReason = "Damaged" | "UnknownFormat" | "WrongVault" | "WrongGeneration" | "WrongChunk"

export class SealError extends Data.TaggedError("SealError")<{
  readonly what: "chunk" | "value"
  /** The chunk's id, or the context of the value. */
  readonly name: string
  readonly reason: SealReason
  readonly detail: string
}> {
  override get message(): string {
    return `sealer: ${this.what} ${this.name}: ${this.reason}: ${this.detail}`
  }
}
