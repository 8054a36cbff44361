/**
 * DiskImage: the bytes of one simulated file as immutable 4 KiB pages, so that copies of it are cheap.
 * Used by sim/DiskFile; bytes past the size are always zero.
 */
const pageBytes = 4096
const zeroPage = new Uint8Array(pageBytes)

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

  /** A copy of `length` bytes at `offset`, fewer only at the end. */
  read(offset: number, length: number): Uint8Array {
    const result = new Uint8Array(Math.max(0, Math.min(length, this.#sizeBytes - offset)))
    for (let done = 0; done < result.length;) {
      const within = (offset + done) % pageBytes
      const count = Math.min(pageBytes - within, result.length - done)
      const page = this.#pages.get(Math.floor((offset + done) / pageBytes))
      if (page !== undefined) result.set(page.subarray(within, within + count), done)
      done += count
    }
    return result
  }

  /** Writes a copy of the bytes, growing the file where they pass its end. */
  write(offset: number, bytes: Uint8Array): void {
    this.#put(offset, bytes)
    if (bytes.length > 0) this.#sizeBytes = Math.max(this.#sizeBytes, offset + bytes.length)
  }

  /** Takes [offset, offset + length) from another image, whatever the sizes: data without its metadata. */
  takeSector(from: DiskImage, offset: number, length: number): void {
    const page = from.#pages.get(Math.floor(offset / pageBytes)) ?? zeroPage
    const within = offset % pageBytes
    this.#put(offset, page.subarray(within, within + length))
  }

  truncate(sizeBytes: number): void {
    // Also without shrinking: sectors may have been taken that lie past the end.
    const lastPage = Math.floor(sizeBytes / pageBytes)
    for (const index of this.#pages.keys()) if (index > lastPage) this.#pages.delete(index)
    const tail = this.#pages.get(lastPage)
    if (tail !== undefined) {
      const kept = tail.slice()
      kept.fill(0, sizeBytes % pageBytes)
      this.#pages.set(lastPage, kept)
    }
    this.#sizeBytes = sizeBytes
  }

  #put(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const index = Math.floor((offset + done) / pageBytes)
      const within = (offset + done) % pageBytes
      const count = Math.min(pageBytes - within, bytes.length - done)
      const page = (this.#pages.get(index) ?? zeroPage).slice()
      page.set(bytes.subarray(done, done + count), within)
      this.#pages.set(index, page)
      done += count
    }
  }
}
