/**
 * MembershipService: lets nodes in and out: tokens for those who shall join, answers to those who ask, an operator's words, certificates. Between the command line and the
 * messages of nodes on one side and the record of members (MembershipStore) on the other. Every member can: each holds the authority, sealed for itself.
 */
import { Clock, Effect } from "effect"
import { unreachable } from "../base/assert.ts"
import { joinAskAgainMs } from "../base/clusterLimits.ts"
import { toHex } from "../base/bytes.ts"
import type { EntropyService } from "../ports/Entropy.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { authorityHashOf, type Authority, isRenewalDue, issueCertificate, openAuthority, openAuthoritySeed, sealAuthorityFor } from "./Authority.ts"
import { readCertificate } from "./Certificate.ts"
import type { Identity, NodeId } from "./Identity.ts"
import { pendingIn, tokenIn } from "./JoinBook.ts"
import { type JoinToken, tokenIdBytes, tokenSecretBytes } from "./JoinToken.ts"
import { certificatesOf, type MembershipRecord, type MemberRow } from "./Membership.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"
import type { MembershipStore, MembershipStoreError } from "./MembershipStoreService.ts"
import { type Answer, type HeardAsk, type JoinAsk, proveAnswer, readAsk } from "./Message.ts"
import { revoke, signRevocations } from "./Revocations.ts"

export type MembershipFailure = MembershipError | MembershipStoreError

export interface Pending {
  readonly node: NodeId
  readonly name: string
  readonly addresses: ReadonlyArray<string>
  readonly program: string
  readonly askedMs: number
}

export interface MembershipInterface {
  /** `isApproved`: let in whoever shows it, without an operator's look. */
  readonly invite: (options: { readonly lifeMs: number; readonly isApproved: boolean }) => Effect.Effect<JoinToken, MembershipFailure>
  readonly pending: Effect.Effect<ReadonlyArray<Pending>, MembershipFailure>
  readonly approve: (node: NodeId) => Effect.Effect<void, MembershipFailure>
  readonly deny: (node: NodeId) => Effect.Effect<void, MembershipFailure>
  /** Takes its certificates back. */
  readonly remove: (node: NodeId) => Effect.Effect<MembershipRecord, MembershipFailure>
  /** Of a SignedAsk, the bytes of its answer. What fails is answered with nothing: whoever asked has proven nothing. */
  readonly answer: (asked: Uint8Array) => Effect.Effect<Uint8Array, MembershipFailure>
}

export interface MembershipOptions {
  readonly self: Identity
  readonly pairs: KeyPairsService
  readonly entropy: EntropyService
  readonly store: MembershipStore
}

const refuse = refusalOf("message")

/** An error that came as a value. */
const right = <A>(value: A | MembershipError): Effect.Effect<A, MembershipError> => (value instanceof MembershipError ? Effect.fail(value) : Effect.succeed(value))

export const makeMembership = (options: MembershipOptions): MembershipInterface => ({
  invite: (how) => invite(options, how),
  pending: Effect.map(options.store.read, ({ book }) => pendingIn(book).map(({ ask, node }) => ({ node, name: ask.name, addresses: ask.addresses, program: ask.program, askedMs: ask.atMs }))),
  approve: (node) => Effect.asVoid(options.store.change({ _tag: "Decided", node, standing: "Approved" })),
  deny: (node) => Effect.asVoid(options.store.change({ _tag: "Decided", node, standing: "Denied" })),
  remove: (node) => remove(options, node),
  answer: (asked) => answer(options, asked)
})

const invite = Effect.fnUntraced(function*({ entropy, store }: MembershipOptions, { isApproved, lifeMs }: { readonly lifeMs: number; readonly isApproved: boolean }) {
  const { authority, cluster } = yield* store.read
  const atMs = yield* Clock.currentTimeMillis
  const token: JoinToken = { cluster, authority: authorityHashOf(authority), id: toHex(entropy.bytes(tokenIdBytes)), secret: entropy.bytes(tokenSecretBytes), expiresMs: Math.floor(atMs + lifeMs) }
  yield* store.change({ _tag: "Invited", token, isApproved, atMs })
  return token
})

const rowOf = ({ members }: MembershipRecord, node: NodeId): MemberRow | MembershipError => members.get(node) ?? refuse("Unknown", `node ${node} is no member`)

const authorityFor = Effect.fnUntraced(function*({ pairs, self }: MembershipOptions, record: MembershipRecord): Effect.fn.Return<Authority, MembershipError> {
  const { sealedAuthority } = yield* right(rowOf(record, self.id))
  return yield* right(openAuthority(pairs, record.authority, record.cluster, sealedAuthority, self))
})

const remove = Effect.fnUntraced(function*(options: MembershipOptions, node: NodeId) {
  const { store } = options
  const record = yield* store.read
  const nowMs = yield* Clock.currentTimeMillis
  let { revocations } = record
  for (const certificate of certificatesOf(yield* right(rowOf(record, node)), nowMs)) revocations = yield* right(revoke(revocations, certificate, nowMs))
  // Of one whose certificates have all expired nothing is to be taken back; the list is another one all the same.
  if (revocations.number === record.revocations.number) revocations = { ...revocations, number: revocations.number + 1 }
  const signedRevocations = signRevocations(yield* authorityFor(options, record), revocations)
  return yield* store.change({ _tag: "Gone", node, revocations, signedRevocations })
})

const answer = Effect.fnUntraced(function*(options: MembershipOptions, asked: Uint8Array) {
  const { pairs, store } = options
  const { book } = yield* store.read
  const nowMs = yield* Clock.currentTimeMillis
  const heard = yield* right(readAsk(pairs, asked, (id) => tokenIn(book, id, nowMs), nowMs))
  switch (heard.ask._tag) {
    case "JoinAsk": {
      const token = yield* right(tokenIn(book, heard.ask.token, nowMs))
      return proveAnswer(yield* joinAnswer(options, heard, heard.ask, nowMs), token)
    }
    case "LeaveAsk":
      return proveAnswer(yield* leaveAnswer(options, heard, heard.ask.epoch), undefined)
    case "RenewAsk":
      return proveAnswer(yield* renewAnswer(options, heard, nowMs), undefined)
    default:
      return unreachable(heard.ask)
  }
})

/** Who asks has shown the token: what an operator or the record says against it may be told. */
const joinAnswer = Effect.fnUntraced(function*(options: MembershipOptions, { from, hash, shown }: HeardAsk, ask: JoinAsk, atMs: number): Effect.fn.Return<Answer, MembershipFailure> {
  const { store } = options
  const { cluster } = ask
  const entered = yield* Effect.result(store.change({ _tag: "JoinAsked", node: from, ask, atMs }))
  if (entered._tag === "Failure") {
    const error = entered.failure
    if (error instanceof MembershipError) return { _tag: "Denied", version: 1, cluster, ask: hash, why: error.message.slice(0, 256) }
    return yield* error
  }
  const record = entered.success
  const standing = record.book.invited.get(ask.token)?.by?.standing
  if (standing === "Pending") return { _tag: "JoinPending", version: 1, cluster, ask: hash, authority: record.authority, askAgainMs: joinAskAgainMs }
  if (standing !== "Approved") return { _tag: "Denied", version: 1, cluster, ask: hash, why: "an operator has said no" }
  const { authority, epoch, members, signedRevocations } = yield* admit(options, record, from, ask.token, shown)
  const { certificate, sealedAuthority } = yield* right(rowOf({ ...record, members }, from))
  return {
    _tag: "Admitted", version: 1, cluster, ask: hash, authority, certificate, sealedAuthority, epoch, members: [...members.values()].map(({ member }) => member), revocations: signedRevocations
  }
})

/** Once: whoever did not hear the answer gets the same certificate when it asks again. */
const admit = Effect.fnUntraced(function*(options: MembershipOptions, record: MembershipRecord, node: NodeId, token: string, shown: HeardAsk["shown"]): Effect.fn.Return<MembershipRecord, MembershipFailure> {
  const { entropy, pairs, self, store } = options
  if (record.members.get(node)?.token === token) return record
  const authority = yield* authorityFor(options, record)
  const own = yield* right(rowOf(record, self.id))
  const seed = yield* right(openAuthoritySeed(record.cluster, own.sealedAuthority, self))
  const sealedAuthority = yield* right(sealAuthorityFor(pairs, record.cluster, seed, shown))
  const certificate = issueCertificate(authority, shown, { serial: entropy.bytes(16), nowMs: yield* Clock.currentTimeMillis })
  return yield* store.change({ _tag: "Admitted", node, token, certificate, sealedAuthority })
})

/** It is a member until whoever leads has taken its replica out. It knows the epoch in which it is one: what it said in an earlier membership is not said again. */
const leaveAnswer = Effect.fnUntraced(function*(options: MembershipOptions, { ask, from, hash }: HeardAsk, epoch: number): Effect.fn.Return<Answer, MembershipFailure> {
  const record = yield* options.store.read
  const { member } = yield* right(rowOf(record, from))
  if (ask.cluster !== record.cluster) return yield* refuse("Foreign", `of cluster ${ask.cluster}`)
  if (epoch < member.sinceEpoch) return yield* refuse("Expired", `asked in epoch ${epoch}, before it was a member again`)
  const { epoch: after } = yield* options.store.change({ _tag: "Leaving", node: from, isForced: false })
  return { _tag: "Left", version: 1, cluster: record.cluster, ask: hash, epoch: after }
})

/** Before it is due the one that there is. */
const renewAnswer = Effect.fnUntraced(function*(options: MembershipOptions, { ask, from, hash, shown }: HeardAsk, nowMs: number): Effect.fn.Return<Answer, MembershipFailure> {
  const { entropy, store } = options
  const record = yield* store.read
  const row = yield* right(rowOf(record, from))
  if (ask.cluster !== record.cluster) return yield* refuse("Foreign", `of cluster ${ask.cluster}`)
  const said = { version: 1, cluster: record.cluster, ask: hash } as const
  if (!isRenewalDue(yield* right(readCertificate(row.certificate)), nowMs)) return { _tag: "Renewed", ...said, certificate: row.certificate }
  const certificate = issueCertificate(yield* authorityFor(options, record), shown, { serial: entropy.bytes(16), nowMs })
  yield* store.change({ _tag: "Renewed", node: from, certificate })
  return { _tag: "Renewed", ...said, certificate }
})
