/**
 * CheckpointFilesService: checkpoint files on the Disk port: written whole under another name, synced, read back and
 * verified before they get their own. It sits between the state's checkpoints and recovery, and the disk.
 */
import { Effect, type Scope } from "effect"
import { equalBytes } from "../base/bytes.ts"
import { checkpointSectionBytes } from "../base/limits.ts"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import {
  checkCheckpointHeader, checkpointFooterBytes, checkpointFrameBytes, checkpointHeaderBytes, type CheckpointKind, checkpointName, decodeFooter,
  decodeFrameHeader, decodeRows, decodeTrailer, encodeCheckpointHeader, encodeFooter, encodeFrame, encodeRow, encodeTrailer, type FrameKind,
  openFrame, parseCheckpointName, type Trailer
} from "./CheckpointFormat.ts"
import { type RowChange, StateError, type ValueSealer } from "./State.ts"

export interface CheckpointFile {
  readonly kind: CheckpointKind
  readonly generation: number
}

/** Sections one after another; undefined after the last, whose trailer has been checked against them by then. */
export interface CheckpointReader {
  readonly next: Effect.Effect<ReadonlyArray<RowChange> | undefined, StateError>
}

export interface CheckpointFiles {
  /** What is there, by generation; makes the folder where there is none, and removes what an interrupted write left. */
  readonly list: Effect.Effect<ReadonlyArray<CheckpointFile>, StateError>
  /** Writes, syncs, verifies and names a file; durable when it returns its size. */
  readonly write: (
    file: CheckpointFile, rows: Iterable<RowChange>, trailer: Omit<Trailer, "rows" | "sections">
  ) => Effect.Effect<number, StateError>
  readonly size: (file: CheckpointFile) => Effect.Effect<number, StateError>
  /** The trailer alone: what a file claims to be, authenticated; its sections are not read. */
  readonly trailer: (file: CheckpointFile) => Effect.Effect<Trailer, StateError>
  readonly reader: (file: CheckpointFile) => Effect.Effect<CheckpointReader, StateError, Scope.Scope>
  readonly remove: (files: ReadonlyArray<CheckpointFile>) => Effect.Effect<void, StateError>
  /** Keeps a damaged file's bytes, under a name that no start reads. */
  readonly setAside: (files: ReadonlyArray<CheckpointFile>) => Effect.Effect<void, StateError>
}

const diskError = (error: DiskError): StateError => new StateError({ reason: "Disk", detail: error.message })
const orFail = <A>(value: A | StateError): Effect.Effect<A, StateError> =>
  value instanceof StateError ? Effect.fail(value) : Effect.succeed(value)

/** Runs a kernel that throws StateErrors; anything else that it throws is our own bug. */
export const attempt = <A>(kernel: () => A): Effect.Effect<A, StateError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(kernel())
    } catch (error) {
      if (error instanceof StateError) return Effect.fail(error)
      throw error
    }
  })

const temporarySuffix = ".tmp"

export const makeCheckpointFiles = (disk: DiskService, sealer: ValueSealer, folder: string): CheckpointFiles => {
  const pathOf = (file: CheckpointFile): string => `${folder}/${checkpointName(file.kind, file.generation)}`
  /** Says which file an error is about. */
  const naming = (path: string) => (error: StateError): StateError => new StateError({ reason: error.reason, detail: `${path}: ${error.detail}` })

  const list = Effect.gen(function*() {
    yield* disk.makeFolder(folder)
    const files: Array<CheckpointFile> = []
    for (const name of yield* disk.list(folder)) {
      const file = parseCheckpointName(name)
      if (file !== undefined) files.push(file)
      else if (name.endsWith(temporarySuffix)) yield* disk.remove(`${folder}/${name}`)
    }
    return files
  }).pipe(Effect.mapError(diskError))

  const open = Effect.fnUntraced(function*(file: CheckpointFile, path: string) {
    const handle = yield* disk.open(path, "read").pipe(Effect.mapError(diskError))
    const header = yield* handle.read(0, checkpointHeaderBytes).pipe(Effect.mapError(diskError))
    yield* orFail(checkCheckpointHeader(header, file.kind, file.generation))
    return handle
  })

  const readFrame = Effect.fnUntraced(function*(handle: DiskFile, file: CheckpointFile, offset: number, kind: FrameKind | undefined, index: number) {
    const header = yield* orFail(decodeFrameHeader(yield* handle.read(offset, checkpointFrameBytes).pipe(Effect.mapError(diskError))))
    const sealed = yield* handle.read(offset + checkpointFrameBytes, header.length).pipe(Effect.mapError(diskError))
    const name = { file: file.kind, generation: file.generation, kind: kind ?? header.kind, index }
    const plaintext = yield* orFail(openFrame(sealer, name, header, sealed))
    return { kind: header.kind, plaintext, end: offset + checkpointFrameBytes + header.length }
  })

  const readerOf = (handle: DiskFile, file: CheckpointFile): CheckpointReader => {
    let offset = checkpointHeaderBytes
    let sections = 0
    let rows = 0
    let ended = false
    const next = Effect.gen(function*() {
      if (ended) return undefined
      const frame = yield* readFrame(handle, file, offset, undefined, sections)
      if (frame.kind === "rows") {
        const section = yield* orFail(decodeRows(frame.plaintext))
        offset = frame.end
        sections += 1
        rows += section.length
        return section
      }
      const trailer = yield* orFail(decodeTrailer(frame.plaintext))
      if (trailer.generation !== file.generation || trailer.sections !== sections || trailer.rows !== rows) {
        return yield* Effect.fail(new StateError({ reason: "Damaged", detail: `checkpoint: ${rows} rows in ${sections} sections where its trailer says ${trailer.rows} in ${trailer.sections}` }))
      }
      ended = true
      return undefined
    })
    return { next }
  }

  const trailerAt = Effect.fnUntraced(function*(file: CheckpointFile, path: string) {
    const handle = yield* open(file, path)
    const size = yield* handle.size.pipe(Effect.mapError(diskError))
    const footer = yield* handle.read(Math.max(0, size - checkpointFooterBytes), checkpointFooterBytes).pipe(Effect.mapError(diskError))
    const offset = yield* orFail(decodeFooter(footer))
    if (offset < checkpointHeaderBytes || offset + checkpointFrameBytes + checkpointFooterBytes > size) {
      return yield* Effect.fail(new StateError({ reason: "Damaged", detail: `checkpoint: its trailer is at ${offset} of ${size} bytes` }))
    }
    const header = yield* orFail(decodeFrameHeader(yield* handle.read(offset, checkpointFrameBytes).pipe(Effect.mapError(diskError))))
    const frame = yield* readFrame(handle, file, offset, "trailer", header.index)
    const trailer = yield* orFail(decodeTrailer(frame.plaintext))
    if (trailer.generation !== file.generation || trailer.sections !== header.index || frame.end + checkpointFooterBytes !== size) {
      return yield* Effect.fail(new StateError({ reason: "Damaged", detail: "checkpoint: its trailer is of another file" }))
    }
    return trailer
  }, Effect.scoped)

  /** Every byte of a file, as it is on the disk now, is what was meant: same rows, same trailer. */
  const verify = Effect.fnUntraced(function*(file: CheckpointFile, path: string, expected: Trailer) {
    const trailer = yield* trailerAt(file, path)
    const reader = readerOf(yield* open(file, path), file)
    while ((yield* reader.next) !== undefined) yield* Effect.yieldNow
    if (!equalBytes(encodeTrailer(trailer), encodeTrailer(expected))) {
      return yield* Effect.fail(new StateError({ reason: "Damaged", detail: "checkpoint: read back, it is not what was written" }))
    }
  }, Effect.scoped)

  const writeAll = Effect.fnUntraced(function*(file: CheckpointFile, path: string, rows: Iterable<RowChange>, head: Omit<Trailer, "rows" | "sections">) {
    const handle = yield* disk.open(path, "create").pipe(Effect.mapError(diskError))
    let offset = 0
    const write = (parts: ReadonlyArray<Uint8Array>): Effect.Effect<void, StateError> => {
      const at = offset
      for (const part of parts) offset += part.length
      return handle.write(at, parts).pipe(Effect.mapError(diskError))
    }
    yield* write([encodeCheckpointHeader(file.kind, file.generation)])
    let sections = 0
    let count = 0
    const cut = sectionsOf(rows)
    for (;;) {
      // The rows come out of the tree as they are asked for: a damaged node shows here.
      const step = yield* attempt(() => cut.next())
      if (step.done === true) break
      const section = step.value
      count += section.rows
      yield* write(encodeFrame(sealer, { file: file.kind, generation: file.generation, kind: "rows", index: sections }, section.bytes))
      sections += 1
      yield* Effect.yieldNow
    }
    const trailer: Trailer = { ...head, rows: count, sections }
    const trailerOffset = offset
    yield* write([
      ...encodeFrame(sealer, { file: file.kind, generation: file.generation, kind: "trailer", index: sections }, encodeTrailer(trailer)),
      encodeFooter(trailerOffset)
    ])
    yield* handle.sync.pipe(Effect.mapError(diskError))
    return { trailer, sizeBytes: offset }
  }, Effect.scoped)

  const write = Effect.fnUntraced(function*(file: CheckpointFile, rows: Iterable<RowChange>, head: Omit<Trailer, "rows" | "sections">) {
    const path = pathOf(file)
    const temporary = `${path}${temporarySuffix}`
    // An earlier attempt may have left one; what it holds is not to be trusted.
    yield* disk.remove(temporary).pipe(Effect.catch((error) => (error.code === "NotFound" ? Effect.void : Effect.fail(diskError(error)))))
    const { sizeBytes, trailer } = yield* writeAll(file, temporary, rows, head)
    yield* verify(file, temporary, trailer).pipe(Effect.mapError(naming(temporary)))
    yield* disk.rename(temporary, path).pipe(Effect.mapError(diskError))
    yield* disk.syncFolder(folder).pipe(Effect.mapError(diskError))
    return sizeBytes
  })

  const eachThenSync = (files: ReadonlyArray<CheckpointFile>, act: (path: string) => Effect.Effect<void, DiskError>) =>
    files.length === 0 ? Effect.void : Effect.gen(function*() {
      for (const file of files) yield* act(pathOf(file))
      yield* disk.syncFolder(folder)
    }).pipe(Effect.mapError(diskError))

  return {
    list,
    write,
    size: (file) =>
      Effect.scoped(Effect.flatMap(disk.open(pathOf(file), "read"), (handle) => handle.size)).pipe(Effect.mapError(diskError)),
    trailer: (file) => trailerAt(file, pathOf(file)).pipe(Effect.mapError(naming(pathOf(file)))),
    reader: (file) =>
      open(file, pathOf(file)).pipe(
        Effect.map((handle) => ({ next: readerOf(handle, file).next.pipe(Effect.mapError(naming(pathOf(file)))) })),
        Effect.mapError(naming(pathOf(file)))
      ),
    remove: (files) => eachThenSync(files, (path) => disk.remove(path)),
    setAside: (files) => eachThenSync(files, (path) => disk.rename(path, `${path}.damaged`))
  }
}

/** Cuts rows into sections, lazily: a section is full with the row that takes it to checkpointSectionBytes. */
function* sectionsOf(rows: Iterable<RowChange>): Generator<{ readonly bytes: Uint8Array; readonly rows: number }> {
  let parts: Array<Uint8Array> = []
  let size = 0
  for (const [key, value] of rows) {
    const row = encodeRow(key, value)
    parts.push(row)
    size += row.length
    if (size < checkpointSectionBytes) continue
    yield { bytes: Buffer.concat(parts, size), rows: parts.length }
    parts = []
    size = 0
  }
  if (parts.length > 0) yield { bytes: Buffer.concat(parts, size), rows: parts.length }
}
