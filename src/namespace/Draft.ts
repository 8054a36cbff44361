/**
 * Draft: the rows as they will be after the changes made so far. It sits between the steps of one `apply` and the
 * state, which sees nothing until the whole commit is decided.
 */
import type { RowChange, RowKey, StateReader } from "./State.ts"

export class Draft implements StateReader {
  readonly #state: StateReader
  readonly #changes = new Map<RowKey, Uint8Array | undefined>()
  /** Keys of #changes, in order. */
  readonly #keys: Array<RowKey> = []

  constructor(state: StateReader) {
    this.#state = state
  }

  get size(): number {
    return this.#changes.size
  }

  put(key: RowKey, value: Uint8Array): void {
    this.#set(key, value)
  }

  remove(key: RowKey): void {
    this.#set(key, undefined)
  }

  changes(): ReadonlyArray<RowChange> {
    return Array.from(this.#changes)
  }

  get(key: RowKey): Uint8Array | undefined {
    return this.#changes.has(key) ? this.#changes.get(key) : this.#state.get(key)
  }

  getMany(keys: ReadonlyArray<RowKey>): ReadonlyArray<Uint8Array | undefined> {
    const rows = this.#state.getMany(keys)
    return keys.map((key, index) => (this.#changes.has(key) ? this.#changes.get(key) : rows[index]))
  }

  first(from: RowKey, to: RowKey): readonly [RowKey, Uint8Array] | undefined {
    if (this.#place(from) === this.#place(to)) return this.#state.first(from, to)
    for (const row of this.scan(from, to)) return row
    return undefined
  }

  scan(from: RowKey, to: RowKey, reverse = false): Iterable<readonly [RowKey, Uint8Array]> {
    const changed = this.#keys.slice(this.#place(from), this.#place(to)).map((key): RowChange => [key, this.#changes.get(key)])
    if (changed.length === 0) return this.#state.scan(from, to, reverse)
    if (reverse) changed.reverse()
    return merged(this.#state.scan(from, to, reverse), changed, reverse)
  }

  #set(key: RowKey, value: Uint8Array | undefined): void {
    if (!this.#changes.has(key)) this.#keys.splice(this.#place(key), 0, key)
    this.#changes.set(key, value)
  }

  /** Index of the first changed key at or after `key`. */
  #place(key: RowKey): number {
    let low = 0
    let high = this.#keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#keys[middle] as RowKey) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Rows in order, the changed ones in place of the old. */
function* merged(
  rows: Iterable<readonly [RowKey, Uint8Array]>, changed: ReadonlyArray<RowChange>, reverse: boolean
): Iterable<readonly [RowKey, Uint8Array]> {
  let next = 0
  const precedes = (a: RowKey, b: RowKey): boolean => (reverse ? a > b : a < b)
  for (const row of rows) {
    let replaced = false
    while (next < changed.length) {
      const [key, value] = changed[next] as RowChange
      if (precedes(row[0], key)) break
      next += 1
      if (key === row[0]) replaced = true
      if (value !== undefined) yield [key, value]
    }
    if (!replaced) yield row
  }
  for (; next < changed.length; next += 1) {
    const [key, value] = changed[next] as RowChange
    if (value !== undefined) yield [key, value]
  }
}
