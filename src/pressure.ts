/**
 * Pressure: caches give memory back when the process comes near what it may hold: to a half, then to nothing; and take it
 * again when there is room. It sits between the Memory port and the caches: chunks, and nodes of the index.
 */
import { Context, Effect, Layer } from "effect"
import { memoryPollMs, pressureHalf, pressureNothing, pressureSlack } from "./base/limits.ts"
import { ChunkCache } from "./chunkCache.ts"
import { State } from "./namespace/State.ts"
import { Memory, type MemoryUse } from "./ports/Memory.ts"
import { Metrics } from "./ports/Metrics.ts"

/** What is left of the caches' bounds. */
export type CacheShare = 1 | 0.5 | 0

/** Less at once where memory is short; more only where it would still not be short with some to spare, one step at a time. */
export const nextShare = (share: CacheShare, { limitBytes, residentBytes }: MemoryUse): CacheShare => {
  const used = residentBytes / limitBytes
  if (used >= pressureNothing) return 0
  if (used >= pressureHalf) return share === 1 ? 0.5 : share === 0 && used < pressureNothing - pressureSlack ? 0.5 : share
  if (share === 0) return used < pressureNothing - pressureSlack ? 0.5 : 0
  return share === 0.5 && used < pressureHalf - pressureSlack ? 1 : share
}

export interface PressureService {
  /** Looks at the memory now. */
  readonly lookNow: Effect.Effect<void>
  readonly share: () => CacheShare
}

export interface PressureOptions {
  readonly pollMs?: number
}

export class Pressure extends Context.Service<Pressure, PressureService>()("ouroborosdb/Pressure") {
  static readonly layer = (options: PressureOptions = {}): Layer.Layer<Pressure, never, ChunkCache | State> =>
    Layer.effect(Pressure, Effect.gen(function*() {
      const chunks = yield* ChunkCache
      const { resizeCache, cache } = yield* State
      const memory = yield* Memory
      const bounds = { chunks: chunks.status().bytesMax, nodes: cache().bytesMax }
      let share: CacheShare = 1
      const lookNow = Effect.suspend(() => {
        const use = memory()
        const next = nextShare(share, use)
        if (next === share) return Effect.void
        const text = `caches ${next < share ? "shrink" : "grow"} to ${next * 100} % of their bounds: ` +
          `${use.residentBytes} bytes resident of ${use.limitBytes}`
        share = next
        chunks.resize(Math.floor(share * bounds.chunks))
        resizeCache(Math.floor(share * bounds.nodes))
        return Effect.logInfo(text)
      })
      ;(yield* Metrics).gauge("ouroboros_cache_share", "What memory pressure leaves of the caches' bounds.", () => share)
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.pollMs ?? memoryPollMs), lookNow)))
      return { lookNow, share: () => share }
    }))
}
