/**
 * Pins: places from which the journal must be kept for uploads whose chunks are appended and whose commit is not
 * applied yet. They sit between put, which pins before it appends, and settle, which lets the journal go.
 */
import { Context, Effect, Layer, type Scope } from "effect"
import { type WalPlace, comparePlaces } from "./wal/WalRecord.ts"
import { Wal } from "./wal/WalService.ts"

export interface PinsService {
  /** Until the scope closes, the journal keeps everything that is appended from now on. */
  readonly pin: Effect.Effect<void, never, Scope.Scope>
  /** The lowest place pinned; undefined where nothing is. */
  readonly oldest: () => WalPlace | undefined
}

export class Pins extends Context.Service<Pins, PinsService>()("ouroborosdb/Pins") {
  static readonly layer: Layer.Layer<Pins, never, Wal> = Layer.effect(Pins, Effect.gen(function*() {
    const wal = yield* Wal
    const pinned = new Set<{ readonly place: WalPlace }>()
    return {
      // What is not durable yet will lie at or behind the head.
      pin: Effect.acquireRelease(
        Effect.sync(() => {
          const pin = { place: wal.head() }
          pinned.add(pin)
          return pin
        }),
        (pin) => Effect.sync(() => void pinned.delete(pin))
      ).pipe(Effect.asVoid),
      oldest: () => {
        let oldest: WalPlace | undefined
        for (const { place } of pinned) if (oldest === undefined || comparePlaces(place, oldest) < 0) oldest = place
        return oldest
      }
    }
  }))
}
