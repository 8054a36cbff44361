/** Ids and hashes: hex strings in memory (fit for keys of maps, readable in logs), raw bytes in formats. */
import { assert } from "./assert.ts"
import { fromHex, toHex } from "./bytes.ts"

declare const brand: unique symbol
type Branded<B extends string> = string & { readonly [brand]: B }

/** 128 random bits, 32 hex digits, never reused. */
export type StoreId = Branded<"StoreId">
export type VaultId = Branded<"VaultId">
export type TenantId = Branded<"TenantId">
export type BucketId = Branded<"BucketId">
export type UploadId = Branded<"UploadId">
export type BlockId = Branded<"BlockId">
/** A Raft group: whose log an entry, a record of the journal and a message belong to. */
export type GroupId = Branded<"GroupId">
/** Drawn at each start of a node: what it wrote in one run is told from what another left. */
export type RestartId = Branded<"RestartId">

/** 32 bytes, 64 hex digits. */
export type Hash = Branded<"Hash">
/** Keyed BLAKE3 of a chunk's plaintext under its vault's key, 64 hex digits. */
export type ChunkId = Branded<"ChunkId">
/** Keyed hash of a vertex's canonical encoding, 64 hex digits. */
export type VertexHash = Branded<"VertexHash">

/** Number of a commit in its group's log; the first is 1, 0 names the empty state. */
export type Sequence = number

export const idBytes = 16
export const hashBytesCount = 32

/** Makes an id of 16 random bytes (from the Entropy port). */
export const idOf = <Id extends string>(random: Uint8Array): Id => {
  assert(random.length === idBytes, `an id has ${idBytes} bytes, not ${random.length}`)
  return toHex(random) as Id
}

/** Hex of an id or hash back to its raw bytes. */
export const rawId = (id: string): Uint8Array => fromHex(id)

/** The one tenant of an embedded store; tenants come later, their id is in every row from the start. */
export const defaultTenant = "00000000000000000000000000000000" as TenantId
