/**
 * Retention: raises the horizon of history as time passes (R5). It sits between the clock and the namespace; what S3
 * still lists is never touched, only what history alone could read.
 *
 * Time destroys nothing (R6): where the wall clock has gone its own way since the start, compared with the monotonic
 * one, the horizon stays where it is and the status says so.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { clockDriftMsMax, retentionMsDefault, retentionPollMs, retentionPollMsMin } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import { leads, Namespace, type NamespaceService } from "./namespace/Namespace.ts"
import { watched } from "./ports/Health.ts"

export interface RetentionStatus {
  readonly retentionMs: number
  /** Why the horizon is not raised; undefined where it is. */
  readonly suspended: string | undefined
  readonly lastError: string | undefined
}

export interface RetentionService {
  /** Raises the horizon now, if the clocks agree. */
  readonly raiseNow: Effect.Effect<void>
  readonly status: () => RetentionStatus
  /** Whether the wall clock has gone its own way, so that time must destroy nothing (R6). */
  readonly clockJumped: Effect.Effect<boolean>
}

export interface RetentionOptions {
  readonly retentionMs?: number
  readonly pollMs?: number
}

export class Retention extends Context.Service<Retention, RetentionService>()("ouroborosdb/Retention") {
  static readonly layer = (options: RetentionOptions = {}): Layer.Layer<Retention, never, Namespace> =>
    Layer.effect(Retention, Effect.gen(function*() {
      const namespace = yield* Namespace
      const retentionMs = options.retentionMs ?? retentionMsDefault
      const progress: Progress = { started: yield* clocks, suspended: undefined, lastError: undefined }
      const raiseNow = raise(namespace, progress, retentionMs)
      const pollMs = options.pollMs ?? Math.min(retentionPollMs, Math.max(retentionPollMsMin, retentionMs / 24))
      yield* Effect.forkScoped(watched("retention", Effect.forever(Effect.andThen(Effect.suspend(() => leads(namespace) ? raiseNow : Effect.void), Effect.sleep(pollMs)))))
      return {
        raiseNow,
        clockJumped: Effect.map(suspends(progress), (why) => why !== undefined),
        status: () => ({ retentionMs, suspended: progress.suspended, lastError: progress.lastError })
      }
    }))
}

interface Progress {
  readonly started: Clocks
  suspended: string | undefined
  lastError: string | undefined
}

export interface Clocks {
  readonly wallMs: number
  readonly monotonicMs: number
}

export const clocks: Effect.Effect<Clocks> = Effect.map(
  Effect.all([Clock.currentTimeMillis, Clock.monotonicTimeNanos]),
  ([wallMs, nanos]) => ({ wallMs, monotonicMs: Number(nanos / 1_000_000n) })
)

/** How far the wall clock has moved away from the monotonic one between two readings. */
export const driftMs = (from: Clocks, to: Clocks): number => (to.wallMs - from.wallMs) - (to.monotonicMs - from.monotonicMs)

/** Why time destroys nothing now; undefined: the clocks agree. */
const suspends = Effect.fnUntraced(function*(progress: Progress) {
  const drift = driftMs(progress.started, yield* clocks)
  if (Math.abs(drift) <= clockDriftMsMax) {
    progress.suspended = undefined
    return undefined
  }
  const why = `the wall clock has moved by ${drift} ms against the monotonic clock since the start; history is kept until a restart with the right time`
  probe("retention.suspended")
  if (progress.suspended === undefined) yield* Effect.logWarning(`retention is suspended: ${why}`)
  progress.suspended = why
  return why
})

const raise = Effect.fnUntraced(function*(namespace: NamespaceService, progress: Progress, retentionMs: number) {
  if ((yield* suspends(progress)) !== undefined) return
  const { wallMs } = yield* clocks
  // Where nothing but housework came since, no commit that could be let go shows anything else: an idle store is quiet.
  if (namespace.oldestReadable() >= namespace.lastChange()) return
  const oldestReadable = namespace.sequenceAt(wallMs - retentionMs)
  if (oldestReadable <= namespace.oldestReadable()) return
  probe("retention.horizonRaised")
  yield* namespace.propose({ _tag: "RaiseHorizon", oldestReadable }).pipe(
    Effect.tap(() => Effect.sync(() => { progress.lastError = undefined })),
    Effect.catch((error) => {
      progress.lastError = error.message
      return Effect.logWarning(`the horizon could not be raised: ${error.message}`)
    })
  )
})
