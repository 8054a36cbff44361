/**
 * DiskImage: the bytes of one simulated file as 4 KiB pages that are never changed once they are there, so that images,
 * and the writes that are not yet durable, share them. Used by sim/DiskFile; bytes past the size are always zero.
 */
export const pageBytes = 4096
export const zeroPage = new Uint8Array(pageBytes)

export const pageOf = (offset: number): number => Math.floor(offset / pageBytes)

/** The pages that [offset, offset + length) touches: the first, and the one after the last. */
export const pagesOf = (offset: number, length: number): readonly [first: number, end: number] =>
  [pageOf(offset), length === 0 ? pageOf(offset) : pageOf(offset + length - 1) + 1]

export class DiskImage {
  readonly #pages: Map<number, Uint8Array>
  #sizeBytes: number

  constructor(pages: ReadonlyMap<number, Uint8Array> = new Map(), sizeBytes = 0) {
    this.#pages = new Map(pages)
    this.#sizeBytes = sizeBytes
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** What it takes on the disk: holes take nothing. */
  get allocatedBytes(): number {
    return this.#pages.size * pageBytes
  }

  clone(): DiskImage {
    return new DiskImage(this.#pages, this.#sizeBytes)
  }

  /** A page, to be looked at only; undefined where there is a hole. */
  page(index: number): Uint8Array | undefined {
    return this.#pages.get(index)
  }

  /** Puts a page of another image here; a hole where there is none. */
  setPage(index: number, page: Uint8Array | undefined): void {
    if (page === undefined) this.#pages.delete(index)
    else this.#pages.set(index, page)
  }

  /** Indexes of its pages, holes left out. */
  pages(): IterableIterator<number> {
    return this.#pages.keys()
  }

  /** Whether the bytes here lie in the very pages of another image, within both: they are the same without a look at them. */
  shares(other: DiskImage, offset: number, length: number): boolean {
    const [first, end] = pagesOf(offset, length)
    for (let index = first; index < end; index += 1) if (this.#pages.get(index) !== other.#pages.get(index)) return false
    return offset + length <= Math.min(this.#sizeBytes, other.#sizeBytes)
  }

  /** A copy of `length` bytes at `offset`, fewer only at the end. */
  read(offset: number, length: number): Uint8Array {
    const result = new Uint8Array(Math.max(0, Math.min(length, this.#sizeBytes - offset)))
    for (let done = 0; done < result.length;) {
      const within = (offset + done) % pageBytes
      const count = Math.min(pageBytes - within, result.length - done)
      const page = this.#pages.get(pageOf(offset + done))
      if (page !== undefined) result.set(count === pageBytes ? page : page.subarray(within, within + count), done)
      done += count
    }
    return result
  }

  /** Writes a copy of the bytes, growing the file where they pass its end. */
  write(offset: number, bytes: Uint8Array): void {
    this.#put(offset, bytes)
    if (bytes.length > 0) this.#sizeBytes = Math.max(this.#sizeBytes, offset + bytes.length)
  }

  /** Puts [offset, offset + length) of one page's bytes here, whatever the size: data without its metadata. */
  takeSector(page: Uint8Array | undefined, offset: number, length: number): void {
    const within = offset % pageBytes
    this.#put(offset, (page ?? zeroPage).subarray(within, within + length))
  }

  truncate(sizeBytes: number): void {
    // Also without shrinking: sectors may have been taken that lie past the end.
    const lastPage = pageOf(sizeBytes)
    for (const index of this.#pages.keys()) if (index > lastPage) this.#pages.delete(index)
    const tail = this.#pages.get(lastPage)
    if (tail !== undefined) {
      const kept = tail.slice()
      kept.fill(0, sizeBytes % pageBytes)
      this.#pages.set(lastPage, kept)
    }
    this.#sizeBytes = sizeBytes
  }

  /** The size alone: what lies past it must be holes already. */
  extend(sizeBytes: number): void {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes)
  }

  #put(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const index = pageOf(offset + done)
      const within = (offset + done) % pageBytes
      const count = Math.min(pageBytes - within, bytes.length - done)
      const before = count === pageBytes ? undefined : this.#pages.get(index)
      const page = before === undefined ? new Uint8Array(pageBytes) : new Uint8Array(before)
      page.set(bytes.subarray(done, done + count), within)
      this.#pages.set(index, page)
      done += count
    }
  }
}
