/**
 * RenewalService: a node's own certificate, renewed while it is still good for a month: looked at once an hour, asked for as a member asks. Between the table's certificates,
 * whoever issues them, and the connections that show it from then on.
 */
import { Clock, Effect, type Scope } from "effect"
import { renewalLookMs } from "../base/clusterLimits.ts"
import { checkAuthority, checkCertificate, isRenewalDue } from "../membership/Authority.ts"
import { readCertificate } from "../membership/Certificate.ts"
import { encodePublicIdentity, type Identity } from "../membership/Identity.ts"
import type { MembershipRecord } from "../membership/Membership.ts"
import { MembershipError, refusalOf } from "../membership/MembershipError.ts"
import type { EntropyService } from "../ports/Entropy.ts"
import { watched } from "../ports/Health.ts"
import type { KeyPairsService } from "../ports/KeyPairs.ts"
import { askAsMember, type MembershipOver } from "./Joining.ts"

export interface RenewalOptions {
  readonly over: MembershipOver
  readonly pairs: KeyPairsService
  readonly entropy: EntropyService
  readonly identity: Identity
  readonly record: () => Pick<MembershipRecord, "authority" | "cluster">
  /** The one that this node shows; undefined: it is no member any more. */
  readonly current: () => Uint8Array | undefined
  /** Keeps the new one and shows it; fails where it cannot, and is given it again at the next look. */
  readonly renewed: (certificate: Uint8Array) => Effect.Effect<void, { readonly message: string }>
}

/** Until the scope closes. What fails is said, and tried again an hour later: a month is long. */
export const runRenewal = (options: RenewalOptions): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.forkScoped(watched("renewing the certificate", Effect.forever(Effect.andThen(
    Effect.catch(renewDue(options), (error) => Effect.logWarning(`the certificate of this node is not renewed, and is tried again: ${error.message}`)), Effect.sleep(renewalLookMs)
  )))))

/** Whoever asks again gets the one that was issued: what was lost on the way costs nothing. */
const renewDue = Effect.fnUntraced(function*(options: RenewalOptions) {
  const { current, entropy, identity, pairs, record, renewed } = options
  const nowMs = Math.floor(yield* Clock.currentTimeMillis)
  const bytes = current()
  if (bytes === undefined) return
  const shown = readCertificate(bytes)
  if (shown instanceof MembershipError) return yield* Effect.fail(shown)
  if (!isRenewalDue(shown, nowMs)) return
  const { authority, cluster } = record()
  const answer = yield* askAsMember(options, {
    _tag: "RenewAsk", version: 1, cluster, nonce: entropy.bytes(32), atMs: nowMs, identity: encodePublicIdentity(identity.shown), serial: shown.serial
  })
  if (answer._tag !== "Renewed") return yield* refuse("Foreign", `${answer._tag} answers no wish for another certificate`)
  const signer = checkAuthority(pairs, authority, nowMs)
  const certificate = signer instanceof MembershipError ? signer : checkCertificate(pairs, signer, answer.certificate, nowMs, undefined)
  if (certificate instanceof MembershipError) return yield* Effect.fail(certificate)
  if (certificate.node !== identity.id || certificate.notAfterMs <= shown.notAfterMs) {
    return yield* refuse("Foreign", `a certificate of node ${certificate.node}, good until ${certificate.notAfterMs} ms, is no renewal of this one`)
  }
  yield* renewed(answer.certificate)
  yield* Effect.logInfo(`this node has another certificate, good for ${Math.floor((certificate.notAfterMs - nowMs) / 86_400_000)} days`)
})

const refuse = refusalOf("certificate")
