/**
 * Intents: who is at work on chunks, and since which commit (R1, R12). They sit between uploads and reads, which open
 * one before they look anything up, and the collector, which frees nothing that one of them may count on.
 *
 * An intent opened at commit b counts on chunks that were named at some time since b, and on those that came or were
 * brought anew since: whatever of these is condemned is condemned after b. So what was condemned at or before the oldest
 * intent is counted on by none, and may be freed: a look-up takes a condemned chunk for unknown, and its bytes come anew.
 * A block that was named at or before the oldest intent is likewise no upload's own.
 *
 * One gateway, one member: the registry lives with the process, and ends with it as what it speaks of does.
 */
import { Context, Effect, Layer, Scope } from "effect"
import { assert } from "./base/assert.ts"
import type { Sequence } from "./base/ids.ts"
import { Namespace } from "./namespace/Namespace.ts"

export interface IntentsService {
  /** Until the scope closes, nothing goes that was there at the newest commit of now, or comes later. */
  readonly open: Effect.Effect<void, never, Scope.Scope>
  /** The commit at which the oldest was opened; undefined where there is none. */
  readonly oldest: () => Sequence | undefined
  readonly count: () => number
}

export class Intents extends Context.Service<Intents, IntentsService>()("ouroborosdb/Intents") {
  static readonly layer: Layer.Layer<Intents, never, Namespace> = Layer.effect(Intents, Effect.gen(function*() {
    const namespace = yield* Namespace
    // Commits only grow, so the first that was put in is the oldest.
    const opened = new Set<{ readonly at: Sequence }>()
    let newest = 0
    return {
      open: Effect.flatMap(Effect.scope, (scope) => {
        const intent = { at: namespace.head().sequence }
        assert(intent.at >= newest, "the newest commit never goes back")
        newest = intent.at
        opened.add(intent)
        return Scope.addFinalizer(scope, Effect.sync(() => void opened.delete(intent)))
      }),
      oldest: () => {
        for (const { at } of opened) return at
        return undefined
      },
      count: () => opened.size
    }
  }))
}
