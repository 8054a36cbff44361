/**
 * CheckpointReadService: reads checkpoint files through the Disk port, section by section, each byte verified. It sits
 * between recovery (and the check after a write) and the disk.
 */
import { Effect } from "effect"
import type { DiskError, DiskFile, DiskService } from "../ports/Disk.ts"
import {
  checkCheckpointHeader, checkpointFooterBytes, checkpointFrameBytes, checkpointHeaderBytes, type CheckpointKind, decodeFooter, decodeFrameHeader,
  decodeRows, decodeTrailer, type FrameKind, openFrame, type Trailer
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

export const diskError = (error: DiskError): StateError => new StateError({ reason: "Disk", detail: error.message })
const damaged = (detail: string): Effect.Effect<never, StateError> => Effect.fail(new StateError({ reason: "Damaged", detail: `checkpoint: ${detail}` }))

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

const read = (handle: DiskFile, offset: number, length: number): Effect.Effect<Uint8Array, StateError> =>
  handle.read(offset, length).pipe(Effect.mapError(diskError))

const openFile = Effect.fnUntraced(function*(disk: DiskService, file: CheckpointFile, path: string) {
  const handle = yield* disk.open(path, "read").pipe(Effect.mapError(diskError))
  yield* orFail(checkCheckpointHeader(yield* read(handle, 0, checkpointHeaderBytes), file.kind, file.generation))
  return handle
})

/** `kind`: the one that belongs there, or whichever it is. */
const readFrame = Effect.fnUntraced(function*(
  sealer: ValueSealer, handle: DiskFile, file: CheckpointFile, offset: number, index: number, kind?: FrameKind
) {
  const header = yield* orFail(decodeFrameHeader(yield* read(handle, offset, checkpointFrameBytes)))
  const sealed = yield* read(handle, offset + checkpointFrameBytes, header.length)
  const name = { file: file.kind, generation: file.generation, kind: kind ?? header.kind, index }
  const plaintext = yield* orFail(openFrame(sealer, name, header, sealed))
  return { kind: header.kind, plaintext, end: offset + checkpointFrameBytes + header.length }
})

/** Opens a file for reading its sections, until the scope closes. */
export const openCheckpoint = Effect.fnUntraced(function*(disk: DiskService, sealer: ValueSealer, file: CheckpointFile, path: string) {
  const handle = yield* openFile(disk, file, path)
  let offset = checkpointHeaderBytes
  let sections = 0
  let rows = 0
  let lastKey = ""
  let ended = false
  const next = Effect.gen(function*() {
    if (ended) return undefined
    const frame = yield* readFrame(sealer, handle, file, offset, sections)
    if (frame.kind === "rows") {
      const section = yield* orFail(decodeRows(frame.plaintext))
      const first = section[0]
      if (first === undefined || first[0] <= lastKey) return yield* damaged(`section ${sections} does not follow on the one before`)
      lastKey = section.at(-1)![0]
      offset = frame.end
      sections += 1
      rows += section.length
      return section
    }
    const trailer = yield* orFail(decodeTrailer(frame.plaintext))
    if (trailer.generation !== file.generation || trailer.sections !== sections || trailer.rows !== rows) {
      return yield* damaged(`${rows} rows in ${sections} sections where its trailer says ${trailer.rows} in ${trailer.sections}`)
    }
    ended = true
    return undefined
  })
  const reader: CheckpointReader = { next }
  return reader
})

/** The trailer alone: what a file claims to be, authenticated; its sections are not read. */
export const readTrailer: (
  disk: DiskService, sealer: ValueSealer, file: CheckpointFile, path: string
) => Effect.Effect<Trailer, StateError> = Effect.fnUntraced(function*(disk, sealer, file, path) {
  const handle = yield* openFile(disk, file, path)
  const size = yield* handle.size.pipe(Effect.mapError(diskError))
  const offset = yield* orFail(decodeFooter(yield* read(handle, Math.max(0, size - checkpointFooterBytes), checkpointFooterBytes)))
  if (offset < checkpointHeaderBytes || offset + checkpointFrameBytes + checkpointFooterBytes > size) {
    return yield* damaged(`its trailer is at ${offset} of ${size} bytes`)
  }
  const { index } = yield* orFail(decodeFrameHeader(yield* read(handle, offset, checkpointFrameBytes)))
  const frame = yield* readFrame(sealer, handle, file, offset, index, "trailer")
  const trailer = yield* orFail(decodeTrailer(frame.plaintext))
  if (trailer.generation !== file.generation || trailer.sections !== index || frame.end + checkpointFooterBytes !== size) {
    return yield* damaged("its trailer is of another file")
  }
  return trailer
}, Effect.scoped)

/** Reads a whole file: every byte is verified, all rows are in order and as many as its trailer says. */
export const readThrough: (
  disk: DiskService, sealer: ValueSealer, file: CheckpointFile, path: string
) => Effect.Effect<Trailer, StateError> = Effect.fnUntraced(function*(disk, sealer, file, path) {
  const trailer = yield* readTrailer(disk, sealer, file, path)
  const reader = yield* openCheckpoint(disk, sealer, file, path)
  while ((yield* reader.next) !== undefined) yield* Effect.yieldNow
  return trailer
}, Effect.scoped)
