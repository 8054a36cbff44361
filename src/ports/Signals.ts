/**
 * Signals: what the operator tells a running process: to stop, or to read its certificates again.
 * Adapter: adapters/NodeProcess.
 */
import { Context, type Effect, type Scope } from "effect"

export interface SignalsService {
  /** Succeeds at the first request to stop (SIGTERM, SIGINT); from then on more of them change nothing. */
  readonly stop: Effect.Effect<void>
  /** Runs `action` at every SIGHUP until the scope closes. */
  readonly onReload: (action: Effect.Effect<void>) => Effect.Effect<void, never, Scope.Scope>
}

export class Signals extends Context.Service<Signals, SignalsService>()("ouroborosdb/ports/Signals") {}
