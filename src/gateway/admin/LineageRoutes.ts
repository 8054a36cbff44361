/**
 * LineageRoutes: rollback, branch and diff on the admin address. It sits between AdminHandler, which has checked who
 * asks, and the namespace; it says in words what a refusal means and what to do.
 */
import { DateTime, Effect } from "effect"
import type { Sequence } from "../../base/ids.ts"
import { diffPageMax } from "../../base/limits.ts"
import { type HybridTime, millisOf } from "../../base/time.ts"
import type { AsOf, BucketAt, DiffEntry, DiffPage, DiffQuery, LineageEvent, ObjectVersion } from "../../namespace/Model.ts"
import type { AsOfRefused, Committed, Refused, Unavailable } from "../../namespace/Namespace.ts"
import { isBucketName } from "../s3/Buckets.ts"
import { parseAsOf } from "./HistoryJson.ts"

type Failure = Refused | AsOfRefused | Unavailable

/** A change, and the commit that the point of history asked for meant. */
export interface WentBack {
  readonly committed: Committed
  readonly to: Sequence
}

export interface DiffOf {
  readonly from: BucketAt
  readonly to: BucketAt
  readonly page: DiffPage
}

/** A bucket as it is asked for; no point of history: now. */
export interface BucketAsOf {
  readonly bucket: string
  readonly asOf: AsOf | undefined
}

export interface LineageControl {
  readonly rollback: (bucket: string, to: AsOf) => Effect.Effect<WentBack, Failure>
  readonly branch: (source: string, bucket: string, asOf: AsOf | undefined) => Effect.Effect<WentBack, Failure>
  readonly lineage: (bucket: string, asOf: AsOf | undefined) => Effect.Effect<ReadonlyArray<LineageEvent>, Failure>
  readonly diff: (from: BucketAsOf, to: BucketAsOf, query: DiffQuery) => Effect.Effect<DiffOf, Failure>
}

/** Status and JSON of an answer. */
export interface Told {
  readonly status: number
  readonly value: unknown
}

export interface RollbackJson {
  readonly bucket: string
  /** The commit whose content the bucket has now. */
  readonly to: number
  /** The commit that the rollback is. */
  readonly commit: number
  /** Rolled back to this commit, it is undone. */
  readonly undo: number
}

export interface BranchJson {
  readonly bucket: string
  readonly source: string
  readonly from: number
  readonly commit: number
}

export interface DiffVersionJson {
  readonly versionId: string
  readonly sequence: number
  readonly time: string
  readonly sizeBytes: number
  readonly etag: string
}

export interface DiffEntryJson {
  readonly change: "added" | "removed" | "changed"
  readonly key: string
  readonly from?: DiffVersionJson
  readonly to?: DiffVersionJson
  /** Of a changed one: another version, certainly of the same bytes. */
  readonly sameBytes?: boolean
}

export interface DiffPageJson {
  readonly from: { readonly bucket: string; readonly commit: number }
  readonly to: { readonly bucket: string; readonly commit: number }
  readonly entries: ReadonlyArray<DiffEntryJson>
  /** Strictly after this key; a page may be empty and have one. */
  readonly next?: string
}

export interface LineageEventJson {
  readonly sequence: number
  readonly time?: string
  readonly event: "branch" | "rollback"
  /** Of a branch: the bucket that it was made of, and at which commit. */
  readonly source?: string
  readonly from?: number
  readonly to?: number
}

export interface LineageJson {
  readonly events: ReadonlyArray<LineageEventJson>
}

const told = (status: number, value: unknown): Effect.Effect<Told> => Effect.succeed({ status, value })

const points = "a commit sequence (1234) or an ISO 8601 time"

/** POST /v1/rollback {"bucket", "to"}. */
export const rollbackTold = (body: unknown, control: LineageControl): Effect.Effect<Told> => {
  const { bucket, to } = fieldsOf(body)
  const asOf = parseAsOf(to ?? null)
  if (bucket === undefined || asOf === undefined || asOf === "Malformed") {
    return told(400, { error: `the body is {"bucket": "NAME", "to": "POINT"}; a point of history is ${points}` })
  }
  return answered(control.rollback(bucket, asOf), ({ to: meant, committed: { sequence } }): RollbackJson =>
    ({ bucket, to: meant, commit: sequence, undo: sequence - 1 }))
}

/** POST /v1/branch {"source", "bucket", "asOf"?}. */
export const branchTold = (body: unknown, control: LineageControl): Effect.Effect<Told> => {
  const { source, bucket, asOf: point } = fieldsOf(body)
  const asOf = parseAsOf(point ?? null)
  if (source === undefined || bucket === undefined || asOf === "Malformed") {
    return told(400, { error: `the body is {"source": "NAME", "bucket": "NEW", "asOf": "POINT"}; a point of history is ${points}, absent for now` })
  }
  if (!isBucketName(bucket)) {
    return told(400, { code: "InvalidBucketName", error: `"${bucket}" is no name for a bucket: 3 to 63 of a-z, 0-9, "-" and ".", as S3 has them` })
  }
  return answered(control.branch(source, bucket, asOf), ({ to, committed: { sequence } }): BranchJson =>
    ({ bucket, source, from: to, commit: sequence }))
}

/** GET /v1/diff?bucket=B[&from=POINT][&to=POINT][&with=B2][&prefix=P][&after=KEY][&limit=N]. */
export const diffTold = (query: URLSearchParams, control: LineageControl): Effect.Effect<Told> => {
  const bucket = query.get("bucket")
  const [from, to] = [parseAsOf(query.get("from")), parseAsOf(query.get("to"))]
  if (bucket === null || from === "Malformed" || to === "Malformed") {
    return told(400, { error: `bucket is asked for; from and to are points of history, absent for now: ${points}` })
  }
  const limit = Math.min(Math.max(Number(query.get("limit") ?? diffPageMax) || 1, 1), diffPageMax)
  const asked = { prefix: query.get("prefix") ?? "", after: query.get("after") ?? "", limit }
  const diff = control.diff({ bucket, asOf: from }, { bucket: query.get("with") ?? bucket, asOf: to }, asked)
  return answered(diff, (found): DiffPageJson => ({
    from: { bucket: found.from.bucket, commit: found.from.at }, to: { bucket: found.to.bucket, commit: found.to.at },
    entries: found.page.entries.map(entryJson), ...(found.page.next === undefined ? {} : { next: found.page.next })
  }))
}

/** GET /v1/lineage?bucket=B[&as-of=POINT]: the branch that it began as, and its rollbacks. */
export const lineageTold = (query: URLSearchParams, control: LineageControl): Effect.Effect<Told> => {
  const asOf = parseAsOf(query.get("as-of"))
  if (asOf === "Malformed") return told(400, { error: `as-of is ${points}` })
  return answered(control.lineage(query.get("bucket") ?? "", asOf), (events): LineageJson => ({ events: events.map(eventJson) }))
}

const eventJson = (event: LineageEvent): LineageEventJson => {
  const { sequence, time } = event
  const when = { sequence, ...(time === undefined ? {} : { time: isoOf(time) }) }
  return event._tag === "Branch"
    ? { ...when, event: "branch", source: event.source, from: event.at }
    : { ...when, event: "rollback", ...(event.to === undefined ? {} : { to: event.to }) }
}

const fieldsOf = (body: unknown): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(Object.entries(typeof body === "object" && body !== null ? body : {}).flatMap(([name, value]) =>
    (typeof value === "string" || typeof value === "number" ? [[name, String(value)]] : [])))

const answered = <A>(effect: Effect.Effect<A, Failure>, show: (answer: A) => unknown): Effect.Effect<Told> =>
  Effect.match(effect, { onSuccess: (answer) => ({ status: 200, value: show(answer) }), onFailure: refusedTold })

const refusedTold = (error: Failure): Told => {
  if (error._tag === "Unavailable") return { status: 503, value: { code: error.reason === "NoQuorum" ? "NoQuorum" : "ServiceUnavailable", error: error.message } }
  if (error._tag === "AsOfRefused") {
    return { status: 400, value: { code: error.reason === "Future" ? "AsOfInFuture" : "AsOfBeforeHorizon", error: error.message } }
  }
  const { refusal, bucket } = error
  switch (refusal) {
    // The horizon or another change came between the question and the commit.
    case "CommitInFuture":
      return { status: 400, value: { code: "AsOfInFuture", error: `${error.message}: the commit asked for is yet to come` } }
    case "CommitBeforeHorizon":
      return { status: 400, value: { code: "AsOfBeforeHorizon", error: `${error.message}: history goes back to the horizon only; ouroboros status names it` } }
    case "BucketBornLater":
      return { status: 409, value: { code: refusal, error: `bucket ${bucket} was made after that commit; what had its name then, if anything, was another bucket, to be had by: ouroboros branch ${bucket} NEW --as-of POINT` } }
    case "LineageTooLong":
      return { status: 409, value: { code: refusal, error: `bucket ${bucket} has been rolled back, or branched from branches, as often as can be recorded; roll it back to a commit before its latest rollbacks, or copy it into a new bucket` } }
    case "BucketAlreadyOwnedByYou":
      return { status: 409, value: { code: refusal, error: `there is a bucket ${bucket} already; a branch needs a name that is free` } }
    case "NoSuchBucket":
      return { status: 404, value: { code: refusal, error: `there is no bucket ${bucket} at that point of time; ouroboros ls names those of now, ls --as-of POINT those of then` } }
    default:
      return { status: refusal.startsWith("NoSuch") ? 404 : 409, value: { code: refusal, error: error.message } }
  }
}

const versionJson = ({ versionId, sequence, time, sizeBytes, etag }: ObjectVersion): DiffVersionJson =>
  ({ versionId, sequence, time: isoOf(time), sizeBytes, etag })

const isoOf = (time: HybridTime): string => DateTime.formatIso(DateTime.makeUnsafe(millisOf(time)))

const entryJson = (entry: DiffEntry): DiffEntryJson => {
  switch (entry._tag) {
    case "Added":
      return { change: "added", key: entry.key, to: versionJson(entry.to) }
    case "Removed":
      return { change: "removed", key: entry.key, from: versionJson(entry.from) }
    case "Changed":
      return { change: "changed", key: entry.key, from: versionJson(entry.from), to: versionJson(entry.to), sameBytes: entry.sameBytes }
  }
}
