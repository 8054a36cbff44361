/** State in memory: a sorted map of rows. Between the namespace's tests and the machine, where the tree is not the point. */
import { Effect } from "effect"
import BTree from "sorted-btree"
import type { RowChange, RowKey, Stamp, StateReader, StateService } from "../../src/namespace/State.ts"

const compare = (a: RowKey, b: RowKey): number => (a < b ? -1 : a > b ? 1 : 0)

export class MemoryRows implements StateReader {
  readonly rows = new BTree.default<RowKey, Uint8Array>(undefined, compare)
  /** Rows that scans have handed out: what a listing cost. */
  scanned = 0

  get(key: RowKey): Uint8Array | undefined {
    return this.rows.get(key)
  }

  getMany(keys: ReadonlyArray<RowKey>): ReadonlyArray<Uint8Array | undefined> {
    return keys.map((key) => this.rows.get(key))
  }

  first(from: RowKey, to: RowKey): readonly [RowKey, Uint8Array] | undefined {
    for (const row of this.scan(from, to)) return row
    return undefined
  }
  *scan(from: RowKey, to: RowKey, reverse = false): Generator<readonly [RowKey, Uint8Array]> {
    if (reverse) {
      for (const [key, value] of this.rows.entriesReversed(to)) {
        if (key >= to) continue
        if (key < from) return
        this.scanned += 1
        yield [key, value]
      }
      return
    }
    for (const [key, value] of this.rows.entries(from)) {
      if (key >= to) return
      this.scanned += 1
      yield [key, value]
    }
  }

  write(changes: ReadonlyArray<RowChange>): void {
    for (const [key, value] of changes) {
      if (value === undefined) this.rows.delete(key)
      else this.rows.set(key, Uint8Array.from(value))
    }
  }
}

export const emptyStamp: Stamp = { sequence: 0, time: 0n, wal: { segment: 0, offset: 0 } }

/** Checkpoints copy the stamp, and keep two generations of it. */
export const memoryState = (rows = new MemoryRows(), start: Stamp = emptyStamp): StateService & { readonly rows: MemoryRows } => {
  let stamp = start
  let overlayRows = 0
  let checkpoints = 0
  let generations: readonly [Stamp, Stamp] = [start, start]
  return {
    rows,
    reader: rows,
    write: (changes, next) => {
      rows.write(changes)
      overlayRows += changes.length
      stamp = next
    },
    stamp: () => stamp,
    overlay: () => ({ rows: overlayRows, bytes: 0 }),
    checkpoint: Effect.sync(() => {
      generations = [generations[1], stamp]
      overlayRows = 0
      checkpoints += 1
      return generations[0]
    }),
    root: () => "",
    cache: () => ({ bytes: 0, bytesMax: 0, entries: 0, hits: 0, misses: 0, evictions: 0 }),
    resizeCache: () => undefined,
    status: () => ({ checkpoints, rebuilt: false, nodes: 0 }),
    indexDamage: () => undefined,
    inspection: {
      nodes: () => () => ({ nodes: 0, bytes: 0, next: undefined, damage: undefined }),
      checkpoints: () => [], checkpoint: () => Effect.succeed(undefined), observe: () => Effect.void
    }
  }
}
