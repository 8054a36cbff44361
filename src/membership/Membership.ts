/**
 * Membership: who belongs to a cluster, as all its members know it: the record and every change of it, pure, so that whoever replicates it comes to the same. Between
 * the operators' words and asks of nodes (MembershipService) and whoever wants to know whose certificate counts and where a node is.
 *
 * 1. Every change of who belongs, and of where one of them is, is an epoch of its own: of two tables the later is known by it.
 * 2. A node comes in under a token that an operator has approved, or had approved ahead, and under one only.
 * 3. The last member stays, and the last that is not leaving. A certificate of one that went is taken back, and what it waits for under its token is denied.
 * 4. A change that is made twice in a row changes nothing the second time: whoever did not hear its answer makes it again. But for Gone, which is then refused.
 */
import { equalBytes } from "../base/bytes.ts"
import { assert, unreachable } from "../base/assert.ts"
import { membersMax } from "../base/clusterLimits.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { checkAuthority, checkCertificate, createAuthority, issueCertificate, type Issuing, sealAuthorityFor } from "./Authority.ts"
import { readCertificate } from "./Certificate.ts"
import { type ClusterId, type Identity, type NodeId, nodeIdOf, type PublicIdentity } from "./Identity.ts"
import { askedToJoin, decide, emptyJoinBook, invite, type JoinBook } from "./JoinBook.ts"
import type { JoinToken } from "./JoinToken.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"
import { type JoinAsk, type Member, memberIdentityOf, memberOf } from "./Message.ts"
import { noRevocations, type RevocationList, signRevocations } from "./Revocations.ts"

export interface MemberRow {
  readonly member: Member
  readonly certificate: Uint8Array
  /** The one before the last renewal: good for a while yet. */
  readonly earlier: Uint8Array | undefined
  /** The authority's seed, for this member alone. */
  readonly sealedAuthority: Uint8Array
  /** Under which it came in; undefined: it made the cluster. */
  readonly token: string | undefined
  /** It shall go: who leads takes its replica out of the configuration, and then it is Gone. `isForced`: without what it holds being handed over. */
  readonly leaving: { readonly isForced: boolean } | undefined
}

export interface MembershipRecord {
  readonly cluster: ClusterId
  /** Rises with every change of who belongs. */
  readonly epoch: number
  readonly authority: Uint8Array
  /** 1 to membersMax. */
  readonly members: ReadonlyMap<NodeId, MemberRow>
  readonly book: JoinBook
  readonly revocations: RevocationList
  readonly signedRevocations: Uint8Array
}

export type MembershipChange =
  /** The first of all (foundCluster). */
  | { readonly _tag: "Founded"; readonly record: MembershipRecord }
  | { readonly _tag: "Invited"; readonly token: JoinToken; readonly isApproved: boolean; readonly atMs: number }
  | { readonly _tag: "JoinAsked"; readonly node: NodeId; readonly ask: JoinAsk; readonly atMs: number }
  | { readonly _tag: "Decided"; readonly node: NodeId; readonly standing: "Approved" | "Denied" }
  | { readonly _tag: "Admitted"; readonly node: NodeId; readonly token: string; readonly certificate: Uint8Array; readonly sealedAuthority: Uint8Array }
  | { readonly _tag: "Renewed"; readonly node: NodeId; readonly certificate: Uint8Array }
  /** It is to be found elsewhere from now on. */
  | { readonly _tag: "Moved"; readonly node: NodeId; readonly addresses: ReadonlyArray<string> }
  /** By its own word or an operator's: a member still, and not for long. */
  | { readonly _tag: "Leaving"; readonly node: NodeId; readonly isForced: boolean }
  /** `revocations`: the list that follows on the record's. */
  | { readonly _tag: "Gone"; readonly node: NodeId; readonly revocations: RevocationList; readonly signedRevocations: Uint8Array }

const refuse = refusalOf("message")

export interface Founding {
  readonly pairs: KeyPairsService
  readonly cluster: ClusterId
  readonly identity: Identity
  readonly authoritySeed: Uint8Array
  /** 16 fresh random bytes each. */
  readonly serials: readonly [authority: Uint8Array, certificate: Uint8Array]
  readonly name: string
  readonly addresses: ReadonlyArray<string>
  readonly nowMs: number
}

/** `cluster init`: a cluster of one node. */
export const foundCluster = ({ addresses, authoritySeed, cluster, identity, name, nowMs, pairs, serials }: Founding): MembershipRecord => {
  const issuing = (at: 0 | 1): Issuing => ({ serial: serials[at], nowMs })
  const authority = createAuthority(pairs, cluster, authoritySeed, issuing(0))
  const sealedAuthority = sealAuthorityFor(pairs, cluster, authoritySeed, identity.shown)
  assert(!(sealedAuthority instanceof MembershipError), "a node's own agreement key is one")
  const row: MemberRow = {
    member: memberOf(identity.shown, { name, addresses, sinceEpoch: 1 }), certificate: issueCertificate(authority, identity.shown, issuing(1)), earlier: undefined, sealedAuthority, token: undefined, leaving: undefined
  }
  const revocations = noRevocations(cluster)
  return { cluster, epoch: 1, authority: authority.certificate, members: new Map([[identity.id, row]]), book: emptyJoinBook, revocations, signedRevocations: signRevocations(authority, revocations) }
}

/** The record after it, or why it is refused; then nothing has changed. Undefined: nothing was founded yet. */
export const applyMembership = (record: MembershipRecord | undefined, change: MembershipChange): MembershipRecord | MembershipError => {
  if (change._tag === "Founded") return founded(record, change.record)
  if (record === undefined) return refuse("NotYet", "the cluster has not begun: `ouroboros cluster init`")
  switch (change._tag) {
    case "Invited":
      return withBook(record, invite(record.book, change.token, change.isApproved, change.atMs))
    case "JoinAsked": {
      const asked = askedToJoin(record.book, change.node, change.ask, change.atMs)
      return asked instanceof MembershipError ? asked : withBook(record, asked[0])
    }
    case "Decided":
      return withBook(record, decide(record.book, change.node, change.standing))
    case "Admitted":
      return admitted(record, change)
    case "Renewed":
      return renewed(record, change)
    case "Moved":
      return moved(record, change)
    case "Leaving":
      return leaving(record, change)
    case "Gone":
      return gone(record, change)
    default:
      return unreachable(change)
  }
}

const withBook = (record: MembershipRecord, book: JoinBook | MembershipError): MembershipRecord | MembershipError => (book instanceof MembershipError ? book : { ...record, book })

/** Whose authority it is says which founding it was, whatever has changed since. */
const founded = (record: MembershipRecord | undefined, first: MembershipRecord): MembershipRecord | MembershipError => {
  if (record === undefined) return first
  return record.cluster === first.cluster && equalBytes(record.authority, first.authority) ? record : refuse("Foreign", `the cluster has begun already, as ${record.cluster}`)
}

const noMember = (node: NodeId): MembershipError => refuse("Unknown", `node ${node} is no member: see \`ouroboros cluster status\``)

const admitted = (record: MembershipRecord, { certificate, node, sealedAuthority, token }: Extract<MembershipChange, { readonly _tag: "Admitted" }>): MembershipRecord | MembershipError => {
  const by = record.book.invited.get(token)?.by
  if (by?.node !== node || by.standing !== "Approved") return refuse("Unknown", `node ${node} was not approved under the join token ${token}`)
  // Two that answered the same ask: the first has come true.
  if (record.members.get(node)?.token === token) return record
  if (record.members.get(node)?.leaving !== undefined) return refuse("NotYet", `node ${node} is leaving: it comes in again once it has gone`)
  if (record.members.size >= membersMax && !record.members.has(node)) return refuse("Full", `${membersMax} members: remove one that is gone (\`ouroboros cluster remove\`)`)
  const epoch = record.epoch + 1
  const { addresses, identity, name } = by.ask
  const row: MemberRow = { member: { identity, name, addresses, sinceEpoch: epoch }, certificate, earlier: record.members.get(node)?.certificate, sealedAuthority, token, leaving: undefined }
  return { ...record, epoch, members: new Map(record.members).set(node, row) }
}

const withRow = (record: MembershipRecord, node: NodeId, row: MemberRow): MembershipRecord => ({ ...record, members: new Map(record.members).set(node, row) })

const renewed = (record: MembershipRecord, { certificate, node }: Extract<MembershipChange, { readonly _tag: "Renewed" }>): MembershipRecord | MembershipError => {
  const row = record.members.get(node)
  if (row === undefined) return noMember(node)
  // Made again it must not push the one before out.
  const isKnown = equalBytes(row.certificate, certificate) || (row.earlier !== undefined && equalBytes(row.earlier, certificate))
  return isKnown ? record : withRow(record, node, { ...row, certificate, earlier: row.certificate })
}

const moved = (record: MembershipRecord, { addresses, node }: Extract<MembershipChange, { readonly _tag: "Moved" }>): MembershipRecord | MembershipError => {
  const row = record.members.get(node)
  if (row === undefined) return noMember(node)
  if (addresses.length === 0 || addresses.some((text) => addressOf(text) === undefined)) return refuse("Malformed", `node ${node} cannot be found at "${addresses.join(", ")}": HOST:PORT is meant`)
  if (row.member.addresses.join() === addresses.join()) return record
  return { ...withRow(record, node, { ...row, member: { ...row.member, addresses } }), epoch: record.epoch + 1 }
}

const leaving = (record: MembershipRecord, { isForced, node }: Extract<MembershipChange, { readonly _tag: "Leaving" }>): MembershipRecord | MembershipError => {
  const row = record.members.get(node)
  if (row === undefined) return noMember(node)
  if (row.leaving !== undefined && (row.leaving.isForced || !isForced)) return record
  const isLast = [...record.members].every(([id, other]) => id === node || other.leaving !== undefined)
  return isLast ? refuse("Full", "the last member that is not leaving stays: stop it instead") : withRow(record, node, { ...row, leaving: { isForced } })
}

const gone = (record: MembershipRecord, { node, revocations, signedRevocations }: Extract<MembershipChange, { readonly _tag: "Gone" }>): MembershipRecord | MembershipError => {
  if (!record.members.has(node)) return noMember(node)
  if (record.members.size === 1) return refuse("Full", "the last member stays: stop it instead")
  if (revocations.number <= record.revocations.number) return refuse("Expired", "other certificates were taken back meanwhile: ask again")
  const members = new Map(record.members)
  members.delete(node)
  const invited = new Map([...record.book.invited].map(([id, entry]) => [id, entry.by?.node === node ? { ...entry, by: { ...entry.by, standing: "Denied" as const } } : entry]))
  return { ...record, epoch: record.epoch + 1, members, book: { invited }, revocations, signedRevocations }
}

/** Whose certificate that is, by the record as it is, or why it does not count. For TLS, whose own validation comes before. */
export const judgeCertificate = (pairs: KeyPairsService, record: MembershipRecord, bytes: Uint8Array, nowMs: number): { readonly node: NodeId } | { readonly refused: string } => {
  const authority = checkAuthority(pairs, record.authority, nowMs)
  const certificate = authority instanceof MembershipError ? authority : checkCertificate(pairs, authority, bytes, nowMs, record.revocations)
  if (certificate instanceof MembershipError) return { refused: certificate.message }
  const { node } = certificate
  return node !== undefined && record.members.has(node) ? { node } : { refused: `node ${node} is no member` }
}

/** Whether this is the certificate of any node of the cluster whose authority that is; undefined: it is. For who asks to join, and knows no member yet. */
export const whyNoMember = (pairs: KeyPairsService, authority: Uint8Array, bytes: Uint8Array, nowMs: number): string | undefined => {
  const read = checkAuthority(pairs, authority, nowMs)
  const certificate = read instanceof MembershipError ? read : checkCertificate(pairs, read, bytes, nowMs, undefined)
  return certificate instanceof MembershipError ? certificate.message : undefined
}

/** For the carrier: its Members. Frames of epochs before a node went are its own affair: it is no peer any more. */
export const identitiesIn = ({ epoch, members }: Pick<MembershipRecord, "epoch" | "members">): { readonly epoch: number; readonly epochLeast: number; readonly identities: ReadonlyMap<NodeId, PublicIdentity> } => {
  const identities = new Map<NodeId, PublicIdentity>()
  for (const [id, { member }] of members) {
    const shown = memberIdentityOf(member)
    assert(shown !== undefined && nodeIdOf(shown) === id, "a member's row has its identity")
    identities.set(id, shown)
  }
  return { epoch, epochLeast: 0, identities }
}

/** host:port, with brackets around IPv6; undefined: no address. */
export const addressOf = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):(\d{1,5})$/.exec(text) ?? []
  const number = Number(port)
  return host === undefined || number < 1 || number > 65_535 ? undefined : { host: host.replace(/^\[|\]$/g, ""), port: number }
}

/** Where a member says that it is to be found: the first that can be read. */
export const addressIn = ({ members }: Pick<MembershipRecord, "members">, node: NodeId): { readonly host: string; readonly port: number } | undefined => {
  for (const text of members.get(node)?.member.addresses ?? []) {
    const address = addressOf(text)
    if (address !== undefined) return address
  }
  return undefined
}

/** The certificates of a member that have not expired by themselves. */
export const certificatesOf = ({ certificate, earlier }: MemberRow, nowMs: number) =>
  [certificate, earlier].flatMap((bytes) => {
    const read = bytes === undefined ? undefined : readCertificate(bytes)
    return read === undefined || read instanceof MembershipError || read.notAfterMs < nowMs ? [] : [read]
  })
