/**
 * Joining: how a node comes into a cluster and stays in it: it asks at the door of any member until an operator has decided; a member hands asks on to whoever
 * decides. Between the command line and the door on one side, MembershipService and the carrier on the other.
 */
import { Clock, Data, Effect, type Scope } from "effect"
import { joinAttemptsMax, joinRetryMs, membershipAskMs } from "../base/clusterLimits.ts"
import { AnswerRefused, type CarrierError } from "../carrier/CarrierError.ts"
import type { CarrierInterface } from "../carrier/CarrierService.ts"
import { type Authority, authorityHashOf, checkAuthority, checkCertificate, openAuthority } from "../membership/Authority.ts"
import { encodePublicIdentity, type Identity } from "../membership/Identity.ts"
import type { JoinToken } from "../membership/JoinToken.ts"
import { whyNoMember } from "../membership/Membership.ts"
import { MembershipError } from "../membership/MembershipError.ts"
import type { MembershipFailure, MembershipInterface } from "../membership/MembershipService.ts"
import { type Admitted, type Answer, type Ask, type Member, readAnswer, signAsk } from "../membership/Message.ts"
import { noRevocations, readRevocations, type RevocationList } from "../membership/Revocations.ts"
import type { EntropyService } from "../ports/Entropy.ts"
import type { JoinDoorService } from "../ports/JoinDoor.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { topics } from "./Topics.ts"

/** Denied: an operator, or the cluster's record, says no. Unreachable: no member answered, again and again. Foreign: whoever answers is not who the token names. Expired: the token, before anybody decided. */
export class JoinError extends Data.TaggedError("JoinError")<{ readonly reason: "Denied" | "Unreachable" | "Foreign" | "Expired"; readonly detail: string }> {
  override get message(): string {
    return `joining: ${this.reason}: ${this.detail}`
  }
}

/** What a node has once it is a member. */
export interface Joined {
  readonly authority: Authority
  readonly sealedAuthority: Uint8Array
  readonly certificate: Uint8Array
  readonly epoch: number
  readonly members: ReadonlyArray<Member>
  readonly revocations: RevocationList
}

export interface JoinOptions {
  readonly door: JoinDoorService
  readonly pairs: KeyPairsService
  readonly entropy: EntropyService
  readonly identity: Identity
  readonly token: JoinToken
  /** Of members that may be asked, in turn. */
  readonly at: ReadonlyArray<{ readonly host: string; readonly port: number }>
  readonly name: string
  /** Where the others will find this node. */
  readonly addresses: ReadonlyArray<string>
  readonly program: string
  /** An operator has to decide: `ouroboros cluster approve`. Told once. */
  readonly onPending?: Effect.Effect<void>
}

const failure = (reason: JoinError["reason"], detail: string): JoinError => new JoinError({ reason, detail })

/** Asks until there is an answer that decides, or the token has expired. */
export const joinCluster = Effect.fnUntraced(function*(options: JoinOptions): Effect.fn.Return<Joined, JoinError> {
  const { token } = options
  let vain = 0
  let isPending = false
  for (let turn = 0; ; turn += 1) {
    const nowMs = Math.floor(yield* Clock.currentTimeMillis)
    if (nowMs > token.expiresMs) return yield* failure("Expired", "the join token has expired before anybody decided: ask for another (`ouroboros cluster invite`)")
    const exit = yield* Effect.result(askOnce(options, turn, nowMs))
    if (exit._tag === "Failure") {
      vain += 1
      if (exit.failure.reason !== "Unreachable" || vain >= joinAttemptsMax) return yield* exit.failure
      yield* Effect.sleep(joinRetryMs)
      continue
    }
    vain = 0
    const answer = exit.success
    if (answer._tag === "Admitted") return yield* joined(options, answer, nowMs)
    if (answer._tag === "Denied") return yield* failure("Denied", answer.why)
    if (answer._tag !== "JoinPending") return yield* failure("Foreign", `${answer._tag} answers no wish to join`)
    if (!isPending && options.onPending !== undefined) yield* options.onPending
    isPending = true
    yield* Effect.sleep(answer.askAgainMs)
  }
})

const askOnce = Effect.fnUntraced(function*({ addresses, at, door, entropy, identity, name, pairs, program, token }: JoinOptions, turn: number, atMs: number): Effect.fn.Return<Answer, JoinError> {
  const ask: Ask = { _tag: "JoinAsk", version: 1, cluster: token.cluster, nonce: entropy.bytes(32), atMs, token: token.id, identity: encodePublicIdentity(identity.shown), name, addresses, program }
  const asked = signAsk(identity, ask, token)
  const address = at[turn % at.length]
  if (address === undefined) return yield* failure("Unreachable", "no address of a member is known")
  const trust = {
    whyNotAuthority: (shown: Uint8Array) => (authorityHashOf(shown) === token.authority ? undefined : "shows an authority that is not the one which the join token names: another cluster's, or somebody between"),
    whyNoMember: (authority: Uint8Array, certificate: Uint8Array) => whyNoMember(pairs, authority, certificate, atMs)
  }
  const heard = yield* Effect.mapError(door.ask(address, trust, asked), (error) => failure(error.reason === "Foreign" ? "Foreign" : "Unreachable", error.message))
  const answer = readAnswer(pairs, heard, asked, token, atMs)
  return answer instanceof MembershipError ? yield* failure("Foreign", answer.message) : answer
})

/** Everything that it was given, looked at before it is believed. */
const joined = Effect.fnUntraced(function*({ identity, pairs, token }: JoinOptions, { authority, certificate, epoch, members, revocations, sealedAuthority }: Admitted, nowMs: number): Effect.fn.Return<Joined, JoinError> {
  const opened = openAuthority(pairs, authority, token.cluster, sealedAuthority, identity)
  const signer = checkAuthority(pairs, authority, nowMs)
  const own = signer instanceof MembershipError ? signer : checkCertificate(pairs, signer, certificate, nowMs, undefined)
  const list = signer instanceof MembershipError ? signer : readRevocations(pairs, signer, revocations, noRevocations(token.cluster))
  for (const value of [opened, own, list]) if (value instanceof MembershipError) return yield* failure("Foreign", value.message)
  if (opened instanceof MembershipError || own instanceof MembershipError || list instanceof MembershipError) return yield* failure("Foreign", "nothing that can be read")
  if (own.node !== identity.id) return yield* failure("Foreign", `a certificate of node ${own.node}, not of this one`)
  return { authority: opened, sealedAuthority, certificate, epoch, members, revocations: list }
})

export interface MembershipOverOptions {
  readonly carrier: CarrierInterface
  readonly membership: MembershipInterface
}

/** What a member does with asks of others, from the door and from members that do not decide themselves. */
export interface MembershipOver {
  /** Answered here, or by whoever decides. */
  readonly answer: (asked: Uint8Array) => Effect.Effect<Uint8Array, MembershipFailure | CarrierError>
}

/** Serves asks that other members hand on, until the scope closes. Each goes on once at most: who does not decide here says who may. */
export const membershipOverCarrier = Effect.fnUntraced(function*({ carrier, membership }: MembershipOverOptions): Effect.fn.Return<MembershipOver, never, Scope.Scope> {
  yield* carrier.serve(topics.membershipAsk, ({ bytes }) => Effect.mapError(membership.answer(bytes), (error) => new AnswerRefused({ detail: error.message })))
  return {
    answer: (asked) => Effect.catch(membership.answer(asked), (error): Effect.Effect<Uint8Array, MembershipFailure | CarrierError> =>
      error._tag === "MembershipStoreError" && error.reason === "NotLeader" && error.leader !== undefined
        ? carrier.ask(error.leader, topics.membershipAsk, asked, { level: 2, deadlineMs: membershipAskMs })
        : Effect.fail(error))
  }
})

/** For the door: what fails is logged, and answered with nothing. */
export const answerStranger = ({ answer }: MembershipOver) => (asked: Uint8Array, remote: string): Effect.Effect<Uint8Array | undefined> =>
  Effect.catch(answer(asked), (error) => Effect.as(Effect.logWarning(`${remote} asked to join, and is not answered: ${error.message}`), undefined))

/** Of a member: to leave, or to renew its certificate; asked of `to`, or decided here where that is this node. */
export const askAsMember = Effect.fnUntraced(function*(
  options: { readonly over: MembershipOver; readonly pairs: KeyPairsService; readonly identity: Identity }, ask: Ask
): Effect.fn.Return<Answer, MembershipFailure | CarrierError> {
  const { identity, over, pairs } = options
  const asked = signAsk(identity, ask, undefined)
  const answer = readAnswer(pairs, yield* over.answer(asked), asked, undefined, yield* Clock.currentTimeMillis)
  return answer instanceof MembershipError ? yield* answer : answer
})
