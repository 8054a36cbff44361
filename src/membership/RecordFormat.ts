/**
 * RecordFormat: the bytes of the record of members, of its parts and of its changes: [version 1, value], deterministic CBOR by schema (Wire). Between Membership and whoever
 * keeps the record or brings a change to the log.
 *
 * 1. A node's id is not written beside its identity: it is the hash of that.
 * 2. Members and tokens are in the order of their ids: one record has one form.
 */
import { Schema } from "effect"
import { assert } from "../base/assert.ts"
import { joinTokensMax, membershipChangeBytesMax, membershipRecordBytesMax, membersMax } from "../base/clusterLimits.ts"
import { sealedSeedBytes } from "./Authority.ts"
import { decodePublicIdentity, nodeIdOf, type NodeId } from "./Identity.ts"
import type { Invited } from "./JoinBook.ts"
import { tokenSecretBytes } from "./JoinToken.ts"
import type { MemberRow, MembershipChange, MembershipRecord } from "./Membership.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"
import { JoinAsk, MemberField } from "./Message.ts"
import { RevocationsField } from "./Revocations.ts"
import { AddressesField, CertificateField, ClusterIdField, CountField, decodeRecord, encodeRecord, FixedBytes, HexField, NodeIdField } from "./Wire.ts"

const refuse = refusalOf("record")
const version = 1

const SealedAuthority = FixedBytes(sealedSeedBytes, "sealed authority")
const TokenId = HexField(32)
/** The list is of revocationsMax at most: so are its bytes. */
const SignedField = Schema.Uint8Array.check(Schema.makeFilter(({ length }) => length <= membershipChangeBytesMax))

const Row = Schema.Struct({
  member: MemberField, certificate: CertificateField, earlier: Schema.NullOr(CertificateField), sealedAuthority: SealedAuthority, token: Schema.NullOr(TokenId),
  leaving: Schema.NullOr(Schema.Struct({ isForced: Schema.Boolean }))
})
const Token = Schema.Struct({ cluster: ClusterIdField, authority: HexField(64), id: TokenId, secret: FixedBytes(tokenSecretBytes, "secret"), expiresMs: CountField })
const Entry = Schema.Struct({
  token: Token, isApproved: Schema.Boolean, by: Schema.NullOr(Schema.Struct({ ask: JoinAsk, standing: Schema.Literals(["Pending", "Approved", "Denied"]) }))
})
const Common = Schema.Struct({ cluster: ClusterIdField, epoch: CountField, authority: CertificateField })
const Whole = Schema.Struct({
  common: Common, members: Schema.Array(Row).check(Schema.isMinLength(1), Schema.isMaxLength(membersMax)), invited: Schema.Array(Entry).check(Schema.isMaxLength(joinTokensMax)),
  revocations: RevocationsField, signedRevocations: SignedField
})
const Change = Schema.Union([
  Schema.TaggedStruct("Founded", { record: Whole }),
  Schema.TaggedStruct("Invited", { token: Token, isApproved: Schema.Boolean, atMs: CountField }),
  Schema.TaggedStruct("JoinAsked", { ask: JoinAsk, atMs: CountField }),
  Schema.TaggedStruct("Decided", { node: NodeIdField, standing: Schema.Literals(["Approved", "Denied"]) }),
  Schema.TaggedStruct("Admitted", { node: NodeIdField, token: TokenId, certificate: CertificateField, sealedAuthority: SealedAuthority }),
  Schema.TaggedStruct("Renewed", { node: NodeIdField, certificate: CertificateField }),
  Schema.TaggedStruct("Moved", { node: NodeIdField, addresses: AddressesField }),
  Schema.TaggedStruct("Leaving", { node: NodeIdField, isForced: Schema.Boolean }),
  Schema.TaggedStruct("Gone", { node: NodeIdField, revocations: RevocationsField, signedRevocations: SignedField })
])

/** Bytes of a value, and back: a value, or why these are none. */
export interface RecordFormat<A> {
  readonly encode: (value: A) => Uint8Array
  readonly decode: (bytes: Uint8Array) => A | MembershipError
}

const formatOf = <A, Stored, Written>(schema: Schema.Codec<Stored, Written>, bytesMax: number, store: (value: A) => Stored, restore: (stored: Stored) => A | MembershipError): RecordFormat<A> => {
  const Versioned = Schema.Tuple([CountField, Schema.Unknown])
  const Known = Schema.Tuple([Schema.Literal(version), schema])
  return {
    encode: (value) => {
      const bytes = encodeRecord([version, store(value)])
      assert(bytes.length <= bytesMax, `${bytes.length} bytes of the record of members, at most ${bytesMax}`)
      return bytes
    },
    decode: (bytes) => {
      const known = decodeRecord(Known, bytes, bytesMax)
      if (typeof known !== "string") return restore(known[1])
      const outer = decodeRecord(Versioned, bytes, bytesMax)
      return typeof outer === "string" || outer[0] === version ? refuse("Malformed", known) : refuse("UnknownFormat", `version ${outer[0]} of the record of members: this program knows version ${version}`)
    }
  }
}

const idOf = (identity: Uint8Array): NodeId | MembershipError => {
  const shown = decodePublicIdentity(identity)
  return shown === undefined ? refuse("UnknownFormat", "an identity is of another version") : nodeIdOf(shown)
}

type Keyed<A> = readonly [id: NodeId, value: A]

const storedRow = ([id, { earlier, leaving, token, ...row }]: Keyed<MemberRow>): typeof Row.Type => {
  assert(idOf(row.member.identity) === id, "a member's row has its identity")
  return { ...row, earlier: earlier ?? null, leaving: leaving ?? null, token: token ?? null }
}

const restoredRow = ({ earlier, leaving, token, ...row }: typeof Row.Type): Keyed<MemberRow> | MembershipError => {
  const id = idOf(row.member.identity)
  return id instanceof MembershipError ? id : [id, { ...row, earlier: earlier ?? undefined, leaving: leaving ?? undefined, token: token ?? undefined }]
}

const storedInvited = ({ by, ...entry }: Invited): typeof Entry.Type => {
  assert(by === undefined || idOf(by.ask.identity) === by.node, "who has shown a token has its identity")
  return { ...entry, by: by === undefined ? null : { ask: by.ask, standing: by.standing } }
}

const restoredInvited = ({ by, ...entry }: typeof Entry.Type): Invited | MembershipError => {
  if (by === null) return { ...entry, by: undefined }
  const node = idOf(by.ask.identity)
  return node instanceof MembershipError ? node : { ...entry, by: { node, ...by } }
}

/** One member, and whose it is. */
export const memberFormat: RecordFormat<Keyed<MemberRow>> = formatOf(Row, membershipChangeBytesMax, storedRow, restoredRow)
/** One token that is outstanding. */
export const invitedFormat: RecordFormat<Invited> = formatOf(Entry, membershipChangeBytesMax, storedInvited, restoredInvited)
/** What all members have in common, and changes with each epoch. */
export const commonFormat: RecordFormat<Pick<MembershipRecord, "cluster" | "epoch" | "authority">> = formatOf(Common, membershipChangeBytesMax, ({ authority, cluster, epoch }) => ({ authority, cluster, epoch }), (stored) => stored)
export const revocationsFormat: RecordFormat<MembershipRecord["revocations"]> = formatOf(RevocationsField, membershipChangeBytesMax, (list) => list, (stored) => stored)

const inOrder = <A>(map: ReadonlyMap<string, A>): ReadonlyArray<A> => [...map].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value)

const storedRecord = ({ authority, book, cluster, epoch, members, revocations, signedRevocations }: MembershipRecord): typeof Whole.Type => ({
  common: { authority, cluster, epoch }, members: inOrder(new Map([...members].map(([id, row]) => [id as string, storedRow([id, row])]))), invited: inOrder(book.invited).map(storedInvited),
  revocations, signedRevocations
})

const mapOf = <K extends string, A>(entries: ReadonlyArray<readonly [K, A] | MembershipError>): ReadonlyMap<K, A> | MembershipError => {
  const map = new Map<K, A>()
  let last = ""
  for (const entry of entries) {
    if (entry instanceof MembershipError) return entry
    if (entry[0] <= last) return refuse("Malformed", "members and tokens are in the order of their ids, each once")
    last = entry[0]
    map.set(...entry)
  }
  return map
}

const restoredRecord = ({ common, invited, members, revocations, signedRevocations }: typeof Whole.Type): MembershipRecord | MembershipError => {
  const rows = mapOf(members.map(restoredRow))
  if (rows instanceof MembershipError) return rows
  const tokens = mapOf(invited.map((stored) => {
    const entry = restoredInvited(stored)
    return entry instanceof MembershipError ? entry : [entry.token.id, entry] as const
  }))
  return tokens instanceof MembershipError ? tokens : { ...common, members: rows, book: { invited: tokens }, revocations, signedRevocations }
}

const recordFormat: RecordFormat<MembershipRecord> = formatOf(Whole, membershipRecordBytesMax, storedRecord, restoredRecord)

const storedChange = (change: MembershipChange): typeof Change.Type => {
  switch (change._tag) {
    case "Founded":
      return { _tag: "Founded", record: storedRecord(change.record) }
    case "JoinAsked":
      assert(idOf(change.ask.identity) === change.node, "who asks to join has its identity")
      return { _tag: "JoinAsked", ask: change.ask, atMs: change.atMs }
    default:
      return change
  }
}

const restoredChange = (stored: typeof Change.Type): MembershipChange | MembershipError => {
  switch (stored._tag) {
    case "Founded": {
      const record = restoredRecord(stored.record)
      return record instanceof MembershipError ? record : { _tag: "Founded", record }
    }
    case "JoinAsked": {
      const node = idOf(stored.ask.identity)
      return node instanceof MembershipError ? node : { ...stored, node }
    }
    default:
      return stored
  }
}

const changeFormat: RecordFormat<MembershipChange> = formatOf(Change, membershipChangeBytesMax, storedChange, restoredChange)

/** At most membershipRecordBytesMax. */
export const encodeMembershipRecord = recordFormat.encode
export const decodeMembershipRecord = recordFormat.decode
/** At most membershipChangeBytesMax. */
export const encodeMembershipChange = changeFormat.encode
export const decodeMembershipChange = changeFormat.decode
