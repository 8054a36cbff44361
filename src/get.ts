/** GET: the rooms backwards: namespace -> journal or block -> sealer -> gateway. */
import { Context, Data, type Effect } from "effect"
import type { Body } from "./ports/Body.ts"
import type { Manifest, ManifestEntry, ObjectVersion } from "./namespace/Model.ts"

/** The bytes cannot be had as they were written: never wrong bytes instead (P3). */
export class ReadError extends Data.TaggedError("ReadError")<{
  readonly reason: "Damaged" | "Missing" | "Disk"
  readonly detail: string
}> {
  override get message(): string {
    return `read: ${this.reason}: ${this.detail}`
  }
}

export class Get extends Context.Service<Get, {
  /**
   * The bytes [start, end) of a version (all of them by default). The first chunks are read and verified before this
   * succeeds, so that damage there is an answer and not a cut connection.
   */
  readonly open: (version: ObjectVersion, start?: number, end?: number) => Effect.Effect<Body, ReadError>
  /** All chunk entries of a manifest, pages resolved: for joining parts. */
  readonly entries: (manifest: Manifest) => Effect.Effect<ReadonlyArray<ManifestEntry>, ReadError>
}>()("ouroborosdb/Get") {}
