/** CheckpointMerge: one ordered run of rows out of a base and its deltas. It sits between files and a rebuilt tree. */
import type { RowChange, RowKey } from "./State.ts"

/** The section of a file that is being merged. */
export interface MergeSource {
  rows: ReadonlyArray<RowChange>
  index: number
  /** No section is left. */
  ended: boolean
}

/**
 * Emits rows in order until a source is out of rows; returns it, to be given its next section (or `ended`), or
 * undefined at the end of all. `sources` newest first: of equal keys the newest counts, and a removal emits nothing.
 */
export const mergeUntilDry = (sources: ReadonlyArray<MergeSource>, emit: (key: RowKey, value: Uint8Array) => void): MergeSource | undefined => {
  for (;;) {
    let best: RowChange | undefined
    for (const source of sources) {
      const head = source.rows[source.index]
      if (head === undefined) {
        if (!source.ended) return source
      } else if (best === undefined || head[0] < best[0]) best = head
    }
    if (best === undefined) return undefined
    const [key, value] = best
    if (value !== undefined) emit(key, value)
    for (const source of sources) {
      if (source.rows[source.index]?.[0] === key) source.index += 1
    }
  }
}
