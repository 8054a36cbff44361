/**
 * Reads durable records back, each verified against its header and hash every time (P3).
 * Between the service and the segments' files.
 */
import { Effect } from "effect"
import type { StoreId } from "../base/ids.ts"
import { walReadGapBytesMax, walReadRunBytesMax, walReadRunsMax, walRecordBytesMax } from "../base/limits.ts"
import type { WalState } from "./Wal.ts"
import { WalError } from "./WalError.ts"
import type { WalFiles } from "./WalFilesService.ts"
import { batchHeaderBytes, decodeRecordHeader, payloadIsWhole, recordHeaderBytes, segmentHeaderBytes } from "./WalFormat.ts"
import type { WalPosition } from "./WalRecord.ts"
import { comparePlaces } from "./WalRecord.ts"

export interface WalReader {
  readonly read: (position: WalPosition) => Effect.Effect<Uint8Array, WalError>
  readonly readMany: (positions: ReadonlyArray<WalPosition>) => Effect.Effect<ReadonlyArray<Uint8Array>, WalError>
}

const offsetMin = segmentHeaderBytes + batchHeaderBytes + recordHeaderBytes

/** Neighbouring records of one segment, read at once: `start` is the first one's header. */
interface Run {
  readonly segment: number
  readonly start: number
  end: number
  readonly indexes: Array<number>
}

const errorAt = (reason: "NotHere" | "Damaged" | "Disk", position: WalPosition, detail: string): WalError =>
  new WalError({ reason, segment: position.segment, offset: position.offset, detail })

export const makeWalReader = (state: WalState, files: WalFiles, storeId: StoreId): WalReader => {
  /** Why a position is not readable: let go, or never durable. */
  const absent = (position: WalPosition): WalError | undefined => {
    const { segment, offset, length } = position
    const row = state.segments.get(segment)
    if (row === undefined) return errorAt("NotHere", position, "its segment was released: look its copy up again")
    if (offset < offsetMin || length < 0 || length > walRecordBytesMax || offset + length > row.durableEnd) {
      return errorAt("NotHere", position, "nothing durable lies there")
    }
    return undefined
  }

  /** The payload at `position` out of bytes read from `start` on, or the error that names it. */
  const verified = (position: WalPosition, bytes: Uint8Array, start: number): Uint8Array | WalError => {
    const at = position.offset - start
    if (at + position.length > bytes.length) return errorAt("Damaged", position, "the file ends before the record does")
    const header = decodeRecordHeader(bytes.subarray(at - recordHeaderBytes, at))
    if (header._tag !== "Ok") return errorAt("Damaged", position, `record header: ${header.why}`)
    const { segment, offset, length } = header.value
    const same = header.value.storeId === storeId && segment === position.segment &&
      offset + recordHeaderBytes === position.offset && length === position.length
    if (!same) return errorAt("Damaged", position, `another record lies there, of ${segment}:${offset}, ${length} bytes`)
    const payload = bytes.subarray(at, at + length)
    return payloadIsWhole(header.value, payload) ? payload : errorAt("Damaged", position, "its bytes do not have its hash")
  }

  const readRun = (positions: ReadonlyArray<WalPosition>, run: Run, into: Array<Uint8Array>): Effect.Effect<void, WalError> => {
    const first = positions[run.indexes[0]!]!
    return files.reading(run.segment, (file) => file.read(run.start, run.end - run.start)).pipe(
      Effect.mapError((error) => errorAt(error.code === "NotFound" ? "NotHere" : "Disk", first, error.message)),
      Effect.flatMap((bytes) => {
        for (const index of run.indexes) {
          const payload = verified(positions[index]!, bytes, run.start)
          if (payload instanceof WalError) return Effect.fail(payload)
          into[index] = payload
        }
        return Effect.void
      })
    )
  }

  const readMany = (positions: ReadonlyArray<WalPosition>): Effect.Effect<ReadonlyArray<Uint8Array>, WalError> =>
    Effect.suspend(() => {
      for (const position of positions) {
        const error = absent(position)
        if (error !== undefined) return Effect.fail(error)
      }
      const into = new Array<Uint8Array>(positions.length)
      return Effect.forEach(runsOf(positions), (run) => readRun(positions, run, into), {
        concurrency: walReadRunsMax,
        discard: true
      }).pipe(Effect.as(into))
    })

  return { readMany, read: (position) => Effect.map(readMany([position]), ([payload]) => payload!) }
}

/** Groups positions whose records lie close together, in order of place. */
const runsOf = (positions: ReadonlyArray<WalPosition>): ReadonlyArray<Run> => {
  const order = positions.map((_, index) => index).sort((a, b) => comparePlaces(positions[a]!, positions[b]!))
  const runs: Array<Run> = []
  for (const index of order) {
    const { segment, offset, length } = positions[index]!
    const start = offset - recordHeaderBytes
    const run = runs.at(-1)
    const joins = run !== undefined && run.segment === segment && start - run.end <= walReadGapBytesMax &&
      offset + length - run.start <= walReadRunBytesMax
    if (joins) {
      run.end = Math.max(run.end, offset + length)
      run.indexes.push(index)
    } else runs.push({ segment, start, end: offset + length, indexes: [index] })
  }
  return runs
}
