/**
 * Expiry: hides what has expired, so that history's retention and collection take it like anything else that is hidden. It
 * sits between the clock and the namespace. Nobody waits for it: reads leave out what has expired by their own time.
 *
 * Time destroys nothing (R6): where the wall clock has gone its own way, nothing is hidden for good, and the status says so.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { clockDriftMsMax, expirePerCommitMax, expiryPollMs } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import { millisOf } from "./base/time.ts"
import { leads, Namespace, type NamespaceService } from "./namespace/Namespace.ts"
import { watched } from "./ports/Health.ts"
import { Retention, type RetentionService } from "./retention.ts"

export interface ExpiryStatus {
  /** How long the version that expired first has been waiting to be hidden; 0 where none is. */
  readonly lagMs: number
  readonly lastError: string | undefined
}

export interface ExpiryService {
  /** Hides all that has expired by now, if the clocks agree. */
  readonly expireNow: Effect.Effect<void>
  readonly status: Effect.Effect<ExpiryStatus>
}

export interface ExpiryOptions {
  readonly pollMs?: number
}

interface Progress {
  lastError: string | undefined
}

export class Expiry extends Context.Service<Expiry, ExpiryService>()("ouroborosdb/Expiry") {
  static readonly layer = (options: ExpiryOptions = {}): Layer.Layer<Expiry, never, Namespace | Retention> =>
    Layer.effect(Expiry, Effect.gen(function*() {
      const namespace = yield* Namespace
      const retention = yield* Retention
      const progress: Progress = { lastError: undefined }
      const expireNow = expire(namespace, retention, progress)
      yield* Effect.forkScoped(watched("expiry", Effect.forever(Effect.andThen(Effect.sleep(options.pollMs ?? expiryPollMs), Effect.suspend(() => leads(namespace) ? expireNow : Effect.void)))))
      return {
        expireNow,
        status: Effect.map(Clock.currentTimeMillis, (nowMs) => ({
          lagMs: Math.max(0, nowMs - (namespace.expiringSince() ?? nowMs)), lastError: progress.lastError
        }))
      }
    }))
}

const suspended = (progress: Progress, aheadMs: number): Effect.Effect<void> => {
  const why = `suspended: commits carry times ${aheadMs} ms ahead of the clock, which was ahead once or is behind now; what has expired is not shown, and is hidden once the clock has caught up`
  const news = progress.lastError?.startsWith("suspended") !== true
  progress.lastError = why
  return news ? Effect.logWarning(`expiry is ${why}`) : Effect.void
}

const expire = Effect.fnUntraced(function*(namespace: NamespaceService, retention: RetentionService, progress: Progress) {
  for (;;) {
    const sinceMs = namespace.expiringSince()
    const nowMs = yield* Clock.currentTimeMillis
    if (sinceMs === undefined || sinceMs > nowMs) return
    if (yield* retention.clockJumped) return
    // Apply judges by the commit's time, which never goes back: after a clock was ahead for a moment, what expires until then would go too.
    const aheadMs = millisOf(namespace.head().time) - nowMs
    if (aheadMs > clockDriftMsMax) return yield* suspended(progress, aheadMs)
    const outcome = yield* Effect.result(namespace.propose({ _tag: "ExpireVersions", limit: expirePerCommitMax }))
    if (outcome._tag === "Failure") {
      if (progress.lastError === undefined) yield* Effect.logWarning(`what has expired could not be hidden: ${outcome.failure.message}`)
      progress.lastError = outcome.failure.message
      return
    }
    progress.lastError = undefined
    probe("expiry.versionsHidden")
    const { answer } = outcome.success
    if (answer._tag !== "Dropped" || !answer.remaining) return
  }
})
