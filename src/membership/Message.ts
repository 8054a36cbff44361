/**
 * Message: what nodes say about membership: asking to join, and being let in or not; leaving; renewing a certificate. Between the command line,
 * the leader that decides, and the carrier that brings it. Whoever asks signs with the identity that it asks for; whoever was
 * invited shows besides that it knows the token, and so does whoever answers.
 */
import { Schema } from "effect"
import { equalBytes } from "../base/bytes.ts"
import { askAgeMsMax, membershipBytesMax, membersMax } from "../base/clusterLimits.ts"
import { hashOf, keyedHash } from "../base/hash.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { authorityHashOf, checkAuthority, sealedSeedBytes } from "./Authority.ts"
import { decodePublicIdentity, encodePublicIdentity, type Identity, nodeIdOf, type NodeId, type PublicIdentity } from "./Identity.ts"
import { joinKey, type JoinToken } from "./JoinToken.ts"
import { MembershipError, refusalOf } from "./MembershipError.ts"
import {
  AddressesField, CertificateField, ClusterIdField, CountField, decodeRecord, encodeRecord, FixedBytes, HexField, NameField, PublicIdentityField, SignatureField, TextField
} from "./Wire.ts"

/** One member, as the list of all of them has it. */
export const MemberField = Schema.Struct({ identity: PublicIdentityField, name: NameField, addresses: AddressesField, sinceEpoch: CountField })
export type Member = typeof MemberField.Type

const version = Schema.Literal(1)
const asked = { version, cluster: ClusterIdField, nonce: FixedBytes(32, "nonce"), atMs: CountField }

/** May I join? Of a node that has a token. */
export const JoinAsk = Schema.TaggedStruct("JoinAsk", { ...asked, token: HexField(32), identity: PublicIdentityField, name: NameField, addresses: AddressesField, program: TextField(64) })
/** I go: I have handed over what I held (`drained`), or I have not, and it must be made anew from others. */
const LeaveAsk = Schema.TaggedStruct("LeaveAsk", { ...asked, identity: PublicIdentityField, epoch: CountField, drained: Schema.Boolean, why: TextField(256) })
/** My certificate is good for a while yet: another one, please. */
const RenewAsk = Schema.TaggedStruct("RenewAsk", { ...asked, identity: PublicIdentityField, serial: HexField(32) })

const answered = { version, cluster: ClusterIdField, ask: HexField(64) }
/** An operator has not decided yet: ask again after a while, with the same identity. */
const JoinPending = Schema.TaggedStruct("JoinPending", { ...answered, authority: CertificateField, askAgainMs: CountField })
const Denied = Schema.TaggedStruct("Denied", { ...answered, why: TextField(256) })
const Admitted = Schema.TaggedStruct("Admitted", {
  ...answered, authority: CertificateField, certificate: CertificateField, epoch: CountField,
  sealedAuthority: FixedBytes(sealedSeedBytes, "sealed authority"), members: Schema.Array(MemberField).check(Schema.isMaxLength(membersMax)), revocations: Schema.Uint8Array
})
const Left = Schema.TaggedStruct("Left", { ...answered, epoch: CountField })
const Renewed = Schema.TaggedStruct("Renewed", { ...answered, certificate: CertificateField })

const Ask = Schema.Union([JoinAsk, LeaveAsk, RenewAsk])
const Answer = Schema.Union([JoinPending, Denied, Admitted, Left, Renewed])
export type Ask = typeof Ask.Type
export type JoinAsk = typeof JoinAsk.Type
export type Answer = typeof Answer.Type
export type Admitted = typeof Admitted.Type

/** `mac`: under a key of the token; absent where no token is asked for. */
const SignedAsk = Schema.Struct({ ask: Schema.Uint8Array, signature: SignatureField, mac: Schema.NullOr(FixedBytes(32, "proof")) })
const ProvenAnswer = Schema.Struct({ answer: Schema.Uint8Array, mac: Schema.NullOr(FixedBytes(32, "proof")) })

const context = "ouroborosdb 2026 membership ask 1"
const refuse = refusalOf("message")

const macOf = (token: JoinToken, use: "ask" | "answer", bytes: Uint8Array): Uint8Array => keyedHash(joinKey(token, use))(bytes)

/** By it an answer says what it answers. 64 hex digits. */
export const askHashOf = (bytes: Uint8Array): string => hashOf(bytes)

/** `token`: for JoinAsk. The identity within must be the signer's. */
export const signAsk = (identity: Identity, ask: Ask, token: JoinToken | undefined): Uint8Array => {
  const bytes = encodeRecord(ask)
  return encodeRecord({ ask: bytes, signature: identity.signer.sign(context, bytes), mac: token === undefined ? null : macOf(token, "ask", bytes) })
}

export interface HeardAsk {
  readonly ask: Ask
  readonly from: NodeId
  readonly shown: PublicIdentity
  readonly hash: string
}

/**
 * What is asked, if the identity within has signed it not long ago and, to join, knows a token. `tokenOf`: those that are
 * outstanding. That the asker of the other two is a member is for the caller to see.
 */
export const readAsk = (
  pairs: KeyPairsService, bytes: Uint8Array, tokenOf: (id: string) => JoinToken | MembershipError, nowMs: number
): HeardAsk | MembershipError => {
  const signed = decodeRecord(SignedAsk, bytes, membershipBytesMax)
  if (typeof signed === "string") return refuse("Malformed", signed)
  const ask = decodeRecord(Ask, signed.ask, membershipBytesMax)
  if (typeof ask === "string") return refuse("Malformed", ask)
  const token = ask._tag === "JoinAsk" ? tokenOf(ask.token) : undefined
  if (token instanceof MembershipError) return token
  // The proof is looked at before the signature: it costs next to nothing.
  if (token !== undefined && (signed.mac === null || token.cluster !== ask.cluster || !equalBytes(macOf(token, "ask", signed.ask), signed.mac))) {
    return refuse("Unsigned", `who asks to join does not know the token ${token.id}`)
  }
  const shown = decodePublicIdentity(ask.identity)
  if (shown === undefined) return refuse("UnknownFormat", "the identity is of another version")
  if (!pairs.verify(shown.signing, context, signed.ask, signed.signature)) return refuse("Unsigned", "what is asked is not signed by the identity that asks")
  if (Math.abs(nowMs - ask.atMs) > askAgeMsMax) return refuse("Expired", `asked ${Math.round((nowMs - ask.atMs) / 1000)} s ago: set the clocks, and ask again`)
  return { ask, from: nodeIdOf(shown), shown, hash: askHashOf(bytes) }
}

/** `token`: where the asker showed one: its answer must come from whoever knows it too. */
export const proveAnswer = (answer: Answer, token: JoinToken | undefined): Uint8Array => {
  const bytes = encodeRecord(answer)
  return encodeRecord({ answer: bytes, mac: token === undefined ? null : macOf(token, "answer", bytes) })
}

/** The answer to what was asked in `asked`; of a join: from the cluster whose authority the token names. */
export const readAnswer = (
  pairs: KeyPairsService, bytes: Uint8Array, asked: Uint8Array, token: JoinToken | undefined, nowMs: number
): Answer | MembershipError => {
  const proven = decodeRecord(ProvenAnswer, bytes, membershipBytesMax)
  if (typeof proven === "string") return refuse("Malformed", proven)
  if (token !== undefined && (proven.mac === null || !equalBytes(macOf(token, "answer", proven.answer), proven.mac))) {
    return refuse("Unsigned", "who answers does not know the join token")
  }
  const answer = decodeRecord(Answer, proven.answer, membershipBytesMax)
  if (typeof answer === "string") return refuse("Malformed", answer)
  if (answer.ask !== askHashOf(asked)) return refuse("Foreign", "this answers something else")
  if (token === undefined) return answer
  if (answer.cluster !== token.cluster) return refuse("Foreign", `cluster ${answer.cluster} answers, not ${token.cluster}`)
  if (answer._tag !== "Admitted" && answer._tag !== "JoinPending") return answer
  if (authorityHashOf(answer.authority) !== token.authority) return refuse("Foreign", "the authority that answers is not the one that the join token names")
  const authority = checkAuthority(pairs, answer.authority, nowMs)
  return authority instanceof MembershipError ? authority : answer
}

export const memberIdentityOf = (member: Member): PublicIdentity | undefined => decodePublicIdentity(member.identity)
export const memberOf = (shown: PublicIdentity, rest: Omit<Member, "identity">): Member => ({ identity: encodePublicIdentity(shown), ...rest })
