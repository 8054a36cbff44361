/**
 * ObjectStore: what S3 and history mean, as plainly as it can be written: the executable reference that the namespace
 * is tested against. It sits beside the code and imports nothing of it. Every commit keeps a copy of all there is, so
 * AS OF is looking at an old copy (at some point of time, for what expires); every listing sorts everything and then leaves out what was not asked for.
 */
import { add, type Bucket, byExpiry, type Condition, currentOf, type Deleted, expireOne, isExpired, isOlder, judge, remove, type Target, type Version, type Versioning } from "./Bucket.ts"
import { backTo, lineageIntervalsMax } from "./Lineage.ts"
import { byBytes, type Page, page, type Query } from "./Pages.ts"

export { byBytes, type Condition, type Page, type Query, type Target, type Version, type Versioning }

export interface Part {
  readonly etag: string
  readonly sizeBytes: number
  readonly body: string
}

interface Upload {
  readonly bucket: string
  readonly key: string
  readonly parts: Map<number, Part>
  readonly ttlSeconds?: number | undefined
  /** When it was begun, or last got a part. */
  usedMs: number
}

type Buckets = ReadonlyMap<string, Bucket>

export type Outcome =
  | { readonly refusal: string }
  | { readonly versionId: string | undefined; readonly etag: string }
  | { readonly deleted: ReadonlyArray<Deleted> }
  | { readonly done: true }

const partSizeMin = 5 * 1024 * 1024
const done: Outcome = { done: true }
const refuse = (refusal: string): Outcome => ({ refusal })

export class ObjectStore {
  /** The store after each commit; the first is the empty one. */
  readonly commits: Array<Buckets> = [new Map()]
  /** The time of the next commit; whoever drives moves it on. */
  nowMs = 0
  /** The time of each commit. */
  readonly times: Array<number> = [0]
  readonly uploads = new Map<string, Upload>()
  oldestReadable = 0
  /** Versions whose turn to expire has not come. */
  readonly #expiring: Array<Version> = []
  readonly #completed = new Map<string, { readonly upload: Upload; readonly parts: string; readonly outcome: Outcome }>()

  get head(): number {
    return this.commits.length - 1
  }

  createBucket(name: string): Outcome {
    return this.#commit(name, (bucket, born) => (bucket === undefined
      ? [done, { name, born, versioning: "Unversioned", versions: new Map(), lineage: [{ born, from: born }], changed: born }]
      : [refuse("BucketAlreadyOwnedByYou"), bucket]))
  }

  deleteBucket(name: string): Outcome {
    return this.#change(name, (bucket) => {
      const used = [...bucket.versions.values()].some((versions) => versions.some((version) => !isExpired(version, this.nowMs)))
      const uploading = [...this.uploads.values()].some((upload) => upload.bucket === name)
      return used || uploading ? [refuse("BucketNotEmpty"), bucket] : [done, undefined]
    })
  }

  setVersioning(name: string, versioning: "Enabled" | "Suspended"): Outcome {
    return this.#change(name, (bucket) => [done, { ...bucket, versioning }])
  }

  /** The versions of then, whole: nothing else of the bucket goes back. */
  rollback(name: string, to: number): Outcome {
    return this.#change(name, (bucket, sequence) => {
      const refusal = this.#judgeCommit(to, sequence)
      if (refusal !== undefined) return [refuse(refusal), bucket]
      const then = this.#at(to).get(name)
      if (then?.born !== bucket.born) return [refuse("BucketBornLater"), bucket]
      const changed = bucket.lineage.length === 1 ? sequence - 1 : bucket.changed
      const lineage = backTo(then.lineage, to, bucket.born, sequence, changed)
      return lineage.length > lineageIntervalsMax ? [refuse("LineageTooLong"), bucket] : [done, { ...bucket, versions: then.versions, lineage, changed }]
    })
  }

  /** A copy of what the source was at a commit, a source that is gone now too. */
  branch(name: string, source: string, from: number): Outcome {
    return this.#commit(name, (bucket, sequence) => {
      const refusal = this.#judgeCommit(from, sequence)
      if (refusal !== undefined) return [refuse(refusal), bucket]
      const then = this.#at(from).get(source)
      if (then === undefined) return [refuse("NoSuchBucket"), bucket]
      if (bucket !== undefined) return [refuse("BucketAlreadyOwnedByYou"), bucket]
      const lineage = backTo(then.lineage, from, sequence, sequence, sequence)
      return lineage.length > lineageIntervalsMax ? [refuse("LineageTooLong"), undefined] : [done, { ...then, name, born: sequence, lineage, changed: sequence - 1 }]
    })
  }

  /** What is before it can neither be read nor gone back to. */
  raiseHorizon(oldestReadable: number): Outcome {
    this.other()
    this.oldestReadable = Math.max(this.oldestReadable, Math.min(oldestReadable, this.head))
    return done
  }

  #judgeCommit(asked: number, sequence: number): string | undefined {
    if (asked >= sequence) return "CommitInFuture"
    return asked < this.oldestReadable ? "CommitBeforeHorizon" : undefined
  }

  put(name: string, key: string, etag: string, body: string, condition: Condition = {}, ttlSeconds?: number): Outcome {
    return this.#change(name, (bucket, sequence) => {
      const refusal = judge(condition, currentOf(bucket, key, this.nowMs))
      const expiresMs = ttlSeconds === undefined ? undefined : this.nowMs + ttlSeconds * 1000
      return refusal === undefined ? this.#add(bucket, sequence, { key, etag, body, deleteMarker: false, expiresMs }) : [refuse(refusal), bucket]
    })
  }

  delete(name: string, targets: ReadonlyArray<Target>): Outcome {
    return this.#change(name, (start, sequence) => {
      let bucket = start
      const deleted = targets.map((target, place): Deleted => {
        const [outcome, next] = remove(bucket, target, sequence, place, this.nowMs)
        bucket = next
        return outcome
      })
      return [{ deleted }, bucket]
    })
  }

  createUpload(name: string, key: string, id: string, ttlSeconds?: number): Outcome {
    return this.#change(name, (bucket) => {
      this.uploads.set(id, { bucket: name, key, parts: new Map(), ttlSeconds, usedMs: this.nowMs })
      return [done, bucket]
    })
  }

  putPart(name: string, key: string, id: string, number: number, part: Part): Outcome {
    return this.#inUpload(name, key, id, (upload, bucket) => {
      upload.parts.set(number, part)
      upload.usedMs = this.nowMs
      return [{ versionId: undefined, etag: part.etag }, bucket]
    })
  }

  complete(name: string, key: string, id: string, parts: ReadonlyArray<readonly [number, string]>, etag: string, condition: Condition = {}): Outcome {
    const asked = JSON.stringify(parts.map(([number]) => number))
    const before = this.#completed.get(id)
    if (before !== undefined && before.upload.bucket === name && before.upload.key === key && before.parts === asked) {
      return this.#change(name, (bucket) => [before.outcome, bucket])
    }
    return this.#inUpload(name, key, id, (upload, bucket, sequence) => {
      const refusal = judgeParts(upload, parts) ?? judge(condition, currentOf(bucket, key, this.nowMs))
      if (refusal !== undefined) return [refuse(refusal), bucket]
      const body = parts.map(([number]) => upload.parts.get(number)?.body ?? "").join("")
      const expiresMs = upload.ttlSeconds === undefined ? undefined : this.nowMs + upload.ttlSeconds * 1000
      const [outcome, next] = this.#add(bucket, sequence, { key, etag, body, deleteMarker: false, expiresMs })
      this.uploads.delete(id)
      this.#completed.set(id, { upload, parts: asked, outcome })
      return [outcome, next]
    })
  }

  /** Its parts are gone, and with them what is known of how it ended. */
  forgetEnded(id: string): void {
    this.#completed.delete(id)
  }

  abort(name: string, key: string, id: string): Outcome {
    return this.#inUpload(name, key, id, (_, bucket) => {
      this.uploads.delete(id)
      return [done, bucket]
    })
  }

  /** One that was used since, or is over, stays as it is. */
  abortStale(name: string, key: string, id: string, beforeMs: number): Outcome {
    return this.#change(name, (bucket) => {
      const upload = this.uploads.get(id)
      if (upload?.bucket === name && upload.key === key && upload.usedMs < beforeMs) this.uploads.delete(id)
      return [done, bucket]
    })
  }

  /** A commit that changes nothing that S3 shows. */
  other(): void {
    this.#push(this.#now)
  }

  /**
   * What has expired goes from every bucket that shows it, the earliest first, up to `limit` versions. Where it was the
   * current version and an older one would come back, a delete marker takes its place. Each version's turn comes once:
   * one that a rollback or a branch of the past shows again is hidden by its time alone.
   */
  expire(limit: number): Outcome {
    const sequence = this.commits.length
    const next = new Map(this.#now)
    let gone = 0
    let place = 0
    while (gone < limit) {
      const version = this.#expiring.filter((one) => isExpired(one, this.nowMs)).sort(byExpiry)[0]
      if (version === undefined) break
      this.#expiring.splice(this.#expiring.indexOf(version), 1)
      const shown = [...next].filter(([, bucket]) => bucket.versions.get(version.key)?.includes(version))
      for (const [name, bucket] of shown) next.set(name, { ...expireOne(bucket, version, sequence, place, this.nowMs), changed: sequence })
      if (shown.length > 0) gone += 1
      // One that was newest has a marker of its own; older ones may lie under another's.
      if (shown.some(([name, { versions }]) => versions.get(version.key)?.[0] === version && next.get(name)?.versions.get(version.key)?.[0]?.sequence === sequence)) place += 1
    }
    this.#push(next)
    return done
  }

  /** What is shown again after its turn to expire has one anew. */
  expireAgain(places: ReadonlyArray<{ readonly key: string; readonly sequence: number }>): Outcome {
    const shown = places.flatMap(({ key, sequence }) => [...this.#now.values()].flatMap(({ versions }) => versions.get(key) ?? []).filter((one) => one.sequence === sequence))
    this.#expiring.push(...new Set(shown.filter((one) => one.expiresMs !== undefined && !this.#expiring.includes(one))))
    this.other()
    return done
  }

  /** How many pieces of history it is made of. */
  intervals(name: string): number {
    return this.#now.get(name)?.lineage.length ?? 0
  }

  buckets(at: number): ReadonlyArray<{ readonly name: string; readonly versioning: Versioning }> {
    const all = [...this.#at(at).values()].sort((a, b) => byBytes(a.name, b.name))
    return all.map(({ name, versioning }) => ({ name, versioning }))
  }

  /**
   * The current version (a delete marker too), or the one named; undefined where there is none. Here and below, `ms` is
   * the point of time: that of the commit where nothing is said.
   */
  object(name: string, key: string, versionId: string | undefined, at: number, ms = this.#time(at)): Version | undefined {
    const versions = this.#at(at).get(name)?.versions.get(key) ?? []
    const found = versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId)
    return found === undefined || isExpired(found, ms) ? undefined : found
  }

  listObjects(name: string, query: Query, at: number, ms = this.#time(at)): Page<Version> {
    const current = this.#versions(name, at).flatMap(([version]) =>
      (version === undefined || version.deleteMarker || isExpired(version, ms) ? [] : [version]))
    return page(current, query)
  }

  /** `after` and `afterVersionId` name the version that the last page ended with, whether it is still there or not. */
  listVersions(
    name: string, query: Query, afterVersionId: string | undefined, at: number, ms = this.#time(at)
  ): Page<Version & { readonly isLatest: boolean }> {
    const listed = this.#versions(name, at).flatMap((versions) => {
      const flagged = versions.map((version, index) => ({ ...version, isLatest: index === 0 }))
      if (afterVersionId === undefined || versions[0]?.key !== query.after) return flagged
      const index = versions.findIndex(({ versionId }) => versionId === afterVersionId)
      // Where the one named "null" was, nobody knows.
      return index >= 0 || afterVersionId === "null" ? flagged.slice(index + 1) : flagged.filter((version) => isOlder(version, afterVersionId))
    })
    return page(listed.filter((version) => !isExpired(version, ms)), query, afterVersionId !== undefined)
  }

  #versions(name: string, at: number): ReadonlyArray<ReadonlyArray<Version>> {
    const bucket = this.#at(at).get(name)
    return [...(bucket?.versions ?? [])].sort(([a], [b]) => byBytes(a, b)).map(([, versions]) => versions)
  }

  #at(sequence: number): Buckets {
    const buckets = this.commits[sequence]
    if (buckets === undefined) throw new Error(`no commit ${sequence}`)
    return buckets
  }

  #add(bucket: Bucket, sequence: number, made: Omit<Version, "versionId" | "sequence">): ReturnType<typeof add> {
    const added = add(bucket, sequence, 0, made)
    const version = added[1].versions.get(made.key)?.[0]
    if (version?.expiresMs !== undefined) this.#expiring.push(version)
    return added
  }

  #time(sequence: number): number {
    return this.times[sequence] ?? 0
  }

  #push(buckets: Buckets): void {
    this.commits.push(buckets)
    this.times.push(this.nowMs)
  }

  get #now(): Buckets {
    return this.#at(this.head)
  }

  #commit(name: string, change: (bucket: Bucket | undefined, sequence: number) => readonly [Outcome, Bucket | undefined]): Outcome {
    const sequence = this.commits.length
    const before = this.#now.get(name)
    const [outcome, bucket] = change(before, sequence)
    const next = new Map(this.#now)
    if (bucket === undefined) next.delete(name)
    else next.set(name, bucket.lineage === before?.lineage && bucket.versions !== before.versions ? { ...bucket, changed: sequence } : bucket)
    this.#push(next)
    return outcome
  }

  #change(name: string, change: (bucket: Bucket, sequence: number) => readonly [Outcome, Bucket | undefined]): Outcome {
    return this.#commit(name, (bucket, sequence) => (bucket === undefined ? [refuse("NoSuchBucket"), undefined] : change(bucket, sequence)))
  }

  #inUpload(
    name: string, key: string, id: string,
    change: (upload: Upload, bucket: Bucket, sequence: number) => readonly [Outcome, Bucket | undefined]
  ): Outcome {
    return this.#change(name, (bucket, sequence) => {
      const upload = this.uploads.get(id)
      const here = upload?.bucket === name && upload.key === key
      return here ? change(upload, bucket, sequence) : [refuse("NoSuchUpload"), bucket]
    })
  }
}

const judgeParts = (upload: Upload, parts: ReadonlyArray<readonly [number, string]>): string | undefined => {
  if (parts.length === 0) return "InvalidPart"
  for (let index = 1; index < parts.length; index += 1) {
    if ((parts[index]?.[0] ?? 0) <= (parts[index - 1]?.[0] ?? 0)) return "InvalidPartOrder"
  }
  for (const [index, [number, etag]] of parts.entries()) {
    const part = upload.parts.get(number)
    if (part === undefined || part.etag !== etag) return "InvalidPart"
    if (index < parts.length - 1 && part.sizeBytes < partSizeMin) return "EntityTooSmall"
  }
  return undefined
}
