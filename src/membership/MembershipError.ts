/** MembershipError: why an identity, certificate, token or message is not taken. Between this room and operators, logs and peers. */
import { Data } from "effect"

/**
 * Malformed: no such bytes. Damaged: bytes changed. UnknownFormat: of a newer program. WrongSecret: intact, but not under this
 * passphrase or key file. WrongProtection: it wants the other kind of secret. BadSecret: no secret could be like this. Foreign: of another
 * cluster or node. Unsigned: the signature is not its signer's. Expired, NotYet: by the clock, or by what must come before. Revoked: by the authority's list.
 * Unknown: nobody here has issued it. Spent: used before. Full: a bound of clusterLimits.
 */
export type MembershipReason =
  | "Malformed" | "Damaged" | "UnknownFormat" | "WrongSecret" | "WrongProtection" | "BadSecret"
  | "Foreign" | "Unsigned" | "Expired" | "NotYet" | "Revoked" | "Unknown" | "Spent" | "Full"

export class MembershipError extends Data.TaggedError("MembershipError")<{
  readonly what: "identity" | "certificate" | "authority" | "revocations" | "join token" | "message" | "record"
  readonly reason: MembershipReason
  readonly detail: string
}> {
  override get message(): string {
    return `${this.what}: ${this.detail}`
  }
}

export type Refusal = (reason: MembershipReason, detail: string) => MembershipError

export const refusalOf = (what: MembershipError["what"]): Refusal => (reason, detail) => new MembershipError({ what, reason, detail })
