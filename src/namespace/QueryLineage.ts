/**
 * QueryLineage: the branch and the rollbacks that made a bucket's lineage, read back from its configurations. It sits
 * between `log`, which shows them beside the versions, and the rows; what is dropped behind the horizon is not known.
 */
import type { Sequence } from "../base/ids.ts"
import type { LineageEvent } from "./Model.ts"
import { commitTime } from "./Query.ts"
import { configAt, type View } from "./QueryView.ts"
import { afterPrefix, bucketConfigPrefix, descendingAt } from "./Rows.ts"
import { type BucketConfigRow, bucketConfigRow, type LineageInterval } from "./RowsValue.ts"
import type { StateReader } from "./State.ts"

interface Configured {
  readonly sequence: Sequence
  readonly config: BucketConfigRow
}

/** Oldest first, up to the view's commit. */
export const lineageEvents = (reader: StateReader, view: View): ReadonlyArray<LineageEvent> => {
  const prefix = bucketConfigPrefix(view.bucket)
  const configs = Array.from(reader.scan(prefix, afterPrefix(prefix)), ([key, value]): Configured =>
    ({ sequence: descendingAt(key, key.length - 8), config: bucketConfigRow.decode(value) })).reverse().filter(({ sequence }) => sequence <= view.at)
  return configs.flatMap((configured, index) => {
    const event = eventOf(reader, configs.slice(0, index), configured)
    const time = commitTime(reader, configured.sequence)
    return event === undefined ? [] : [{ ...event, sequence: configured.sequence, ...(time === undefined ? {} : { time }) }]
  })
}

type What = { readonly _tag: "Branch"; readonly source: string; readonly at: Sequence } | { readonly _tag: "Rollback"; readonly to?: Sequence }

const eventOf = (reader: StateReader, earlier: ReadonlyArray<Configured>, { sequence, config }: Configured): What | undefined => {
  const { lineage } = config
  const before = earlier.at(-1)
  if (before !== undefined && isSame(before.config.lineage, lineage)) return undefined
  const [past, own] = [lineage.at(-2), lineage.at(-1)]
  if (before === undefined) {
    // Nothing but its newest interval is its own: it began with this one. Else the first that is still known is no beginning.
    if (past?.to === undefined || lineage.slice(0, -1).some(({ source }) => source === own?.source)) return undefined
    return { _tag: "Branch", source: configAt(reader, past.source, sequence)?.name ?? past.source, at: past.to }
  }
  if (own?.from === sequence) return rollbackTo(past?.source === own.source ? past.to : birthOf(earlier))
  // An undone rollback gives a lineage of before back, which the configuration after it had ended.
  const ended = earlier.findLastIndex((one) => isSame(one.config.lineage, lineage)) + 1
  const next = earlier[ended]
  return rollbackTo(ended === 0 || next === undefined ? undefined : next.sequence - 1)
}

const rollbackTo = (to: Sequence | undefined): What => (to === undefined ? { _tag: "Rollback" } : { _tag: "Rollback", to })

/** Of a branch that has nothing of its own left to show; undefined where its first configuration was dropped. */
const birthOf = ([oldest]: ReadonlyArray<Configured>): Sequence | undefined =>
  oldest !== undefined && oldest.config.lineage.at(-1)?.from === oldest.sequence ? oldest.sequence : undefined

const isSame = (a: ReadonlyArray<LineageInterval>, b: ReadonlyArray<LineageInterval>): boolean =>
  a.length === b.length && a.every(({ source, from, to }, index) => source === b[index]?.source && from === b[index].from && to === b[index].to)
