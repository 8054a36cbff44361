/**
 * MembersTable: the record of a cluster's members as rows of the one table: what is common, one row for each member, one for each token, and what was taken back.
 * Between membership, which says what a change comes to, and apply. Pure.
 *
 * 1. The record is its rows: every replica judges a change by what it reads there, whatever it knew before.
 * 2. Only what changed is written.
 */
import { copyOf } from "../base/bytes.ts"
import type { NodeId } from "../membership/Identity.ts"
import { applyMembership, type MemberRow, type MembershipRecord } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import { commonFormat, decodeMembershipChange, invitedFormat, memberFormat, revocationsFormat } from "../membership/RecordFormat.ts"
import type { Invited } from "../membership/JoinBook.ts"
import { FormatError } from "../namespace/Canonical.ts"
import type { RowChange, RowKey, StateReader } from "../namespace/State.ts"
import { invitedKey, invitedRange, memberKey, memberRange, membersKey, revocationsKey, signedRevocationsKey } from "./ReplicaRows.ts"

/** Rows that this program cannot read are of a newer one, or damaged: the replica stops (R9). */
const read = <A>(value: A | MembershipError): A => {
  if (value instanceof MembershipError) throw new FormatError(value.message)
  return value
}

const present = (bytes: Uint8Array | undefined, what: string): Uint8Array => {
  if (bytes === undefined) throw new FormatError(`the record of members is without its ${what}`)
  return bytes
}

/** Undefined: none was founded. Throws FormatError. */
export const recordOf = (state: StateReader): MembershipRecord | undefined => {
  const common = state.get(membersKey)
  if (common === undefined) return undefined
  const members = new Map<NodeId, MemberRow>()
  for (const [, bytes] of state.scan(...memberRange)) members.set(...read(memberFormat.decode(bytes)))
  const invited = new Map<string, Invited>()
  for (const [, bytes] of state.scan(...invitedRange)) {
    const entry = read(invitedFormat.decode(bytes))
    invited.set(entry.token.id, entry)
  }
  const signedRevocations = present(state.get(signedRevocationsKey), "signed list of what was taken back")
  return { ...read(commonFormat.decode(common)), members, book: { invited }, revocations: read(revocationsFormat.decode(present(state.get(revocationsKey), "list of what was taken back"))), signedRevocations: copyOf(signedRevocations) }
}

/** What was under a key before and is not after goes; what is another value than before is written. */
const changesOf = <A>(before: ReadonlyMap<string, A> | undefined, after: ReadonlyMap<string, A>, keyOf: (id: string) => RowKey, encode: (id: string, value: A) => Uint8Array): ReadonlyArray<RowChange> => [
  ...[...(before?.keys() ?? [])].filter((id) => !after.has(id)).map((id): RowChange => [keyOf(id), undefined]),
  ...[...after].filter(([id, value]) => before?.get(id) !== value).map(([id, value]): RowChange => [keyOf(id), encode(id, value)])
]

const rowsOf = (before: MembershipRecord | undefined, after: MembershipRecord): ReadonlyArray<RowChange> => {
  const rows: Array<RowChange> = []
  if (before?.epoch !== after.epoch || before.authority !== after.authority) rows.push([membersKey, commonFormat.encode(after)])
  rows.push(...changesOf(before?.members, after.members, memberKey, (id, row) => memberFormat.encode([id as NodeId, row])))
  rows.push(...changesOf(before?.book.invited, after.book.invited, invitedKey, (_, entry) => invitedFormat.encode(entry)))
  if (before?.revocations !== after.revocations) rows.push([revocationsKey, revocationsFormat.encode(after.revocations)], [signedRevocationsKey, after.signedRevocations])
  return rows
}

export interface AppliedChange {
  readonly rows: ReadonlyArray<RowChange>
  /** The record after it, where that is another. */
  readonly record: MembershipRecord | undefined
  readonly refused: MembershipError | undefined
}

/** Throws FormatError where this program cannot read the change, or the rows. */
export const applyMembers = (state: StateReader, bytes: Uint8Array): AppliedChange => {
  const change = read(decodeMembershipChange(bytes))
  const before = recordOf(state)
  const after = applyMembership(before, change)
  if (after instanceof MembershipError) return { rows: [], record: undefined, refused: after }
  const rows = after === before ? [] : rowsOf(before, after)
  return { rows, record: rows.length === 0 ? undefined : after, refused: undefined }
}
