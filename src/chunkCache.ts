/**
 * ChunkCache: plaintext of chunks that were read twice, verified and opened, in memory only. It sits under fetch, which
 * asks it before it goes to journal and blocks.
 *
 * Ids are hashes of the bytes, so nothing in it is ever out of date; what is freed, found damaged or healed leaves it all the
 * same: memory of what is gone helps nobody, and damage is to be seen. Whoever asks gets bytes of his own: he may give
 * their memory back, or change them (base/bytes.ts, release). A first reading leaves only its name: a large download, each
 * chunk once, copies nothing and drives nothing out.
 *
 * Where the cache is full, a chunk is taken only if it was read before more recently than what would go for it (the
 * rule of LIRS: Jiang, Zhang, SIGMETRICS 2002). So a large object that is read again and again keeps the part of it that
 * fits, where the order of last use would take every chunk in and drop it before its next turn.
 */
import { Context, Effect, Layer } from "effect"
import { copyOf } from "./base/bytes.ts"
import type { ChunkId } from "./base/ids.ts"
import { cacheEntryBytes, chunkCacheBytesDefault, chunkCacheNamesMax, chunkCacheShareMax } from "./base/limits.ts"
import { type CacheStatus, meterCache, SegmentedLru } from "./base/SegmentedLru.ts"
import type { Change } from "./namespace/Model.ts"
import { Metrics } from "./ports/Metrics.ts"

export class Chunks {
  readonly #lru: SegmentedLru<ChunkId, Uint8Array>
  /** Read of late, and not taken: oldest first, and the cache's clock at that time. */
  readonly #seen = new Map<ChunkId, number>()

  constructor(bytesMax: number) {
    this.#lru = new SegmentedLru(bytesMax)
  }

  /** Bytes of the caller's own. */
  get(id: ChunkId): Uint8Array | undefined {
    if (this.#lru.bytesMax === 0) return undefined
    const bytes = this.#lru.get(id)
    return bytes === undefined ? undefined : copyOf(bytes)
  }

  /** Bytes [from, to) of a chunk of so many bytes, the caller's own: where it is here, without a copy of all of it. */
  part(id: ChunkId, sizeBytes: number, from: number, to: number): Uint8Array | undefined {
    // What is not here is counted as missing by who asks for all of it then.
    const bytes = this.#lru.has(id) ? this.#lru.get(id) : undefined
    return bytes?.length === sizeBytes ? copyOf(bytes.subarray(from, to)) : undefined
  }

  /** Whether this was read of late, as far as anybody remembers: true where nobody remembers anything. */
  wasRead(id: ChunkId): boolean {
    return this.#lru.bytesMax === 0 || this.#seen.has(id)
  }

  /** Verified plaintext that was just read: taken, as a copy, where it was read before and there is room, or worse. */
  offer(id: ChunkId, bytes: Uint8Array): void {
    const sizeBytes = bytes.length + cacheEntryBytes
    if (sizeBytes > chunkCacheShareMax * this.#lru.bytesMax || this.#lru.has(id)) return
    const seenAt = this.#seen.get(id)
    this.#seen.delete(id)
    if (seenAt !== undefined && seenAt > this.#lru.usedAtOfOldest(sizeBytes)) {
      this.#lru.add(id, copyOf(bytes), sizeBytes)
      return
    }
    this.#seen.set(id, this.#lru.clock)
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= chunkCacheNamesMax) break
      this.#seen.delete(oldest)
    }
  }

  remove(id: ChunkId): void {
    this.#lru.remove(id)
    this.#seen.delete(id)
  }

  /** What a commit that is applied takes away. */
  applied(change: Change): void {
    if (change._tag !== "FreeChunks") return
    for (const { chunk } of change.chunks) this.remove(chunk)
  }

  clear(): void {
    this.#lru.clear()
    this.#seen.clear()
  }

  resize(bytesMax: number): void {
    this.#lru.resize(bytesMax)
    if (bytesMax === 0) this.#seen.clear()
  }

  status(): CacheStatus {
    return this.#lru.status()
  }
}

export class ChunkCache extends Context.Service<ChunkCache, Chunks>()("ouroborosdb/ChunkCache") {
  /** Empty again when the scope closes: no plaintext outlives the node. 0 bytes: off. */
  static readonly layer = (bytesMax = chunkCacheBytesDefault): Layer.Layer<ChunkCache> =>
    Layer.effect(ChunkCache, Effect.gen(function*() {
      const chunks = yield* Effect.acquireRelease(
        Effect.sync(() => new Chunks(bytesMax)),
        (made) => Effect.sync(() => made.clear())
      )
      meterCache(yield* Metrics, "chunks", () => chunks.status())
      return chunks
    }))
}
