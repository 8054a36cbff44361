/**
 * Purge: history behind the horizon goes, step by step: versions that no readable commit shows, then what is left of
 * buckets and commits (R5). It sits between retention, which raises the horizon, and the rows; what goes is judged in apply.
 *
 * A pass walks the hidden rows of all buckets, then the listed ones of buckets that were rolled back, branched or deleted.
 * While the horizon stays where the last pass found it, there is nothing to do.
 */
import { Effect } from "effect"
import type { BucketId, Sequence } from "./base/ids.ts"
import { bucketsPerDropMax, commitRowsMax, gcCommitRowsMin, versionsPerPurgeMax } from "./base/limits.ts"
import { probe } from "./base/probes.ts"
import type { Change, VersionPlace } from "./namespace/Model.ts"
import type { NamespaceService, Unavailable } from "./namespace/Namespace.ts"
import { bucketsAfter, commitsBefore, mayListPurgeable, purgeable, withSupersededRows } from "./namespace/QueryGarbage.ts"
import { Readable } from "./namespace/QueryPurge.ts"
import type { RowKey, StateReader } from "./namespace/State.ts"
import { neverRefused } from "./settle.ts"

export interface PurgeRooms {
  readonly namespace: NamespaceService
  readonly reader: StateReader
  /** Rows that are looked at before others have their turn, at most gcRowsAtOnceMax. */
  readonly rowsAtOnce: number
}

interface Pass {
  readonly horizon: Sequence
  /** The bucket whose listed rows are looked at; undefined: hidden rows, of all buckets. */
  bucket: BucketId | undefined
  /** The next row; undefined: the first. */
  from: RowKey | undefined
}

export interface Purging {
  /** The horizon that the last whole pass was made for. */
  passedAt: Sequence
  pass: Pass | undefined
  /** Since the start. */
  versions: number
  historyRows: number
}

export const noPurging = (): Purging => ({ passedAt: 0, pass: undefined, versions: 0, historyRows: 0 })

/** Proposes a commit of collection, again while more of what it names is left than one commit takes. */
export const collectAll = Effect.fnUntraced(function*(namespace: NamespaceService, change: Change) {
  let items = 0
  let bytes = 0
  for (;;) {
    const { answer } = yield* Effect.catchTag(namespace.propose(change), "Refused", neverRefused)
    if (answer._tag !== "Collected") return { items, bytes }
    items += answer.items
    bytes += answer.bytes
    if (!answer.remaining) return { items, bytes }
  }
})

/** Goes on with the pass, or begins one; looks at so many rows at most. True where a pass is whole, and none is due. */
export const purge = Effect.fnUntraced(function*(rooms: PurgeRooms, purging: Purging, rowsMax: number): Effect.fn.Return<boolean, Unavailable> {
  const { namespace, reader, rowsAtOnce } = rooms
  let rowsLeft = rowsMax
  while (rowsLeft > 0) {
    const horizon = namespace.oldestReadable()
    const pass = purging.pass ?? (horizon > purging.passedAt ? { horizon, bucket: undefined, from: undefined } : undefined)
    if (pass === undefined) return true
    purging.pass = pass
    const readable = new Readable(reader, horizon)
    const rows = pass.bucket === undefined ? "hidden" : "version"
    const walk = purgeable(reader, readable, rows, pass.bucket, pass.from, Math.min(rowsLeft, rowsAtOnce), versionsPerPurgeMax)
    rowsLeft -= walk.scanned + 1
    if (walk.places.length > 0) purging.versions += (yield* collectAll(namespace, { _tag: "PurgeVersions", rows: walk.places })).items
    else yield* Effect.yieldNow
    if (walk.shownAgain.length > 0) yield* expireAgain(namespace, walk.shownAgain)
    pass.from = walk.next
    if (walk.next === undefined && !nextBucket(reader, readable, pass)) {
      // First: where the journal loses that commit, this pass is not over.
      yield* dropBuckets(rooms, purging)
      purging.pass = undefined
      purging.passedAt = pass.horizon
    }
  }
  return false
})

/** Their turn to be hidden comes anew (expiry.ts): nobody sees them, and without it they would stay for ever. */
const expireAgain = (namespace: NamespaceService, rows: ReadonlyArray<VersionPlace>): Effect.Effect<void, Unavailable> => {
  probe("expiry.shownAgain")
  return Effect.asVoid(Effect.catchTag(namespace.propose({ _tag: "ExpireAgain", rows }), "Refused", neverRefused))
}

/** To the next bucket whose listed rows may be purged; false where there is none. */
const nextBucket = (reader: StateReader, readable: Readable, pass: Pass): boolean => {
  for (;;) {
    const [bucket] = bucketsAfter(reader, pass.bucket, 1)
    if (bucket === undefined) return false
    pass.bucket = bucket
    if (mayListPurgeable(readable, bucket)) return true
  }
}

const dropBuckets = Effect.fnUntraced(function*({ namespace, reader }: PurgeRooms, purging: Purging) {
  let after: BucketId | undefined
  for (;;) {
    const buckets = bucketsAfter(reader, after, bucketsPerDropMax)
    after = buckets.at(-1)
    if (after === undefined) return
    const old = withSupersededRows(reader, buckets, namespace.oldestReadable())
    if (old.length > 0) purging.historyRows += (yield* collectAll(namespace, { _tag: "DropHistory", before: 0, limit: commitRowsMax, buckets: old })).items
    else yield* Effect.yieldNow
  }
})

/**
 * Rows of commits before the horizon; `before`: and before that one, so that it stays known when younger ones were.
 * Few are not worth a commit, unless all are to go.
 */
export const dropCommits = Effect.fnUntraced(function*({ namespace, reader }: PurgeRooms, purging: Purging, before: Sequence, all: boolean) {
  const until = Math.min(before, namespace.oldestReadable())
  if (commitsBefore(reader, until, gcCommitRowsMin) < (all ? 1 : gcCommitRowsMin)) return
  purging.historyRows += (yield* collectAll(namespace, { _tag: "DropHistory", before: until, limit: commitRowsMax, buckets: [] })).items
})
