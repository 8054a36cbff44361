/** ApplyCommit: what the steps of one commit share. It sits between Apply, which makes it, and the steps of each kind. */
import type { VaultId, VertexHash } from "../base/ids.ts"
import type { Chunks } from "./ApplyChunks.ts"
import type { Draft } from "./Draft.ts"
import type { Entry } from "./Entry.ts"
import type { Answer, Refusal } from "./Model.ts"

export interface ApplyContext {
  /** Keyed hash of a vertex's canonical bytes under a key of the vault. */
  readonly vertexHash: (vault: VaultId, bytes: Uint8Array) => VertexHash
}

export interface Commit extends ApplyContext {
  readonly draft: Draft
  readonly chunks: Chunks
  readonly entry: Entry
}

export const refused = (refusal: Refusal): Answer => ({ _tag: "Refused", refusal })
