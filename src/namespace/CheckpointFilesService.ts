/**
 * CheckpointFilesService: checkpoint files on the Disk port: written whole under another name, synced, read back and
 * verified before they get their own. It sits between the state's checkpoints and recovery, and the disk.
 */
import { Effect, type Scope } from "effect"
import { equalBytes } from "../base/bytes.ts"
import { checkpointSectionBytes } from "../base/limits.ts"
import type { DiskError, DiskService } from "../ports/Disk.ts"
import {
  checkpointName, encodeCheckpointHeader, encodeFooter, encodeFrame, encodeRow, encodeTrailer, parseCheckpointName, type Trailer
} from "./CheckpointFormat.ts"
import { attempt, type CheckpointFile, type CheckpointReader, diskError, openCheckpoint, readThrough, readTrailer } from "./CheckpointReadService.ts"
import { type RowChange, StateError, type ValueSealer } from "./State.ts"

/** What a writer says of a checkpoint; its file's counts follow from the rows. */
export type CheckpointClaim = Omit<Trailer, "rows" | "sections">

export interface CheckpointFiles {
  /** What is there, by name; makes the folder where there is none, and removes what an interrupted write left. */
  readonly list: Effect.Effect<ReadonlyArray<CheckpointFile>, StateError>
  /** Writes, syncs, verifies and names a file; durable when it returns its size. */
  readonly write: (file: CheckpointFile, rows: Iterable<RowChange>, claim: CheckpointClaim) => Effect.Effect<number, StateError>
  readonly size: (file: CheckpointFile) => Effect.Effect<number, StateError>
  readonly trailer: (file: CheckpointFile) => Effect.Effect<Trailer, StateError>
  readonly path: (file: CheckpointFile) => string
  /** Reads the whole file from the disk: every byte is verified. */
  readonly verify: (file: CheckpointFile) => Effect.Effect<Trailer, StateError>
  readonly reader: (file: CheckpointFile) => Effect.Effect<CheckpointReader, StateError, Scope.Scope>
  readonly remove: (files: ReadonlyArray<CheckpointFile>) => Effect.Effect<void, StateError>
  /** Keeps a damaged file's bytes, under a name that no start reads. */
  readonly setAside: (files: ReadonlyArray<CheckpointFile>) => Effect.Effect<void, StateError>
}

const temporarySuffix = ".tmp"

/** Says which file an error is about. */
const naming = (path: string) => (error: StateError): StateError => new StateError({ reason: error.reason, detail: `${path}: ${error.detail}` })

/** Writes and syncs a file that is not there yet. */
const writeAll: (
  disk: DiskService, sealer: ValueSealer, file: CheckpointFile, path: string, rows: Iterable<RowChange>, claim: CheckpointClaim
) => Effect.Effect<{ readonly trailer: Trailer; readonly sizeBytes: number }, StateError> = Effect.fnUntraced(
  function*(disk, sealer, { generation, kind }, path, rows, claim) {
    const handle = yield* disk.open(path, "create").pipe(Effect.mapError(diskError))
    let offset = 0
    const write = (parts: ReadonlyArray<Uint8Array>): Effect.Effect<void, StateError> => {
      const at = offset
      for (const part of parts) offset += part.length
      return handle.write(at, parts).pipe(Effect.mapError(diskError))
    }
    yield* write([encodeCheckpointHeader(kind, generation)])
    let sections = 0
    let count = 0
    const cut = sectionsOf(rows)
    for (;;) {
      // The rows come out of the tree as they are asked for: a damaged node shows here.
      const step = yield* attempt(() => cut.next())
      if (step.done === true) break
      yield* write(encodeFrame(sealer, { file: kind, generation, kind: "rows", index: sections }, step.value.bytes))
      count += step.value.rows
      sections += 1
      yield* Effect.yieldNow
    }
    const trailer: Trailer = { ...claim, rows: count, sections }
    const trailerOffset = offset
    yield* write(encodeFrame(sealer, { file: kind, generation, kind: "trailer", index: sections }, encodeTrailer(trailer)))
    yield* write([encodeFooter(trailerOffset)])
    yield* handle.sync.pipe(Effect.mapError(diskError))
    return { trailer, sizeBytes: offset }
  },
  Effect.scoped
)

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

export const makeCheckpointFiles = (disk: DiskService, sealer: ValueSealer, folder: string): CheckpointFiles => {
  const pathOf = (file: CheckpointFile): string => `${folder}/${checkpointName(file.kind, file.generation)}`
  // What the page cache still shows says nothing of what the disk has.
  const atRest: DiskService = { ...disk, open: (path, mode) => disk.open(path, mode, { direct: true }) }
  const list = Effect.gen(function*() {
    yield* disk.makeFolder(folder)
    // The folder's own name, too, is durable only once its parent is synced.
    const segments = folder.split("/")
    for (let depth = segments.length - 1; depth >= 0; depth--) yield* disk.syncFolder(segments.slice(0, depth).join("/"))
    const files: Array<CheckpointFile> = []
    for (const name of yield* disk.list(folder)) {
      const file = parseCheckpointName(name)
      if (file !== undefined) files.push(file)
      else if (name.endsWith(temporarySuffix)) yield* disk.remove(`${folder}/${name}`)
    }
    // A killed predecessor may have left names that no sync covers; what is accepted is made durable first.
    yield* disk.syncFolder(folder)
    return files
  }).pipe(Effect.mapError(diskError))
  const write = Effect.fnUntraced(function*(file: CheckpointFile, rows: Iterable<RowChange>, claim: CheckpointClaim) {
    const path = pathOf(file)
    const temporary = `${path}${temporarySuffix}`
    // An earlier attempt may have left one; what it holds is not to be trusted.
    yield* disk.remove(temporary).pipe(Effect.catch((error) => (error.code === "NotFound" ? Effect.void : Effect.fail(diskError(error)))))
    const { sizeBytes, trailer } = yield* writeAll(disk, sealer, file, temporary, rows, claim)
    const found = yield* readThrough(atRest, sealer, file, temporary).pipe(Effect.mapError(naming(temporary)))
    if (!equalBytes(encodeTrailer(found), encodeTrailer(trailer))) {
      return yield* Effect.fail(naming(temporary)(new StateError({ reason: "Damaged", detail: "read back, it is not what was written" })))
    }
    yield* disk.rename(temporary, path).pipe(Effect.mapError(diskError))
    yield* disk.syncFolder(folder).pipe(Effect.mapError(diskError))
    return sizeBytes
  })
  // No sync: a file that a power cut brings back is obsolete or damaged again, and the next file's sync covers its going.
  const each = (files: ReadonlyArray<CheckpointFile>, act: (path: string) => Effect.Effect<void, DiskError>): Effect.Effect<void, StateError> =>
    Effect.forEach(files, (file) => act(pathOf(file)), { discard: true }).pipe(Effect.mapError(diskError))
  const reader = Effect.fnUntraced(function*(file: CheckpointFile) {
    const name = naming(pathOf(file))
    const { next } = yield* openCheckpoint(disk, sealer, file, pathOf(file)).pipe(Effect.mapError(name))
    const named: CheckpointReader = { next: next.pipe(Effect.mapError(name)) }
    return named
  })
  return {
    list,
    path: pathOf,
    write,
    reader,
    size: (file) => Effect.scoped(Effect.flatMap(disk.open(pathOf(file), "read"), (handle) => handle.size)).pipe(Effect.mapError(diskError)),
    trailer: (file) => readTrailer(disk, sealer, file, pathOf(file)).pipe(Effect.mapError(naming(pathOf(file)))),
    verify: (file) => readThrough(atRest, sealer, file, pathOf(file)).pipe(Effect.mapError(naming(pathOf(file)))),
    // A removal that failed may have been done all the same.
    remove: (files) => each(files, (path) => Effect.catch(disk.remove(path), (error) => error.code === "NotFound" ? Effect.void : Effect.fail(error))),
    setAside: (files) => each(files, (path) => disk.rename(path, `${path}.damaged`))
  }
}
