/**
 * Overlay: the changes since a checkpoint, in memory and in order. It sits on top of the tree (a frozen one between,
 * while a checkpoint folds it) and hides what is below.
 */
import sortedBTree from "sorted-btree"
import type { RowChange, RowKey } from "./State.ts"

const BTree = sortedBTree.default
type Rows = InstanceType<typeof BTree<RowKey, Uint8Array | null>>

const order = (a: RowKey, b: RowKey): number => (a < b ? -1 : a === b ? 0 : 1)

/** What a row costs in memory besides its bytes, about. */
const rowOverheadBytes = 96

const sizeOf = (key: RowKey, value: Uint8Array | null): number => key.length + (value === null ? 0 : value.length) + rowOverheadBytes

export class Overlay {
  readonly #rows: Rows = new BTree<RowKey, Uint8Array | null>(undefined, order)
  #bytes = 0

  get rows(): number {
    return this.#rows.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** null: removed here, whatever is below. undefined: nothing known, ask below. */
  get(key: RowKey): Uint8Array | null | undefined {
    return this.#rows.get(key)
  }

  set(key: RowKey, value: Uint8Array | null): void {
    const old = this.#rows.get(key)
    if (old !== undefined) this.#bytes -= sizeOf(key, old)
    this.#rows.set(key, value)
    this.#bytes += sizeOf(key, value)
  }

  /** The first row or removal at or after `key`. */
  atOrAfter(key: RowKey): readonly [RowKey, Uint8Array | null] | undefined {
    return this.#rows.getPairOrNextHigher(key)
  }

  /** In order; must not be changed while this is read. */
  *changes(): Generator<RowChange> {
    for (const [key, value] of this.#rows.entries()) yield [key, value ?? undefined]
  }

  /** Rows and removals with from <= key < to. Void once the overlay changes: seek again. */
  *scan(from: RowKey, to: RowKey, reverse: boolean): Generator<readonly [RowKey, Uint8Array | null]> {
    if (!reverse) {
      for (const pair of this.#rows.entries(from)) {
        if (pair[0] >= to) return
        yield pair
      }
      return
    }
    for (const pair of this.#rows.entriesReversed(to, undefined, true)) {
      if (pair[0] < from) return
      yield pair
    }
  }
}

type Cursor = Iterator<readonly [RowKey, Uint8Array | null]>

/**
 * Merges ordered layers, the first above the others: where two have a key, the higher one's row counts; removals hide.
 * Lazy: a layer is asked for its next row only when that is needed.
 */
export function* mergeLayers(layers: ReadonlyArray<Cursor>, reverse: boolean): Generator<readonly [RowKey, Uint8Array]> {
  const heads = layers.map((layer) => layer.next())
  for (;;) {
    const last = onlyOne(heads)
    if (last !== undefined) return yield* rest(layers[last]!, heads[last]!)
    let best: readonly [RowKey, Uint8Array | null] | undefined
    for (let index = 0; index < heads.length; index += 1) {
      const head = heads[index]!
      if (head.done === true) continue
      const row = head.value
      if (best === undefined || (reverse ? row[0] > best[0] : row[0] < best[0])) best = row
    }
    if (best === undefined) return
    const key = best[0]
    if (best[1] !== null) yield best as readonly [RowKey, Uint8Array]
    for (let index = 0; index < heads.length; index += 1) {
      const head = heads[index]!
      if (head.done !== true && head.value[0] === key) heads[index] = layers[index]!.next()
    }
  }
}

/** The index of the one layer that has rows left; undefined where several have, or none has. */
const onlyOne = (heads: ReadonlyArray<IteratorResult<unknown>>): number | undefined => {
  let only: number | undefined
  for (let index = 0; index < heads.length; index += 1) {
    if (heads[index]!.done === true) continue
    if (only !== undefined) return undefined
    only = index
  }
  return only
}

/** A layer's rows from `head` on: nothing is above them any more, and nothing below. */
function* rest(layer: Cursor, head: IteratorResult<readonly [RowKey, Uint8Array | null]>): Generator<readonly [RowKey, Uint8Array]> {
  for (let step = head; step.done !== true; step = layer.next()) if (step.value[1] !== null) yield step.value as readonly [RowKey, Uint8Array]
}
