/**
 * QueryCursor: the version rows of a view in one order: key, then newest first. It sits between the tables that a view
 * reads (one for a bucket as it is now) and the listings, which skip by seeking instead of reading what they pass over.
 */
import type { ByteString } from "../base/bytes.ts"
import type { BucketId } from "../base/ids.ts"
import { type Found, foundOf, inView, sequenceOf, type View } from "./QueryView.ts"
import { descending, endOfName, pastName, versionPrefixLength, versionsPrefix, versionTailLength, type VersionTable } from "./Rows.ts"
import type { RowKey, StateReader } from "./State.ts"

interface Source {
  readonly bucket: BucketId
  readonly rows: VersionTable
  readonly prefix: RowKey
  rowsLeft: Iterator<readonly [RowKey, Uint8Array]>
  /** Its next row: the key after the prefix; undefined at its end. */
  suffix: ByteString | undefined
  value: Uint8Array | undefined
}

/** Rows passed one by one before it pays to seek: a seek descends the tree, a step mostly does not. */
const stepsBeforeSeek = 8

export class Cursor {
  readonly #reader: StateReader
  readonly #view: View
  readonly #end: ByteString
  /** What follows a name in the key of the newest row that the view can have. */
  readonly #atView: ByteString
  readonly #sources: ReadonlyArray<Source>
  #least: Source | undefined

  /** Names from `from` (escaped, or a place after one) up to `end`. */
  constructor(reader: StateReader, view: View, from: ByteString, end: ByteString) {
    this.#reader = reader
    this.#view = view
    this.#end = end
    this.#atView = endOfName + descending(view.at)
    this.#sources = view.sources.map(({ bucket, rows }) => {
      const prefix = versionsPrefix(rows, bucket)
      return { bucket, rows, prefix, rowsLeft: [][Symbol.iterator](), suffix: undefined, value: undefined }
    })
    for (const source of this.#sources) this.#seekSource(source, from)
    this.#settle()
  }

  /** The escaped name of the next row; undefined at the end. */
  get name(): ByteString | undefined {
    const suffix = this.#least?.suffix
    return suffix === undefined ? undefined : suffix.slice(0, suffix.length - versionTailLength)
  }

  /** The next row itself. */
  get found(): Found {
    const least = this.#least as Source
    return foundOf(least.bucket, least.rows, least.suffix as string, least.value as Uint8Array)
  }

  advance(): void {
    if (this.#least === undefined) return
    this.#advanceSource(this.#least)
    this.#settle()
  }

  /** To the first row at or after `suffix`; never back. */
  seek(suffix: ByteString): void {
    for (const source of this.#sources) {
      for (let steps = 0; source.suffix !== undefined && source.suffix < suffix; steps += 1) {
        if (steps < stepsBeforeSeek) this.#advanceSource(source)
        else this.#seekSource(source, suffix)
      }
    }
    this.#settle()
  }

  /** To the rows of `name` that the view's commit had already. */
  seekToView(name: ByteString): void {
    this.seek(name + this.#atView)
  }

  /** To the name after `name`. */
  seekPast(name: ByteString): void {
    this.seek(name + pastName)
  }

  /** The rows of `name` in the view, newest first, from where the cursor stands. Leave it early at will: seekPast. */
  *rowsOf(name: ByteString): Generator<Found> {
    this.seekToView(name)
    while (this.name === name) {
      const { bucket, suffix } = this.#least as Source
      if (inView(this.#view, bucket, sequenceOf(suffix as string))) yield this.found
      this.advance()
    }
  }

  #seekSource(source: Source, suffix: ByteString): void {
    source.rowsLeft = this.#reader.scan(source.prefix + suffix, source.prefix + this.#end)[Symbol.iterator]()
    this.#advanceSource(source)
  }

  #advanceSource(source: Source): void {
    const step = source.rowsLeft.next()
    source.suffix = step.done === true ? undefined : step.value[0].slice(versionPrefixLength)
    source.value = step.done === true ? undefined : step.value[1]
  }

  #settle(): void {
    let least: Source | undefined
    for (const source of this.#sources) {
      if (source.suffix === undefined) continue
      if (least?.suffix === undefined || source.suffix < least.suffix) least = source
    }
    this.#least = least
  }
}
