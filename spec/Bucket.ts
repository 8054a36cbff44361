/** Bucket: the versions of one bucket at one commit, and what a change makes of them. Under ObjectStore, which keeps every one. */
import type { Interval } from "./Lineage.ts"

export type Versioning = "Unversioned" | "Enabled" | "Suspended"

export interface Version {
  readonly key: string
  /** "null", or 16 hex digits of the commit and 4 of the place in it. */
  readonly versionId: string
  readonly sequence: number
  readonly deleteMarker: boolean
  readonly etag: string
  readonly body: string
  /** From this millisecond on it counts as deleted, and nothing older comes back in its place. */
  readonly expiresMs?: number | undefined
}

export interface Bucket {
  readonly lineage: ReadonlyArray<Interval>
  /** The newest commit that changed what it shows, a rollback apart; of a bucket that was never rolled back or branched nobody asks. */
  readonly changed: number
  readonly name: string
  /** The commit that made it: a name may come to mean another bucket. */
  readonly born: number
  readonly versioning: Versioning
  /** What S3 lists, newest first by key. */
  readonly versions: ReadonlyMap<string, ReadonlyArray<Version>>
}

export interface Condition {
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

export interface Target {
  readonly key: string
  readonly versionId?: string
  readonly condition?: Condition
}

export interface Deleted {
  readonly key: string
  readonly versionId?: string
  readonly deleteMarker: boolean
  readonly deleteMarkerVersionId?: string
  readonly refusal?: string
}

export const isOlder = ({ sequence, versionId }: Version, than: string): boolean =>
  (versionId === "null" ? sequence < Number.parseInt(than.slice(0, 16), 16) : versionId < than)

export const byExpiry = (a: Version, b: Version): number => (a.expiresMs ?? 0) - (b.expiresMs ?? 0) || a.sequence - b.sequence

export const isExpired = ({ expiresMs }: Version, ms: number): boolean => expiresMs !== undefined && expiresMs <= ms

export const currentOf = (bucket: Bucket, key: string, nowMs: number): Version | undefined => {
  const version = bucket.versions.get(key)?.[0]
  return version === undefined || isExpired(version, nowMs) ? undefined : version
}

export const judge = ({ ifMatch, ifNoneMatch }: Condition, version: Version | undefined): string | undefined => {
  const etag = version === undefined || version.deleteMarker ? undefined : version.etag
  if (ifMatch !== undefined && etag === undefined) return "NoSuchKey"
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"
  if (ifNoneMatch === "*" && etag !== undefined) return "PreconditionFailed"
  return ifNoneMatch !== undefined && ifNoneMatch === etag ? "PreconditionFailed" : undefined
}

export const withVersions = (bucket: Bucket, key: string, versions: ReadonlyArray<Version>): Bucket => {
  const all = new Map(bucket.versions)
  if (versions.length === 0) all.delete(key)
  else all.set(key, versions)
  return { ...bucket, versions: all }
}

/** A version gets an id of its own while versioning is enabled, else it takes the place of the one named "null". */
export const add = (bucket: Bucket, sequence: number, place: number, made: Omit<Version, "versionId" | "sequence">): readonly [{ versionId: string | undefined; etag: string }, Bucket] => {
  const old = bucket.versions.get(made.key) ?? []
  const enabled = bucket.versioning === "Enabled"
  const versionId = enabled ? sequence.toString(16).padStart(16, "0") + place.toString(16).padStart(4, "0") : "null"
  const rest = enabled ? old : old.filter((version) => version.versionId !== "null")
  const answered = bucket.versioning === "Unversioned" ? undefined : versionId
  return [{ versionId: answered, etag: made.etag }, withVersions(bucket, made.key, [{ ...made, versionId, sequence }, ...rest])]
}

export const expireOne = (bucket: Bucket, expired: Version, sequence: number, place: number, nowMs: number): Bucket => {
  const { key } = expired
  const versions = bucket.versions.get(key) ?? []
  const older = versions[1]
  if (versions[0] !== expired || older === undefined || older.deleteMarker || isExpired(older, nowMs)) {
    return withVersions(bucket, key, versions.filter((version) => version !== expired))
  }
  const versionId = expired.versionId === "null" ? "null" : sequence.toString(16).padStart(16, "0") + place.toString(16).padStart(4, "0")
  return withVersions(bucket, key, [{ key, versionId, sequence, deleteMarker: true, etag: "", body: "" }, ...versions.slice(1)])
}

export const remove = (
  bucket: Bucket, { key, versionId, condition = {} }: Target, sequence: number, place: number, nowMs: number
): readonly [Deleted, Bucket] => {
  const versions = bucket.versions.get(key) ?? []
  const named = versionId === undefined ? {} : { versionId }
  const asked = versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId)
  const found = asked === undefined || isExpired(asked, nowMs) ? undefined : asked
  const refusal = judge(condition, found)
  if (refusal !== undefined) return [{ key, ...named, deleteMarker: false, refusal }, bucket]
  if (versionId === undefined && bucket.versioning !== "Unversioned") {
    const [made, next] = add(bucket, sequence, place, { key, etag: "", body: "", deleteMarker: true })
    return [{ key, deleteMarker: true, ...(made.versionId === undefined ? {} : { deleteMarkerVersionId: made.versionId }) }, next]
  }
  const rest = found === undefined ? bucket : withVersions(bucket, key, versions.filter((version) => version !== found))
  if (versionId === undefined || found?.deleteMarker !== true) return [{ key, ...named, deleteMarker: false }, rest]
  return [{ key, ...named, deleteMarker: true, deleteMarkerVersionId: versionId }, rest]
}
