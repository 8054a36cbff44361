/** Known: what the clients of one workload have learned from answers, to ask for things that are there. It judges nothing. */
import type { Random } from "../Random.ts"

const rememberedMax = 40

export interface KnownVersion {
  readonly bucket: string
  readonly key: string
  readonly versionId: string
  /** Of its bytes; undefined: whatever its parts had. */
  readonly token: string | undefined
  readonly sizeBytes: number
}

export interface KnownUpload {
  readonly bucket: string
  readonly key: string
  readonly uploadId: string
  /** Parts that were acknowledged, by number. */
  readonly parts: Map<number, string>
  /** Sizes that were sent: each part's is another, so that it says which bytes a part has. */
  readonly sizes: Set<number>
  isOver: boolean
}

/** A listing that goes on. */
export interface KnownPage {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
}

/** The newest few, oldest first. */
const keep = <A>(list: Array<A>, one: A): void => {
  list.push(one)
  if (list.length > rememberedMax) list.shift()
}

export class Known {
  readonly versions: Array<KnownVersion> = []
  readonly uploads: Array<KnownUpload> = []
  readonly pages: Array<KnownPage> = []
  readonly commits: Array<number> = []
  readonly etags: Array<string> = []

  version(one: KnownVersion): void {
    keep(this.versions, one)
  }

  upload(one: KnownUpload): void {
    keep(this.uploads, one)
  }

  page(one: KnownPage): void {
    keep(this.pages, one)
  }

  commit(sequence: number): void {
    if (this.commits.at(-1) !== sequence) keep(this.commits, sequence)
  }

  etag(etag: string): void {
    if (etag !== "") keep(this.etags, etag)
  }

  someVersion(random: Random): KnownVersion | undefined {
    return this.versions.length === 0 ? undefined : random.pick(this.versions)
  }

  someUpload(random: Random): KnownUpload | undefined {
    return this.uploads.length === 0 ? undefined : random.pick(this.uploads.slice(-6))
  }

  /** Mostly one that was there. */
  someCommit(random: Random): number {
    return this.commits.length === 0 || random.chance(0.05) ? random.below(2000) : random.pick(this.commits)
  }
}
