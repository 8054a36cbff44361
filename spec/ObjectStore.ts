/**
 * ObjectStore: what S3 and history mean, as plainly as it can be written: the executable reference that the namespace
 * is tested against. It sits beside the code and imports nothing of it. Every commit keeps a copy of all there is, so
 * AS OF is looking at an old copy; every listing sorts everything and then leaves out what was not asked for.
 */

export type Versioning = "Unversioned" | "Enabled" | "Suspended"

export interface Version {
  readonly key: string
  /** "null", or 16 hex digits of the commit and 4 of the place in it. */
  readonly versionId: string
  readonly sequence: number
  readonly deleteMarker: boolean
  readonly etag: string
  readonly body: string
}

export interface Part {
  readonly etag: string
  readonly sizeBytes: number
  readonly body: string
}

interface Upload {
  readonly bucket: string
  readonly key: string
  readonly parts: Map<number, Part>
}

interface Bucket {
  readonly name: string
  /** The commit that made it: a name may come to mean another bucket. */
  readonly born: number
  readonly versioning: Versioning
  /** What S3 lists, newest first by key. */
  readonly versions: ReadonlyMap<string, ReadonlyArray<Version>>
}

type Buckets = ReadonlyMap<string, Bucket>

export interface Condition {
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

export interface Target {
  readonly key: string
  readonly versionId?: string
  readonly condition?: Condition
}

export type Outcome =
  | { readonly refusal: string }
  | { readonly versionId: string | undefined; readonly etag: string }
  | { readonly deleted: ReadonlyArray<Deleted> }
  | { readonly done: true }

export interface Deleted {
  readonly key: string
  readonly versionId?: string
  readonly deleteMarker: boolean
  readonly deleteMarkerVersionId?: string
  readonly refusal?: string
}

export interface Query {
  readonly prefix: string
  readonly delimiter: string
  readonly after: string
  readonly limit: number
}

export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  readonly prefixes: ReadonlyArray<string>
  readonly more: boolean
}

const partSizeMin = 5 * 1024 * 1024
const done: Outcome = { done: true }
const refuse = (refusal: string): Outcome => ({ refusal })

/** S3's order: that of the UTF-8 bytes, which is not JavaScript's above U+FFFF. */
export const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

export class ObjectStore {
  /** The store after each commit; the first is the empty one. */
  readonly commits: Array<Buckets> = [new Map()]
  readonly uploads = new Map<string, Upload>()
  oldestReadable = 0
  readonly #completed = new Map<string, { readonly upload: Upload; readonly parts: string; readonly outcome: Outcome }>()

  get head(): number {
    return this.commits.length - 1
  }

  createBucket(name: string): Outcome {
    return this.#commit(name, (bucket, born) => (bucket === undefined
      ? [done, { name, born, versioning: "Unversioned", versions: new Map() }]
      : [refuse("BucketAlreadyOwnedByYou"), bucket]))
  }

  deleteBucket(name: string): Outcome {
    return this.#change(name, (bucket) => {
      const used = [...bucket.versions.values()].some((versions) => versions.length > 0)
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
      return then?.born === bucket.born ? [done, { ...bucket, versions: then.versions }] : [refuse("BucketBornLater"), bucket]
    })
  }

  /** A copy of what the source was at a commit, a source that is gone now too. */
  branch(name: string, source: string, from: number): Outcome {
    return this.#commit(name, (bucket, sequence) => {
      const refusal = this.#judgeCommit(from, sequence)
      if (refusal !== undefined) return [refuse(refusal), bucket]
      const then = this.#at(from).get(source)
      if (then === undefined) return [refuse("NoSuchBucket"), bucket]
      return bucket === undefined ? [done, { ...then, name, born: sequence }] : [refuse("BucketAlreadyOwnedByYou"), bucket]
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

  put(name: string, key: string, etag: string, body: string, condition: Condition = {}): Outcome {
    return this.#change(name, (bucket, sequence) => {
      const refusal = judge(condition, currentOf(bucket, key))
      return refusal === undefined ? add(bucket, sequence, 0, { key, etag, body, deleteMarker: false }) : [refuse(refusal), bucket]
    })
  }

  delete(name: string, targets: ReadonlyArray<Target>): Outcome {
    return this.#change(name, (start, sequence) => {
      let bucket = start
      const deleted = targets.map((target, place): Deleted => {
        const [outcome, next] = remove(bucket, target, sequence, place)
        bucket = next
        return outcome
      })
      return [{ deleted }, bucket]
    })
  }

  createUpload(name: string, key: string, id: string): Outcome {
    return this.#change(name, (bucket) => {
      this.uploads.set(id, { bucket: name, key, parts: new Map() })
      return [done, bucket]
    })
  }

  putPart(name: string, key: string, id: string, number: number, part: Part): Outcome {
    return this.#inUpload(name, key, id, (upload, bucket) => {
      upload.parts.set(number, part)
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
      const refusal = judgeParts(upload, parts) ?? judge(condition, currentOf(bucket, key))
      if (refusal !== undefined) return [refuse(refusal), bucket]
      const body = parts.map(([number]) => upload.parts.get(number)?.body ?? "").join("")
      const [outcome, next] = add(bucket, sequence, 0, { key, etag, body, deleteMarker: false })
      this.uploads.delete(id)
      this.#completed.set(id, { upload, parts: asked, outcome })
      return [outcome, next]
    })
  }

  abort(name: string, key: string, id: string): Outcome {
    return this.#inUpload(name, key, id, (_, bucket) => {
      this.uploads.delete(id)
      return [done, bucket]
    })
  }

  /** A commit that changes nothing that S3 shows. */
  other(): void {
    this.commits.push(this.#now)
  }

  buckets(at: number): ReadonlyArray<{ readonly name: string; readonly versioning: Versioning }> {
    const all = [...this.#at(at).values()].sort((a, b) => byBytes(a.name, b.name))
    return all.map(({ name, versioning }) => ({ name, versioning }))
  }

  /** The current version (a delete marker too), or the one named; undefined where there is none. */
  object(name: string, key: string, versionId: string | undefined, at: number): Version | undefined {
    const versions = this.#at(at).get(name)?.versions.get(key) ?? []
    return versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId)
  }

  listObjects(name: string, query: Query, at: number): Page<Version> {
    const current = this.#versions(name, at).flatMap(([version]) => (version === undefined || version.deleteMarker ? [] : [version]))
    return page(current, query)
  }

  /** `after` and `afterVersionId` name the version that the last page ended with. */
  listVersions(name: string, query: Query, afterVersionId: string | undefined, at: number): Page<Version & { readonly isLatest: boolean }> {
    const listed = this.#versions(name, at).flatMap((versions) => {
      const flagged = versions.map((version, index) => ({ ...version, isLatest: index === 0 }))
      if (afterVersionId === undefined || versions[0]?.key !== query.after) return flagged
      return flagged.slice(versions.findIndex(({ versionId }) => versionId === afterVersionId) + 1)
    })
    return page(listed, query, afterVersionId !== undefined)
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

  get #now(): Buckets {
    return this.#at(this.head)
  }

  #commit(name: string, change: (bucket: Bucket | undefined, sequence: number) => readonly [Outcome, Bucket | undefined]): Outcome {
    const [outcome, bucket] = change(this.#now.get(name), this.commits.length)
    const next = new Map(this.#now)
    if (bucket === undefined) next.delete(name)
    else next.set(name, bucket)
    this.commits.push(next)
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

const currentOf = (bucket: Bucket, key: string): Version | undefined => bucket.versions.get(key)?.[0]

const judge = ({ ifMatch, ifNoneMatch }: Condition, version: Version | undefined): string | undefined => {
  const etag = version === undefined || version.deleteMarker ? undefined : version.etag
  if (ifMatch !== undefined && etag === undefined) return "NoSuchKey"
  if (ifMatch !== undefined && ifMatch !== "*" && ifMatch !== etag) return "PreconditionFailed"
  if (ifNoneMatch === "*" && etag !== undefined) return "PreconditionFailed"
  return ifNoneMatch !== undefined && ifNoneMatch === etag ? "PreconditionFailed" : undefined
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

const withVersions = (bucket: Bucket, key: string, versions: ReadonlyArray<Version>): Bucket => {
  const all = new Map(bucket.versions)
  if (versions.length === 0) all.delete(key)
  else all.set(key, versions)
  return { ...bucket, versions: all }
}

/** A version gets an id of its own while versioning is enabled, else it takes the place of the one named "null". */
const add = (bucket: Bucket, sequence: number, place: number, made: Omit<Version, "versionId" | "sequence">): readonly [{ versionId: string | undefined; etag: string }, Bucket] => {
  const old = bucket.versions.get(made.key) ?? []
  const enabled = bucket.versioning === "Enabled"
  const versionId = enabled ? sequence.toString(16).padStart(16, "0") + place.toString(16).padStart(4, "0") : "null"
  const rest = enabled ? old : old.filter((version) => version.versionId !== "null")
  const answered = bucket.versioning === "Unversioned" ? undefined : versionId
  return [{ versionId: answered, etag: made.etag }, withVersions(bucket, made.key, [{ ...made, versionId, sequence }, ...rest])]
}

const remove = (bucket: Bucket, { key, versionId, condition = {} }: Target, sequence: number, place: number): readonly [Deleted, Bucket] => {
  const versions = bucket.versions.get(key) ?? []
  const named = versionId === undefined ? {} : { versionId }
  const found = versionId === undefined ? versions[0] : versions.find((version) => version.versionId === versionId)
  const refusal = judge(condition, found)
  if (refusal !== undefined) return [{ key, ...named, deleteMarker: false, refusal }, bucket]
  if (versionId === undefined && bucket.versioning !== "Unversioned") {
    const [made, next] = add(bucket, sequence, place, { key, etag: "", body: "", deleteMarker: true })
    return [{ key, deleteMarker: true, ...(made.versionId === undefined ? {} : { deleteMarkerVersionId: made.versionId }) }, next]
  }
  const rest = withVersions(bucket, key, versions.filter((version) => version !== found))
  if (versionId === undefined || found?.deleteMarker !== true) return [{ key, ...named, deleteMarker: false }, rest]
  return [{ key, ...named, deleteMarker: true, deleteMarkerVersionId: versionId }, rest]
}

/** The common prefix that covers a key: up to the first delimiter after the prefix. */
const covering = ({ prefix, delimiter }: Query, key: string): string | undefined => {
  if (delimiter === "") return undefined
  const index = key.indexOf(delimiter, prefix.length)
  return index < 0 ? undefined : key.slice(0, index + delimiter.length)
}

const page = <Item extends { readonly key: string }>(all: ReadonlyArray<Item>, query: Query, inclusive = false): Page<Item> => {
  const { prefix, after, limit } = query
  const afterIsPrefix = after.startsWith(prefix) && covering(query, after) === after
  const asked = all.filter(({ key }) => {
    if (!key.startsWith(prefix)) return false
    if (after === "") return true
    if (afterIsPrefix && key.startsWith(after)) return false
    return byBytes(key, after) > 0 || (inclusive && key === after)
  })
  const items: Array<Item> = []
  const prefixes: Array<string> = []
  for (const item of asked) {
    const common = covering(query, item.key)
    if (common !== undefined && prefixes.at(-1) === common) continue
    if (items.length + prefixes.length >= limit) return { items, prefixes, more: limit > 0 }
    if (common === undefined) items.push(item)
    else prefixes.push(common)
  }
  return { items, prefixes, more: false }
}
