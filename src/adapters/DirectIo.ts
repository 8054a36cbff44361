/**
 * DirectIo: reads and writes of one file past the page cache (O_DIRECT). It sits between NodeDisk and node:fs, and gives
 * the kernel what it wants: whole pages, at whole pages of the file, from memory that starts at a page.
 *
 * Parts of a page at either end of a write go through the buffered descriptor of the same file. The kernel keeps both
 * coherent: a direct read first writes back the dirty pages it meets, a direct write drops the cached ones.
 */
import * as fs from "node:fs"
import { copyInto } from "../base/bytes.ts"
import { diskGatherPartsMax, directPieceBytes, directPiecesMax } from "../base/limits.ts"
import { makePageMemory, memoryPageBytes, startsAtPage } from "../base/wasm.ts"

export type Callback<A> = (error: NodeJS.ErrnoException | null, value: A) => void

/** A file that is open twice. */
export interface DirectHandle {
  /** Opened with O_DIRECT; undefined where the file system refuses it. */
  readonly direct: number | undefined
  /** Through the page cache. */
  readonly fd: number
}

/** Page-aligned pieces of memory that reads and writes borrow. Made at the first need. */
export interface PieceMemory {
  /** Calls back now, or when a piece is free. */
  readonly borrow: (use: (piece: Uint8Array) => void) => void
  readonly giveBack: (piece: Uint8Array) => void
}

export const makePieceMemory = (): PieceMemory => {
  let free: Array<Uint8Array> | undefined
  const waiting: Array<(piece: Uint8Array) => void> = []
  const makePieces = (): Array<Uint8Array> => {
    const memory = makePageMemory(directPieceBytes * directPiecesMax)
    return Array.from({ length: directPiecesMax }, (_, index) => memory.subarray(index * directPieceBytes, (index + 1) * directPieceBytes))
  }
  return {
    borrow: (use) => {
      free ??= makePieces()
      const piece = free.pop()
      if (piece === undefined) waiting.push(use)
      else use(piece)
    },
    giveBack: (piece) => {
      const next = waiting.shift()
      if (next === undefined) free?.push(piece)
      else next(piece)
    }
  }
}

const pageFloor = (offset: number): number => offset - (offset % memoryPageBytes)
const pageCeil = (offset: number): number => pageFloor(offset + memoryPageBytes - 1)

/** Fills `bytes` from `offset` on, shorter at the end of the file: calls back with the count. */
export const readDirect = (fd: number, pieces: PieceMemory, offset: number, bytes: Uint8Array, done: Callback<number>): void => {
  if (bytes.length === 0) return done(null, 0)
  pieces.borrow((piece) => {
    const end = (error: NodeJS.ErrnoException | null, filled: number): void => {
      pieces.giveBack(piece)
      done(error, filled)
    }
    const next = (filled: number): void => {
      if (filled === bytes.length) return end(null, filled)
      const at = offset + filled
      const first = pageFloor(at)
      const length = Math.min(piece.length, pageCeil(offset + bytes.length) - first)
      fs.read(fd, piece, 0, length, first, (error, count) => {
        if (error) return end(error, filled)
        const useful = piece.subarray(at - first, Math.min(count, at - first + bytes.length - filled))
        if (useful.length === 0) return end(null, filled)
        copyInto(bytes, filled, useful)
        next(filled + useful.length)
      })
    }
    next(0)
  })
}

/**
 * Reads whole pages into page-aligned memory: calls back with the view of what was asked for, shorter at the end of the
 * file. undefined where the memory does not suit.
 */
export const readDirectInto = (
  fd: number, offset: number, length: number, memory: Uint8Array, done: Callback<Uint8Array>
): (() => void) | undefined => {
  const first = pageFloor(offset)
  const span = pageCeil(offset + length) - first
  if (length === 0 || span > memory.length || !startsAtPage(memory)) return undefined
  const next = (filled: number): void => {
    if (filled >= span) return end(null, filled)
    fs.read(fd, memory, filled, span - filled, first + filled, (error, count) => {
      // A count that is no whole page is the end of the file.
      if (error || count === 0 || count % memoryPageBytes !== 0) end(error, filled + (error ? 0 : count))
      else next(filled + count)
    })
  }
  const end = (error: NodeJS.ErrnoException | null, filled: number): void => {
    const from = offset - first
    done(error, memory.subarray(from, Math.max(from, Math.min(filled, from + length))))
  }
  return () => next(0)
}

/** Parts of a write, taken from the front. */
class Parts {
  readonly #parts: Array<Uint8Array>
  #first = 0

  constructor(parts: ReadonlyArray<Uint8Array>) {
    this.#parts = parts.filter((part) => part.length > 0)
  }

  /** The next bytes, `length` at most, as views. */
  take(length: number, countMax = Number.MAX_SAFE_INTEGER): Array<Uint8Array> {
    const taken: Array<Uint8Array> = []
    let left = length
    while (left > 0 && this.#first < this.#parts.length && taken.length < countMax) {
      const part = this.#parts[this.#first]!
      taken.push(part.length <= left ? part : part.subarray(0, left))
      if (part.length <= left) this.#first += 1
      else this.#parts[this.#first] = part.subarray(left)
      left -= Math.min(left, part.length)
    }
    return taken
  }

  /** Whole pages at the front that lie as the kernel wants them: they need no copy. */
  takeAligned(length: number): Uint8Array | undefined {
    const part = this.#parts[this.#first]
    const whole = part === undefined || !startsAtPage(part) ? 0 : Math.min(pageFloor(part.length), length)
    return whole === 0 ? undefined : this.take(whole)[0]
  }

  /** How many bytes, whole pages, lie before pages that need no copy; `length` at most. */
  untilAligned(length: number): number {
    let at = 0
    for (let index = this.#first; index < this.#parts.length && at < length; index += 1) {
      const part = this.#parts[index]!
      const skip = pageCeil(at) - at
      if (part.length >= skip + memoryPageBytes && startsAtPage(part.subarray(skip))) return Math.min(at + skip, length)
      at += part.length
    }
    return length
  }
}

const sizeOf = (parts: ReadonlyArray<Uint8Array>): number => parts.reduce((sum, part) => sum + part.length, 0)

/** Gathered writes until every byte is written; a short write goes on where it stopped. */
export const writeAll = (fd: number, offset: number, parts: ReadonlyArray<Uint8Array>, done: Callback<void>): void => {
  const left = new Parts(parts)
  const next = (at: number, batch: ReadonlyArray<Uint8Array>): void => {
    if (batch.length === 0) return done(null)
    fs.writev(fd, batch as Array<Uint8Array>, at, (error, count) => {
      if (error) return done(error)
      const rest = new Parts(batch)
      rest.take(count)
      const unwritten = rest.take(Number.MAX_SAFE_INTEGER)
      next(at + count, unwritten.length > 0 ? unwritten : left.take(Number.MAX_SAFE_INTEGER, diskGatherPartsMax))
    })
  }
  next(offset, left.take(Number.MAX_SAFE_INTEGER, diskGatherPartsMax))
}

/** Whole pages from the front of `left`, `length` bytes at most: as they lie where they can be, the others copied into `piece`. */
const gather = (left: Parts, length: number, piece: Uint8Array): ReadonlyArray<Uint8Array> => {
  const pages: Array<Uint8Array> = []
  let at = 0
  let used = 0
  while (at < length && pages.length < diskGatherPartsMax) {
    const aligned = left.takeAligned(length - at)
    const copied = aligned === undefined ? Math.min(left.untilAligned(length - at), piece.length - used) : 0
    if (aligned === undefined && copied === 0) break
    const bytes = aligned ?? piece.subarray(used, used + copied)
    for (const part of left.take(copied)) {
      copyInto(piece, used, part)
      used += part.length
    }
    pages.push(bytes)
    at += bytes.length
  }
  return pages
}

/**
 * Writes all parts from `offset` on. `refused` is told where the kernel wants no direct write after all (EINVAL); those
 * bytes then go through the page cache.
 */
export const writeDirect = (
  handle: DirectHandle & { readonly direct: number }, pieces: PieceMemory, offset: number, parts: ReadonlyArray<Uint8Array>,
  refused: () => void, done: Callback<void>
): void => {
  const left = new Parts(parts)
  const end = offset + sizeOf(parts)
  const middle = { from: pageCeil(offset), to: pageFloor(end) }
  const direct = (at: number, bytes: ReadonlyArray<Uint8Array>, then: Callback<void>): void =>
    writeAll(handle.direct, at, bytes, (error) => {
      if (error?.code !== "EINVAL") return then(error)
      refused()
      writeAll(handle.fd, at, bytes, then)
    })
  const next = (at: number): void => {
    const inMiddle = at >= middle.from && at < middle.to
    const go = (length: number): Callback<void> => (error) => (error ? done(error) : next(at + length))
    if (at === end) return done(null)
    if (!inMiddle) {
      const length = at < middle.from && middle.from < middle.to ? middle.from - at : end - at
      return writeAll(handle.fd, at, left.take(length), go(length))
    }
    pieces.borrow((piece) => {
      const pages = gather(left, middle.to - at, piece)
      direct(at, pages, (error) => {
        pieces.giveBack(piece)
        go(sizeOf(pages))(error)
      })
    })
  }
  next(offset)
}
