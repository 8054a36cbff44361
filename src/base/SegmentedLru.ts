/**
 * SegmentedLru: values by key within a bound of bytes, the least useful gone first. It sits under every cache.
 *
 * Two lists (Karedla, Love, Wherry: Caching Strategies to Improve Disk System Performance, 1994): what comes is on trial;
 * what is asked for while on trial is kept; what is kept too long unasked goes back on trial. What is on trial goes
 * first, so that a walk through much, each thing once, drives out no more than the trial's share.
 *
 * 1. bytes = the sum of the sizes of all entries <= bytesMax, after every call.
 * 2. The kept ones' sizes sum up to keptShare of bytesMax at most.
 */
import { assert } from "./assert.ts"
import type { Meters } from "./Meters.ts"

export interface CacheStatus {
  readonly bytes: number
  readonly bytesMax: number
  readonly entries: number
  /** Since the start. */
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

/** What is kept may take this share of the bound. */
const keptShare = 0.8

interface Entry<K, V> {
  readonly key: K
  readonly value: V
  readonly sizeBytes: number
  /** The clock when it was last asked for, or came. */
  usedAt: number
  list: List<K, V> | undefined
  older: Entry<K, V> | undefined
  newer: Entry<K, V> | undefined
}

/** Doubly linked: moving an entry touches no map. */
class List<K, V> {
  oldest: Entry<K, V> | undefined
  newest: Entry<K, V> | undefined
  bytes = 0

  push(entry: Entry<K, V>): void {
    entry.list = this
    entry.older = this.newest
    entry.newer = undefined
    if (this.newest === undefined) this.oldest = entry
    else this.newest.newer = entry
    this.newest = entry
    this.bytes += entry.sizeBytes
  }

  unlink(entry: Entry<K, V>): void {
    if (entry.older === undefined) this.oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.newest = entry.older
    else entry.newer.older = entry.older
    entry.list = undefined
    this.bytes -= entry.sizeBytes
  }
}

export class SegmentedLru<K, V> {
  readonly #entries = new Map<K, Entry<K, V>>()
  readonly #trial = new List<K, V>()
  readonly #kept = new List<K, V>()
  #bytesMax: number
  #clock = 0
  hits = 0
  misses = 0
  evictions = 0

  constructor(bytesMax: number) {
    assert(bytesMax >= 0, `a cache of ${bytesMax} bytes`)
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#trial.bytes + this.#kept.bytes
  }

  get bytesMax(): number {
    return this.#bytesMax
  }

  /** Counts what was asked for. */
  get clock(): number {
    return this.#clock
  }

  get(key: K): V | undefined {
    this.#clock += 1
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.misses += 1
      return undefined
    }
    this.hits += 1
    entry.usedAt = this.#clock
    this.#keep(entry)
    return entry.value
  }

  has(key: K): boolean {
    return this.#entries.has(key)
  }

  /**
   * The clock when that was last asked for which goes first where so many bytes come; -1 where there is room. Who was
   * asked for before that is worth less than it.
   */
  usedAtOfOldest(sizeBytes: number): number {
    if (this.bytes + sizeBytes <= this.#bytesMax) return -1
    return (this.#trial.oldest ?? this.#kept.oldest)?.usedAt ?? -1
  }

  /** Takes the place of what the key had. One that is larger than the bound is not taken. */
  add(key: K, value: V, sizeBytes: number): void {
    this.remove(key)
    if (sizeBytes > this.#bytesMax) return
    const entry: Entry<K, V> = { key, value, sizeBytes, usedAt: this.#clock, list: undefined, older: undefined, newer: undefined }
    this.#entries.set(key, entry)
    this.#trial.push(entry)
    this.#shrink(entry)
  }

  remove(key: K): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    entry.list?.unlink(entry)
  }

  clear(): void {
    for (const key of this.#entries.keys()) this.remove(key)
  }

  /** A smaller bound holds at once. */
  resize(bytesMax: number): void {
    assert(bytesMax >= 0, `a cache of ${bytesMax} bytes`)
    this.#bytesMax = bytesMax
    this.#demote()
    this.#shrink()
  }

  status(): CacheStatus {
    const { bytes, bytesMax, evictions, hits, misses } = this
    return { bytes, bytesMax, entries: this.#entries.size, hits, misses, evictions }
  }

  #keep(entry: Entry<K, V>): void {
    const { list } = entry
    // The newest of the kept ones is where it belongs already: what is asked for again and again costs nothing.
    if (list === this.#kept && this.#kept.newest === entry) return
    list?.unlink(entry)
    this.#kept.push(entry)
    if (list !== this.#kept) this.#demote()
  }

  #demote(): void {
    while (this.#kept.bytes > keptShare * this.#bytesMax && this.#kept.oldest !== undefined) {
      const entry = this.#kept.oldest
      this.#kept.unlink(entry)
      this.#trial.push(entry)
    }
  }

  /** What has just come stays: where the kept ones leave it no room, the oldest of these goes. */
  #shrink(come?: Entry<K, V>): void {
    while (this.bytes > this.#bytesMax) {
      const oldest = this.#trial.oldest === come ? this.#kept.oldest : this.#trial.oldest ?? this.#kept.oldest
      assert(oldest !== undefined, "bytes are those of entries")
      this.remove(oldest.key)
      this.evictions += 1
    }
  }
}

/** The cache under the names of /metrics. */
export const meterCache = (meters: Meters, cache: string, status: () => CacheStatus): void => {
  const labels = { cache }
  meters.gauge("ouroboros_cache_bytes", "Bytes that a cache holds.", () => status().bytes, labels)
  meters.gauge("ouroboros_cache_bytes_max", "Bytes that a cache may hold.", () => status().bytesMax, labels)
  meters.counted("ouroboros_cache_hits_total", "Look-ups that a cache answered.", () => status().hits, labels)
  meters.counted("ouroboros_cache_misses_total", "Look-ups that a cache did not answer.", () => status().misses, labels)
  meters.counted("ouroboros_cache_evictions_total", "Entries that made room for others.", () => status().evictions, labels)
}
