/**
 * Looks at the journal's bytes at rest, for scrub and verification: every batch up to what is durable, from the disk and
 * not from the page cache. Between the service's state and the Disk port.
 */
import { Effect } from "effect"
import type { StoreId } from "../base/ids.ts"
import type { DiskService } from "../ports/Disk.ts"
import type { WalState } from "./Wal.ts"
import { makeWalFiles } from "./WalFilesService.ts"
import { planLog } from "./WalRecovery.ts"
import { scanSegment, survey } from "./WalRecoveryService.ts"

/** A place of the journal that is not what was written. */
export interface WalFault {
  readonly segment: number
  readonly offset: number
  readonly what: string
  /** A chunk's bytes, and nothing else, are hurt; `offset` is where they begin. */
  readonly isChunk: boolean
}

/** What is wrong with one segment; `bytes` were read of it. */
export interface WalSegmentInspected {
  readonly segment: number
  readonly bytes: number
  readonly faults: ReadonlyArray<WalFault>
}

/** Every segment of the log in turn goes to `visit`. A segment that is let go meanwhile is passed over. */
export type WalInspect = <E>(visit: (inspected: WalSegmentInspected) => Effect.Effect<void, E>) => Effect.Effect<void, E>

export const makeWalInspect = (disk: DiskService, folder: string, state: WalState, storeId: StoreId): WalInspect =>
  <E>(visit: (inspected: WalSegmentInspected) => Effect.Effect<void, E>) =>
    Effect.scoped(Effect.gen(function*() {
      const atRest: DiskService = { ...disk, open: (path, mode) => disk.open(path, mode, { direct: true }) }
      const files = makeWalFiles(atRest, folder, yield* Effect.scope)
      const isKept = (segment: number): boolean => state.segments.has(segment)
      const last = { ...state.last }
      // The one that is being opened has no header to be read yet.
      const there = [...state.segments.keys()].filter((segment) => segment !== state.opening)
      const surveyed = yield* Effect.forEach(there.sort((a, b) => a - b), (segment) =>
        Effect.catch(survey(files, segment), (error) => Effect.succeed({ segment, error })))
      const kept = surveyed.filter(({ segment }) => isKept(segment))
      // One that was abandoned before it was open may have no file: nothing of it was ever to be read.
      const failed = kept.flatMap((one) => "error" in one && state.segments.get(one.segment)!.durableEnd > 0 ? [one] : [])
      for (const { segment, error } of failed) {
        yield* visit({ segment, bytes: 0, faults: [{ segment, offset: error.offset, what: error.detail, isChunk: false }] })
      }
      if (failed.length > 0) return
      const decision = planLog(kept.flatMap((one) => "error" in one ? [] : [one]), storeId)
      if (decision._tag === "Damaged") {
        const { offset, segment, why } = decision
        return yield* visit({ segment, bytes: 0, faults: isKept(segment) ? [{ segment, offset, what: why, isChunk: false }] : [] })
      }
      for (const segment of decision.plan.log) {
        const number = segment.header.segment
        const proven = segment.proven ?? (last.segment === number ? last : undefined)
        // A segment without a batch so far has its header, which was read.
        if (proven === undefined || proven.segment !== number) continue
        const inspected = yield* inspectSegment(files, { ...segment, proven })
        if (isKept(number)) yield* visit(inspected)
      }
    }))

type ScannedSegment = Parameters<typeof scanSegment>[1]

const inspectSegment = Effect.fnUntraced(function*(files: ReturnType<typeof makeWalFiles>, segment: ScannedSegment) {
  const number = segment.header.segment
  const faults: Array<WalFault> = []
  yield* scanSegment(files, segment, ({ link, records, whole: isWhole }) =>
    Effect.sync(() => {
      if (!isWhole && records.every(({ whole }) => whole)) {
        faults.push({ segment: number, offset: link.offset, what: `the padding of batch ${link.batch} is not zero; nothing is lost`, isChunk: false })
      }
      for (const { kind, offset, whole } of records) {
        const isChunk = kind === "Chunk"
        if (!whole) faults.push({ segment: number, offset, what: `a ${isChunk ? "chunk" : "Raft record"}'s bytes have not their hash`, isChunk })
      }
    })).pipe(
    Effect.catch((error) => Effect.sync(() => {
      faults.push({ segment: number, offset: error.offset, what: error.detail, isChunk: false })
    }))
  )
  const inspected: WalSegmentInspected = { segment: number, bytes: segment.sizeBytes, faults }
  return inspected
})
