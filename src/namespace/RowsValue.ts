/**
 * RowsValue: the values of all rows but the versions', in canonical form, each with its format number first. They sit
 * between the machine and State. Tenant and vault are in each row that belongs to one.
 */
import { assert } from "../base/assert.ts"
import { type ByteString, toByteString } from "../base/bytes.ts"
import type { BucketId, ChunkId, Hash, Sequence, TenantId, VaultId } from "../base/ids.ts"
import { copiesMax, lineageIntervalsMax, objectBytesMax, partNumberMax, rowsRememberedMax } from "../base/limits.ts"
import type { HybridTime } from "../base/time.ts"
import { type Codec, decodeTrusted, encodeWith, flag, FormatError, list, optional, struct, text, uint, uint64, word } from "./Canonical.ts"
import { CborReader } from "./Cbor.ts"
import type { Attributes, Checksum, ChecksumAlgorithm, Copy, Manifest, ManifestEntry, VersioningStatus } from "./Model.ts"
import {
  attributes, bucketId, bucketName, checksum, checksumAlgorithm, checksumType, chunkId, copy, etag, hash, manifest, manifestEntries,
  manifestLevel, objectKey, partNumber, principal, sequence, tenantId, vaultId
} from "./ModelFormat.ts"

/** A kind of row: its value as bytes and back. `decode` throws FormatError. */
export interface RowFormat<A> {
  readonly encode: (value: A) => Uint8Array
  readonly decode: (bytes: Uint8Array) => A
}

const rowFormat = 1

/** The only format of a row's value so far. */
const formatNumber: Codec<number> = {
  write: () => rowFormat,
  read: (node, at) => {
    if (node !== rowFormat) throw new FormatError(`${at}: unknown row format ${String(node)}`)
    return rowFormat
  }
}

/** A kind of row that has several formats, 1 first; each value is written in the one that `formatOf` says. */
const rowOfFormats = <A extends object>(what: string, codecs: ReadonlyArray<Codec<A>>, formatOf: (value: A) => number): RowFormat<A> => {
  const wholes = codecs.map((codec, index) => struct<{ readonly format: number; readonly value: A }>({ format: uintOf(index + 1), value: codec }))
  const of = (format: number) => wholes[format - 1]
  return {
    encode: (value) => {
      const format = formatOf(value)
      const whole = of(format)
      assert(whole !== undefined, `${what} has no format ${format}`)
      return encodeWith(whole, { format, value })
    },
    // [format, fields]: an array of two, then a small integer.
    decode: (bytes) => {
      const whole = of(bytes[1] ?? 0)
      if (whole === undefined) throw new FormatError(`${what}: unknown row format ${bytes[1]}`)
      return decodeTrusted(whole, bytes, what).value
    }
  }
}

const uintOf = (format: number): Codec<number> => ({
  write: () => format,
  read: (node, at) => {
    if (node !== format) throw new FormatError(`${at}: unknown row format ${String(node)}`)
    return format
  }
})

const row = <A extends object>(what: string, codec: Codec<A>): RowFormat<A> => {
  const whole = struct<{ readonly format: number; readonly value: A }>({ format: formatNumber, value: codec })
  return {
    encode: (value) => encodeWith(whole, { format: rowFormat, value }),
    decode: (bytes) => decodeTrusted(whole, bytes, what).value
  }
}

/** Remembers what bytes decoded to, for rows that every request reads: few, and short. Whoever reads one changes nothing in it. */
const remembered = <A extends object>({ encode, decode }: RowFormat<A>): RowFormat<A> => {
  const known = new Map<ByteString, A>()
  return {
    encode,
    decode: (bytes) => {
      const name = toByteString(bytes)
      const seen = known.get(name)
      if (seen !== undefined) return seen
      const value = decode(bytes)
      if (known.size >= rowsRememberedMax) known.clear()
      known.set(name, value)
      return value
    }
  }
}

export interface CommitRow {
  readonly time: HybridTime
  readonly author: string
}
export const commitRow = row<CommitRow>("commit row", struct({ time: uint64, author: principal }))

export interface HorizonRow {
  readonly oldestReadable: Sequence
}
export const horizonRow = row<HorizonRow>("horizon row", struct({ oldestReadable: sequence }))

/** Sums over tables, kept with them. */
export interface TotalsRow {
  /** Sealed bytes whose only copy is in the journal. */
  readonly journaledBytes: number
  /** Absent: nothing of it (format 1). */
  readonly garbage?: GarbageTotals
}

/** What collection could free, and how much of it there is. */
export interface GarbageTotals {
  readonly condemnedChunks: number
  /** Of sealed copies of condemned chunks. */
  readonly condemnedBytes: number
  /** Sum of the hints: bytes of blocks that no chunk has any more, as far as they are noted. */
  readonly deadBytes: number
}

const garbageTotals = struct<GarbageTotals>({ condemnedChunks: uint(), condemnedBytes: uint(), deadBytes: uint() })
const journaledTotal = { journaledBytes: uint() }
export const totalsRow = rowOfFormats<TotalsRow>("totals row", [
  struct<Omit<TotalsRow, "garbage">>(journaledTotal),
  struct<Required<TotalsRow>>({ ...journaledTotal, garbage: garbageTotals }) as Codec<TotalsRow>
], ({ garbage }) => garbage === undefined ? 1 : 2)

/** What a name means since a commit; no bucket: deleted. */
export interface BucketNameRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly bucket?: BucketId
}
export const bucketNameRow = remembered(row<BucketNameRow>(
  "bucket name row", struct<BucketNameRow>({ tenant: tenantId, vault: vaultId, bucket: optional(bucketId) })
))

/** Commits `from` to `to`, both included, of a bucket's rows; no `to`: on and on. */
export interface LineageInterval {
  readonly source: BucketId
  readonly from: Sequence
  readonly to?: Sequence
}

export interface BucketConfigRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly name: string
  readonly owner: string
  readonly created: HybridTime
  readonly versioning: VersioningStatus
  /** Oldest first, disjoint (R5). */
  readonly lineage: ReadonlyArray<LineageInterval>
}
export const bucketConfigRow = remembered(row<BucketConfigRow>("bucket config row", struct<BucketConfigRow>({
  tenant: tenantId, vault: vaultId, name: bucketName, owner: principal, created: uint64,
  versioning: word(["Unversioned", "Enabled", "Suspended"]),
  lineage: list(struct<LineageInterval>({ source: bucketId, from: sequence, to: optional(sequence) }), lineageIntervalsMax)
})))

/** That a bucket's lineage may show rows of a source; both are in the row's key. */
export const lineageUserRow = row<object>("lineage user row", struct({}))

/** The newest commit that may have changed what a bucket of several intervals shows. */
export interface LastChangeRow {
  readonly sequence: Sequence
}
export const lastChangeRow = row<LastChangeRow>("last change row", struct({ sequence }))

/** Which listed version of a key is the null version, once its bucket has been versioned. */
export interface NullVersionRow {
  readonly sequence: Sequence
  readonly ordinal: number
}
export const nullVersionRow = row<NullVersionRow>("null version row", struct({ sequence, ordinal: uint(0xffff) }))

/** The key of the object whose version this is; bucket, sequence and ordinal are in the row's key. */
export interface ChildRow {
  readonly key: string
}
export const childRow = row<ChildRow>("child row", struct({ key: objectKey }))

/** The key of the version that expires; the rest is in the row's key. */
export interface ExpiryRow {
  readonly key: string
}
export const expiryRow = row<ExpiryRow>("expiry row", struct({ key: objectKey }))

export interface UploadRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly started: HybridTime
  readonly owner: string
  readonly attributes: Attributes
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type: "FULL_OBJECT" | "COMPOSITE" }
}
export const uploadRow = row<UploadRow>("upload row", struct<UploadRow>({
  tenant: tenantId, vault: vaultId, started: uint64, owner: principal, attributes,
  checksum: optional(struct({ algorithm: checksumAlgorithm, type: checksumType }))
}))

export interface PartRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly sizeBytes: number
  readonly etag: string
  readonly etagIsMd5: boolean
  readonly modified: HybridTime
  readonly checksum?: Checksum
  readonly manifest: Manifest
}
export const partRow = row<PartRow>("part row", struct<PartRow>({
  tenant: tenantId, vault: vaultId, sizeBytes: uint(objectBytesMax), etag, etagIsMd5: flag, modified: uint64,
  checksum: optional(checksum), manifest
}))

/** An upload that was completed or aborted and whose parts are still to go; a completed one remembers its answer. */
export interface EndedUploadRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly bucket: BucketId
  readonly key: string
  readonly completed?: {
    readonly parts: ReadonlyArray<number>
    readonly versionId?: string
    readonly etag: string
    readonly checksum?: Checksum
  }
}
export const endedUploadRow = row<EndedUploadRow>("ended upload row", struct<EndedUploadRow>({
  tenant: tenantId, vault: vaultId, bucket: bucketId, key: objectKey,
  completed: optional(struct<NonNullable<EndedUploadRow["completed"]>>({
    parts: list(partNumber, partNumberMax), versionId: optional(text(64)), etag, checksum: optional(checksum)
  }))
}))

/** Copies first to last; journal copies before block copies is no rule. */
export interface ChunkValue {
  readonly sizeBytes: number
  readonly sealedHash: Hash
  readonly references: number
  readonly copies: ReadonlyArray<Copy>
  /** Since when nothing names it. Rows of format 1 with no references say nothing of it. */
  readonly condemnedAt?: Sequence
}

const chunkFields = { sizeBytes: uint(objectBytesMax), sealedHash: hash }
const copies = list(copy, copiesMax)
const named = struct<Omit<ChunkValue, "condemnedAt">>({ ...chunkFields, references: uint(), copies })
/** Format 2: what is condemned has no references. */
const condemned = struct<Omit<ChunkValue, "references"> & { readonly condemnedAt: Sequence }>({ ...chunkFields, condemnedAt: sequence, copies })
export const chunkRow = rowOfFormats<ChunkValue>("chunk row", [
  named,
  {
    write: (value) => {
      assert(value.references === 0 && value.condemnedAt !== undefined, "what is condemned has no references")
      return condemned.write({ ...value, condemnedAt: value.condemnedAt })
    },
    read: (node, at) => ({ references: 0, ...condemned.read(node, at) })
  }
], ({ condemnedAt }) => condemnedAt === undefined ? 1 : 2)

/** A row whose key says all. */
export const condemnedRow = row<object>("condemned row", struct({}))
/** Every chunk has its rows of regions and condemnation, and counts in the totals. */
export const gcRow = row<object>("gc row", struct({}))

/** A copy that lies in a block. */
export interface RegionRow {
  readonly vault: VaultId
  readonly chunk: ChunkId
  readonly lengthBytes: number
}
export const regionRow = row<RegionRow>("region row", struct({ vault: vaultId, chunk: chunkId, lengthBytes: uint() }))

const regionLengthField = uint()

/** The length alone, for sums over whole stores, whose rows name what nobody asks for; throws FormatError where there is none. */
export const regionLengthOf = (bytes: Uint8Array): number => {
  const reader = new CborReader(bytes)
  reader.enter()
  formatNumber.read(reader.read(), "region row.format")
  reader.enter()
  // Vault, chunk.
  reader.skip(2)
  return regionLengthField.read(reader.read(), "region row.lengthBytes")
}

/** Bytes of a block that were seen to be nobody's: a hint which block to look at. */
export interface DeadRow {
  readonly bytes: number
}
export const deadRow = row<DeadRow>("dead row", struct({ bytes: uint() }))

export interface JournaledRow {
  readonly vault: VaultId
  readonly chunk: ChunkId
}
export const journaledRow = row<JournaledRow>("journaled row", struct({ vault: vaultId, chunk: chunkId }))

export interface BlockRow {
  readonly tenant: TenantId
  readonly vault: VaultId
  readonly sizeBytes: number
  readonly hash: Hash
  readonly regions: number
  readonly incarnation: Sequence
}
export const blockRow = row<BlockRow>("block row", struct({
  tenant: tenantId, vault: vaultId, sizeBytes: uint(), hash, regions: uint(), incarnation: sequence
}))

/** A manifest page that holds references to what it lists. */
export interface StagedPageRow {
  readonly level: number
  readonly entries: ReadonlyArray<ManifestEntry>
}
export const stagedPageRow = row<StagedPageRow>("staged page row", struct({ level: manifestLevel, entries: manifestEntries }))
